"""The threads and the memory of one runtime: one pool for slices and ranges, one for everything else, both bounded.

Files are handled on the second pool and wait for slices on the first; slices wait for nothing. So files and slices
never multiply, and no set of transfers can block itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cosv4fs.concurrency import Pool

T = TypeVar("T")
A = TypeVar("A")

_WORTH_KEEPING = 256 * 1024
"""Memory of fewer bytes is cheap to allocate."""


class Workers:
    """Two bounded pools of threads and the buffers that transfers reuse.

    Parameters
    ----------
    transfers, requests : int
        Slices or ranges in flight at once; other requests in flight at once.
    """

    def __init__(self, transfers: int, requests: int) -> None:
        self.concurrency = transfers
        self.transfers = Pool(transfers, "cosv4fs-transfer")
        self.requests = Pool(requests, "cosv4fs-request")
        self._buffers: list[bytearray] = []

    def each(self, function: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Apply a function to all items on the pool for requests; see `Pool.map`."""
        return self.requests.map(function, items)

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
