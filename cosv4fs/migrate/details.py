"""What files have beside their content, and in what those of a copy differ: attributes and modification times.

A local copy holds the time of its source, and so does one on S3 in user metadata (see `s3_metadata.MTIME`). All other
copies have the time of their upload, which is compared with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cosv4fs.attributes import ATTRIBUTES, attributes_of_copy, guessed_type, stored_by
from cosv4fs.migrate import s3_metadata
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.migrate.metadata import MODIFIED, attributes_held, in_nanoseconds, keywords_of_copy, protocol_of

_UNSHOWN = frozenset(row.name for row in ATTRIBUTES.values() if not row.header)
"""The attributes that no download shows; buckets have some of them."""

_SECOND = 10**9
"""A second in nanoseconds."""

_FINEST = 10**7
"""Nanoseconds: exFAT keeps hundredths of a second."""


class Details:
    """What a file has beside its content. Each request is sent once, and only when something in its reply is needed.

    Parameters
    ----------
    location : Location
        The file.
    entry : Entry
        How it was listed.
    """

    def __init__(self, location: Location, entry: Entry) -> None:
        self.location, self._entry = location, entry

    @cached_property
    def _on_s3(self) -> s3_metadata.S3Metadata:
        return s3_metadata.read(self.location)

    @property
    def unknown(self) -> frozenset[str]:
        """The attributes that only a status shows, of files in a bucket that is read without keys."""
        unshown = _UNSHOWN & stored_by(protocol_of(self.location))
        return unshown if unshown and self.location.fs.config.anon else frozenset()

    @cached_property
    def _stored(self) -> Mapping[str, Any]:
        """What the status says, or HEAD for coffers; nothing for buckets without keys, or other filesystems."""
        if self.unknown or not stored_by(protocol_of(self.location)):
            return {}
        stored: Mapping[str, Any] = self.location.fs.attributes(self.location.path)
        return stored

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """All attributes, by our names (see `attributes_of_copy`); at most two requests.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        if S3 & self.location.protocols:
            return attributes_of_copy(self._on_s3.attributes, {})
        # the status of a file in a bucket does not show a type that was only sent along with the content
        return attributes_of_copy(self._stored, {} if "content_type" in self._stored else self._shown)

    @cached_property
    def _shown(self) -> Mapping[str, Any]:
        """What the download shows."""
        with self.location.fs.open(self.location.path, "rb", cache_type="none") as file:
            file.read(1)
            shown: Mapping[str, Any] = file.attributes
            return shown

    @property
    def listed_time(self) -> int | None:
        """The modification time that the listing shows, in nanoseconds."""
        return in_nanoseconds(self._entry.modified)

    @property
    def named_time(self) -> int | None:
        """The modification time that user metadata names, in nanoseconds; at most one request beside `attributes`."""
        if S3 & self.location.protocols:
            return self._on_s3.named_time
        if "metadata" not in stored_by(protocol_of(self.location)):
            return None
        return s3_metadata.named_time((self._stored or self._shown).get("metadata", {}))

    @property
    def copied_time(self) -> int | None:
        """The modification time that a copy has from its source, in nanoseconds; None if it has none."""
        if self.location.is_local:
            return self.listed_time
        return self.named_time if S3 & self.location.protocols else None


def differing_attributes(source: Details, target: Details) -> list[str]:
    """Return the names of the attributes in which a file differs from what a copy of the source would have now.

    Only attributes count that both can hold and show, and that can be carried; modification times do not. A content
    type counts as that which the name gives if there is none. Costs a request for each of the files on S3 and in
    coffers, and one or two in buckets: the status, and the first byte unless the status shows a content type.

    Raises
    ------
    OSError
        One of the files cannot be read.
    """
    wanted = attributes_held(source.location) & attributes_held(target.location) - {MODIFIED}
    if not wanted:
        return []
    expected, lost = keywords_of_copy(source.attributes, None, target.location)
    if S3 & target.location.protocols:
        expected = dict(s3_metadata.attributes_in(expected))
    if expected.get("authority") is None:
        # the permission of the bucket, whatever that is, or one that is not carried
        wanted -= {"authority"}
    wanted -= source.unknown | target.unknown
    found, path = target.attributes, target.location.path
    return [
        name
        for name in ATTRIBUTES
        if name in wanted - lost and _comparable(name, expected, path) != _comparable(name, found, path)
    ]


def _comparable(name: str, attributes: Mapping[str, Any], path: str) -> object:
    """Return the value of an attribute so that equal ones are the same."""
    if name == "metadata":
        return frozenset((key.lower(), value) for key, value in attributes.get(name, {}).items())
    return attributes.get(name) or (guessed_type(path) if name == "content_type" else None)


def has_other_time(source: Details, target: Details) -> bool | None:
    """Return whether the modification time of a copy is another one than that of its source; None if unknown.

    Copies have the time that user metadata of the source names, or that which its listing shows. Costs a request for a
    copy on S3, and one for a source on S3 or in a bucket if the listed time differs.

    Raises
    ------
    OSError
        One of the files cannot be read.
    """
    copied, listed = target.copied_time, source.listed_time
    if copied is None:
        return None
    if listed is not None and _is_same_time(listed, copied):
        return False
    named = source.named_time
    if named is None:
        return None if listed is None else True
    return not _is_same_time(named, copied)


def _is_same_time(original: int, copied: int) -> bool:
    """Compare two times in nanoseconds, with the precision that both have.

    Whole seconds stand for a filesystem or service that keeps no fractions, even ones at a copy for FAT.
    """
    is_whole = original % _SECOND == 0 or copied % _SECOND == 0
    precision = 2 * _SECOND if copied % (2 * _SECOND) == 0 else _SECOND if is_whole else _FINEST
    return abs(original - copied) < precision
