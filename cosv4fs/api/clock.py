"""The server's clock, as far as the ``Date`` headers of its replies tell it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from email.utils import parsedate_to_datetime

__all__ = ["BEIJING", "ServerClock", "header_seconds"]

BEIJING = timezone(timedelta(hours=8))
"""The zone of times that name none."""


class ServerClock:
    """The clock of this machine, corrected by how far the server's is ahead.

    Parameters
    ----------
    clock : callable
        Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.skew = 0.0

    def now(self) -> float:
        """Return the server's Unix seconds, as far as is known."""
        return self._clock() + self.skew

    def difference(self, date: str | None) -> float | None:
        """Return by how many seconds a ``Date`` header is ahead of this machine's clock; None when it is no date."""
        server = header_seconds(date)
        return None if server is None else server - self._clock()

    def adopt(self, date: str | None, least: float = 1.0) -> bool:
        """Follow the server's clock from now on; return whether that changes anything.

        Parameters
        ----------
        date : str or None
            The ``Date`` header of a reply.
        least : float
            Differences of up to so many seconds are none.
        """
        skew = self.difference(date)
        if skew is None or abs(skew - self.skew) <= least:
            return False
        self.skew = skew if abs(skew) > least else 0.0
        return True


def header_seconds(date: str | None) -> float | None:
    """Return the Unix seconds of a Date header; None when it is absent or no date."""
    try:
        said = parsedate_to_datetime(date or "")
        # a date without a zone is Beijing time: vendor page 004 pairs "20:46:40" with t = 12:46:40 UTC
        return (said if said.tzinfo else said.replace(tzinfo=BEIJING)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
