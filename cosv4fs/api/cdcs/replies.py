"""The replies of the Data Coffer Service, as dataclasses (cdcs.md#coffers to cdcs.md#multipart).

As everywhere here, a key begins with ``/``, which it has not on the wire. ETags are without their quotation marks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cosv4fs.api.download import Version
from cosv4fs.api.fields import Fields


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
    def parse(cls, data: Fields) -> Coffer:
        """Read it from `data`, one element of ``Coffers``."""
        return cls(data.text("Name"), data.inner("Locations").texts("Location"), data.seconds("CreationDate"))


@dataclass(frozen=True)
class StoredObject:
    """One object, as a listing or its head shows it (cdcs.md#get-coffer, cdcs.md#head-object).

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
    content_type : str or None
        The Content-Type returned on download; a listing does not tell.
    """

    key: str
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
        """None: the service reports no SHA-1."""

    @property
    def identifies_content(self) -> bool:
        """Whether the status tells this content from any other: always, as objects are never replaced."""
        return True

    @classmethod
    def parse(cls, data: Fields) -> StoredObject:
        """Read it from `data`, one element of ``Contents``."""
        return cls(data.key("Key"), data.size("Size"), data.etag("ETag"), data.seconds("LastModified"))


@dataclass(frozen=True)
class ObjectPage:
    """One page of a listing.

    Parameters
    ----------
    entries : tuple of StoredObject
        The objects, in the order of their keys.
    marker : str or None
        What the next page follows; None after the last.
    """

    entries: tuple[StoredObject, ...]
    marker: str | None


@dataclass(frozen=True)
class Part:
    """One part of an upload (cdcs.md#list-parts).

    Parameters
    ----------
    number : int
        From 1 on.
    size : int
        Bytes.
    etag : str
        As the service has returned it.
    """

    number: int
    size: int
    etag: str

    @classmethod
    def parse(cls, data: Fields) -> Part:
        """Read it from `data`, one element of ``Part``."""
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
    def parse(cls, data: Fields) -> PendingUpload:
        """Read it from `data`, one element of ``Upload``; the table of the documentation calls its id otherwise."""
        name = "UploadId" if data.has("UploadId") else "UploadID"
        return cls(data.key("Key"), data.text(name), data.seconds("Initiated"))
