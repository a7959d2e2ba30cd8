"""The replies of the service, as dataclasses (cos.md#envelope and cos.md#uploads to cos.md#files).

Parsing is lenient where the documentation is (numbers may be strings, fields may be absent) and strict where a wrong
value would do harm: an invalid reply raises `OSError`, it never becomes a wrong result.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from cosv4fs.errors import make_error

_LARGEST_SLICE = 64 * 1024 * 1024
"""Larger slice sizes, in bytes, are invalid: the largest documented one is 3 MiB."""

_MOST_ROWS = 10_000
"""Pages with more rows are invalid: requests ask for at most 1000."""

LARGEST_OBJECT = 2**40
"""Larger sizes, in bytes, are invalid: reading such an object could not even be planned in memory."""


class Fields:
    """Typed access to one JSON object of a reply.

    Parameters
    ----------
    values : object
        What should be a JSON object.
    operation, path : str
        For messages.
    """

    hidden: tuple[str, ...] = ("session", "data")
    """Fields that are not shown: a session is as good as a key to the upload, and ``data`` may hold one."""

    def __init__(self, values: object, operation: str, path: str) -> None:
        self._operation, self._path = operation, path
        if not isinstance(values, Mapping):
            raise self.bad("data", values)
        self._values: Mapping[str, Any] = values

    def bad(self, name: str, value: object) -> OSError:
        """Return the error for an invalid field."""
        shown = f" a {type(value).__name__}" if name in self.hidden else f" {repr(value)[:80]}"
        text = f"the reply to {self._operation} is invalid: {name} is{shown}"
        return make_error(errno.EBADMSG, text, self._path)

    def has(self, name: str) -> bool:
        """Return whether the field is present and not null."""
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string field; `default` when absent, an error without one."""
        value = self._values.get(name, default)
        if value is None:
            value = default
        if not isinstance(value, str):
            raise self.bad(name, value)
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Return a whole number that is not negative, sent as a number or a string (cos.md#times)."""
        value = self._values.get(name)
        if value is None or value == "":
            value = default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise self.bad(name, value)
        return value

    def size(self, name: str, default: int | None = None) -> int:
        """Return the size of an object in bytes; one that no object can have is an error."""
        value = self.number(name, default)
        if value > LARGEST_OBJECT:
            raise self.bad(name, value)
        return value

    def slice_size(self) -> int:
        """Return the bytes per slice; none, or more than memory should be lent for, is an error."""
        value = self.number("slice_size")
        if not 0 < value <= _LARGEST_SLICE:
            raise self.bad("slice_size", value)
        return value

    def flag(self, name: str) -> bool | None:
        """Return a truth value, sent as such or as 0 or 1; None when absent or anything else."""
        value = self._values.get(name)
        return bool(value) if value in (True, False) else None

    def sha(self) -> str | None:
        """Return the SHA-1 in lower-case hex, or None where the service does not know it (cos.md#stat-sha).

        A suffix after ``_`` is dropped; anything but 40 digits, and zeros, mean "not known".
        """
        value = self._values.get("sha")
        if not isinstance(value, str):
            return None
        value = value.partition("_")[0].lower()
        known = len(value) == 40 and set(value) <= set("0123456789abcdef") and set(value) != {"0"}
        return value if known else None

    def sequence(self, name: str) -> list[Any]:
        """Return a list, sent as such or as JSON text (cos.md#listparts-type); empty when absent."""
        value = self._values.get(name)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else []
            except (ValueError, RecursionError):
                raise self.bad(name, value) from None
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(name, value)
        return value

    def page(self, name: str) -> list[Any]:
        """Return the rows of a page of a listing; more than any request asks for are an error."""
        rows = self.sequence(name)
        if len(rows) > _MOST_ROWS:
            text = f"the reply to {self._operation} is invalid: it has {len(rows)} rows of {name}"
            raise make_error(errno.EBADMSG, text, self._path)
        return rows

    def mapping(self, name: str) -> dict[str, str]:
        """Return a JSON object of strings; empty when absent."""
        value = self._values.get(name)
        if value is None or value == "":
            return {}
        if not isinstance(value, Mapping):
            raise self.bad(name, value)
        return {str(key): str(item) for key, item in value.items()}


@dataclass(frozen=True)
class UploadedObject:
    """A complete upload: the reply to upload, to finish, and to an init that hit (cos.md#uploads)."""

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
        """Read it from the ``data`` of v3's reply (cos.md#v3).

        Parameters
        ----------
        wanted : int
            Bytes per slice, if the reply has none.
        """
        slice_size = data.slice_size() if data.has("slice_size") else wanted
        # in order, unless the service says that this does not matter
        serial = data.number("serial_upload", 1) != 0
        return cls(data.text("session"), slice_size, serial, data.number("offset", 0))

    @classmethod
    def parse(cls, data: Fields) -> SliceSession:
        """Read it from the reply's ``data``.

        An offset, which one of the vendor's clients reads, is left alone: what a session already has is listed.
        """
        return cls(data.text("session"), data.slice_size(), data.number("serial_upload", 0) == 1)


@dataclass(frozen=True)
class ReceivedSlice:
    """The server's confirmation of a slice (cos.md#upload_slice_data): offset and length in bytes, and the session."""

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
    def parse(cls, data: Fields, operation: str, path: str) -> UnfinishedUpload:
        """Read it from the reply's ``data``."""
        slice_size = data.slice_size()
        rows = [Fields(row, operation, path) for row in data.sequence("listparts")]
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
        """Read it from one element of ``infos``."""
        name = data.text("name")
        last = name.strip("/").rpartition("/")[2]
        if last in (".", "..") or "\0" in last:
            # it would name something else once it is part of a path; nothing on any disk has a NUL in its name
            raise data.bad("name", name)
        if not is_utf8(last):
            raise data.bad("name", name)
        is_directory = name.endswith("/") or not (data.has("sha") or data.has("filesize") or data.has("filelen"))
        size = 0 if is_directory else data.size("filesize")
        return cls(
            last,
            is_directory,
            size,
            0 if is_directory else data.number("filelen", size),
            data.number("ctime", 0),
            data.number("mtime", 0),
            data.sha(),
            data.text("authority", ""),
        )


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8: JSON can have half a character, but no URL can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Page:
    """One page of a listing: its entries, the context for the next, and ``listover`` as the server sent it."""

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
    def identifies_content(self) -> bool:
        """Whether the status tells this content from any other; its time alone does not within one second."""
        return self.sha is not None

    def received(self, size: int, stored: int) -> PathStatus:
        """Return the same with the size, and the bytes that the server has, from another reply."""
        return replace(self, size=size, stored=stored)

    @classmethod
    def parse(cls, data: Fields, is_directory: bool) -> PathStatus:
        """Read it from the reply's ``data``."""
        size = 0 if is_directory else data.size("filesize")
        return cls(
            is_directory,
            size,
            0 if is_directory else data.number("filelen", size),
            data.number("ctime", 0),
            data.number("mtime", 0),
            data.sha(),
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
