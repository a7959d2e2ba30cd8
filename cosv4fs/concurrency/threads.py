"""The threads of a pool, started as needed."""

from __future__ import annotations

import queue
import threading
from functools import partial

from cosv4fs.concurrency.tasks import Task, start_thread
from cosv4fs.forking import shared_lock

_worker = threading.local()
"""Has the `level` of the pool whose thread this is."""


class Threads:
    """Threads that run tasks, started as needed; they end with the last reference to this object.

    Parameters
    ----------
    most : int
        Threads at most; further tasks wait for them.
    level : str
        The level of work; see `Pool`.

    Attributes
    ----------
    started : list of threading.Thread
        The threads so far.
    """

    def __init__(self, most: int, level: str) -> None:
        self.started: list[threading.Thread] = []
        self._most, self._level = most, level
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._idle: dict[int, None] = {}
        self._lock = shared_lock()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is of the same level."""
        return getattr(_worker, "level", None) == self._level

    @property
    def has_idle(self) -> bool:
        """Whether a thread has nothing to do."""
        return bool(self._idle)

    def submit(self, task: Task) -> None:
        """Have a thread run a task."""
        is_short = False
        try:
            # one idle thread will take this task; later, it may have done that, and be idle again
            self._idle.popitem()
        except KeyError:
            is_short = len(self.started) < self._most
        self._queue.put(task)
        if is_short:
            self._grow(task)

    def try_submit(self, task: Task) -> bool:
        """Have a thread run a task, and return True; as `Pool` does, which may refuse."""
        self.submit(task)
        return True

    def _grow(self, task: Task) -> None:
        with self._lock:
            if len(self.started) >= self._most:
                return
            name = f"{self._level}_{len(self.started)}"
            work = partial(_work, self._queue, self._idle, self._level)
            thread = threading.Thread(target=work, name=name, daemon=True)
            if start_thread(thread):
                self.started.append(thread)
                return
        if not self.started:
            # the process ends: the interpreter starts no more threads
            task.run()

    def __del__(self) -> None:
        self._queue.put(None)


def _work(tasks: queue.SimpleQueue[Task | None], idle: dict[int, None], level: str) -> None:
    """Run task after task. Not a method: a thread must not keep its pool alive."""
    _worker.level = level
    ident = threading.get_ident()
    while True:
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            idle[ident] = None
            task = tasks.get()
            # `submit` removes this entry, unless it looked before the entry was made
            idle.pop(ident, None)
        if task is None:
            # for the next thread
            tasks.put(None)
            return
        task.run()
        del task
