"""When a request is retried: one policy, one loop.

The table in `cosv4fs.codes` says what may be retried; this module decides when, and how often.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
        attempts = _Attempts(self, settle, on_failure)
        while True:
            try:
                return attempt()
            except (AttemptError, CosError) as caught:
                # no variable of this frame keeps the error: with its traceback it would be a cycle, full of buffers
                result = attempts.after(caught if isinstance(caught, AttemptError) else AttemptError(caught))
                if result is not None:
                    return result
                if not attempts.may_retry:
                    raise
            attempts.count += 1

    def pause(self, failure: AttemptError, tries: int, elapsed: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is none."""
        if failure.retry is Retry.NO or tries >= self.retries:
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


class _Attempts(Generic[T]):
    """The failed attempts of one operation so far.

    Parameters
    ----------
    policy : RetryPolicy
        Decides about pauses.
    settle, on_failure : callable or None
        See `RetryPolicy.run`.

    Attributes
    ----------
    count : int
        Failed attempts since the last progress.
    may_retry : bool
        Whether another attempt follows the last one.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        settle: Callable[[AttemptError], T | None] | None,
        on_failure: Callable[[AttemptError], None] | None,
    ) -> None:
        self._policy, self._settle, self._on_failure = policy, settle, on_failure
        self._started, self._resigned = policy.clock(), 0
        self._was_lost = False
        self.count = 0
        self.may_retry = True

    def after(self, failure: AttemptError) -> T | None:
        """Wait before the next attempt if there is one; return the result of a lost attempt that had succeeded."""
        if failure.progressed:
            self._started, self.count = self._policy.clock(), 0
        self._resigned += failure.retry is Retry.RESIGN
        pause = self._pause(failure)
        if pause is None and failure.retry is not Retry.YES:
            result = self._settled(failure)
            if result is not None:
                return result
            pause = self._pause(failure)
        self.may_retry = pause is not None
        if pause is None:
            return None
        self._was_lost = self._was_lost or failure.outcome_unknown
        if self._on_failure is not None:
            self._on_failure(failure)
        self._policy.sleep(pause)
        # after the pause: as little as possible can happen between the answer and the retry
        return self._settled(failure)

    def _settled(self, failure: AttemptError) -> T | None:
        return self._settle(failure) if self._was_lost and self._settle is not None else None

    def _pause(self, failure: AttemptError) -> float | None:
        if self._resigned > _MOST_RESIGNED:
            return None
        return self._policy.pause(failure, self.count, self._policy.clock() - self._started)
