"""How many threads one round of small requests is worth: as many as wait for the service, no more than can compute.

Threads that wait for the network cost nothing. Threads that compute wait for one another, and where processors are idle
each hand-over wakes one of them, which can cost more than the request. Both show in one number: the part of its time
that a thread computes.
"""

from __future__ import annotations

import threading

__all__ = ["Pace"]

_AT_FIRST = 8
"""Threads before anything is known."""

_COMPUTING = 0.7
"""How many threads' worth of computing there shall be: below one, since one at a time computes."""

_MEMORY = 0.95
"""Weight of what was known before the newest item."""

_SLACK = 1.25
"""So many times more threads than wanted are left alone: ending and starting them costs something, too."""


class Pace:
    """Learns from every item how many threads the next ones want.

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
        """Threads that are worth having."""
        return self._wanted

    def too_many(self, threads: int) -> bool:
        """Return whether one of so many threads should end."""
        return threads > max(1.0, self._wanted * _SLACK)

    def note(self, took: float, computed: float) -> None:
        """Take one item into account.

        Parameters
        ----------
        took, computed : float
            Seconds by the clock, and of the processor.
        """
        with self._lock:
            self._took = self._took * _MEMORY + took
            self._computed = self._computed * _MEMORY + computed
            wanted = _COMPUTING * self._took / max(self._computed, 1e-9)
            self._wanted = max(1, min(self._most, int(wanted)))
