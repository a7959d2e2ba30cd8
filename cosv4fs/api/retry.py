"""When a request is retried: one policy, one loop.

The table in `cosv4fs.codes` says what may be retried; this module decides when, and how often.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cosv4fs.api.attempt import AttemptError
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError

T = TypeVar("T")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 20.0
_MOST_RESIGNED = 2
"""A server that refuses fresh signatures as used or expired again and again will accept none."""


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
        settle: Callable[[AttemptError], T | None] | None = None,
        on_failure: Callable[[AttemptError], None] | None = None,
    ) -> T:
        """Call `attempt` until it succeeds, cannot succeed, or time runs out.

        Parameters
        ----------
        attempt : callable
            Makes one request; returns its result, or raises `AttemptError`, or a `CosError` that no retry can help.
        settle : callable, optional
            Finds out whether a lost attempt had succeeded. Called once a reply was lost: before every retry, and when a
            later attempt fails for good. Returns the result of the lost attempt, or None to go on; raises `CosError`
            where that cannot be known. It may make a final failure retryable.
        on_failure : callable, optional
            Called with every retryable failure, before the pause.

        Raises
        ------
        AttemptError, CosError
            From the last attempt.
        """
        started, tries, resigned, was_lost = self.clock(), 0, 0, False
        while True:
            try:
                return attempt()
            except (AttemptError, CosError) as caught:
                failure = caught if isinstance(caught, AttemptError) else AttemptError(caught)
                try:
                    if failure.progressed:
                        started, tries = self.clock(), 0
                    resigned += failure.retry is Retry.RESIGN
                    pause = self._pause(failure, tries, resigned, self.clock() - started)
                    if pause is None and was_lost and settle is not None and failure.retry is not Retry.YES:
                        settled = settle(failure)
                        if settled is not None:
                            return settled
                        pause = self._pause(failure, tries, resigned, self.clock() - started)
                    if pause is None:
                        raise
                    was_lost = was_lost or failure.outcome_unknown
                    if on_failure is not None:
                        on_failure(failure)
                    self.sleep(pause)
                    # after the pause: as little as possible can happen between the answer and the retry
                    settled = settle(failure) if was_lost and settle is not None else None
                    if settled is not None:
                        return settled
                finally:
                    # the error refers to this frame
                    del failure
            tries += 1

    def _pause(self, failure: AttemptError, tries: int, resigned: int, elapsed: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is none."""
        if failure.retry is Retry.NO or tries >= self.retries or resigned > _MOST_RESIGNED:
            return None
        if failure.retry is Retry.RESIGN:
            return 0.0
        bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
        pause = self.uniform(0.0, bound)
        if failure.retry is Retry.BACK_OFF:
            pause = max(pause, failure.retry_after or bound / 2)
        elif failure.retry_after:
            pause = max(pause, failure.retry_after)
        return pause if elapsed + pause <= self.deadline else None
