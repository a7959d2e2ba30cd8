"""A request of CDCS: what its URL names, and its body."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import Call, load_json
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.paths import ObjectPath, decode

if TYPE_CHECKING:
    from cosv4fs.emulator.dialects import CofferDialect
    from cosv4fs.emulator.store import BlobWriter


class Body:
    """The body of a request while it is received: measured, hashed, and kept in memory or in the store.

    Parameters
    ----------
    writer : BlobWriter, optional
        Where it is written to.
    keep : bool
        Whether it is kept in memory.
    tag : {"md5", "sha1", "encrypted"}
        What its ETag is; see `CofferDialect`.

    Attributes
    ----------
    failure : OSError, optional
        Why it could not be written.
    """

    def __init__(self, writer: BlobWriter | None = None, *, keep: bool = False, tag: str = "md5") -> None:
        self.writer = writer
        self.content = bytearray()
        self.size = 0
        self.failure: OSError | None = None
        self._keep = keep
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False) if tag == "sha1" else None
        self._encrypted = tag == "encrypted"

    def add(self, block: memoryview) -> None:
        """Add the next bytes; an error of the disk is kept, so that the client gets a reply."""
        self.size += len(block)
        if self._keep:
            self.content += block
        if self.writer is None:
            return
        self._md5.update(block)
        if self._sha1 is not None:
            self._sha1.update(block)
        if self.failure is None:
            try:
                self.writer.write(block)
            except OSError as error:
                self.failure = error

    @property
    def md5(self) -> bytes:
        """The MD5 of all bytes, raw."""
        return self._md5.digest() if self.writer is not None else _md5(self.content)

    @property
    def tag(self) -> str:
        """The ETag of what goes into the store, without quotes."""
        if self._sha1 is not None:
            return self._sha1.hexdigest()
        return _md5(b"encrypted" + self.md5).hex() if self._encrypted else self.md5.hex()

    def discard(self) -> None:
        """Drop the content, and remove what was written and not published."""
        self.content = bytearray()
        if self.writer is not None:
            self.writer.discard()


def _md5(content: bytes | bytearray) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


@dataclass
class CofferCall(Call):
    """One request to the coffers.

    Parameters
    ----------
    dialect : CofferDialect
        The variant of each disputed point.
    resource : str
        The decoded path of the URL, as it is signed.
    pairs : list of pairs
        The decoded parameters of the query, as they are signed.
    body : Body
        What it brings.
    claimed : bool
        Whether it is the request that holds its key.
    """

    dialect: CofferDialect = field(kw_only=True)
    resource: str = "/"
    pairs: list[tuple[str, str]] = field(default_factory=list)
    body: Body = field(default_factory=Body)
    claimed: bool = False

    @property
    def coffer(self) -> str:
        """The coffer, by its full name; empty for the service."""
        return self.path.bucket

    @property
    def key(self) -> str:
        """The key of the object; empty for the coffer."""
        return self.path.text[1:]

    @property
    def upload_id(self) -> str:
        """The multipart upload that the request names, or an empty text."""
        return self.text("uploadId") or ""

    @property
    def session(self) -> str | None:
        """The unfinished upload that the request names."""
        return self.upload_id or None

    def text(self, name: str) -> str | None:
        """Return a parameter of the query; None when it is absent."""
        any_case = self.dialect.upload_id_query == "any" and name == "uploadId"
        for sent, value in self.pairs:
            if sent == name or (any_case and sent.lower() == name.lower()):
                return value
        return None

    def number(self, name: str, default: int | None, *, least: int, most: int, clamp: bool = False) -> int:
        """Return a parameter as a number.

        Parameters
        ----------
        name : str
            Its name.
        default : int, optional
            The value when it is absent; None: it is required.
        least, most : int
            The range.
        clamp : bool
            Whether more than `most` means `most`.

        Raises
        ------
        ApiError
            InvalidArgument.
        """
        text = self.text(name)
        if text is None and default is not None:
            return default
        digits = (text or "").lstrip("0")[:10] if (text or "").isascii() and (text or "").isdigit() else None
        value = -1 if digits is None else int(digits or "0")
        if clamp:
            value = min(value, most)
        if not least <= value <= most:
            raise ApiError("InvalidArgument", f"{name} is a number from {least} to {most}")
        return value

    def check_md5(self, *, needed: bool = False) -> None:
        """Compare the body with ``Content-MD5``.

        Raises
        ------
        ApiError
            InvalidArgument when it is missing or is no MD5, the dialect's code when the body is another.
        """
        text = self.head.headers.get("content-md5")
        if text is None and not needed:
            return
        try:
            declared = base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError):
            declared = b""
        if len(declared) != 16:
            raise ApiError("InvalidArgument", "Content-MD5 is the base64 of 16 bytes")
        if declared != self.body.md5:
            raise ApiError(self.dialect.md5_mismatch, "the body is not what Content-MD5 says")

    def json(self, code: str = "InvalidArgument") -> dict[str, Any]:
        """Return the JSON object of the body.

        Raises
        ------
        ApiError
            With `code`, when the body is none.
        """
        try:
            data = load_json(bytes(self.body.content))
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise ApiError(code, "the body is not a JSON object")
        return data

    @property
    def content_type(self) -> str:
        """The type of an object that the request begins."""
        text = self.head.headers.get("content-type", "")
        return text if text and text.isascii() and text.isprintable() else "application/octet-stream"


def read_url(call: CofferCall) -> None:
    """Parse the URL of a request into the call; its host does not matter.

    Raises
    ------
    ApiError
        InvalidObjectKey or InvalidArgument when path or query are not UTF-8.
    """
    raw_path, raw_query = call.head.split_target()
    try:
        path = decode(raw_path)
    except UnicodeError:
        raise ApiError("InvalidObjectKey", "the path is not UTF-8") from None
    if not path.startswith("/"):
        raise ApiError("InvalidArgument", "the path does not begin with a slash")
    pairs = [pair.partition("=") for pair in raw_query.split("&") if pair]
    try:
        call.pairs = [(decode(name, plus=True), decode(value, plus=True)) for name, _, value in pairs]
    except UnicodeError:
        raise ApiError("InvalidArgument", "the query is not UTF-8") from None
    call.query = dict(call.pairs)
    coffer, _, key = path[1:].partition("/")
    call.resource, call.path = path, ObjectPath(coffer, f"/{key}")
