"""The replies of the Data Coffer Service: typed access, and dataclasses (cdcs.md#coffers to cdcs.md#multipart).

The documentation promises JSON, where booleans and numbers may be strings, and absent fields may be empty
(cdcs.md#body-format). Early drafts had XML, which is converted to the same mappings (cdcs.md#xml-era).

As everywhere here, a key begins with ``/``, which it has not on the wire. ETags are without their quotation marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree as ET

from cosv4fs.api.cos.replies import Fields, is_utf8
from cosv4fs.api.download import Version
from cosv4fs.api.responses import BEIJING, header_seconds

_DEEPEST = 16
"""No reply of the service is nested more deeply than this."""

_DECLARATIONS = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
_FRACTION = re.compile(r"[.,]\d+")


def parse_body(body: bytes) -> dict[str, Any] | None:
    """Return the mapping in a body of JSON or XML; None if there is none.

    The Content-Type is ignored: every sample of the documentation has JSON as ``application/xml``. White space may come
    first (cdcs.md#complete).
    """
    bare = body.strip()
    if bare[:1] == b"<":
        return _from_xml(bare)
    try:
        values = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def plain_etag(text: str | None) -> str:
    """Return an ETag without its quotation marks; empty when there is none."""
    return (text or "").strip().removeprefix("W/").strip('"')


class Values(Fields):
    """Typed access to one mapping of a reply; see `Fields` for its parameters."""

    # an upload's id is as good as a key to the upload
    hidden = (*Fields.hidden, "UploadId", "UploadID")

    def require(self, *names: str) -> None:
        """Refuse a reply (EBADMSG) that has none of the fields, and so is not the expected one."""
        if not any(name in self._values for name in names):
            raise self.bad(names[0], None)

    def is_of(self, *names: str) -> bool:
        """Return whether there is any field; refuse a mapping without the named ones, as `require` does."""
        if self._values:
            self.require(*names)
        return bool(self._values)

    def truth(self, name: str) -> bool:
        """Return a boolean, sent as such or as a string in any case; False when absent or empty."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = {"true": True, "false": False, "1": True, "0": False, "": False}.get(value.strip().lower(), value)
        if value is None:
            return False
        if value in (0, 1):
            return bool(value)
        raise self.bad(name, value)

    def key(self, name: str) -> str:
        """Return the key of an object, with a leading slash."""
        value = self.text(name)
        if not value or not is_utf8(value):
            raise self.bad(name, value)
        return f"/{value}"

    def etag(self, name: str) -> str:
        """Return an ETag without its quotation marks; empty when absent."""
        return plain_etag(self.text(name, ""))

    def seconds(self, name: str) -> int:
        """Return a time in Unix seconds; 0 when it is absent or cannot be read: nothing depends on it."""
        value = self._values.get(name)
        return _seconds(value) if isinstance(value, str) else 0

    def inner(self, name: str) -> Values:
        """Return a mapping inside this one; an empty one when it is absent or empty."""
        value = self._values.get(name)
        return Values({} if value is None or value == "" else value, self._operation, self._path)

    def plain(self) -> dict[str, Any]:
        """Return the mapping as it came."""
        return dict(self._values)

    def rows(self, name: str) -> Iterator[Values]:
        """Yield the mappings of a list; in XML, a list of one looks like a mapping."""
        for value in self._listed(name):
            yield Values(value, self._operation, self._path)

    def page(self, name: str) -> list[Any]:
        """Return the rows of a page of a listing; see `Fields`. In XML, a list of one looks like a mapping."""
        return [self._values[name]] if isinstance(self._values.get(name), Mapping) else super().page(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; in XML, a list of one looks like a string."""
        values = self._listed(name)
        for value in values:
            if not isinstance(value, str):
                raise self.bad(name, value)
        return tuple(values)

    def _listed(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if value is None or value == "":
            return []
        return value if isinstance(value, list) else [value]


def _seconds(text: str) -> int:
    """Return the Unix seconds of a time in ISO 8601, RFC 1123 or asctime's form; 0 for anything else."""
    bare = text.strip()
    zoned = _ZONE.search(bare)
    try:
        said = datetime.fromisoformat(_FRACTION.sub("", bare[: zoned.start()] if zoned else bare))
        zone: Any = BEIJING
        if zoned:
            zone = timezone.utc if zoned[0] == "Z" else datetime.strptime(zoned[0], "%z").tzinfo
        return max(0, int(said.replace(tzinfo=zone).timestamp()))
    except (ValueError, OverflowError):
        return max(0, int(header_seconds(bare) or 0))


def _from_xml(body: bytes) -> dict[str, Any] | None:
    # without declarations there are no entities that could grow or point elsewhere
    if _DECLARATIONS.search(body):
        return None
    try:
        root = ET.fromstring(body)  # noqa: S314  # see above
    except (ET.ParseError, ValueError, LookupError):
        return None
    if root.tag.rpartition("}")[2].lower() == "html":
        # a page of something else, whose elements are no values
        return None
    value = _element(root, _DEEPEST)
    return value if isinstance(value, dict) else None


def _element(element: ET.Element, depth: int) -> Any:
    """Return a text for an element without children, else a mapping; elements of one name become a list."""
    if not len(element):
        return (element.text or "").strip()
    found: dict[str, Any] = {}
    for child in element if depth else ():
        name, value = child.tag.rpartition("}")[2], _element(child, depth - 1)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


@dataclass(frozen=True)
class Coffer:
    """One coffer of the account (cdcs.md#get-service).

    Parameters
    ----------
    name : str
        In full, with the appid.
    locations : tuple of str
        The regions that hold its objects.
    created : int
        Unix seconds; 0 if unknown.
    """

    name: str
    locations: tuple[str, ...] = ()
    created: int = 0

    @classmethod
    def parse(cls, data: Values) -> Coffer:
        """Read it from one element of ``Coffers``."""
        return cls(data.text("Name"), data.inner("Locations").texts("Location"), data.seconds("CreationDate"))


@dataclass(frozen=True)
class StoredObject:
    """One object, as a listing shows it (cdcs.md#get-coffer).

    Parameters
    ----------
    key : str
        With a leading slash.
    size : int
        Bytes.
    etag : str
        MD5 in hex where the object came in one request and is not encrypted; else only a mark. Empty where the service
        does not tell.
    modified : int
        When it was stored, in Unix seconds; 0 if unknown.
    """

    key: str
    size: int
    etag: str = ""
    modified: int = 0

    @property
    def version(self) -> Version:
        """What `CofferClient.fetch` takes as the version that it has to read."""
        return Version(self.size, self.etag or None)

    @classmethod
    def parse(cls, data: Values) -> StoredObject:
        """Read it from one element of ``Contents``."""
        return cls(data.key("Key"), data.size("Size"), data.etag("ETag"), data.seconds("LastModified"))


@dataclass(frozen=True)
class ObjectPage:
    """One page of a listing, and the marker for the next one; None after the last."""

    entries: tuple[StoredObject, ...]
    marker: str | None


@dataclass(frozen=True)
class ObjectStatus:
    """What the head of an object tells (cdcs.md#head-object); members as in `StoredObject`, and its type."""

    size: int
    etag: str = ""
    modified: int = 0
    content_type: str | None = None

    @property
    def version(self) -> Version:
        """What `CofferClient.fetch` takes as the version that it has to read."""
        return Version(self.size, self.etag or None)

    @property
    def sha(self) -> None:
        """None: the service tells no SHA-1."""

    @property
    def identifies_content(self) -> bool:
        """Whether the status tells this content from any other: always, as objects are never replaced."""
        return True


@dataclass(frozen=True)
class Part:
    """One part of an upload: its number from 1 on, its bytes, and its ETag (cdcs.md#list-parts)."""

    number: int
    size: int
    etag: str

    @classmethod
    def parse(cls, data: Values) -> Part:
        """Read it from one element of ``Part``."""
        number = data.number("PartNumber")
        if number < 1:
            raise data.bad("PartNumber", number)
        return cls(number, data.size("Size"), data.etag("ETag"))


@dataclass(frozen=True)
class PendingUpload:
    """An upload in parts that was neither completed nor aborted (cdcs.md#list-uploads).

    Parameters
    ----------
    key : str
        Of the object that it would become, with a leading slash.
    upload_id : str
        Its opaque name.
    initiated : int
        When it began, in Unix seconds; 0 if unknown.
    """

    key: str
    upload_id: str = field(repr=False)
    initiated: int = 0

    @classmethod
    def parse(cls, data: Values) -> PendingUpload:
        """Read it from one element of ``Upload``; the table of the documentation calls its id otherwise."""
        name = "UploadId" if data.has("UploadId") else "UploadID"
        return cls(data.key("Key"), data.text(name), data.seconds("Initiated"))
