"""What is uploaded: sources, which can be read again. `Spool` is the one of what is being written."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from cosv4fs.concurrency import Buffers, cancellation
from cosv4fs.errors import make_error
from cosv4fs.options import MIB

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

_TICK = 20_000_000
"""Nanoseconds after which a change has another time than the one before: kernels count the time in 1 to 10 ms."""

_COARSE_TICK = 2_020_000_000
"""The same where a file system stores whole seconds, or only even ones."""


class Source(ABC):
    """Bytes that can be read at any offset from any thread, repeatedly."""

    size: int

    hashes_itself: ClassVar[bool] = False
    """Whether the SHA-1 is computed beside everything else, so that `sha1` only waits for it."""

    may_change_unnoticed: bool = False
    """Whether a modification could be one that neither `check_unchanged` nor `was_touched` shows."""

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

    def __init__(self, content: Buffer) -> None:
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
        self._file: BinaryIO = io.FileIO(self._path)
        before = time.time_ns()
        self.status = os.fstat(self._file.fileno())
        self.size = self.status.st_size
        # a second change within one tick leaves the times as they are
        self.may_change_unnoticed = not _is_settled(self.status, before)
        self._lock = threading.Lock()

    @property
    def is_stream(self) -> bool:
        """Whether the size is unknown until everything is read: a pipe, a device, or a file of ``/proc``."""
        if not stat.S_ISREG(self.status.st_mode):
            return True
        return self.size == 0 and read_at(self._file, self._lock, 0, memoryview(bytearray(1))) > 0

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
            if read_at(self._file, self._lock, offset, view) < length:
                raise make_error(errno.EIO, "the local file became shorter while it was being uploaded", self._path)
            yield view

    def sha1(self) -> str:
        """Return the SHA-1 of the whole content, in hex."""
        return _sha1_of(self._file, self._lock, self.size)


def _is_settled(status: os.stat_result, now: int) -> bool:
    """Return whether every change of a file from now on, in Unix nanoseconds, gives it new times."""
    stamps = status.st_mtime_ns, status.st_ctime_ns
    is_coarse = not any(stamp % 1_000_000_000 for stamp in stamps)
    return now - max(stamps) >= (_COARSE_TICK if is_coarse else _TICK)


def read_at(file: BinaryIO, lock: threading.Lock, offset: int, view: memoryview) -> int:
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
    while count := read_at(file, lock, offset, view[: max(0, size - offset)]):
        cancellation.check()
        digest.update(view[:count])
        offset += count
    return digest.hexdigest()
