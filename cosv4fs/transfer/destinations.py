"""Where downloaded ranges go: new memory, or a local file."""

from __future__ import annotations

import errno
import io
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import BinaryIO

from cosv4fs.api import Version
from cosv4fs.api.download import Write
from cosv4fs.concurrency import cancellation
from cosv4fs.concurrency.buffers import Buffers
from cosv4fs.errors import make_error
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.sources import read_at

_STEP = 1024 * 1024
"""Bytes that are written to a local file at once, and read from it."""


class Destination(ABC):
    """Takes the ranges of one object in any order, from several threads at once."""

    size = 0
    """Bytes that will come in all, once the first range is allocated."""
    write: Write | None = None
    """Writes bytes at an offset, where memory is lent for one step of a range at a time."""

    @abstractmethod
    def allocate(self, length: int, version: Version) -> memoryview:
        """Return memory for the first range, of so many bytes, or for one step of it."""

    @abstractmethod
    def lend(self, wanted: range) -> AbstractContextManager[memoryview]:
        """Lend memory for a further range, or for one step of it."""

    @abstractmethod
    def piece(self, fetched: range) -> memoryview | Iterator[memoryview]:
        """Return the bytes of a range that has come."""


class InMemory(Destination):
    """New memory for bytes `start` up to `stop` of an object; with a negative start, for a single range."""

    def __init__(self, start: int, stop: int | None, path: str) -> None:
        self._start, self._stop, self._path = start, stop, path
        self._memory = io.BytesIO()
        self._view = memoryview(b"")

    def allocate(self, length: int, version: Version) -> memoryview:
        """Return memory for the first range: the beginning of that for all."""
        end = version.size if self._stop is None else min(self._stop, version.size)
        self._memory = zeroed(length if self._start < 0 else max(length, end - self._start), self._path)
        self._view = self._memory.getbuffer()
        self.size = len(self._view)
        return self._view[:length]

    @contextmanager
    def lend(self, wanted: range) -> Iterator[memoryview]:
        """Lend the memory for a further range."""
        with self.piece(wanted) as view:
            yield view

    def piece(self, fetched: range) -> memoryview:
        """Return the bytes of a range."""
        return self._view[fetched.start - self._start : fetched.stop - self._start]

    def taken(self) -> bytes:
        """Return all bytes."""
        self._view.release()
        # without exported views the buffer's bytes are shared, not copied
        return self._memory.getvalue()


class OnDisk(Destination):
    """A local file that ranges are written to in any order, by several threads, through memory that is reused."""

    def __init__(self, file: BinaryIO, buffers: Buffers, borrowed: ExitStack) -> None:
        self._file, self._buffers, self._borrowed = file, buffers, borrowed
        self._small: memoryview | None = None
        # the system lets one thread at a time write to a file, and the others would spin meanwhile
        self._lock = threading.Lock()

    def allocate(self, length: int, version: Version) -> memoryview:
        """Return memory for the first range: for all of a small object, or for one step of it."""
        self.size = version.size
        if length == version.size:
            self._small = self._borrowed.enter_context(self._buffers.lend(length))
            return self._small
        self._file.truncate(version.size)
        return self._borrowed.enter_context(self._buffers.lend(min(length, _STEP)))

    @contextmanager
    def lend(self, wanted: range) -> Iterator[memoryview]:
        """Lend memory for one step of a further range."""
        with self._buffers.lend(min(len(wanted), _STEP)) as view:
            yield view

    def write(self, view: memoryview, offset: int) -> None:
        """Write bytes at an offset."""
        while len(view):
            with self._lock:
                if hasattr(os, "pwrite"):
                    count = os.pwrite(self._file.fileno(), view, offset)
                else:
                    self._file.seek(offset)
                    count = self._file.write(view)
            view, offset = view[count:], offset + count

    def piece(self, fetched: range) -> memoryview | Iterator[memoryview]:
        """Return the bytes of a range; those of a large object are read again, when their turn comes."""
        return self._read(fetched) if self._small is None else self._small

    def _read(self, fetched: range) -> Iterator[memoryview]:
        with self._buffers.lend(min(len(fetched), _STEP)) as memory:
            for step in ranges(fetched.start, fetched.stop, _STEP):
                cancellation.check()
                view = memory[: len(step)]
                if read_at(self._file, self._lock, step.start, view) < len(step):
                    raise make_error(errno.EIO, "the file became shorter while it was written", None)
                yield view


class _Memory(io.BytesIO):
    """A buffer that may be lost while there are views of it."""

    def __del__(self) -> None:
        # that of BytesIO closes it; since Python 3.13 it reports on stderr that views are left, as after an error
        pass


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
        return _Memory(bytes(size))
    except (MemoryError, OverflowError):
        raise make_error(errno.ENOMEM, f"not enough memory for {size} bytes: read ranges instead", path) from None
