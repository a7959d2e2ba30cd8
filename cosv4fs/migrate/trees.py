"""List the files and directories of a tree on any filesystem.

In object stores a path can be both a file and a directory: the keys ``report`` and ``report/2024.csv`` exist beside
each other. Such a path is listed as both. Keys that are no paths, such as ``a//b``, are listed by their names, and
refused when they are copied.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from inspect import signature
from pathlib import Path
from typing import Any

from fsspec.archive import AbstractArchiveFileSystem
from fsspec.spec import AbstractFileSystem

from cosv4fs.localfiles import is_part
from cosv4fs.migrate.locations import Location
from cosv4fs.paths import parents as parents_of

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "date_time", "created")
"""Keys of the modification time in infos of various filesystems; ``created`` is the last resort."""

_FTP_TIME = re.compile(r"\d{14}")


def info_of(location: Location) -> dict[str, Any]:
    """Return the info of a path; that of the file if it is both."""
    info = dict(location.fs.info(location.path))
    # to the cache of s3fs, a path that is both is a directory once that was listed
    return info if info["type"] != "directory" or location.has_directories else fresh_info(location)


def fresh_info(location: Location) -> dict[str, Any]:
    """Return the info of a path, not from the filesystem's cache."""
    location.fs.invalidate_cache(location.path)
    # another thread may cache an older listing after the invalidation; refresh bypasses the cache if supported
    refresh = {"refresh": True} if "refresh" in signature(location.fs.info).parameters else {}
    return dict(location.fs.info(location.path, **refresh))


def holds_files(location: Location, info: Mapping[str, Any]) -> bool:
    """Return whether an existing path, of which the info is given, is a directory; it may also be a file."""
    if info["type"] == "directory":
        return True
    if location.has_directories:
        return False
    location.fs.invalidate_cache(location.path)
    return bool(location.fs.isdir(location.path))


@dataclass(frozen=True)
class Tree:
    """The infos of the files in a tree, and its directories, by relative path; object stores have no directories."""

    files: dict[str, dict[str, Any]]
    directories: frozenset[str] = frozenset()
    refusals: dict[str, str] = field(default_factory=dict)
    """Why paths cannot be copied: of some of the files, and with a trailing slash, of directories not listed."""

    def entries(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield each path to copy with its info, and why it cannot be copied; empty if it can."""
        unlisted: dict[str, Any] = {"type": "directory", "size": 0}
        for path in (*self.files, *(path for path in self.refusals if path not in self.files)):
            yield path, self.files.get(path, unlisted), self.refusals.get(path, "")

    @property
    def empty_directories(self) -> list[str]:
        """The directories in which nothing is; ``""`` is the tree itself."""
        parents = {name.rpartition("/")[0] for name in (*self.files, *self.directories, *self.refusals)}
        return sorted({"", *self.directories} - parents)


def find_tree(location: Location) -> Tree:
    """Return all files and directories in a directory; raise rather than return an incomplete tree."""
    if location.is_local:
        return _local_tree(location)
    # what others have changed must show, also when files are opened later; many invalidate only a path, not the tree
    location.fs.invalidate_cache(location.path if location.capabilities.container else None)
    refusals: dict[str, str] = {}
    files, directories = _found(location, refusals)
    if not (files or directories):
        # many filesystems return nothing for a missing directory: info raises
        fresh_info(location)
    elif list(files) == [location.path]:
        raise both_error(location)
    files = {name: info for name, info in sorted(files.items()) if not _is_directory_of(location, name, info)}
    # their names are refused when they are copied
    files |= {name: {"type": "file", "size": 0} for name in location.invalid_keys()}
    below = {name.rstrip("/") for name in directories} - {location.path.rstrip("/")}
    prefix = location.prefix
    stray = next((name for name in (*files, *below) if not name.startswith(prefix)), None)
    if stray is not None:
        raise OSError(errno.EIO, f"its listing contains {stray!r}, which is outside", location.url)
    return Tree(
        {name[len(prefix) :]: dict(info) for name, info in files.items()},
        frozenset(name[len(prefix) :] for name in below),
        {name[len(prefix) :]: reason for name, reason in refusals.items()},
    )


def both_error(location: Location) -> OSError:
    """Return the error for a directory that cannot be listed, because a file has the same name."""
    text = "it is both a file and a directory, whose files are hidden: copy the directory above it"
    return OSError(errno.EINVAL, text, location.url)


def _is_directory_of(location: Location, name: str, info: Mapping[str, Any]) -> bool:
    """Return whether a listed file is the tree itself, or an empty placeholder that object stores use for directories.

    A placeholder that is not empty holds data, and is a file.
    """
    return (name.endswith("/") and not info.get("size")) or name == location.path


def _found(location: Location, refusals: dict[str, str]) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Return the infos of all files in a tree by path, and the paths of its directories if they exist by themselves.

    Directories that cannot be listed are added to `refusals`, with a trailing slash.
    """
    if isinstance(location.fs, AbstractArchiveFileSystem):
        return _found_in_archive(location)
    if type(location.fs).find is AbstractFileSystem.find:
        return _found_by_level(location, refusals)
    if not location.has_directories:
        return _files_in(location.fs.find(location.path, detail=True)), set()
    listed = location.fs.find(location.path, detail=True, withdirs=True)
    directories = {str(name) for name, info in listed.items() if info.get("type") == "directory"}
    # with directories, a listing has one info by path, and may hide a file that is also a directory
    files = listed if location.capabilities.container else location.fs.find(location.path, detail=True)
    return _files_in(files), directories


def _found_in_archive(location: Location) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """List an archive, which may also have members ``a`` and ``a/b``: its listings show only the first."""
    location.fs._get_dirs()
    members = {name.rstrip("/"): info for name, info in location.fs.dir_cache.items()}
    below = {name: info for name, info in members.items() if name.startswith(location.prefix)}
    parents = {parent for name in below for parent in parents_of(name) if parent.startswith(location.prefix)}
    listed = {name for name, info in below.items() if info["type"] == "directory"}
    return _files_in(below), listed | parents


def _files_in(found: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(name): info for name, info in found.items() if info.get("type") != "directory"}


def _found_by_level(location: Location, refusals: dict[str, str]) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """List a tree directory by directory: fsspec's generic find skips directories that cannot be listed."""
    files: dict[str, dict[str, Any]] = {}
    found: set[str] = set()
    folders = [location.path]
    while folders:
        folder = folders.pop()
        for info in location.fs.ls(folder, detail=True):
            name = str(info["name"]).rstrip("/")
            if name == folder and folder in files:
                # a listing of the file: nothing else shows what is in the directory
                refusals[f"{name}/"] = str(both_error(location.at(name)).strerror)
            elif name != folder and info["type"] == "directory":
                found.add(name)
                folders.append(name)
            elif name != folder:
                files[name] = info
    return files, found


def _local_tree(location: Location) -> Tree:
    """List a local tree, without files that are still being written.

    fsspec would skip unreadable directories, and report the times of links instead of their targets.
    """

    def fail(error: OSError) -> None:
        raise error

    found: dict[str, dict[str, Any]] = {}
    directories: set[str] = set()
    refusals: dict[str, str] = {}
    for folder, folders, files in os.walk(location.path, onerror=fail):
        inside = Path(folder).relative_to(location.path).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*(name for name in files if not is_part(name)), *links):
            found[prefix + name], refusal = _status(Path(folder, name))
            if refusal:
                refusals[prefix + name] = refusal
        directories.update(prefix + name for name in folders if name not in links)
    return Tree(dict(sorted(found.items())), frozenset(directories), refusals)


def _status(path: Path) -> tuple[dict[str, Any], str]:
    """Return the info of a local file, and why it cannot be copied; empty if it can."""
    try:
        found = path.stat()
    except FileNotFoundError:
        # a broken link or a file just removed: copying it reports the error
        return {"type": "file", "size": 0}, ""
    except OSError as error:
        return {"type": "file", "size": 0}, f"its status cannot be read: {error.strerror}"
    refusal = ""
    if stat.S_ISDIR(found.st_mode):
        refusal = "links to directories are not followed: copy the directory itself"
    elif not stat.S_ISREG(found.st_mode):
        refusal = "pipes, sockets and devices cannot be copied from a directory"
    size = 0 if refusal else found.st_size
    return {"type": "file", "size": size, "mtime": found.st_mtime, "ctime": found.st_ctime}, refusal


def modification_time(info: Mapping[str, Any]) -> float | None:
    """Return the modification time of a file in Unix seconds, from the info of any filesystem."""
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        with suppress(ValueError, TypeError):
            time = _time(value)
            return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    return None


def _time(value: Any) -> datetime:
    """Parse a time as filesystems report it; anything else is a TypeError or ValueError."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, tuple):
        # archives store local times without a zone
        return datetime(*value[:6]).astimezone()
    if isinstance(value, str) and _FTP_TIME.match(value):
        return datetime.strptime(value[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    raise TypeError(type(value).__name__)
