"""What exists: infos, listings, finding and matching. Only "not found" ever means no."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from fsspec.core import has_magic

from cosv4fs import paths
from cosv4fs.api import Version
from cosv4fs.base import BaseFileSystem
from cosv4fs.display import Listing
from cosv4fs.errors import make_error
from cosv4fs.tree import Info, missing

__all__ = ["Lookup"]


class Lookup(BaseFileSystem):
    """The questions that a filesystem answers."""

    def info(self, path: str, refresh: bool = False) -> Info:
        """Return what is known of a file or directory.

        Parameters
        ----------
        path : str
            The path.
        refresh : bool
            Ask the service even when the answer is remembered.

        Returns
        -------
        dict
            ``name``, ``size`` (bytes), ``type`` (``file`` or ``directory``) and, where the service tells them,
            ``created`` and ``mtime`` (Unix seconds) and ``sha`` (SHA-1 in hex, or None) of a file.

        Raises
        ------
        FileNotFoundError
            There is nothing; unfinished uploads do not count. Without keys (``anon=True``): there is no such file.
        """
        return self.namespace.info(self._fresh(path, refresh))

    def _fresh(self, path: str, refresh: bool) -> str:
        """Return a path without its protocol; with `refresh` nothing is remembered of it any more."""
        stripped: str = self._strip_protocol(path)
        if refresh:
            self._remembered.forget(stripped or None)
        return stripped

    def known_sha(self, path: str) -> str | None:
        """Return the SHA-1 that what is read of a file is to be compared with (option `verify_downloads`).

        None where it is not remembered, unless the option is ``always``; and where the service tells none.
        """
        mode = self.config.verify_downloads
        if mode == "never":
            return None
        path = self._strip_protocol(path)
        info = self.namespace.info(path) if mode == "always" else self._remembered.info(path)
        sha: str | None = (info or {}).get("sha")
        return sha

    def known_version(self, path: str, info: Info | None = None) -> Version | None:
        """Return the version that a read of a file has to bring, where that spares a question; else None.

        Parameters
        ----------
        info : dict, optional
            What is known of the file; asked for unless given.
        """
        return None

    def exists(self, path: str, refresh: bool = False) -> bool:
        """Tell whether there is a file or directory; any failure but "not found" is raised. `refresh` as for `info`."""
        stripped = self._fresh(path, refresh)
        found = self._asked(lambda: self.namespace.info(stripped, trust_absence=True)) is not None
        # without keys all that is known by now is that there is no such file
        return found or (self.config.anon and self.isdir(stripped))

    def isfile(self, path: str, refresh: bool = False) -> bool:
        """Tell whether there is a file; any failure but "not found" is raised. `refresh` as for `info`."""
        stripped = self._fresh(path, refresh)
        info = self._asked(lambda: self.namespace.info(stripped, trust_absence=True))
        return info is not None and info["type"] == "file"

    def isdir(self, path: str, refresh: bool = False) -> bool:
        """Tell whether there is a directory; any failure but "not found" is raised. `refresh` as for `info`."""
        return self.namespace.is_directory(self._fresh(path, refresh))

    def _is_directory(self, path: str) -> bool:
        """Tell the same, at the least cost: to explain an error."""
        try:
            return self._asked(lambda: self.namespace.directory(path)) is not None
        except PermissionError:
            # who has no keys cannot ask for directories, and is told of files only
            if not self.config.anon:
                raise
            return False

    @staticmethod
    def _asked(question: Callable[[], Info]) -> Info | None:
        try:
            return question()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def ls(self, path: str, detail: bool = True, refresh: bool = False) -> list[Any]:
        """List a directory, or one file; a notebook shows the list as a table.

        Parameters
        ----------
        path : str
            The path.
        detail : bool
            Return info dicts (see `info`) instead of paths.
        refresh : bool
            Ask the service even when the answer is remembered.

        Raises
        ------
        FileNotFoundError
            There is nothing.
        NotImplementedError
            For the empty path, where the API cannot list buckets.
        """
        path = self._fresh(path, refresh)
        try:
            infos = self.namespace.entries(path)
        except FileNotFoundError:
            infos = [self.namespace.info(path)]
        infos.sort(key=lambda info: info["name"])
        return Listing(infos if detail else (info["name"] for info in infos))

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = "omit", **kwargs: Any
    ) -> Iterator[Any]:
        """Walk a tree as `os.walk` does; see fsspec.

        ``on_error="omit"`` passes over what is not there, and only that: any other failure is raised.
        """

        def omit(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        handler = omit if on_error == "omit" else on_error
        yield from super().walk(path, maxdepth=maxdepth, topdown=topdown, on_error=handler, **kwargs)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        refresh: bool = False,
    ) -> list[str] | dict[str, Info]:
        """Find all files below a path; one request per directory page, several directories at once.

        Parameters
        ----------
        path : str
            A directory, or one file.
        maxdepth : int, optional
            Levels to descend.
        withdirs : bool
            Return directories, and the path itself, too.
        detail : bool
            Return a dict of infos by path instead of a sorted list of paths.
        prefix : str
            Return only what lies below the directory `path` and goes on with this, as in s3fs.
        refresh : bool
            Ask the service even when the answer is remembered.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._fresh(path, refresh)
        try:
            found = self._found(path, maxdepth, prefix)
            if withdirs and path and not prefix:
                found[path] = self._remembered.info(path) or {"name": path, "size": 0, "type": "directory"}
        except FileNotFoundError:
            info = None if prefix else self._asked(lambda: self.namespace.info(path))
            found = {path: info} if info is not None and info["type"] == "file" else {}
        out = {name: found[name] for name in sorted(found) if withdirs or found[name]["type"] == "file"}
        return out if detail else list(out)

    def _found(self, path: str, maxdepth: int | None, prefix: str) -> dict[str, Info]:
        """Return infos of what lies below a directory and whose path goes on with `prefix`, by path."""
        prefix = prefix.lstrip("/")
        folder, _, beginning = f"{path}/{prefix}".lstrip("/").rpartition("/") if prefix else (path, "", "")
        depth = None if maxdepth is None else maxdepth - prefix.count("/")
        if depth is not None and depth < 1:
            return {}
        return self.namespace.find(folder, depth, beginning)

    def glob(
        self, path: str, maxdepth: int | None = None, refresh: bool = False, **kwargs: Any
    ) -> list[str] | dict[str, Info]:
        """Find what matches a pattern; see fsspec. Only directories that can match are listed.

        With `refresh` the service is asked even when the answer is remembered.
        """
        stripped = self._strip_protocol(path)
        if refresh:
            # everything that can match begins with what comes before the first wildcard
            self._fresh(paths.literal_start(stripped).rpartition("/")[0], refresh)
        if "**" in stripped or not has_magic(stripped):
            found: list[str] | dict[str, Info] = super().glob(path, maxdepth=maxdepth, **kwargs)
            return found
        detail, withdirs = kwargs.pop("detail", False), kwargs.pop("withdirs", True)
        if kwargs:
            raise TypeError(f"glob takes no {', '.join(kwargs)}")
        matches = self.namespace.glob(stripped)
        only_folders = path.endswith("/")
        out = {
            name: info
            for name, info in sorted(matches.items())
            if (info["type"] == "directory" or not only_folders) and (withdirs or info["type"] == "file")
        }
        return out if detail else list(out)

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        refresh: bool = False,
    ) -> int | dict[str, int]:
        """Return the bytes of all files below a path, in total or by path; costs what `find` costs."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, refresh=refresh)
        assert isinstance(found, dict)
        sizes = {name: int(info["size"]) for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def sizes(self, paths: Sequence[str]) -> list[int]:
        """Return the sizes of several files in bytes, asked for at once."""
        return self.workers.each(lambda path: int(self.info(path)["size"]), paths)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Return the paths that a path, a pattern or a list of them stands for; see fsspec.

        A name that exists is taken literally even when it looks like a pattern.
        """
        items = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        if assume_literal:
            return self._expand(items, recursive, maxdepth, assume_literal=True, **kwargs)
        literals = [item for item in items if self.is_literal(item)]
        if not literals:
            return self._expand(items, recursive, maxdepth, assume_literal=False, **kwargs)
        out = set(self._expand(literals, recursive, maxdepth, assume_literal=True, **kwargs))
        with suppress(FileNotFoundError):
            patterns = [item for item in items if item not in literals]
            out |= set(self._expand(patterns, recursive, maxdepth, assume_literal=False, **kwargs))
        return sorted(out)

    def _expand(
        self, path: Any, recursive: bool, maxdepth: int | None, assume_literal: bool, **kwargs: Any
    ) -> list[str]:
        try:
            expanded: list[str] = super().expand_path(
                path, recursive, maxdepth, assume_literal=assume_literal, **kwargs
            )
        except FileNotFoundError as error:
            if error.errno is not None or not path:
                raise
            # fsspec's own has no errno and no filename
            raise missing(self._strip_protocol(path[0])) from None
        return expanded

    def is_literal(self, path: Any) -> bool:
        """Tell whether a path that looks like a pattern is the name of something that exists."""
        if not isinstance(path, (str, os.PathLike)):
            return False
        stripped = self._strip_protocol(path)
        if not has_magic(stripped):
            return False
        # a name with * or ? matches itself as a pattern; one with [ does not
        return self.exists(stripped) if "[" in stripped else stripped in self.glob(stripped)

    def created(self, path: str) -> datetime:
        """Return when a file was created, in UTC."""
        return self._time(path, "created")

    def modified(self, path: str) -> datetime:
        """Return when a file was last changed, in UTC."""
        return self._time(path, "mtime")

    def _time(self, path: str, field: str) -> datetime:
        info = self.info(path)
        if field not in info:
            raise make_error(errno.ENOTSUP, "the service tells no time for this path", info["name"])
        try:
            return datetime.fromtimestamp(info[field], timezone.utc)
        except (ValueError, OverflowError, OSError) as fault:
            text = f"the service tells a time that no calendar has: {info[field]:.0f} seconds"
            raise make_error(errno.EBADMSG, text, info["name"]) from fault

    def ukey(self, path: str) -> str:
        """Return a hash that changes when the file's size, time or content changes."""
        info = self.info(path)
        what = (info["name"], info["type"], info["size"], info.get("mtime"), info.get("sha") or info.get("etag"))
        return hashlib.sha256(repr(what).encode()).hexdigest()

    def checksum(self, path: str) -> int:
        """Return a number that changes when the file's size, time or content changes."""
        return int(self.ukey(path)[:16], 16)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what is remembered of a path and everything below it, or of all paths."""
        super().invalidate_cache(path)
        self._remembered.forget(self._strip_protocol(path or "") or None)
