"""One request to the coffers, understood: which operation, on which coffer and key, with what body."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cosv4fs.emulator.request import Request, Subject

from .errors import CofferError
from .replies import error_reply

if TYPE_CHECKING:
    from cosv4fs.emulator.replies import Reply
    from cosv4fs.emulator.request import Head
    from cosv4fs.emulator.store import BlobWriter

    from .dialect import CofferDialect

__all__ = ["Body", "CofferCall", "Target", "locate", "operation"]

_COFFER_OPERATIONS = {
    ("GET", ""): "GetCoffer",
    ("PUT", ""): "PutCoffer",
    ("DELETE", ""): "DeleteCoffer",
    ("PUT", "lifecycle"): "PutCofferLifecycle",
    ("GET", "lifecycle"): "GetCofferLifecycle",
    ("PUT", "policy"): "PutCofferPolicy",
    ("GET", "policy"): "GetCofferPolicy",
    ("DELETE", "policy"): "DeleteCofferPolicy",
    ("GET", "uploads"): "ListMultipartUploads",
}
_OBJECT_OPERATIONS = {
    ("PUT", ""): "PutObject",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("POST", "uploads"): "InitiateMultipartUpload",
    ("PUT", "uploadId"): "UploadPart",
    ("GET", "uploadId"): "ListParts",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_ELSEWHERE = frozenset({"acl", "append", "cors", "delete", "restore", "tagging", "versioning", "versions", "copy"})
_COPIES = ("x-cdcs-copy-source", "x-cos-copy-source")


@dataclass(frozen=True)
class Target:
    """Where a URL points.

    Parameters
    ----------
    path : str
        The decoded path, as it is signed.
    coffer, key : str
        Its two parts; empty where there is none.
    parameters : list of pairs
        The decoded query.
    """

    path: str = "/"
    coffer: str = ""
    key: str = ""
    parameters: list[tuple[str, str]] = field(default_factory=list)


class Body:
    """The body of a request while it comes in: measured and hashed, and kept in memory or in the store.

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
        """Take in the next bytes; a failing disk is remembered, so that the client gets an answer."""
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
        """Forget it; what was written and not published is removed."""
        self.content = bytearray()
        if self.writer is not None:
            self.writer.discard()


def _md5(content: bytes | bytearray) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


@dataclass
class CofferCall(Request):
    """One request to the coffers; its operation is one of the names of cdcs.md#service.

    Parameters
    ----------
    dialect : CofferDialect
        The reading of the disputed points.
    target : Target
        Where the URL points.
    error : CofferError, optional
        Why it is refused, when that can be told before it is acted on.
    body : Body
        What it brings.
    claimed : bool
        Whether it is the request that holds its key.
    """

    dialect: CofferDialect = field(kw_only=True)
    target: Target = field(default_factory=Target)
    error: CofferError | None = None
    body: Body = field(default_factory=Body)
    claimed: bool = False

    @property
    def subject(self) -> Subject:
        """What the log says of it."""
        target = self.target
        return Subject(target.coffer, f"/{target.key}", dict(target.parameters), None, self.upload_id or None)

    @property
    def upload_id(self) -> str:
        """The multipart upload that is named, or nothing."""
        return self.text("uploadId") or ""

    def text(self, name: str) -> str | None:
        """Return a parameter of the query; None when it is not there."""
        anyhow = self.dialect.upload_id_query == "any" and name == "uploadId"
        for sent, value in self.target.parameters:
            if sent == name or (anyhow and sent.lower() == name.lower()):
                return value
        return None

    def number(self, name: str, default: int | None, *, least: int, most: int, clamp: bool = False) -> int:
        """Return a parameter as a number.

        Parameters
        ----------
        name : str
            Which one.
        default : int, optional
            When it is not there; None: it has to be.
        least, most : int
            The range.
        clamp : bool
            Whether more than `most` means `most`.

        Raises
        ------
        CofferError
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
            raise CofferError("InvalidArgument", f"{name} is a number from {least} to {most}")
        return value

    def check_md5(self, *, needed: bool = False) -> None:
        """Compare the body with ``Content-MD5``.

        Raises
        ------
        CofferError
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
            raise CofferError("InvalidArgument", "Content-MD5 is the base64 of 16 bytes")
        if declared != self.body.md5:
            raise CofferError(self.dialect.md5_mismatch, "the body is not what Content-MD5 says")

    def refuse(self, error: CofferError) -> Reply:
        """Return the answer that refuses it."""
        return error_reply(self.dialect, self.request_id, self.target.path, error)

    def refusal(self, code: int | str, *, status: int | None = None, retry_after: int | None = None) -> Reply:
        """Return the answer that refuses it with a code of CDCS."""
        if not isinstance(code, str):
            raise TypeError(f"the codes of this API are words, not {code!r}")
        reply = self.refuse(CofferError(code, status=status))
        if retry_after is not None:
            reply.headers.append(("Retry-After", str(retry_after)))
        return reply


def locate(head: Head) -> Target:
    """Tell where a request's URL points; the host does not matter.

    Raises
    ------
    CofferError
        InvalidObjectKey or InvalidArgument when path or query are not UTF-8.
    """
    raw_path, raw_query = head.split_target()
    try:
        path = _decode(raw_path)
    except UnicodeError:
        raise CofferError("InvalidObjectKey", "the path is not UTF-8") from None
    if not path.startswith("/"):
        raise CofferError("InvalidArgument", "the path does not begin with a slash")
    coffer, _, key = path[1:].partition("/")
    try:
        pairs = [pair.partition("=") for pair in raw_query.split("&") if pair]
        parameters = [(_decode(name, plus=True), _decode(value, plus=True)) for name, _, value in pairs]
    except UnicodeError:
        raise CofferError("InvalidArgument", "the query is not UTF-8") from None
    return Target(path, coffer, key, parameters)


def operation(call: CofferCall) -> str:
    """Return the operation that a request asks for (cdcs.md#service and cdcs.md#emulator).

    Raises
    ------
    CofferError
        MethodNotAllowed for everything that CDCS has not.
    """
    method, target, names = call.head.method, call.target, {name for name, _ in call.target.parameters}
    if not target.coffer:
        if method == "GET" and not target.key:
            return "GetService"
        raise CofferError("MethodNotAllowed", "without a coffer there is nothing but GET /")
    found = None
    if names.isdisjoint(_ELSEWHERE) and not any(name in call.head.headers for name in _COPIES):
        if target.key:
            resource = "uploads" if "uploads" in names else "uploadId" if call.text("uploadId") is not None else ""
            found = _OBJECT_OPERATIONS.get((method, resource))
        else:
            resource = next((name for name in ("lifecycle", "policy", "uploads") if name in names), "")
            found = _COFFER_OPERATIONS.get((method, resource))
    if found is None:
        raise CofferError("MethodNotAllowed", "a coffer knows no such operation")
    return found


def _decode(raw: str, *, plus: bool = False) -> str:
    data = raw.encode("latin-1")
    return unquote_to_bytes(data.replace(b"+", b" ") if plus else data).decode()
