"""What a file that is read consists of: one version of an object, from any thread."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
from typing import Any, Protocol

from cosv4fs import paths
from cosv4fs.api import Client, FileStatus, Version
from cosv4fs.api.download import changed_error
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import CosError, make_error
from cosv4fs.namespace import Namespace
from cosv4fs.runtime import Runtime
from cosv4fs.transfer.integrity import check_content
from cosv4fs.transfer.memory import announced
from cosv4fs.transfer.status import MOMENT, is_settled

__all__ = ["Content"]


class _Filesystem(Protocol):
    @property
    def runtime(self) -> Runtime[Client, Namespace]:
        """That of the process: a forked child has one of its own."""


class Content:
    """The object that a file was opened on. It knows nothing of the file, so that the two do not keep each other alive.

    Parameters
    ----------
    fs : filesystem
        Where the object is.
    path : str
        ``bucket/dir/name``.
    size : int, optional
        Bytes of the object, when the caller knows: saves a request.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        At once, unless `size` is given.
    """

    def __init__(self, fs: _Filesystem, path: str, size: int | None = None) -> None:
        self._fs, self._path = fs, path
        self._bucket, self._key = paths.file_key(path)
        self._lock = threading.Lock()
        self._version: Version | None = None
        self.status: dict[str, Any] | None = None
        if size is None:
            self.status = fs.runtime.namespace.info(path)
            if self.status["type"] == "directory":
                raise make_error(errno.EISDIR, "this is a directory: open a file in it", path)
            size = int(self.status["size"])
            self._version = fs.runtime.namespace.version(path, self.status)
        self.size = size
        self._first_status: dict[str, Any] | None = None
        self._looked_at = time.monotonic()
        self.sha: str | None = fs.runtime.files.sha1(path)

    def after_fork(self) -> None:
        """Forget the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def fetch(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets."""
        memory = announced(max(0, min(end, self.size) - start), self._path)
        with memory.getbuffer() as view:
            self.fill(start, view)
        return memory.getvalue()

    def fill(self, start: int, view: memoryview) -> None:
        """Fill memory with the bytes from an offset on.

        Raises
        ------
        OSError
            ESTALE when the object was replaced since it was opened; EIO when its SHA-1 is another.
        """
        if not view:
            return
        try:
            self._fetch_version(start, view)
        except CosError:
            # drop the possibly stale cache entry
            self._fs.runtime.namespace.cache.forget(self._path)
            raise
        if self.sha is not None and len(view) == self.size:
            # a small object comes whole, in whatever order it is read then
            self.compare(hashlib.sha1(view, usedforsecurity=False).hexdigest())
            self.sha = None

    def compare(self, found: str) -> None:
        """Compare the SHA-1 of all bytes with the one that was told.

        Raises
        ------
        OSError
            EIO when the bytes are not those of the object.
        """
        if self.sha is not None:
            check_content(self._fs.runtime.client, self._bucket, self._key, self.sha, found)

    def _fetch_version(self, start: int, view: memoryview) -> None:
        """Fill the memory from the version of the object that was opened."""
        client, has_waited = self._fs.runtime.client, False
        while True:
            began, is_first = time.monotonic(), self._version is None
            fetched = client.fetch(
                self._bucket, self._key, lambda length, _: view[:length], start, start + len(view), self._version
            )
            self._check_version(fetched.version)
            if fetched.length != len(view):
                raise changed_error(self._path)
            if fetched.version.is_certain or (is_first and len(view) == self.size):
                return
            status = self._check_status()
            if has_waited or is_settled(status, fetched.date) or began - self._looked_at >= MOMENT:
                return
            # a replacement within the same second would not show: read it again when that has passed
            cancellation.sleep(MOMENT)
            has_waited = True

    def _check_version(self, version: Version) -> None:
        """Refuse to mix two versions of the object."""
        with self._lock:
            if self._version is None:
                self._version = version
            first = version is self._version
        if first and self.status is None and version.size != self.size:
            text = f"the file has {version.size} bytes, not the announced {self.size}: open it without size="
            raise make_error(errno.EINVAL, text, self._path)
        if version.size != self.size or version.differs(self._version):
            raise changed_error(self._path)

    def _check_status(self) -> FileStatus:
        """Refuse an object whose status is not that of the one that was opened.

        Only replies with a strong ETag tell versions apart by themselves.
        """
        now = self._fs.runtime.client.file_status(self._bucket, self._key)
        found = {"mtime": now.modified, "sha": now.sha}
        with self._lock:
            if self.status is None and self._first_status is None:
                self._first_status, self._looked_at = found, time.monotonic()
        known = self.status or self._first_status or {}
        if now.size != self.size or any(known.get(name, value) != value for name, value in found.items()):
            raise changed_error(self._path)
        return now
