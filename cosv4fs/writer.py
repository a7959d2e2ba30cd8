"""Files opened for writing."""

from __future__ import annotations

import errno
import io
import operator
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Protocol, SupportsIndex

from fsspec.spec import AbstractFileSystem

from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.errors import CosError, make_error
from cosv4fs.handled_exceptions import caller_level, concerns_caller, failure_since, handled_exceptions, leaves_block
from cosv4fs.info import Info
from cosv4fs.objectfile import ObjectFile
from cosv4fs.transfer.writer import ObjectWriter
from cosv4fs.unclosed import report, watch

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__all__ = ["CosWriter"]

_SILENT = (GeneratorExit, SystemExit)
"""Exceptions that nobody sees: they end the blocks of a generator that is closed early, and of a program that exits."""


class _Changed(Protocol):
    def __call__(self, *, written: bool) -> None:
        """Handle a possible change of the object."""


class CosWriter(ObjectFile, io.BufferedIOBase):
    """A file opened for writing. The object is published atomically on close. ``blocksize`` is that of its slices.

    The old object stays unchanged if the ``with`` block raises, after `discard`, and if the file is never closed: a
    `RuntimeWarning` then names it. The same holds if it is closed while an exception is being handled, because that is
    how ``with fsspec.open(…)``, pandas and pyarrow close files after a failure. Exceptions that do not count are those
    that were being handled when the file was opened, and those of a caller that only resumes the generator in which
    the file is closed (see `cosv4fs.handled_exceptions`). A ``with`` block of the file itself that ends well always
    publishes.

    Parameters
    ----------
    fs : AbstractFileSystem
        The filesystem of the object.
    path : str
        ``bucket/dir/name``.
    mode : str
        ``wb``, ``xb``, or ``ab``, where all writes go to the end.
    writer : ObjectWriter
        Uploads the bytes.
    autocommit : bool
        False inside a transaction, where `commit` publishes.
    changed : callable
        Called after the object may have changed; `written` says whether a new object was published.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        path: str,
        mode: str,
        writer: ObjectWriter,
        autocommit: bool,
        changed: _Changed,
    ) -> None:
        super().__init__()
        self.fs, self.path, self.mode, self.autocommit = fs, path, mode, autocommit
        self.blocksize = fs.config.slice_size
        self._changed = changed
        self._lock = threading.RLock()
        self._complete = self._published = self.is_lost = False
        self._failure: OSError | None = None
        self._opened_during = handled_exceptions()
        self._discarded_for: str | None = None
        self._pid = os.getpid()
        self._ends_well = False
        start_background()
        # the finalizer does nothing without it
        self._writer = writer
        watch(self)

    def __repr__(self) -> str:
        return f"<CosWriter {self.path} ({'closed' if self.closed else self.mode})>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self.path}: a file opened for writing belongs to the process that opened it")

    def info(self) -> Info:
        """Return the metadata of the object, as `fs.info` does; raise `ValueError` until it is published."""
        if not self._published:
            raise ValueError(f"{self.path} has no metadata before the file is closed and published")
        info: Info = self.fs.info(self.path)
        return info

    @property
    def details(self) -> Info:
        """The same as `info`, by the name that fsspec's files have for it; missing until the object is published."""
        if not self._published:
            raise AttributeError(f"{self.path} has no details before the file is closed and published")
        return self.info()

    def readable(self) -> bool:
        """Return False: a file that is being written need not be kept here. `read` works as long as `seek` does."""
        self._refuse_closed()
        return False

    def writable(self) -> bool:
        """Return True; raise `ValueError` if the file is closed."""
        self._refuse_closed()
        return True

    def seekable(self) -> bool:
        """Return whether `seek` is possible now: until bytes were sent, and for ever after a `seek` before that."""
        self._refuse_closed()
        return self._writer.is_seekable

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._writer.size

    def tell(self) -> int:
        """Return the position in bytes."""
        self._refuse_closed()
        return self._writer.position

    def seek(self, offset: SupportsIndex, whence: SupportsIndex = 0, /) -> int:
        """Set the position in bytes, which may lie behind the end, and return it; see `io.IOBase.seek`.

        From the first call on the file is kept in memory or a temporary file until it is closed.

        Raises
        ------
        io.UnsupportedOperation
            ESPIPE, which is an `OSError`: bytes were sent already, because the size is known, the memory of the spool
            was full, or the file is an object of a coffer. With ``ab``: the position is not given as ``seek(0, 2)``.
        """
        with self._changing():
            if self.mode == "ab" and (operator.index(offset), operator.index(whence)) != (0, os.SEEK_END):
                raise self._append_only("seek")
            return self._writer.seek(offset, whence)

    def _append_only(self, what: str) -> io.UnsupportedOperation:
        # local files let libraries go back here, and then write what belongs there to the end: archives get damaged
        text = f"{what} is not possible in a file opened to append to it, where all is written to the end"
        return io.UnsupportedOperation(errno.ESPIPE, text, self.path)

    def truncate(self, size: SupportsIndex | None = None, /) -> int:
        """Set the size in bytes, to the position unless given, and return it. Raises like `seek`."""
        with self._changing():
            return self._writer.truncate(size)

    def read(self, size: SupportsIndex | None = -1, /) -> bytes:
        """Return up to `size` bytes that were written, all up to the end if negative or None. Raises like `seek`.

        For libraries that read back what they wrote, such as HDF5.
        """
        with self._changing():
            if self.mode == "ab":
                raise self._append_only("read")
            return self._writer.read(-1 if size is None else operator.index(size))

    read1 = read

    def write(self, data: Buffer, /) -> int:
        """Write bytes and return their number.

        Raises
        ------
        ValueError
            The file is closed.
        OSError
            The upload failed, or the temporary file cannot be written (ENOSPC), perhaps with the bytes of an earlier
            call: other threads send and write them. Nothing will be published.
        """
        self._refuse_closed()
        with memoryview(data) as view:
            if self.is_lost:
                # the buffer of a lost io file on top of this one
                return view.nbytes
            if self.is_of_parent:
                raise self._parents_error()
            return self._write(view)

    def _write(self, view: memoryview) -> int:
        with self._lock:
            # another thread may have closed the file meanwhile
            self._refuse_closed()
            if self.mode == "ab":
                self._writer.seek(0, os.SEEK_END)
            self._writer.write(flat(view))
            return view.nbytes

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; refuse a closed file, and the copy of a file in a forked child, as `write` does."""
        self._refuse_closed()
        if self.is_of_parent:
            raise self._parents_error()
        with self._lock:
            self._refuse_closed()
            yield

    def _refuse_closed(self) -> None:
        if self.closed:
            raise closed_error(self.path)

    def flush(self, force: bool = False) -> None:
        """Do nothing: full slices are sent anyway, and nothing is published before the file is closed.

        `force` is part of fsspec's interface.
        """
        self._refuse_closed()

    def close(self) -> None:
        """Complete the upload and publish the object.

        Raises
        ------
        OSError
            The upload failed, or the temporary file could not be written; an old object is unchanged.
        """
        if self.closed:
            return
        if self.is_lost or self.is_of_parent:
            self._shut()
            if self.is_lost:
                return
            raise self._parents_error()
        error = self._failure_of_others()
        if error is not None:
            self._discard_for(error)
            return
        with self._lock:
            self._finish()

    def _failure_of_others(self) -> BaseException | None:
        """Return the exception because of which the file is probably being closed, or None."""
        error = None if self._ends_well else failure_since(self._opened_during)
        return error if error is not None and concerns_caller(error) else None

    def _finish(self) -> None:
        if self.closed:
            # another thread was faster
            self.raise_failure()
            return
        try:
            self._writer.finish()
            self._complete = True
            self._published = self.autocommit
        except BaseException as error:
            self._failure = _without_frames(error, self.path)
            self._writer.abort()
            raise
        finally:
            self._shut()
            self._changed(written=self._published)

    def raise_failure(self) -> None:
        """Raise the failure of `close`, if another thread closed the file."""
        if self._failure is not None:
            raise self._failure

    @property
    def is_published(self) -> bool:
        """Whether the object is visible."""
        return self._published

    @property
    def is_discarded(self) -> bool:
        """Whether the file was closed without publishing anything, on purpose or because of an exception."""
        return self.closed and not self._complete and self._failure is None and not self.is_lost

    def check_complete(self) -> None:
        """Raise unless the file was closed, and its bytes were uploaded.

        Raises
        ------
        OSError
            The failure of `close`; or EIO: the file was not closed, or was discarded.
        """
        self.raise_failure()
        if self._complete:
            return
        if self.is_discarded:
            raise make_error(errno.EIO, "the file was discarded: it cannot be published", self.path)
        text = "the file was not closed before the end of its transaction: nothing is published"
        raise make_error(errno.EIO, text, self.path)

    def commit(self) -> None:
        """Publish a closed file of a transaction.

        Raises
        ------
        OSError
            The file is not complete (see `check_complete`), or the service refused it.
        """
        with self._lock:
            self.check_complete()
            if not self._published:
                self._writer.publish()
                self._published = True
        self._changed(written=True)

    def discard(self) -> None:
        """Close the file without publishing anything."""
        if self.is_of_parent:
            self._shut()
            return
        with self._lock:
            self._shut()
            if not self._published:
                self._complete = False
                self._writer.abort()
            self._changed(written=False)

    def end_well(self) -> None:
        """Record that the ``with`` block of the file ended without an exception.

        An exception handled elsewhere, for example by the caller of a generator, then does not discard the file.
        """
        self._ends_well = True

    def _parents_error(self) -> CosError:
        text = "the file was opened before a fork, and only the process that opened it can write to it"
        return make_error(errno.EBADF, text, self.path)

    def _discard_for(self, error: BaseException) -> None:
        """Discard the file because of an exception; warn unless that leaves a ``with`` block and is seen elsewhere."""
        self._discarded_for = type(error).__name__
        if leaves_block(error):
            self.discard_after(type(error))
            return
        self.discard()
        warnings.warn(
            f"{self.path} was closed while {self._discarded_for} was being handled, and was discarded: close it "
            "outside the handler to keep it",
            RuntimeWarning,
            stacklevel=caller_level(),
        )

    def discard_after(self, kind: type[BaseException]) -> None:
        """Discard the file because its ``with`` block raised; warn if nobody sees this `kind` of exception."""
        if issubclass(kind, _SILENT) and not self.closed and not self.is_of_parent:
            # a generator may be closed by the garbage collector
            report(f"{self.path} was discarded, and was not written: its with block ended with {kind.__name__}")
        self.discard()

    def loss(self, *, may_close: bool = False) -> str | None:
        """Return what is lost if nobody uses the file any more; None if it was published or discarded.

        With `may_close`, what is lost unless an exit handler that runs later does so.
        """
        if not self.closed:
            state = "was never closed, and was not written"
            if may_close:
                state = "is not closed, and will not be written unless an exit handler closes it"
            return f"{self.path} {state}: open it in a with block, or close it"
        if self._complete and not self._published:
            state = "will not be written unless an exit handler ends its transaction"
            return f"{self.path} {state if may_close else 'was not written: its transaction did not end'}"
        return None

    def _shut(self) -> None:
        self._opened_during = ()
        super().close()

    def __enter__(self) -> Self:
        self._refuse_closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard_after(kind)
        elif self._discarded_for is not None:
            text = f"the file was discarded when it was closed while {self._discarded_for} was being handled"
            raise make_error(errno.EIO, text, self.path)
        else:
            self.end_well()
            self.close()

    def _dealloc_warn(self, source: object = None) -> None:
        """Discard an unclosed file; finalizers of `io` files on top of it call this."""
        text = None if getattr(self, "_writer", None) is None or self.is_lost else self.loss()
        if text is None:
            return
        # not closed here, and later writes are ignored: the io file on top still flushes and closes this one
        self.is_lost = True
        if not self.is_of_parent:
            report(text)
            run_in_background(partial(_abort, self._writer, self._changed))

    def __del__(self) -> None:
        self._dealloc_warn()


def flat(view: memoryview) -> memoryview:
    """Return memory as bytes, one after another, whatever its dimensions and items are."""
    return view.cast("B") if view.contiguous and view.nbytes else memoryview(view.tobytes())


def closed_error(path: str) -> ValueError:
    """Return the error for the use of a closed file."""
    return ValueError(f"I/O operation on closed file {path}")


def _abort(writer: ObjectWriter, changed: _Changed) -> None:
    try:
        writer.abort()
    finally:
        # parent directories may have been created
        changed(written=False)


def _without_frames(error: BaseException, path: str) -> OSError:
    """Return the failure for other threads, without frames, which would keep the file alive."""
    if isinstance(error, CosError):
        return copy(error).with_traceback(None)
    return make_error(errno.EIO, f"the file could not be completed: {type(error).__name__}: {error}", path)
