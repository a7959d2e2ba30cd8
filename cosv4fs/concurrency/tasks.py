"""Tasks: calls that other threads make. Nothing is lost when Ctrl-C comes, at any moment."""

from __future__ import annotations

import _thread
import errno
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from cosv4fs.concurrency import cancellation
from cosv4fs.errors import make_error

T = TypeVar("T")


class Task(Generic[T]):
    """One call that a thread makes, and its result.

    Parameters
    ----------
    function : callable
        Called without arguments, at most once.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = function
        # taken by whatever runs or cancels the task, and never released
        self._claim = threading.Lock()
        self._results: list[T] = []
        self._callbacks: list[Callable[[Task[T]], object]] = []
        self.error: BaseException | None = None
        self.is_done = False

    def run(self) -> None:
        """Make the call, unless it was made or cancelled."""
        function = self._function
        if function is None or not self._claim.acquire(blocking=False):
            return
        try:
            self._results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self.error = error
        self._end()
        # the error refers to this frame
        del self, function

    def cancel(self) -> None:
        """Cancel the task if it has not started."""
        if self._claim.acquire(blocking=False):
            self.error = make_error(errno.EINTR, "cancelled before it started", None)
            self._end()

    def add_callback(self, callback: Callable[[Task[T]], object]) -> None:
        """Call `callback` once with the task when it is done; at once if it is."""
        self._callbacks.append(callback)
        if self.is_done:
            self._call_back()

    def wait_briefly(self) -> None:
        """Wait until the task is done, or a fraction of a second has passed."""
        done: queue.SimpleQueue[Task[T]] = queue.SimpleQueue()
        self.add_callback(done.put)
        if not self.is_done:
            with suppress(queue.Empty):
                done.get(timeout=cancellation.CHECK_EVERY)

    def wait(self) -> None:
        """Wait until the task is done.

        Raises
        ------
        InterruptedError
            EINTR when the calling thread is cancelled meanwhile.
        """
        while not self.is_done:
            self.wait_briefly()
            cancellation.check()

    def result(self) -> T:
        """Wait until the task is done, and return what the call returned.

        Raises
        ------
        BaseException
            What the call raised; `InterruptedError` when it was cancelled.
        """
        self.wait()
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
        self._call_back()

    def _call_back(self) -> None:
        with suppress(IndexError):
            while True:
                self._callbacks.pop()(self)


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread without waiting for it to run; return False if the interpreter starts no more threads.

    ``Thread.start`` waits under a lock. Ctrl-C at the wrong moment would leave the lock held, and the thread waiting
    for it, so the new thread itself calls it, where no signal arrives.
    """
    try:
        _thread.start_new_thread(_start, (thread,))
    except RuntimeError:
        return False
    return True


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError:
        # this was the last thread that the interpreter started
        thread.run()
