"""What is uploaded: sources, which can be read again (memory, a file, a spool), and the pieces that a writer fills."""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import stat
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from cosv4fs.concurrency import Buffers
from cosv4fs.errors import make_error
from cosv4fs.options import MIB

if TYPE_CHECKING:
    from typing_extensions import Self


_log = logging.getLogger("cosv4fs")

_COPY_BELOW = 64 * 1024
"""Bytes below which a written view is copied: each view costs a system call when it is sent."""


class Source(ABC):
    """Bytes that can be read at any offset from any thread, repeatedly."""

    size: int

    is_hashed: ClassVar[bool] = False
    """Whether `sha1` costs nothing."""

    @property
    def was_touched(self) -> bool:
        """Whether the source was modified since it was opened, so that its content may differ."""
        return False

    @abstractmethod
    def lend(self, offset: int, length: int, buffers: Buffers) -> AbstractContextManager[memoryview]:
        """Lend the bytes at `offset`, for as long as the context lasts."""

    @abstractmethod
    def sha1(self) -> str:
        """Return the SHA-1 of the whole content, in hex."""

    def check_unchanged(self) -> None:
        """Raise EIO if the content is not the same as when the source was opened; memory always is."""
        return


class MemorySource(Source):
    """Bytes in memory, which must not change; what it lends are views, nothing is copied."""

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(content).cast("B")
        self.size = len(self._view)

    @contextmanager
    def lend(self, offset: int, length: int, buffers: Buffers) -> Iterator[memoryview]:
        """Lend a view of the bytes at `offset`."""
        yield self._view[offset : offset + length]

    def sha1(self) -> str:
        """Return the SHA-1 of the whole content, in hex."""
        return hashlib.sha1(self._view, usedforsecurity=False).hexdigest()


class FileSource(Source):
    """A local file, read piece by piece into reused buffers."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file: BinaryIO = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by __exit__()
        self.status = os.fstat(self._file.fileno())
        self.size = self.status.st_size
        self._lock = threading.Lock()

    @property
    def is_stream(self) -> bool:
        """Whether the size is unknown until everything is read: a pipe, a device, or a file of ``/proc``."""
        if not stat.S_ISREG(self.status.st_mode):
            return True
        return self.size == 0 and _read_at(self._file, self._lock, 0, memoryview(bytearray(1))) > 0

    def blocks(self) -> Iterator[bytes]:
        """Yield everything up to the end, in blocks."""
        while block := self._file.read(MIB):
            yield block

    def check_unchanged(self) -> None:
        """Raise EIO if the file was written to since it was opened: the object would be a mixture."""
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.status.st_size, self.status.st_mtime_ns):
            text = "the local file was changed while it was being uploaded: nothing is published"
            raise make_error(errno.EIO, text, self._path)

    @property
    def was_touched(self) -> bool:
        """Whether the file was renamed, given other attributes, or written to and then given its old times."""
        return os.fstat(self._file.fileno()).st_ctime_ns != self.status.st_ctime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._file.close()

    @contextmanager
    def lend(self, offset: int, length: int, buffers: Buffers) -> Iterator[memoryview]:
        """Lend a reused buffer with the bytes at `offset`."""
        with buffers.lend(length) as view:
            if _read_at(self._file, self._lock, offset, view) < length:
                raise make_error(errno.EIO, "the local file became shorter while it was being uploaded", self._path)
            yield view

    def sha1(self) -> str:
        """Return the SHA-1 of the whole content, in hex."""
        return _sha1_of(self._file, self._lock, self.size)


class Spool(Source):
    """Bytes of an object that is being written: up to `memory` of them in memory, then an unnamed temporary file.

    Its `folder` is the system's choice if None. `path` is the object that is being written, for messages.
    """

    is_hashed = True

    def __init__(self, memory: int, folder: str | None, path: str) -> None:
        self._limit, self._folder, self._path = memory, folder, path
        self._memory: bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        # None after bytes were replaced: then the SHA-1 is computed at the end
        self._digest: hashlib._Hash | None = hashlib.sha1(usedforsecurity=False)
        self.size = 0

    def append(self, view: memoryview) -> None:
        """Add bytes at the end."""
        if self._memory is not None and self.size + len(view) <= self._limit:
            self._memory += view
        else:
            self._write(self.size, view)
        if self._digest is not None:
            self._digest.update(view)
        self.size += len(view)

    def replace(self, offset: int, view: memoryview) -> None:
        """Write bytes at any offset; if it is behind the end, zeros fill the gap."""
        end = offset + len(view)
        self._digest = None
        if self._memory is not None and max(end, self.size) <= self._limit:
            self._memory.extend(bytes(max(0, offset - self.size)))
            self._memory[offset:end] = view
        else:
            self._write(offset, view)
        self.size = max(self.size, end)

    def truncate(self, size: int) -> None:
        """Drop the bytes from an offset on; if it is behind the end, add zeros up to there."""
        if size == self.size:
            return
        if self._memory is not None and size <= self._limit:
            del self._memory[size:]
            self._memory.extend(bytes(max(0, size - self.size)))
        else:
            with self._filed() as file:
                file.truncate(size)
        self._digest, self.size = None, size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from an offset on."""
        length = max(0, min(length, self.size - offset))
        if self._memory is not None:
            return bytes(memoryview(self._memory)[offset : offset + length])
        view = memoryview(bytearray(length))
        with self._filed() as file:
            return bytes(view[: _read_at(file, self._lock, offset, view)])

    @contextmanager
    def lend(self, offset: int, length: int, buffers: Buffers) -> Iterator[memoryview]:
        """Lend the bytes at `offset`: a view of the memory, or a reused buffer read from the file."""
        if self._memory is not None:
            yield memoryview(self._memory)[offset : offset + length]
            return
        assert self._file is not None  # rolled over
        with buffers.lend(length) as view:
            if _read_at(self._file, self._lock, offset, view) < length:
                raise make_error(errno.EIO, "the temporary file became shorter than what was written", self._path)
            yield view

    def sha1(self) -> str:
        """Return the SHA-1 of all bytes so far, in hex; it was computed while they came, unless some were replaced."""
        if self._digest is not None:
            return self._digest.hexdigest()
        if self._memory is not None:
            return hashlib.sha1(self._memory, usedforsecurity=False).hexdigest()
        with self._filed() as file:
            return _sha1_of(file, self._lock, self.size)

    def close(self) -> None:
        """Drop the bytes and remove the temporary file."""
        self._memory = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, offset: int, view: memoryview) -> None:
        with self._filed() as file:
            file.seek(offset)
            _write_all(file, view)

    @contextmanager
    def _filed(self) -> Iterator[BinaryIO]:
        """Keep the bytes in the file from now on, and lend it."""
        if self._memory is None and self._file is None:
            raise make_error(errno.EIO, "nothing more can be written: an earlier write failed", self._path)
        held, self._memory = self._memory, None
        reason = "this object is kept in {folder} until it is complete"
        advice = ", or give the size with open(..., size=) and write without going back"
        with _explained(self._folder, self._path, reason, advice):
            if self._file is None:
                self._file = _temporary_file(self._folder)
                _log.debug("%r: kept in a temporary file until it is complete", self._path)
            if held is not None:
                _write_all(self._file, memoryview(held))
            yield self._file


class MemoryPiece:
    """A piece of an object that is being filled, in memory. Large immutable views are kept, all others are copied."""

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

    It is sent from the system's page cache. `folder` and `path` are as for `Spool`.
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
        """Take as many bytes as fit into the piece; return their number."""
        taken = view[: self._size - self.length]
        with _explained(self._folder, self._path, "a piece of this object is kept in {folder} until it is sent"):
            if self._file is None:
                self._file = _temporary_file(self._folder)
            _write_all(self._file, taken)
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


@contextmanager
def _explained(folder: str | None, path: str, reason: str, advice: str = "") -> Iterator[None]:
    """Name the folder of temporary files, and the option that moves it, in errors such as ENOSPC."""
    try:
        yield
    except OSError as fault:
        why = reason.format(folder=folder or tempfile.gettempdir())
        text = f"{fault.strerror}: {why}; make room there, or set spool_dir= to another folder{advice}"
        raise make_error(fault.errno or errno.EIO, text, path) from fault


def _temporary_file(folder: str | None) -> BinaryIO:
    """Return an unnamed temporary file. Its owner keeps it before the first write, and closes it when that fails."""
    return tempfile.TemporaryFile(buffering=0, prefix="cosv4fs-", dir=folder)


def _write_all(file: BinaryIO, view: memoryview) -> None:
    while len(view):
        view = view[file.write(view) :]


def _read_at(file: BinaryIO, lock: threading.Lock, offset: int, view: memoryview) -> int:
    """Fill `view` from `offset` on; return the number of bytes that were there."""
    done = 0
    while done < len(view):
        if hasattr(os, "preadv"):
            count = os.preadv(file.fileno(), [view[done:]], offset + done)
        else:
            with lock:
                file.seek(offset + done)
                count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _sha1_of(file: BinaryIO, lock: threading.Lock, size: int) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    view, offset = memoryview(bytearray(min(MIB, max(1, size)))), 0
    while count := _read_at(file, lock, offset, view[: max(0, size - offset)]):
        digest.update(view[:count])
        offset += count
    return digest.hexdigest()
