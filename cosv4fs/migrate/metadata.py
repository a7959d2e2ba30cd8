"""What copies carry beside the content of files, and what they cannot.

Services name and store these attributes (see `cosv4fs.attributes`); other filesystems hold what this table says:

==================== =========== ============ ==================== ==================================
attribute            ``cosv4``   ``cosv3``    ``cdcs``             S3 (with s3fs)
==================== =========== ============ ==================== ==================================
content_type         yes         yes          yes                  ``ContentType``
cache_control        yes         no           no                   ``CacheControl``
content_disposition  yes         no           no                   ``ContentDisposition``
content_encoding     yes         no           no                   ``ContentEncoding``
content_language     yes         no           no                   ``ContentLanguage``
metadata             yes         no           no                   ``Metadata``, up to 2 KB, in ASCII
biz_attr             yes         yes          no                   ``Metadata``: ``biz-attr``
authority            if private  no           no                   no
modification time    no          no           no                   ``Metadata``: ``mtime``
==================== =========== ============ ==================== ==================================

Local files have only the modification time, and all other filesystems none of these. ``mtime`` has the format of
rclone: Unix seconds with up to nine decimals. ``biz-attr`` is the text with all but visible ASCII percent-encoded.
Copies back from S3 restore both.

* A file without a content type, or with one that services give to all files without one, gets one by its name, as with
  every upload.
* A permission that makes a file public is never carried: the copy has the permission of its bucket. On S3, no
  permission is carried: buckets there are usually private, and often refuse permissions of files.
* The modification times of files in buckets and coffers are those of their last upload. Nothing can set them, so that
  this is not reported as not carried.
* Copies that a server makes (within a bucket of v4, and within S3) have all that the server copies with them.
* Of files in buckets, ``biz_attr`` and the permission take one request (the status); all else comes with the download.
  Of files on S3, everything takes one request (HEAD). Nothing is requested if the target could not hold it: then
  headers are reported as not carried, and ``biz_attr`` and the permission are unknown.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from cosv4fs.attributes import (
    ATTRIBUTES,
    attributes_of_copy,
    parsed_attributes,
    stored_by,
    written_with_copy,
)
from cosv4fs.migrate import s3_metadata
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.protocols import V4

MODIFIED = "modified"
"""The name of the modification time beside those in `ATTRIBUTES`."""

_HELD_BY_S3 = frozenset({*ATTRIBUTES, MODIFIED} - {"authority"})

EXAMPLES = 3
"""Paths that are named for each attribute that was not carried."""


@dataclass(frozen=True)
class MetadataOptions:
    """What copies carry beside the content.

    Parameters
    ----------
    enabled : bool
        Carry what the target can hold; if false, nothing is requested for it.
    content_type : str, optional
        The content type of all copies, instead of those of their sources.
    times : str
        The modification times of local copies: ``original`` ones, which user metadata may name, or those that listings
        of the source show (``listed``), by which later runs of sync compare both.
    """

    enabled: bool = True
    content_type: str | None = None
    times: Literal["original", "listed"] = "original"

    def check(self, target: Location) -> None:
        """Refuse a content type that is invalid, or that the target cannot store.

        Raises
        ------
        ValueError, NotImplementedError
            It is invalid; the files of the target have none.
        """
        if self.content_type is None:
            return
        if "content_type" not in attributes_held(target):
            raise NotImplementedError(f"{target.url}: files there have no content type that could be set")
        parsed_attributes({"content_type": self.content_type}, V4.name)

    def of(self, source: Location | None, target: Location, modified: float | None = None) -> FileMetadata:
        """Return the metadata for one copy, before any request; see `FileMetadata` (`modified`: Unix seconds)."""
        return FileMetadata(self, source, target, modified)


CONTENT_ONLY = MetadataOptions(enabled=False)


class FileMetadata:
    """What one copy carries beside the content.

    First `read` requests what the source stores, if the target can hold it. `show` adds what the download shows. Then
    `keywords` returns what to write with the content, and `finish` sets what can only be set afterwards.

    Parameters
    ----------
    options : MetadataOptions
        What to carry.
    source : Location or None
        The file; None for a stream, which has no metadata.
    target : Location
        The copy.
    modified : float, optional
        The modification time of the source in Unix seconds, as far as it is known.
    """

    def __init__(
        self, options: MetadataOptions, source: Location | None, target: Location, modified: float | None = None
    ) -> None:
        self._options, self._source, self._target = options, source, target
        self._held = attributes_held(target)
        self._modified = in_nanoseconds(modified)
        self._stored: Mapping[str, Any] = {}
        self._shown: Mapping[str, Any] = {}
        self._not_carried: frozenset[str] = frozenset()
        self.lost: tuple[str, ...] = ()
        """The names of the attributes that could not be carried, once the copy is complete."""

    @property
    def changes(self) -> dict[str, str]:
        """The attributes that the copy has instead of those of the source."""
        given = self._options.content_type
        return {} if given is None else {"content_type": given}

    def read(self) -> None:
        """Request what the source stores beside the content; at most one request.

        Raises
        ------
        OSError
            The source cannot be read.
        """
        if not self._options.enabled or self._source is None:
            return
        source = self._source
        if source.is_local and MODIFIED in self._held:
            self._modified = Path(source.path).stat().st_mtime_ns
        elif S3 & source.protocols and self._held and not self._takes_listed_time:
            self._take(s3_metadata.read(source))
        elif "biz_attr" in stored_by(protocol_of(source)) & self._held and not source.fs.config.anon:
            self._stored = source.fs.attributes(source.path)

    @property
    def _takes_listed_time(self) -> bool:
        return self._target.is_local and self._options.times == "listed"

    def _take(self, found: s3_metadata.S3Metadata) -> None:
        self._stored, self._not_carried = found.attributes, found.others
        self._modified = found.modified

    def show(self, attributes: Mapping[str, Any]) -> None:
        """Take the attributes that the download of the source shows (see `CosReader.attributes`)."""
        if self._options.enabled:
            self._shown = attributes

    def keywords(self) -> dict[str, Any]:
        """Return keywords for the methods of the target's filesystem that write files, and find what is `lost`."""
        attributes = attributes_of_copy(self._stored, self._shown) | self.changes
        modified = self._modified_time() if self._options.enabled else None
        keywords, lost = keywords_of_copy(attributes, modified, self._target)
        lost |= self._not_carried
        self.lost = tuple(name for name in (*ATTRIBUTES, *sorted(self._not_carried)) if name in lost)
        return keywords

    def finish(self) -> None:
        """Set the modification time of a local copy, unless that is a pipe or device."""
        self.keywords()
        modified = self._modified_time()
        if modified is None or not (self._target.is_local and self._options.enabled):
            return
        try:
            if os.path.isfile(self._target.path):  # noqa: PTH113 - faster, for every file
                os.utime(self._target.path, ns=(modified, modified))
        except OSError:
            # the disk has no such times, or the file has another owner
            self.lost = (*self.lost, MODIFIED)

    def _modified_time(self) -> int | None:
        """Return the modification time in nanoseconds: that which user metadata names, or else the service's."""
        if self._takes_listed_time:
            return self._modified
        metadata = {**self._shown.get("metadata", {}), **self._stored.get("metadata", {})}
        named = s3_metadata.named_time(metadata)
        return self._modified if named is None else named


class Lost(TypedDict):
    """How many files lost an attribute, and the first paths."""

    files: int
    examples: list[str]


class NotCarried:
    """Counts the files that lost an attribute, with the first paths; thread-safe, and flat in the number of files."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._found: dict[str, Lost] = {}

    def add(self, path: str, names: Iterable[str]) -> None:
        """Record that a file lost the named attributes."""
        with self._mutex:
            for name in names:
                before = self._found.get(name, Lost(files=0, examples=[]))
                self._found[name] = Lost(files=before["files"] + 1, examples=[*before["examples"], path][:EXAMPLES])

    def as_dict(self) -> dict[str, Lost]:
        """Return the counts by the name of the attribute."""
        with self._mutex:
            return dict(self._found)


def not_carried_text(lost: Mapping[str, Lost]) -> str:
    """Return a message about attributes that were lost; empty if none were."""
    parts = [
        f"{name} of {found['files']:,} file{'' if found['files'] == 1 else 's'}, such as {found['examples'][0]}"
        for name, found in lost.items()
    ]
    return f"not carried: {'; '.join(parts)}" if parts else ""


def in_nanoseconds(seconds: float | None) -> int | None:
    """Return a time that a listing shows in Unix seconds, in nanoseconds; a float is exact to microseconds only."""
    return None if seconds is None else round(seconds * 1e6) * 1000


def attributes_held(location: Location) -> frozenset[str]:
    """Return the names of the attributes that new files of a filesystem can have, `MODIFIED` included."""
    if S3 & location.protocols:
        return _HELD_BY_S3
    return frozenset({MODIFIED}) if location.is_local else stored_by(protocol_of(location))


def keywords_of_copy(
    attributes: Mapping[str, Any], modified: int | None, target: Location
) -> tuple[dict[str, Any], set[str]]:
    """Return keywords for the methods that write a copy, and the names of the attributes that it cannot have.

    Parameters
    ----------
    attributes : mapping
        See `attributes_of_copy`.
    modified : int, optional
        The modification time in nanoseconds, for S3.
    target : Location
        The copy.
    """
    if S3 & target.protocols:
        return s3_metadata.keywords_of(attributes, modified, target.path)
    return written_with_copy(attributes, target.path, protocol_of(target))


def protocol_of(location: Location) -> str:
    """Return the protocol of one of our services, as `ATTRIBUTES` names it; empty for others."""
    return str(location.fs.protocol) if location.capabilities.container else ""
