"""What files opened for appending continue: objects of services that can only store whole ones."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from cosv4fs.attributes import without_defaults
from cosv4fs.errors import make_error
from cosv4fs.forking import Registry
from cosv4fs.info import Info
from cosv4fs.namespace import fingerprint_of
from cosv4fs.options import MIB
from cosv4fs.reader import CosReader
from cosv4fs.runtime import HasRuntime
from cosv4fs.transfer.writer import ObjectWriter

APPEND_LIMIT = 256 * MIB
"""Bytes that an object may have when it is opened with ``ab``: it is read, kept, and uploaded again as a whole."""

_locks: Registry[AbstractContextManager[object]] = Registry()
"""By service and path: one lock for all files of this process that replace the object which they continue."""


class _Filesystem(HasRuntime, Protocol):
    def attributes(self, path: str) -> Mapping[str, Any]:
        """Return what is stored beside the content of a file."""


class Continued:
    """The object that a file opened with ``ab`` continues, as it was at that moment; possibly none.

    The services can only store whole objects, so the new object begins with a copy of the old one.
    """

    def __init__(self, fs: _Filesystem, path: str) -> None:
        self._fs, self._path = fs, path
        self.info = self._look()
        if self.info is not None and self.info["type"] == "directory":
            raise make_error(errno.EISDIR, "this is a directory: open a file in it", path)
        self.size = 0 if self.info is None else int(self.info["size"])
        if self.size > APPEND_LIMIT:
            text = (
                f"the object has {self.size} bytes, and at most {APPEND_LIMIT} can be continued, because all of them "
                "are uploaded again: write another object beside it"
            )
            raise make_error(errno.EFBIG, text, path)

    def _look(self) -> Info | None:
        namespace = self._fs.runtime.namespace
        namespace.cache.invalidate(self._path)
        try:
            return namespace.info(self._path)
        except FileNotFoundError:
            return None

    def attributes(self) -> dict[str, Any]:
        """Return what is stored beside the content, without values that are the service's defaults."""
        if self.info is None:
            return {}
        return without_defaults(self._fs.attributes(self._path))

    def copy_to(self, writer: ObjectWriter) -> None:
        """Write the bytes of the object, and keep all that follows in the spool."""
        digest = _sha1()
        try:
            writer.seek(0)
            for data in self._content():
                writer.write(memoryview(data))
                digest.update(data)
        except BaseException:
            writer.abort()
            raise
        self._copied = digest.hexdigest()

    def _content(self) -> Iterator[bytes]:
        if self.size:
            with CosReader(self._fs, self._path) as reader:
                while data := reader.read(4 * MIB):
                    yield data

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Let a block replace the object, but no other than the one that was read.

        Raises
        ------
        OSError
            ESTALE: the object was changed or removed. One that was created is refused by the service.
        """
        config = self._fs.runtime.client.config
        # other files of this process may continue the same object
        with _locks.get((config.api_root, config.appid, self._path), threading.RLock):
            self._check_unchanged()
            yield

    def _check_unchanged(self) -> None:
        if self.info is None:
            return
        now = self._look()
        if now is None or fingerprint_of(now) != fingerprint_of(self.info) or not self._is_same(now):
            text = (
                "the object was changed or removed after it was opened to append to it: nothing is published, so that "
                "the change is not lost; open it again"
            )
            raise make_error(errno.ESTALE, text, self._path)

    def _is_same(self, now: Info) -> bool:
        """Return whether the content is that which was copied; where the service reports no SHA-1, it is read again."""
        if now.get("sha") is not None:
            return True
        digest = _sha1()
        for data in self._content():
            digest.update(data)
        return digest.hexdigest() == self._copied


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)
