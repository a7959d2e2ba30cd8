"""File objects: what ``fs.open`` returns. No HTTP here; bytes are moved by the transfer floor."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import threading
import time
import warnings
import weakref
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from fsspec.spec import AbstractBufferedFile

from cosv4fs import paths
from cosv4fs.api import Version
from cosv4fs.api.download import changed_error
from cosv4fs.errors import CosError, make_error
from cosv4fs.transfer.integrity import SequentialCheck, check_content
from cosv4fs.transfer.memory import announced
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.status import MOMENT, is_settled, status_of
from cosv4fs.transfer.writer import ObjectWriter, abort_later, start_janitor

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from cosv4fs.api import PathStatus
    from cosv4fs.api.coffer import ObjectStatus
    from cosv4fs.lookup import Lookup

__all__ = ["CompressedWriter", "CosV4Reader", "CosV4Writer", "TextWriter"]


class _Changed(Protocol):
    def __call__(self, *, written: bool) -> None:
        """Take note that the service may have changed."""


class CosV4Reader(AbstractBufferedFile):  # type: ignore[misc]
    """A file opened for reading.

    One version of the object is read, that of the first bytes. Where it was replaced between a status that is
    remembered and the first read, the file is that of now, unless the old size was told to somebody already.

    Parameters
    ----------
    fs : Lookup
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
        fs: Lookup,
        path: str,
        block_size: int | None = None,
        cache_type: str = ReadAhead.name,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
    ) -> None:
        self._version: Version | None = None
        self._version_lock = threading.Lock()
        self._bucket, self._key = paths.file_key(path)
        self._status: dict[str, Any] | None = None
        own = cache_type == ReadAhead.name
        # some of fsspec's caches read at once
        self._look(fs, path, size)
        super().__init__(
            fs,
            path,
            "rb",
            block_size or fs.blocksize,
            cache_type="none" if own else cache_type,
            cache_options=None if own else cache_options,
            size=self._size,
        )
        self._pid = os.getpid()
        if own:
            self._ahead_options = cache_options or {}
            self.cache = self._read_ahead()
        self._can_renew = own and self._status is not None

    def _look(self, fs: Lookup, path: str, size: int | None = None) -> None:
        """Take note of what is to be read; ask for it unless its size is known."""
        if size is None:
            self._status = fs.info(path)
            if self._status["type"] == "directory":
                raise make_error(errno.EISDIR, "this is a directory: open a file in it", path)
            size = int(self._status["size"])
            self._version = fs.known_version(path, self._status)
        self._size = size
        self._first_status: dict[str, Any] | None = None
        self._looked_at = time.monotonic()
        self._sha: str | None = fs.known_sha(path)
        self._check = SequentialCheck(size, self._compare)

    @property
    def size(self) -> int:
        """Bytes of the object."""
        self._can_renew = False
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value

    def seek(self, loc: int, whence: int = 0) -> int:
        """Go to another place, in bytes; see `io`."""
        # who jumps knows what is where
        self._can_renew = False
        place: int = super().seek(loc, whence)
        return place

    def _read_ahead(self) -> ReadAhead:
        return ReadAhead(self.blocksize, self._fill, self._size, self.fs.workers, **self._ahead_options)

    def _enter_process(self) -> None:
        """Make anew, in a forked child, what belongs to threads of the parent: they do not exist here."""
        if self._pid == os.getpid():
            return
        self._pid, self._version_lock = os.getpid(), threading.Lock()
        if isinstance(self.cache, ReadAhead):
            self.cache = self._read_ahead()

    def _fetch_range(self, start: int, end: int) -> bytes:
        memory = announced(max(0, min(end, self._size) - start), self.path)
        with memory.getbuffer() as view:
            self._fill(start, view)
        return memory.getvalue()

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes, all that are left when negative.

        Raises
        ------
        OSError
            EIO when the whole object was read from its beginning to its end and its SHA-1 is another; ESTALE when it
            was replaced since it was opened.
        """
        self._enter_process()
        offset, data = self.loc, self._read(length)
        if self._sha is not None:
            self._check.add(offset, data)
        return data

    def _read(self, length: int) -> bytes:
        can_renew, self._can_renew = self._can_renew and self._details is None, False
        try:
            data: bytes = super().read(length)
        except CosError as error:
            if not can_renew or error.errno != errno.ESTALE:
                raise
            # nobody has had a byte: what was remembered is forgotten by now
            self.cache.close()
            self._look(self.fs, self.path)
            self.cache = self._read_ahead()
            data = super().read(length)
        return data

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return all lines that are left; none at the end of the file, as files have it and fsspec's have not."""
        return list(self) if hint is None or hint <= 0 else io.IOBase.readlines(self, hint)

    def _compare(self, found: str) -> None:
        if self._sha is not None:
            check_content(self.fs.client, self._bucket, self._key, self._sha, found)

    def close(self) -> None:
        """Close the file; what is being fetched ahead is stopped."""
        if isinstance(getattr(self, "cache", None), ReadAhead):
            self._enter_process()
            self.cache.close()
        super().close()

    def __del__(self) -> None:
        # the garbage collector may run in any thread: it must not wait for others
        if isinstance(getattr(self, "cache", None), ReadAhead) and self._pid == os.getpid():
            self.cache.close(wait=False)
        super().__del__()

    def _fill(self, start: int, view: memoryview) -> None:
        if not view:
            return
        try:
            self._fetch_version(start, view)
        except CosError:
            # perhaps what is remembered of the file is not so: who opens it again shall not be told the same
            self.fs.invalidate_cache(self.path)
            raise
        if self._sha is not None and len(view) == self._size:
            # a small object comes whole, in whatever order it is read then
            self._compare(hashlib.sha1(view, usedforsecurity=False).hexdigest())
            self._sha = None

    def _fetch_version(self, start: int, view: memoryview) -> None:
        """Fill the memory from the version of the object that was opened."""
        has_waited = False
        while True:
            began, is_first = time.monotonic(), self._version is None
            fetched = self.fs.client.fetch(
                self._bucket, self._key, lambda length, _: view[:length], start, start + len(view), self._version
            )
            self._check_version(fetched.version)
            if fetched.length != len(view):
                raise changed_error(self.path)
            if fetched.version.is_certain or (is_first and len(view) == self._size):
                return
            status = self._check_status()
            if has_waited or is_settled(status, fetched.date) or began - self._looked_at >= MOMENT:
                return
            # a replacement within the same second would not show: read it again when that has passed
            self.fs.client.interrupts.sleep(MOMENT)
            has_waited = True

    def _check_version(self, version: Version) -> None:
        """Refuse to mix two versions of the object."""
        with self._version_lock:
            if self._version is None:
                self._version = version
            first = version is self._version
        if first and self._status is None and version.size != self._size:
            text = f"the file has {version.size} bytes, not the announced {self._size}: open it without size="
            raise make_error(errno.EINVAL, text, self.path)
        if version.size != self._size or version.differs(self._version):
            raise changed_error(self.path)

    def _check_status(self) -> PathStatus | ObjectStatus:
        """Refuse an object whose status is not that of the one that was opened.

        Only replies with a strong ETag tell versions apart by themselves.
        """
        now = status_of(self.fs.client, self._bucket, self._key)
        found = {"mtime": now.modified, "sha": getattr(now, "sha", None)}
        with self._version_lock:
            if self._status is None and self._first_status is None:
                self._first_status, self._looked_at = found, time.monotonic()
        known = self._status or self._first_status or {}
        if now.size != self._size or any(known.get(name, value) != value for name, value in found.items()):
            raise changed_error(self.path)
        return now


class CosV4Writer(io.BufferedIOBase):
    """A file opened for writing. The object appears when it is closed, whole, or not at all.

    Leaving a ``with`` block by an exception, `discard`, and losing the last reference to an open file all leave the
    old object as it was. So does closing it while an exception that came after opening is being handled: that is how
    ``with fsspec.open(…)``, pandas and pyarrow close files after a failure.

    Parameters
    ----------
    fs : Lookup
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
        fs: Lookup,
        path: str,
        mode: str,
        writer: ObjectWriter,
        autocommit: bool,
        changed: _Changed,
    ) -> None:
        super().__init__()
        self.fs, self.path, self.mode, self.autocommit = fs, path, mode, autocommit
        self.blocksize = fs.config.slice_size
        self._writer = writer
        self._changed = changed
        self._lock = threading.RLock()
        self._complete = False
        self._opened_during = sys.exc_info()[1]
        self._discarded_for: str | None = None
        self._pid = os.getpid()
        self._ends_well = False
        self._outermost: weakref.ref[Any] | None = None
        start_janitor()

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
        if self.closed:
            raise ValueError(f"write to closed file {self.path}")
        if self._is_of_parent:
            raise self._parents_error()
        with memoryview(data) as view, self._lock:
            flat = view.cast("B") if view.contiguous and view.nbytes else memoryview(view.tobytes())
            self._writer.write(flat)
            return view.nbytes

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
        if self._is_of_parent:
            self._shut()
            raise self._parents_error()
        error = None if self._ends_well else sys.exc_info()[1]
        if error is not None and error is not self._opened_during:
            self._discard_for(error)
            return
        with self._lock:
            try:
                self._writer.finish()
                self._complete = True
            except BaseException:
                self._writer.abort()
                raise
            finally:
                self._shut()
                self._changed(written=self._complete and self.autocommit)

    def commit(self) -> None:
        """Make a file of a transaction visible; fsspec calls it when the transaction ends well.

        What text mode or compression still holds of a file that was not closed is written first.
        """
        outermost = None if self._outermost is None else self._outermost()
        if outermost is not None and not self.closed:
            outermost.close()
        self.close()
        if not self._complete:
            raise make_error(errno.EIO, "the file was not written completely: nothing is published", self.path)
        self._writer.publish()
        self._changed(written=True)

    def discard(self) -> None:
        """Close the file without publishing anything."""
        if self._is_of_parent:
            self._shut()
            return
        with self._lock:
            self._shut()
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
    def _is_of_parent(self) -> bool:
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
        if getattr(self, "_writer", None) is None or self.closed:
            return
        self._shut()
        if self._is_of_parent:
            return
        writer, changed = self._writer, self._changed

        def abort() -> None:
            try:
                writer.abort()
            finally:
                # its directory may have been made for it
                changed(written=False)

        abort_later(abort)
        warnings.warn(f"{self.path} was never closed: discarded", ResourceWarning, stacklevel=2, source=self)

    def __del__(self) -> None:
        self._dealloc_warn()


def _is_leaving_with(error: BaseException) -> bool:
    """Tell whether the exception is just leaving a ``with`` block: its ``__exit__`` is among the callers."""
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


class CompressedWriter(io.BufferedIOBase):
    """A compressing file on top of one that is written; closing it closes both, an exception discards both.

    Parameters
    ----------
    outer : file-like
        Compresses into `inner`.
    inner : CosV4Writer
        The object.
    """

    def __init__(self, outer: Any, inner: CosV4Writer) -> None:
        super().__init__()
        self._outer, self._inner = outer, inner

    def writable(self) -> bool:
        """Return whether the file is open."""
        return not self.closed

    def tell(self) -> int:
        """Return the number of uncompressed bytes written."""
        return int(self._outer.tell())

    def write(self, data: Buffer, /) -> int:
        """Take bytes; return how many."""
        with memoryview(data) as view:
            self._outer.write(view)
            return view.nbytes

    def close(self) -> None:
        """Write the compressor's last bytes and complete the object."""
        if self.closed:
            return
        try:
            self._outer.close()
            self._inner.close()
        except BaseException:
            self._inner.discard()
            raise
        finally:
            super().close()

    def discard(self) -> None:
        """Close the file without publishing anything."""
        self._inner.discard()
        super().close()

    def end_well(self) -> None:
        """Take note that the block that the file was opened for ended without an exception."""
        self._inner.end_well()

    def _dealloc_warn(self, source: object = None) -> None:
        if not self.closed:
            self._inner._dealloc_warn(self)
            super().close()

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
