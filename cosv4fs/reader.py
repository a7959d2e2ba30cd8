"""Files opened for reading."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from functools import partial
from typing import Any, Protocol

from fsspec.core import caches
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from cosv4fs import paths
from cosv4fs.api import Client, Version
from cosv4fs.api.download import changed_error
from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.errors import CosError, make_error
from cosv4fs.info import Info
from cosv4fs.namespace import Namespace
from cosv4fs.runtime import Runtime
from cosv4fs.transfer.download import zeroed
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.versions import VersionGuard, check_content


class _Filesystem(Protocol):
    @property
    def runtime(self) -> Runtime[Client, Namespace]:
        """The runtime of the current process; forked children have their own."""


class _Content:
    """One version of an object, read by ranges; thread-safe. A known size saves the request for the status.

    Holds no reference to the file that reads it, so that an unclosed file is freed at once.
    """

    def __init__(self, fs: _Filesystem, path: str, size: int | None = None) -> None:
        self._fs, self._path = fs, path
        fs.runtime.namespace.check_file(path)
        self._bucket, self._key = paths.file_key(path)
        # at most one version: the first is set in one step, without a lock
        self._version: dict[str, Version] = {}
        self.status: Info | None = None
        if size is None:
            self.status = fs.runtime.namespace.info(path)
            if self.status["type"] == "directory":
                raise make_error(errno.EISDIR, "this is a directory: open a file in it", path)
            size = int(self.status["size"])
            version = fs.runtime.namespace.version(path, self.status)
            if version is not None:
                self._version[path] = version
        self.size = size
        self._guard = VersionGuard(path, size, self.status)
        self.sha: str | None = fs.runtime.files.expected_sha1(path)
        self._digest, self._hashed = hashlib.sha1(usedforsecurity=False), 0

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
        except CosError:
            # drop the possibly stale cache entry
            self._fs.runtime.namespace.cache.invalidate(self._path)
            raise
        if self.sha is not None and len(view) == self.size:
            # a small object is fetched completely, and can be checked here whatever the order of reads
            self._compare(hashlib.sha1(view, usedforsecurity=False))
            self.sha = None

    def check(self, offset: int, data: bytes) -> None:
        """Hash bytes that were read at an offset, and compare the SHA-1 of all after the last; raise EIO if it differs.

        A reader that skips bytes is not checked until it starts at the beginning again.
        """
        if offset == 0 and self._hashed != 0:
            self._digest, self._hashed = hashlib.sha1(usedforsecurity=False), 0
        if not offset <= self._hashed < offset + len(data):
            return
        self._digest.update(memoryview(data)[self._hashed - offset :])
        self._hashed = offset + len(data)
        if self._hashed == self.size:
            self._compare(self._digest)

    def _compare(self, digest: hashlib._Hash) -> None:
        if self.sha is not None:
            check_content(self._fs.runtime.client, self._bucket, self._key, self.sha, digest.hexdigest())

    def _fetch_version(self, start: int, view: memoryview) -> None:
        """Fill `view` from the version of the object that was opened."""
        client = self._fs.runtime.client
        while True:
            started, known = time.monotonic(), self._version.get(self._path)
            fetched = client.fetch(
                self._bucket, self._key, lambda length, _: view[:length], start, start + len(view), known
            )
            self._check_version(fetched.version)
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
            text = f"the file has {version.size} bytes, not the announced {self.size}: open it without size="
            raise make_error(errno.EINVAL, text, self._path)
        if version.size != self.size or version.differs(first):
            raise changed_error(self._path)


class CosReader(AbstractBufferedFile):  # type: ignore[misc]
    """A file opened for reading.

    All reads return the same version of the object. If the cached status was stale, the first read switches to the
    current version, unless the caller has already used the old size.

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
    ) -> None:
        self._cache_type, self._cache_options = cache_type, cache_options or {}
        self._is_lost = self._is_closing = False
        self._open_content(_Content(fs, path, size))
        # fsspec would create a cache that refers to the file
        super().__init__(fs, path, "rb", block_size or fs.blocksize, cache_type="none", size=self._content.size)
        self._pid = os.getpid()
        start_background()
        self.cache = self._new_cache()
        self._can_renew = cache_type == ReadAhead.name and self._content.status is not None

    def _open_content(self, content: _Content) -> None:
        self._content = content
        self._fetch_range = content.fetch

    @property
    def size(self) -> int:
        """Size of the object in bytes."""
        self._can_renew = False
        return self._content.size

    @size.setter
    def size(self, value: int) -> None:
        self._content.size = value

    def seek(self, loc: int, whence: int = 0) -> int:
        """Set the position in bytes; see `io.IOBase.seek`."""
        # the caller may have derived the position from the old size
        self._can_renew = False
        position: int = super().seek(loc, whence)
        return position

    def _new_cache(self) -> Any:
        content, options = self._content, self._cache_options
        if self._cache_type == ReadAhead.name:
            return ReadAhead(self.blocksize, content.fill, content.size, self.fs.runtime.uploader.pool, **options)
        return caches[self._cache_type](self.blocksize, content.fetch, content.size, **options)

    def _enter_process(self) -> None:
        """In a forked child, replace what depends on threads of the parent, which do not exist here."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.cache = self._new_cache()

    def read(self, length: int = -1) -> bytes:
        """Return up to `length` bytes; all remaining ones if negative.

        Raises
        ------
        OSError
            EIO if the object was read sequentially to its end and its SHA-1 differs; ESTALE if it was replaced after
            it was opened.
        ValueError
            The file is closed.
        """
        if not self.closed:
            self._enter_process()
        offset, data = self.loc, self._read(length)
        if self._content.sha is not None:
            self._content.check(offset, data)
        return data

    def _read(self, length: int) -> bytes:
        can_renew, self._can_renew = self._can_renew and self._details is None, False
        try:
            data: bytes = super().read(length)
        except CosError as error:
            if not can_renew or error.errno != errno.ESTALE:
                self._refuse_when_closing()
                raise
            # no byte was returned yet, and the stale cache entry is gone
            self.cache.close()
            self._open_content(_Content(self.fs, self.path))
            self.cache = self._new_cache()
            data = super().read(length)
        except AttributeError:
            self._refuse_when_closing()
            raise
        return data

    def _refuse_when_closing(self) -> None:
        """Raise the usual error if another thread has closed the file meanwhile."""
        if self._is_closing:
            raise ValueError("I/O operation on closed file.") from None

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return all remaining lines; at the end of the file an empty list, unlike fsspec's base class."""
        return list(self) if hint is None or hint <= 0 else io.IOBase.readlines(self, hint)

    def close(self) -> None:
        """Close the file and cancel the read-ahead."""
        cache = None if self.closed else self.cache
        self._is_closing = True
        if self._is_lost or self._pid != os.getpid():
            # without waiting for threads
            self.cache = None
        super().close()
        if self.closed:
            _empty(cache)

    def _dealloc_warn(self, source: object = None) -> None:
        """Release an unclosed file; finalizers of `io` files on top of it call this, and then `close`.

        The garbage collector may run while any lock is held, so nothing here takes a lock or waits.
        """
        if not self.closed and not self._is_lost:
            self._is_lost = True
            if isinstance(self.cache, ReadAhead) and self._pid == os.getpid():
                self.cache.lose()

    def __del__(self) -> None:
        # the attribute is missing if opening failed
        if getattr(self, "_pid", None) is not None and not self.closed:
            self._dealloc_warn()
            if not isinstance(self.cache, ReadAhead):
                # some of fsspec's caches wait for threads when they are closed
                run_in_background(partial(_empty, self.cache))


def _empty(cache: Any) -> None:
    """Empty an unused cache: some of fsspec's contain reference cycles, which only the garbage collector frees."""
    if cache is not None and not isinstance(cache, ReadAhead):
        if hasattr(cache, "close"):
            cache.close()
        vars(cache).clear()
