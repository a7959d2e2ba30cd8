"""The server's clock, by the ``Date`` headers of its replies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from email.utils import parsedate_to_datetime

from cosv4fs.api.quirks import Quirks

BEIJING = timezone(timedelta(hours=8))
"""The zone of times that name none."""


class ServerClock:
    """The clock of this machine, corrected by how far the server's is ahead.

    Parameters
    ----------
    clock : callable
        Returns Unix seconds.
    quirks : Quirks
        Has the offset of the server's clock.
    """

    def __init__(self, clock: Callable[[], float], quirks: Quirks) -> None:
        self._clock, self._quirks = clock, quirks

    def now(self) -> float:
        """Return the server's Unix seconds, as far as is known."""
        return self._clock() + self._quirks.clock_offset

    def difference(self, date: str | None) -> float | None:
        """Return by how many seconds a ``Date`` header is ahead of this machine's clock; None when it is no date."""
        server = header_seconds(date)
        return None if server is None else server - self._clock()

    def adopt(self, date: str | None, least: float = 1.0) -> bool:
        """Follow the server's clock from now on; return whether the offset changes.

        Parameters
        ----------
        date : str or None
            The ``Date`` header of a reply.
        least : float
            Smaller differences are ignored, in seconds.
        """
        offset = self.difference(date)
        if offset is None or abs(offset - self._quirks.clock_offset) <= least:
            return False
        self._quirks.learn(clock_offset=offset if abs(offset) > least else 0.0)
        return True


def header_seconds(date: str | None) -> float | None:
    """Return the Unix seconds of a Date header; None when it is absent or no date."""
    try:
        said = parsedate_to_datetime(date or "")
        # a date without a zone is Beijing time: vendor page 004 pairs "20:46:40" with t = 12:46:40 UTC
        return (said if said.tzinfo else said.replace(tzinfo=BEIJING)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
