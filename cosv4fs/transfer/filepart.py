"""The bytes of one large part while they come: in a temporary file, sent from where the system keeps it."""

from __future__ import annotations

import errno
import mmap
import tempfile
from typing import BinaryIO

from cosv4fs.errors import CosError, make_error

__all__ = ["FilePart"]


class FilePart:
    """A part that is being filled, of a size that memory is not asked to hold; it has the same interface as `Gathered`.

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
        """Whether no more bytes belong into it."""
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
        """Take as many bytes as belong into the part; return how many.

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
        """Forget the bytes: the part was sent, or will not be."""
        # the map ends with the last view of it, and the file's space with both
        self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        # a part that was given up before its turn to be sent
        self.release()

    def _disk_error(self, fault: OSError) -> CosError:
        folder = self._folder or tempfile.gettempdir()
        text = f"{fault.strerror}: a part of this object is kept in {folder} until it is sent; make room there, or set"
        return make_error(fault.errno or errno.EIO, f"{text} spool_dir= to another folder", self._path)
