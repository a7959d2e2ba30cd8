"""The pools: bounded, never blocked by themselves, and the first error is the one that is told."""

import threading

import pytest

from cosv4fs.transfer.tasks import Task
from cosv4fs.transfer.workers import Batch, Window, Workers
from tests.support import MIB


@pytest.fixture
def workers():
    return Workers(3, 4)


class TestWindow:
    def test_limit(self):
        window = Window(2)
        places = [window.try_acquire() for _ in range(3)]
        assert [place is not None for place in places] == [True, True, False]
        window.release(places[0])
        assert window.try_acquire()

    def test_a_place_that_is_lost_is_free(self):
        window = Window(1)
        place = window.try_acquire()
        assert window.try_acquire() is None
        del place
        assert window.try_acquire()

    def test_a_place_is_given_back_once(self):
        window = Window(1)
        first = window.acquire()
        window.release(first)
        second = window.acquire()
        window.release(first)
        del first
        assert window.try_acquire() is None
        window.release(second)

    def test_narrow_and_slow_recovery(self):
        window = Window(8)
        window.narrow()
        window.narrow()
        assert window.limit == 2
        for _ in range(40):
            window.release(window.acquire(_go_on))
        assert window.limit == 4
        for _ in range(10):
            window.narrow()
        assert window.limit == 1
        for _ in range(1000):
            window.release(window.acquire(_go_on))
        assert window.limit == 8

    def test_acquire_waits_for_a_place(self):
        window, got = Window(1), threading.Event()
        place = window.acquire(_go_on)

        def take():
            window.acquire(_go_on)
            got.set()

        thread = threading.Thread(target=take)
        thread.start()
        assert not got.is_set()
        window.release(place)
        thread.join(20)
        assert got.is_set()

    def test_a_waiting_thread_can_be_stopped(self):
        window = Window(1)
        place = window.acquire(_go_on)

        def check():
            raise InterruptedError

        with pytest.raises(InterruptedError):
            window.acquire(check)
        window.release(place)


def _go_on():
    pass


def error_of(task):
    task.wait()
    return task.error


class TestTransfers:
    def test_no_more_than_the_window_at_once(self, workers):
        lock, running, most = threading.Lock(), 0, 0
        barrier = threading.Barrier(3, timeout=20)

        def task():
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            barrier.wait()
            with lock:
                running -= 1

        futures = [workers.transfer(Task(task)) for _ in range(9)]
        for future in futures:
            future.result()
        assert most == 3

    def test_places_come_back_after_failures(self, workers):
        for _ in range(10):
            assert isinstance(error_of(workers.transfer(Task(_fail))), OSError)
        assert workers.transfer(Task(lambda: 5)).result() == 5

    def test_if_free(self, workers):
        release = threading.Event()
        held = [workers.transfer(Task(release.wait)) for _ in range(3)]
        assert workers.transfer_if_free(Task(lambda: 1)) is None
        release.set()
        for future in held:
            future.result()
        # the place is given back by the future's thread, just after the result
        while (future := workers.transfer_if_free(Task(lambda: 1))) is None:
            pass
        assert future.result() == 1


class TestBatch:
    def test_finish_tells_the_failure(self, workers):
        batch = Batch(workers)
        batch.start(lambda: None)
        batch.start(_fail)
        with pytest.raises(OSError, match="failed"):
            batch.finish()

    def test_start_tells_the_failure_of_one_before(self, workers):
        batch = Batch(workers)
        batch.start(_fail).wait()
        with pytest.raises(OSError, match="failed"):
            batch.start(lambda: None)

    def test_end_waits_for_what_is_under_way_and_starts_nothing_more(self, workers):
        batch, begun, release, ended = Batch(workers), threading.Event(), threading.Event(), []

        def task():
            begun.set()
            release.wait(20)
            ended.append(True)

        batch.start(task)
        assert begun.wait(20)
        threading.Timer(0.01, release.set).start()
        batch.end()
        assert ended == [True]
        with pytest.raises(InterruptedError):
            batch.start(lambda: ended.append(False)).result()
        assert ended == [True]

    def test_all(self, workers):
        done = []
        workers.transfer_all([lambda number=number: done.append(number) for number in range(20)])
        assert sorted(done) == list(range(20))

    def test_all_stops_at_the_first_failure(self, workers):
        asked = []

        def tasks():
            for number in range(1000):
                asked.append(number)
                yield _fail

        with pytest.raises(OSError, match="failed"):
            workers.transfer_all(tasks())
        assert len(asked) < 1000

    def test_all_ends_what_runs_when_the_tasks_themselves_fail(self, workers):
        ended = []

        def tasks():
            yield lambda: ended.append(True)
            raise OSError("no more")

        with pytest.raises(OSError, match="no more"):
            workers.transfer_all(tasks())
        assert workers.transfer(Task(lambda: 5)).result() == 5


def _fail():
    raise OSError("failed")


class TestEach:
    def test_order(self, workers):
        assert workers.each(lambda item: item * 2, range(50)) == [item * 2 for item in range(50)]
        assert workers.each(str, []) == []

    def test_at_once(self, workers):
        barrier = threading.Barrier(4, timeout=20)
        workers.each(lambda _: barrier.wait(), range(4))

    def test_nested_calls_never_block(self, workers):
        table = workers.each(lambda row: workers.each(lambda column: row * column, range(20)), range(20))
        assert table[3][4] == 12

    def test_the_first_error_stops_the_rest(self, workers):
        started, never = [], threading.Event()

        def act(item):
            started.append(item)
            if item == 0:
                raise OSError("first")
            never.wait(0.02)

        with pytest.raises(OSError, match="first"):
            workers.each(act, range(100_000))
        assert len(started) < 100_000

    def test_what_runs_has_ended_when_the_error_comes(self, workers):
        failed, ended = threading.Event(), []

        def act(item):
            if item == 0:
                failed.set()
                raise OSError("first")
            failed.wait(20)
            ended.append(item)

        with pytest.raises(OSError, match="first"):
            workers.each(act, range(4))
        count = len(ended)
        workers.each(lambda _: None, range(4))
        assert len(ended) == count


LARGE = 256 * 1024


class TestBuffers:
    def test_large_ones_are_used_again(self, workers):
        with workers.buffer(2 * MIB) as view:
            assert len(view) == 2 * MIB
            first = view.obj
        with workers.buffer(MIB) as view:
            assert len(view) == MIB
            assert view.obj is first
        with workers.buffer(3 * MIB) as view:
            assert len(view) == 3 * MIB
            assert view.obj is not first

    def test_a_small_one_keeps_no_large_one_busy(self, workers):
        with workers.buffer(10) as view:
            assert len(view) == 10
            assert len(view.obj) == 10

    def test_two_at_once_are_two(self, workers):
        with workers.buffer(10) as one, workers.buffer(10) as two:
            assert one.obj is not two.obj

    def test_no_more_are_kept_than_needed(self, workers):
        views = [workers.buffer(MIB) for _ in range(20)]
        for view in views:
            view.__enter__()
        for view in views:
            view.__exit__(None, None, None)
        assert len(workers._buffers) <= 3
