"""Pieces of an object that a writer fills, in memory or in a temporary file."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

from cosv4fs.concurrency import Buffers
from cosv4fs.transfer.temporary import TemporaryFile

_COPY_BELOW = 64 * 1024
"""Bytes below which a written view is copied: each view costs a system call when it is sent."""


class _Piece(ABC):
    """A piece of an object that is being filled; `size` is the bytes of the full piece."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.length = 0

    @property
    def is_full(self) -> bool:
        """Whether the piece takes no more bytes."""
        return self.length == self._size

    def take(self, view: memoryview, start: int = 0) -> int:
        """Take as many bytes as fit into the piece, of a written view from `start` on; return their number."""
        taken = view[start : start + self._size - self.length]
        self._add(taken, view)
        self.length += len(taken)
        return len(taken)

    @abstractmethod
    def _add(self, taken: memoryview, view: memoryview) -> None:
        """Add bytes, which are a part of a written view."""


class MemoryPiece(_Piece):
    """A piece of an object that is being filled, in memory.

    Large immutable views are kept. All others are copied, also those that keep much more than their own bytes alive.

    Parameters
    ----------
    size : int
        Bytes of the full piece.
    buffers : Buffers
        Lend memory for copies.
    step : int, optional
        Bytes to borrow at once, for a piece that lives long and may never be full; the first steps are smaller unless
        more comes. All at once unless given.
    """

    def __init__(self, size: int, buffers: Buffers, step: int | None = None) -> None:
        super().__init__(size)
        self._buffers, self._step = buffers, step
        self._views: list[memoryview] = []
        self._memory: list[bytearray] = []
        # of the memory that was borrowed last: bytes in use, and the first of them that are in no view yet
        self._used = self._begin = 0

    @property
    def views(self) -> list[memoryview]:
        """The bytes, in views that belong one after another."""
        if self._used == self._begin:
            return self._views
        return [*self._views, memoryview(self._memory[-1])[self._begin : self._used]]

    def _add(self, taken: memoryview, view: memoryview) -> None:
        # other pieces, which are sent as soon, keep the rest of the view
        if self._keeps(taken, view if self._step is None else taken):
            self._end_copies()
            self._views.append(taken)
        else:
            self._copy(taken)

    def drain(self) -> Iterator[memoryview]:
        """Yield the bytes, view by view, and drop each of them before the next one."""
        views = deque(self.views)
        self._views, self._memory, self._used, self._begin = [], [], 0, 0
        while views:
            yield views.popleft()

    def release(self) -> None:
        """Give the memory back, after the piece was sent."""
        self._views, self._used, self._begin = [], 0, 0
        while self._memory:
            self._buffers.give_back(self._memory.pop())

    @staticmethod
    def _keeps(taken: memoryview, whole: memoryview) -> bool:
        # the caller may change anything but bytes afterwards
        return len(taken) >= _COPY_BELOW and isinstance(whole.obj, bytes) and len(whole.obj) <= 2 * len(whole)

    def _copy(self, view: memoryview) -> None:
        while len(view):
            if not self._memory or self._used == len(self._memory[-1]):
                self._end_copies()
                self._memory.append(self._borrow(len(view)))
                self._used = self._begin = 0
            end = min(self._used + len(view), len(self._memory[-1]))
            copied = end - self._used
            # into a view: assigning to a bytearray's slice would copy twice
            memoryview(self._memory[-1])[self._used : end] = view[:copied]
            self._used, view = end, view[copied:]

    def _end_copies(self) -> None:
        self._views, self._begin = self.views, self._used

    def _borrow(self, wanted: int) -> bytearray:
        if self._step is None:
            return self._buffers.borrow(self._size)
        return self._buffers.borrow(min(self._step, max(wanted, _COPY_BELOW * 16 ** len(self._memory))))


class FilePiece(_Piece):
    """A piece that is too large for memory while it is being filled; same interface as `MemoryPiece`.

    It is sent from the system's page cache. `folder` and `path` are as for `TemporaryFile`.
    """

    def __init__(self, size: int, folder: str | None, path: str) -> None:
        super().__init__(size)
        self._file = TemporaryFile(folder, path, "a piece of this object is kept in {folder} until it is sent")
        self._map: mmap.mmap | None = None

    @property
    def views(self) -> list[memoryview]:
        """The bytes, as a view of the file."""
        if not self.length:
            return []
        if self._map is None:
            self._map = self._file.map(self.length)
        return [memoryview(self._map)]

    def _add(self, taken: memoryview, view: memoryview) -> None:
        self._file.write(self.length, taken)

    def release(self) -> None:
        """Drop the bytes, after the piece was sent or given up."""
        # the map ends with its last view, and the disk space with both
        self._map, self.length = None, 0
        self._file.close()

    def __del__(self) -> None:
        # a piece that was never sent
        self.release()
