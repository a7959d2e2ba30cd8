"""The piece that a writer fills, in memory or in a temporary file, and the buffer of a whole download."""

from __future__ import annotations

import errno
import io
import mmap
import tempfile
from typing import BinaryIO

from cosv4fs.concurrency import Buffers
from cosv4fs.errors import CosError, make_error

_COPY_BELOW = 64 * 1024
"""Bytes below which a view is copied: each view costs a system call when it is sent."""


class MemoryPiece:
    """A piece of an object that is being filled, in memory. Large immutable views are kept, all others are copied.

    Parameters
    ----------
    size : int
        Bytes of a full piece.
    buffers : Buffers
        Lend the memory for copies.
    """

    def __init__(self, size: int, buffers: Buffers) -> None:
        self._size, self._buffers = size, buffers
        self._memory: bytearray | None = None
        self._copied = 0
        self.length = 0
        self.views: list[memoryview] = []

    @property
    def is_full(self) -> bool:
        """Whether the piece takes no more bytes."""
        return self.length == self._size

    def take(self, view: memoryview) -> int:
        """Take as many bytes as fit into the piece; return their number."""
        taken = view[: self._size - self.length]
        # the caller may change anything but bytes afterwards
        keep = isinstance(taken.obj, bytes) and len(taken) >= _COPY_BELOW
        self.views.append(taken if keep else self._copy(taken))
        self.length += len(taken)
        return len(taken)

    def release(self) -> None:
        """Give the memory back, after the piece was sent."""
        self.views.clear()
        if self._memory is not None:
            self._buffers.give_back(self._memory)
            self._memory = None

    def _copy(self, view: memoryview) -> memoryview:
        if self._memory is None:
            self._memory = self._buffers.borrow(self._size)
        # into a view: assigning to a bytearray's slice would copy twice
        copy = memoryview(self._memory)[self._copied : self._copied + len(view)]
        copy[:] = view
        self._copied += len(view)
        # adjacent copies are one view
        if self.views and self.views[-1].obj is self._memory:
            last = self.views.pop()
            return memoryview(self._memory)[self._copied - len(view) - len(last) : self._copied]
        return copy


class FilePiece:
    """A piece that is too large for memory while it is being filled; same interface as `MemoryPiece`.

    It is sent from the system's page cache.

    Parameters
    ----------
    size : int
        Bytes of a full piece.
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
        """Whether the piece takes no more bytes."""
        return self.length == self._size

    @property
    def views(self) -> list[memoryview]:
        """The bytes, as a view of the file."""
        if self._file is None:
            return []
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), self.length, access=mmap.ACCESS_READ)
        return [memoryview(self._map)]

    def take(self, view: memoryview) -> int:
        """Take as many bytes as fit into the piece; return their number.

        Raises
        ------
        OSError
            ENOSPC and the like, naming the folder and the option that moves it.
        """
        taken = rest = view[: self._size - self.length]
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="cosv4fs-", dir=self._folder)  # noqa: SIM115
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as fault:
            raise self._disk_error(fault) from fault
        self.length += len(taken)
        return len(taken)

    def release(self) -> None:
        """Drop the bytes, after the piece was sent or given up."""
        # the map ends with its last view, and the disk space with both
        self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        # a piece that was never sent
        self.release()

    def _disk_error(self, fault: OSError) -> CosError:
        folder = self._folder or tempfile.gettempdir()
        text = f"{fault.strerror}: a piece of this object is kept in {folder} until it is sent; make room there, or set"
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
        raise make_error(errno.ENOMEM, f"there is no memory for {size} bytes: read ranges", path) from None
