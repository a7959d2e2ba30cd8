"""File objects: what ``fs.open`` returns. No HTTP here; bytes are moved by the transfer floor."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from copy import copy
from functools import partial
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from fsspec.core import caches
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.content import Content
from cosv4fs.errors import CosError, make_error
from cosv4fs.options import MIB
from cosv4fs.transfer.integrity import SequentialCheck
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.writer import ObjectWriter

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self


__all__ = ["CompressedWriter", "CosV4Reader", "CosV4Writer", "TextWriter"]

_AT_ONCE = MIB
"""Bytes that are compressed before what came of them is sent."""


class _Changed(Protocol):
    def __call__(self, *, written: bool) -> None:
        """Take note that the service may have changed."""


class CosV4Reader(AbstractBufferedFile):  # type: ignore[misc]
    """A file opened for reading.

    One version of the object is read, that of the first bytes. Where it was replaced between a status that is
    cached and the first read, the file is that of now, unless the old size was told to somebody already.

    Nothing that it consists of refers to it, so a file that nobody closes ends with the last reference to it.

    Parameters
    ----------
    fs : AbstractFileSystem
        Where the object is.
    path : str
        ``bucket/dir/name``.
    block_size : int, optional
        Bytes per range.
    cache_type : str
        ``parallel`` (read-ahead in parallel ranges), or one of fsspec's caches.
    cache_options : dict, optional
        Further options of the cache.
    size : int, optional
        Bytes of the object, when the caller knows: saves a request.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        At once, unless `size` is given.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        path: str,
        block_size: int | None = None,
        cache_type: str = ReadAhead.name,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
    ) -> None:
        self._cache_type, self._cache_options = cache_type, cache_options or {}
        self._is_lost = self._is_closing = False
        self._open_content(Content(fs, path, size))
        # the cache is made below: fsspec's class would give it a method of the file
        super().__init__(fs, path, "rb", block_size or fs.blocksize, cache_type="none", size=self._content.size)
        self._pid = os.getpid()
        start_background()
        self.cache = self._new_cache()
        self._can_renew = cache_type == ReadAhead.name and self._content.status is not None

    def _open_content(self, content: Content) -> None:
        self._content = content
        self._fetch_range = content.fetch
        self._check = SequentialCheck(content.size, content.compare)

    @property
    def size(self) -> int:
        """Bytes of the object."""
        self._can_renew = False
        return self._content.size

    @size.setter
    def size(self, value: int) -> None:
        self._content.size = value

    def seek(self, loc: int, whence: int = 0) -> int:
        """Go to another place, in bytes; see `io`."""
        # who jumps knows what is where
        self._can_renew = False
        place: int = super().seek(loc, whence)
        return place

    def _new_cache(self) -> Any:
        content, options = self._content, self._cache_options
        if self._cache_type == ReadAhead.name:
            return ReadAhead(self.blocksize, content.fill, content.size, self.fs.workers, **options)
        return caches[self._cache_type](self.blocksize, content.fetch, content.size, **options)

    def _enter_process(self) -> None:
        """Make anew, in a forked child, what belongs to threads of the parent: they do not exist here."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._content.after_fork()
            self.cache = self._new_cache()

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes, all that are left when negative.

        Raises
        ------
        OSError
            EIO when the whole object was read from its beginning to its end and its SHA-1 is another; ESTALE when it
            was replaced since it was opened.
        ValueError
            The file is closed.
        """
        if not self.closed:
            self._enter_process()
        offset, data = self.loc, self._read(length)
        if self._content.sha is not None:
            self._check.add(offset, data)
        return data

    def _read(self, length: int) -> bytes:
        can_renew, self._can_renew = self._can_renew and self._details is None, False
        try:
            data: bytes = super().read(length)
        except CosError as error:
            if not can_renew or error.errno != errno.ESTALE:
                self._refuse_when_closing()
                raise
            # nobody has had a byte: the stale cache entry is dropped by now
            self.cache.close()
            self._open_content(Content(self.fs, self.path))
            self.cache = self._new_cache()
            data = super().read(length)
        except AttributeError:
            self._refuse_when_closing()
            raise
        return data

    def _refuse_when_closing(self) -> None:
        """Say why nothing more comes when another thread has closed the file meanwhile."""
        if self._is_closing:
            raise ValueError("I/O operation on closed file.") from None

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return all lines that are left; none at the end of the file, as files have it and fsspec's have not."""
        return list(self) if hint is None or hint <= 0 else io.IOBase.readlines(self, hint)

    def close(self) -> None:
        """Close the file; what is being fetched ahead is stopped."""
        cache = None if self.closed else self.cache
        self._is_closing = True
        if self._is_lost or self._pid != os.getpid():
            # nothing is waited for
            self.cache = None
        super().close()
        if self.closed:
            _empty(cache)

    def _dealloc_warn(self, source: object = None) -> None:
        """Let go of a file that nobody closed; files of `io` on top of it call this, then `close`, when they are lost.

        The garbage collector may be at work, inside any lock: nothing here takes one, or waits.
        """
        if not self.closed and not self._is_lost:
            self._is_lost = True
            if isinstance(self.cache, ReadAhead) and self._pid == os.getpid():
                self.cache.lose()

    def __del__(self) -> None:
        # not there when the file could not be opened
        if getattr(self, "_pid", None) is not None and not self.closed:
            self._dealloc_warn()
            if not isinstance(self.cache, ReadAhead):
                # some of fsspec's wait for threads when they end
                run_in_background(partial(_empty, self.cache))


def _empty(cache: Any) -> None:
    """Empty a cache that is of no more use: some of fsspec's refer to themselves, and only the collector frees them."""
    if cache is not None and not isinstance(cache, ReadAhead):
        if hasattr(cache, "close"):
            cache.close()
        vars(cache).clear()


class CosV4Writer(io.BufferedIOBase):
    """A file opened for writing. The object appears when it is closed, whole, or not at all.

    Leaving a ``with`` block by an exception, `discard`, and losing the last reference to an open file all leave the
    old object as it was. So does closing it while an exception that came after opening is being handled: that is how
    ``with fsspec.open(…)``, pandas and pyarrow close files after a failure.

    Parameters
    ----------
    fs : AbstractFileSystem
        Where the object shall be.
    path : str
        ``bucket/dir/name``.
    mode : str
        ``wb`` or ``xb``.
    writer : ObjectWriter
        Moves the bytes.
    autocommit : bool
        False inside a transaction: `commit` publishes.
    changed : callable
        Called after the service may have changed, and told whether a whole object has become visible.
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
        self._opened_during = sys.exc_info()[1]
        self._discarded_for: str | None = None
        self._pid = os.getpid()
        self._ends_well = False
        self._outermost: weakref.ref[Any] | None = None
        start_background()
        # the last: without it there is nothing to discard
        self._writer = writer

    def __repr__(self) -> str:
        return f"<CosV4Writer {self.path} ({'closed' if self.closed else self.mode})>"

    def readable(self) -> bool:
        """Return False."""
        return False

    def seekable(self) -> bool:
        """Return False."""
        return False

    def writable(self) -> bool:
        """Return whether the file is open."""
        return not self.closed

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._writer.written

    def write(self, data: Buffer, /) -> int:
        """Take bytes; return how many.

        Raises
        ------
        ValueError
            The file is closed.
        OSError
            The upload failed, or the spool is full: nothing will be published.
        """
        self._refuse_closed()
        if self.is_of_parent:
            raise self._parents_error()
        with memoryview(data) as view:
            if self.is_lost:
                # what a file of io on top of this one still held when it was lost
                return view.nbytes
            return self._write(view)

    def _write(self, view: memoryview) -> int:
        with self._lock:
            # another thread may have closed the file meanwhile
            self._refuse_closed()
            flat = view.cast("B") if view.contiguous and view.nbytes else memoryview(view.tobytes())
            self._writer.write(flat)
            return view.nbytes

    def _refuse_closed(self) -> None:
        if self.closed:
            raise ValueError(f"write to closed file {self.path}")

    def flush(self, force: bool = False) -> None:
        """Do nothing: full slices travel by themselves, and nothing may be visible before the end.

        `force` is part of fsspec's interface; the service has no way to make a part of an object durable.
        """

    def close(self) -> None:
        """Complete the object.

        Raises
        ------
        OSError
            The upload failed; the old object, if any, is as it was.
        """
        if self.closed:
            return
        if self.is_lost or self.is_of_parent:
            self._shut()
            if self.is_lost:
                return
            raise self._parents_error()
        error = None if self._ends_well else sys.exc_info()[1]
        if error is not None and error is not self._opened_during:
            self._discard_for(error)
            return
        with self._lock:
            self._finish()

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
        """Raise what made the object's completion fail, when it was another thread that closed the file."""
        if self._failure is not None:
            raise self._failure

    def commit(self) -> None:
        """Make a file of a transaction visible; fsspec calls it when the transaction ends well.

        What text mode or compression still holds of a file that was not closed is written first.
        """
        outermost = None if self._outermost is None else self._outermost()
        if outermost is not None and not self.closed:
            outermost.close()
        self.close()
        with self._lock:
            if not self._complete:
                raise make_error(errno.EIO, "the file was not written completely: nothing is published", self.path)
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

    def wrapped_in(self, outermost: object) -> None:
        """Take note of the text or compressing file on top of this one, to which users write."""
        self._outermost = weakref.ref(outermost)

    def end_well(self) -> None:
        """Take note that the block that the file was opened for ended without an exception.

        What is being handled elsewhere, by a caller of a generator say, has then nothing to do with the file.
        """
        self._ends_well = True

    @property
    def is_of_parent(self) -> bool:
        """Whether this is the copy of a forked child: the upload is the parent's, who goes on with it."""
        return self._pid != os.getpid()

    def _parents_error(self) -> CosError:
        text = "the file was opened before a fork, and only the process that opened it can go on with it"
        return make_error(errno.EBADF, text, self.path)

    def _discard_for(self, error: BaseException) -> None:
        """Discard because an exception is under way; say so where its own traceback may not."""
        self._discarded_for = type(error).__name__
        self.discard()
        if not _is_leaving_with(error):
            warnings.warn(
                f"{self.path} was closed while {self._discarded_for} was being handled, and was discarded: close it "
                "outside the handler to keep it",
                RuntimeWarning,
                stacklevel=3,
            )

    def _shut(self) -> None:
        self._opened_during = None
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif self._discarded_for is not None:
            text = f"the file was discarded when it was closed while {self._discarded_for} was being handled"
            raise make_error(errno.EIO, text, self.path)
        else:
            self.end_well()
            self.close()

    def _dealloc_warn(self, source: object = None) -> None:
        """Discard a file that nobody closed; files of `io` on top of it call this from their finalizers."""
        if getattr(self, "_writer", None) is None or self.closed or self.is_lost:
            return
        # neither closed here nor refusing what is still to be flushed: files of io do both, and an error has no reader
        self.is_lost = True
        if not self.is_of_parent:
            run_in_background(partial(_warn, f"{self.path} was never closed: discarded"))
            run_in_background(partial(_abort, self._writer, self._changed))

    def __del__(self) -> None:
        self._dealloc_warn()


def _abort(writer: ObjectWriter, changed: _Changed) -> None:
    try:
        writer.abort()
    finally:
        # its directory may have been made for it
        changed(written=False)


def _warn(text: str) -> None:
    # filters and handlers of warnings are anybody's code, with locks of its own: nothing for a finalizer
    warnings.warn(text, ResourceWarning, stacklevel=2)


def _without_frames(error: BaseException, path: str) -> OSError:
    """Return the failure for threads that did not cause it, without frames, which would keep the file alive."""
    if isinstance(error, CosError):
        return copy(error).with_traceback(None)
    return make_error(errno.EIO, f"the file could not be completed: {type(error).__name__}: {error}", path)


def _is_leaving_with(error: BaseException) -> bool:
    """Return whether the exception is just leaving a ``with`` block: its ``__exit__`` is among the callers."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "__exit__" and any(
            value is error or (isinstance(value, tuple) and error in value) for value in frame.f_locals.values()
        ):
            return True
        frame = frame.f_back
    return False


class TextWriter(io.TextIOWrapper):
    """Text mode on top of a binary file that is written; an exception discards it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.buffer.discard()  # type: ignore[attr-defined]
        else:
            self.buffer.end_well()  # type: ignore[attr-defined]
            self.close()

    def close(self) -> None:
        """Write what is left and complete the object."""
        if not self.closed:
            super().close()
            self.buffer.raise_failure()  # type: ignore[attr-defined]


class _Sink(io.RawIOBase):
    """Where a compressor writes to, and nothing more: one that is lost writes its last bytes, too."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Buffer, /) -> int:
        self._pieces.append(bytes(data))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def close(self) -> None:
        """Do nothing: some compressors close what they write to."""

    def take(self) -> bytes:
        """Return what has come since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class CompressedWriter(io.BufferedIOBase):
    """A compressing file on top of one that is written; closing it closes both, an exception discards both.

    Parameters
    ----------
    compress : callable
        Returns a file that compresses into the one it is given.
    inner : CosV4Writer
        The object.
    """

    def __init__(self, compress: Callable[[io.RawIOBase], Any], inner: CosV4Writer) -> None:
        super().__init__()
        self._inner, self._sink = inner, _Sink()
        self._outer = compress(self._sink)
        # compressors are not made for several threads
        self._lock = threading.RLock()

    def writable(self) -> bool:
        """Return whether the file is open."""
        return not self.closed

    def tell(self) -> int:
        """Return the number of uncompressed bytes written."""
        return int(self._outer.tell())

    def write(self, data: Buffer, /) -> int:
        """Take bytes; return how many."""
        with memoryview(data) as view:
            if self._inner.is_lost or self._inner.is_of_parent:
                # the file below knows what to do, and the lock may be one of the parent's
                return self._inner.write(view)
            return self._write(view)

    def _write(self, view: memoryview) -> int:
        with self._lock:
            flat = view.cast("B") if view.contiguous and view.nbytes else memoryview(view.tobytes())
            for start in range(0, len(flat), _AT_ONCE):
                self._outer.write(flat[start : start + _AT_ONCE])
                self._inner.write(self._sink.take())
            return view.nbytes

    def close(self) -> None:
        """Write the compressor's last bytes and complete the object."""
        if self.closed:
            return
        if self._inner.is_lost or self._inner.is_of_parent:
            super().close()
            self._inner.close()
            return
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self.closed:
            # another thread was faster
            self.raise_failure()
            return
        try:
            self._outer.close()
            self._inner.write(self._sink.take())
            self._inner.close()
        except BaseException:
            self._inner.discard()
            raise
        finally:
            super().close()

    def raise_failure(self) -> None:
        """Raise what made the object's completion fail, when it was another thread that closed the file."""
        self._inner.raise_failure()

    def discard(self) -> None:
        """Close the file without publishing anything."""
        self._inner.discard()
        super().close()

    def end_well(self) -> None:
        """Take note that the block that the file was opened for ended without an exception."""
        self._inner.end_well()

    def _dealloc_warn(self, source: object = None) -> None:
        if getattr(self, "_inner", None) is not None and not self.closed:
            self._inner._dealloc_warn(self)

    def __del__(self) -> None:
        self._dealloc_warn()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        else:
            self.end_well()
            self.close()
