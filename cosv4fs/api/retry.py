"""Retries: failed attempts, when there is another one, and errors for requests whose outcome stays unknown.

Whoever makes an `AttemptError` says whether the request may be retried: for codes by the tables in `cosv4fs.codes` and
`cosv4fs.api.cdcs.errors`, for HTTP statuses in `cosv4fs.api.responses`, for connections in
`cosv4fs.api.connection_errors`. `RetryPolicy` decides when, and how long. The ``settle`` function of an operation finds
out what a lost reply means. `AttemptError` never leaves `cosv4fs.api.client.Client`: callers of a client get the error
in it.

Other clients may act between a request and its retry. A deletion or a move is repeated only if what is there now is
provably what was there before the first attempt. Times alone prove nothing, because a move keeps those of its source.
Size, SHA-1 and times together do, if they are older than the first attempt: the service counts whole seconds, so a
version of the same second looks the same.
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from cosv4fs.codes import Retry
from cosv4fs.errors import (
    CosError,
    CosInterruptedError,
    CosPossiblyCreatedError,
    CosPossiblyMovedError,
    make_error,
    with_origin,
)

T = TypeVar("T")

_log = logging.getLogger("cosv4fs")

OnFailure: TypeAlias = "Callable[[AttemptError, int, float], None]"
"""Takes a failure, the number of the retry that follows it, and the seconds until then."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
"""Seconds: the longest pause, and so what an outage costs at most beyond its end."""

_LONGEST_BACK_OFF = 20.0
"""Seconds, where the service asks for fewer requests."""

FIRST_CONTACT = 10.0
"""Seconds of retries with a host that has never answered: its name is probably wrong, but it may be starting."""

_MOST_RESIGNED = 2
"""A server that refuses fresh signatures as used or expired again and again will accept none."""

_TOLERANCE = 2.0
"""Seconds by which times in replies may be off: they are whole seconds, from several machines."""


@dataclass(frozen=True)
class Outage:
    """A host that does not answer.

    Parameters
    ----------
    age : float
        Seconds since the first failure without an answer.
    was_reached : bool
        Whether the host has answered a request of this client before.
    is_news : bool
        Whether to log a warning, once per outage: at the first failure of a host that has never answered, else later.
    """

    age: float
    was_reached: bool
    is_news: bool = False


class AttemptError(Exception):
    """An attempt that failed, with the error that the caller of the client gets when there is no further attempt.

    With `outcome_unknown`, the server may have carried out the request: the reply was lost, was a page with a status of
    5xx, or has a code of which the table says so (`Code.may_have_acted`). The server wants `retry_after` seconds to
    pass; `server_date` is the ``Date`` header of its reply. `outage` is there if the host did not answer at all.
    """

    progressed = False
    """Whether the attempt brought the operation forward, so that retries are counted from here."""

    retries = 0
    """The retries before this attempt, without any progress; set by `RetryPolicy`."""

    waited = 0.0
    """Seconds of the operation until this attempt had failed, counted as `retries`."""

    def __init__(
        self,
        error: CosError,
        retry: Retry = Retry.NO,
        *,
        outcome_unknown: bool = False,
        retry_after: float | None = None,
        server_date: str | None = None,
        outage: Outage | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry
        self.outcome_unknown = outcome_unknown
        self.retry_after, self.server_date = retry_after, server_date
        self.outage = outage

    @property
    def retry(self) -> Retry:
        """Whether, and how, the request may be retried; `CosError.is_transient` tells callers of a client the same."""
        return self._retry

    @retry.setter
    def retry(self, retry: Retry) -> None:
        self._retry = retry
        self.error.is_transient = self.error.is_transient or retry in (Retry.YES, Retry.BACK_OFF)

    @property
    def is_final(self) -> bool:
        """Whether no retry can help."""
        return self.retry is Retry.NO


@dataclass(frozen=True)
class RetryPolicy:
    """Full jitter (a random pause up to a bound that doubles), until a deadline or after a number of retries.

    A deadline alone covers a service that is away for some seconds: a number of attempts is used up within them.

    Parameters
    ----------
    retries : int, optional
        How often a request is retried without any progress; None: until the deadline.
    deadline : float
        Seconds since the start, or since the last progress, after which no further attempt starts. While a host does
        not answer, they count from the first request that it did not answer, so that the requests after it do not all
        wait as long; and they are `FIRST_CONTACT` at most for a host that has never answered.
    clock, sleep, uniform : callables
        Replaceable for tests.
    """

    retries: int | None = None
    deadline: float = 120.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def run(
        self,
        attempt: Callable[[], T],
        settle: Callable[[AttemptError], T | None] | None = None,
        on_failure: OnFailure | None = None,
    ) -> T:
        """Call `attempt` until it succeeds, cannot succeed, or time runs out; then raise its last error.

        `attempt` makes one request; it raises `AttemptError`, or a `CosError` that no retry can help. `on_failure` is
        called with every retryable failure, before the pause.

        `settle` finds out whether a lost attempt had succeeded. It is called once a reply was lost: before every retry,
        and when a later attempt fails for good. It returns the result of the lost attempt, or None to go on; raises
        `CosError` where that cannot be known; and may make a final failure retryable.
        """
        attempts = _Attempts(self, settle, on_failure)
        while True:
            try:
                return attempt()
            except (AttemptError, CosError) as caught:
                # no variable of this frame keeps the error: with its traceback it would be a cycle, full of buffers
                decision = attempts.after(caught if isinstance(caught, AttemptError) else AttemptError(caught))
                if decision.result is not None:
                    return decision.result
                if not decision.retries:
                    raise
            attempts.count += 1

    def retried(self, failure: AttemptError) -> str:
        """Return how long, or how often, a failure was retried in vain, with the limit that ended it; else nothing."""
        if failure.retries == 0 or failure.retry not in (Retry.YES, Retry.BACK_OFF):
            return ""
        if self.retries is not None and failure.retries >= self.retries:
            return f"retried {failure.retries} {'time' if failure.retries == 1 else 'times'} (max_retries)"
        is_unknown = failure.outage is not None and not failure.outage.was_reached and self.deadline > FIRST_CONTACT
        limit = ", the limit for a host that has never answered" if is_unknown else " (retry_deadline)"
        return f"retried for {round(failure.waited, None if failure.waited >= 1 else 1)} seconds{limit}"


@dataclass(frozen=True)
class _Decision(Generic[T]):
    """What follows a failed attempt: the result of a lost one, another attempt, or with neither the failure."""

    result: T | None = None
    retries: bool = False


class _Attempts(Generic[T]):
    """The failed attempts of one operation so far; see `RetryPolicy.run`."""

    def __init__(
        self,
        policy: RetryPolicy,
        settle: Callable[[AttemptError], T | None] | None,
        on_failure: OnFailure | None,
    ) -> None:
        self._policy, self._settle, self._on_failure = policy, settle, on_failure
        self._started, self._resigned = policy.clock(), 0
        self._was_lost = False
        self.count = 0

    def after(self, failure: AttemptError) -> _Decision[T]:
        """Decide what follows a failed attempt; wait before the next one if there is one."""
        if failure.progressed:
            self._started, self.count = self._policy.clock(), 0
        self._resigned += failure.retry is Retry.RESIGN
        failure.retries, failure.waited = self.count, self._policy.clock() - self._started
        pause = self._pause(failure)
        # a service that is away does not tell what became of a lost attempt, either
        if pause is None and failure.retry is not Retry.YES:
            result = self._settled(failure)
            if result is not None:
                return _Decision(result)
            # it may have made the failure retryable
            pause = self._pause(failure)
        if pause is None:
            return _Decision()
        self._was_lost = self._was_lost or failure.outcome_unknown
        if self._on_failure is not None:
            self._on_failure(failure, self.count + 1, pause)
        self._policy.sleep(pause)
        # after the pause: as little as possible can happen between the answer and the retry
        return _Decision(self._settled(failure), retries=True)

    def _settled(self, failure: AttemptError) -> T | None:
        if not self._was_lost or self._settle is None:
            return None
        result = self._settle(failure)
        if result is not None:
            _log.info("%r: the reply was lost, but the request had succeeded", failure.error.filename)
        return result

    def _pause(self, failure: AttemptError) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is none."""
        policy = self._policy
        is_used_up = policy.retries is not None and self.count >= policy.retries
        if failure.is_final or is_used_up or self._resigned > _MOST_RESIGNED:
            return None
        if failure.retry is Retry.RESIGN:
            return 0.0
        backs_off = failure.retry is Retry.BACK_OFF
        # beyond the 32nd doubling a float would overflow
        bound = min(_LONGEST_BACK_OFF if backs_off else _LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self.count, 32))
        least = failure.retry_after or (bound / 2 if backs_off else 0.0)
        left = self._seconds_left(failure)
        if left <= 0 or (failure.retry_after or 0.0) > left:
            return None
        # the last attempt is made at the deadline
        return min(max(policy.uniform(0.0, bound), least), left)

    def _seconds_left(self, failure: AttemptError) -> float:
        """Return the seconds until no further attempt starts."""
        passed, deadline = self._policy.clock() - self._started, self._policy.deadline
        outage = failure.outage
        if outage is not None:
            passed = max(passed, outage.age)
            deadline = deadline if outage.was_reached else min(deadline, FIRST_CONTACT)
        return deadline - passed


def is_older(seconds: int, moment: float | None) -> bool:
    """Return whether a time of the service is certainly before a moment; False if either is unknown."""
    return moment is not None and 0 < seconds < moment - _TOLERANCE


@contextmanager
def checking(failure: AttemptError) -> Iterator[None]:
    """Report the request whose reply was lost, by `outcome_unknown_error`, if its outcome cannot be checked."""
    try:
        yield
    except CosInterruptedError:
        raise
    except CosError as error:
        raise outcome_unknown_error(failure, f"its outcome could not be checked ({error.strerror})") from error


def outcome_unknown_error(failure: AttemptError, text: str) -> CosError:
    """Return the error for a request that may have been carried out; `text` says what is not known, and what to do."""
    error = failure.error
    number = error.errno or errno.EIO
    # a signature that was used up does not mean that access is denied, and nothing is known about the path
    if failure.retry is Retry.RESIGN or number in (errno.ENOENT, errno.EEXIST):
        number = errno.EIO
    return make_error(number, f"{error.strerror}; {text}", error.filename, error)


def possibly_own_error(failure: AttemptError) -> CosPossiblyCreatedError:
    """Return the error for a name that is taken, perhaps by the attempt whose reply was lost."""
    text = "the reply to an earlier attempt was lost, so this may be its own work: check whether another client uses it"
    text = f"{failure.error.strerror}; {text}"
    return with_origin(CosPossiblyCreatedError(errno.EEXIST, text, failure.error.filename), failure.error)


def possibly_gone_error(failure: AttemptError, text: str) -> CosPossiblyMovedError:
    """Return the error for a path where nothing is after a lost reply to a move."""
    text = f"the reply was lost, there is nothing here now, {text}"
    error = with_origin(CosPossiblyMovedError(errno.ENOENT, text, failure.error.filename), failure.error)
    # nothing is left that could be moved later
    error.is_transient = False
    return error
