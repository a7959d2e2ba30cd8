"""Visit the directories of a tree in parallel, in memory that does not grow with the tree.

Threads list directories and hand over pages; the thread that iterates takes them. A thread that is ahead waits. The
directory that was found last is listed next, so that those still to be listed are few; where one directory has very
many, they wait in a temporary file.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from cosv4fs.concurrency import Pool, TaskGroup, cancellation

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")

_MOST_IN_MEMORY = 4096
"""Directories still to be listed that are held in memory, beside as many that are about to be written to a file."""


class Walk(Generic[_T]):
    """The walk through one tree.

    Parameters
    ----------
    visit : callable
        Called in several threads with the name of a directory. Yields pages: what the iteration yields, and the
        names of directories to visit.
    jobs : int
        Directories visited in parallel.
    """

    def __init__(self, visit: Callable[[str], Iterator[tuple[_T, list[str]]]], jobs: int) -> None:
        self._visit, self._jobs = visit, jobs
        self._owner = threading.get_ident()
        # a page with its directories; None at the end of a visit
        self._pages: queue.SimpleQueue[tuple[_T, list[str]] | None] = queue.SimpleQueue()
        # one item for each page that may wait; a semaphore could stay locked after Ctrl-C
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(jobs):
            self._places.put(None)

    def pages(self, top: str) -> Iterator[_T]:
        """Yield the pages of all directories, in no particular order; raise the first error of a visit."""
        running = 0
        with Stack() as folders, TaskGroup(Pool(self._jobs, "cosv4fs-list")) as group:
            folders.push([top])
            while folders or running:
                while folders and running < self._jobs:
                    group.start(partial(self._run, folders.pop()))
                    running += 1
                try:
                    page = self._pages.get(timeout=cancellation.CHECK_EVERY)
                except queue.Empty:
                    group.reap()
                    cancellation.check()
                    continue
                if page is None:
                    running -= 1
                    continue
                self._places.put(None)
                folders.push(page[1])
                yield page[0]
            group.wait()

    def _run(self, folder: str) -> None:
        for page in self._visit(folder):
            self._hand_over(page)
        self._pages.put(None)

    def _hand_over(self, page: tuple[_T, list[str]]) -> None:
        # where no thread can be started, the call runs in the thread that would take the page
        while threading.get_ident() != self._owner:
            with suppress(queue.Empty):
                self._places.get(timeout=cancellation.CHECK_EVERY)
                break
            cancellation.check()
        self._pages.put(page)


class Stack:
    """Names, of which the last one in is the first one out; all but some thousands are in a temporary file."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._file: IO[bytes] | None = None
        # where each part of the file begins
        self._parts: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._names) + len(self._parts)

    def push(self, names: list[str]) -> None:
        """Add names."""
        self._names += names
        while len(self._names) > 2 * _MOST_IN_MEMORY:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stack
            self._parts.append(self._file.seek(0, 2))
            # surrogates, of local names that are not UTF-8, are escaped
            self._file.write(json.dumps(self._names[:_MOST_IN_MEMORY]).encode())
            del self._names[:_MOST_IN_MEMORY]

    def pop(self) -> str:
        """Remove and return the name that was added last."""
        if not self._names and self._file is not None:
            start = self._parts.pop()
            self._file.seek(start)
            self._names = json.loads(self._file.read())
            self._file.truncate(start)
        return self._names.pop()
