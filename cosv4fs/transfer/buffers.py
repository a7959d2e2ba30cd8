"""Memory for transfers: reused buffers, the part that a writer fills, and the buffer of a whole download.

A large part that is being filled is kept in a temporary file instead, with the same interface.
"""

from __future__ import annotations

import errno
import io
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from cosv4fs.errors import CosError, make_error

_REUSE_FROM = 256 * 1024
"""Bytes from which memory is reused: fresh memory costs a page fault per 4 KiB."""

_COPY_BELOW = 64 * 1024
"""Bytes below which a piece is copied: a piece of its own costs a system call when it is sent."""


class Buffers:
    """Memory that transfers reuse; thread-safe.

    Parameters
    ----------
    most : int
        Idle buffers to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[bytearray] = []

    @contextmanager
    def lend(self, size: int) -> Iterator[memoryview]:
        """Lend `size` bytes during a block."""
        memory = self.borrow(size)
        try:
            yield memoryview(memory)[:size]
        finally:
            self.give_back(memory)

    def borrow(self, size: int) -> bytearray:
        """Return memory of at least `size` bytes."""
        if size < _REUSE_FROM:
            return bytearray(size)
        try:
            memory = self._idle.pop()
        except IndexError:
            return bytearray(size)
        return memory if len(memory) >= size else bytearray(size)

    def give_back(self, memory: bytearray) -> None:
        """Take borrowed memory back; nothing may use it any more."""
        if len(memory) >= _REUSE_FROM and len(self._idle) < self._most:
            self._idle.append(memory)


class MemoryPart:
    """A part of an object that is being filled, in memory. Large immutable pieces are kept, all others are copied.

    Parameters
    ----------
    size : int
        Bytes of a full part.
    buffers : Buffers
        Lend the memory for copies.
    """

    def __init__(self, size: int, buffers: Buffers) -> None:
        self._size, self._buffers = size, buffers
        self._memory: bytearray | None = None
        self._copied = 0
        self.length = 0
        self.pieces: list[memoryview] = []

    @property
    def is_full(self) -> bool:
        """Whether the part takes no more bytes."""
        return self.length == self._size

    def take(self, view: memoryview) -> int:
        """Take as many bytes as fit into the part; return their number."""
        part = view[: self._size - self.length]
        # the caller may change anything but bytes afterwards
        keep = isinstance(part.obj, bytes) and len(part) >= _COPY_BELOW
        self.pieces.append(part if keep else self._copy(part))
        self.length += len(part)
        return len(part)

    def release(self) -> None:
        """Give the memory back, after the part was sent."""
        self.pieces.clear()
        if self._memory is not None:
            self._buffers.give_back(self._memory)
            self._memory = None

    def _copy(self, part: memoryview) -> memoryview:
        if self._memory is None:
            self._memory = self._buffers.borrow(self._size)
        # into a view: assigning to a bytearray's slice would copy twice
        copy = memoryview(self._memory)[self._copied : self._copied + len(part)]
        copy[:] = part
        self._copied += len(part)
        # adjacent copies are one piece
        if self.pieces and self.pieces[-1].obj is self._memory:
            last = self.pieces.pop()
            return memoryview(self._memory)[self._copied - len(part) - len(last) : self._copied]
        return copy


class FilePart:
    """A part that is too large for memory while it is being filled; same interface as `MemoryPart`.

    It is sent from the system's page cache.

    Parameters
    ----------
    size : int
        Bytes of a full part.
    folder : str or None
        Where the temporary file goes; None for the system's choice.
    path : str
        The object that is being written, for messages.
    """

    def __init__(self, size: int, folder: str | None, path: str) -> None:
        self._size, self._folder, self._path = size, folder, path
        self._file: BinaryIO | None = None
        self._map: mmap.mmap | None = None
        self.length = 0

    @property
    def is_full(self) -> bool:
        """Whether the part takes no more bytes."""
        return self.length == self._size

    @property
    def pieces(self) -> list[memoryview]:
        """The bytes, as a view of the file."""
        if self._file is None:
            return []
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), self.length, access=mmap.ACCESS_READ)
        return [memoryview(self._map)]

    def take(self, view: memoryview) -> int:
        """Take as many bytes as fit into the part; return their number.

        Raises
        ------
        OSError
            ENOSPC and the like, naming the folder and the option that moves it.
        """
        part = rest = view[: self._size - self.length]
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="cosv4fs-", dir=self._folder)  # noqa: SIM115
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as fault:
            raise self._disk_error(fault) from fault
        self.length += len(part)
        return len(part)

    def release(self) -> None:
        """Drop the bytes, after the part was sent or given up."""
        # the map ends with its last view, and the disk space with both
        self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        # a part that was never sent
        self.release()

    def _disk_error(self, fault: OSError) -> CosError:
        folder = self._folder or tempfile.gettempdir()
        text = f"{fault.strerror}: a part of this object is kept in {folder} until it is sent; make room there, or set"
        return make_error(fault.errno or errno.EIO, f"{text} spool_dir= to another folder", self._path)


def zeroed(size: int, path: str) -> io.BytesIO:
    """Return a buffer of zeros, to be filled through ``getbuffer`` and taken by ``getvalue``; neither copies.

    A server may announce more than it sends. The system provides zeros page by page, when they are written to, so that
    a wrong announcement costs addresses and no memory.

    Raises
    ------
    OSError
        ENOMEM if there are not enough addresses.
    """
    try:
        # `bytes` asks the system for zeros, `bytearray` and a seek in the buffer would write them
        return io.BytesIO(bytes(size))
    except (MemoryError, OverflowError):
        raise make_error(errno.ENOMEM, f"there is no memory for {size} bytes: read parts", path) from None
