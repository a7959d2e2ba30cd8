"""Open files for writing: new ones, and those that continue an object."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
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
from cosv4fs.writer import CosWriter

APPEND_LIMIT = 256 * MIB
"""Bytes that an object may have when it is opened with ``ab``: it is read, kept, and uploaded again as a whole."""

_locks: Registry[AbstractContextManager[object]] = Registry()
"""By service and path: one lock for all files of this process that replace the object which they continue."""


class _Filesystem(HasRuntime, Protocol):
    def attributes(self, path: str) -> Mapping[str, Any]:
        """Return what is stored beside the content of a file."""


def open_writer(
    fs: Any,
    path: str,
    mode: str,
    block_size: int | None,
    size: int | None,
    autocommit: bool,
    attributes: Mapping[str, Any],
) -> CosWriter:
    """Open a file for writing; see `open` of the filesystem.

    Parameters
    ----------
    mode : str
        ``wb``, ``xb`` or ``ab``.
    size : int, optional
        Bytes that the caller will write.
    autocommit : bool
        False to publish the file later, with `CosWriter.commit`.
    attributes : mapping
        What is stored beside the content; see `Attributes`.

    Raises
    ------
    OSError
        EFBIG: the object is too large to append to it. FileExistsError, IsADirectoryError: see `open`.
    NotImplementedError
        The mode updates, or appends where no file can be replaced.
    """
    if mode not in ("wb", "xb", "ab") or (mode == "ab" and not fs.capabilities.replaces_files):
        raise NotImplementedError(f"mode {mode!r} is not supported: {fs._no_update}")
    namespace, files = fs.runtime.namespace, fs.runtime.files
    continued = _Continued(fs, path) if mode == "ab" else None
    if continued is not None:
        attributes = {**continued.attributes(), **attributes}
        size = None if size is None else size + continued.size
    create = mode == "xb" or (continued is not None and continued.info is None)
    target = files.target(path, "create" if create else "overwrite", attributes, not autocommit)
    namespace.check_free(path, create=create)
    guard: Callable[[], AbstractContextManager[None]] = nullcontext if continued is None else continued.replacing
    writer = ObjectWriter(fs.runtime.uploader, target, size, block_size, guard)
    if continued is not None:
        continued.copy_to(writer)
    return CosWriter(fs, path, mode, writer, autocommit, partial(namespace.note_change, path))


class _Continued:
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
