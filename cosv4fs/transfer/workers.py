"""The threads of one machine room: one pool for slices and ranges, one for everything else, both bounded.

Files are handled on the second pool and wait for slices on the first; slices wait for nothing. So files and slices
never multiply, and no set of transfers can block itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Window", "Workers", "pending"]

T = TypeVar("T")
A = TypeVar("A")

_GROW_AFTER = 20
"""So many transfers have to succeed in a row before a narrowed window opens by one."""


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

    def acquire(self) -> None:
        """Wait for a place and take it."""
        with self._changed:
            while self._used >= self._limit:
                self._changed.wait()
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
    """

    def __init__(self, transfers: int, requests: int) -> None:
        self.window = Window(transfers)
        self.concurrency = transfers
        self._transfers = ThreadPoolExecutor(transfers, thread_name_prefix="cosv4fs-transfer")
        self._requests = ThreadPoolExecutor(requests, thread_name_prefix="cosv4fs-request")
        self._inside = threading.local()
        self._buffers: list[bytearray] = []

    def transfer(self, task: Callable[[], T]) -> Future[T]:
        """Start a slice or range as soon as the window has a place; blocks until then."""
        self.window.acquire()
        return self._submit(task)

    def transfer_all(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run slices or ranges, several at once, taking each from `tasks` when there is a place for it.

        The first error stops what has not started, and is raised once the rest has ended.
        """
        futures: list[Future[None]] = []
        try:
            for task in tasks:
                futures = pending(futures)
                futures.append(self.transfer(task))
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

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
        if len(todo) < 2 or getattr(self._inside, "task", False):
            return [function(item) for item in todo]
        futures = [self._requests.submit(self._task, function, item) for item in todo]
        try:
            _raise_first(futures)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    @contextmanager
    def buffer(self, size: int) -> Iterator[memoryview]:
        """Lend `size` bytes of reusable memory."""
        memory = self.borrow(size)
        try:
            yield memoryview(memory)[:size]
        finally:
            self.give_back(memory)

    def borrow(self, size: int) -> bytearray:
        """Return reusable memory of at least `size` bytes: fresh memory would cost a page fault per 4 KiB."""
        try:
            memory = self._buffers.pop()
        except IndexError:
            return bytearray(size)
        return memory if len(memory) >= size else bytearray(size)

    def give_back(self, memory: bytearray) -> None:
        """Return borrowed memory that nobody uses any more."""
        if len(self._buffers) < self.concurrency:
            self._buffers.append(memory)

    def _task(self, function: Callable[[A], T], item: A) -> T:
        self._inside.task = True
        return function(item)


def pending(futures: list[Future[None]]) -> list[Future[None]]:
    """Raise the first failure among the futures; return those that are still under way."""
    for future in futures:
        if future.done():
            future.result()
    return [future for future in futures if not future.done()]


def _raise_first(futures: list[Future[Any]]) -> None:
    """Wait until all are done, or raise as soon as one has failed."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
