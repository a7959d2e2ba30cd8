"""List the files of a tree, and normalize what filesystems report about them."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractFileSystem

from cosv4fs.localfiles import is_part
from cosv4fs.migrate.locations import Location

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "date_time", "created")
"""Keys of the modification time in infos of various filesystems; ``created`` is the last resort."""

_FTP_TIME = re.compile(r"\d{14}")


def find_files(location: Location) -> dict[str, dict[str, Any]]:
    """Return the infos of all files in a tree, by relative path; raise rather than return an incomplete tree."""
    if location.is_local:
        return dict(sorted((relative, info) for relative, info in _local(location) if info["type"] != "directory"))
    prefix = location.prefix
    found = _found(location)
    if not found:
        # many filesystems return nothing for a missing directory: info raises
        location.fs.invalidate_cache(location.path)
        location.fs.info(location.path)
    files = {name: info for name, info in sorted(found.items()) if not _is_directory_of(location, name, info)}
    stray = next((name for name in files if not name.startswith(prefix)), None)
    if stray is not None:
        raise OSError(errno.EIO, f"its listing contains {stray!r}, which is outside", location.url)
    return {name[len(prefix) :]: dict(info) for name, info in files.items()}


def _is_directory_of(location: Location, name: str, info: Mapping[str, Any]) -> bool:
    """Return whether an entry is a directory or the empty placeholder object that object stores use for one."""
    is_mark = name.endswith("/") and not info.get("size")
    return info["type"] == "directory" or is_mark or name.rstrip("/") == location.path.rstrip("/")


def _found(location: Location) -> dict[str, dict[str, Any]]:
    """Return the infos of all files and directories in a tree, by path."""
    if type(location.fs).find is not AbstractFileSystem.find:
        return dict(location.fs.find(location.path, detail=True, withdirs=True))
    # fsspec's generic find skips directories that cannot be listed
    found: dict[str, dict[str, Any]] = {}
    folders = [location.path]
    while folders:
        folder = folders.pop()
        inside = {str(info["name"]).rstrip("/"): info for info in location.fs.ls(folder, detail=True)}
        inside.pop(folder, None)
        found |= inside
        folders += [name for name, info in inside.items() if info["type"] == "directory"]
    return found


def _local(location: Location) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield relative paths and infos of a local tree, without files that are still being written.

    fsspec would skip unreadable directories, and report the times of links instead of their targets.
    """

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(location.path, onerror=fail):
        inside = Path(folder).relative_to(location.path).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        whole = [name for name in files if not is_part(name)]
        for name in (*whole, *(name for name in folders if Path(folder, name).is_symlink())):
            yield prefix + name, _status(Path(folder, name))
        if prefix and not folders and not whole:
            yield prefix[:-1], {"type": "directory", "size": 0}


def _status(path: Path) -> dict[str, Any]:
    try:
        found = path.stat()
    except FileNotFoundError:
        # a broken link or a file just removed: copying it reports the error
        return {"type": "file", "size": 0}
    except OSError as error:
        return {"type": "file", "size": 0, "refusal": f"its status cannot be read: {error.strerror}"}
    refusal = ""
    if stat.S_ISDIR(found.st_mode):
        refusal = "links to directories are not followed: copy the directory itself"
    elif not stat.S_ISREG(found.st_mode):
        refusal = "pipes, sockets and devices cannot be copied from a directory"
    size = 0 if refusal else found.st_size
    return {"type": "file", "size": size, "mtime": found.st_mtime, "refusal": refusal}


def empty_directories(location: Location) -> list[str]:
    """Return the empty directories of a tree by relative path; ``""`` is the tree itself."""
    if location.is_local:
        found = [relative for relative, info in _local(location) if info["type"] == "directory"]
        is_empty = all(is_part(path.name) for path in Path(location.path).iterdir())
        return found or ([""] if is_empty else [])
    prefix = location.prefix
    listed = _found(location)
    names = {str(name).rstrip("/") for name in listed}
    folders = {str(name).rstrip("/") for name, info in listed.items() if info["type"] == "directory"} | {location.path}
    return sorted((name + "/")[len(prefix) : -1] for name in folders - {name.rpartition("/")[0] for name in names})


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
