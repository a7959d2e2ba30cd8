"""What the namespaces of all services answer, and what they share. Only "not found" ever means no."""

from __future__ import annotations

import errno
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Literal

from cosv4fs.api import Version
from cosv4fs.cache import PathCache
from cosv4fs.errors import CosFileNotFoundError, make_error
from cosv4fs.info import Info, directory_info
from cosv4fs.transfer.workers import Workers

__all__ = ["Info", "Namespace", "directory_info", "key_of", "missing", "time_of"]


class Namespace(ABC):
    """Questions about what exists. Paths are those of fsspec, without a protocol: ``bucket/dir/name``.

    Parameters
    ----------
    workers, cache : Workers, PathCache
        Shared by all instances with one configuration.
    anon : bool
        Whether there are no keys: then the service can be asked for files only.
    """

    def __init__(self, workers: Workers, cache: PathCache, *, anon: bool = False) -> None:
        self._workers, self.cache, self._anon = workers, cache, anon

    @abstractmethod
    def info(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a file or directory.

        Parameters
        ----------
        trust_absence : bool
            Believe a fresh listing of the parent in which the path is missing.

        Raises
        ------
        FileNotFoundError
            There is neither; an incomplete upload does not count.
        """

    @abstractmethod
    def directory(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a directory.

        Raises
        ------
        FileNotFoundError
            There is none at the path; there may be a file.
        """

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Return whether there is a directory."""

    @abstractmethod
    def entries(self, path: str) -> list[Info]:
        """Return the infos of a directory's visible entries.

        Raises
        ------
        FileNotFoundError
            There is no such directory.
        """

    @abstractmethod
    def find(self, path: str, maxdepth: int | None = None, beginning: str = "") -> dict[str, Info]:
        """Return infos of everything under a directory, by path.

        Parameters
        ----------
        beginning : str
            Leave out entries of the directory itself whose names begin otherwise, and what is under them.

        Raises
        ------
        FileNotFoundError
            `path` itself is no directory.
        """

    @abstractmethod
    def glob(self, pattern: str) -> dict[str, Info]:
        """Return infos of what matches a pattern without ``**``, by path."""

    def version(self, path: str, info: Info | None = None) -> Version | None:
        """Return the version that a read of a file has to bring, where knowing it saves a request; else None.

        Parameters
        ----------
        info : dict, optional
            What is known of the file; asked for unless given.
        """
        return None

    @abstractmethod
    def check_new(self, path: str) -> None:
        """Refuse a path that no new file can have.

        Raises
        ------
        OSError
            EINVAL, saying why.
        """

    def check_free(self, path: str, *, create: bool) -> None:
        """Refuse what cannot be written before anything is written; the service decides in the end.

        Parameters
        ----------
        create : bool
            Whether an existing file is to be refused.

        Raises
        ------
        FileExistsError
            There is a file, and it cannot be or is not to be replaced.
        """
        if create and self.exists(path):
            raise make_error(errno.EEXIST, "the file exists", path)

    def note_change(self, path: str, *, written: bool) -> None:
        """Drop what is cached of a path; where `written`, a whole object has become visible there."""
        self.cache.invalidate(path)

    def exists(self, path: str) -> bool:
        """Return whether there is a file or directory; any failure but "not found" is raised."""
        if self.asked(lambda: self.info(path, trust_absence=True)) is not None:
            return True
        # without keys all that is known by now is that there is no such file
        return self._anon and self.is_directory(path)

    def is_file(self, path: str) -> bool:
        """Return whether there is a file; any failure but "not found" is raised."""
        info = self.asked(lambda: self.info(path, trust_absence=True))
        return info is not None and info["type"] == "file"

    def has_directory(self, path: str) -> bool:
        """Return whether there is a directory, at the least cost: to explain an error."""
        try:
            return self.asked(lambda: self.directory(path)) is not None
        except PermissionError:
            # without keys directories cannot be asked for, and none is known of
            if not self._anon:
                raise
            return False

    def listing(self, path: str) -> list[Info]:
        """Return the infos of a directory's entries in the order of their names, or that of one file.

        Raises
        ------
        FileNotFoundError
            There is nothing.
        """
        try:
            infos = self.entries(path)
        except FileNotFoundError:
            infos = [self.info(path)]
        return sorted(infos, key=lambda info: str(info["name"]))

    def found(self, path: str, maxdepth: int | None, prefix: str, *, withdirs: bool) -> dict[str, Info]:
        """Return infos of the files under a directory, or of one file, by path; with `withdirs` of directories, too.

        Parameters
        ----------
        prefix : str
            Return only what lies under the directory `path` and goes on with this.
        """
        try:
            found = self._under(path, maxdepth, prefix)
            if withdirs and path and not prefix:
                found[path] = self.cache.info(path) or directory_info(path)
        except FileNotFoundError:
            info = None if prefix else self.asked(lambda: self.info(path))
            found = {path: info} if info is not None and info["type"] == "file" else {}
        return {name: found[name] for name in sorted(found) if withdirs or found[name]["type"] == "file"}

    def matches(self, pattern: str, *, withdirs: bool, only_folders: bool) -> dict[str, Info]:
        """Return infos of what matches a pattern without ``**``, by path in order."""
        return {
            name: info
            for name, info in sorted(self.glob(pattern).items())
            if (info["type"] == "directory" or not only_folders) and (withdirs or info["type"] == "file")
        }

    def _under(self, path: str, maxdepth: int | None, prefix: str) -> dict[str, Info]:
        prefix = prefix.lstrip("/")
        folder, _, beginning = f"{path}/{prefix}".lstrip("/").rpartition("/") if prefix else (path, "", "")
        depth = None if maxdepth is None else maxdepth - prefix.count("/")
        if depth is not None and depth < 1:
            return {}
        return self.find(folder, depth, beginning)

    @staticmethod
    def asked(question: Callable[[], Info]) -> Info | None:
        """Return the answer to a question, None when nothing is found; any other failure is raised."""
        try:
            return question()
        except (FileNotFoundError, NotADirectoryError):
            return None


def time_of(info: Info, field: Literal["created", "mtime"]) -> datetime:
    """Return a time that an info tells, in UTC.

    Parameters
    ----------
    field : str
        ``created`` or ``mtime``.

    Raises
    ------
    OSError
        ENOTSUP when it tells none; EBADMSG for a time that no calendar has.
    """
    if field not in info:
        raise make_error(errno.ENOTSUP, "the service tells no time for this path", info["name"])
    try:
        return datetime.fromtimestamp(info[field], timezone.utc)
    except (ValueError, OverflowError, OSError) as fault:
        text = f"the service tells a time that no calendar has: {info[field]:.0f} seconds"
        raise make_error(errno.EBADMSG, text, info["name"]) from fault


def key_of(info: Info) -> str:
    """Return a hash that changes when a file's size, time or content changes."""
    what = (info["name"], info["type"], info["size"], info.get("mtime"), info.get("sha") or info.get("etag"))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def missing(path: str) -> CosFileNotFoundError:
    """Return the error for a path at which there is nothing."""
    error = make_error(errno.ENOENT, "no such file or directory", path)
    assert isinstance(error, CosFileNotFoundError)
    return error
