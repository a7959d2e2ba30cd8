"""The error codes of the Data Coffer Service, and which reply is which error (cdcs.md#errors).

The table includes codes that only the pages of single operations or early drafts name. The HTTP status decides about
others. The body of an error is JSON or empty (HEAD). An error may also come within a 200: the reply to a completion
begins before the work is done (cdcs.md#complete). Early drafts had XML, which becomes the same mappings
(cdcs.md#xml-era).
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from cosv4fs.api.connections import Response
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Request
from cosv4fs.api.responses import (
    UNKNOWN_API,
    code_failure,
    meaning_of,
    quoted,
    status_failure,
    unexpected_reply,
)
from cosv4fs.api.retry import AttemptError
from cosv4fs.api.transport import read_body
from cosv4fs.codes import Code, Retry
from cosv4fs.errors import Origin, error_for_row, make_error

_WRITE_ONCE = "the object exists, and coffers are write-once: what is in one is never replaced, choose another name"
_UNFINISHED = "or an unfinished upload blocks its name: complete or abort it"
_IN_FULL = "coffers are named in full, as in name-1250000000"


def _row(name: str, http: int, number: int, meaning: str, retry: Retry = Retry.NO) -> Code:
    return Code(name, name, meaning, http, number, retry)


def _invalid(name: str, meaning: str) -> Code:
    return _row(name, 400, errno.EINVAL, meaning)


def _about_path(name: str, meaning: str) -> Code:
    return Code(name, name, meaning, 400, errno.EINVAL, is_about_path=True)


def _exists(name: str, meaning: str) -> Code:
    return _row(name, 409, errno.EEXIST, meaning)


def _refused(name: str, meaning: str, http: int = 401) -> Code:
    return _row(name, http, errno.EACCES, meaning)


_ROWS = [
    Code("InternalError", "InternalError", "the service failed", 500, errno.EIO, Retry.YES, may_have_acted=True),
    _row("MethodNotAllowed", 405, errno.ENOTSUP, "coffers have no such operation: nothing in one can be changed"),
    _row("CofferNotFound", 404, errno.ENOENT, f"there is no such coffer: {_IN_FULL}"),
    _row("NoSuchCoffer", 404, errno.ENOENT, f"there is no such coffer: {_IN_FULL}"),
    _row("ObjectNotExists", 404, errno.ENOENT, "no such object"),
    _row("NoSuchLifecycleConfiguration", 404, errno.ENOENT, "the coffer has no lifecycle"),
    _row("MultipartNotExists", 404, errno.ESTALE, "the upload or its part does not exist: begin again"),
    _row("NoSuchUpload", 404, errno.ESTALE, "the upload was completed or aborted, or never was: begin again"),
    _row("MultipartAlreadyCompleted", 409, errno.ESTALE, "the upload was completed before"),
    _invalid("EntityTooSmall", "a part other than the last is smaller than 1 MB"),
    _invalid("InvalidPart", "the parts are not those that were sent, or their numbers have gaps"),
    _invalid("InvalidPartOrder", "the parts are not in the order of their numbers"),
    _invalid("InvalidArgument", "the service refused a parameter, or the content differs from its MD5"),
    _about_path("InvalidCofferName",
                f"no coffer can have this name: {_IN_FULL}, of digits, lower-case letters and '-'"),
    _about_path("InvalidObjectKey", "no object can have this name"),
    _about_path("InvalidObjectPrefix", "no object's name can begin like this"),
    _invalid("InvalidLifeCycle", "objects can be kept for 1 to 3650 days"),
    _invalid("MalformedXML", "the service could not read the request's body"),
    _invalid("ObjectEmpty", "coffers take no empty objects"),
    _row("BadDigest", 400, errno.EIO, "the content differs from its MD5: it was damaged on the way", Retry.YES),
    _exists("CofferAlreadyExists", "another account has a coffer of this name: choose another one"),
    _exists("CofferAlreadyOwnedByYou", "you have a coffer of this name"),
    _exists("ObjectAlreadyUploading", "an upload to this name is in progress: wait for it, or abort it"),
    _exists("ObjectAlreadyExists", f"{_WRITE_ONCE}; {_UNFINISHED}"),
    _exists("ObjectAlreadyExistsOwnedByYou", f"{_WRITE_ONCE}; {_UNFINISHED}"),
    _row("CofferNotEmpty", 409, errno.ENOTEMPTY,
         "the coffer is not empty: its objects have to expire, and unfinished uploads have to be aborted"),
    _row("CofferCountExceedsLimit", 409, errno.ENOSPC, "the account has as many coffers as it may have (20)"),
    _row("DataSynchronization", 409, errno.EBUSY, "the data is being synchronised between regions: try again later",
         Retry.BACK_OFF),
    _row("AlreadyLock", 409, errno.EBUSY, "the service is busy with this object: try again later", Retry.BACK_OFF),
    _refused("AssumeRoleFailed", "the service may not act for the account: grant it the role for coffers", 409),
    _refused("ErrAssumeRoleFailed", "the service may not act for the account: grant it the role for coffers", 409),
    _row("KMSFailed", 409, errno.EIO, "the key of the coffer's encryption could not be used: check it in KMS"),
    _row("ErrKMSFailed", 409, errno.EIO, "the key of the coffer's encryption could not be used: check it in KMS"),
    _row("PolicyFormatCheckFailed", 409, errno.EINVAL, "the policy is malformed"),
    _refused("AuthFailed", "the signature is wrong: check secret_id, secret_key and this machine's clock"),
    _refused("PolicyCheckFailed", "a policy does not allow this: check the coffer's policy and the user's"),
    _refused("ServiceNotOpen", "the account may not use coffers: the vendor opens the service on request"),
    _refused("ConsoleAuthFailed", "the console's login is not valid"),
]  # fmt: skip

CODES: dict[str, Code] = {row.name: row for row in _ROWS}
"""Every known code, by name."""

NAME_TAKEN_CODES = ("ObjectAlreadyExists", "ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyUploading")
"""Codes that say that a name is taken: by an object, or by an unfinished upload."""


_MEANINGS = {
    404: (errno.ENOENT, "no such object or coffer"),
    409: (errno.EBUSY, "the request conflicts with what is there"),
    416: (errno.EINVAL, "the server refused the range"),
}

_DEEPEST = 16
"""No reply of the service is nested more deeply than this."""

_DECLARATIONS = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)

_ID = re.compile(r"[A-Za-z0-9+/=_.:-]{1,200}")


def read_values(response: Response, request: Request) -> Fields:
    """Return the values of a reply that has content; raise `AttemptError` by its code, or by its HTTP status."""
    body = read_body(response, request)
    values = _accepted(response, request, body)
    if values is None:
        raise _without_code(response, request, body)
    return Fields(values, request.operation, request.path, lone_rows=True)


def read_nothing(response: Response, request: Request) -> None:
    """Read a reply whose content does not matter, unless it is an error, which raises `AttemptError`."""
    body = read_body(response, request)
    if _accepted(response, request, body) is None and body.strip():
        # neither empty nor a reply of the service: a page of something in between
        raise _without_code(response, request, body)


def _accepted(response: Response, request: Request, body: bytes) -> dict[str, Any] | None:
    """Return the values of a successful reply; None when it has none."""
    values = _parsed(body)
    if values is not None and isinstance(values.get("Code"), str) and values["Code"]:
        raise _by_code(response, request, values)
    if response.status >= 300:
        raise _without_code(response, request, body)
    return values


def _parsed(body: bytes) -> dict[str, Any] | None:
    """Return the mapping in a body of JSON or XML; None if there is none. White space may come first.

    The Content-Type is ignored: every sample of the documentation has JSON as ``application/xml``.
    """
    bare = body.strip()
    if bare[:1] == b"<":
        return _from_xml(bare)
    try:
        values = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


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


def _by_code(response: Response, request: Request, values: dict[str, Any]) -> AttemptError:
    name = quoted(values["Code"], response)[:100]
    message = values.get("Message")
    said = quoted(message, response)[:200] if isinstance(message, str) else ""
    origin = _origin(response, values)
    detail = ", ".join((f"{name}: {said}" if said and said != name else name, *_ids(response, values, origin)))
    row = CODES.get(name)
    if row is not None:
        text, is_lookup = f"{row.meaning} ({request.operation}: {detail})", request.method == "GET"
        error = error_for_row(row, text, request.path, origin, is_lookup=is_lookup)
        return code_failure(response, row, error)
    number, text = meaning_of(response.status, _MEANINGS)
    text = f"{text} ({request.operation}: HTTP {response.status}, {detail})"
    return status_failure(response, make_error(number, text, request.path, replace(origin, code=name)))


def _without_code(response: Response, request: Request, body: bytes) -> AttemptError:
    """Return the failure for a reply that is empty, damaged, or a page of something else."""
    status, origin = response.status, _origin(response, {})
    meaning = UNKNOWN_API if status == 404 and body.strip() else meaning_of(status, _MEANINGS)
    failure = unexpected_reply(response, request, body, meaning, origin, ids=_ids(response, {}, origin))
    if status == 409 and request.method == "HEAD":
        # without a body it may be any conflict, and most of those that HEAD can meet are transient
        failure.retry = Retry.BACK_OFF
    return failure


def _origin(response: Response, values: dict[str, Any]) -> Origin:
    said = values.get("RequestId")
    found = said if isinstance(said, str) and said else response.headers.get("x-cdcs-request-id")
    return Origin(request_id=_plain_id(found, response), status=response.status)


def _ids(response: Response, values: dict[str, Any], origin: Origin) -> tuple[str, ...]:
    """Return the ids for the vendor's support."""
    said = values.get("TraceId")
    trace = _plain_id(said if isinstance(said, str) and said else response.headers.get("x-cdcs-trace-id"), response)
    ids = {"request": origin.request_id, "trace": trace}
    return tuple(f"{name} {text}" for name, text in ids.items() if text)


def _plain_id(text: str | None, response: Response) -> str | None:
    """Return an id of the server; None if it is malformed, or repeats a part of the request."""
    if not text or not _ID.fullmatch(text):
        return None
    sent = (str(value) for value in response.request_headers.values())
    return None if any(text in value for value in sent) else text
