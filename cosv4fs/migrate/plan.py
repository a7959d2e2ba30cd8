"""Which files go where: pairs of a copy, and the difference between two trees."""

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

from cosv4fs.localfiles import is_part
from cosv4fs.migrate.copying import read_sha1, recorded_sha1
from cosv4fs.migrate.places import FLAT, Place, protocols

__all__ = [
    "Difference",
    "Pair",
    "check_apart",
    "compare",
    "files_below",
    "matches",
    "modified",
    "pairs_of",
]


@dataclass(frozen=True)
class Pair:
    """A file and where it goes.

    Parameters
    ----------
    source, target : Place
        Two paths.
    size : int
        Bytes.
    modified : float, optional
        When the source was changed, in Unix seconds.
    is_folder : bool
        Whether it is a directory without anything in it, to be made at the target.
    refusal : str
        Why it cannot be copied, if so: links to directories, sockets and the like, found below a directory.
    """

    source: Place
    target: Place
    size: int
    modified: float | None = None
    is_folder: bool = False
    refusal: str = ""


@dataclass(frozen=True)
class Difference:
    """What has to be done to make one tree like another.

    Parameters
    ----------
    copies : tuple of (Pair, str)
        Files to copy, and why: ``new``, ``size``, ``newer`` or ``content``.
    deletions : tuple of Place
        Files that only the target has.
    same : int
        How many files are alike.
    undated : int
        How many of them are taken for alike by their size alone, because a side tells no times.
    """

    copies: tuple[tuple[Pair, str], ...]
    deletions: tuple[Place, ...]
    same: int
    undated: int = 0


def files_below(place: Place) -> dict[str, dict[str, Any]]:
    """Return what is known of all files below a directory, by path relative to it.

    Raises
    ------
    OSError
        A directory cannot be listed, or its listing makes no sense: a part of a tree must never look like the whole.
    """
    if place.is_local:
        return dict(sorted((relative, info) for relative, info in _local(place) if info["type"] != "directory"))
    prefix = place.prefix
    found = _found(place)
    if not found:
        # many filesystems find nothing in what is not there
        place.fs.invalidate_cache(place.path)
        place.fs.info(place.path)
    files = {name: info for name, info in sorted(found.items()) if not _is_directory_of(place, name, info)}
    stray = next((name for name in files if not name.startswith(prefix)), None)
    if stray is not None:
        raise OSError(errno.EIO, f"its listing has {stray!r}, which is not below it", place.url)
    return {name[len(prefix) :]: dict(info) for name, info in files.items()}


def _is_directory_of(place: Place, name: str, info: Mapping[str, Any]) -> bool:
    """Return whether an entry is a directory: also one that stores of keys mark by an empty object."""
    is_mark = name.endswith("/") and not info.get("size")
    return info["type"] == "directory" or is_mark or name.rstrip("/") == place.path.rstrip("/")


def _found(place: Place) -> dict[str, dict[str, Any]]:
    """Return what is known of files and directories below a directory, by path."""
    if type(place.fs).find is not AbstractFileSystem.find:
        return dict(place.fs.find(place.path, detail=True, withdirs=True))
    # fsspec's own way leaves out what cannot be listed, whatever it is told
    found: dict[str, dict[str, Any]] = {}
    folders = [place.path]
    while folders:
        folder = folders.pop()
        inside = {str(info["name"]).rstrip("/"): info for info in place.fs.ls(folder, detail=True)}
        inside.pop(folder, None)
        found |= inside
        folders += [name for name, info in inside.items() if info["type"] == "directory"]
    return found


def _local(place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield paths relative to a local directory, and what is known of them.

    fsspec leaves out directories that cannot be read, and tells the time of a link, not of the file it leads to.
    Unfinished files are nobody's source, and are not removed from a target while they are being written.
    """

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(place.path, onerror=fail):
        inside = Path(folder).relative_to(place.path).as_posix()
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
        # a link that leads nowhere, or a file that has just gone: copying it tells
        return {"type": "file", "size": 0}
    except OSError as error:
        return {"type": "file", "size": 0, "refusal": f"it cannot be looked at: {error.strerror}"}
    refusal = ""
    if stat.S_ISDIR(found.st_mode):
        refusal = "a link to a directory is not followed: copy what it leads to by its own name"
    elif not stat.S_ISREG(found.st_mode):
        refusal = "it is no file with content, but a pipe, socket or device"
    size = 0 if refusal else found.st_size
    return {"type": "file", "size": size, "mtime": found.st_mtime, "refusal": refusal}


def _empty_folders(place: Place) -> list[str]:
    """Return the directories without anything in them below a directory, relative to it; "" is itself."""
    if place.is_local:
        found = [relative for relative, info in _local(place) if info["type"] == "directory"]
        is_empty = all(is_part(path.name) for path in Path(place.path).iterdir())
        return found or ([""] if is_empty else [])
    prefix = place.prefix
    listed = _found(place)
    names = {str(name).rstrip("/") for name in listed}
    folders = {str(name).rstrip("/") for name, info in listed.items() if info["type"] == "directory"} | {place.path}
    return sorted((name + "/")[len(prefix) : -1] for name in folders - {name.rpartition("/")[0] for name in names})


def pairs_of(sources: Iterable[Place], target: Place, *, recursive: bool) -> list[Pair]:
    """Return the files to copy, by the rules of ``cp``.

    Several sources, a target with a slash at its end and a target that is a directory mean: into it. A directory
    with a slash at its end means what is in it. Directories without anything in them are pairs of their own, where
    both sides can have such.

    Raises
    ------
    FileNotFoundError
        A source is not there, or a pattern matches nothing.
    IsADirectoryError
        A source is a directory and the copy is not `recursive`.
    NotADirectoryError
        The target is a file, and something is to go into it.
    OSError
        EINVAL: a file onto itself, a directory into itself, or two files to one path.
    """
    expanded = [place for source in sources for place in matches(source)]
    into = target.is_folder or len(expanded) > 1 or target.fs.isdir(target.path)
    _check_target(expanded, target, into=into)
    pairs = [pair for source in expanded for pair in _pairs(source, target, into=into, recursive=recursive)]
    taken: dict[str, Pair] = {}
    for pair in (pair for pair in pairs if not pair.refusal):
        other = taken.setdefault(pair.target.path, pair)
        if other is not pair and not (other.is_folder and pair.is_folder):
            text = f"{other.source.url} and {pair.source.url} would both become this file"
            raise OSError(errno.EINVAL, text, pair.target.url)
        if pair.source.is_same(pair.target):
            raise OSError(errno.EINVAL, "source and target are the same file", pair.source.url)
    return pairs


def _check_target(sources: list[Place], target: Place, *, into: bool) -> None:
    into = into or any(source.fs.isdir(source.path) for source in sources)
    if into and target.fs.exists(target.path) and not target.fs.isdir(target.path):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, and a directory is needed to copy into", target.url)


def matches(source: Place) -> list[Place]:
    """Return what a pattern stands for; a path that is none, or exists as it is, stands for itself.

    Raises
    ------
    FileNotFoundError
        The pattern matches nothing.
    """
    if not has_magic(source.path) or source.fs.exists(source.path):
        return [source]
    found = [source.at(name.rstrip("/")) for name in source.fs.glob(source.path)]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "the pattern matches nothing", source.url)
    return found


def _pairs(source: Place, target: Place, *, into: bool, recursive: bool) -> Iterator[Pair]:
    info = source.fs.info(source.path)
    if info["type"] != "directory":
        goal = target.below(source.name) if into else target.at(target.path)
        yield Pair(source, goal, int(info["size"] or 0), modified(info))
        return
    if not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: copy it with -r", source.url)
    # the root of an archive has no name of its own
    root = target.below(source.name) if into and not source.is_folder and source.name else target
    if root.is_within(source):
        raise OSError(errno.EINVAL, f"a directory cannot be copied into itself, as {root.url}", source.url)
    for relative, found in files_below(source).items():
        yield _pair(source, root, relative, found)
    if not FLAT & (protocols(source) | protocols(target)):
        for relative in _empty_folders(source):
            old, new = (place.below(relative) if relative else place for place in (source, root))
            yield Pair(old, new.at(new.path), 0, is_folder=True)


def _pair(source: Place, target: Place, relative: str, info: Mapping[str, Any]) -> Pair:
    """Return the pair of one file below two directories; a name that cannot be used is its refusal."""
    refusal = str(info.get("refusal") or "")
    try:
        old, new = source.below(relative), target.below(relative)
    except ValueError as error:
        old, new, refusal = source.at(source.prefix + relative), target, str(error)
    return Pair(old, new, int(info["size"] or 0), modified(info), refusal=refusal)


def check_apart(source: Place, target: Place) -> None:
    """Refuse to make a directory like itself, like one in it, or like one that it is in.

    Raises
    ------
    OSError
        EINVAL.
    """
    if source.is_same(target):
        raise OSError(errno.EINVAL, "source and target are the same directory", source.url)
    if target.is_within(source):
        raise OSError(errno.EINVAL, f"the target lies in the source, {source.url}", target.url)
    if source.is_within(target):
        raise OSError(errno.EINVAL, f"the source lies in the target, {target.url}", source.url)


def compare(source: Place, target: Place, *, by_time: bool = True, by_content: bool = False) -> Difference:
    """Return what makes the files below `target` like those below `source`.

    Parameters
    ----------
    by_time : bool
        A file that changed after its copy was made is copied again, unless a service keeps its SHA-1, the other side
        is local, and both have the same content. Where nothing can be replaced, the contents themselves are compared.
    by_content : bool
        Files of equal size are compared by SHA-1, whatever their times.

    Raises
    ------
    OSError
        A directory cannot be listed, or the target is a file.
    """
    ours = files_below(source)
    theirs = files_below(target) if _is_directory(target) else {}
    copies: list[tuple[Pair, str]] = []
    undated = 0
    for relative, info in ours.items():
        there = theirs.get(relative)
        pair = _pair(source, target, relative, info)
        if _is_behind_a_link(relative, theirs):
            text = f"a link, pipe or socket stands where its directory would be, below {target.url}"
            pair = replace(pair, refusal=text)
        reason = _reason(pair, info, there, by_time=by_time, by_content=by_content)
        if reason:
            copies.append((pair, reason))
        elif by_time and not by_content and pair.size and None in (pair.modified, modified(there or {})):
            undated += 1
    gone = tuple(target.at(target.prefix + relative) for relative in theirs if relative not in ours)
    return Difference(tuple(copies), gone, len(ours) - len(copies), undated)


def _is_behind_a_link(relative: str, theirs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the way to a file leads through a link at the target, and so out of it."""
    parents = PurePosixPath(relative).parents
    return any(theirs.get(str(parent), {}).get("refusal") for parent in parents)


def _is_directory(place: Place) -> bool:
    try:
        kind = place.fs.info(place.path)["type"]
    except FileNotFoundError:
        return False
    if kind != "directory":
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, and a directory is needed", place.url)
    return True


def _reason(
    pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, *, by_time: bool, by_content: bool
) -> str:
    if theirs is None:
        return "new"
    if pair.refusal or theirs.get("refusal"):
        # never alike: copying it tells why
        return "content"
    if int(theirs["size"] or 0) != pair.size:
        return "size"
    if pair.size == 0:
        # services tell no SHA-1 of nothing
        return ""
    known = recorded_sha1(pair.source, ours), recorded_sha1(pair.target, theirs)
    if by_content:
        return "" if _sha1(pair.source, known[0]) == _sha1(pair.target, known[1]) else "content"
    mine, other = pair.modified, modified(theirs)
    # a service may keep whole seconds only
    if not by_time or mine is None or other is None or int(mine) <= int(other):
        return ""
    cheap = any(known) and all(
        sha or place.is_local for sha, place in zip(known, (pair.source, pair.target), strict=True)
    )
    # a copy to what cannot be replaced would be refused, so that only the contents can tell whether all is well
    is_worth_it = cheap or not pair.target.capabilities.replaces_files
    if is_worth_it and _sha1(pair.source, known[0]) == _sha1(pair.target, known[1]):
        return ""
    return "newer" if pair.target.capabilities.replaces_files else "content"


def _sha1(place: Place, known: str | None) -> str:
    return known or read_sha1(place)


_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify", "date_time", "created")
"""Names under which filesystems tell when a file was changed; ``created`` is that where there is no other."""

_FTP_TIME = re.compile(r"\d{14}")


def modified(info: Mapping[str, Any]) -> float | None:
    """Return when a file was changed, in Unix seconds, under whichever name its filesystem tells it."""
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        with suppress(ValueError, TypeError):
            time = _time(value)
            return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    return None


def _time(value: Any) -> datetime:
    """Return a time of day from what a filesystem tells.

    Raises
    ------
    TypeError, ValueError
        It is none.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, tuple):
        # as archives keep it: without a zone, so that this machine's is meant
        return datetime(*value[:6]).astimezone()
    if isinstance(value, str) and _FTP_TIME.match(value):
        return datetime.strptime(value[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    raise TypeError(type(value).__name__)
