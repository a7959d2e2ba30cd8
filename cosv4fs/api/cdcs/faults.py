"""Which reply is an error, and which error it is (cdcs.md#errors).

An error has a body in JSON, in the XML of early days, or none (the reply to HEAD). It may also come inside a 200: that
of a completion is sent before the work is done (cdcs.md#complete).
"""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cosv4fs.api.cdcs.codes import CODES
from cosv4fs.api.cdcs.values import Values, parse_body
from cosv4fs.api.transport import Request, origin_of, quoted, read_body
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, Origin, error_for_row, make_error

if TYPE_CHECKING:
    import requests

__all__ = ["read_nothing", "read_refusal", "read_values"]

_STATUS: dict[int, tuple[int, str]] = {
    400: (errno.EINVAL, "the service refused the request"),
    401: (errno.EACCES, "access denied: check secret_id, secret_key and this machine's clock"),
    403: (errno.EACCES, "access denied"),
    404: (errno.ENOENT, "no such object or coffer"),
    405: (errno.ENOTSUP, "the server does not allow this method"),
    409: (errno.EBUSY, "the request conflicts with what is there"),
    413: (errno.EFBIG, "the request is too large"),
    416: (errno.EINVAL, "the server refused the range"),
    429: (errno.EBUSY, "too many requests"),
}

_TAGS = re.compile(rb"<[^>]{0,500}>")
_ID = re.compile(r"[A-Za-z0-9+/=_.:-]{1,200}")


def read_values(response: requests.Response, request: Request) -> Values:
    """Read a reply that has content.

    Raises
    ------
    OSError
        By the code of the reply; by its HTTP status when it carries none.
    """
    body = read_body(response, request)
    values = _accepted(response, request, body)
    if values is None:
        raise _without_code(response, request, body)
    return Values(values, request.operation, request.path)


def read_nothing(response: requests.Response, request: Request) -> None:
    """Read a reply whose content does not matter, as long as it is no error.

    Raises
    ------
    OSError
        As for `read_values`.
    """
    body = read_body(response, request)
    if _accepted(response, request, body) is None and body.strip():
        # neither empty nor anything the service says: a page of something else that is in the way
        raise _without_code(response, request, body)


def read_refusal(response: requests.Response, request: Request) -> CosError:
    """Return the error that a reply without the wanted content stands for."""
    try:
        read_values(response, request)
    except CosError as error:
        return error
    return make_error(errno.EIO, f"{request.operation} was answered with something else", request.path)


def _accepted(response: requests.Response, request: Request, body: bytes) -> dict[str, Any] | None:
    """Return what a reply of success says, None when nothing can be read from it."""
    values = parse_body(body)
    if values is not None and isinstance(values.get("Code"), str) and values["Code"]:
        raise _by_code(response, request, values)
    if response.status_code >= 300:
        raise _without_code(response, request, body)
    return values


def _by_code(response: requests.Response, request: Request, values: dict[str, Any]) -> CosError:
    name = quoted(values["Code"], response)[:100]
    message = values.get("Message")
    said = quoted(message, response)[:200] if isinstance(message, str) else ""
    origin = _origin(response, values)
    detail = f"{name}: {said}" if said and said != name else name
    ids = _ids(response, values, origin)
    row = CODES.get(name)
    if row is not None:
        return error_for_row(row, f"{row.meaning} ({request.operation}: {detail}{ids})", request.path, origin)
    number, meaning, origin = _by_status(response, origin)
    text = f"{meaning} ({request.operation}: HTTP {response.status_code}, {detail}{ids})"
    return make_error(number, text, request.path, replace(origin, code=name))


def _without_code(response: requests.Response, request: Request, body: bytes) -> CosError:
    """Return the error for a reply that is empty, or a page of something else, or damaged."""
    status, bare = response.status_code, body.strip()
    origin = _origin(response, {})
    number, meaning, origin = _by_status(response, origin)
    if status == 404 and bare:
        number, meaning = errno.EHOSTUNREACH, "the server does not know this API: check region and endpoint"
    if status < 300 and (not bare or bare[:1] == b"{" or bare[-1:] == b"}"):
        # a reply of the service that was damaged on its way, unlike a page of something else: send the request again
        origin = replace(origin, retry=Retry.YES, doubtful=True)
    page = quoted(_TAGS.sub(b" ", body[:2000]).decode("utf-8", "replace"), response).strip()[:200]
    detail = f", {page}" if page else ""
    ids = _ids(response, {}, origin)
    return make_error(number, f"{meaning} ({request.operation}: HTTP {status}{detail}{ids})", request.path, origin)


def _by_status(response: requests.Response, origin: Origin) -> tuple[int, str, Origin]:
    status = response.status_code
    if status >= 500 or status == 429:
        again = Retry.BACK_OFF if status in (429, 503) else Retry.YES
        origin = replace(origin, retry=again, doubtful=status != 429)
    if status == 409 and response.request.method == "HEAD":
        # without a body it may be any conflict: of those that a question can meet, most pass
        origin = replace(origin, retry=Retry.BACK_OFF)
    if 300 <= status < 400:
        text = "the server points to another place, where no signature is sent: check region, endpoint and proxies"
        return errno.EIO, text, origin
    usual = "the service is failing" if status >= 500 else "the reply is not what the service promises"
    number, meaning = _STATUS.get(status, (errno.EIO, usual))
    return number, meaning, origin


def _origin(response: requests.Response, values: dict[str, Any]) -> Origin:
    said = values.get("RequestId")
    found = said if isinstance(said, str) and said else response.headers.get("x-cdcs-request-id")
    return replace(origin_of(response, None), request_id=_plain_id(found, response))


def _ids(response: requests.Response, values: dict[str, Any], origin: Origin) -> str:
    """Return what the vendor's support asks for."""
    said = values.get("TraceId")
    trace = _plain_id(said if isinstance(said, str) and said else response.headers.get("x-cdcs-trace-id"), response)
    request = f", request {origin.request_id}" if origin.request_id else ""
    return request + (f", trace {trace}" if trace else "")


def _plain_id(text: str | None, response: requests.Response) -> str | None:
    """Return an id of the server's; None for what is none, or repeats a part of what was sent."""
    if not text or not _ID.fullmatch(text):
        return None
    sent = (str(value) for value in response.request.headers.values())
    return None if any(text in value for value in sent) else text
