"""Build the requests of operations on coffers: host, path, query, and the signed parts."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, urlsplit

from cosv4fs import paths
from cosv4fs.api.cdcs.errors import read_nothing, read_values
from cosv4fs.api.cdcs.replies import Values
from cosv4fs.api.cdcs.signing import CofferSigner, escape
from cosv4fs.api.client import Client
from cosv4fs.api.cos.replies import is_utf8
from cosv4fs.api.request import Body, Content, Request, check_plain
from cosv4fs.api.retry import AttemptError
from cosv4fs.codes import Retry
from cosv4fs.errors import make_error
from cosv4fs.protocols import CDCS

T = TypeVar("T")

_COFFER = re.compile(r"(?!\.{1,2}$)[^/\x00-\x1f\x7f]+")
"""What can be a part of a path; what else a coffer's name may be is disputed (cdcs.md#transport)."""

_CLOCK_CODES = (None, "AuthFailed")
"""Codes that may mean that a signature is not valid yet, or has expired (cdcs.md#signature, validity)."""


class CofferCalls(Client):
    """Sends the requests of one account to the Data Coffer Service; see `Client` for the parameters."""

    protocol = CDCS
    _signer: CofferSigner

    def _make_signer(self) -> CofferSigner:
        return CofferSigner(self.config, self._clock, self.quirks)

    @property
    def _page_size(self) -> int:
        return min(self.config.page_size, self.config.protocol.page_size)

    def _any_request(self, bucket: str) -> Request:
        return self._request("GET", "GetCoffer", bucket, query={"max-keys": "1"}, service=True)

    def _request(
        self,
        method: str,
        operation: str,
        coffer: str = "",
        key: str = "",
        *,
        query: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        service: bool = False,
        timeout_factor: float = 1.0,
    ) -> Request:
        """Return a request.

        `operation` is the vendor's name of it (cdcs.md#service). A value of None in `query` is a name alone, as in
        ``?uploads``. `service` requests go to the host that concerns no single region.
        """
        path = _path(coffer, key)
        root = self.config.service_root if service else self.config.api_root
        sent = {"Host": _host(root), **(headers or {})}
        if body is not None:
            sent |= {"Content-Type": body.content_type, "Content-Length": str(len(body))}
        elif method == "POST":
            sent["Content-Length"] = "0"
        signed = {name: value or "" for name, value in (query or {}).items()}
        return Request(
            method,
            f"{root}{quote(path, safe='/~')}{_query_text(query or {})}",
            operation,
            paths.join(coffer, key) if coffer else "",
            lambda: self._signer.sign(method, path, signed, sent),
            sent,
            body,
            timeout_factor,
        )

    def _query(self, request: Request, parse: Callable[[Values], T]) -> T:
        """Send a request and return what its reply says."""
        return self._run(lambda: self._parsed(request, parse))

    def _parsed(self, request: Request, parse: Callable[[Values], T]) -> T:
        return parse(read_values(self._transport.exchange(request), request))

    def _command(self, request: Request, settle: Callable[[AttemptError], bool | None] | None = None) -> None:
        """Send a request whose reply says nothing but that it was carried out."""

        def attempt() -> bool:
            read_nothing(self._transport.exchange(request), request)
            return True

        self._run(attempt, settle)

    def _retried(self, attempt: Callable[[], T], settle: Callable[[AttemptError], T | None] | None = None) -> T:
        def signed_in_time() -> T:
            offset = self.quirks.clock_offset
            try:
                return attempt()
            except AttemptError as failure:
                error = failure.error
                if error.status in (401, 403) and error.code in _CLOCK_CODES and self._was_late(failure, offset):
                    failure.retry = Retry.RESIGN
                raise

        return super()._retried(signed_in_time, settle)

    def _was_late(self, failure: AttemptError, offset: float) -> bool:
        """Follow the server's clock; return whether a signature made now differs from the refused one."""
        # another thread may have adopted the time meanwhile
        return self._signer.adopt_server_date(failure.server_date) or self.quirks.clock_offset != offset


def pieces_of(content: Content) -> list[memoryview]:
    """Return the pieces of a content as bytes."""
    pieces = [content] if isinstance(content, memoryview) else list(content)
    return [memoryview(piece).cast("B") for piece in pieces]


def content_body(content: Content, content_type: str | None, md5: bytes | None = None) -> tuple[Body, bytes]:
    """Return the body that sends a content as it is, and its MD5, computed when not given."""
    check_plain(content_type=content_type)
    pieces = pieces_of(content)
    if md5 is None:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in pieces:
            digest.update(piece)
        md5 = digest.digest()
    return Body(content_type or "application/octet-stream", *pieces), md5


def json_body(values: Mapping[str, object]) -> tuple[Body, dict[str, str]]:
    """Return a JSON body and the header with its MD5, which some operations insist on (cdcs.md#lifecycle)."""
    data = json.dumps(values, ensure_ascii=False).encode()
    return Body("application/json", data), md5_header(hashlib.md5(data, usedforsecurity=False).digest())


def md5_header(md5: bytes) -> dict[str, str]:
    """Return the header that lets the server verify a body (cdcs.md#request-headers)."""
    return {"Content-MD5": base64.b64encode(md5).decode("ascii")}


def _path(coffer: str, key: str) -> str:
    """Return the decoded path of a request: what is signed, and, encoded, what is sent."""
    if not coffer:
        return "/"
    path = paths.join(coffer, key)
    if not _COFFER.fullmatch(coffer):
        text = "no coffer can have this name: it is named in full, as in name-1250000000"
        raise make_error(errno.ENOENT, text, path)
    if not is_utf8(f"{coffer}{key}"):
        raise make_error(errno.EINVAL, "a name has to be UTF-8", ascii(path))
    return f"/{coffer}{key}"


def _host(root: str) -> str:
    """Return the Host header for a URL: without the port that is its scheme's own."""
    parts = urlsplit(root)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.netloc.rpartition(":")[0] if parts.port == usual else parts.netloc


def _query_text(query: Mapping[str, str | None]) -> str:
    parts = (name if value is None else f"{name}={escape(value)}" for name, value in query.items())
    text = "&".join(parts)
    return f"?{text}" if text else ""
