"""The SHA-1 of pieces in any order, from any threads; nobody waits for a piece that will not come."""

import hashlib
import threading
import time
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.concurrency import Pool, Task, TaskGroup, cancellation
from cosv4fs.transfer import hashing
from cosv4fs.transfer.hashing import ContentHash, ReadHash
from tests.support import KIB, MIB, content

DATA = content(3 * MIB + 5)
PIECE = 64 * KIB


def pieces(size=PIECE):
    return [(start, memoryview(DATA)[start : start + size]) for start in range(0, len(DATA), size)]


def sha1(data=DATA):
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


class Held:
    """A piece whose hashing waits until it is released."""

    def __init__(self, view):
        self.view, self.reached, self.released = view, threading.Event(), threading.Event()

    def __iter__(self):
        self.reached.set()
        assert self.released.wait(30)
        return iter([self.view])


@pytest.fixture
def hashed():
    return ContentHash()


@pytest.fixture
def start():
    """Return a function that starts a thread; all are joined at the end."""
    threads = []

    def begin(function):
        threads.append(threading.Thread(target=function))
        threads[-1].start()
        return threads[-1]

    yield begin
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


class TestDigest:
    def test_in_order(self, hashed):
        for offset, view in pieces():
            hashed.add(offset, view)
            hashed.wait_for(offset + len(view))
        assert hashed.hexdigest(len(DATA)) == sha1()

    def test_backwards(self, hashed):
        for offset, view in reversed(pieces()):
            hashed.add(offset, view)
        assert hashed.hexdigest(len(DATA)) == sha1()

    def test_of_nothing(self, hashed):
        assert hashed.hexdigest(0) == sha1(b"")

    def test_an_empty_piece(self, hashed):
        hashed.add(0, memoryview(b""))
        hashed.add(0, memoryview(b"x"))
        assert hashed.hexdigest(1) == sha1(b"x")

    def test_a_piece_in_several_views(self, hashed):
        hashed.add(2, [memoryview(b"c"), memoryview(b""), memoryview(b"de")])
        hashed.add(0, [memoryview(b"ab")])
        assert hashed.hexdigest(5) == sha1(b"abcde")

    def test_of_views_of_larger_items(self, hashed):
        hashed.add(0, memoryview(b"12345678").cast("I"))
        hashed.add(8, memoryview(b"9"))
        assert hashed.hexdigest(9) == sha1(b"123456789")

    def test_another_size_is_refused(self, hashed):
        hashed.add(0, memoryview(b"abc"))
        with pytest.raises(ValueError, match="3 bytes were hashed of a content of 2"):
            hashed.hexdigest(2)

    @pytest.mark.parametrize("offset", [1, 5])
    def test_a_piece_that_was_never_offered(self, hashed, offset):
        hashed.offer(0, memoryview(b"a"))
        hashed.offer(offset, memoryview(b"b"))
        if offset == 1:
            assert hashed.hexdigest(2) == sha1(b"ab")
            return
        with pytest.raises(ValueError, match="no piece was offered at 1"):
            hashed.hexdigest(6)

    @given(st.lists(st.integers(0, 40), max_size=12).flatmap(lambda sizes: st.tuples(st.just(sizes), st.randoms())))
    @settings(max_examples=60, deadline=None)
    def test_any_pieces_in_any_order(self, drawn):
        sizes, random = drawn
        hashed, offset, cut = ContentHash(), 0, []
        for size in filter(None, sizes):
            cut.append((offset, memoryview(DATA)[offset : offset + size]))
            offset += size
        random.shuffle(cut)
        pool = Pool(3, "test")
        with TaskGroup(pool) as group, hashed:
            for position, view in cut:
                group.start(lambda position=position, view=view: hashed.add(position, view))
            group.wait()
        assert hashed.hexdigest(offset) == sha1(DATA[:offset])


class TestThreads:
    def test_reused_memory(self, hashed):
        pool = Pool(4, "test")

        def send(offset, view):
            with pool.buffers.lend(len(view)) as memory:
                memory[:] = view
                hashed.add(offset, memory)
                hashed.wait_for(offset + len(view))
                memory[:] = bytes(len(view))

        for size in (PIECE, 256 * KIB):
            hashed = ContentHash()
            with TaskGroup(pool) as group, hashed:
                for offset, view in pieces(size):
                    group.start(lambda offset=offset, view=view: send(offset, view))
                group.wait()
            assert hashed.hexdigest(len(DATA)) == sha1()

    def test_what_comes_meanwhile_is_left_to_the_thread_that_hashes(self, hashed, start):
        held = Held(memoryview(b"ab"))
        start(lambda: hashed.add(0, held))
        assert held.reached.wait(30)
        # returns at once
        hashed.add(2, memoryview(b"cd"))
        held.released.set()
        assert hashed.hexdigest(4) == sha1(b"abcd")

    def test_what_comes_just_before_the_turn_ends(self, hashed, start, monkeypatch):
        hash_next, late = hashed._hash_next, [memoryview(b"cd")]

        def hash_then_offer():
            hash_next()
            while late:
                start(partial(hashed.add, 2, late.pop())).join(30)

        monkeypatch.setattr(hashed, "_hash_next", hash_then_offer)
        hashed.add(0, memoryview(b"ab"))
        hashed.wait_for(4)
        assert hashed.hexdigest(4) == sha1(b"abcd")

    def test_waiting_ends_with_what_was_waited_for(self, hashed, start):
        held, ended = Held(memoryview(b"cd")), threading.Event()
        start(lambda: (hashed.wait_for(2), ended.set()))
        assert not ended.is_set()
        hashed.add(0, memoryview(b"ab"))
        assert ended.wait(30)
        start(lambda: hashed.add(2, held))
        assert held.reached.wait(30)
        hashed.wait_for(2)
        held.released.set()
        hashed.wait_for(4)


class TestEnd:
    def test_cancelled(self, hashed, start):
        owner, waiting, errors = object(), threading.Event(), []

        def wait():
            with cancellation.working_for(owner):
                waiting.set()
                try:
                    hashed.wait_for(1)
                except InterruptedError as error:
                    errors.append(error)

        thread = start(wait)
        assert waiting.wait(30)
        cancellation.cancel(owner)
        thread.join(30)
        assert len(errors) == 1

    def test_a_failed_sibling(self):
        """The tasks that wait for its piece end, or the group would wait for them."""
        pool, offered = Pool(4, "test"), threading.Semaphore(0)

        def send(number, hashed):
            if number == 0:
                for _ in range(3):
                    assert offered.acquire(timeout=30)
                raise OSError("the first piece cannot be read")
            hashed.add(number, memoryview(b"x"))
            offered.release()
            hashed.wait_for(number + 1)

        hashed = ContentHash()
        with pytest.raises(OSError, match="the first piece"), TaskGroup(pool) as group, hashed:
            for number in range(4):
                group.start(lambda number=number: send(number, hashed))
            group.wait()
        with pytest.raises(InterruptedError):
            hashed.hexdigest(4)

    def test_stopped_before(self, hashed):
        hashed.add(0, memoryview(b"a"))
        hashed.stop()
        hashed.wait_for(1)
        with pytest.raises(InterruptedError):
            hashed.wait_for(2)

    def test_an_interrupted_piece_leaves_a_gap(self, hashed):
        class Interrupted:
            def __iter__(self):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            hashed.add(0, Interrupted())
        hashed.add(1, memoryview(b"b"))
        hashed.stop()
        with pytest.raises(InterruptedError):
            hashed.hexdigest(2)


class TestReading:
    @pytest.fixture
    def pool(self):
        return Pool(2, "test")

    @pytest.fixture
    def busy(self, pool):
        """Give the other threads something to do, although one seems to have nothing."""
        over = threading.Event()
        for _ in range(2):
            pool.threads.submit(Task(partial(over.wait, 20)))
        pool.threads._idle[0] = None
        yield
        over.set()

    @pytest.fixture
    def idle(self, pool):
        """Let a thread have nothing to do."""
        pool.threads.submit(Task(bool))
        patience = time.monotonic() + 30
        while not pool.threads.has_idle and time.monotonic() < patience:
            time.sleep(0.001)

    @pytest.fixture(autouse=True)
    def small_steps(self, monkeypatch):
        monkeypatch.setattr(hashing, "_HAND_OVER", PIECE)
        monkeypatch.setattr("cosv4fs.concurrency.buffers._REUSE_FROM", 1)

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=15))
    @settings(max_examples=60, deadline=None)
    def test_counts_what_is_read_in_order(self, reads):
        read_hash, taken = ReadHash(50, Pool(2, "test")), 0
        for start, length in reads:
            read_hash.take(start, [memoryview(DATA)[start : min(50, start + length)]])
            taken = 0 if start == 0 else taken
            taken = max(taken, min(50, start + length)) if start <= taken else taken
            assert read_hash.is_complete == (taken == 50)
        # what was read already, and the rest in two views
        read_hash.take(taken // 2, [memoryview(DATA)[taken // 2 : 45], memoryview(DATA)[45:50]][taken // 90 :])
        assert read_hash.hexdigest() == sha1(DATA[:50])

    @pytest.mark.usefixtures("idle")
    def test_another_thread_hashes(self, pool, monkeypatch):
        hash_next, by = ContentHash._hash_next, []

        def note(content):
            by.append(threading.get_ident())
            hash_next(content)

        monkeypatch.setattr(ContentHash, "_hash_next", note)
        read_hash, patience = ReadHash(len(DATA), pool), time.monotonic() + 30
        for offset, view in pieces(PIECE // 2):
            read_hash.take(offset, [view])
            while read_hash._task is not None and not (read_hash._task.is_done and pool.threads.has_idle):
                assert time.monotonic() < patience
                time.sleep(0.0001)
        assert len(by) >= 40
        assert threading.get_ident() not in by
        assert read_hash.hexdigest() == sha1()

    def test_the_reader_does_while_no_other_thread_is_idle(self, pool):
        read_hash = ReadHash(len(DATA), pool)
        read_hash.take(0, [memoryview(DATA)[:PIECE]])
        assert read_hash._content.hashed == PIECE

    @pytest.mark.usefixtures("busy")
    def test_the_reader_does_where_no_other_thread_can(self, pool):
        read_hash = ReadHash(len(DATA), pool)
        for offset, view in pieces():
            # one that takes its time, and one that is idle
            pool.threads._idle[0] = None
            read_hash.take(offset, [view])
        assert read_hash._content.hashed == len(DATA)
        assert read_hash.hexdigest() == sha1()

    def test_memory_is_used_again_only_when_it_is_hashed(self, pool, monkeypatch):
        # as if another thread took its time
        monkeypatch.setattr(ReadHash, "_go_on", lambda _: None)
        read_hash = ReadHash(len(DATA), pool)
        for number, (offset, view) in enumerate(pieces()):
            memory = pool.buffers.borrow(len(view))
            memory[: len(view)] = view
            read_hash.take(offset, [memoryview(memory)[: len(view)]])
            read_hash.give_back(memory, offset + len(view))
            assert len(read_hash._left) <= hashing._MOST_LEFT
            if number < hashing._MOST_LEFT:
                assert pool.buffers._idle == []
        assert read_hash.hexdigest() == sha1()

    def test_memory_of_what_does_not_count_is_used_again_at_once(self, pool):
        read_hash = ReadHash(len(DATA), pool)
        read_hash.give_back(bytearray(PIECE), 5 * PIECE)
        assert len(pool.buffers._idle) == 1

    @pytest.mark.usefixtures("busy")
    def test_goes_on_after_an_interrupt(self, pool, monkeypatch):
        read_hash = ReadHash(len(DATA), pool)
        read_hash.take(0, [view for _, view in pieces()])

        def interrupted(content):
            content._offered.clear()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ContentHash, "_hash_next", interrupted)
            read_hash.hexdigest()
        assert read_hash.hexdigest() == sha1()

    @pytest.mark.usefixtures("busy")
    def test_a_read_that_was_interrupted_before_it_counted_may_come_again_with_other_borders(self, pool, monkeypatch):
        read_hash = ReadHash(len(DATA), pool)
        read_hash.take(0, [memoryview(DATA)[:1]])

        def interrupted(content, offset, view):
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(ContentHash, "offer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_hash.take(1, [memoryview(DATA)[1:3]])
        read_hash._content.hash_offered()
        read_hash.take(1, [memoryview(DATA)[1:2], memoryview(DATA)[2:]])
        assert read_hash.hexdigest() == sha1()

    @pytest.mark.usefixtures("busy")
    def test_goes_on_in_a_process_without_the_thread_that_hashes(self, pool):
        read_hash = ReadHash(len(DATA), pool)
        read_hash.take(0, [view for _, view in pieces()])
        read_hash._content._turn.acquire()
        read_hash._content._offered.pop(0)
        read_hash.resume()
        assert read_hash.hexdigest() == sha1()


def test_what_was_hashed_of_an_interrupted_piece_does_not_count(hashed):
    def interrupted():
        yield memoryview(b"a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hashed.add(0, interrupted())
    resumed = hashed.resumed()
    resumed.add(0, memoryview(b"ab"))
    assert resumed.hexdigest(2) == sha1(b"ab")
