"""The limit of requests in flight: a number of permits, halved on throttling and slowly restored."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from cosv4fs.concurrency import cancellation

_GROW_AFTER = 20
"""Releases in a row after which a halved window grows by one."""

_MISSING = object()


class Permit:
    """The right to have one task in flight. It ends when it is released, or lost."""

    def __init__(self, window: Window) -> None:
        self._window = window
        window.permits[id(self)] = None

    def end(self) -> bool:
        """End the permit; return whether it was valid until now. Safe to call from ``__del__``."""
        was_valid = self._window.permits.pop(id(self), _MISSING) is not _MISSING
        self._window.notify()
        return was_valid

    def __del__(self) -> None:
        self.end()


class Window:
    """A bounded number of permits.

    Parameters
    ----------
    limit : int
        Permits at most.
    """

    def __init__(self, limit: int) -> None:
        self._most = self._limit = limit
        self._streak = 0
        self._lock = threading.Lock()
        self._waiting: list[SimpleQueue[None]] = []
        self.permits: dict[int, None] = {}

    @property
    def limit(self) -> int:
        """Permits at most, at present."""
        return self._limit

    def acquire(self) -> Permit:
        """Wait for a permit.

        Raises
        ------
        InterruptedError
            EINTR when the calling thread is cancelled meanwhile.
        """
        while (permit := self.try_acquire()) is None:
            freed: SimpleQueue[None] = SimpleQueue()
            self._waiting.append(freed)
            # a permit may have ended before this was added
            if len(self.permits) >= self._limit:
                with suppress(Empty):
                    freed.get(timeout=cancellation.CHECK_EVERY)
            cancellation.check()
        return permit

    def try_acquire(self) -> Permit | None:
        """Return a permit, or None if all are in use."""
        with self._lock:
            return Permit(self) if len(self.permits) < self._limit else None

    def release(self, permit: Permit) -> None:
        """End a permit after its task."""
        if permit.end():
            with self._lock:
                self._streak += 1
                if self._streak >= _GROW_AFTER and self._limit < self._most:
                    self._limit += 1
                    self._streak = 0

    def notify(self) -> None:
        """Have all waiting threads try again. Safe to call from ``__del__``."""
        with suppress(IndexError):
            while True:
                self._waiting.pop().put(None)

    def halve(self) -> None:
        """Halve the window: the service throttles."""
        with self._lock:
            self._limit = max(1, self._limit // 2)
            self._streak = 0
