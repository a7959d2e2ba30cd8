"""Reading files: whole, in parts, many at once, and to the local disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.utils import isfilelike, merge_offset_ranges

from cosv4fs import bulk, paths
from cosv4fs.display import with_progress
from cosv4fs.errors import CosError, CosFileNotFoundError, CosIsADirectoryError, make_error
from cosv4fs.lookup import Lookup
from cosv4fs.transfer.download import Download

__all__ = ["Reading"]

T = TypeVar("T")


class Reading(Lookup):
    """The ways to get bytes out."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes of a file, or of a part of it: one request, or parallel ranges for a large one.

        Parameters
        ----------
        path : str
            The file.
        start, end : int, optional
            Limits in bytes; negative ones count from the file's end.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        """
        path = self._strip_protocol(path)
        begin = start or 0
        if end is not None and (end < 0 or begin < 0 or end <= begin):
            # places counted from the end are those of what is there now, not of what is remembered
            size = self._size_of_file(path, refresh=end < 0 or begin < 0)
            begin, end = (max(0, size + place) if place < 0 else place for place in (begin, end))
            if end <= begin:
                return b""
            start = begin
        return self._download(path, lambda download: download.to_bytes(start, end))

    def _size_of_file(self, path: str, refresh: bool) -> int:
        info = self.info(path, refresh)
        if info["type"] == "directory":
            raise make_error(errno.EISDIR, "this is a directory: name a file in it", path)
        return int(info["size"])

    def _download(self, path: str, action: Callable[[Download], T], callback: Callback | None = None) -> T:
        bucket, key = paths.file_key(path)
        room, steps = self.room, bulk.step_counter(callback)
        known = self.known_sha(path), self.known_version(path)
        try:
            return action(Download(room.client, room.workers, bucket, key, self.config.range_size, *steps, *known))
        except CosFileNotFoundError as error:
            if self._is_directory(path):
                raise make_error(errno.EISDIR, "this is a directory: name a file in it", path) from error
            raise
        except CosError:
            # perhaps what is remembered of the file is not so: who reads it again shall not be told the same
            self._remembered.forget(path)
            raise

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Return the bytes of one file, or a dict of path to bytes for several; see fsspec.

        Explicit paths cost one request each; all are fetched at once.
        """
        if on_error not in ("raise", "omit", "return"):
            raise ValueError(f"on_error must be raise, omit or return, not {on_error!r}")
        found = self.expand_path(path, recursive=recursive)
        if recursive:
            found = [name for name in found if not self._is_directory(name)]
        if not isinstance(path, list) and found == [self._strip_protocol(path)]:
            return self.cat_file(found[0], **kwargs)
        results = self.workers.each(self._kept(lambda name: self.cat_file(name, **kwargs), on_error), found)
        pairs = zip(found, results, strict=True)
        return {name: result for name, result in pairs if on_error != "omit" or not isinstance(result, Exception)}

    @staticmethod
    def _kept(function: Callable[[Any], T], on_error: str) -> Callable[[Any], T | Exception]:
        """Return the function with its errors raised, or handed back as results."""

        def kept(item: Any) -> T | Exception:
            try:
                return function(item)
            except Exception as error:
                if on_error == "raise":
                    raise
                return error

        return kept

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return the bytes of several ranges, fetched at once.

        Parameters
        ----------
        paths, starts, ends : lists
            One entry per range; a single start or end serves all.
        max_gap : int, optional
            Ranges of one file that lie at most so many bytes apart are fetched in one request.
        on_error : str
            ``return`` puts an exception in the place of its result; ``raise`` raises the first.
        """
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        if on_error not in ("raise", "return"):
            raise ValueError(f"on_error must be raise or return, not {on_error!r}")
        first = list(starts) if isinstance(starts, Sequence) else [starts] * len(paths)
        last = list(ends) if isinstance(ends, Sequence) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("paths, starts and ends must have the same length")
        wanted = list(zip(paths, first, last, strict=True))
        if max_gap is None or not wanted:
            return self.workers.each(self._kept(lambda item: self.cat_file(*item, **kwargs), on_error), wanted)
        return self._cat_merged(wanted, max_gap, on_error, kwargs)

    def _cat_merged(self, wanted: list[Any], max_gap: int, on_error: str, kwargs: dict[str, Any]) -> list[Any]:
        if any(start is None or end is None or start < 0 or end < 0 for _, start, end in wanted):
            raise ValueError("max_gap needs explicit starts and ends that are not negative")
        merged = list(zip(*merge_offset_ranges(*map(list, zip(*wanted, strict=True)), max_gap=max_gap), strict=True))
        fetch = self._kept(lambda item: self.cat_file(*item, **kwargs), on_error)
        blocks = list(zip(merged, self.workers.each(fetch, merged), strict=True))

        def cut(path: str, start: int, end: int) -> Any:
            for (name, begin, stop), data in blocks:
                if name == path and begin <= start and end <= stop:
                    return data if isinstance(data, Exception) else data[start - begin : end - begin]
            return b""

        return [cut(*item) for item in wanted]

    def head(self, path: str, size: int = 1024) -> bytes:
        """Return the first `size` bytes of a file, in one request."""
        return self.cat_file(path, 0, size)

    def tail(self, path: str, size: int = 1024) -> bytes:
        """Return the last `size` bytes of a file, in one request."""
        return self.cat_file(path, -size) if size else b""

    @with_progress("B")
    def get_file(
        self, rpath: str, lpath: Any = None, callback: Callback = DEFAULT_CALLBACK, outfile: Any = None
    ) -> None:
        """Copy one file to the local disk, or into a file-like `lpath` or `outfile`.

        A local file appears under its name only when it is complete. A directory becomes a local directory.

        Parameters
        ----------
        rpath, lpath : str, str or file-like
            Source and target.
        callback : Callback
            Told the size and every range that arrives.
        """
        path = self._strip_protocol(rpath)
        sink = outfile if outfile is not None else lpath if isfilelike(lpath) else None
        if sink is not None:
            self._download(path, lambda download: download.to_sink(sink), callback)
            return
        target = Path(os.fspath(lpath))
        if target.exists() and not (target.is_file() or target.is_dir()):
            # a pipe or a device: it is written to, not replaced
            with target.open("wb", buffering=0) as pipe:
                self._download(path, lambda download: download.to_sink(pipe), callback)
            return
        try:
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
            self._download(path, lambda download: download.to_file(target), callback)
        except CosIsADirectoryError:
            target.mkdir(parents=True, exist_ok=True)

    @with_progress("file")
    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files to the local disk, several at once; see fsspec for what goes where."""
        pairs = bulk.plan_get(self, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        # what planning has just listed as a directory need not be tried as a file
        folders = {source for source, _ in pairs if recursive and self._remembered.is_directory(source)}

        def one(source: str, target: str, child: Callback) -> None:
            if source in folders:
                Path(target).mkdir(parents=True, exist_ok=True)
            else:
                self.get_file(source, target, callback=child, **kwargs)

        bulk.each_pair(self, pairs, callback, one)
