"""How much happens at once: the window of requests in flight, the pace of small calls, and the bytes per second."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from cosv4fs.concurrency import cancellation
from cosv4fs.forking import shared_lock

_log = logging.getLogger("cosv4fs")

_GROW_AFTER = 20
"""Tasks or calls in a row after which a halved window grows by one."""

_AT_FIRST = 8
"""Threads before anything is measured."""

_COMPUTING = 0.7
"""The threads that should be computing on average: less than one, because only one computes at a time."""

_MEMORY = 0.95
"""Weight of earlier measurements at each new one."""

_SLACK = 1.25
"""Threads beyond this multiple of the wanted number end: ending and starting threads has a cost, too."""

_BURST = 0.2
"""Seconds that a limited transfer may catch up on: threads wake up late."""

_STEPS = 20
"""Steps per second of limited transfers. Small ones keep all connections busy, so that no server closes one."""

_LEAST_STEP = 4 * 1024
"""Bytes per step at least."""


class Permit:
    """The right to have one task in flight. It ends when it is released, or lost."""

    def __init__(self, window: Window) -> None:
        self._window = window
        window.permits[id(self)] = True

    def end(self) -> bool:
        """End the permit; return whether it was valid until now. Safe to call from ``__del__``."""
        was_valid = self._window.permits.pop(id(self), False)
        self._window._notify()
        return was_valid

    def __del__(self) -> None:
        self.end()


class Window:
    """A bounded number of permits, halved when the service throttles and slowly restored."""

    def __init__(self, limit: int) -> None:
        self.most = self._limit = limit
        self._streak = 0
        self._lock = shared_lock()
        self._waiting: list[SimpleQueue[None]] = []
        self.permits: dict[int, bool] = {}

    @property
    def limit(self) -> int:
        """Permits at most, at present."""
        return self._limit

    def acquire(self) -> Permit:
        """Wait for a permit; raise EINTR if the calling thread is cancelled meanwhile."""
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
        cancellation.check_interpreter()
        with self._lock:
            return Permit(self) if len(self.permits) < self._limit else None

    @property
    def is_exceeded(self) -> bool:
        """Whether there are more permits than at present allowed: it was halved meanwhile."""
        return len(self.permits) > self._limit

    def release(self, permit: Permit) -> None:
        """End a permit after its task."""
        if permit.end():
            self.note_success()

    def note_success(self) -> None:
        """Count a task, or one of the calls that a task consists of; a halved window grows with them."""
        if self._limit < self.most:
            with self._lock:
                self._streak += 1
                if self._streak >= _GROW_AFTER:
                    self._limit += 1
                    self._streak = 0

    def _notify(self) -> None:
        """Have all waiting threads try again. Safe to call from ``__del__``."""
        with suppress(IndexError):
            while True:
                self._waiting.pop().put(None)

    def halve(self) -> None:
        """Halve the window: the service throttles."""
        with self._lock:
            self._limit = max(1, self._limit // 2)
            self._streak = 0


class Pace:
    """How many threads small calls are worth: as many as can wait for the service while others compute.

    Threads that wait for the network cost nothing. Threads that compute wait for each other, and on idle processors
    every hand-over wakes one of them, which can cost more than the request: 200 objects of 4 KiB from a service on the
    same machine take up to 1.7 times as long with 32 threads. Both show in one number, the part of its time that a
    thread computes.
    """

    def __init__(self, most: int, at_first: int = _AT_FIRST) -> None:
        self._most = most
        self._lock = shared_lock()
        self._took = self._computed = 0.0
        self._wanted = self._logged = min(at_first, most)

    @property
    def wanted(self) -> int:
        """The number of threads to use now."""
        return self._wanted

    def is_too_many(self, threads: int) -> bool:
        """Return whether one of this number of threads should end."""
        return threads > max(1.0, self._wanted * _SLACK)

    def note(self, took: float, computed: float) -> None:
        """Take one call into account: its seconds by the clock, and of the processor."""
        with self._lock:
            self._took = self._took * _MEMORY + took
            self._computed = self._computed * _MEMORY + computed
            wanted = _COMPUTING * self._took / max(self._computed, 1e-9)
            self._wanted = max(1, min(self._most, int(wanted)))
            is_news = not self._logged / _SLACK <= self._wanted <= self._logged * _SLACK
            if is_news:
                self._logged = self._wanted
        if is_news:
            _log.debug("small calls use %d threads at most", self._wanted)


def _wait(seconds: float) -> None:
    """Wait; raise EINTR if the calling thread is cancelled meanwhile. Cleaning up after an interrupt never waits."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and cancellation.seconds_left() is None:
        cancellation.check()
        time.sleep(min(left, cancellation.CHECK_EVERY))


class Bandwidth:
    """Limits the bytes per second that all threads together move in one direction. Without a rate it does nothing.

    `clock` and `wait` are replaceable for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], None] = _wait) -> None:
        self._clock, self._wait = clock, wait
        self._lock = shared_lock()
        self._rate: float | None = None
        # when everything that was taken so far will have been moved
        self._free = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a rate."""
        return self._rate is not None

    def in_a_second(self, most: int) -> int:
        """Return how many of `most` bytes can be moved in a second."""
        return most if self._rate is None else min(most, int(self._rate))

    def limit(self, rate: float | None) -> None:
        """Set the rate in bytes per second; None for no limit."""
        self._rate = rate

    def step(self, most: int) -> int:
        """Return how many of `most` bytes to move at once."""
        rate = self._rate
        return most if rate is None else min(most, max(_LEAST_STEP, int(rate / _STEPS)))

    def take(self, count: int) -> None:
        """Wait until `count` more bytes fit into the rate; raise EINTR if the thread is cancelled meanwhile."""
        if self._rate is not None:
            self.wait_until(self.count(count, self.now()))

    def now(self) -> float:
        """Return the current moment, in seconds."""
        return self._clock()

    def count(self, count: int, began: float) -> float:
        """Count `count` more bytes, of which moving began at a moment; return the moment until when they fill the rate.

        For those who move bytes first and wait then, in several directions at once.
        """
        with self._lock:
            self._free = max(self._free, began - _BURST) + count / (self._rate or math.inf)
            return self._free

    def wait_until(self, moment: float) -> None:
        """Wait until a moment; raise EINTR if the thread is cancelled meanwhile."""
        pause = moment - self._clock()
        if pause > 0:
            self._wait(pause)


sending, receiving = Bandwidth(), Bandwidth()
"""The limits of this process for what it sends and receives, by any filesystem."""
