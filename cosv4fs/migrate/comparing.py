"""Compare two trees: what has to be copied, and what only the target has.

Files of the same size are equal if their times prove it: the copy was made after the last change of the source. Times
prove nothing within the few seconds that clocks and whole seconds blur; otherwise an edit in the second of the copy
would never be noticed. The clocks of services are compared with this machine's. Where times prove nothing, checksums
decide; where there are none, the file is copied again, and the next comparison has later times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from functools import cached_property

from cosv4fs.concurrency import Pool
from cosv4fs.migrate.checksums import equal_by_checksums, equal_by_sha1
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.pairs import Match, Pair, Pairs

_BLUR = 3.0
"""Seconds: services report files and their clocks in whole seconds, and the reply takes time."""

_FRACTION = 0.01
"""Seconds by which the times of a file and its copy may differ: not all filesystems store the same precision."""

_UNKNOWN_CLOCK = 86400.0
"""Seconds by which a clock that cannot be read is supposed to differ at most."""


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


class Comparison:
    """Finds the files of a tree that make another one equal when they are copied.

    Parameters
    ----------
    source, target : Location
        The directories.
    by_time : bool
        Copy files that may have changed since they were copied, unless checksums show equal content. These are
        compared if both are stored or one side is local, and always if the target cannot replace files.
    by_content : bool
        Compare files of equal size by SHA-1, regardless of their times.
    jobs : int
        Files whose contents are compared at once.

    Attributes
    ----------
    same : int
        Number of equal files.
    undated : int
        Number of those that were compared by size alone, because one side reports no modification times.
    unsure : int
        Number of those that a clock that cannot be read could make look equal.
    """

    def __init__(
        self, source: Location, target: Location, *, by_time: bool = True, by_content: bool = False, jobs: int = 8
    ) -> None:
        self._source, self._target = source, target
        self._by_time, self._by_content, self._jobs = by_time, by_content, jobs
        self._own = ThreadInstances()
        self.same = self.undated = self.unsure = 0

    def run(self, pairs: Pairs) -> None:
        """Note in `pairs` why each file has to be copied: ``new``, ``size``, ``newer`` or ``content``."""

        def record(found: tuple[Match, str]) -> None:
            match, reason = found
            if reason:
                pairs.note(match.row, reason)
            else:
                self.same += 1

        def undecided() -> Iterator[Match]:
            """Yield the files that have to be read, or may have to be; reading takes long."""
            for match in pairs.matches():
                reason = self._reason(match)
                if reason is None:
                    yield match
                else:
                    record((match, reason))

        def compare(match: Match) -> tuple[Match, str]:
            is_equal = self._has_equal_content(pairs.pair(match.row), match.ours, match.theirs or match.ours)
            replaces = self._target.capabilities.replaces_files
            return match, "" if is_equal else "newer" if replaces and not self._by_content else "content"

        Pool(self._jobs, "cosv4fs-compare").map_unordered(compare, undecided(), record)
        pairs.flush()

    def _reason(self, match: Match) -> str | None:
        """Return why a file has to be copied, empty if it does not; None if only contents tell."""
        _, ours, theirs = match
        if theirs is None:
            return "new"
        if ours.refusal or theirs.refusal:
            # never equal: the attempt to copy it reports why
            return "content"
        if theirs.size != ours.size:
            return "size"
        # services store no SHA-1 for empty files
        if ours.size == 0 or not (self._by_content or self._by_time):
            return ""
        return None if self._by_content else self._reason_by_times(ours, theirs)

    def _reason_by_times(self, ours: Entry, theirs: Entry) -> str | None:
        times = self._times(ours, theirs)
        self.undated += times is _Times.UNKNOWN
        self.unsure += times is _Times.UNSURE
        return None if times in (_Times.UNCLEAR, _Times.CHANGED) else ""

    def _has_equal_content(self, pair: Pair, ours: Entry, theirs: Entry) -> bool:
        """Return whether files of one size are the same, by their contents and what services show."""
        source, target = self._own.of(pair.source), self._own.of(pair.target)
        # what cannot be read cannot be copied: that reports why
        with suppress(OSError):
            if self._by_content:
                return equal_by_sha1(source, target, ours, theirs)
            may_read_one = self._times(ours, theirs) is _Times.UNCLEAR
            is_equal = equal_by_checksums(source, target, ours, theirs, may_read_one=may_read_one)
            if is_equal is None and not target.capabilities.replaces_files:
                # the copy would be refused, so only the contents show whether one is needed
                is_equal = equal_by_sha1(source, target, ours, theirs)
            return bool(is_equal)
        return False

    def _times(self, ours: Entry, theirs: Entry) -> _Times:
        """Return what the time of the last change of a source proves, together with that of its copy."""
        changed, copied = ours.modified, theirs.modified
        if changed is None or copied is None:
            return _Times.UNKNOWN
        if self._target.is_local:
            # a copy has the time of its source, and was made when its status changed
            if changed - copied > _FRACTION:
                return _Times.UNCLEAR
            copied = copied if theirs.changed is None else theirs.changed
        # the status of a local file also changes when an older one takes its place
        changed = changed if ours.changed is None else max(changed, ours.changed)
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
