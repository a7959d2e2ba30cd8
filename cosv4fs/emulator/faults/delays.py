"""Delays: requests that wait for a test, and slow replies."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .rules import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.replies import Reply


def _wait(call: Call, release: threading.Event, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not call.stopping.is_set() and time.monotonic() < end:
        if release.wait(0.02):
            return


@dataclass(frozen=True)
class Stall(Action):
    """Hold a request until a test releases it.

    Parameters
    ----------
    release : threading.Event
        Set to release it.
    acted : bool
        Whether the operation runs before the wait.
    timeout : float
        Seconds after which it continues anyway.
    entered : threading.Event
        Set as soon as a request waits.
    """

    release: threading.Event = field(default_factory=threading.Event)
    acted: bool = False
    timeout: float = 60.0
    entered: threading.Event = field(default_factory=threading.Event)

    def before(self, call: Call) -> Reply | None:
        """Wait, then let the request through."""
        if not self.acted:
            self._pause(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Wait, then let the reply through."""
        if self.acted:
            self._pause(call)
        return reply

    def _pause(self, call: Call) -> None:
        self.entered.set()
        _wait(call, self.release, self.timeout)


@dataclass(frozen=True)
class StallReply(Action):
    """Send the head and the first bytes of the reply, and the rest when a test releases it.

    Parameters
    ----------
    count : int
        How many bytes of the body are sent first.
    release : threading.Event
        Set to release it.
    timeout : float
        Seconds after which it continues anyway.
    entered : threading.Event
        Set as soon as a reply waits.
    """

    count: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    timeout: float = 60.0
    entered: threading.Event = field(default_factory=threading.Event)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""

        def pieces(length: int) -> Iterator[int]:
            yield min(self.count, length)
            self.entered.set()
            _wait(call, self.release, self.timeout)
            yield max(0, length - self.count)

        reply.pieces = pieces
        return reply


@dataclass(frozen=True)
class Trickle(Action):
    """Send the body of the reply in small pieces with pauses between them, then the rest at once.

    Parameters
    ----------
    step : int
        Bytes of a piece.
    pieces : int
        How many pieces there are at most before the rest.
    seconds : float
        A pause.
    pause : callable
        Called with `seconds` after every piece.
    """

    step: int = 1
    pieces: int = 64
    seconds: float = 0.005
    pause: Callable[[float], object] = time.sleep

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""

        def pieces(length: int) -> Iterator[int]:
            left = length
            for _ in range(self.pieces):
                if left <= self.step or call.stopping.is_set():
                    break
                yield self.step
                left -= self.step
                self.pause(self.seconds)
            yield left

        reply.pieces = pieces
        return reply
