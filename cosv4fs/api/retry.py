"""When a request is retried: one policy, one loop.

What may be retried stands in the table of `cosv4fs.codes`; this module only decides when and how often.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cosv4fs.codes import Retry
from cosv4fs.errors import CosError

__all__ = ["RetryPolicy"]

T = TypeVar("T")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 20.0
_MOST_RESIGNED = 2
"""A fresh signature that is refused as used or expired again and again will never be taken."""


@dataclass(frozen=True)
class RetryPolicy:
    """Full jitter (a random pause up to a bound that doubles), a number of retries, and a total deadline.

    Parameters
    ----------
    retries : int
        How often a request is retried without any progress.
    deadline : float
        Seconds since the start, or since the last progress, after which no further attempt starts.
    clock, sleep, uniform : callables
        Replaceable for tests.
    """

    retries: int = 5
    deadline: float = 120.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def run(
        self,
        attempt: Callable[[], T],
        settle: Callable[[CosError], T | None] | None = None,
        on_error: Callable[[CosError], None] | None = None,
    ) -> T:
        """Call `attempt` until it succeeds, cannot succeed, or time runs out.

        Parameters
        ----------
        attempt : callable
            Makes one request and returns its result or raises `CosError`.
        settle : callable, optional
            Called with the error once a reply was lost: before every repetition, and when a later attempt fails for
            good. Returns the result when a lost attempt had succeeded; None to send the request again, or to raise the
            error that is final. Raises where neither can be known.
        on_error : callable, optional
            Told of every retryable error before the pause.

        Raises
        ------
        CosError
            The last error.
        """
        started, tries, resigned, doubtful = self.clock(), 0, 0, False
        while True:
            try:
                return attempt()
            except CosError as error:
                if error.progressed:
                    started, tries = self.clock(), 0
                resigned += error.retry is Retry.RESIGN
                pause = self._pause(error, tries, self.clock() - started)
                if pause is None or resigned > _MOST_RESIGNED:
                    settled = settle(error) if doubtful and settle and error.retry is not Retry.YES else None
                    if settled is None:
                        raise
                    return settled
                doubtful = doubtful or error.doubtful
                if on_error is not None:
                    on_error(error)
                self.sleep(pause)
                # asked after the pause: as little as possible can happen between the answer and the repetition
                settled = settle(error) if doubtful and settle else None
                if settled is not None:
                    return settled
            tries += 1

    def _pause(self, error: CosError, tries: int, elapsed: float) -> float | None:
        if error.retry in (Retry.NO, Retry.SESSION) or tries >= self.retries:
            return None
        if error.retry is Retry.RESIGN:
            return 0.0
        bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
        pause = self.uniform(0.0, bound)
        if error.retry is Retry.BACK_OFF:
            pause = max(pause, error.retry_after or bound / 2)
        elif error.retry_after:
            pause = max(pause, error.retry_after)
        return pause if elapsed + pause <= self.deadline else None
