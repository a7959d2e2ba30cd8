"""Visit the directories of a tree in parallel, in memory that does not grow with the tree.

Threads list directories and hand over pages; the thread that iterates takes them. A thread that is ahead waits. The
directory that was found last is listed next, so that those still to be listed are few; where one directory has very
many, they wait in a temporary file.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from cosv4fs.concurrency import Pool, TaskGroup, cancellation
from cosv4fs.concurrency.background import start_background
from cosv4fs.stack import Stack

_F = TypeVar("_F")
_T = TypeVar("_T")


class Walk(Generic[_F, _T]):
    """The walk through one tree.

    Parameters
    ----------
    visit : callable
        Called in several threads with a directory. Yields pages: what the iteration yields, and the directories to
        visit.
    jobs : int
        Directories visited in parallel.
    """

    def __init__(self, visit: Callable[[_F], Iterator[tuple[_T, list[_F]]]], jobs: int) -> None:
        self._visit, self._jobs = visit, jobs
        self._running = 0
        # the thread that takes the pages; it may change from page to page
        self._owner = threading.get_ident()
        # a page with its directories; None at the end of a visit
        self._pages: queue.SimpleQueue[tuple[_T, list[_F]] | None] = queue.SimpleQueue()
        # one item for each page that may wait; a semaphore could stay locked after Ctrl-C
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(jobs):
            self._places.put(None)

    def pages(self, top: Stack[_F]) -> Iterator[_T]:
        """Yield the pages of all directories, in no particular order; raise the first error of a visit.

        Parameters
        ----------
        top : Stack
            The directories to begin with. Takes those that are found, and is closed at the end.
        """
        # it ends the threads of a walk that is not taken to its end
        start_background()
        with top as folders, TaskGroup(Pool(self._jobs, "cosv4fs-list")) as group:
            self._start(folders, group)
            while self._running:
                try:
                    page = self._pages.get(timeout=cancellation.CHECK_EVERY)
                except queue.Empty:
                    group.reap()
                    cancellation.check()
                    continue
                if page is None:
                    self._running -= 1
                else:
                    self._places.put(None)
                    folders.push(page[1])
                # before the page is yielded: directories are listed while the caller works on it
                self._start(folders, group)
                if page is not None:
                    yield page[0]
            group.wait()

    def _start(self, folders: Stack[_F], group: TaskGroup) -> None:
        self._owner = threading.get_ident()
        while folders and self._running < self._jobs:
            for folder in folders.pop(self._jobs - self._running):
                group.start(partial(self._run, folder))
                self._running += 1

    def _run(self, folder: _F) -> None:
        try:
            for page in self._visit(folder):
                self._hand_over(page)
        finally:
            # the group raises an error of this call
            self._pages.put(None)

    def _hand_over(self, page: tuple[_T, list[_F]]) -> None:
        # where no thread can be started, the call runs in the thread that would take the page
        while threading.get_ident() != self._owner:
            with suppress(queue.Empty):
                self._places.get(timeout=cancellation.CHECK_EVERY)
                break
            cancellation.check()
        self._pages.put(page)
