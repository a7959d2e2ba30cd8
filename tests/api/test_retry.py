"""When a request is retried: the policy alone, without requests."""

import errno
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.api.retry import FIRST_CONTACT, AttemptError, Outage, RetryPolicy
from cosv4fs.codes import Retry
from cosv4fs.errors import make_error
from tests.support import Clock


def failure(retry=Retry.YES, *, progressed=False, **known):
    made = AttemptError(make_error(errno.EIO, "failed", "bucket/x"), retry, **known)
    made.progressed = progressed
    return made


class Script:
    """Fails with the given errors, then succeeds; records the pauses."""

    def __init__(self, *errors, retries=5, deadline=120.0, uniform=max, takes=0.0):
        self.clock = Clock(1000.0)
        self.errors = list(errors)
        self.attempts = 0
        self.reported = []
        self.takes = takes
        self.policy = RetryPolicy(retries, deadline, self.clock, self.clock.sleep, uniform)

    def attempt(self):
        self.attempts += 1
        self.clock.now += self.takes
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, settle=None):
        return self.policy.run(self.attempt, settle, self._report)

    def _report(self, failure, number, pause):
        assert number >= 1
        assert pause >= 0
        self.reported.append(failure)

    @property
    def pauses(self):
        return self.clock.slept


def test_success_needs_no_pause():
    script = Script()
    assert script.run() == "done"
    assert (script.attempts, script.pauses, script.reported) == (1, [], [])


def test_the_bound_doubles_up_to_the_longest():
    script = Script(*[failure() for _ in range(10)], retries=10, deadline=1e9)
    assert script.run() == "done"
    assert script.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0, 5.0]


def test_full_jitter_uses_the_whole_width():
    asked = []

    def uniform(low, high):
        asked.append((low, high))
        return low

    script = Script(failure(), failure(), uniform=uniform)
    script.run()
    assert asked == [(0.0, 0.2), (0.0, 0.4)]
    assert script.pauses == [0.0, 0.0]


@given(st.integers(0, 8), st.floats(0, 1))
def test_pauses_of_the_real_policy_stay_in_bounds(failures, fraction):
    script = Script(
        *[failure() for _ in range(failures)], retries=8, uniform=lambda low, high: low + (high - low) * fraction
    )
    assert script.run() == "done"
    assert all(0 <= pause <= 0.2 * 2**index for index, pause in enumerate(script.pauses))


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_number_of_retries(retries):
    last = failure()
    script = Script(*[failure() for _ in range(retries)], last, retries=retries)
    with pytest.raises(AttemptError, match="failed") as caught:
        script.run()
    assert caught.value is last
    assert script.attempts == retries + 1
    assert len(script.reported) == retries


def test_no_attempt_starts_after_the_deadline():
    script = Script(*[failure() for _ in range(1000)], retries=1000, deadline=30, takes=7)
    with pytest.raises(AttemptError, match="failed"):
        script.run()
    # 7, 14.2, 21.6, 29.4: the fifth begins at the deadline, and is the last
    assert script.attempts == 5
    assert script.clock.now - script.takes - 1000 == pytest.approx(30)


@pytest.mark.parametrize("seconds", [1, 3, 8, 60, 119])
@pytest.mark.parametrize("retry", [Retry.YES, Retry.BACK_OFF])
def test_a_service_may_be_away_until_the_deadline(seconds, retry):
    """However the pauses fall: a number of attempts would be used up."""
    for seed in range(20):
        script = Script(retries=None, uniform=random.Random(seed).uniform)

        def attempt(script=script):
            if script.clock.now < 1000.0 + seconds:
                raise failure(retry)
            return "done"

        assert script.policy.run(attempt) == "done"
        assert script.clock.now - 1000 < seconds + 20


def test_the_default_ends_at_the_deadline():
    script = Script(*[failure() for _ in range(1000)], retries=None)
    with pytest.raises(AttemptError, match="failed"):
        script.run()
    assert script.clock.now == 1120.0
    assert script.attempts < 40


class TestOutages:
    @staticmethod
    def attempts_of(*outages, **options):
        script = Script(*[failure(outage=Outage(*outage)) for outage in outages], **options)
        with pytest.raises(AttemptError, match="failed"):
            script.run()
        return script

    def test_a_host_that_never_answered(self):
        script = self.attempts_of(*[(0.0, False)] * 1000, retries=None)
        assert script.clock.now - 1000 == FIRST_CONTACT

    def test_a_shorter_deadline_counts(self):
        assert self.attempts_of(*[(0.0, False)] * 1000, retries=None, deadline=4.0).clock.now == 1004.0

    def test_requests_after_a_long_outage_do_not_wait_again(self):
        assert self.attempts_of((121.0, True), retries=None).attempts == 1

    def test_what_is_left_of_an_outage(self):
        script = self.attempts_of((119.9, True), (120.0, True), retries=None)
        assert script.pauses == [pytest.approx(0.1)]

    def test_another_failure_is_not_its_end(self):
        script = Script(failure(outage=Outage(0.1, was_reached=True)), failure(), retries=None)
        assert script.run() == "done"


def test_a_pause_over_the_deadline_is_not_waited_for():
    script = Script(failure(retry_after=60), deadline=30)
    with pytest.raises(AttemptError, match="failed"):
        script.run()
    assert script.pauses == []


def test_progress_starts_the_count_and_the_clock_anew():
    errors = [failure(progressed=True) for _ in range(50)]
    script = Script(*errors, retries=1, deadline=10, takes=9)
    assert script.run() == "done"
    assert script.attempts == 51
    assert set(script.pauses) == {0.2}


def test_progress_does_not_excuse_what_comes_after():
    script = Script(failure(progressed=True), failure(), failure(), retries=2)
    with pytest.raises(AttemptError, match="failed"):
        script.run()
    assert script.attempts == 3


def test_retry_after_is_the_least_pause():
    script = Script(failure(retry_after=9.0), failure(retry_after=0.1))
    script.run()
    assert script.pauses == [9.0, 0.4]


def test_backing_off_never_comes_at_once():
    script = Script(failure(Retry.BACK_OFF), failure(Retry.BACK_OFF, retry_after=5.0), uniform=min)
    script.run()
    assert script.pauses == [0.1, 5.0]


@pytest.mark.parametrize("error", [failure(Retry.NO), make_error(errno.EBADMSG, "failed", "bucket/x")])
def test_what_no_retry_helps(error):
    script = Script(error)
    with pytest.raises((AttemptError, OSError), match="failed"):
        script.run()
    assert (script.attempts, script.reported) == (1, [])


class TestSigningAfresh:
    def test_at_once_and_twice_at_most(self):
        script = Script(failure(Retry.RESIGN), failure(Retry.RESIGN))
        assert script.run() == "done"
        assert script.pauses == [0.0, 0.0]
        assert [error.retry for error in script.reported] == [Retry.RESIGN] * 2
        with pytest.raises(AttemptError, match="failed"):
            Script(*[failure(Retry.RESIGN) for _ in range(3)]).run()

    def test_after_other_failures(self):
        script = Script(failure(), failure(), failure(), failure(Retry.RESIGN))
        assert script.run() == "done"
        assert script.pauses[-1] == 0.0

    def test_not_without_retries(self):
        with pytest.raises(AttemptError, match="failed"):
            Script(failure(Retry.RESIGN), retries=0).run()


class TestSettling:
    def test_only_after_a_lost_reply(self):
        refused = failure(Retry.NO)
        with pytest.raises(AttemptError, match="failed") as caught:
            Script(failure(), refused).run(settle=lambda _: "settled")
        assert caught.value is refused

    def test_before_the_repetition(self):
        script = Script(failure(outcome_unknown=True))
        paused = []
        assert script.run(settle=lambda _: paused.append(list(script.pauses)) or "settled") == "settled"
        assert (script.attempts, paused) == (1, [[0.2]])

    def test_what_was_not_done_is_repeated(self):
        asked = []
        script = Script(failure(outcome_unknown=True), failure(), failure(Retry.BACK_OFF))
        assert script.run(settle=lambda error: asked.append(error.retry)) == "done"
        assert (script.attempts, asked) == (4, [Retry.YES, Retry.YES, Retry.BACK_OFF])

    def test_what_cannot_be_known_is_raised(self):
        def settle(error):
            raise make_error(errno.ETIMEDOUT, "the outcome is unknown", "bucket/x")

        script = Script(failure(outcome_unknown=True))
        with pytest.raises(TimeoutError, match="the outcome is unknown"):
            script.run(settle)
        assert script.attempts == 1

    def test_never_at_the_lost_attempt_itself(self):
        script = Script(failure(Retry.NO, outcome_unknown=True))
        with pytest.raises(AttemptError, match="failed"):
            script.run(settle=lambda _: "settled")

    def test_an_error_that_is_final(self):
        script = Script(failure(outcome_unknown=True), failure(), failure(Retry.NO))
        assert script.run(settle=lambda error: "settled" if error.is_final else None) == "settled"
        assert script.attempts == 3

    def test_an_error_that_it_makes_retryable(self):
        def settle(failed):
            failed.retry = Retry.BACK_OFF

        script = Script(failure(outcome_unknown=True), failure(Retry.NO))
        assert script.run(settle) == "done"
        assert script.attempts == 3
        assert len(script.pauses) == 2

    def test_a_real_error_is_raised(self):
        refused = failure(Retry.NO)
        with pytest.raises(AttemptError, match="failed") as caught:
            Script(failure(outcome_unknown=True), refused).run(settle=lambda _: None)
        assert caught.value is refused


def test_other_exceptions_pass_through():
    def attempt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RetryPolicy().run(attempt)
