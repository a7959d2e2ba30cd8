"""A bounded pool of threads, and groups of tasks, waited for and cancelled as one."""

from __future__ import annotations

import errno
import itertools
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Generic, TypeVar

from cosv4fs.concurrency import cancellation
from cosv4fs.concurrency.background import run_in_background
from cosv4fs.concurrency.buffers import Buffers
from cosv4fs.concurrency.limits import Pace, Window
from cosv4fs.concurrency.tasks import Task
from cosv4fs.concurrency.threads import Threads
from cosv4fs.errors import make_error
from cosv4fs.forking import holds_lock

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")
_A = TypeVar("_A")

_CANCEL_SECONDS = 8.0
"""Seconds to wait for cancelled threads: more than cleaning up after an interrupt may take."""

_AHEAD = 16
"""Items per thread that `Pool.map_unordered` takes before threads are free for them."""


class Pool:
    """A bounded number of threads, started as needed; they end with the pool's last reference.

    Pools with the same `level` count as one: `map` and `map_unordered`, called in a thread of that level, make all
    calls in that thread, because a pool that waits for itself would never end.

    Parameters
    ----------
    most : int
        Threads, and so tasks in flight, at most.
    level : str
        The level of work, such as ``cosv4fs-request``; it is also in the threads' names.

    Attributes
    ----------
    window : Window
        Bounds the tasks in flight.
    throttled : Window
        The window of the whole pool, which is to be halved when the service throttles; the threads of `map` and
        `map_unordered` become fewer with it.
    pace : Pace
        How many threads `map` uses.
    buffers : Buffers
        Memory that the tasks reuse.
    threads : Threads
        Run the tasks, also those of shares.
    """

    def __init__(self, most: int, level: str) -> None:
        self.most = most
        self.window = Window(most)
        self.pace = Pace(most)
        self.buffers = Buffers(most)
        self.threads = Threads(most, level)
        # also in shares: the service throttles all of them
        self.throttled = self.window
        self._below: Threads | Pool = self.threads

    def submit(self, task: Task) -> Task:
        """Start a task as soon as the window has a permit; block until then."""
        if holds_lock():
            # a signal handler: other threads may wait for that lock
            task.run()
            return task
        permit = self.window.acquire()
        # the callback holds the permit: a task that is lost ends it all the same
        task.add_callback(lambda _: self.window.release(permit))
        self._below.submit(task)
        return task

    def try_submit(self, task: Task) -> bool:
        """Start a task if the window has a permit now; return whether it has."""
        if holds_lock():
            task.run()
            return True
        permit = self.window.try_acquire()
        if permit is None:
            return False
        if not self._below.try_submit(task):
            # not released: the window would grow although no task has ended
            permit.end()
            return False
        task.add_callback(lambda _: self.window.release(permit))
        return True

    def map(self, function: Callable[[_A], _T], items: Iterable[_A]) -> list[_T]:
        """Apply a function to all items; return the results in order. For short calls, like single requests.

        Each thread takes the next item when it is free, so the look-ahead is one item per thread. After an error no
        further call is started, and the error is raised once the running calls have ended; Ctrl-C cancels them.

        Parameters
        ----------
        function : callable
            Called in threads of the pool; for a single item, or in a thread of the same level, in the calling thread.
        items : iterable
            May be lazy; it is advanced by one thread at a time, though not always the same.
        """
        most = min(self.most, length_hint(items, self.most))
        rest, runs_here = self._look_at(items)
        if runs_here:
            return [function(item) for item in rest]
        return _Map(self, function, rest, most).run()

    def map_unordered(
        self, function: Callable[[_A], _T], items: Iterable[_A], handle: Callable[[_T], object] = lambda _: None
    ) -> None:
        """Apply a function to all items; handle the results as they come. For long calls, like whole files.

        The calling thread alone advances `items`, some ahead of the threads, and handles the results, several at a
        time. After an error or Ctrl-C no further call is started, and the running ones are cancelled, because they may
        take long.

        Parameters
        ----------
        function : callable
            Called in threads of the pool; for a single item, or in a thread of the same level, in the calling thread.
        items : iterable
            May be lazy: at most sixteen items per thread wait for one that is free.
        handle : callable, optional
            Called with each result.
        """
        rest, runs_here = self._look_at(items)
        if runs_here:
            for item in rest:
                handle(function(item))
        else:
            _UnorderedMap(self, function, handle).run(rest)

    def _look_at(self, items: Iterable[_A]) -> tuple[Iterator[_A], bool]:
        """Return all items, and whether their calls run in the calling thread."""
        rest = iter(items)
        first = list(itertools.islice(rest, 2))
        runs_here = len(first) < 2 or self.threads.is_current or holds_lock()
        return itertools.chain(first, rest), runs_here

    def share(self, most: int | None) -> Pool:
        """Return a part of the pool that has at most `most` tasks in flight; the pool itself for None."""
        if most is None:
            return self
        part = copy(self)
        part.most = min(most, self.most)
        part.window, part._below = Window(part.most), self
        return part


class TaskGroup:
    """Tasks of a pool that belong together: waited for and cancelled as one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._process = os.getpid()
        self._tasks: set[Task] = set()
        self._finished: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Stop the tasks when the block fails; Ctrl-C cancels those that run.

        A generator that is closed does not wait for them: the garbage collector may close it in any thread, even in one
        of these tasks.
        """
        if isinstance(error, GeneratorExit):
            self.lose()
        elif error is not None:
            self.stop(cancel_running=cancellation.is_cancellation(error))

    @property
    def is_running(self) -> bool:
        """Whether there are tasks whose end the caller has not seen."""
        return bool(self._tasks)

    def start(self, function: Callable[[], None]) -> Task:
        """Start a task as soon as the window has a permit; raise the first failure of earlier ones."""
        self.reap()
        return self._pool.submit(self._task(function))

    def try_start(self, function: Callable[[], None], *, detached: bool = False) -> Task | None:
        """Start a task if the window has a permit now.

        `wait` raises its failure at the latest, unless the task is detached: then the caller handles it.
        """
        if detached:
            self.discard_done()
        task = self._task(function, detached=detached)
        if not self._pool.try_submit(task):
            self._tasks.discard(task)
            return None
        return task

    def discard_done(self) -> None:
        """Discard the detached tasks that are done, and with them their failures."""
        for task in list(self._tasks):
            if task.is_done:
                self._tasks.discard(task)

    def raise_if_stopped(self) -> None:
        """Raise EINTR if the group was stopped."""
        if self._stopped:
            raise make_error(errno.EINTR, "cancelled before it started", None)

    def reap(self, *, wait: bool = False) -> None:
        """Drop the tasks that have finished; raise the first failure.

        With `wait`, wait until one has finished or a fraction of a second has passed; raise EINTR if the calling thread
        is cancelled. Raise ECANCELED in a forked child: the tasks run in its parent.
        """
        if self._is_inherited:
            raise make_error(errno.ECANCELED, "the process was forked meanwhile: begin again in the child", None)
        found = self._take(wait=wait)
        while found:
            # in no variable of this frame, which the error refers to
            self._drop(found.pop())
            found = self._take()
        if wait:
            cancellation.check()

    def wait(self) -> None:
        """Wait until all tasks are done, also those that they start meanwhile; raise the first failure."""
        while self._tasks:
            self.reap(wait=True)

    def stop(self, *, cancel_running: bool = False) -> None:
        """Start nothing more, and wait for what runs, or cancel it.

        A thread that cannot be cancelled, because it is connecting, is waited for some seconds at most: it sends
        nothing more.
        """
        self._cancel_waiting()
        if sys.is_finalizing() or self._is_inherited:
            # frozen tasks never end, nor do those of another process
            self._tasks.clear()
        latest = time.monotonic() + _CANCEL_SECONDS
        while running := [task for task in list(self._tasks) if not task.is_done]:
            if cancel_running or cancellation.is_cancelled():
                # again and again: a thread may have been between two requests
                cancellation.cancel(self)
                if time.monotonic() > latest:
                    break
            running[0].wait_briefly()
        self._tasks.clear()

    def lose(self) -> None:
        """Start nothing more and have another thread cancel what runs. Safe to call from ``__del__``."""
        self._stopped = True
        run_in_background(self._cancel_all)

    def _cancel_all(self) -> None:
        self._cancel_waiting()
        cancellation.cancel(self)
        self._tasks.clear()

    def _task(self, function: Callable[[], None], *, detached: bool = False) -> Task:
        # noted before it is handed over: Ctrl-C may come between the two
        task = Task(partial(self._run, function))
        self._tasks.add(task)
        if not detached:
            task.add_callback(self._note_finished)
        return task

    @property
    def _is_inherited(self) -> bool:
        return os.getpid() != self._process

    def _note_finished(self, task: Task) -> None:
        # nobody takes it later, and its error would keep this group and its threads alive
        if not self._stopped:
            self._finished.put(task)

    def _take(self, *, wait: bool = False) -> list[Task]:
        with suppress(queue.Empty):
            # never without a limit: a signal that comes just before the wait is seen only when it is over
            return [self._finished.get(wait, cancellation.CHECK_EVERY)]
        return []

    def _drop(self, task: Task) -> None:
        self._tasks.discard(task)
        try:
            task.wait()
        finally:
            # the error refers to this frame
            del task

    def _cancel_waiting(self) -> None:
        self._stopped = True
        self._finished = queue.SimpleQueue()
        for task in list(self._tasks):
            task.cancel()

    def _run(self, function: Callable[[], None]) -> None:
        with cancellation.working_for(self):
            self.raise_if_stopped()
            function()


class _ThreadCount:
    """Counts the threads of one call: as many as the pace wants, at most `most`, fewer when the window is halved."""

    def __init__(self, window: Window, pace: Pace, most: int, count: int = 0) -> None:
        self._window, self._pace, self._most, self.count = window, pace, most, count
        self._lock = threading.Lock()

    @property
    def is_short(self) -> bool:
        """Whether the pace wants more threads than there are."""
        return self.count < min(self._pace.wanted, self._most)

    def join(self) -> bool:
        """Count one more thread, if the pace wants it; return whether it does."""
        with self._lock:
            joins = self.is_short
            self.count += joins
            return joins

    def leave(self) -> None:
        """Count one thread less."""
        with self._lock:
            self.count -= 1

    def leave_if_surplus(self) -> bool:
        """Count one thread less, if there are more than are wanted; return whether there were. The last one stays."""
        with self._lock:
            leaves = self._pace.is_too_many(self.count) or (self.count > 1 and self._window.is_exceeded)
            self.count -= leaves
            return leaves

    def call(self, function: Callable[[_A], _T], item: _A, take: Callable[[_T], object]) -> None:
        """Call a function, and tell the pace how long it took, and the window that it has succeeded.

        `take` is called with the result. That may be an error which refers to this frame, so no variable has it.
        """
        began, before = time.perf_counter(), time.thread_time()
        take(function(item))
        self._pace.note(time.perf_counter() - began, time.thread_time() - before)
        self._window.note_success()


class _Map(Generic[_A, _T]):
    """One call of `Pool.map`: some threads that take item after item. A task per item costs more than a small request.

    Every thread that takes an item starts others, as many as the pool's pace wants and its window allows; threads
    beyond that end.
    """

    def __init__(self, pool: Pool, function: Callable[[_A], _T], items: Iterable[_A], most: int) -> None:
        self._group, self._function = TaskGroup(pool), function
        self._thread_count = _ThreadCount(pool.throttled, pool.pace, most, 1)
        self._rest = enumerate(items)
        self._results: dict[int, _T] = {}
        self._lock = threading.Lock()

    def run(self) -> list[_T]:
        try:
            with self._group:
                self._group.start(self._work)
                self._group.wait()
            return [self._results[index] for index in range(len(self._results))]
        finally:
            # results may be errors, which refer to this object
            self._results.clear()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            index, item = found
            self._thread_count.call(self._function, item, partial(self._results.__setitem__, index))
            if self._thread_count.leave_if_surplus():
                return

    def _next(self) -> tuple[int, _A] | None:
        self._group.raise_if_stopped()
        with self._lock:
            found = next(self._rest, None)
        while found is not None and self._thread_count.join():
            if self._group.try_start(self._work) is None:
                self._thread_count.leave()
                break
        return found


class _UnorderedMap(Generic[_A, _T]):
    """One call of `Pool.map_unordered`: the caller keeps a queue of items filled, from which some threads take.

    Waking the caller costs more than a small call: a thread does it only when few items are left. All threads start at
    once, because nothing is known of long calls until the first has ended; later, the pace decides how many there are.
    """

    def __init__(self, pool: Pool, function: Callable[[_A], _T], handle: Callable[[_T], object]) -> None:
        self._group, self._most = TaskGroup(pool), pool.most
        self._function, self._handle = function, handle
        self._thread_count = _ThreadCount(pool.throttled, Pace(pool.most, at_first=pool.most), pool.most)
        self._items, self._results = queue.SimpleQueue[_A](), queue.SimpleQueue[_T]()
        self._wake = queue.SimpleQueue[None]()

    def run(self, items: Iterable[_A]) -> None:
        try:
            for item in items:
                self._items.put(item)
                if self._thread_count.is_short:
                    self._start_threads()
                while self._items.qsize() >= _AHEAD * self._most:
                    self._wait_until_few()
                self._handle_results()
            while self._group.is_running or not self._items.empty():
                self._start_threads()
                self._group.reap(wait=True)
                self._handle_results()
        except BaseException:
            try:
                # calls that ended before have results, too
                self._handle_results()
            finally:
                self._group.stop(cancel_running=True)
            raise

    def _wait_until_few(self) -> None:
        with suppress(queue.Empty):
            # never without a limit: results do not wait for long calls, and see `TaskGroup`
            self._wake.get(timeout=cancellation.CHECK_EVERY)
            while True:
                self._wake.get_nowait()
        self._group.reap()
        cancellation.check()
        self._handle_results()
        self._start_threads()

    def _handle_results(self) -> None:
        while not self._results.empty():
            self._handle(self._results.get_nowait())

    def _start_threads(self) -> None:
        while not self._items.empty() and self._thread_count.join():
            # one thread at least, even if other calls use the pool's permits
            if self._thread_count.count == 1:
                self._group.start(self._work)
            elif self._group.try_start(self._work) is None:
                self._thread_count.leave()
                return

    def _work(self) -> None:
        is_counted = True
        try:
            while is_counted and self._call_next():
                is_counted = not self._thread_count.leave_if_surplus()
        finally:
            if is_counted:
                self._thread_count.leave()
            self._wake.put(None)

    def _call_next(self) -> bool:
        """Call the function with the next item; return whether there was one."""
        self._group.raise_if_stopped()
        try:
            item = self._items.get_nowait()
        except queue.Empty:
            return False
        if self._items.qsize() <= self._most and self._wake.empty():
            # one is enough, and a slow caller takes none
            self._wake.put(None)
        self._thread_count.call(self._function, item, self._results.put)
        return True
