"""The sources of uploads: memory, a file, or a spool. All can be read at any offset, repeatedly."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from cosv4fs.concurrency import Buffers
from cosv4fs.errors import make_error
from cosv4fs.options import MIB

if TYPE_CHECKING:
    from typing_extensions import Self


class Source(Protocol):
    """Bytes that can be read at any offset from any thread."""

    size: int

    @property
    def is_hashed(self) -> bool:
        """Whether `sha1` costs nothing."""

    @property
    def was_touched(self) -> bool:
        """Whether the source was modified since it was opened, so that its content may differ."""

    def lend(self, offset: int, length: int, buffers: Buffers) -> AbstractContextManager[memoryview]:
        """Lend the bytes at `offset`, for as long as the context lasts."""

    def sha1(self) -> str:
        """Return the SHA-1 of the whole content, in hex."""

    def check_unchanged(self) -> None:
        """Check that the content is unchanged.

        Raises
        ------
        OSError
            EIO.
        """


class MemorySource:
    """Bytes in memory; what it lends are views, nothing is copied.

    Parameters
    ----------
    content : bytes-like
        The whole content; it must not change.
    """

    is_hashed = False
    was_touched = False

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

    def check_unchanged(self) -> None:
        """Do nothing: the caller must not change the memory while it is sent."""


class FileSource:
    """A local file, read piece by piece into reused buffers.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    OSError
        From opening it; and from reading when it became shorter.
    """

    is_hashed = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file: BinaryIO = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by close()
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
        """Check that the file was not written to since it was opened: the object would be a mixture.

        Raises
        ------
        OSError
            EIO, naming the file.
        """
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.status.st_size, self.status.st_mtime_ns):
            text = "the local file was changed while it was being uploaded: nothing is published"
            raise make_error(errno.EIO, text, self._path)

    @property
    def was_touched(self) -> bool:
        """Whether the file was renamed, given other attributes, or written to and then given its old times."""
        return os.fstat(self._file.fileno()).st_ctime_ns != self.status.st_ctime_ns

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

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


class Spool:
    """Bytes of an object whose size is not known yet: memory first, then an unnamed temporary file.

    Parameters
    ----------
    memory : int
        Bytes to keep in memory.
    folder : str or None
        Where the temporary file goes; None for the system's choice.
    path : str
        The object that is being written, for messages.
    """

    is_hashed = True
    was_touched = False

    def __init__(self, memory: int, folder: str | None, path: str) -> None:
        self._limit, self._folder, self._path = memory, folder, path
        self._memory: bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._digest = hashlib.sha1(usedforsecurity=False)
        self.size = 0

    def append(self, view: memoryview) -> None:
        """Add bytes at the end.

        Raises
        ------
        OSError
            ENOSPC and the like, naming the folder and the options that move it.
        """
        if self._memory is not None and self.size + len(view) > self._limit:
            self._roll_over()
        if self._memory is not None:
            self._memory += view
        else:
            self._write(view)
        self._digest.update(view)
        self.size += len(view)

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
        """Return the SHA-1 of all bytes so far, in hex; it was computed while they came."""
        return self._digest.hexdigest()

    def check_unchanged(self) -> None:
        """Do nothing: no other process can change the temporary file."""

    def close(self) -> None:
        """Drop the bytes and remove the temporary file."""
        self._memory = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _roll_over(self) -> None:
        held, self._memory = self._memory, None
        try:
            self._file = tempfile.TemporaryFile(buffering=0, prefix="cosv4fs-", dir=self._folder)  # noqa: SIM115
        except OSError as fault:
            raise self._disk_error(fault) from fault
        self._write(memoryview(held or b""))

    def _write(self, view: memoryview) -> None:
        if self._file is None:
            raise make_error(errno.EIO, "nothing more can be written: an earlier write failed", self._path)
        try:
            while len(view):
                view = view[self._file.write(view) :]
        except OSError as fault:
            raise self._disk_error(fault) from fault

    def _disk_error(self, fault: OSError) -> OSError:
        folder = self._folder or tempfile.gettempdir()
        text = (
            f"{fault.strerror}: the size of this object is not known in advance, so it is kept in {folder} until it is "
            "complete; make room there, set spool_dir= to another folder, or give the size with open(..., size=)"
        )
        return make_error(fault.errno or errno.EIO, text, self._path)


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
