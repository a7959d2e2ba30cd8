"""Which files go where: pairs of a copy, and the difference between two trees."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from fsspec.core import has_magic

from cosv4fs.exchange.copying import sha1_of
from cosv4fs.exchange.places import Place

__all__ = ["Difference", "Pair", "compare", "files_below", "matches", "modified", "pairs_of"]


@dataclass(frozen=True)
class Pair:
    """A file and where it goes."""

    source: Place
    target: Place
    size: int


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
    """

    copies: tuple[tuple[Pair, str], ...]
    deletions: tuple[Place, ...]
    same: int


def files_below(place: Place) -> dict[str, dict[str, Any]]:
    """Return what is known of all files below a directory, by path relative to it."""
    prefix = place.path.rstrip("/") + "/"
    found = place.fs.find(place.path, detail=True)
    return {name[len(prefix) :]: dict(info) for name, info in sorted(found.items()) if name.startswith(prefix)}


def pairs_of(sources: Iterable[Place], target: Place, *, recursive: bool) -> list[Pair]:
    """Return the files to copy, by the rules of ``cp``.

    Several sources, a target with a slash at its end and a target that is a directory mean: into it. A directory
    with a slash at its end means what is in it.

    Raises
    ------
    FileNotFoundError
        A source is not there, or a pattern matches nothing.
    IsADirectoryError
        A source is a directory and the copy is not `recursive`.
    """
    expanded = [place for source in sources for place in matches(source)]
    into = target.is_folder or len(expanded) > 1 or target.fs.isdir(target.path)
    return [pair for source in expanded for pair in _pairs(source, target, into=into, recursive=recursive)]


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
        yield Pair(source, target.below(source.name) if into else target.at(target.path), int(info["size"] or 0))
        return
    if not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: copy it with -r", source.url)
    root = target.below(source.name) if into and not source.is_folder else target
    for relative, found in files_below(source).items():
        yield Pair(source.below(relative), root.below(relative), int(found["size"] or 0))


def compare(source: Place, target: Place, *, by_time: bool = True, by_content: bool = False) -> Difference:
    """Return what makes the files below `target` like those below `source`.

    Parameters
    ----------
    by_time : bool
        A file that changed after its copy was made is copied again.
    by_content : bool
        Files of equal size are compared by SHA-1, whatever their times.
    """
    theirs = files_below(target) if target.fs.exists(target.path) else {}
    ours = files_below(source)
    copies: list[tuple[Pair, str]] = []
    for relative, info in ours.items():
        pair = Pair(source.below(relative), target.below(relative), int(info["size"] or 0))
        reason = _reason(pair, info, theirs.get(relative), by_time=by_time, by_content=by_content)
        if reason:
            copies.append((pair, reason))
    gone = tuple(target.below(relative) for relative in theirs if relative not in ours)
    return Difference(tuple(copies), gone, len(ours) - len(copies))


def _reason(
    pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, *, by_time: bool, by_content: bool
) -> str:
    if theirs is None:
        return "new"
    if int(theirs["size"] or 0) != pair.size:
        return "size"
    if by_content:
        return "" if sha1_of(pair.source) == sha1_of(pair.target) else "content"
    mine, other = modified(ours), modified(theirs)
    # a service may keep whole seconds only
    return "newer" if by_time and mine is not None and other is not None and int(mine) > int(other) else ""


def modified(info: Mapping[str, Any]) -> float | None:
    """Return when a file was changed, in Unix seconds, under whichever name its filesystem tells it."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "modified"):
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return None
