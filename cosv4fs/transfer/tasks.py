"""Threads, and what they are given to do. Nothing is lost when Ctrl-C comes, at whichever moment.

`concurrent.futures`, `queue.Queue`, events and conditions take locks in methods written in Python: an exception that a
signal raises between two steps of such a method leaves the lock held, and everybody waits for ever. So what a thread
that may be interrupted does here is one step for the interpreter: ``with`` on a lock itself, `queue.SimpleQueue`, and
single operations of dicts, sets and lists.
"""

from __future__ import annotations

import errno
import itertools
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from cosv4fs.errors import make_error
from cosv4fs.transfer.janitor import start_thread

__all__ = ["LOOK_EVERY", "Pool", "Task"]

T = TypeVar("T")

LOOK_EVERY = 0.2
"""Seconds between looks at whether a waiting thread was stopped."""


class Task(Generic[T]):
    """One call that a thread makes, and what came of it.

    Parameters
    ----------
    function : callable
        Called without arguments, at most once.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = function
        # whoever runs or cancels the task takes this first, and never gives it back
        self._claim = threading.Lock()
        self._results: list[T] = []
        self._watchers: list[Callable[[Task[T]], object]] = []
        self.error: BaseException | None = None
        self.is_done = False

    def run(self) -> None:
        """Make the call, unless somebody else has or the task was cancelled."""
        function = self._function
        if function is None or not self._claim.acquire(blocking=False):
            return
        try:
            self._results.append(function())
        except BaseException as error:  # noqa: BLE001 - it is told in the thread that waits
            self.error = error
        self._end()
        # the error refers to this frame
        del self, function

    def cancel(self) -> None:
        """Make sure that a task that has not begun never will."""
        if self._claim.acquire(blocking=False):
            self.error = make_error(errno.EINTR, "given up before it began", None)
            self._end()

    def watch(self, tell: Callable[[Task[T]], object]) -> None:
        """Have `tell` called once with the task when it is done; at once if it is."""
        self._watchers.append(tell)
        if self.is_done:
            self._tell()

    def wait_a_moment(self) -> None:
        """Wait until the task is done, or a moment has passed."""
        bell: queue.SimpleQueue[Task[T]] = queue.SimpleQueue()
        self.watch(bell.put)
        if not self.is_done:
            with suppress(queue.Empty):
                bell.get(timeout=LOOK_EVERY)

    def wait(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the task is done; `check` is called now and then, and what it raises ends the wait."""
        while not self.is_done:
            self.wait_a_moment()
            check()

    def result(self, check: Callable[[], None] = lambda: None) -> T:
        """Wait until the task is done, and return what the call returned.

        Raises
        ------
        BaseException
            What the call raised; `InterruptedError` when it was cancelled.
        """
        self.wait(check)
        try:
            if self.error is not None:
                raise self.error
            return self._results[0]
        finally:
            # the error refers to this frame
            del self

    def _end(self) -> None:
        self._function = None
        self.is_done = True
        self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):
            while True:
                self._watchers.pop()(self)


class Pool:
    """A bounded number of threads, started as they are needed; they end when nobody holds the pool any more.

    Parameters
    ----------
    most : int
        Threads at most.
    name : str
        What the names of the threads begin with.
    """

    def __init__(self, most: int, name: str) -> None:
        self._queue: queue.SimpleQueue[Task[object] | None] = queue.SimpleQueue()
        self._idle: dict[int, None] = {}
        self._most, self._name = most, name
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.threads: list[threading.Thread] = []

    def submit(self, task: Task[T]) -> Task[T]:
        """Have a task run by one of the threads; return it."""
        self._queue.put(task)  # type: ignore[arg-type]  # the threads do not look at results
        try:
            # one that waits is taken by this task
            self._idle.popitem()
        except KeyError:
            if len(self.threads) < self._most:
                self._grow(task)
        return task

    def _grow(self, task: Task[T]) -> None:
        with self._lock:
            if len(self.threads) >= self._most:
                return
            name = f"{self._name}_{next(self._numbers)}"
            thread = threading.Thread(target=_work, args=(self._queue, self._idle), name=name, daemon=True)
            if start_thread(thread):
                self.threads.append(thread)
                return
        if not self.threads:
            # the process ends: there are no more threads to be had
            task.run()

    def __del__(self) -> None:
        self._queue.put(None)


def _work(tasks: queue.SimpleQueue[Task[object] | None], idle: dict[int, None]) -> None:
    """Run task after task. Not a method: a thread must not keep its pool alive."""
    ident = threading.get_ident()
    while True:
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            idle[ident] = None
            task = tasks.get()
            # a task may have come before this was noted: then nobody has taken the note back
            idle.pop(ident, None)
        if task is None:
            # for the next thread
            tasks.put(None)
            return
        task.run()
        del task
