"""The threads of one machine room: one pool for slices and ranges, one for everything else, both bounded.

Files are handled on the second pool and wait for slices on the first; slices wait for nothing. So files and slices
never multiply, and no set of transfers can block itself.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cosv4fs.api.interrupts import Interrupts
from cosv4fs.errors import make_error
from cosv4fs.transfer.pace import Pace

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Batch", "Window", "Workers", "is_stop"]

T = TypeVar("T")
A = TypeVar("A")

_GROW_AFTER = 20
"""So many transfers have to succeed in a row before a narrowed window opens by one."""


_LOOK_EVERY = 0.2
"""Seconds between looks at whether a waiting thread was stopped."""


_REQUESTS = "cosv4fs-request"
"""How the threads of the pool for requests are called."""

_WORTH_KEEPING = 256 * 1024
"""Memory of fewer bytes is cheap to get anew."""

_MOMENT = 0.005
"""Seconds between looks at threads that no future speaks for."""


class Window:
    """How many transfers may be in flight: a fixed number, halved when the service throttles, slowly restored.

    Parameters
    ----------
    limit : int
        The number.
    """

    def __init__(self, limit: int) -> None:
        self._most = self._limit = limit
        self._used = 0
        self._streak = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """The number allowed now."""
        return self._limit

    def acquire(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait for a place and take it.

        Parameters
        ----------
        check : callable
            Called now and then while waiting; what it raises ends the wait.
        """
        with self._changed:
            while self._used >= self._limit:
                self._changed.wait(_LOOK_EVERY)
                check()
            self._used += 1

    def try_acquire(self) -> bool:
        """Take a place if one is free; return whether it was."""
        with self._changed:
            if self._used >= self._limit:
                return False
            self._used += 1
            return True

    def release(self) -> None:
        """Give a place back after a transfer."""
        with self._changed:
            self._used -= 1
            self._streak += 1
            if self._streak >= _GROW_AFTER and self._limit < self._most:
                self._limit += 1
                self._streak = 0
            self._changed.notify_all()

    def narrow(self) -> None:
        """Halve the window: the service asked for fewer requests."""
        with self._changed:
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
        self._transfers = ThreadPoolExecutor(transfers, thread_name_prefix="cosv4fs-transfer")
        self._requests = ThreadPoolExecutor(requests, thread_name_prefix=_REQUESTS)
        self.pace = Pace(requests)
        self._buffers: list[bytearray] = []

    def transfer(self, task: Callable[[], T]) -> Future[T]:
        """Start a slice or range as soon as the window has a place; blocks until then."""
        self.window.acquire(self.interrupts.check)
        return self._submit(task)

    def transfer_all(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run slices or ranges, several at once, taking each from `tasks` when there is a place for it.

        The first error stops what has not started, and is raised once the rest has ended. Ctrl-C stops also what is
        under way.
        """
        with Batch(self) as batch:
            for task in tasks:
                batch.start(task)
            batch.finish()

    def transfer_if_free(self, task: Callable[[], T]) -> Future[T] | None:
        """Start a range if the window has a place right now; else return None."""
        return self._submit(task) if self.window.try_acquire() else None

    def _submit(self, task: Callable[[], T]) -> Future[T]:
        try:
            future = self._transfers.submit(task)
        except BaseException:
            self.window.release()
            raise
        future.add_done_callback(lambda _: self.window.release())
        return future

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

    def __init__(self, workers: Workers, pool: Executor, function: Callable[[Any], Any], items: list[Any]) -> None:
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
        self._futures: list[Future[Any]] = []
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the tasks when the block fails, at once for Ctrl-C."""
        if error is not None:
            self.end(at_once=is_stop(error))

    def start(self, task: Callable[[], None]) -> Future[None]:
        """Start a transfer as soon as there is a place; raise the first failure of those before."""
        for future in self._futures:
            if future.done():
                future.result()
        self._futures = [future for future in self._futures if not future.done()]
        return self._keep(self._workers.transfer(partial(self._run, task)))

    def start_if_free(self, task: Callable[[], None]) -> Future[None] | None:
        """Start a transfer if there is a place right now; `finish` raises its failure, at the latest."""
        self._futures = [future for future in self._futures if not _has_succeeded(future)]
        future = self._workers.transfer_if_free(partial(self._run, task))
        return None if future is None else self._keep(future)

    def add(self, pool: Executor, task: Callable[[], T]) -> Future[T]:
        """Queue a task on a pool."""
        return self._keep(pool.submit(partial(self._run, task)))

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
        seen: set[Future[Any]] = set()
        while fresh := set(self._futures) - seen:
            seen |= fresh
            while fresh:
                done, fresh = wait(fresh, timeout=_LOOK_EVERY, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                self._workers.interrupts.check()

    def end(self, at_once: bool = False) -> None:
        """Start nothing more, and wait for what is under way; `at_once` stops that too."""
        self._cancel()
        waiting = set(self._futures)
        # Ctrl-C may come after a task was handed over and before it was noted: so the threads are asked as well
        while waiting or self._workers.interrupts.is_busy(self):
            if at_once:
                self._workers.interrupts.stop(self)
            waiting = wait(waiting, timeout=_LOOK_EVERY).not_done if waiting else self._after_a_moment()

    def abandon(self) -> None:
        """Start nothing more and stop what is under way, without waiting for that."""
        self._cancel()
        self._workers.interrupts.stop(self)

    def _after_a_moment(self) -> set[Future[Any]]:
        time.sleep(_MOMENT)
        return set()

    def _cancel(self) -> None:
        self._ended = True
        for future in self._futures:
            future.cancel()

    def _keep(self, future: Future[T]) -> Future[T]:
        self._futures.append(future)
        return future

    def _run(self, task: Callable[[], T]) -> T:
        with self._workers.interrupts.working_for(self):
            self.check()
            return task()


def _has_succeeded(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def is_stop(error: BaseException) -> bool:
    """Tell whether an error means that the user wants everything to end: Ctrl-C here, or in a waiting thread."""
    return isinstance(error, InterruptedError) or not isinstance(error, Exception)
