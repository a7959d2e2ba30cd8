"""A request of CDCS: what its URL names, and its body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cosv4fs.emulator.call import Call, ObjectPath, decode, load_json
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cosv4fs.emulator.dialects import CofferDialect
    from cosv4fs.emulator.store import BlobWriter

_ZONE = timezone(timedelta(hours=8))


class Body:
    """The body of a request while it is received: measured, hashed, and kept in memory or in the store.

    Its ETag is one of `CofferDialect.part_etag`. `failure` says why it could not be written.
    """

    def __init__(self, writer: BlobWriter | None = None, *, keep: bool = False, tag: str = "md5") -> None:
        self.content = bytearray()
        self.size = 0
        self.failure: OSError | None = None
        self._writer = writer
        self._keep = keep
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False) if tag == "sha1" else None
        self._encrypted = tag == "encrypted"

    def add(self, block: memoryview) -> None:
        """Add the next bytes; an error of the disk is kept, so that the client gets a reply."""
        self.size += len(block)
        if self._keep:
            self.content += block
        if self._writer is None:
            return
        self._md5.update(block)
        if self._sha1 is not None:
            self._sha1.update(block)
        if self.failure is None:
            try:
                self._writer.write(block)
            except OSError as error:
                self.failure = error

    @property
    def md5(self) -> bytes:
        """The MD5 of all bytes, raw."""
        return self._md5.digest() if self._writer is not None else _md5(self.content)

    @property
    def tag(self) -> str:
        """The ETag of what goes into the store, without quotes."""
        if self._sha1 is not None:
            return self._sha1.hexdigest()
        return _md5(b"encrypted" + self.md5).hex() if self._encrypted else self.md5.hex()

    def publish(self) -> str:
        """Publish what was written, and return the name of the blob."""
        assert self._writer is not None  # operations that store their body have one
        return self._writer.publish()

    def discard(self) -> None:
        """Drop the content, and remove what was written and not published."""
        self.content = bytearray()
        if self._writer is not None:
            self._writer.discard()


def _md5(content: bytes | bytearray) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


@dataclass
class CofferCall(Call):
    """One request to the coffers.

    `resource` and `pairs` are the decoded path and parameters of the URL as they are signed; `claimed` says whether it
    is the request that holds its key.
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

    def whole(self, name: str, default: int | None, *, least: int, most: int, clamp: bool = False) -> int:
        """Return a parameter as a number, else raise InvalidArgument; without a default it is required.

        With `clamp`, more than `most` means `most`.
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
        """Compare the body with ``Content-MD5``; InvalidArgument: that is missing or no MD5."""
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
        """Return the JSON object of the body; refuse the request with `code` when it is none."""
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

    def encoder(self) -> Callable[[str], str]:
        """Return the function that writes keys in the reply; InvalidArgument for an unknown ``encoding-type``."""
        kind = self.text("encoding-type")
        if kind not in {None, "url"}:
            raise ApiError("InvalidArgument", "encoding-type is url")
        return (lambda key: quote(key, safe="")) if kind else str

    def json_reply(self, data: dict[str, Any]) -> Reply:
        """Return a reply with a JSON body, written as the dialect does; None stands for a field without a value."""
        body = json.dumps(_written(self.dialect, data), ensure_ascii=False).encode()
        return Reply(body=body, content_type=self.dialect.content_type)

    def empty_reply(self, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        """Return a reply without a body; one that never has a body does not announce its length either."""
        reply = Reply(status, content_type=self.dialect.content_type, headers=list(headers))
        if status == 204:
            reply.overrides = {"content-length": None, "content-type": None}
        return reply


def _written(dialect: CofferDialect, value: Any) -> Any:
    """Return a value as loosely typed JSON has it (cdcs.md#body-format)."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if item is not None or dialect.empty_fields == "empty"}
        return {name: _written(dialect, item) for name, item in kept.items()}
    if isinstance(value, list):
        return [_written(dialect, item) for item in value]
    if isinstance(value, bool):
        text = "true" if value else "false"
        return {"strings": text, "upper-strings": text.upper(), "json": value}[dialect.booleans]
    if isinstance(value, int):
        return str(value) if dialect.numbers == "strings" else value
    return "" if value is None else value


def iso_time(seconds: float) -> str:
    """Return a time as ``2020-06-13T15:40:15+08:00``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).isoformat()


def asctime(seconds: float) -> str:
    """Return a time as ``Tue Jan 17 16:43:37 2017``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).ctime()


def read_url(call: CofferCall) -> None:
    """Parse the URL of a request into the call, or refuse it; its host does not matter."""
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
