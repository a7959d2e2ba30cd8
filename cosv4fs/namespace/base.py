"""The interface of all namespaces, and what they share. Any failure other than "not found" is raised."""

from __future__ import annotations

import errno
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Literal

from cosv4fs.api import Version
from cosv4fs.cache import PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError, make_error
from cosv4fs.info import Info, directory_info


class Namespace(ABC):
    """Files and directories, seen through the cache. Paths have no protocol: ``bucket/dir/name``.

    Parameters
    ----------
    pool, cache : Pool, PathCache
        Shared by all instances with one configuration.
    anon : bool
        Whether requests are not signed: the service then only answers requests for files.
    """

    def __init__(self, pool: Pool, cache: PathCache, *, anon: bool = False) -> None:
        self._pool, self.cache, self._anon = pool, cache, anon

    @abstractmethod
    def info(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a file or directory.

        Parameters
        ----------
        trust_absence : bool
            Treat the path as missing if a cached listing of its parent does not have it.

        Raises
        ------
        FileNotFoundError
            The path does not exist, or is only an unfinished upload.
        """

    @abstractmethod
    def directory(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a directory.

        Raises
        ------
        FileNotFoundError
            The path is not a directory; it may be a file.
        """

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Return whether the path is a directory."""

    @abstractmethod
    def _entries(self, path: str) -> list[Info]:
        """Return the infos of a directory's visible entries.

        Raises
        ------
        FileNotFoundError
            The path is not a directory.
        """

    @abstractmethod
    def _descendants(self, path: str, maxdepth: int | None, name_prefix: str) -> dict[str, Info]:
        """Return infos of everything under a directory, by path.

        Parameters
        ----------
        maxdepth : int or None
            Levels to descend; None for all.
        name_prefix : str
            Only entries of the directory whose names start with this, and everything under them.

        Raises
        ------
        FileNotFoundError
            The path is not a directory.
        """

    @abstractmethod
    def _matches(self, pattern: str) -> dict[str, Info]:
        """Return infos of everything that matches a pattern without ``**``, by path."""

    def version(self, path: str, info: Info | None = None) -> Version | None:
        """Return the version that a download has to return, or None if the download itself tells the version.

        Parameters
        ----------
        info : Info, optional
            The info of the file; looked up unless given.
        """
        return None

    @abstractmethod
    def check_name(self, path: str) -> None:
        """Refuse a path that is not valid for a new file.

        Raises
        ------
        OSError
            EINVAL, with the reason.
        """

    def check_free(self, path: str, *, create: bool) -> None:
        """Refuse a path that cannot be written, before data is sent. The service decides again when it is written.

        Parameters
        ----------
        create : bool
            Whether to refuse an existing file.

        Raises
        ------
        FileExistsError
            The file exists, and `create` is set or the service is write-once.
        """
        if create and self.exists(path):
            raise make_error(errno.EEXIST, "the file exists", path)

    def note_change(self, path: str, *, written: bool) -> None:
        """Invalidate the cache for a path; `written` if a whole object has become visible there."""
        self.cache.invalidate(path)

    def exists(self, path: str) -> bool:
        """Return whether the path is a file or directory."""
        if _if_found(lambda: self.info(path, trust_absence=True)) is not None:
            return True
        # without keys, `info` only knows that there is no such file
        return self._anon and self.is_directory(path)

    def is_file(self, path: str) -> bool:
        """Return whether the path is a file."""
        info = _if_found(lambda: self.info(path, trust_absence=True))
        return info is not None and info["type"] == "file"

    def has_directory(self, path: str) -> bool:
        """Return whether the path is a directory, in one request; used to explain errors."""
        try:
            return _if_found(lambda: self.directory(path)) is not None
        except PermissionError:
            # without keys, the service does not answer requests for directories
            if not self._anon:
                raise
            return False

    def ls(self, path: str) -> list[Info]:
        """Return the infos of a directory's entries sorted by name, or the info of one file.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        try:
            infos = self._entries(path)
        except FileNotFoundError:
            infos = [self.info(path)]
        return sorted(infos, key=lambda info: str(info["name"]))

    def find(self, path: str, maxdepth: int | None, prefix: str, *, withdirs: bool) -> dict[str, Info]:
        """Return infos of the files under a directory, or of one file, by path in order.

        Parameters
        ----------
        maxdepth : int or None
            Levels to descend; None for all.
        prefix : str
            Only paths that start with `path`, a slash and this.
        withdirs : bool
            Return directories, too.
        """
        try:
            found = self._under(path, maxdepth, prefix)
            if withdirs and path and not prefix:
                found[path] = self.cache.info(path) or directory_info(path)
        except FileNotFoundError:
            info = None if prefix else _if_found(lambda: self.info(path))
            found = {path: info} if info is not None and info["type"] == "file" else {}
        return {name: found[name] for name in sorted(found) if withdirs or found[name]["type"] == "file"}

    def glob(self, pattern: str, *, withdirs: bool, only_folders: bool) -> dict[str, Info]:
        """Return infos of the files, and of directories if wanted, that match a pattern without ``**``, in order."""
        return {
            name: info
            for name, info in sorted(self._matches(pattern).items())
            if (info["type"] == "directory" or not only_folders) and (withdirs or info["type"] == "file")
        }

    def _under(self, path: str, maxdepth: int | None, prefix: str) -> dict[str, Info]:
        prefix = prefix.lstrip("/")
        folder, _, name_prefix = f"{path}/{prefix}".lstrip("/").rpartition("/") if prefix else (path, "", "")
        depth = None if maxdepth is None else maxdepth - prefix.count("/")
        if depth is not None and depth < 1:
            return {}
        return self._descendants(folder, depth, name_prefix)


def _if_found(look_up: Callable[[], Info]) -> Info | None:
    """Return what `look_up` returns, or None if it finds nothing."""
    try:
        return look_up()
    except (FileNotFoundError, NotADirectoryError):
        return None


def time_of(info: Info, field: Literal["created", "mtime"]) -> datetime:
    """Return a time of an info, in UTC.

    Parameters
    ----------
    field : str
        ``created`` or ``mtime``.

    Raises
    ------
    OSError
        ENOTSUP: the service does not tell the time. EBADMSG: the time is out of range.
    """
    if field not in info:
        raise make_error(
            errno.ENOTSUP,
            f"the service does not report when this path was {'created' if field == 'created' else 'changed'}",
            info["name"],
        )
    try:
        return datetime.fromtimestamp(info[field], timezone.utc)
    except (ValueError, OverflowError, OSError) as fault:
        text = f"the service reports an invalid time: {info[field]:.0f} seconds"
        raise make_error(errno.EBADMSG, text, info["name"]) from fault


def fingerprint_of(info: Info) -> str:
    """Return a hash of the name, size, time and checksum of a file."""
    what = (info["name"], info["type"], info["size"], info.get("mtime"), info.get("sha") or info.get("etag"))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def not_found_error(path: str) -> CosFileNotFoundError:
    """Return the error for a path that does not exist."""
    error = make_error(errno.ENOENT, "no such file or directory", path)
    assert isinstance(error, CosFileNotFoundError)
    return error
