"""The replies of the service, as dataclasses (cos.md#envelope and cos.md#uploads to cos.md#files)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from cosv4fs.api.fields import Fields, is_utf8

_LARGEST_SLICE = 64 * 1024 * 1024
"""Larger slice sizes, in bytes, are invalid: the largest documented one is 3 MiB."""


@dataclass(frozen=True)
class UploadedObject:
    """A complete upload: the reply to upload, to finish, and to an init that hit (cos.md#uploads).

    Parameters
    ----------
    access_url, source_url, url : str
        Where the object can be read: through a cache, at its source, and by this API; empty if unknown.
    resource_path : str
        Its path with appid and bucket.
    """

    access_url: str = ""
    source_url: str = ""
    resource_path: str = ""
    url: str = ""

    @classmethod
    def parse(cls, data: Fields) -> UploadedObject:
        """Read it from the reply's ``data``."""
        return cls(*(data.text(name, "") for name in ("access_url", "source_url", "resource_path", "url")))


@dataclass(frozen=True)
class SliceSession:
    """An open upload session (cos.md#upload_slice_init).

    Parameters
    ----------
    session : str
        Its opaque name.
    slice_size : int
        Bytes per slice, as the server decided.
    serial : bool
        Slices have to be sent one after another.
    offset : int
        Bytes from the beginning that need not be sent, where v3 says so (cos.md#v3).
    """

    session: str = field(repr=False)
    slice_size: int = 0
    serial: bool = False
    offset: int = 0

    @classmethod
    def parse_v3(cls, data: Fields, wanted: int) -> SliceSession:
        """Read it from the ``data`` of v3's reply (cos.md#v3), which may have none of the `wanted` bytes per slice."""
        slice_size = _slice_size(data) if data.has("slice_size") else wanted
        # in order, unless the service says that this does not matter
        serial = data.number("serial_upload", 1) != 0
        return cls(data.text("session"), slice_size, serial, data.number("offset", 0))

    @classmethod
    def parse(cls, data: Fields) -> SliceSession:
        """Read it from the reply's ``data``.

        An offset, which one of the vendor's clients reads, is left alone: what a session already has is listed.
        """
        return cls(data.text("session"), _slice_size(data), data.number("serial_upload", 0) == 1)


@dataclass(frozen=True)
class ReceivedSlice:
    """The server's confirmation of a slice (cos.md#upload_slice_data).

    Parameters
    ----------
    offset : int
        Bytes before the slice, or before the next one: servers differ (cos.md#v3-offset).
    length : int or None
        Bytes of the slice, if the server says so.
    session : str
        The name of the upload session.
    """

    offset: int
    length: int | None
    session: str = field(repr=False)

    @classmethod
    def parse(cls, data: Fields, session: str) -> ReceivedSlice:
        """Read it from the reply's ``data``."""
        length = data.number("datalen") if data.has("datalen") else None
        return cls(data.number("offset"), length, data.text("session", session))


@dataclass(frozen=True)
class UnfinishedUpload:
    """An unfinished session as ``upload_slice_list`` shows it (cos.md#upload_slice_list).

    Parameters
    ----------
    session : str
        Its name.
    slice_size, filesize : int
        Bytes per slice; declared size of the file in bytes.
    parts : tuple of (int, int)
        Offset and length, in bytes, of each slice that the server has.
    sha : str or None
        The declared SHA-1, where known.
    """

    session: str = field(repr=False)
    slice_size: int
    filesize: int
    parts: tuple[tuple[int, int], ...]
    sha: str | None

    @classmethod
    def parse(cls, data: Fields) -> UnfinishedUpload:
        """Read it from the reply's ``data``."""
        slice_size = _slice_size(data)
        rows = data.rows("listparts")
        parts = tuple(sorted((row.number("offset"), row.number("datalen", slice_size)) for row in rows))
        return cls(data.text("session"), slice_size, data.size("filesize"), parts, data.sha())


@dataclass(frozen=True)
class Entry:
    """One entry of a listing (cos.md#list).

    Parameters
    ----------
    name : str
        Without the directory, without a slash.
    is_directory : bool
        Told by the absence of ``sha`` and sizes.
    size, stored : int
        Declared bytes, and bytes that the server has; less than declared while an upload is unfinished.
    created, modified : int
        Unix seconds.
    sha : str or None
        SHA-1, where known.
    authority : str
        The object's own permission; empty when it has none.
    """

    name: str
    is_directory: bool
    size: int = 0
    stored: int = 0
    created: int = 0
    modified: int = 0
    sha: str | None = None
    authority: str = ""

    @property
    def is_unfinished(self) -> bool:
        """Whether this is an upload that was never finished."""
        return self.stored < self.size

    @classmethod
    def parse(cls, data: Fields) -> Entry:
        """Read it from `data`, one element of ``infos``."""
        name = data.text("name")
        last = name.strip("/").rpartition("/")[2]
        # it would name something else once it is part of a path; nothing on any disk has a NUL in its name
        if last in (".", "..") or "\0" in last or not is_utf8(last):
            raise data.bad("name", name)
        is_directory = name.endswith("/") or not (data.has("sha") or data.has("filesize") or data.has("filelen"))
        return cls(last, is_directory, *_state(data, is_directory), data.text("authority", ""))


@dataclass(frozen=True)
class Page:
    """One page of a listing.

    Parameters
    ----------
    entries : tuple of Entry
        What is listed.
    context : str
        Where the next page begins.
    listover : bool or None
        As the server sent it (cos.md#listover).
    """

    entries: tuple[Entry, ...]
    context: str
    listover: bool | None


@dataclass(frozen=True)
class PathStatus:
    """The reply to ``stat`` of a file, a directory or a bucket (cos.md#stat-directory and cos.md#stat).

    Parameters
    ----------
    is_directory : bool
        What the request was about.
    size, stored : int
        As in `Entry`.
    created, modified : int
        Unix seconds.
    sha : str or None
        SHA-1, where known.
    biz_attr, authority : str
        The free attribute; ``eInvalid`` means that the bucket's permission applies.
    custom_headers : dict of str to str
        What downloads are answered with.
    slice_size : int
        Bytes per slice that it was uploaded with; 0 for a single upload.
    forbid : int
        0 when it is not blocked.
    """

    is_directory: bool
    size: int = 0
    stored: int = 0
    created: int = 0
    modified: int = 0
    sha: str | None = None
    biz_attr: str = ""
    authority: str = ""
    custom_headers: dict[str, str] = field(default_factory=dict)
    slice_size: int = 0
    forbid: int = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether this is an upload that was never finished."""
        return self.stored < self.size

    @property
    def content_type(self) -> str | None:
        """The Content-Type of downloads, if it was set as an attribute: a type sent with the content is not shown."""
        return next((text for name, text in self.custom_headers.items() if name.lower() == "content-type"), None)

    @property
    def identifies_content(self) -> bool:
        """Whether the status tells this content from any other; its time alone does not within one second."""
        return self.sha is not None

    @classmethod
    def parse(cls, data: Fields, is_directory: bool) -> PathStatus:
        """Read it from the reply's ``data``."""
        return cls(
            is_directory,
            *_state(data, is_directory),
            data.text("biz_attr", ""),
            data.text("authority", ""),
            data.mapping("custom_headers"),
            data.number("slicesize", 0),
            data.number("forbid", 0),
        )


Snapshot: TypeAlias = Entry | PathStatus
"""The state of a file at one time: ``size``, ``sha``, ``created`` and ``modified``."""


def is_same_version(seen: Snapshot, found: Snapshot) -> bool | None:
    """Return whether two snapshots are of one version of a file; None if that cannot be determined."""
    if seen.size != found.size or seen.is_unfinished != found.is_unfinished:
        return False
    if seen.sha is not None and found.sha is not None and seen.sha != found.sha:
        return False
    if seen.created and found.created and seen.created != found.created:
        return False
    # attributes can be changed, so another time of modification alone means no other content
    return True if seen.modified and seen.modified == found.modified else None


def _state(data: Fields, is_directory: bool) -> tuple[int, int, int, int, str | None]:
    """Return what an entry of a listing and a status have in common: size, stored, created, modified and sha."""
    size = 0 if is_directory else data.size("filesize")
    stored = 0 if is_directory else data.number("filelen", size)
    return size, stored, data.number("ctime", 0), data.number("mtime", 0), data.sha()


def _slice_size(data: Fields) -> int:
    """Return the bytes per slice; none, or more than memory should be lent for, is an error."""
    value = data.number("slice_size")
    if not 0 < value <= _LARGEST_SLICE:
        raise data.bad("slice_size", value)
    return value
