"""Pools are bounded and never block themselves, the first error wins, what is cancelled ends, memory is reused."""

import threading
import time
from functools import partial
from unittest import mock

import pytest

from cosv4fs.concurrency import Buffers, Pool, Task, TaskGroup, cancellation
from cosv4fs.concurrency import pool as pools
from cosv4fs.concurrency import threads as pool_threads
from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.concurrency.limits import Window
from tests.support import MIB, wait_for_background


@pytest.fixture
def pool():
    return Pool(4, "test")


@pytest.fixture
def buffers():
    return Buffers(3)


class TestWindow:
    def test_limit(self):
        window = Window(2)
        permits = [window.try_acquire() for _ in range(3)]
        assert [permit is not None for permit in permits] == [True, True, False]
        window.release(permits[0])
        assert window.try_acquire()

    def test_a_lost_permit_is_free(self):
        window = Window(1)
        permit = window.try_acquire()
        assert window.try_acquire() is None
        del permit
        assert window.try_acquire()

    def test_a_permit_ends_once(self):
        window = Window(1)
        first = window.acquire()
        window.release(first)
        second = window.acquire()
        window.release(first)
        del first
        assert window.try_acquire() is None
        window.release(second)

    def test_is_halved_and_slowly_restored(self):
        window = Window(8)
        window.halve()
        window.halve()
        assert window.limit == 2
        for _ in range(40):
            window.release(window.acquire())
        assert window.limit == 4
        for _ in range(10):
            window.halve()
        assert window.limit == 1
        for _ in range(1000):
            window.release(window.acquire())
        assert window.limit == 8

    def test_acquire_waits_for_a_permit(self):
        window, got = Window(1), threading.Event()
        permit = window.acquire()

        def take():
            window.acquire()
            got.set()

        thread = threading.Thread(target=take)
        thread.start()
        assert not got.is_set()
        window.release(permit)
        thread.join(30)
        assert got.is_set()

    def test_a_waiting_thread_can_be_cancelled(self):
        window, owner, begun, errors = Window(1), object(), threading.Event(), []
        permit = window.acquire()

        def wait():
            with cancellation.working_for(owner):
                begun.set()
                try:
                    window.acquire()
                except InterruptedError as error:
                    errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        assert begun.wait(30)
        cancellation.cancel(owner)
        thread.join(30)
        assert len(errors) == 1
        window.release(permit)


class TestTwoOwners:
    """A thread that works for one owner, and in a block for another, too."""

    def test_the_second_cancels_only_what_is_in_the_block(self):
        first, second = object(), object()
        with cancellation.working_for(first):
            with cancellation.working_also_for(second):
                cancellation.cancel(object())
                assert not cancellation.is_cancelled()
                cancellation.cancel(second)
                assert cancellation.is_cancelled()
            assert not cancellation.is_cancelled()
            cancellation.cancel(second)
            assert not cancellation.is_cancelled()
        assert not cancellation._threads().owners

    def test_the_first_cancels_the_block_and_what_follows(self):
        first = object()
        with cancellation.working_for(first):
            with cancellation.working_also_for(object()):
                cancellation.cancel(first)
                assert cancellation.is_cancelled()
            assert cancellation.is_cancelled()
        assert not cancellation.is_cancelled()

    def test_the_end_of_the_block_waits_for_no_lock(self):
        # Ctrl-C while it waits would leave the owner behind, which cancels all that the thread does later
        second, lock = object(), cancellation._threads().lock
        block = cancellation.working_also_for(second)
        block.__enter__()
        # no context: entering it fails
        with mock.patch.object(cancellation._threads(), "lock", object()):
            block.__exit__(None, None, None)
        cancellation.cancel(second)
        assert not cancellation.is_cancelled()
        assert cancellation._threads().lock is lock


def fail():
    raise OSError("failed")


class Counted:
    """Work that is done by `parties` tasks together; `most` is how many were in it at once."""

    def __init__(self, parties):
        self.most = self._running = 0
        self._lock, self._barrier = threading.Lock(), threading.Barrier(parties, timeout=30)

    def __call__(self):
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        self._barrier.wait()
        with self._lock:
            self._running -= 1


class TestSubmit:
    def test_no_more_than_the_window_at_once(self, pool):
        work = Counted(4)
        tasks = [pool.submit(Task(work)) for _ in range(12)]
        for task in tasks:
            task.wait()
        assert work.most == 4

    def test_permits_end_after_failures(self, pool):
        for _ in range(10):
            with pytest.raises(OSError, match="failed"):
                pool.submit(Task(fail)).wait()
        pool.submit(Task(lambda: None)).wait()

    def test_try_submit(self, pool):
        release = threading.Event()
        held = [pool.submit(Task(release.wait)) for _ in range(4)]
        assert not pool.try_submit(Task(lambda: 1))
        release.set()
        for task in held:
            task.wait()
        # a permit ends just after the result is known
        task = Task(lambda: 1)
        while not pool.try_submit(task):
            pass
        task.wait()

    def test_a_thread_that_cannot_start_is_replaced_by_the_caller(self, pool, monkeypatch):
        monkeypatch.setattr(pool_threads, "start_thread", lambda _thread: False)
        ran = []
        pool.submit(Task(lambda: ran.append(threading.get_ident()))).wait()
        assert ran == [threading.get_ident()]
        assert pool.map(lambda item: (item, threading.get_ident()), range(9)) == [
            (item, threading.get_ident()) for item in range(9)
        ]
        results = []
        pool.map_unordered(lambda item: item * 2, range(9), results.append)
        assert results == [item * 2 for item in range(9)]

    def test_a_thread_that_is_idle_again_at_once_is_known(self):
        """It may have run the task before the thread that submits it goes on."""
        threads = pool_threads.Threads(1, "test")

        def run(queue, task):
            queue.put(task)
            task.wait()
            patience = time.monotonic() + 30
            while not threads.has_idle and time.monotonic() < patience:
                time.sleep(0.001)

        run(mock.Mock(put=threads.submit), Task(bool))
        with mock.patch.object(threads, "_queue", mock.Mock(put=partial(run, threads._queue))):
            threads.submit(Task(bool))
        assert threads.has_idle


class TestShare:
    def test_no_more_than_its_part_at_once(self, pool):
        work, share = Counted(2), pool.share(2)
        with TaskGroup(share) as group:
            for _ in range(10):
                group.start(work)
            group.wait()
        assert work.most == 2
        assert (share.most, pool.share(9).most, pool.share(None)) == (2, 4, pool)

    def test_a_full_pool_leaves_no_permit_behind(self, pool):
        release = threading.Event()
        others = [pool.submit(Task(lambda: release.wait(30))) for _ in range(pool.most)]
        share = pool.share(2)
        share.window.halve()
        assert not any(share.try_submit(Task(lambda: None)) for _ in range(20))
        # a window grows after tasks that have ended
        assert share.window.limit == 1
        release.set()
        for task in others:
            task.wait()
        assert share.map(abs, [-1, -2]) == [1, 2]

    def test_a_map_goes_on_beside_others_when_the_window_is_halved(self, pool):
        release = threading.Event()
        others = [pool.submit(Task(lambda: release.wait(30))) for _ in range(3)]

        def work(number):
            if number == 0:
                pool.window.halve()
            return number

        assert pool.map(work, range(9)) == [*range(9)]
        release.set()
        for task in others:
            task.wait()

    def test_the_calls_of_a_map_restore_the_window(self, pool):
        for each in (pool, pool.share(2)):
            pool.window.halve()
            assert pool.window.limit == 2
            assert each.map(abs, range(50)) == [*range(50)]
            assert pool.window.limit == 4

    def test_a_lost_share_leaves_the_threads(self, pool):
        for _ in range(3):
            assert pool.share(2).map(abs, [-1, -2, -3]) == [1, 2, 3]
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]


class TestGroup:
    def test_wait_raises_the_failure(self, pool):
        group = TaskGroup(pool)
        group.start(lambda: None)
        group.start(fail)
        with pytest.raises(OSError, match="failed"):
            group.wait()

    def test_start_raises_the_failure_of_an_earlier_task(self, pool):
        group = TaskGroup(pool)
        task = group.start(fail)
        while not task.is_done:
            task.wait_briefly()
        with pytest.raises(OSError, match="failed"):
            group.start(lambda: None)

    def test_stop_waits_for_what_runs_and_starts_nothing_more(self, pool):
        group, begun, release, ended = TaskGroup(pool), threading.Event(), threading.Event(), []

        def task():
            begun.set()
            release.wait(30)
            ended.append(True)

        group.start(task)
        assert begun.wait(30)
        threading.Timer(0.01, release.set).start()
        group.stop()
        assert ended == [True]
        with pytest.raises(InterruptedError):
            group.start(lambda: ended.append(False)).wait()
        assert ended == [True]

    def test_all_run(self, pool):
        done = []
        with TaskGroup(pool) as group:
            for number in range(20):
                group.start(lambda number=number: done.append(number))
            group.wait()
        assert sorted(done) == list(range(20))

    def test_a_failure_of_the_block_ends_what_runs(self, pool):
        ended = []
        with pytest.raises(OSError, match="no more"), TaskGroup(pool) as group:
            group.start(lambda: ended.append(True))
            raise OSError("no more")
        pool.submit(Task(lambda: None)).wait()

    def test_a_thread_that_does_not_end_is_not_waited_for(self, pool, monkeypatch):
        monkeypatch.setattr(pools, "_CANCEL_SECONDS", 0.3)
        group, release = TaskGroup(pool), threading.Event()
        group.start(lambda: release.wait(60) and None)
        begun = time.monotonic()
        group.stop(cancel_running=True)
        assert time.monotonic() - begun < 20
        release.set()


class TestMap:
    def test_order(self, pool):
        assert pool.map(lambda item: item * 2, range(50)) == [item * 2 for item in range(50)]
        assert pool.map(str, []) == []

    def test_lazy_items_are_taken_one_per_thread(self, pool):
        taken, most = [], []

        def items():
            for item in range(100):
                taken.append(item)
                yield item

        def act(item):
            most.append(len(taken) - item)
            return item

        assert pool.map(act, items()) == list(range(100))
        # the first two are taken together; a thread may be overtaken by the others' next items
        assert len(taken) == 100
        assert most[0] <= 6

    def test_at_once(self, pool):
        barrier = threading.Barrier(4, timeout=30)
        pool.map(lambda _: barrier.wait(), range(4))

    def test_nested_calls_never_block(self, pool):
        table = pool.map(lambda row: pool.map(lambda column: row * column, range(20)), range(20))
        assert table[3][4] == 12

    def test_a_pool_of_the_same_level_runs_in_the_thread_that_calls_it(self, pool):
        same, other = Pool(4, "test"), Pool(4, "test-other")

        def nested(which):
            return {(threading.get_ident(), *which.map(lambda _: threading.get_ident(), range(4)))}

        [*found] = pool.map(lambda which: (which, nested(which)), [same, other])
        for which, [(outer, *inner)] in found:
            assert (set(inner) == {outer}) is (which is same)

    def test_the_first_error_stops_the_rest(self, pool):
        started, never = [], threading.Event()

        def act(item):
            started.append(item)
            if item == 0:
                raise OSError("first")
            never.wait(0.02)

        with pytest.raises(OSError, match="first"):
            pool.map(act, range(100_000))
        assert len(started) < 100_000

    def test_what_runs_has_ended_when_the_error_is_raised(self, pool):
        failed, ended = threading.Event(), []

        def act(item):
            if item == 0:
                failed.set()
                raise OSError("first")
            failed.wait(30)
            ended.append(item)

        with pytest.raises(OSError, match="first"):
            pool.map(act, range(4))
        count = len(ended)
        pool.map(lambda _: None, range(4))
        assert len(ended) == count


class TestMapUnordered:
    def test_results_are_handled_in_the_calling_thread(self, pool):
        handled = []
        pool.map_unordered(
            lambda item: item * 2, iter(range(50)), lambda result: handled.append((result, threading.get_ident()))
        )
        assert sorted(handled) == [(item * 2, threading.get_ident()) for item in range(50)]

    def test_few_items_wait_for_a_thread(self, pool):
        release, ended, ahead, waiting = threading.Event(), [], [], 16 * pool.most

        def act(item):
            assert release.wait(30)
            ended.append(item)

        def items():
            for item in range(200):
                ahead.append(item - len(ended))
                if item == waiting:
                    release.set()
                yield item

        pool.map_unordered(act, items())
        assert sorted(ended) == list(range(200))
        assert waiting <= max(ahead) <= waiting + pool.most

    def test_short_calls_end_threads_and_lose_no_item(self, pool):
        results = []
        for count in (2, 3, 50, 2000):
            pool.map_unordered(lambda item: item, iter(range(count)), results.append)
            assert sorted(results) == list(range(count))
            results.clear()

    def test_long_calls_have_all_threads_at_once(self, pool):
        together = threading.Barrier(pool.most, timeout=30)
        pool.map_unordered(lambda _: together.wait(), range(pool.most))

    def test_results_do_not_wait_for_a_long_call(self, pool):
        handled = threading.Event()
        pool.map_unordered(lambda item: item or handled.wait(30), range(2), lambda item: item is True or handled.set())
        assert handled.is_set()

    def test_any_error_cancels_what_runs(self, pool):
        begun, cancelled = threading.Barrier(3, timeout=30), []

        def act(item):
            begun.wait()
            while not cancellation.is_cancelled():
                time.sleep(0.01)
            cancelled.append(item)

        def items():
            yield from (1, 2)
            begun.wait()
            raise OSError("no more")

        with pytest.raises(OSError, match="no more"):
            pool.map_unordered(act, items())
        assert sorted(cancelled) == [1, 2]


class TestBuffers:
    def test_large_ones_are_used_again(self, buffers):
        with buffers.lend(2 * MIB) as view:
            assert len(view) == 2 * MIB
            first = view.obj
        with buffers.lend(MIB) as view:
            assert len(view) == MIB
            assert view.obj is first
        with buffers.lend(3 * MIB) as view:
            assert len(view) == 3 * MIB
            assert view.obj is not first

    def test_those_of_two_sizes_stay_beside_each_other(self, buffers):
        large, small = buffers.borrow(2 * MIB), buffers.borrow(MIB)
        buffers.give_back(large)
        buffers.give_back(small)
        assert buffers.borrow(2 * MIB) is large
        assert buffers.borrow(MIB) is small

    def test_the_newest_stay(self, buffers):
        borrowed = [buffers.borrow(MIB) for _ in range(4)]
        for memory in borrowed:
            buffers.give_back(memory)
        again = [buffers.borrow(MIB) for _ in range(4)]
        assert {id(memory) for memory in again[:3]} == {id(memory) for memory in borrowed[1:]}
        assert again[3] is not borrowed[0]

    def test_a_small_one_keeps_no_large_one_busy(self, buffers):
        with buffers.lend(10) as view:
            assert len(view) == 10
            assert len(view.obj) == 10

    def test_two_at_once_are_two(self, buffers):
        with buffers.lend(10) as one, buffers.lend(10) as two:
            assert one.obj is not two.obj

    def test_no_more_are_kept_than_needed(self, buffers):
        views = [buffers.lend(MIB) for _ in range(20)]
        for view in views:
            view.__enter__()
        for view in views:
            view.__exit__(None, None, None)
        assert len(buffers._idle) <= 3


class TestCleanUp:
    def test_is_bounded_after_an_interrupt(self, monkeypatch):
        monkeypatch.setattr(cancellation, "_CLEAN_UP_SECONDS", 0.0)
        with pytest.raises(InterruptedError, match="no time to clean up"):
            _interrupted_clean_up(cancellation.seconds_left)
        assert cancellation.seconds_left() is None

    def test_has_one_attempt_after_an_interrupt(self):
        with pytest.raises(InterruptedError, match="not retried"):
            _interrupted_clean_up(lambda: cancellation.sleep(0.01))

    def test_is_not_limited_after_another_error(self):
        try:
            fail()
        except OSError:
            cancellation.clean_up(lambda: cancellation.sleep(0.01))


def _interrupted_clean_up(action):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        cancellation.clean_up(action)


class TestBackground:
    def test_calls_what_it_is_given(self):
        done = threading.Event()
        run_in_background(done.set)
        start_background()
        wait_for_background()
        assert done.is_set()

    def test_survives_failures(self):
        def fail():
            raise OSError("failed")

        done = threading.Event()
        run_in_background(fail)
        run_in_background(done.set)
        wait_for_background()
        assert done.is_set()
