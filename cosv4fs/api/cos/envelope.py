"""The envelope of every reply of the JSON API: code, message, data (cos.md#envelope).

A reply without it comes from something between client and service, or from the download host, which answers errors in
XML.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cosv4fs.api.attempt import AttemptError
from cosv4fs.api.headers import quoted
from cosv4fs.api.request import Request
from cosv4fs.api.transport import read_body
from cosv4fs.api.unexpected import Meaning, code_failure, meaning_of, unexpected_reply
from cosv4fs.codes import lookup
from cosv4fs.errors import Origin, error_for_code, make_error

if TYPE_CHECKING:
    import requests

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


def read_json(response: requests.Response, request: Request) -> dict[str, Any]:
    """Read the reply to an API call and return its envelope.

    Returns
    -------
    dict
        ``code`` (0), ``message`` and, for most operations, ``data`` and ``request_id``.

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
