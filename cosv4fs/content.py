"""What a file that is read consists of: one version of an object, from any thread."""

from __future__ import annotations

import errno
import hashlib
import threading
from typing import TYPE_CHECKING, Any

from cosv4fs import paths
from cosv4fs.api import Version
from cosv4fs.api.download import changed_error
from cosv4fs.errors import CosError, make_error
from cosv4fs.transfer.integrity import check_content
from cosv4fs.transfer.status import status_of

if TYPE_CHECKING:
    from cosv4fs.lookup import Lookup

__all__ = ["Content"]


class Content:
    """The object that a file was opened on. It knows nothing of the file, so that the two do not keep each other alive.

    Parameters
    ----------
    fs : Lookup
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

    def __init__(self, fs: Lookup, path: str, size: int | None = None) -> None:
        self._fs, self._path = fs, path
        self._bucket, self._key = paths.file_key(path)
        self._lock = threading.Lock()
        self._version: Version | None = None
        self.status: dict[str, Any] | None = None
        if size is None:
            self.status = fs.info(path)
            if self.status["type"] == "directory":
                raise make_error(errno.EISDIR, "this is a directory: open a file in it", path)
            size = int(self.status["size"])
            self._version = fs.known_version(path, self.status)
        self.size = size
        self.sha: str | None = fs.known_sha(path)

    def after_fork(self) -> None:
        """Forget the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def fetch(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets."""
        memory = bytearray(max(0, min(end, self.size) - start))
        self.fill(start, memoryview(memory))
        return bytes(memory)

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
            # perhaps what is remembered of the file is not so: who opens it again shall not be told the same
            self._fs.invalidate_cache(self._path)
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
            check_content(self._fs.client, self._bucket, self._key, self.sha, found)

    def _fetch_version(self, start: int, view: memoryview) -> None:
        """Fill the memory from the version of the object that was opened."""
        stop = start + len(view)
        fetched = self._fs.client.fetch(
            self._bucket, self._key, lambda length, _: view[:length], start, stop, self._version
        )
        self._check_version(fetched.version)
        if fetched.length != len(view):
            raise changed_error(self._path)

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
        if not version.is_certain:
            # replies without ETag and Last-Modified: the status has to be as it was when the file was opened
            now = status_of(self._fs.client, self._bucket, self._key)
            opened, sha = self.status or {}, getattr(now, "sha", None)
            if (now.size, now.modified, sha) != (
                self.size,
                opened.get("mtime", now.modified),
                opened.get("sha", sha),
            ):
                raise changed_error(self._path)
