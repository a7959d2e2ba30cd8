"""Which reply is an error, and which error it is (cdcs.md#errors).

The body of an error is JSON, XML (in the early documentation) or empty (HEAD). An error may also come within a 200: the
reply to a completion begins before the work is done (cdcs.md#complete).
"""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cosv4fs.api.attempt import AttemptError
from cosv4fs.api.cdcs.codes import CODES
from cosv4fs.api.cdcs.values import Values, parse_body
from cosv4fs.api.headers import quoted
from cosv4fs.api.request import Request
from cosv4fs.api.transport import read_body
from cosv4fs.api.unexpected import UNKNOWN_API, Meaning, code_failure, meaning_of, status_failure, unexpected_reply
from cosv4fs.codes import Retry
from cosv4fs.errors import Origin, error_for_row, make_error

if TYPE_CHECKING:
    import requests

_MEANINGS = {
    404: Meaning(errno.ENOENT, "no such object or coffer"),
    409: Meaning(errno.EBUSY, "the request conflicts with what is there"),
    416: Meaning(errno.EINVAL, "the server refused the range"),
}

_ID = re.compile(r"[A-Za-z0-9+/=_.:-]{1,200}")


def read_values(response: requests.Response, request: Request) -> Values:
    """Read a reply that has content.

    Raises
    ------
    AttemptError
        By the code of the reply; by its HTTP status when it carries none.
    """
    body = read_body(response, request)
    values = _accepted(response, request, body)
    if values is None:
        raise _without_code(response, request, body)
    return Values(values, request.operation, request.path)


def read_nothing(response: requests.Response, request: Request) -> None:
    """Read a reply whose content does not matter, unless it is an error.

    Raises
    ------
    AttemptError
        As for `read_values`.
    """
    body = read_body(response, request)
    if _accepted(response, request, body) is None and body.strip():
        # neither empty nor a reply of the service: a page of something in between
        raise _without_code(response, request, body)


def refusal(response: requests.Response, request: Request) -> AttemptError:
    """Return the failure that a reply without the wanted content stands for."""
    try:
        read_values(response, request)
    except AttemptError as failure:
        return failure
    return AttemptError(make_error(errno.EIO, f"{request.operation} was answered with something else", request.path))


def _accepted(response: requests.Response, request: Request, body: bytes) -> dict[str, Any] | None:
    """Return the values of a successful reply; None when it has none."""
    values = parse_body(body)
    if values is not None and isinstance(values.get("Code"), str) and values["Code"]:
        raise _by_code(response, request, values)
    if response.status_code >= 300:
        raise _without_code(response, request, body)
    return values


def _by_code(response: requests.Response, request: Request, values: dict[str, Any]) -> AttemptError:
    name = quoted(values["Code"], response)[:100]
    message = values.get("Message")
    said = quoted(message, response)[:200] if isinstance(message, str) else ""
    origin = _origin(response, values)
    detail = ", ".join((f"{name}: {said}" if said and said != name else name, *_ids(response, values, origin)))
    row = CODES.get(name)
    if row is not None:
        error = error_for_row(row, f"{row.meaning} ({request.operation}: {detail})", request.path, origin)
        return code_failure(response, row, error)
    meaning = meaning_of(response.status_code, _MEANINGS)
    text = f"{meaning.text} ({request.operation}: HTTP {response.status_code}, {detail})"
    return status_failure(response, make_error(meaning.errno, text, request.path, replace(origin, code=name)))


def _without_code(response: requests.Response, request: Request, body: bytes) -> AttemptError:
    """Return the failure for a reply that is empty, damaged, or a page of something else."""
    status, origin = response.status_code, _origin(response, {})
    meaning = UNKNOWN_API if status == 404 and body.strip() else meaning_of(status, _MEANINGS)
    failure = unexpected_reply(response, request, body, meaning, origin, ids=_ids(response, {}, origin))
    if status == 409 and request.method == "HEAD":
        # without a body it may be any conflict, and most of those that HEAD can meet are transient
        failure.retry = Retry.BACK_OFF
    return failure


def _origin(response: requests.Response, values: dict[str, Any]) -> Origin:
    said = values.get("RequestId")
    found = said if isinstance(said, str) and said else response.headers.get("x-cdcs-request-id")
    return Origin(request_id=_plain_id(found, response), status=response.status_code)


def _ids(response: requests.Response, values: dict[str, Any], origin: Origin) -> tuple[str, ...]:
    """Return the ids for the vendor's support."""
    said = values.get("TraceId")
    trace = _plain_id(said if isinstance(said, str) and said else response.headers.get("x-cdcs-trace-id"), response)
    ids = {"request": origin.request_id, "trace": trace}
    return tuple(f"{name} {text}" for name, text in ids.items() if text)


def _plain_id(text: str | None, response: requests.Response) -> str | None:
    """Return an id of the server; None if it is malformed, or repeats a part of the request."""
    if not text or not _ID.fullmatch(text):
        return None
    sent = (str(value) for value in response.request.headers.values())
    return None if any(text in value for value in sent) else text
