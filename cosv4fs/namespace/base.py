"""The interface of all namespaces, and what they share. Any failure other than "not found" is raised."""

from __future__ import annotations

import errno
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any, Literal

from cosv4fs import paths
from cosv4fs.api import Client, Version
from cosv4fs.arguments import whole_or_none
from cosv4fs.cache import PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError, CosIsADirectoryError, make_error
from cosv4fs.info import Info, UploadInfo, directory_info

ErrorHandler = Callable[[OSError], object]
"""Called with the error of a directory that cannot be listed, one call at a time."""


def _raise_others(expected: tuple[type[OSError], ...], error: OSError) -> None:
    if isinstance(error, expected):
        return
    try:
        raise error
    finally:
        # it refers to this frame
        del error


omit_missing: ErrorHandler = partial(_raise_others, (FileNotFoundError, NotADirectoryError))
"""Leaves out directories that are not found: they were removed meanwhile. Raises any other error."""


class Namespace(ABC):
    """Files, directories and unfinished uploads, seen through the cache. Paths have no protocol: ``bucket/dir/name``.

    Parameters
    ----------
    client, pool, cache : Client, Pool, PathCache
        Shared by all instances with one configuration.
    """

    def __init__(self, client: Client, pool: Pool, cache: PathCache) -> None:
        self._client, self._pool, self.cache = client, pool, cache

    @abstractmethod
    def info(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a file or directory; an unfinished upload alone is not found.

        With `trust_absence`, a path that a cached listing of its parent does not have is not found, either.
        """

    @abstractmethod
    def directory(self, path: str) -> Info:
        """Return the info of a directory; anything else, such as a file, is not found."""

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Return whether the path is a directory."""

    @abstractmethod
    def _entries(self, path: str) -> list[Info]:
        """Return the infos of a directory's visible entries."""

    @abstractmethod
    def _scanned(self, path: str, *, recursive: bool) -> Iterator[Info]:
        """Yield the infos of a directory's visible entries as pages arrive; see `scandir`."""

    @abstractmethod
    def _is_file_now(self, path: str) -> bool:
        """Return whether the path is a file, never from the cache."""

    @abstractmethod
    def _descendants(self, path: str, maxdepth: int | None, name_prefix: str, on_error: ErrorHandler) -> list[Info]:
        """Return the infos of a directory's entries whose names have a prefix, and of everything under them.

        `maxdepth` is the number of levels to descend; None for all. `on_error` handles the errors of directories under
        the path; that of the path itself is raised.
        """

    @abstractmethod
    def _matches(self, pattern: str) -> list[Info]:
        """Return the infos of everything that matches a pattern without ``**``."""

    @abstractmethod
    def check_name(self, path: str) -> None:
        """Refuse a path that is not valid for a new file (EINVAL, with the reason)."""

    @abstractmethod
    def check_empty_directory(self, path: str) -> None:
        """Refuse a directory that `makedirs` has left to the first file in it, because there is none (EINVAL)."""

    @abstractmethod
    def uploads(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one file, or under a directory."""

    @abstractmethod
    def abort_upload(self, path: str) -> None:
        """Remove the unfinished uploads of one file; raise `FileNotFoundError` if it has none."""

    @abstractmethod
    def _remove_upload(self, upload: UploadInfo) -> None:
        """Remove one upload, if it is still unfinished."""

    def clean_uploads(self, path: str, older_than: float) -> list[UploadInfo]:
        """Remove the uploads under a directory that are at least `older_than` seconds old, and return them.

        The age counts from the last change, in coffers from the start. With 0 all are removed; with more, those of
        unknown age stay, because they may be in flight.
        """
        found = self.uploads(path)
        # the times are the service's: by a local clock that is ahead, uploads in flight would look stale
        limit = self._client.server_time(paths.split(path)[0]) - older_than
        aged = [upload for upload in found if upload["mtime"] or older_than <= 0]
        old = [upload for upload in aged if upload["mtime"] <= limit]
        self._pool.map(self._remove_upload, old)
        return old

    def version(self, path: str, info: Info | None = None) -> Version | None:
        """Return the version that a download has to return, or None if the download itself tells the version.

        The info of the file is looked up unless it is given.
        """
        return None

    def check_file(self, path: str) -> None:
        """Refuse, before content is requested, a path that names no file: a bucket, or what cannot exist."""
        try:
            paths.file_key(path)
        except CosIsADirectoryError:
            if not self.has_directory_now(path):
                raise not_found_error(path) from None
            raise

    def check_free(self, path: str, *, create: bool) -> None:
        """Refuse, before data is sent, a path that cannot be written; with `create` also an existing file.

        The service decides again when the path is written.
        """
        if create and self.exists_now(path):
            raise make_error(errno.EEXIST, "the file exists", path)

    def note_change(self, path: str, *, written: bool) -> None:
        """Invalidate the cache for a path; `written` if a whole object has become visible there."""
        self.cache.invalidate(path)

    def exists(self, path: str) -> bool:
        """Return whether the path is a file or directory."""
        return _if_found(lambda: self.info(path, trust_absence=True)) is not None

    def exists_now(self, path: str) -> bool:
        """Return whether the path is a file or directory, never from the cache: used to refuse creating it."""
        self.cache.invalidate(path)
        return self.exists(path)

    def file_info(self, path: str, hint: str = "name a file in it") -> Info:
        """Return the info of a file; refuse a directory (EISDIR), but not because of the cache alone."""
        if self.cache.is_directory(path):
            self.cache.invalidate(path)
        info = self.info(path)
        if info["type"] == "directory":
            raise make_error(errno.EISDIR, f"this is a directory: {hint}", path)
        return info

    def is_file(self, path: str) -> bool:
        """Return whether the path is a file."""
        info = _if_found(lambda: self.info(path, trust_absence=True))
        return info is not None and info["type"] == "file"

    def has_directory(self, path: str) -> bool:
        """Return whether the path is a directory, in one request."""
        return _if_found(lambda: self.directory(path)) is not None

    def has_directory_now(self, path: str) -> bool:
        """Return the same as `has_directory`, never from the cache: used to explain errors, which may contradict it."""
        self.cache.invalidate(path)
        return self.has_directory(path)

    def refuse_directory(self, path: str, hint: str, cause: OSError) -> None:
        """Raise EISDIR if a file was not found because its path is a directory; never from the cache."""
        if isinstance(cause, CosFileNotFoundError) and self.has_directory_now(path):
            raise make_error(errno.EISDIR, f"this is a directory: {hint}", path) from cause

    def is_only_directory(self, path: str) -> bool:
        """Return whether the path is a directory, and not also a file, as in coffers."""
        return self.has_directory(path) and not self.is_file(path)

    def ls(self, path: str) -> list[Info]:
        """Return the infos of a directory's entries sorted by name, or the info of one file."""
        try:
            infos = self._entries(path)
        except FileNotFoundError:
            if self.cache.is_directory(path):
                # only the cache still has it
                self.cache.invalidate(path, gone=True)
            info = self.info(path)
            if info["type"] == "directory":
                raise
            infos = [info]
        return sorted(infos, key=lambda info: (info["name"], info["type"]))

    def scandir(self, path: str, *, recursive: bool) -> Iterator[Info]:
        """Yield the infos of a directory's entries, never from the cache, and never stored there.

        With `recursive` also those of everything under it.
        """
        try:
            yield from self._scanned(path, recursive=recursive)
        except CosFileNotFoundError as error:
            if error.filename == path and self._is_file_now(path):
                raise make_error(errno.ENOTDIR, "this is a file, not a directory", path) from error
            raise

    def walk(
        self, path: str, maxdepth: int | None, *, topdown: bool, detail: bool, on_error: ErrorHandler
    ) -> Iterator[tuple[str, Any, Any]]:
        """Yield a directory with its subdirectories and files, and the same of all directories under it.

        With `detail` both are dicts of infos by name, else lists of names. With `topdown`, only those subdirectories
        are descended to that the caller leaves in the yielded list or dict.
        """
        maxdepth = whole_or_none("maxdepth", maxdepth, 1)
        return self._walk(path, maxdepth, topdown, detail, on_error)

    def _walk(
        self, path: str, maxdepth: int | None, topdown: bool, detail: bool, on_error: ErrorHandler
    ) -> Iterator[tuple[str, Any, Any]]:
        try:
            infos = self.ls(path)
        except OSError as error:
            on_error(error)
            return
        dirs: Any = {}
        files: Any = {}
        for info in infos:
            # the name of the path itself is empty: it is a file
            name = info["name"][len(path) :].lstrip("/")
            (dirs if name and info["type"] == "directory" else files)[name] = info
        if not detail:
            dirs, files = list(dirs), list(files)
        if topdown:
            yield path, dirs, files
        if maxdepth is None or maxdepth > 1:
            depth = None if maxdepth is None else maxdepth - 1
            for name in list(dirs):
                below = f"{path}/{name}".lstrip("/")
                yield from self._walk(below, depth, topdown, detail, on_error)
        if not topdown:
            yield path, dirs, files

    def find(
        self,
        path: str,
        maxdepth: int | None,
        prefix: str,
        *,
        withdirs: bool,
        on_error: ErrorHandler = omit_missing,
    ) -> dict[str, Info]:
        """Return infos of the files, and of directories if wanted, under a directory, or of one file, in order.

        Only paths that start with `path`, a slash and `prefix` are returned, down to `maxdepth` levels.
        """
        maxdepth = whole_or_none("maxdepth", maxdepth, 1)
        found: list[Info] = []
        try:
            found = self._under(path, maxdepth, prefix, on_error)
            if withdirs and path and not prefix:
                known = self.cache.info(path)
                found.append(known if known and known["type"] == "directory" else directory_info(path))
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            info = _if_found(lambda: self.info(path)) if is_missing and not prefix else None
            if info is not None and info["type"] == "file":
                found = [info]
            else:
                on_error(error)
        return _by_path(info for info in found if withdirs or info["type"] == "file")

    def glob(self, pattern: str, *, withdirs: bool, only_folders: bool) -> dict[str, Info]:
        """Return infos of the files, and of directories if wanted, that match a pattern without ``**``, in order."""
        if not paths.is_valid(pattern):
            return {}
        return _by_path(
            info
            for info in self._matches(pattern)
            if (info["type"] == "directory" or not only_folders) and (withdirs or info["type"] == "file")
        )

    def _under(self, path: str, maxdepth: int | None, prefix: str, on_error: ErrorHandler) -> list[Info]:
        prefix = prefix.lstrip("/")
        folder, _, name_prefix = f"{path}/{prefix}".lstrip("/").rpartition("/") if prefix else (path, "", "")
        depth = None if maxdepth is None else maxdepth - prefix.count("/")
        if depth is not None and depth < 1:
            return []
        return self._descendants(folder, depth, name_prefix, on_error)


def _by_path(infos: Iterable[Info]) -> dict[str, Info]:
    """Return infos by path, in order; that of the file if a path is both a file and a directory."""
    return {info["name"]: info for info in sorted(infos, key=lambda info: (info["name"], info["type"] == "file"))}


def error_handler(on_error: object) -> ErrorHandler:
    """Return the handler for an argument ``on_error``: ``omit``, ``raise`` or a callable, which may be called anywhere.

    Raises
    ------
    ValueError
        It is none of these.
    """
    if on_error == "omit":
        return omit_missing
    if on_error == "raise":
        return partial(_raise_others, ())
    if callable(on_error):
        return partial(_one_at_a_time, threading.Lock(), on_error)
    raise ValueError(f"on_error must be omit, raise or a function, not {on_error!r}")


def _one_at_a_time(lock: threading.Lock, handle: ErrorHandler, error: OSError) -> None:
    with lock:
        handle(error)


def _if_found(look_up: Callable[[], Info]) -> Info | None:
    """Return what `look_up` returns, or None if it finds nothing."""
    try:
        return look_up()
    except (FileNotFoundError, NotADirectoryError):
        return None


def time_of(info: Info, field: Literal["created", "mtime"]) -> datetime:
    """Return a time of an info, in UTC; raise ENOTSUP if the service tells none, EBADMSG if it is out of range."""
    if field not in info:
        text = f"the service does not report when this path was {'created' if field == 'created' else 'changed'}"
        raise make_error(errno.ENOTSUP, text, info["name"])
    try:
        return datetime.fromtimestamp(info[field], timezone.utc)
    except (ValueError, OverflowError, OSError) as fault:
        text = f"the service reports an invalid time: {info[field]:.0f} seconds"
        raise make_error(errno.EBADMSG, text, info["name"]) from fault


def fingerprint_of(info: Info) -> str:
    """Return a hash of a path and its type, size, time and checksum."""
    what = (info["name"], info["type"], info["size"], info.get("mtime"), info.get("sha") or info.get("etag"))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def not_found_error(path: str) -> CosFileNotFoundError:
    """Return the error for a path that does not exist."""
    error = make_error(errno.ENOENT, "no such file or directory", path)
    assert isinstance(error, CosFileNotFoundError)
    return error
