"""Compare two files of the same size by the checksums that are stored, or computed by reading them."""

from __future__ import annotations

from enum import Enum

from cosv4fs.migrate.copying import read_md5, read_sha1
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import Location


class Checksum(Enum):
    """A checksum by which two files can be compared."""

    SHA1 = "SHA-1"
    MD5 = "MD5"
    """It proves that files are equal, not that they differ: an ETag may be something else."""


def common_checksum(
    source: Location, target: Location, ours: Entry, theirs: Entry, *, reads: int = 0
) -> Checksum | None:
    """Return the checksum by which two files can be compared if, beside local files, so many of them are read."""
    remote = [entry for location, entry in ((source, ours), (target, theirs)) if not location.is_here]
    if len(remote) < 2:
        # it may be as large as what would be copied
        reads = 0
    if sum(entry.sha1 is None for entry in remote) <= reads:
        return Checksum.SHA1
    return Checksum.MD5 if sum(entry.md5 is None for entry in remote) <= reads else None


def equal_by_checksums(
    source: Location, target: Location, ours: Entry, theirs: Entry, *, may_read_one: bool = False
) -> bool | None:
    """Compare two files by checksums; None if that shows nothing.

    Only local files are read, and one of two remote ones with `may_read_one`, which costs less than to copy it.
    """
    checksum = common_checksum(source, target, ours, theirs)
    if checksum is None and may_read_one:
        checksum = common_checksum(source, target, ours, theirs, reads=1)
    if checksum is None:
        return None
    if checksum is Checksum.SHA1:
        return equal_by_sha1(source, target, ours, theirs)
    return _equal_by_md5(source, target, ours, theirs) or None


def proof_of_equality(source: Location, target: Location, ours: Entry, theirs: Entry) -> Checksum | None:
    """Return the checksum that proves that two files are equal; None if they differ.

    Files without a common checksum are read, and those whose MD5 values differ.
    """
    checksum = common_checksum(source, target, ours, theirs)
    if checksum is Checksum.MD5 and _equal_by_md5(source, target, ours, theirs):
        return Checksum.MD5
    return Checksum.SHA1 if equal_by_sha1(source, target, ours, theirs) else None


def equal_by_sha1(source: Location, target: Location, ours: Entry, theirs: Entry) -> bool:
    """Compare two files by their SHA-1 values: those that are stored, and those of what is read."""
    return (ours.sha1 or read_sha1(source)) == (theirs.sha1 or read_sha1(target))


def _equal_by_md5(source: Location, target: Location, ours: Entry, theirs: Entry) -> bool:
    return (ours.md5 or read_md5(source)) == (theirs.md5 or read_md5(target))
