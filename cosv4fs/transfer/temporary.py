"""Unnamed temporary files, for what memory does not hold."""

from __future__ import annotations

import errno
import logging
import mmap
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from cosv4fs.errors import make_error
from cosv4fs.transfer.sources import read_at

_log = logging.getLogger("cosv4fs")


def check_folder(folder: str | None) -> None:
    """Raise an OSError if temporary files cannot be created in a folder that somebody has chosen; None: the system's.

    The first of them may be needed only after minutes of writing.
    """
    if folder is not None:
        _create(folder).close()


def _create(folder: str | None) -> BinaryIO:
    try:
        return tempfile.TemporaryFile(buffering=0, prefix="cosv4fs-", dir=folder)
    except OSError as fault:
        # about the folder, not the object: that one is neither missing nor refused
        where = folder or _system_folder()
        why = "temporary files of objects that are being written cannot be created here"
        raise OSError(fault.errno, f"{fault.strerror}: {why}; set spool_dir= to another folder", where) from fault


class TemporaryFile:
    """A temporary file without a name; created by the first write. Errors tell what to do.

    Parameters
    ----------
    folder : str, optional
        Where it is; the system's choice if None.
    path : str
        The object that is being written, for messages.
    reason, advice : str
        What is kept in the folder, and what can be done beside choosing another; for messages.
    """

    def __init__(self, folder: str | None, path: str, reason: str, advice: str = "") -> None:
        self._folder, self._path, self._reason, self._advice = folder, path, reason, advice
        self._file: BinaryIO | None = None
        # of the file's position
        self._lock = threading.Lock()

    def write(self, offset: int, view: memoryview) -> None:
        """Write bytes at an offset."""
        with self._lock:
            file = self._opened()
            with self._explained():
                file.seek(offset)
                while len(view):
                    view = view[file.write(view) :]

    def read(self, offset: int, view: memoryview) -> None:
        """Fill a view with the bytes at an offset; raise EIO if there are not that many."""
        if read_at(self._opened(), self._lock, offset, view) < len(view):
            raise make_error(errno.EIO, "the temporary file became shorter than what was written", self._path)

    def truncate(self, size: int) -> None:
        """Set the size; zeros are added."""
        file = self._opened()
        with self._explained():
            file.truncate(size)

    def map(self, size: int) -> mmap.mmap:
        """Return the first bytes as a map, which also keeps the disk space."""
        return mmap.mmap(self._opened().fileno(), size, access=mmap.ACCESS_READ)

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            # kept before the first write: it is closed when that fails
            self._file = _create(self._folder)
            _log.debug("%r: kept in a temporary file until it is complete", self._path)
        return self._file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name the folder, and the option that moves it, in errors such as ENOSPC."""
        try:
            yield
        except OSError as fault:
            why = self._reason.format(folder=self._folder or _system_folder())
            text = f"{fault.strerror}: {why}; make room there, or set spool_dir= to another folder{self._advice}"
            raise make_error(fault.errno or errno.EIO, text, self._path) from fault


def _system_folder() -> str | None:
    """Return the system's folder for temporary files, for a message; None if there is none."""
    with suppress(OSError):
        return tempfile.gettempdir()
    return None
