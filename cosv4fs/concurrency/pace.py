"""How many threads small requests are worth: as many as can wait for the service while others compute.

Threads that wait for the network cost nothing. Threads that compute wait for each other, and on idle processors every
hand-over wakes one of them, which can cost more than the request: 200 objects of 4 KiB from a service on the same
machine take up to 1.7 times as long with 32 threads. Both show in one number, the part of its time that a thread
computes.
"""

from __future__ import annotations

import threading

_AT_FIRST = 8
"""Threads before anything is measured."""

_COMPUTING = 0.7
"""The threads that should be computing on average: less than one, because only one computes at a time."""

_MEMORY = 0.95
"""Weight of earlier measurements at each new one."""

_SLACK = 1.25
"""Threads beyond this multiple of the wanted number end: ending and starting threads has a cost, too."""


class Pace:
    """The number of threads to use, adapted to how long calls take and compute.

    Parameters
    ----------
    most : int
        Threads at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._took = self._computed = 0.0
        self._wanted = min(_AT_FIRST, most)

    @property
    def wanted(self) -> int:
        """The number of threads to use now."""
        return self._wanted

    def is_too_many(self, threads: int) -> bool:
        """Return whether one of this number of threads should end."""
        return threads > max(1.0, self._wanted * _SLACK)

    def note(self, took: float, computed: float) -> None:
        """Take one call into account.

        Parameters
        ----------
        took, computed : float
            Its seconds by the clock, and of the processor.
        """
        with self._lock:
            self._took = self._took * _MEMORY + took
            self._computed = self._computed * _MEMORY + computed
            wanted = _COMPUTING * self._took / max(self._computed, 1e-9)
            self._wanted = max(1, min(self._most, int(wanted)))
