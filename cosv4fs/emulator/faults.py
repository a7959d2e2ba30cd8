"""Faults on order: a test says which request shall go wrong, and how.

A fault is a rule (which requests) and an action (what happens). An action may step in before the request is acted on,
after it, or both; a new kind of fault is a new subclass of `Action`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ApiError
from .replies import Reply, error_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call import Call

__all__ = [
    "Action",
    "Corrupt",
    "CutReply",
    "Disconnect",
    "DropBefore",
    "DropReply",
    "Fault",
    "Faults",
    "HttpError",
    "Refuse",
    "Stall",
]


class Disconnect(Exception):  # noqa: N818  an order, not an error
    """Close the connection without an answer.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("the connection is closed without an answer")
        self.reset = reset


class Action:
    """What a fault does. Subclasses override one or both methods."""

    def before(self, call: Call) -> Reply | None:
        """Step in when the request is read and nothing is done yet.

        Returns
        -------
        Reply or None
            An answer in place of acting; None lets the request through.

        Raises
        ------
        Disconnect
            The connection is closed.
        """
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Step in when the request was acted on; return the answer to send, or raise `Disconnect`."""
        return reply


@dataclass(frozen=True)
class Refuse(Action):
    """Answer with an error code of the service and do nothing.

    Parameters
    ----------
    code : int
        The code.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.
    status : int, optional
        Another HTTP status than the code table's.
    """

    code: int
    retry_after: int | None = None
    status: int | None = None

    def before(self, call: Call) -> Reply:
        """Answer with the code."""
        return error_reply(call.request_id, ApiError(self.code, status=self.status, retry_after=self.retry_after))


@dataclass(frozen=True)
class HttpError(Action):
    """Answer with an HTTP status and a page of HTML, as a machine in front of the service would, and do nothing.

    Parameters
    ----------
    status : int
        For example 500, 502, 503, 504.
    body : str
        The page.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.
    acted : bool
        Whether the request is acted on all the same.
    """

    status: int
    body: str = "<html><head><title>error</title></head><body><center><h1>error</h1></center></body></html>\r\n"
    retry_after: int | None = None
    acted: bool = False

    def before(self, call: Call) -> Reply | None:
        """Answer at once, unless the request shall be acted on."""
        return None if self.acted else self._page()

    def after(self, call: Call, reply: Reply) -> Reply:
        """Answer with the page in place of the real answer."""
        if not self.acted:
            return reply
        reply.discard()
        return self._page()

    def _page(self) -> Reply:
        reply = Reply(self.status, self.body.encode(), -1, "text/html")
        if self.retry_after is not None:
            reply.headers.append(("Retry-After", str(self.retry_after)))
        return reply


@dataclass(frozen=True)
class DropBefore(Action):
    """Close the connection without acting and without an answer."""

    reset: bool = False

    def before(self, call: Call) -> Reply | None:
        """Close."""
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class DropReply(Action):
    """Act, then close the connection without an answer: the lost reply."""

    reset: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Close."""
        reply.discard()
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class CutReply(Action):
    """Send the right head but only the first bytes of the body, then close the connection.

    Parameters
    ----------
    count : int
        How many bytes of the body are sent.
    """

    count: int

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""
        reply.cut = self.count
        return reply


@dataclass(frozen=True)
class Stall(Action):
    """Wait until a test lets the request go on.

    Parameters
    ----------
    release : threading.Event
        What is waited for.
    acted : bool
        Whether the request is acted on before the wait.
    timeout : float
        Seconds after which it goes on anyway.
    entered : threading.Event
        Set as soon as a request waits.
    """

    release: threading.Event
    acted: bool = False
    timeout: float = 60.0
    entered: threading.Event = field(default_factory=threading.Event)

    def before(self, call: Call) -> Reply | None:
        """Wait, then let the request through."""
        if not self.acted:
            self._wait(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Wait, then let the answer through."""
        if self.acted:
            self._wait(call)
        return reply

    def _wait(self, call: Call) -> None:
        self.entered.set()
        end = time.monotonic() + self.timeout
        while not call.stopping.is_set() and time.monotonic() < end:
            if self.release.wait(0.02):
                return


@dataclass(frozen=True)
class Corrupt(Action):
    """Flip bits in the body of the answer; its length stays.

    Parameters
    ----------
    position : int
        Which byte, from the end when negative.
    mask : int
        The bits.
    """

    position: int = 0
    mask: int = 0xFF

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the body."""
        body = bytearray(reply.body if isinstance(reply.body, bytes) else reply.body.read())
        if -len(body) <= self.position < len(body):
            body[self.position] ^= self.mask
        reply.body = bytes(body)
        return reply


@dataclass(eq=False)
class Fault:
    """A rule with its action, as `Faults.add` returned it.

    Parameters
    ----------
    op, path : str, optional
        Only requests of this operation and path (as in the request log); None: any.
    nth : int
        The first request of those that fit which goes wrong, counted from 1.
    times : int, optional
        How many in a row go wrong; None: all from then on.
    action : Action
        What happens.
    match : callable, optional
        A further condition on the request.
    seen, hits : int
        How many requests fitted, and how many went wrong.
    """

    op: str | None
    path: str | None
    nth: int
    times: int | None
    action: Action
    match: Callable[[Call], bool] | None = None
    seen: int = 0
    hits: int = 0

    def fits(self, call: Call) -> bool:
        """Whether the rule speaks of this request."""
        if self.op not in {None, call.op} or self.path not in {None, call.path.text}:
            return False
        return self.match is None or self.match(call)

    def takes(self) -> bool:
        """Count a request that fits, and tell whether it goes wrong."""
        self.seen += 1
        hit = self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)
        self.hits += hit
        return hit


class Faults:
    """The faults of an emulator, safe to change from any thread."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        *,
        action: Action,
        op: str | None = None,
        path: str | None = None,
        nth: int = 1,
        times: int | None = 1,
        match: Callable[[Call], bool] | None = None,
    ) -> Fault:
        """Order a fault.

        Parameters
        ----------
        action : Action
            What happens.
        op : str, optional
            Only this operation: the API's names, ``download`` or ``head``.
        path : str, optional
            Only this path, decoded, beginning with ``/``.
        nth : int
            The first request that goes wrong, counted from now on and from 1.
        times : int, optional
            How many in a row go wrong; None: all.
        match : callable, optional
            A further condition on the request.

        Returns
        -------
        Fault
            Its ``hits`` tells how often it happened.
        """
        fault = Fault(op, path, nth, times, action, match)
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault back; nothing happens when it is not there."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._faults.clear()

    def actions(self, call: Call) -> list[Action]:
        """Return what shall go wrong with a request, in the order in which it was ordered."""
        if not self._faults:
            return []
        with self._lock:
            return [fault.action for fault in self._faults if fault.fits(call) and fault.takes()]
