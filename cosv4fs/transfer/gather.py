"""The bytes of one slice while they come: what cannot change is kept as it is, everything else is copied."""

from __future__ import annotations

from cosv4fs.transfer.workers import Workers

__all__ = ["Gathered"]

_WORTH_KEEPING = 64 * 1024
"""Smaller pieces are copied: a piece costs a system call when it is sent."""


class Gathered:
    """A slice that is being filled.

    Parameters
    ----------
    size : int
        Bytes of a full slice.
    workers : Workers
        Lend the memory for what has to be copied.
    """

    def __init__(self, size: int, workers: Workers) -> None:
        self._size, self._workers = size, workers
        self._memory: bytearray | None = None
        self._copied = 0
        self.length = 0
        self.pieces: list[memoryview] = []

    @property
    def is_full(self) -> bool:
        """Whether no more bytes belong into it."""
        return self.length == self._size

    def take(self, view: memoryview) -> int:
        """Take as many bytes as belong into the slice; return how many."""
        part = view[: self._size - self.length]
        # bytes never change, so they may be sent from where they are; the caller may reuse anything else
        keep = isinstance(part.obj, bytes) and len(part) >= _WORTH_KEEPING
        self.pieces.append(part if keep else self._copy(part))
        self.length += len(part)
        return len(part)

    def release(self) -> None:
        """Give the memory back: the slice was sent."""
        self.pieces.clear()
        if self._memory is not None:
            self._workers.give_back(self._memory)
            self._memory = None

    def _copy(self, part: memoryview) -> memoryview:
        if self._memory is None:
            self._memory = self._workers.borrow(self._size)
        # into a view: assigning to a bytearray's slice would copy twice
        copy = memoryview(self._memory)[self._copied : self._copied + len(part)]
        copy[:] = part
        self._copied += len(part)
        # copies that lie behind one another are one piece
        if self.pieces and self.pieces[-1].obj is self._memory:
            last = self.pieces.pop()
            return memoryview(self._memory)[self._copied - len(part) - len(last) : self._copied]
        return copy
