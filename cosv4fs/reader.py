"""Files opened for reading."""

from __future__ import annotations

import errno
import hashlib
import io
import operator
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from fsspec.core import caches
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from cosv4fs import paths
from cosv4fs.api import Version
from cosv4fs.api.download import changed_error
from cosv4fs.attributes import Attributes, attributes_in
from cosv4fs.concurrency import cancellation
from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.errors import CosError, make_error
from cosv4fs.info import Info
from cosv4fs.objectfile import ObjectFile
from cosv4fs.runtime import HasRuntime
from cosv4fs.transfer.destinations import zeroed
from cosv4fs.transfer.hashing import ReadHash
from cosv4fs.transfer.position import seek_target
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.versions import VersionGuard, check_content

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["CosReader"]

_BUFFER_SIZE = 64 * 1024
"""Bytes that lines and small reads take from the read-ahead at once."""


class _Content:
    """One version of an object, read by ranges; thread-safe. A known size saves the request for the status.

    Holds no reference to the file that reads it, so that an unclosed file is freed at once.
    """

    def __init__(
        self,
        fs: HasRuntime,
        path: str,
        size: int | None = None,
        status: Mapping[str, object] | None = None,
        version: Version | None = None,
    ) -> None:
        self._fs, self._path = fs, path
        fs.runtime.namespace.check_file(path)
        self._bucket, self._key = paths.file_key(path)
        self.headers: Mapping[str, str] = {}
        if size is None:
            status = info = fs.runtime.namespace.file_info(path, "open a file in it")
            size, version = int(info["size"]), fs.runtime.namespace.version(path, info)
        self.size, self.status = size, status
        # at most one version: the first is set in one step, without a lock
        self._version: dict[str, Version] = {} if version is None else {path: version}
        self._guard = VersionGuard(path, size, status)
        self.sha: str | None = fs.runtime.files.expected_sha1(path)
        # of a small object, `fill` compares it
        self.read_hash = None if self.sha is None else ReadHash(size, fs.runtime.uploader.pool)

    def known(self) -> tuple[int, Mapping[str, object] | None, Version | None]:
        """Return what another object needs to be of the same version, as far as it is known: size, status, version."""
        return self.size, self._guard.status, self._version.get(self._path)

    def fetch(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets."""
        memory = zeroed(max(0, min(end, self.size) - start), self._path)
        with memory.getbuffer() as view:
            self.fill(start, view)
        return memory.getvalue()

    def fill(self, start: int, view: memoryview) -> None:
        """Fill `view` with the bytes starting at an offset.

        Raises
        ------
        OSError
            ESTALE if the object was replaced after it was opened; EIO if its SHA-1 differs.
        """
        if not view:
            return
        try:
            self._fetch_version(start, view)
        except CosError as error:
            # drop the possibly stale cache entry
            self._fs.runtime.namespace.cache.invalidate(self._path)
            self._fs.runtime.namespace.refuse_directory(self._path, "open a file in it", error)
            raise
        if self.sha is not None and len(view) == self.size:
            # a small object is fetched completely, and can be checked here whatever the order of reads
            self._compare(hashlib.sha1(view, usedforsecurity=False).hexdigest())
            self.sha = None

    def check(self, stop: int) -> None:
        """Compare the SHA-1 once everything was read in order and this read reached the end; raise EIO if it differs.

        Once it differs, every read of the last byte raises the error until the file is read from its beginning. A
        reader that skipped bytes is not checked until it goes back to the first of them, or to the beginning.
        """
        if self.sha is not None and self.read_hash is not None and stop == self.size and self.read_hash.is_complete:
            self._compare(self.read_hash.hexdigest())

    def _compare(self, found: str) -> None:
        if self.sha is not None:
            check_content(self._fs.runtime.client, self._bucket, self._key, self.sha, found)

    def _fetch_version(self, start: int, view: memoryview) -> None:
        """Fill `view` from the version of the object that was opened."""
        client = self._fs.runtime.client
        while True:
            started, known = time.monotonic(), self._version.get(self._path)
            fetched = client.fetch(
                self._bucket, self._key, lambda length, _: view[:length], start, start + len(view), known
            )
            self._check_version(fetched.version)
            self.headers = fetched.headers
            if fetched.length != len(view):
                raise changed_error(self._path)
            if fetched.version.is_certain or (known is None and len(view) == self.size):
                return
            if self._guard.accepts(client, fetched, started):
                return

    def _check_version(self, version: Version) -> None:
        """Refuse to mix two versions of the object."""
        first = self._version.setdefault(self._path, version)
        if version is first and self.status is None and version.size != self.size:
            advice = "it has changed, or open it without size="
            text = f"the file has {version.size} bytes, not the announced {self.size}: {advice}"
            raise make_error(errno.EINVAL, text, self._path)
        if version.size != self.size or version.differs(first):
            raise changed_error(self._path)


class _ReadBuffer(io.BytesIO):
    """Bytes of a file from an offset on, and the position in them. Reading a line costs what it costs in memory."""

    def __init__(self, start: int, data: bytes = b"") -> None:
        super().__init__(data)
        self.start, self.stop = start, start + len(data)

    @property
    def position(self) -> int:
        """Offset in the file of the next byte."""
        return self.start + self.tell()


class CosReader(ObjectFile, AbstractBufferedFile, io.BufferedIOBase):  # type: ignore[misc]
    """A file opened for reading, with the methods of `io.BufferedReader`; each of them is atomic, like there.

    All reads return the same version of the object, also those of copies by pickle. If the cached status was stale, the
    first read switches to the current version, unless the caller has already used the old size, or pickled the file.

    No part of the file refers back to it, so an unclosed file is freed with the last reference to it.

    Parameters
    ----------
    fs : AbstractFileSystem
        The filesystem of the object.
    path : str
        ``bucket/dir/name``.
    block_size : int, optional
        Bytes per range.
    cache_type : str
        ``parallel`` (read-ahead in parallel ranges) or one of fsspec's caches.
    cache_options : dict, optional
        Further options of the cache.
    size : int, optional
        Size of the object in bytes, if known: saves a request.
    content : _Content, optional
        That of the file of which this one is a copy by pickle.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        Raised here unless `size` is given.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        path: str,
        block_size: int | None = None,
        cache_type: str = ReadAhead.name,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        content: _Content | None = None,
    ) -> None:
        self._cache_type, self._cache_options = cache_type, cache_options or {}
        self._is_lost = self._is_closing = False
        self._lock, self._buffer = threading.RLock(), _ReadBuffer(0)
        self._open_content(content or _Content(fs, path, size))
        # fsspec would create a cache that refers to the file
        super().__init__(fs, path, "rb", block_size or fs.blocksize, cache_type="none", size=self._content.size)
        self._pid = os.getpid()
        start_background()
        self.cache = self._new_cache()
        is_parallel = cache_type == ReadAhead.name
        self._can_renew = is_parallel and self._content.status is not None
        # some of fsspec's caches keep nothing: there a line fetches a block, and a small read no more than it needs
        self._buffer_size = min(_BUFFER_SIZE, self.blocksize) if is_parallel else self.blocksize
        self._small = self._buffer_size if is_parallel else 0

    def __reduce__(self) -> tuple[Any, ...]:
        with self._exclusively():
            self._can_renew = False
            caching = self.blocksize, self._cache_type, self._cache_options
            return _copy, (self.fs, self.path, caching, self._content.known(), self._buffer.position)

    def _open_content(self, content: _Content) -> None:
        self._content = content
        self._fetch_range = content.fetch

    @property
    def size(self) -> int:
        """Size of the object in bytes; later reads raise ESTALE rather than switch to a version of another size."""
        self._can_renew = False
        return self._content.size

    @size.setter
    def size(self, value: int) -> None:
        self._content.size = value

    @property
    def loc(self) -> int:
        """The position in bytes, as fsspec's files name it."""
        return self._buffer.position

    @loc.setter
    def loc(self, value: int) -> None:
        self._move(value)

    def info(self) -> Info:
        """Return the metadata of the object, as `fs.info` does."""
        return cast("Info", self.details)

    @property
    def attributes(self) -> Attributes:
        """The attributes that downloads show, of the version that is read; none before its first byte was read.

        Unlike those of ``fs.attributes``, they need no request, and have a content type that the service was only sent
        along with the content. A content type may also be the service's default.
        """
        return attributes_in(self._content.headers)

    def readable(self) -> bool:
        """Return True; raise `ValueError` if the file is closed."""
        self._refuse_closed()
        return True

    def seekable(self) -> bool:
        """Return True; raise `ValueError` if the file is closed."""
        return self.readable()

    def writable(self) -> bool:
        """Return False; raise `ValueError` if the file is closed."""
        return not self.readable()

    # fsspec's own accept closed files, and raise other errors
    __enter__ = io.IOBase.__enter__
    __iter__ = io.IOBase.__iter__
    write = io.BufferedIOBase.write

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._buffer.position

    def seek(self, loc: SupportsIndex, whence: SupportsIndex = 0) -> int:
        """Set the position to `loc` bytes, counted as `whence` says (see `io.IOBase.seek`), and return it.

        It may lie behind the end.

        Raises
        ------
        OSError
            EINVAL: the position is before the start of the file.
        ValueError
            The file is closed, or `whence` is invalid.
        """
        with self._exclusively():
            # the caller may have derived the position from the old size
            self._can_renew = False
            target = seek_target(loc, whence, self._buffer.position, self._content.size, self.path)
            self._move(target)
            return target

    def _move(self, position: int) -> None:
        buffer = self._buffer
        if buffer.start <= position <= buffer.stop:
            buffer.seek(position - buffer.start)
        else:
            self._set_buffer(_ReadBuffer(position))

    def _set_buffer(self, buffer: _ReadBuffer) -> None:
        self._buffer = buffer
        if self._is_closing:
            # another thread closes the file, and may have closed only the buffer before
            buffer.close()
            self._refuse_closed()

    def _new_cache(self) -> Any:
        content, options = self._content, self._cache_options
        if self._cache_type == ReadAhead.name:
            pool = self.fs.runtime.uploader.pool
            options = {"read_hash": content.read_hash, **options}
            return ReadAhead(self.blocksize, content.fetch, content.fill, content.size, pool, **options)
        return caches[self._cache_type](self.blocksize, content.fetch, content.size, **options)

    def _exclusively(self) -> AbstractContextManager[bool]:
        """Return the lock of the file. In a forked child, first replace what depends on threads of the parent."""
        if self.is_of_parent:
            self._pid = os.getpid()
            self._lock = threading.RLock()
            if not self.closed:
                if self._content.read_hash is not None:
                    self._content.read_hash.resume()
                self.cache = self._new_cache()
        return self._lock

    def read(self, length: SupportsIndex | None = -1) -> bytes:
        """Return up to `length` bytes; all remaining ones if negative or None.

        Raises
        ------
        OSError
            EIO if the object was read sequentially to its end and its SHA-1 differs, also when its end is read again,
            until it is read from the beginning; ESTALE if it was replaced after it was opened. The position is
            unchanged.
        ValueError
            The file is closed.
        """
        wanted = -1 if length is None else operator.index(length)
        with self._exclusively():
            data = self._buffer.read(wanted)
            if len(data) == wanted:
                return data
            with self._restoring_position(data):
                more = self._read_on(wanted - len(data) if wanted >= 0 else -1)
            return data + more if data else more

    def _read_on(self, wanted: int) -> bytes:
        """Read behind the end of the buffer, up to `wanted` bytes, or all if negative."""
        if 0 <= wanted < self._small:
            self._advance()
            return self._buffer.read(wanted)
        start = self._buffer.stop
        data = self._fetch(start, None if wanted < 0 else start + wanted)
        self._set_buffer(_ReadBuffer(start + len(data)))
        return data

    def _advance(self) -> bool:
        """Replace the buffer by that behind it; return False at the end of the file."""
        start = self._buffer.stop
        data = self._fetch(start, start + self._buffer_size)
        if data:
            self._set_buffer(_ReadBuffer(start, data))
        return bool(data)

    @contextmanager
    def _restoring_position(self, taken: bytes) -> Iterator[None]:
        """Go back to before the bytes that were taken from the buffer if what follows them cannot be read."""
        position = self._buffer.position - len(taken)
        try:
            yield
        except BaseException:
            if not self._is_closing:
                self._move(position)
            raise

    def readinto(self, buffer: Buffer, /) -> int:
        """Read into `buffer`; return the number of bytes, which is less than its size only at the end of the file."""
        with memoryview(buffer) as view:
            if view.readonly or not view.c_contiguous:
                raise TypeError("readinto needs contiguous memory that can be changed")
            data = self.read(view.nbytes)
            if data:
                # not before: empty arrays with several dimensions cannot be cast
                view.cast("B")[: len(data)] = data
            return len(data)

    readinto1 = readinto

    def read1(self, size: SupportsIndex | None = -1, /) -> bytes:
        """Return up to `size` bytes (any number if negative or None) that are already here, or come in one fetch."""
        wanted = -1 if size is None else operator.index(size)
        with self._exclusively():
            if wanted:
                self._look_ahead()
            return self._buffer.read(wanted)

    def peek(self, size: SupportsIndex | None = 0, /) -> bytes:
        """Return bytes without advancing the position: at least one before the end of the file, whatever `size` is."""
        with self._exclusively():
            self._look_ahead()
            return self._buffer.getvalue()[self._buffer.tell() :]

    def _look_ahead(self) -> None:
        """Make the buffer hold the next byte, if there is one."""
        if self._buffer.position >= self._buffer.stop:
            self._advance()

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its newline, or up to `size` bytes of it; nothing at the end of the file."""
        with self._exclusively():
            line = self._buffer.readline(size)
            if line[-1:] == b"\n" or len(line) == size:
                return line
            with self._restoring_position(line):
                return self._complete_line(line, -1 if size is None else operator.index(size))

    def _complete_line(self, line: bytes, size: int) -> bytes:
        pieces, length = [line], len(line)
        while length != size and self._advance():
            pieces.append(self._buffer.readline(size - length if size >= 0 else -1))
            length += len(pieces[-1])
            if pieces[-1].endswith(b"\n"):
                break
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the remaining lines, or as many as have `hint` bytes; at the end of the file none."""
        with self._exclusively(), self._restoring_position(b""):
            return io.IOBase.readlines(self, -1 if hint is None else hint)

    def readuntil(self, char: bytes = b"\n", blocks: int | None = None) -> bytes:
        """Return the bytes up to and including the next `char`, of any length, or all that remain.

        `blocks` is part of fsspec's interface: how much is fetched at once is decided by the cache.
        """
        if not char:
            raise ValueError("char must not be empty")
        found, searched, at = bytearray(), 0, -1
        with self._exclusively():
            start = self._buffer.position
            with self._restoring_position(b""):
                while at < 0 and (ahead := self.read1()):
                    found += ahead
                    at, searched = found.find(char, searched), max(0, len(found) - len(char) + 1)
            if at >= 0:
                del found[at + len(char) :]
            self._move(start + len(found))
        return bytes(found)

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _fetch(self, start: int, stop: int | None) -> bytes:
        """Return the bytes between two offsets, or to the end, and check them."""
        can_renew, self._can_renew = self._can_renew and self._details is None, False
        try:
            data = self._cached(start, stop)
        except Exception as error:
            # another thread that closes the file cancels requests, and empties the cache: reads fail in any way then
            self._refuse_closed()
            # before the first byte was returned; the stale cache entry is gone
            if not (can_renew and isinstance(error, CosError) and error.errno == errno.ESTALE):
                raise
            self._renew()
            data = self._cached(start, stop)
        # a cache that was closed meanwhile may have returned anything
        self._refuse_closed()
        self._check(start, data)
        return data

    def _check(self, start: int, data: bytes) -> None:
        content = self._content
        if content.read_hash is not None and not isinstance(self.cache, ReadAhead):
            content.read_hash.take(start, [memoryview(data)])
        try:
            content.check(start + len(data))
        except OSError as error:
            if cancellation.is_cancellation(error):
                # what was read is not hashed yet
                raise
            # reading from the beginning fetches everything again; reading a closed file raises another error
            self._set_buffer(_ReadBuffer(start))
            if hasattr(self.cache, "close"):
                self.cache.close()
            self.cache = self._new_cache()
            raise

    def _renew(self) -> None:
        """Switch to the current version of the object."""
        if hasattr(self.cache, "close"):
            # fsspec's smaller caches have nothing to stop
            self.cache.close()
        self._open_content(_Content(self.fs, self.path))
        self.cache = self._new_cache()

    def _cached(self, start: int, stop: int | None) -> bytes:
        end = self._content.size if stop is None else min(stop, self._content.size)
        data: bytes = self.cache._fetch(start, end) if start < end else b""
        return data

    def _refuse_closed(self) -> None:
        if self._is_closing:
            # in the words of the buffer, which refuses most reads of a closed file
            raise ValueError("I/O operation on closed file.") from None

    def close(self) -> None:
        """Close the file and cancel the read-ahead."""
        cache = None if self.closed else self.cache
        self._is_closing = True
        may_wait = not (self._is_lost or self.is_of_parent)
        if not may_wait:
            # closing it would wait for threads
            self.cache = None
        super().close()
        if self.closed:
            self._buffer.close()
            if not isinstance(cache, ReadAhead):
                _empty(cache)
            elif may_wait:
                # older versions of fsspec do not close caches
                cache.close()

    def _dealloc_warn(self, source: object = None) -> None:
        """Release an unclosed file; finalizers of `io` files on top of it call this, and then `close`.

        The garbage collector may run while any lock is held, so nothing here takes a lock or waits.
        """
        if not self.closed and not self._is_lost:
            self._is_lost = True
            if isinstance(self.cache, ReadAhead) and not self.is_of_parent:
                self.cache.lose()

    def __del__(self) -> None:
        # the attribute is missing if opening failed
        if getattr(self, "_pid", None) is not None and not self.closed:
            self._dealloc_warn()
            if not isinstance(self.cache, ReadAhead):
                # some of fsspec's caches wait for threads when they are closed
                run_in_background(partial(_empty, self.cache))


def _copy(fs: Any, path: str, caching: tuple[Any, Any, Any], known: tuple[Any, ...], position: int) -> CosReader:
    """Return the file of a pickle; from the first call on it keeps to its version, as after any `seek`."""
    # not the content of the other file, also where `copy` needs no pickle: each hashes what it reads itself
    file = CosReader(fs, path, *caching, content=_Content(fs, path, *known))
    file.seek(position)
    return file


def _empty(cache: Any) -> None:
    """Empty an unused cache: some of fsspec's contain reference cycles, which only the garbage collector frees."""
    if cache is not None:
        if hasattr(cache, "close"):
            cache.close()
        vars(cache).clear()
