"""The envelope of replies: code, message, data (cos.md#envelope); and which error a reply is.

A reply without an envelope comes from something between client and service, or from the download host, which answers
errors in XML.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from typing import Any

from cosv4fs.api.connections import Response
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Request
from cosv4fs.api.responses import code_failure, meaning_of, quoted, unexpected_reply
from cosv4fs.api.retry import AttemptError
from cosv4fs.api.transport import read_body
from cosv4fs.codes import CODES, lookup
from cosv4fs.errors import Origin, error_for_code

_XML = re.compile(rb"<(Code|Message)>([^<]{0,300})</\1>")

_NO_FILE = (errno.ENOENT, "no such file")
_NO_BUCKET = (errno.ENOENT, "no such bucket for this appid")

_WITH_APPID = re.compile(r"(.+)-[0-9]{6,12}")

_MEANINGS = {
    403: (errno.EACCES, "access denied: wrong credentials, or the referer is blocked"),
    599: (errno.EIO, "an unknown fault of the service"),
    612: _NO_FILE,
    631: (errno.EACCES, "illegal appid"),
}
"""Statuses with a meaning of their own (cos.md#http-status)."""


def read_data(response: Response, request: Request) -> Fields:
    """Return the ``data`` of a reply; raise `AttemptError` by its code, or by its HTTP status if it carries no JSON."""
    body = read_body(response, request)
    reply = _parsed(body)
    if reply is None or (reply["code"] == 0 and response.status >= 300):
        raise _without_envelope(response, request, body)
    code = reply["code"]
    if code != 0:
        message = quoted(str(reply.get("message", "")), response)
        is_lookup = request.method == "GET"
        origin = _origin(response, reply)
        error = error_for_code(code, message, request.operation, request.path, origin, is_lookup=is_lookup)
        # what an unknown code means for a retry now is unknown, too; later, a failing server may have recovered
        error.is_transient = code not in CODES and response.status >= 500
        raise code_failure(response, lookup(code), error)
    data = reply.get("data")
    # some operations are answered without
    return Fields(data or {} if request.method == "POST" else data, request.operation, request.path)


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


def _without_envelope(response: Response, request: Request, body: bytes) -> AttemptError:
    """Return the failure for a reply that is XML, HTML or empty."""
    said = dict(_XML.findall(body[:65536]))
    name, message = (quoted(said.get(part, b"").decode("utf-8", "replace"), response) for part in (b"Code", b"Message"))
    meaning = meaning_of(response.status, _MEANINGS)
    if response.status == 404 and (request.absent_on_404 or name in ("NoSuchKey", "NoSuchBucket")):
        meaning = _NO_FILE
    detail = ": ".join(dict.fromkeys(part for part in (name, message) if part))
    if name == "InvalidRequest" and "Appid" in message:
        # its message, a missing header "Appid", would mislead: the appid is in the path
        meaning, detail = _no_bucket(request.path), name
    return unexpected_reply(response, request, body, meaning, _origin(response, {}), detail)


def is_xml_of_bucket(body: bytes) -> bool:
    """Return whether a reply of the XML API is about a bucket that exists."""
    if b"<ListBucketResult" in body[:65536]:
        return True
    code = dict(_XML.findall(body[:65536])).get(b"Code")
    return b"<Error>" in body[:65536] and code not in (None, b"NoSuchBucket", b"InvalidRequest")


def _no_bucket(path: str) -> tuple[int, str]:
    """Return the meaning of a bucket that does not exist; other APIs of the vendor name buckets with the appid."""
    number, text = _NO_BUCKET
    bucket = path.partition("/")[0]
    found = _WITH_APPID.fullmatch(bucket)
    return number, f"{text}: buckets are named without the appid, {found[1]!r} for {bucket!r}" if found else text


def _origin(response: Response, reply: Mapping[str, Any]) -> Origin:
    request_id = reply.get("request_id") or response.headers.get("x-cos-request-id")
    return Origin(request_id=quoted(str(request_id), response)[:200] if request_id else None, status=response.status)
