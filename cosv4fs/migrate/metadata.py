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
* A permission that makes a file public is never carried: the copy has the permission of its bucket. So is the
  permission ``private`` on S3, where buckets are usually private, and often refuse permissions of files.
* The modification times of files in our services are those of their last upload. Nothing can set them, so that this is
  not reported as not carried.
* Of files in our services, ``biz_attr`` and the permission take one request (the status); all others come with the
  download. Of files on S3, everything takes one request (HEAD). Nothing is requested if the target could not hold it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote, unquote

from cosv4fs.attributes import (
    ATTRIBUTES,
    DEFAULT_TYPES,
    attributes_of_copy,
    guessed_type,
    parsed_attributes,
    stored_by,
    written_with_copy,
)
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.protocols import V4

MTIME = "mtime"
"""The user metadata on S3 that holds the modification time, as rclone writes it."""

BIZ_ATTR = "biz-attr"
"""The user metadata on S3 that holds ``biz_attr``."""

MODIFIED = "modified"
"""The name of the modification time beside those in `ATTRIBUTES`."""

_S3_LIMIT = 2048
"""Bytes of user metadata that S3 stores for one file, names and values together."""

_S3_ONLY = {"ExpiresString": "expires", "WebsiteRedirectLocation": "website_redirect_location"}
"""What S3 reports of files, and only S3 itself carries within one server."""

_SECONDS = re.compile(r"-?\d{1,12}(\.\d{1,18})?")

_EXAMPLES = 3
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
    """

    enabled: bool = True
    content_type: str | None = None

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
        """Return the metadata for one copy, before anything is requested; see `FileMetadata`."""
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
        self._modified = None if modified is None else round(modified * 1e6) * 1000
        self._stored: Mapping[str, Any] = {}
        self._shown: Mapping[str, Any] = {}
        self._not_carried: set[str] = set()
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
        elif S3 & source.protocols and self._held:
            self._take(*_read_s3(source))
        elif "biz_attr" in stored_by(_protocol(source)) & self._held and not source.fs.config.anon:
            self._stored = source.fs.attributes(source.path)

    def _take(self, attributes: Mapping[str, Any], modified: int | None, others: Iterable[str]) -> None:
        self._stored, self._not_carried = attributes, set(others)
        self._modified = self._modified if modified is None else modified

    def show(self, attributes: Mapping[str, Any]) -> None:
        """Take the attributes that the download of the source shows (see `CosReader.attributes`)."""
        if self._options.enabled:
            self._shown = attributes

    def keywords(self) -> dict[str, Any]:
        """Return keywords for the methods of the target's filesystem that write files, and find what is `lost`."""
        attributes = attributes_of_copy(self._stored, self._shown) | self.changes
        if S3 & self._target.protocols:
            keywords, lost = self._s3_keywords(attributes)
        else:
            keywords, lost = written_with_copy(attributes, self._target.path, _protocol(self._target))
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
            if Path(self._target.path).is_file():
                os.utime(self._target.path, ns=(modified, modified))
        except OSError:
            # the disk has no such times, or the file has another owner
            self.lost = (*self.lost, MODIFIED)

    def _modified_time(self) -> int | None:
        """Return the modification time in nanoseconds: that which user metadata names, or else the service's."""
        metadata = {**self._shown.get("metadata", {}), **self._stored.get("metadata", {})}
        named = next((_nanoseconds(text) for name, text in metadata.items() if name.lower() == MTIME), None)
        return self._modified if named is None else named

    def _s3_keywords(self, attributes: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Return keywords of s3fs, and the names of the attributes that cannot be carried."""
        attributes = {"content_type": guessed_type(self._target.path), **attributes}
        headers = {name: value for name, value in attributes.items() if value and ATTRIBUTES[name].is_header}
        keywords = {ATTRIBUTES[name].s3: value for name, value in headers.items() if value.isascii()}
        lost = {name for name, value in headers.items() if not value.isascii()}
        lost |= {"authority"} & attributes.keys()
        metadata: dict[str, tuple[str, str]] = {}
        modified = self._modified_time() if self._options.enabled else None
        if modified is not None:
            metadata[MTIME] = (MODIFIED, _seconds(modified))
        if "biz_attr" in attributes:
            metadata[BIZ_ATTR] = ("biz_attr", _encoded(attributes["biz_attr"]))
        for name, value in attributes.get("metadata", {}).items():
            if metadata.get(name.lower(), ("",))[0] == "biz_attr":
                lost.add("metadata")
            else:
                metadata[name.lower()] = ("metadata", value)
        room, carried = _S3_LIMIT, {}
        for name, (attribute, value) in metadata.items():
            size = len(name) + len(value)
            if value.isascii() and size <= room:
                room, carried[name] = room - size, value
            else:
                lost.add(attribute)
        return keywords | ({"Metadata": carried} if carried else {}), lost


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
                self._found[name] = Lost(files=before["files"] + 1, examples=[*before["examples"], path][:_EXAMPLES])

    def as_dict(self) -> dict[str, Lost]:
        """Return the counts by the name of the attribute."""
        with self._mutex:
            return dict(self._found)


def not_carried_text(lost: Mapping[str, Lost]) -> str:
    """Return a message about attributes that were lost; empty if none were."""
    parts = [
        f"{name} of {found['files']:,} file{'s' if found['files'] > 1 else ''}, such as {found['examples'][0]}"
        for name, found in lost.items()
    ]
    return f"not carried: {'; '.join(parts)}" if parts else ""


def attributes_held(location: Location) -> frozenset[str]:
    """Return the names of the attributes that new files of a filesystem can have, `MODIFIED` included."""
    if S3 & location.protocols:
        names = {row.name for row in ATTRIBUTES.values() if row.s3 and row.name != "authority"}
        return frozenset({*names, "biz_attr", MODIFIED})
    return frozenset({MODIFIED}) if location.is_local else stored_by(_protocol(location))


def _protocol(location: Location) -> str:
    """Return the protocol of one of our services, as `ATTRIBUTES` names it; empty for others."""
    return str(location.fs.protocol) if location.capabilities.container else ""


def _read_s3(source: Location) -> tuple[dict[str, Any], int | None, list[str]]:
    """Return the attributes, the modification time in nanoseconds, and what only S3 stores, of a file on S3."""
    bucket, key, version = source.fs.split_path(source.path)
    reply = source.fs.call_s3("head_object", Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    found = {row.name: reply[row.s3] for row in ATTRIBUTES.values() if row.is_header and reply.get(row.s3)}
    # clients add this coding for the transfer alone, and some servers store it
    codings = [one.strip() for one in found.pop("content_encoding", "").split(",")]
    found["content_encoding"] = ", ".join(one for one in codings if one != "aws-chunked")
    if found.get("content_type") in DEFAULT_TYPES:
        del found["content_type"]
    metadata = dict(reply.get("Metadata", {}))
    modified = _nanoseconds(metadata.get(MTIME, ""))
    if modified is not None:
        del metadata[MTIME]
    elif reply.get("LastModified") is not None:
        modified = int(reply["LastModified"].timestamp()) * 10**9
    if BIZ_ATTR in metadata and _encoded(unquote(metadata[BIZ_ATTR])) == metadata[BIZ_ATTR]:
        found["biz_attr"] = unquote(metadata.pop(BIZ_ATTR))
    return {**found, "metadata": metadata}, modified, [name for key, name in _S3_ONLY.items() if reply.get(key)]


def _encoded(text: str) -> str:
    """Return a text in which all but visible ASCII is percent-encoded, and so are percent signs."""
    return quote(text, safe="".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%"))


def _seconds(nanoseconds: int) -> str:
    """Return a time as rclone writes it: seconds, with as many decimals as it has."""
    whole, rest = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _nanoseconds(seconds: str) -> int | None:
    """Return a time in seconds, as user metadata has it, in nanoseconds; None if it is something else."""
    return int(Decimal(seconds) * 10**9) if _SECONDS.fullmatch(seconds) else None
