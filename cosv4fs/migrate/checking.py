"""Check whether two trees are equal, and say what proves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from errno import EINVAL

from cosv4fs.concurrency import Pool
from cosv4fs.migrate.checksums import common_checksum, proof_of_equality
from cosv4fs.migrate.details import Details, differing_attributes, has_other_time
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.metadata import MODIFIED, attributes_held
from cosv4fs.migrate.pairs import Match, Pair, Pairs

EMPTY, SIZE_ONLY = "being empty", "size only"
"""What two files were compared by, beside the checksums: that both are empty, or only their sizes."""


class Kind(Enum):
    """How a path compares; the values mark lines of output, as rclone's do."""

    EQUAL = "="
    DIFFERENT = "*"
    ONLY_SOURCE = "+"
    ONLY_TARGET = "-"
    FAILED = "!"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one file.

    Parameters
    ----------
    kind : Kind
        How it compares.
    source, target : Location or None
        The files; None where there is none.
    size : int
        Bytes, in the source if there is one.
    reason : str
        Of a difference: ``size``, ``content``, ``time``, or ``metadata`` with the names of the attributes that differ.
    proof : str
        What equality was found by: ``SHA-1``, ``MD5``, `EMPTY` or `SIZE_ONLY`.
    error : Exception, optional
        Why it could not be compared.
    is_undated : bool
        Whether modification times were to be compared, but the copy does not have that of its source.
    """

    kind: Kind
    source: Location | None
    target: Location | None
    size: int = 0
    reason: str = ""
    proof: str = ""
    error: Exception | None = None
    is_undated: bool = False


class Check:
    """Compares the files of two trees; empty directories are not compared.

    Files of equal size are compared by the SHA-1 or MD5 that both sides have, or can have without a download, because
    one side is local. A difference in MD5 is verified by reading both, because the ETag may be something else.

    Parameters
    ----------
    source, target : Location
        The trees, or two files.
    size_only : bool
        Compare only sizes, and metadata.
    download : bool
        Read both files where no checksum is stored.
    metadata : bool
        Compare the attributes that both sides can hold.
    times : bool
        Compare modification times where copies have those of their sources (see `has_other_time`).
    jobs : int
        Files compared at once.
    """

    def __init__(
        self,
        source: Location,
        target: Location,
        *,
        size_only: bool = False,
        download: bool = False,
        metadata: bool = True,
        times: bool = False,
        jobs: int = 8,
    ) -> None:
        self._size_only, self._download, self._jobs = size_only, download, jobs
        held = attributes_held(source) & attributes_held(target) - {MODIFIED}
        self._metadata, self._times = metadata and bool(held), times
        self._own = ThreadInstances()

    def run(self, pairs: Pairs, handle: Callable[[Finding], object], *, one_way: bool = False) -> None:
        """Compare files, and call `handle` with each result; `one_way`, without those that only the target has."""

        def undecided() -> Iterator[tuple[Pair, Match]]:
            for match in pairs.matches():
                pair = pairs.pair(match.row)
                finding = self._finding_at_once(pair, match)
                if finding is None:
                    yield pair, match
                else:
                    handle(finding)

        Pool(self._jobs, "cosv4fs-check").map_unordered(lambda both: self._compare(*both), undecided(), handle)
        for location in () if one_way else pairs.extra():
            handle(Finding(Kind.ONLY_TARGET, None, location))

    def _finding_at_once(self, pair: Pair, match: Match) -> Finding | None:
        """Return the result for a file if that needs no request."""
        ours, theirs = match.ours, match.theirs
        refusal = ours.refusal or (theirs.refusal if theirs else "")
        if refusal:
            filename = pair.source.url if ours.refusal else pair.target.url
            return Finding(Kind.FAILED, pair.source, pair.target, error=OSError(EINVAL, refusal, filename))
        if theirs is None:
            return Finding(Kind.ONLY_SOURCE, pair.source, None, ours.size)
        if ours.size != theirs.size:
            return Finding(Kind.DIFFERENT, pair.source, pair.target, ours.size, "size")
        if (self._size_only or ours.size == 0) and not (self._metadata or self._times):
            return Finding(
                Kind.EQUAL, pair.source, pair.target, ours.size, proof=EMPTY if ours.size == 0 else SIZE_ONLY
            )
        return None

    def _compare(self, pair: Pair, match: Match) -> Finding:
        ours = match.ours
        source, target = self._own.of(pair.source), self._own.of(pair.target)
        found = Finding(Kind.EQUAL, pair.source, pair.target, ours.size)
        try:
            proof = self._proof(source, target, ours, match.theirs or ours)
            if not proof:
                return replace(found, kind=Kind.DIFFERENT, reason="content")
            details = Details(source, ours), Details(target, match.theirs or ours)
            names = differing_attributes(*details) if self._metadata else []
            has_other = has_other_time(*details) if self._times else False
        except Exception as error:  # noqa: BLE001 - one file must not stop the others
            return replace(found, kind=Kind.FAILED, error=error)
        reasons = [*(["time"] if has_other else []), *([f"metadata: {', '.join(names)}"] if names else [])]
        if reasons:
            return replace(found, kind=Kind.DIFFERENT, reason="; ".join(reasons), is_undated=has_other is None)
        return replace(found, proof=proof, is_undated=has_other is None)

    def _proof(self, source: Location, target: Location, ours: Entry, theirs: Entry) -> str:
        """Return what shows that files of one size are equal; empty if they differ."""
        if ours.size == 0:
            return EMPTY
        if self._size_only:
            return SIZE_ONLY
        if not self._download and common_checksum(source, target, ours, theirs) is None:
            return SIZE_ONLY
        proof = proof_of_equality(source, target, ours, theirs)
        return "" if proof is None else proof.value
