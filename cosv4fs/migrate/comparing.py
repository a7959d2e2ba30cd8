"""Compare two trees: what has to be copied, and what only the target has.

Files of the same size are equal if their times prove it: the copy was made after the last change of the source. Times
prove nothing within the few seconds that clocks and whole seconds blur; otherwise an edit in the second of the copy
would never be noticed. The clocks of services are compared with this machine's. Where times prove nothing, checksums
decide; where there are none, the file is copied again, and the next comparison has later times.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from typing import Any

from cosv4fs.migrate.copying import read_md5, read_sha1
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import Pair, pair_in, refuse_files_above
from cosv4fs.migrate.trees import Tree, find_tree, holds_files, modification_time, recorded_md5, recorded_sha1
from cosv4fs.paths import parents

_BLUR = 3.0
"""Seconds: services report files and their clocks in whole seconds, and the reply takes time."""

_FRACTION = 0.01
"""Seconds by which the times of a file and its copy may differ: not all filesystems store the same precision."""

_UNKNOWN_CLOCK = 86400.0
"""Seconds by which a clock that cannot be read is supposed to differ at most."""


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
    unsure: int = 0
    """Number of those that a clock that cannot be read could make look equal."""


def compare(source: Location, target: Location, *, by_time: bool = True, by_content: bool = False) -> Difference:
    """Return the changes that make the files of `target` equal to those of `source`.

    Parameters
    ----------
    by_time : bool
        Copy files that may have changed since they were copied, unless checksums show equal content. These are
        compared if both are stored or one side is local, and always if the target cannot replace files.
    by_content : bool
        Compare files of equal size by SHA-1, regardless of their times.
    """
    ours, theirs = find_tree(source), _target_tree(target)
    entries = list(ours.entries())
    pairs = refuse_files_above([pair_in(source, target, *entry) for entry in entries])
    comparison = _Comparison(source, target, by_time=by_time, by_content=by_content)
    copies: list[tuple[Pair, str]] = []
    for possible, (relative, info, _) in zip(pairs, entries, strict=True):
        pair = _without_obstacle(possible, relative, theirs)
        reason = comparison.reason(pair, info, theirs, relative)
        if reason:
            copies.append((pair, reason))
    gone = tuple(target.at(target.prefix + relative) for relative in theirs.files if relative not in ours.files)
    return Difference(tuple(copies), gone, len(entries) - len(copies), comparison.undated, comparison.unsure)


def _target_tree(location: Location) -> Tree:
    try:
        info = location.fs.info(location.path)
    except FileNotFoundError:
        return Tree({})
    if not holds_files(location, info):
        raise NotADirectoryError(errno.ENOTDIR, "the target must be a directory, but is a file", location.url)
    return find_tree(location)


def _without_obstacle(pair: Pair, relative: str, theirs: Tree) -> Pair:
    """Refuse a pair if a file or link at the target has the name of its directory, or a directory its own name.

    Writing through a link could leave the target. A directory in which only directories are is replaced.
    """
    if pair.refusal or not pair.target.has_directories:
        return pair
    for folder in parents(relative):
        if folder in theirs.files:
            what = "link, pipe or socket" if folder in theirs.refusals else "file"
            return replace(pair, refusal=f"a {what} has the name of its directory in {pair.target.url}: remove it")
    if relative not in theirs.directories:
        return pair
    if any(name.startswith(f"{relative}/") for name in (*theirs.files, *theirs.refusals)):
        return replace(pair, refusal=f"a directory with files has the name of its copy, {pair.target.url}: remove it")
    return replace(pair, replaces_directory=True)


class _Times(Enum):
    """What the times of a source and of its copy prove."""

    UNCHANGED = auto()
    """The source has not changed since it was copied."""
    UNSURE = auto()
    """The same, unless a clock that cannot be read differs much."""
    UNKNOWN = auto()
    """Nothing, because one side reports none."""
    UNCLEAR = auto()
    """Nothing, because they are too near to each other."""
    CHANGED = auto()
    """The source has changed since it was copied."""


class _Comparison:
    """The comparison of the files of two trees, with the clocks of both; counts what it cannot compare."""

    def __init__(self, source: Location, target: Location, *, by_time: bool, by_content: bool) -> None:
        self._source, self._target = source, target
        self._by_time, self._by_content = by_time, by_content
        self.undated = self.unsure = 0

    def reason(self, pair: Pair, ours: Mapping[str, Any], tree: Tree, relative: str) -> str:
        """Return why a file has to be copied to the target, whose tree is given; empty if it does not."""
        theirs = tree.files.get(relative)
        if theirs is None:
            return "new"
        if pair.refusal or relative in tree.refusals:
            # never equal: the attempt to copy it reports why
            return "content"
        if int(theirs["size"] or 0) != pair.size:
            return "size"
        # services store no SHA-1 for empty files
        if pair.size == 0 or self._is_unchanged(pair, ours, theirs):
            return ""
        return "newer" if pair.target.capabilities.replaces_files and not self._by_content else "content"

    def _is_unchanged(self, pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        """Return whether files of one size are the same: by their contents, or by times and what services show."""
        if self._by_content:
            return _is_equal(pair, ours, theirs)
        if not self._by_time:
            return True
        times = self._times(ours, theirs)
        self.undated += times is _Times.UNKNOWN
        self.unsure += times is _Times.UNSURE
        if times not in (_Times.UNCLEAR, _Times.CHANGED):
            return True
        is_equal = None
        with suppress(OSError):
            # what cannot be read cannot be copied: that reports why
            is_equal = _equal_by_checksums(pair, ours, theirs, may_read_one=times is _Times.UNCLEAR)
        if is_equal is None and not pair.target.capabilities.replaces_files:
            # the copy would be refused, so only the contents show whether one is needed
            is_equal = _is_equal(pair, ours, theirs)
        return bool(is_equal)

    def _times(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> _Times:
        """Return what the time of the last change of a source proves, together with that of its copy."""
        changed, copied = modification_time(ours), modification_time(theirs)
        if changed is None or copied is None:
            return _Times.UNKNOWN
        if self._target.is_local:
            # a copy has the time of its source, and was made when its status changed
            if changed - copied > _FRACTION:
                return _Times.UNCLEAR
            copied = float(theirs.get("ctime", copied))
        # the status of a local file also changes when an older one takes its place
        changed = max(changed, float(ours.get("ctime", changed)) if self._source.is_local else changed)
        passed = copied - changed + self._ahead
        if passed < _BLUR:
            return _Times.UNCLEAR if passed > -_BLUR else _Times.CHANGED
        return _Times.UNSURE if self._is_clock_unknown and passed < _UNKNOWN_CLOCK else _Times.UNCHANGED

    @property
    def _ahead(self) -> float:
        """Seconds by which the clock of the source is ahead of the target's, as far as they are known."""
        source, target = self._clocks
        return (source or 0.0) - (target or 0.0)

    @property
    def _is_clock_unknown(self) -> bool:
        return None in self._clocks

    @cached_property
    def _clocks(self) -> tuple[float | None, float | None]:
        """The differences of both clocks from this machine's."""
        if self._source.fs == self._target.fs:
            return 0.0, 0.0
        return self._source.clock_difference(), self._target.clock_difference()


def _is_equal(pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Compare two files by the SHA-1 values that are known, and those of what they hold."""
    sides = ((pair.source, ours), (pair.target, theirs))
    source, target = (recorded_sha1(location, info) or read_sha1(location) for location, info in sides)
    return source == target


def _equal_by_checksums(
    pair: Pair, ours: Mapping[str, Any], theirs: Mapping[str, Any], *, may_read_one: bool
) -> bool | None:
    """Compare two files by checksums; None if that shows nothing.

    Only local files are read, and one of two remote ones with `may_read_one`, which costs less than to copy it.
    """
    sides = ((pair.source, ours), (pair.target, theirs))
    remote = [side for side in sides if not side[0].is_here]
    without_sha1 = sum(recorded_sha1(*side) is None for side in remote)
    without_md5 = sum(recorded_md5(info) is None for _, info in remote)
    for reads in (0, 1) if may_read_one and len(remote) > 1 else (0,):
        if without_sha1 <= reads:
            return _is_equal(pair, ours, theirs)
        if without_md5 <= reads:
            source, target = (recorded_md5(info) or read_md5(location) for location, info in sides)
            # an ETag may be something else than an MD5
            return True if source == target else None
    return None
