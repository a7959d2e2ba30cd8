"""Read and write one whole file, or copy it: from and to the local disk, or through this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fsspec.callbacks import Callback
from fsspec.utils import isfilelike

from cosv4fs import paths
from cosv4fs.arguments import at_once, check_content, whole_or_none, write_mode
from cosv4fs.attributes import (
    Attributes,
    WriteKeywords,
    attributes_in,
    attributes_of_copy,
    guessed_type,
    parsed_attributes,
    stored_by,
    written_with_copy,
)
from cosv4fs.config import Config
from cosv4fs.errors import CosError, CosIsADirectoryError
from cosv4fs.info import InterruptedUpload
from cosv4fs.localfiles import naming_file, open_stream
from cosv4fs.namespace import Namespace
from cosv4fs.progress import Step, step_counter
from cosv4fs.transfer.download import Download
from cosv4fs.transfer.journal import Journal
from cosv4fs.transfer.sources import FileSource, MemorySource
from cosv4fs.transfer.target import Target, naming
from cosv4fs.transfer.upload import Uploader
from cosv4fs.transfer.writer import ObjectWriter

if TYPE_CHECKING:
    from typing_extensions import Buffer

_T = TypeVar("_T")


class Files:
    """Reads and writes whole files, one with each call. Paths are those of fsspec, without a protocol.

    Parameters
    ----------
    namespace, uploader, journal : Namespace, Uploader, Journal
        Shared by all instances with one configuration.
    config : Config
        Limits, and whether downloads are verified.
    """

    def __init__(self, namespace: Namespace, uploader: Uploader, journal: Journal, config: Config) -> None:
        self._namespace, self._uploader, self._journal, self._config = namespace, uploader, journal, config

    def share(self, pieces: int | None) -> Files:
        """Return the same with at most so many pieces of a file in flight; None sets no limit."""
        if pieces is None:
            return self
        shared = copy(self)
        shared._uploader = self._uploader.share(at_once("max_concurrency", pieces))
        return shared

    # -- reading ---------------------------------------------------------------------------------------------------

    def expected_sha1(self, path: str) -> str | None:
        """Return the SHA-1 that a download must have, by the option ``verify_downloads``.

        None if the service has none, or if it is not cached and the option is not ``always``.
        """
        mode = self._config.verify_downloads
        if mode == "never":
            return None
        info = self._namespace.info(path) if mode == "always" else self._namespace.cache.info(path)
        return None if info is None else info.get("sha")

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes of a file or of a range; see `cat_file` of the filesystem."""
        start, end = whole_or_none("start", start), whole_or_none("end", end)
        begin = start or 0
        if end is not None and (end < 0 or begin < 0 or end <= begin):
            # offsets from the end refer to the current size, not to a cached one
            size = self._size(path, refresh=end < 0 or begin < 0)
            begin, end = (max(0, size + offset) if offset < 0 else offset for offset in (begin, end))
            if end <= begin:
                return b""
            start = begin
        return self._download(path, lambda download: download.to_bytes(start, end))

    def _size(self, path: str, refresh: bool) -> int:
        if refresh:
            self._namespace.cache.invalidate(path)
        return int(self._namespace.file_info(path)["size"])

    def _download(
        self,
        path: str,
        action: Callable[[Download], _T],
        callback: Callback | None = None,
        received: Callable[[Attributes], object] | None = None,
        sha1: str | None = None,
    ) -> _T:
        self._namespace.check_file(path)
        set_size, progress = step_counter(callback)
        version, sha = self._namespace.version(path), (sha1 or self.expected_sha1(path) or "").lower() or None
        client, pool = self._uploader.client, self._uploader.pool
        download = Download(client, pool, path, version, sha, set_size, progress, accepts_newer=sha1 is None)
        try:
            result = action(download)
        except CosError as error:
            # drop the possibly stale cache entry
            self._namespace.cache.invalidate(path)
            self._namespace.refuse_directory(path, "name a file in it", error)
            raise
        if received is not None:
            received(attributes_in(download.headers))
        return result

    def get(
        self,
        path: str,
        lpath: Any,
        outfile: Any,
        callback: Callback,
        received: Callable[[Attributes], object] | None = None,
        sha1: str | None = None,
    ) -> None:
        """Copy one file to the local disk, or to a file-like `lpath` or `outfile`; see `get_file` of the filesystem."""

        def download(action: Callable[[Download], None]) -> None:
            self._download(path, action, callback, received, sha1)

        sink = outfile if outfile is not None else lpath if isfilelike(lpath) else None
        if sink is not None:
            download(lambda started: started.to_sink(sink))
            return
        target = Path(os.fspath(lpath))
        stream = open_stream(target)
        if stream is not None:
            with naming_file(str(target)), stream:
                download(lambda started: started.to_sink(stream))
            return
        try:
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
            download(lambda started: started.to_file(target))
        except IsADirectoryError as error:
            # of the source, or of the target
            if not isinstance(error, CosIsADirectoryError) and self._namespace.info(path)["type"] != "directory":
                raise
            target.mkdir(parents=True, exist_ok=True)

    # -- writing ---------------------------------------------------------------------------------------------------

    def checked(self, attributes: Mapping[str, Any]) -> Attributes:
        """Return the attributes of new files; raise if one is invalid or cannot be stored (see `parsed_attributes`)."""
        return parsed_attributes(attributes, self._uploader.client.protocol.name)

    def target(self, path: str, mode: str, attributes: Mapping[str, Any], deferred: bool = False) -> Target:
        """Check and return the target of an upload.

        Parameters
        ----------
        mode : str
            ``overwrite`` or ``create``, checked.
        attributes : mapping
            See `Attributes`; not checked yet.

        Raises
        ------
        OSError, ValueError, TypeError, NotImplementedError
            The path or an attribute is invalid, or the service cannot store the attribute.
        """
        self._namespace.check_name(path)
        bucket, key = paths.file_key(path)
        checked = self.checked(attributes)
        content_type = checked.get("content_type") or guessed_type(path)
        return Target(bucket, key, mode == "create", content_type, checked, deferred)

    def check_keywords(self, mode: str, given: Mapping[str, Any]) -> None:
        """Refuse invalid keywords of methods that write, even if there is nothing to write."""
        self._split_keywords(mode, given)

    def _split_keywords(self, mode: str, given: Mapping[str, Any]) -> tuple[Uploader, str, Attributes]:
        """Return the uploader, mode and attributes that the keywords of methods that write stand for."""
        rest = dict(given)
        mode = write_mode(mode, rest.pop("overwrite", None))
        uploader = self._uploader.share(at_once("max_concurrency", rest.pop("max_concurrency", None)))
        return uploader, mode, self.checked(rest)

    def write(self, path: str, value: Buffer, mode: str, keywords: WriteKeywords) -> None:
        """Write bytes to a file atomically; see `pipe_file` of the filesystem."""
        check_content(path, value)
        uploader, mode, attributes = self._split_keywords(mode, keywords)
        target, source = self.target(path, mode, attributes), MemorySource(value)
        with self._changing(path), naming(target):
            uploader.upload(target, source)

    def put(self, lpath: Any, path: str, callback: Callback, mode: str, resume: bool, keywords: WriteKeywords) -> None:
        """Upload a local file atomically; see `put_file` of the filesystem."""
        uploader, mode, attributes = self._split_keywords(mode, keywords)
        target = self.target(path, mode, attributes)
        set_size, progress = step_counter(callback)
        with self._changing(path), naming(target), FileSource(lpath) as source:
            if source.is_stream:
                self._put_stream(ObjectWriter(uploader, target), source, path, target, progress)
                return
            if set_size is not None:
                set_size(source.size)
            # an upload in one request cannot be resumed
            resumable = resume and source.size > self._config.single_upload_limit
            claimed = self._journal.claim(lpath, source.status, path, target.attributes) if resumable else nullcontext()
            with claimed as entry:
                uploader.upload(target, source, progress, entry)

    def _put_stream(
        self, writer: ObjectWriter, source: FileSource, path: str, target: Target, progress: Step | None
    ) -> None:
        """Upload the output of a pipe or device."""
        self._namespace.check_free(path, create=target.create)
        try:
            for block in source.blocks():
                writer.write(memoryview(block))
                if progress is not None:
                    progress(len(block))
            writer.finish()
        except BaseException:
            writer.abort()
            raise

    @contextmanager
    def _changing(self, path: str) -> Iterator[None]:
        """Invalidate the cache after a path was written, or writing failed."""
        try:
            yield
        except BaseException:
            self._namespace.note_change(path, written=False)
            raise
        self._namespace.note_change(path, written=True)

    def interrupted(self, path: str) -> list[InterruptedUpload]:
        """Return the uploads of local files that can be resumed; see `interrupted_uploads` of the filesystem."""
        found = self._journal.interrupted()
        return [one for one in found if not path or one["name"] == path or one["name"].startswith(path + "/")]


def copy_through(fs: Any, source: str, target: str) -> None:
    """Copy a file with its attributes by reading and writing it; no transaction delays the copy.

    The permission is carried only if it makes the copy private (see `written_with_copy`).
    """
    # this caches the status, which saves the request to open the file
    stored = fs.attributes(source) if "biz_attr" in stored_by(fs.protocol) else {}
    with fs.open(source, "rb") as reader:
        data = reader.read(fs.config.slice_size)
        attributes, _ = written_with_copy(attributes_of_copy(stored, reader.attributes), target, fs.protocol)
        with fs._open(target, "wb", size=reader.size, **attributes) as writer:
            while data:
                writer.write(data)
                data = reader.read(fs.config.slice_size)
