"""Plan copies: list trees, pair sources with targets, and compare two trees."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.core import has_magic
from fsspec.spec import AbstractFileSystem

from cosv4fs.collisions import check_copies, check_targets, directories_among
from cosv4fs.localfiles import LocalNames, is_part
from cosv4fs.migrate.copying import read_sha1, recorded_sha1
from cosv4fs.migrate.locations import Location

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "date_time", "created")
"""Keys of the modification time in infos of various filesystems; ``created`` is the last resort."""

_FTP_TIME = re.compile(r"\d{14}")


@dataclass(frozen=True)
class Pair:
    """A source file and its target, with the size and the modification time of the source in Unix seconds."""

    source: Location
    target: Location
    size: int
    modified: float | None = None
    is_directory: bool = False
    """Whether the source is an empty directory, to be created at the target."""
    refusal: str = ""
    """Why the source cannot be copied, for example because it is a socket; empty if it can."""
    is_named: bool = False
    """Whether the caller has named the target itself, not only a directory above it."""


@dataclass(frozen=True)
class Difference:
    """The changes that make the target tree equal to the source tree."""

    copies: tuple[tuple[Pair, str], ...]
    """Files to copy, with the reason: ``new``, ``size``, ``newer`` or ``content``."""
    deletions: tuple[Location, ...]
    """Files that only the target has."""
    same: int
    """Number of equal files."""
    undated: int = 0
    """Number of those that were compared by size alone, because one side reports no modification times."""


def pair_files(sources: Iterable[Location], target: Location, *, recursive: bool) -> list[Pair]:
    """Return the files to copy, by the rules of ``cp``.

    Sources are copied into the target if there are several, if the target has a trailing slash, or if it is a
    directory. A source directory with a trailing slash stands for its contents. Empty directories are included if
    both filesystems support them. Copies of a file onto itself or onto another source, of a directory into itself and
    of two files to one path are refused (EINVAL).
    """
    expanded = [location for source in sources for location in expand_pattern(source)]
    into = target.trailing_slash or len(expanded) > 1 or target.fs.isdir(target.path)
    _check_target(expanded, target, into=into)
    found = (pair for source in expanded for pair in _pairs(source, target, into=into, recursive=recursive))
    # a file that matches several patterns is copied once
    pairs = list({(pair.source.url, pair.target.url): pair for pair in found}.values())
    _check_pairs([pair for pair in pairs if not pair.refusal], target)
    return pairs


def _check_pairs(pairs: list[Pair], target: Location) -> None:
    directories = {pair.source.url for pair in pairs if pair.is_directory}
    is_directory = directories_among((pair.source.url for pair in pairs), directories.__contains__)
    followed = {pair.source.path for pair in pairs} | {pair.target.path for pair in pairs if pair.is_named}
    identity = LocalNames(followed).identity if target.is_local else str
    urls = check_targets(
        ((pair.source.url, pair.target.url) for pair in pairs),
        "copied",
        identity=identity,
        is_directory=is_directory,
        may_nest=not target.has_directories,
    )
    check_copies(urls, "copied", identity=identity, is_directory=is_directory)
    same = next((pair for pair in pairs if pair.source.is_same(pair.target)), None)
    if same is not None:
        raise OSError(errno.EINVAL, "source and target are the same file", same.source.url)


def _check_target(sources: list[Location], target: Location, *, into: bool) -> None:
    into = into or any(source.fs.isdir(source.path) for source in sources)
    if into and target.fs.exists(target.path) and not target.fs.isdir(target.path):
        raise NotADirectoryError(errno.ENOTDIR, "the target must be a directory, but is a file", target.url)


def expand_pattern(source: Location) -> list[Location]:
    """Return the matches of a glob pattern, at least one; a path that exists or has no wildcards matches itself."""
    if not has_magic(source.path) or source.fs.exists(source.path):
        return [source]
    matches = [source.at(name.rstrip("/")) for name in source.fs.glob(source.path)]
    if not matches:
        raise FileNotFoundError(errno.ENOENT, "the pattern has no match", source.url)
    return matches


def _pairs(source: Location, target: Location, *, into: bool, recursive: bool) -> Iterator[Pair]:
    info = source.fs.info(source.path)
    if info["type"] != "directory":
        goal = target.join(source.name) if into else target.at(target.path)
        yield Pair(source, goal, int(info["size"] or 0), modification_time(info), is_named=not into)
        return
    if not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: copy it with -r", source.url)
    # the root of an archive has no name
    root = target.join(source.name) if into and not source.trailing_slash and source.name else target
    if root.is_within(source):
        raise OSError(errno.EINVAL, f"a directory cannot be copied into itself, as {root.url}", source.url)
    for relative, found in find_files(source).items():
        yield _pair(source, root, relative, found)
    if source.has_directories and target.has_directories:
        for relative in _empty_directories(source):
            old, new = (location.join(relative) if relative else location for location in (source, root))
            yield Pair(old, new.at(new.path), 0, is_directory=True)


def _pair(source: Location, target: Location, relative: str, info: Mapping[str, Any]) -> Pair:
    """Return the pair for a relative path; an unusable name becomes its refusal."""
    refusal = str(info.get("refusal") or "")
    try:
        old, new = source.join(relative), target.join(relative)
    except ValueError as error:
        old, new, refusal = source.at(source.prefix + relative), target, str(error)
    return Pair(old, new, int(info["size"] or 0), modification_time(info), refusal=refusal)


def check_apart(source: Location, target: Location) -> None:
    """Refuse two directories (EINVAL) that are the same, or of which one is inside the other."""
    if source.is_same(target):
        raise OSError(errno.EINVAL, "source and target are the same directory", source.url)
    if target.is_within(source):
        raise OSError(errno.EINVAL, f"the target is inside the source, {source.url}", target.url)
    if source.is_within(target):
        raise OSError(errno.EINVAL, f"the source is inside the target, {target.url}", source.url)


def compare(source: Location, target: Location, *, by_time: bool = True, by_content: bool = False) -> Difference:
    """Return the changes that make the files of `target` equal to those of `source`.

    Parameters
    ----------
    by_time : bool
        Copy files that are newer than their copies, unless SHA-1 values show equal content. These are compared if
        both are stored or one side is local, and always if the target cannot replace files.
    by_content : bool
        Compare files of equal size by SHA-1, regardless of their times.
    """
    ours = find_files(source)
    theirs = find_files(target) if _is_directory(target) else {}
    copies: list[tuple[Pair, str]] = []
    undated = 0
    for relative, info in ours.items():
        there = theirs.get(relative)
        pair = _pair(source, target, relative, info)
        if _is_behind_a_link(relative, theirs):
            text = f"a link, pipe or socket has the name of its directory in {target.url}"
            pair = replace(pair, refusal=text)
        reason = _reason(pair, info, there, by_time=by_time, by_content=by_content)
        if reason:
            copies.append((pair, reason))
        elif by_time and not by_content and pair.size and None in (pair.modified, modification_time(there or {})):
            undated += 1
    gone = tuple(target.at(target.prefix + relative) for relative in theirs if relative not in ours)
    return Difference(tuple(copies), gone, len(ours) - len(copies), undated)


def _is_behind_a_link(relative: str, theirs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a parent of the file is a link at the target, so that writing could leave the target."""
    parents = PurePosixPath(relative).parents
    return any(theirs.get(str(parent), {}).get("refusal") for parent in parents)


def _is_directory(location: Location) -> bool:
    try:
        kind = location.fs.info(location.path)["type"]
    except FileNotFoundError:
        return False
    if kind != "directory":
        raise NotADirectoryError(errno.ENOTDIR, "the target must be a directory, but is a file", location.url)
    return True


def _reason(
    pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, *, by_time: bool, by_content: bool
) -> str:
    if theirs is None:
        return "new"
    if pair.refusal or theirs.get("refusal"):
        # never equal: the attempt to copy it reports why
        return "content"
    if int(theirs["size"] or 0) != pair.size:
        return "size"
    if pair.size == 0:
        # services store no SHA-1 for empty files
        return ""
    known = recorded_sha1(pair.source, ours), recorded_sha1(pair.target, theirs)
    if by_content:
        return "" if _is_equal(pair, known) else "content"
    mine, other = pair.modified, modification_time(theirs)
    # a service may store whole seconds only
    if not by_time or mine is None or other is None or int(mine) <= int(other):
        return ""
    cheap = any(known) and all(
        sha or location.is_local for sha, location in zip(known, (pair.source, pair.target), strict=True)
    )
    # a write-once target would refuse the copy, so only the contents show whether one is needed
    is_worth_it = cheap or not pair.target.capabilities.replaces_files
    if is_worth_it and _is_equal(pair, known):
        return ""
    return "newer" if pair.target.capabilities.replaces_files else "content"


def _is_equal(pair: Pair, known: tuple[str | None, str | None]) -> bool:
    """Compare two files by the SHA-1 values that are known, and those of what they hold."""
    return (known[0] or read_sha1(pair.source)) == (known[1] or read_sha1(pair.target))


# -- what is in a tree -------------------------------------------------------------------------------------------------


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


def _empty_directories(location: Location) -> list[str]:
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
