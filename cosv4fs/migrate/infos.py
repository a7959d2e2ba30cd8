"""What filesystems tell about one path, read in the same way for all of them."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from inspect import signature
from typing import Any

from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import Location

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "date_time", "created")
"""Keys of the modification time in infos of various filesystems; ``created`` is the last resort."""

_SHA1, _MD5 = re.compile("[0-9a-f]{40}"), re.compile("[0-9a-f]{32}")

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
    """Return whether an existing path is a directory; it may be a file, too. `info` is its info."""
    if info["type"] == "directory":
        return True
    if location.has_directories:
        return False
    location.fs.invalidate_cache(location.path)
    return bool(location.fs.isdir(location.path))


def check_directory(tree: Location) -> None:
    """Raise an error unless a tree of which nothing, or only itself, was listed is a directory."""
    try:
        info = fresh_info(tree)
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such file or directory", tree.url) from error
    if info["type"] != "directory":
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a directory", tree.url)


def entry_of(location: Location, info: Mapping[str, Any], path: str = "", refusal: str = "") -> Entry:
    """Return the entry for an info of any filesystem; `path` is relative to the tree, of which `location` is a part."""
    modified, is_directory = modification_time(info), info["type"] == "directory"
    if is_directory:
        return Entry(path, modified=modified, is_directory=True, refusal=refusal)
    sha1, md5 = recorded_sha1(location, info), recorded_md5(location, info)
    return Entry(path, int(info.get("size") or 0), modified, sha1=sha1, md5=md5, refusal=refusal)


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


def recorded_sha1(location: Location, info: Mapping[str, Any]) -> str | None:
    """Return the SHA-1 in hex that the service has stored for a file, or None."""
    known = str(info.get("sha") or "").lower()
    return known if location.capabilities.knows_sha1 and _SHA1.fullmatch(known) else None


def recorded_md5(location: Location, info: Mapping[str, Any]) -> str | None:
    """Return the ETag of a file in an object store if it looks like an MD5.

    It proves that contents are equal, not that they differ. Web servers have ETags that look so, too, but are made of
    times and sizes.
    """
    if location.has_directories and not location.capabilities.container:
        return None
    known = str(info.get("etag") or info.get("ETag") or "").strip('"').lower()
    return known if _MD5.fullmatch(known) else None
