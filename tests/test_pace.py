"""The number of threads for small requests, by times that are given, not measured."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.concurrency import Pool
from cosv4fs.concurrency.limits import Pace

MILLISECOND = 0.001


def _settle(pace: Pace, threads: int, took: float, computed: float) -> int:
    for _ in range(100):
        pace.note(took, computed)
        threads = min(threads, pace.wanted) if pace.is_too_many(threads) else max(threads, pace.wanted)
    return threads


def test_starts_with_some_threads_and_never_more_than_allowed():
    assert Pace(32).wanted == 8
    assert Pace(3).wanted == 3


def test_a_far_service_gets_all_threads_after_one_item():
    pace = Pace(32)
    pace.note(30 * MILLISECOND, 0.4 * MILLISECOND)
    assert pace.wanted == 32


def test_threads_that_only_wait_for_the_interpreter_end_one_by_one():
    pace, threads = Pace(32), 8
    for _ in range(200):
        # each waits while the others compute
        pace.note(threads * 0.4 * MILLISECOND, 0.4 * MILLISECOND)
        threads -= pace.is_too_many(threads)
    assert threads == 1


def test_a_near_service_gets_as_many_threads_as_overlap():
    # 5 ms of waiting hide a dozen times 0.4 ms of computing
    assert 6 <= _settle(Pace(32), 8, 5.4 * MILLISECOND, 0.4 * MILLISECOND) <= 12


def test_old_measurements_lose_their_weight():
    pace = Pace(32)
    for _ in range(100):
        pace.note(0.5 * MILLISECOND, 0.4 * MILLISECOND)
    assert pace.wanted == 1
    for _ in range(100):
        pace.note(30 * MILLISECOND, 0.4 * MILLISECOND)
    assert pace.wanted == 32


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=50), st.integers(1, 64))
def test_always_keeps_a_thread(items, most):
    pace = Pace(most)
    for took, computed in items:
        pace.note(took, computed)
        assert 1 <= pace.wanted <= most
        assert not pace.is_too_many(1)


def test_calls_that_only_compute_share_one_thread():
    pool = Pool(16, "test-pace")
    pool.pace.note(1e6, 1e6)
    assert pool.map(lambda number: number, range(200)) == list(range(200))
    assert len(pool.threads.started) == 1


def test_calls_that_only_wait_get_all_threads():
    pool = Pool(16, "test-pace")
    pool.pace.note(1e6, 1.0)
    # broken, and so an error, unless all sixteen wait at the same time
    together = threading.Barrier(16, timeout=30)
    assert len(pool.map(lambda _: together.wait(), range(16))) == 16
