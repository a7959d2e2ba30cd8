"""Read and write whole files, and copy them from and to the local disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import Callback
from fsspec.utils import isfilelike, merge_offset_ranges, stringify_path

from cosv4fs import paths
from cosv4fs.arguments import at_once, limits, whole_or_none, write_mode
from cosv4fs.attributes import Attributes, WriteKeywords, attributes_in, guessed_type, parsed_attributes
from cosv4fs.concurrency import Pool
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

_T = TypeVar("_T")


class Files:
    """Reads and writes whole files. Paths are those of fsspec, without a protocol.

    Parameters
    ----------
    namespace, uploader, pool, journal : Namespace, Uploader, Pool, Journal
        Shared by all instances with one configuration.
    config : Config
        Limits, and whether downloads are verified.
    """

    def __init__(self, namespace: Namespace, uploader: Uploader, pool: Pool, journal: Journal, config: Config) -> None:
        self._namespace, self._uploader, self._pool = namespace, uploader, pool
        self._journal, self._config = journal, config

    def share(self, *, files: int | None = None, pieces: int | None = None) -> Files:
        """Return the same with at most so many files, and pieces of each file, in flight; None sets no limit."""
        if files is None and pieces is None:
            return self
        shared = copy(self)
        shared._pool = self._pool.share(at_once("batch_size", files))
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

    def read_ranges(
        self,
        read: Callable[[str, int | None, int | None], bytes],
        names: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None,
        on_error: str,
    ) -> list[Any]:
        """Return the bytes of several ranges, fetched in parallel by `read`; see `cat_ranges` of the filesystem."""
        if isinstance(names, (str, bytes, os.PathLike)):
            raise TypeError(f"paths must be a list, not {names!r}")
        names = [stringify_path(name) for name in names]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"paths must be a list of paths, not {names!r}")
        if on_error not in ("raise", "return"):
            raise ValueError(f"on_error must be raise or return, not {on_error!r}")
        first, last = limits("starts", starts, len(names)), limits("ends", ends, len(names))
        max_gap = whole_or_none("max_gap", max_gap, 0)
        wanted = list(zip(names, first, last, strict=True))
        if max_gap is None or not wanted:
            return self._read_each(read, wanted, on_error)
        return self._read_merged(read, wanted, max_gap, on_error)

    def read_each(self, read: Callable[[str], bytes], names: list[str], on_error: str, *, is_one: bool) -> Any:
        """Return the contents of several files by path, or that of the only one; see `cat` of the filesystem."""
        if is_one:
            return read(names[0])
        results = zip(names, self._pool.map(_catching(read, on_error), names), strict=True)
        return {name: data for name, data in results if on_error != "omit" or not isinstance(data, Exception)}

    def _read_each(self, read: Callable[..., bytes], wanted: Sequence[Any], on_error: str) -> list[Any]:
        return self._pool.map(_catching(lambda item: read(*item), on_error), wanted)

    def _read_merged(self, read: Callable[..., bytes], wanted: Sequence[Any], max_gap: int, on_error: str) -> list[Any]:
        """Merge neighbouring ranges of a file into one request, and slice the results."""
        if any(start is None or end is None or start < 0 or end < 0 for _, start, end in wanted):
            raise ValueError("max_gap needs explicit starts and ends that are not negative")
        # an empty range, such as one from 4 to 2, would be merged with another one and cut that
        names, starts, ends = ([item[part] for item in wanted if item[1] < item[2]] for part in range(3))
        merged = list(zip(*merge_offset_ranges(names, starts, ends, max_gap=max_gap), strict=True))
        blocks = list(zip(merged, self._read_each(read, merged, on_error), strict=True))

        def cut(path: str, start: int, end: int) -> Any:
            for (name, begin, stop), data in blocks:
                if name == path and begin <= start and end <= stop:
                    return data if isinstance(data, Exception) else data[start - begin : end - begin]
            return b""

        return [cut(*item) for item in wanted]

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

    def write(self, path: str, value: bytes, mode: str, keywords: WriteKeywords) -> None:
        """Write bytes to a file atomically; see `pipe_file` of the filesystem."""
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


def _catching(function: Callable[[Any], _T], on_error: str) -> Callable[[Any], _T | Exception]:
    """Return a function that returns what fails as a result unless `on_error` is ``raise``; never misuse."""

    def call(item: Any) -> _T | Exception:
        try:
            return function(item)
        except OSError as error:
            if on_error == "raise":
                raise
            return error

    return call
