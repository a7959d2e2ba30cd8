"""Faults of the connection: refused, closed or reset at any point, and a service that restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .rules import Action, Disconnect, Stage

if TYPE_CHECKING:
    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.replies import Reply

_PATIENCE = 30.0


@dataclass(frozen=True)
class RefuseConnection(Action):
    """Reset a connection as soon as it is accepted.

    Its rule counts connections. ``Emulator.unreachable`` refuses all of them while it lasts, before they are accepted.
    """

    stage: ClassVar[Stage] = "connection"


@dataclass(frozen=True)
class CutRequest(Action):
    """Reset the connection while the body of a request is received; the operation does not run.

    A rule with ``op`` matches only operations named in the query or at the beginning of the body. `DropBefore` closes
    after the whole body.

    Parameters
    ----------
    count : int
        How many bytes of the body are read first.
    """

    count: int = 0

    stage: ClassVar[Stage] = "body"


@dataclass(frozen=True)
class DropBefore(Action):
    """Close the connection when the request is read, without running the operation and without a reply.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    reset: bool = False

    def before(self, call: Call) -> Reply | None:
        """Close."""
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class DropReply(Action):
    """Run the operation, then close the connection without a reply: the lost reply.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    reset: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Close."""
        reply.discard()
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class CutReply(Action):
    """Send the correct head but only the first bytes of the body, then close the connection.

    Parameters
    ----------
    count : int, optional
        How many bytes of the body are sent; None: all, but the announced keep-alive connection ends after it.
    reset : bool
        Whether the client sees a reset, after those bytes, instead of an orderly end.
    """

    count: int | None = None
    reset: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""
        reply.cut = reply.length if self.count is None else self.count
        reply.reset = self.reset
        return reply


@dataclass(frozen=True)
class Restart(Action):
    """Stop the service and start it again, on the same port and folder; the request gets no reply.

    Parameters
    ----------
    acted : bool
        Whether the operation runs before.
    """

    acted: bool = False

    def before(self, call: Call) -> Reply | None:
        """Restart, unless the operation is to run before."""
        if not self.acted:
            self._restart(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Restart."""
        reply.discard()
        self._restart(call)
        return reply

    def _restart(self, call: Call) -> None:
        call.restart()
        call.stopping.wait(_PATIENCE)
        raise Disconnect(reset=True)
