"""The threads of one runtime: one pool for slices and ranges, one for everything else, both bounded.

Files are handled on the second pool and wait for slices on the first; slices wait for nothing. So files and slices
never multiply, and no set of transfers can block itself.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from cosv4fs.api.interrupts import Interrupts, is_stop
from cosv4fs.errors import make_error
from cosv4fs.transfer.pace import Pace
from cosv4fs.transfer.tasks import LOOK_EVERY, Pool, Task

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Batch", "Window", "Workers"]

T = TypeVar("T")
A = TypeVar("A")

_GROW_AFTER = 20
"""So many transfers have to succeed in a row before a narrowed window opens by one."""

_LONGEST_END = 8.0
"""Seconds to wait for threads that were stopped: more than cleaning up after an interrupt may take."""

_REQUESTS = "cosv4fs-request"
"""How the threads of the pool for requests are called."""

_WORTH_KEEPING = 256 * 1024
"""Memory of fewer bytes is cheap to get anew."""

_NOT_THERE = object()


class Place:
    """The right to one transfer in flight. It ends when it is given back, or lost."""

    def __init__(self, window: Window) -> None:
        self._window = window
        window.places[id(self)] = None

    def give_back(self) -> bool:
        """End the right; return whether it had not ended before. Safe to call from ``__del__``."""
        had = self._window.places.pop(id(self), _NOT_THERE) is not _NOT_THERE
        self._window.ring()
        return had

    def __del__(self) -> None:
        self.give_back()


class Window:
    """How many transfers may be in flight: a fixed number, halved when the service throttles, slowly restored.

    Parameters
    ----------
    limit : int
        The number.
    """

    def __init__(self, limit: int) -> None:
        self._most = self._limit = limit
        self._streak = 0
        self._lock = threading.Lock()
        self._bells: list[SimpleQueue[None]] = []
        self.places: dict[int, None] = {}

    @property
    def limit(self) -> int:
        """The number allowed now."""
        return self._limit

    def acquire(self, check: Callable[[], None] = lambda: None) -> Place:
        """Wait for a place and take it.

        Parameters
        ----------
        check : callable
            Called now and then while waiting; what it raises ends the wait.
        """
        while (place := self.try_acquire()) is None:
            bell: SimpleQueue[None] = SimpleQueue()
            self._bells.append(bell)
            # one may have become free before the bell was there
            if len(self.places) >= self._limit:
                with suppress(Empty):
                    bell.get(timeout=LOOK_EVERY)
            check()
        return place

    def try_acquire(self) -> Place | None:
        """Take a place if one is free."""
        with self._lock:
            return Place(self) if len(self.places) < self._limit else None

    def release(self, place: Place) -> None:
        """Give a place back after a transfer."""
        if place.give_back():
            with self._lock:
                self._streak += 1
                if self._streak >= _GROW_AFTER and self._limit < self._most:
                    self._limit += 1
                    self._streak = 0

    def ring(self) -> None:
        """Have all that wait for a place look again. Safe to call from ``__del__``."""
        with suppress(IndexError):
            while True:
                self._bells.pop().put(None)

    def narrow(self) -> None:
        """Halve the window: the service asked for fewer requests."""
        with self._lock:
            self._limit = max(1, self._limit // 2)
            self._streak = 0


class Workers:
    """Two bounded pools of threads and the buffers that transfers reuse.

    Parameters
    ----------
    transfers, requests : int
        Slices or ranges in flight at once; other requests in flight at once.
    interrupts : Interrupts, optional
        Stops what threads have under way.
    """

    def __init__(self, transfers: int, requests: int, interrupts: Interrupts | None = None) -> None:
        self.interrupts = interrupts or Interrupts()
        self.window = Window(transfers)
        self.concurrency = transfers
        self._transfers = Pool(transfers, "cosv4fs-transfer")
        self._requests = Pool(requests, _REQUESTS)
        self.pace = Pace(requests)
        self._buffers: list[bytearray] = []

    def transfer(self, task: Task[T]) -> Task[T]:
        """Start a slice or range as soon as the window has a place; blocks until then."""
        return self._start(self.window.acquire(self.interrupts.check), task)

    def transfer_all(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run slices or ranges, several at once, taking each from `tasks` when there is a place for it.

        The first error stops what has not started, and is raised once the rest has ended. Ctrl-C stops also what is
        in flight.
        """
        with Batch(self) as batch:
            for task in tasks:
                batch.start(task)
            batch.finish()

    def transfer_if_free(self, task: Task[T]) -> Task[T] | None:
        """Start a range if the window has a place right now; else return None."""
        place = self.window.try_acquire()
        return None if place is None else self._start(place, task)

    def _start(self, place: Place, task: Task[T]) -> Task[T]:
        # a task that is lost gives its place back all the same
        task.watch(lambda _: self.window.release(place))
        return self._transfers.submit(task)

    def each(self, function: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Apply a function to all items on the pool; return the results in order.

        The first error stops what has not started, and is raised once the rest has ended. From inside a task the
        items are handled one after another: a pool that waits for itself would never end.
        """
        todo = list(items)
        if len(todo) < 2 or self.is_inside:
            return [function(item) for item in todo]
        return _Round(self, self._requests, function, todo).run()

    @property
    def is_inside(self) -> bool:
        """Whether the calling thread is one of the pool for requests."""
        return threading.current_thread().name.startswith(_REQUESTS)

    @contextmanager
    def buffer(self, size: int) -> Iterator[memoryview]:
        """Lend `size` bytes of reusable memory."""
        memory = self.borrow(size)
        try:
            yield memoryview(memory)[:size]
        finally:
            self.give_back(memory)

    def borrow(self, size: int) -> bytearray:
        """Return memory of at least `size` bytes; large memory is reused: fresh costs a page fault per 4 KiB."""
        if size < _WORTH_KEEPING:
            return bytearray(size)
        try:
            memory = self._buffers.pop()
        except IndexError:
            return bytearray(size)
        return memory if len(memory) >= size else bytearray(size)

    def give_back(self, memory: bytearray) -> None:
        """Return borrowed memory that nobody uses any more."""
        if len(memory) >= _WORTH_KEEPING and len(self._buffers) < self.concurrency:
            self._buffers.append(memory)


class _Round:
    """One call of `Workers.each`: some threads that take item after item, as many as the pace says.

    A task per item would cost more than a small request.
    """

    def __init__(self, workers: Workers, pool: Pool, function: Callable[[Any], Any], items: list[Any]) -> None:
        self._batch, self._pool, self._pace, self._function = Batch(workers), pool, workers.pace, function
        self._rest = iter(enumerate(items))
        self._results: list[Any] = [None] * len(items)
        self._most, self._threads = len(items), 0
        self._lock = threading.Lock()

    def run(self) -> list[Any]:
        with self._batch:
            self._start_more()
            self._batch.finish()
        return self._results

    def _start_more(self) -> None:
        while True:
            with self._lock:
                if self._threads >= min(self._pace.wanted, self._most):
                    return
                self._threads += 1
            self._batch.add(self._pool, self._work)

    def _is_superfluous(self) -> bool:
        with self._lock:
            ends = self._pace.too_many(self._threads)
            self._threads -= ends
            return ends

    def _work(self) -> None:
        for index, item in self._rest:
            self._batch.check()
            began, before = time.perf_counter(), time.thread_time()
            self._results[index] = self._function(item)
            self._pace.note(time.perf_counter() - began, time.thread_time() - before)
            self._start_more()
            if self._is_superfluous():
                return


class Batch:
    """Tasks that belong together: waited for, given up or stopped as one.

    Parameters
    ----------
    workers : Workers
        Run them.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._tasks: set[Task[Any]] = set()
        self._done: SimpleQueue[Task[Any]] = SimpleQueue()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the tasks when the block fails, at once for Ctrl-C."""
        if error is not None:
            self.end(at_once=is_stop(error))

    def start(self, function: Callable[[], None]) -> Task[None]:
        """Start a transfer as soon as there is a place; raise the first failure of those before."""
        with suppress(Empty):
            while True:
                self._settle(self._done.get_nowait())
        return self._workers.transfer(self._task(function))

    def start_if_free(self, function: Callable[[], None]) -> Task[None] | None:
        """Start a transfer if there is a place right now; `finish` raises its failure, at the latest."""
        return self._start_if_free(self._task(function))

    def start_apart(self, function: Callable[[], None]) -> Task[None] | None:
        """Start a transfer if there is a place right now, for a caller that looks after its failure itself."""
        self.forget_done()
        task = Task(partial(self._run, function))
        self._tasks.add(task)
        return self._start_if_free(task)

    def _start_if_free(self, task: Task[None]) -> Task[None] | None:
        if self._workers.transfer_if_free(task) is None:
            self._tasks.discard(task)
            return None
        return task

    def forget_done(self) -> None:
        """Forget the transfers that were started apart and are done, and with them their failures."""
        for task in list(self._tasks):
            if task.is_done:
                self._tasks.discard(task)

    def add(self, pool: Pool, function: Callable[[], T]) -> Task[T]:
        """Queue a task on a pool."""
        return pool.submit(self._task(function))

    def check(self) -> None:
        """Raise when nothing more may start.

        Raises
        ------
        InterruptedError
            The batch was ended.
        """
        if self._ended:
            raise make_error(errno.EINTR, "given up before it began", None)

    def finish(self) -> None:
        """Wait until all are done, those that they add meanwhile too, or raise as soon as one has failed."""
        while self._tasks:
            with suppress(Empty):
                self._settle(self._done.get(timeout=LOOK_EVERY))
            self._workers.interrupts.check()

    def end(self, at_once: bool = False) -> None:
        """Start nothing more, and wait for what is in flight.

        `at_once` stops that too. A thread that cannot even be stopped, because it is being connected, is not waited
        for longer than some seconds: it sends nothing more.
        """
        self._cancel()
        interrupts = self._workers.interrupts
        latest = time.monotonic() + _LONGEST_END
        while waiting := [task for task in list(self._tasks) if not task.is_done]:
            if at_once or interrupts.is_stopped:
                interrupts.stop(self)
                if time.monotonic() > latest:
                    break
            waiting[0].wait_a_moment()
        self._tasks.clear()

    def close(self) -> None:
        """Start nothing more, without waiting for anything. Safe to call from ``__del__``: `abandon` has to follow."""
        self._ended = True

    def abandon(self) -> None:
        """Start nothing more and stop what is in flight, without waiting for that."""
        self._cancel()
        self._workers.interrupts.stop(self)
        self._tasks.clear()

    def _task(self, function: Callable[[], T]) -> Task[T]:
        # noted before it is handed over: Ctrl-C may come between the two
        task = Task(partial(self._run, function))
        self._tasks.add(task)
        task.watch(self._done.put)
        return task

    def _settle(self, task: Task[Any]) -> None:
        """Forget a task that is done; raise its failure."""
        self._tasks.discard(task)
        try:
            task.result()
        finally:
            # the error refers to this frame
            del task

    def _cancel(self) -> None:
        self._ended = True
        for task in list(self._tasks):
            task.cancel()

    def _run(self, function: Callable[[], T]) -> T:
        with self._workers.interrupts.working_for(self):
            self.check()
            return function()
