"""Read-ahead: the right bytes for any way of reading, several ranges at once, little memory."""

import errno
import hashlib
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.concurrency import Pool, Task
from cosv4fs.transfer import readahead
from cosv4fs.transfer.hashing import ReadHash
from cosv4fs.transfer.readahead import ReadAhead
from tests.support import content

BLOCK = 100
DATA = content(2345)
POOL = Pool(4, "test")


class Remote:
    """Bytes that come from somewhere; remembers what was asked for."""

    def __init__(self, data=DATA, pool=POOL, block=BLOCK):
        self.data = data
        self.asked = []
        self.fails = lambda start: False
        self.cache = ReadAhead(block, self.fetch, self.fill, len(data), pool)

    def fetch(self, start, stop):
        memory = bytearray(stop - start)
        self.fill(start, memoryview(memory))
        return bytes(memory)

    def fill(self, start, view):
        self.asked.append((start, start + len(view)))
        if self.fails(start):
            raise OSError(errno.EIO, "broken")
        view[:] = self.data[start : start + len(view)]

    def held(self):
        return sum(piece.stop - piece.start for piece in self.cache._ranges)


@pytest.fixture(autouse=True)
def small_least(monkeypatch):
    monkeypatch.setattr(readahead, "_LEAST", 30)


READS = st.lists(st.tuples(st.integers(0, len(DATA) + 20), st.integers(0, 700)), max_size=15)


@given(READS, st.sampled_from([10, BLOCK, 1000, 5000]))
@settings(deadline=None)
def test_any_reads_give_the_bytes(reads, block):
    remote = Remote(block=block)
    for start, length in reads:
        assert remote.cache._fetch(start, start + length) == DATA[start : start + length]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, len(DATA)), st.integers(1, 300)), max_size=25))
@settings(deadline=None)
def test_any_mixture_of_reading_on_and_jumping(steps):
    remote, position = Remote(), 0
    for jump, target, length in steps:
        position = target if jump else position
        assert remote.cache._fetch(position, position + length) == DATA[position : position + length]
        position = min(position + length, len(DATA))
        # a window ahead, or half of it left by jumps, and what was asked for last
        assert remote.held() <= POOL.most * BLOCK * 2 + length + BLOCK


def test_in_order_every_byte_is_fetched_once():
    remote = Remote()
    got = b"".join(remote.cache._fetch(start, start + 70) for start in range(0, len(DATA), 70))
    assert got == DATA
    assert sorted(remote.asked) == [(start, min(start + BLOCK, len(DATA))) for start in range(0, len(DATA), BLOCK)]


def test_a_large_read_opens_the_whole_window_and_small_ones_do_by_and_by(monkeypatch):
    monkeypatch.setattr(readahead, "_BULK", 50)
    small, large = Remote(pool=Pool(4, "test")), Remote(pool=Pool(4, "test"))
    small.cache._fetch(0, 49)
    large.cache._fetch(0, 50)
    assert small.held() == 2 * BLOCK
    assert large.held() == POOL.most * BLOCK


def test_the_window_can_be_smaller_than_the_pool(monkeypatch):
    monkeypatch.setattr(readahead, "_BULK", 50)
    remote = Remote(pool=Pool(4, "test"))
    cache = ReadAhead(BLOCK, remote.fetch, remote.fill, len(DATA), Pool(4, "test"), most=2)
    cache._fetch(0, 50)
    assert [each.start for each in cache._ranges] == [0, BLOCK]


def test_reading_may_begin_anywhere():
    remote = Remote()
    cache = ReadAhead(BLOCK, remote.fetch, remote.fill, len(DATA), POOL, position=BLOCK)
    assert cache._fetch(BLOCK, BLOCK + 10) == DATA[BLOCK : BLOCK + 10]
    assert min(remote.asked)[0] == BLOCK
    assert len(cache._ranges) == 2


def test_a_small_object_comes_whole():
    remote = Remote(DATA[:BLOCK])
    assert remote.cache._fetch(50, 60) == DATA[50:60]
    assert remote.cache._fetch(0, 10) == DATA[:10]
    assert remote.asked == [(0, BLOCK)]
    # without a copy
    assert remote.cache._fetch(0, BLOCK) is remote.cache._fetch(0, BLOCK)


def test_memory_is_used_again_after_closing(monkeypatch):
    monkeypatch.setattr("cosv4fs.concurrency.buffers._REUSE_FROM", 1)
    pool = Pool(2, "test")
    remote = Remote(pool=pool)
    remote.cache._fetch(0, 10)
    held = [piece.memory for piece in remote.cache._ranges]
    remote.cache.close()
    again = [pool.buffers.borrow(BLOCK) for _ in held]
    assert len(held) == 2
    assert {id(memory) for memory in again} == {id(memory) for memory in held}


def test_nothing_is_fetched_for_nothing():
    remote = Remote()
    assert remote.cache._fetch(10, 10) == remote.cache._fetch(len(DATA), len(DATA) + 5) == b""
    assert remote.asked == []


def test_none_means_the_ends():
    remote = Remote()
    assert remote.cache._fetch(None, None) == DATA


def test_jumping_fetches_little_more_than_is_read():
    remote = Remote()
    for start in (2000, 1000, 1500, 300):
        assert remote.cache._fetch(start, start + 5) == DATA[start : start + 5]
    assert sum(stop - start for start, stop in remote.asked) <= 4 * 30


def test_reading_on_overlaps_with_fetching():
    pool = Pool(4, "test")
    barrier = threading.Barrier(3, timeout=30)

    class Slow(Remote):
        def fill(self, start, view):
            super().fill(start, view)
            if 200 <= start < 500:
                barrier.wait()  # passes only when three ranges are in flight at once

    remote = Slow(pool=pool)
    assert b"".join(remote.cache._fetch(start, start + BLOCK) for start in range(0, 1000, BLOCK)) == DATA[:1000]


def test_a_reader_never_waits_for_a_permit():
    pool = Pool(1, "test")
    release = threading.Event()
    held = pool.submit(Task(release.wait))
    remote = Remote(pool=pool)
    assert remote.cache._fetch(0, 500) == DATA[:500]
    release.set()
    held.wait()


class TestFailures:
    def test_is_raised_and_can_be_tried_again(self):
        remote, failing = Remote(), [0]
        remote.fails = lambda start: start in failing
        with pytest.raises(OSError, match="broken"):
            remote.cache._fetch(0, 50)
        failing.clear()
        assert remote.cache._fetch(0, 50) == DATA[:50]

    def test_failures_of_several_ranges_are_discarded_together(self):
        remote, failing = Remote(pool=Pool(4, "test")), [0, 100, 200, 300, 400]

        def others_are_done():
            return sum(piece.done.is_done for piece in remote.cache._ranges if piece.start in failing[1:]) == 4

        def fails(start):
            # the reader waits for the first, which is the last to fail
            patience = time.monotonic() + 30
            while start == 0 and failing and not others_are_done() and time.monotonic() < patience:
                time.sleep(0.001)
            return start in failing

        remote.fails = fails
        with pytest.raises(OSError, match="broken"):
            remote.cache._fetch(0, 500)
        failing.clear()
        assert remote.cache._fetch(0, 500) == DATA[:500]

    def test_nothing_is_fetched_ahead_of_it(self, monkeypatch):
        monkeypatch.setattr(readahead, "_BULK", 1)
        remote, started = Remote(pool=Pool(4, "test")), []
        remote.fails = lambda start: True
        start = remote.cache._start
        monkeypatch.setattr(remote.cache, "_start", lambda wanted, wait: started.append(wait) or start(wanted, wait))
        with pytest.raises(OSError, match="broken"):
            remote.cache._fetch(0, len(DATA))
        assert all(started)
        assert len(started) <= 5

    def test_a_failure_ahead_disturbs_nobody_before_it(self):
        remote = Remote()
        assert remote.cache._fetch(0, 50) == DATA[:50]
        for segment in remote.cache._ranges:
            segment.done.wait()
        remote.fails = lambda start: True
        assert remote.cache._fetch(50, 90) == DATA[50:90]


def test_memory_that_was_given_back_is_not_read_any_more():
    pool = Pool(2, "test")
    first, second = Remote(pool=pool), Remote(DATA[::-1], pool=pool)
    for start in range(0, 2000, 35):
        assert first.cache._fetch(start, start + 35) == DATA[start : start + 35]
        assert second.cache._fetch(start, start + 35) == DATA[::-1][start : start + 35]


def test_memory_is_not_used_again_before_it_is_hashed(monkeypatch):
    monkeypatch.setattr("cosv4fs.concurrency.buffers._REUSE_FROM", 1)
    # as if another thread took its time
    monkeypatch.setattr(ReadHash, "_go_on", lambda _: None)
    remote = Remote(pool=Pool(2, "test"))
    remote.cache._hash = read_hash = ReadHash(len(DATA), remote.cache._pool)
    for start in range(0, len(DATA), 35):
        remote.cache._fetch(start, start + 35)
    assert read_hash.hexdigest() == hashlib.sha1(DATA).hexdigest()


def test_memory_is_given_back_once_whatever_interrupts_that(monkeypatch):
    """Twice would give the same memory to two transfers."""
    given = []
    remote = Remote(pool=Pool(2, "test"))
    monkeypatch.setattr(remote.cache._buffers, "give_back", given.append)
    remote.cache._hash = read_hash = ReadHash(len(DATA), remote.cache._pool)
    give_back = read_hash.give_back

    def interrupted(memory, stop):
        give_back(memory, stop)
        raise KeyboardInterrupt

    for start in range(0, len(DATA), BLOCK):
        monkeypatch.setattr(read_hash, "give_back", interrupted)
        with suppress(KeyboardInterrupt):
            remote.cache._fetch(start, start + BLOCK)
        monkeypatch.setattr(read_hash, "give_back", give_back)
        remote.cache._fetch(start, start + BLOCK)
    remote.cache.close()
    assert given
    assert len({id(memory) for memory in given}) == len(given)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_does_not_wait_for_its_turn(stop):
    """A reader that fetches a range itself is interrupted at once, whatever becomes of the ranges before."""
    over = threading.Event()

    def fill(start, view):
        if start:
            raise stop
        over.wait(30)
        raise OSError(errno.EIO, "too late")

    cache = ReadAhead(BLOCK, DATA.__getitem__, fill, len(DATA), pool=Pool(1, "test"))
    try:
        with pytest.raises(stop):
            cache._fetch(0, 3 * BLOCK)
    finally:
        over.set()
