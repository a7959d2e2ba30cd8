"""Tasks: calls that other threads make. Nothing is lost when Ctrl-C comes, at any moment."""

from __future__ import annotations

import _thread
import errno
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from cosv4fs.concurrency import cancellation
from cosv4fs.errors import make_error


class Task:
    """One call that a thread makes, at most once; what it returns is dropped.

    Attributes
    ----------
    error : BaseException or None
        What the call raised; an `InterruptedError` when it was cancelled.
    is_done : bool
        Whether the call was made or cancelled.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function
        # taken by whatever runs or cancels the task, and never released
        self._claim = threading.Lock()
        self._callbacks: list[Callable[[Task], object]] = []
        self.error: BaseException | None = None
        self.is_done = False

    def run(self) -> None:
        """Make the call, unless it was made or cancelled."""
        function = self._function
        if function is None or not self._claim.acquire(blocking=False):
            return
        try:
            function()
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

    def add_callback(self, callback: Callable[[Task], object]) -> None:
        """Call `callback` once with the task when it is done; at once if it is."""
        self._callbacks.append(callback)
        if self.is_done:
            self._call_back()

    def wait_briefly(self) -> None:
        """Wait until the task is done, or a fraction of a second has passed."""
        done: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.add_callback(done.put)
        if not self.is_done:
            with suppress(queue.Empty):
                done.get(timeout=cancellation.CHECK_EVERY)

    def wait(self) -> None:
        """Wait until the task is done; raise what its call raised.

        Raises
        ------
        InterruptedError
            EINTR when the task, or meanwhile the calling thread, was cancelled.
        """
        try:
            while not self.is_done:
                self.wait_briefly()
                cancellation.check()
            if self.error is not None:
                raise self.error
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
