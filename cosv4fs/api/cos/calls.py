"""Calls of the JSON API: build the requests, read the envelope of the replies: code, message, data (cos.md#envelope).

What v4 and v3 have in common; the operations themselves are in `client`, `v4` and `v3`. A reply without an envelope
comes from something between client and service, or from the download host, which answers errors in XML.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from cosv4fs import paths
from cosv4fs.api.client import Client
from cosv4fs.api.cos.replies import Fields
from cosv4fs.api.cos.signing import Signer, encode_key
from cosv4fs.api.download import RangeRead
from cosv4fs.api.request import Body, Request
from cosv4fs.api.responses import Meaning, code_failure, meaning_of, quoted, unexpected_reply
from cosv4fs.api.retry import AttemptError
from cosv4fs.api.transport import read_body
from cosv4fs.codes import CODES, lookup
from cosv4fs.errors import CosError, Origin, error_for_code, make_error

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

_SINGLE, _MULTI = "single", "multi"

_SINGLE_USE = ("delete", "update", "move")
"""Operations with a single-use signature (cos.md#signature, table); multi-effect for all others."""

_WRONG_KIND = {-73: _SINGLE, -74: _MULTI, -75: _MULTI, -76: _SINGLE}
"""The kind that the server wants instead, by code; the documentation disputes move and copy (cos.md#move-signature)."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_XML = re.compile(rb"<(Code|Message)>([^<]{0,300})</\1>")

_NO_FILE = Meaning(errno.ENOENT, "no such file")
_NO_BUCKET = Meaning(errno.ENOENT, "no such bucket for this appid")

_MEANINGS = {
    403: Meaning(errno.EACCES, "access denied: wrong credentials, or the referer is blocked"),
    599: Meaning(errno.EIO, "an unknown fault of the service"),
    612: _NO_FILE,
    631: Meaning(errno.EACCES, "illegal appid"),
}
"""Statuses with a meaning of their own (cos.md#http-status)."""


class CosCalls(Client):
    """Sends the requests of one account to the JSON API; see `Client` for the parameters."""

    _signer: Signer

    def _make_signer(self) -> Signer:
        return Signer(self.config, self._clock, self.quirks)

    def _any_request(self, bucket: str) -> Request:
        url = f"{self._url(bucket, '/')}?op=stat"
        return Request("GET", url, "stat", bucket, lambda: self._signer.multi(bucket))

    def _url(self, bucket: str, key: str) -> str:
        _check_bucket(bucket, key)
        return f"{self.config.api_root}{self._prefix(bucket)}{encode_key(key)}"

    def _prefix(self, bucket: str) -> str:
        """Return the path of a bucket on the API's host."""
        return f"{self.config.protocol.prefix}/{self.config.appid}/{bucket}"

    def _download_root(self, bucket: str, key: str) -> tuple[str, str | None]:
        _check_bucket(bucket, key)
        return self.config.download_root(bucket)

    def _download_request(self, method: str, bucket: str, key: str, range_header: str | None) -> Request:
        root, host = self._download_root(bucket, key)
        headers = {"Host": host} if host else {}
        if range_header:
            headers["Range"] = range_header
        return Request(
            method,
            root + encode_key(key),
            "download",
            paths.join(bucket, key),
            lambda: self._signer.multi(bucket),
            headers,
            absent_on_404=True,
        )

    def _get(self, operation: str, bucket: str, key: str, query: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self._url(bucket, key)}?{urlencode(query)}"
        request = Request("GET", url, operation, paths.join(bucket, key), lambda: self._signer.multi(bucket))
        return self._run(lambda: read_json(self._transport.exchange(request), request))

    def _post(
        self,
        operation: str,
        bucket: str,
        key: str,
        body: Body,
        parse: Callable[[Fields], T],
        settle: Callable[[AttemptError], T | None] | None = None,
        *,
        absent_on_404: bool = False,
    ) -> T:
        path = paths.join(bucket, key)
        request = Request(
            "POST",
            self._url(bucket, key),
            operation,
            path,
            self._sign(operation, bucket, key),
            body=body,
            absent_on_404=absent_on_404,
        )

        def attempt() -> T:
            reply = read_json(self._transport.exchange(request), request)
            return parse(Fields(reply.get("data") or {}, operation, path))

        kind = self._signature_kind(operation)
        try:
            return self._run(attempt, settle)
        except CosError as error:
            wanted = _WRONG_KIND.get(error.code) if isinstance(error.code, int) else None
            if operation not in ("move", "copy") or wanted is None or wanted == kind:
                raise
            self.quirks.learn(**{f"{operation}_signature": wanted})
            return self._run(attempt, settle)

    def _signature_kind(self, operation: str) -> str:
        learned = {"move": self.quirks.move_signature, "copy": self.quirks.copy_signature}.get(operation)
        return learned or (_SINGLE if operation in _SINGLE_USE else _MULTI)

    def _sign(self, operation: str, bucket: str, key: str) -> Callable[[], str]:
        def sign() -> str:
            # called for every attempt: the server accepts a single-use signature once
            if self._signature_kind(operation) == _SINGLE:
                return self._signer.single(bucket, key)
            return self._signer.multi(bucket)

        return sign


class FileRange(RangeRead):
    """One range of a file; see `RangeRead` for the parameters."""

    def _refusal(self, response: requests.Response, request: Request) -> AttemptError:
        return refusal(response, request)


def _check_bucket(bucket: str, key: str) -> None:
    """Refuse an invalid bucket name: it becomes part of a host name, a URL and a signed text."""
    if not _BUCKET.fullmatch(bucket):
        text = "invalid name of a bucket: letters, digits and hyphens are allowed"
        raise make_error(errno.ENOENT, text, paths.join(bucket, key))


def nothing(data: Fields) -> bool:
    """Parse a reply without data of interest."""
    return True


def read_json(response: requests.Response, request: Request) -> dict[str, Any]:
    """Return the envelope of a reply: ``code`` (0), ``message`` and, for most operations, ``data`` and ``request_id``.

    Raises
    ------
    AttemptError
        By the code of the reply; by its HTTP status when it carries no JSON.
    """
    body = read_body(response, request)
    reply = _parsed(body)
    if reply is None or (reply["code"] == 0 and response.status_code >= 300):
        raise _without_envelope(response, request, body)
    code = reply["code"]
    if code != 0:
        message = quoted(str(reply.get("message", "")), response)
        error = error_for_code(code, message, request.operation, request.path, _origin(response, reply))
        # what an unknown code means for a retry now is unknown, too; later, a failing server may have recovered
        error.is_transient = code not in CODES and response.status_code >= 500
        raise code_failure(response, lookup(code), error)
    return reply


def refusal(response: requests.Response, request: Request) -> AttemptError:
    """Return the failure that a reply without the wanted content stands for, whatever form its body has."""
    try:
        read_json(response, request)
    except AttemptError as failure:
        return failure
    return AttemptError(make_error(errno.EIO, f"{request.operation} was answered with an API reply", request.path))


def _parsed(body: bytes) -> dict[str, Any] | None:
    """Return a reply with its ``code`` as a number; None for anything else."""
    try:
        reply = json.loads(body)
        code = reply["code"]
        if not isinstance(code, (int, str)) or isinstance(code, bool):
            return None
        reply["code"] = int(code)
    except (ValueError, RecursionError, TypeError, LookupError):
        return None
    return dict(reply)


def _without_envelope(response: requests.Response, request: Request, body: bytes) -> AttemptError:
    """Return the failure for a reply that is XML, HTML or empty."""
    said = dict(_XML.findall(body[:65536]))
    name, message = (quoted(said.get(part, b"").decode("utf-8", "replace"), response) for part in (b"Code", b"Message"))
    meaning = meaning_of(response.status_code, _MEANINGS)
    if response.status_code == 404 and (request.absent_on_404 or name in ("NoSuchKey", "NoSuchBucket")):
        meaning = _NO_FILE
    if name == "InvalidRequest" and "Appid" in message:
        meaning = _NO_BUCKET
    detail = f"{name}: {message}" if name else ""
    return unexpected_reply(response, request, body, meaning, _origin(response, {}), detail)


def _origin(response: requests.Response, reply: Mapping[str, Any]) -> Origin:
    request_id = reply.get("request_id") or response.headers.get("x-cos-request-id")
    return Origin(
        request_id=quoted(str(request_id), response)[:200] if request_id else None, status=response.status_code
    )
