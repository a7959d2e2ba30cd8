"""HTTP responses: their headers, which are not trusted, and the errors that unexpected ones become.

The JSON API and the Data Coffer Service say in their bodies what is wrong. Everything else (error pages, redirects,
empty, damaged or compressed bodies) is classified here, for both: by the HTTP status, and by what can be shown of the
body.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from datetime import timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TypeAlias
from urllib.parse import quote

from cosv4fs.api.connections import Response
from cosv4fs.api.proxies import through
from cosv4fs.api.request import Request
from cosv4fs.api.retry import AttemptError
from cosv4fs.codes import Code, Retry
from cosv4fs.errors import CosError, Origin, make_error

BEIJING = timezone(timedelta(hours=8))
"""The zone of times that name none."""

_SECRET_HEADERS = ("Authorization", "x-cdcs-security-token")
"""Request headers that identify the caller; messages never repeat them."""

_LONG_TOKEN = re.compile(r"[A-Za-z0-9+=_%-]{41,}")
"""Parts of signatures, and sessions; a SHA-1 and the service's request ids are shorter."""

_TAGS = re.compile(rb"<[^>]{0,500}>")

_EXPECTS_TLS = re.compile(rb"HTTP request (was sent )?to (an )?HTTPS (port|server)")
"""What web servers say to a request without TLS."""

_LONGEST_RETRY_AFTER = 60.0
"""Seconds at most that a Retry-After header can demand."""


def content_length(response: Response) -> int | None:
    """Return the number in the Content-Length header; None if it is missing or not a number."""
    text = response.headers.get("Content-Length", "")
    return int(text) if _is_number(text) else None


def content_coding(response: Response) -> str | None:
    """Return the Content-Encoding of a reply; None for ``identity``, the only one that requests accept."""
    coding = response.headers.get("Content-Encoding", "").strip()
    return None if coding.lower() in ("", "identity") else quoted(coding, response)[:40]


def _retry_after(response: Response) -> float | None:
    """Return the seconds of the Retry-After header, a number or a date, at most a minute; None if it is neither."""
    text = response.headers.get("Retry-After", "")
    if _is_number(text):
        return min(float(text), _LONGEST_RETRY_AFTER)
    until, now = header_seconds(text), header_seconds(response.headers.get("Date"))
    return None if until is None or now is None else min(max(until - now, 0.0), _LONGEST_RETRY_AFTER)


def quoted(text: str, response: Response) -> str:
    """Return a text from a server, safe for a message: on one line, without secrets of the request.

    Error pages of proxies and gateways repeat the request with all its headers.
    """
    for header in _SECRET_HEADERS:
        signature = str(response.request_headers.get(header, ""))
        for secret in (signature, quote(signature, safe=""), quote(signature)) if signature else ():
            text = text.replace(secret, "(signature)")
    text = _LONG_TOKEN.sub("(...)", text)
    return "".join(character if character.isprintable() else " " for character in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def header_seconds(date: str | None) -> float | None:
    """Return the Unix seconds of a Date header; None when it is absent or no date."""
    try:
        said = parsedate_to_datetime(date or "")
        # a date without a zone is Beijing time: vendor page 004 pairs "20:46:40" with t = 12:46:40 UTC
        return (said if said.tzinfo else said.replace(tzinfo=BEIJING)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def header_texts(response: Response) -> dict[str, str]:
    """Return the headers of a reply; their values are UTF-8, or else latin-1, by which HTTP reads them."""
    return {name: value if value.isascii() else _utf8(value) for name, value in response.headers.items()}


def _utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


_Meaning: TypeAlias = tuple[int, str]
"""What an HTTP status stands for: the errno, and a text for a person."""

UNKNOWN_API: _Meaning = (errno.EHOSTUNREACH, "the server does not know this API: check region and endpoint")
"""Some web server answers at the address, but not the service."""

_MEANINGS: dict[int, _Meaning] = {
    400: (errno.EINVAL, "the service refused the request"),
    401: (errno.EACCES, "access denied: check secret_id, secret_key and this machine's clock"),
    403: (errno.EACCES, "access denied"),
    404: UNKNOWN_API,
    405: (errno.ENOTSUP, "the server does not allow this method"),
    413: (errno.EFBIG, "the request is too large"),
    429: (errno.EBUSY, "too many requests"),
    501: UNKNOWN_API,
    505: UNKNOWN_API,
}

_NEVER = (501, 505)
"""Statuses from 500 on that say that the server will never carry out the request."""


def meaning_of(status: int, special: Mapping[int, _Meaning]) -> _Meaning:
    """Return what an HTTP status stands for; `special` has those that one of the services gives another meaning."""
    known = special.get(status) or _MEANINGS.get(status)
    if known is not None:
        return known
    if 300 <= status < 400:
        text = "the server redirects to another place, and no signature is sent there: check region, endpoint, proxies"
        return errno.EIO, text
    return errno.EIO, "the service is failing" if status >= 500 else "the reply is not what the API promises"


def unexpected_reply(
    response: Response,
    request: Request,
    body: bytes,
    meaning: _Meaning,
    origin: Origin,
    detail: str = "",
    ids: tuple[str, ...] = (),
) -> AttemptError:
    """Return the failure for a reply whose body is none of the service; `ids` are for the vendor's support.

    `detail` is what the body says, where it can be read; else its beginning is quoted.
    """
    status, proxy = response.status, response.proxy
    parts = (detail or _page_text(body, response), *ids, through(proxy).lstrip())
    shown = "".join(f", {part}" for part in parts if part)
    number, text = meaning
    if status == 407:
        number, text = errno.ECONNABORTED, proxy_login(proxy.advice if proxy else "")
    elif _EXPECTS_TLS.search(body[:2000]):
        number, text = errno.ECONNABORTED, "the server speaks https only: use https:// in the endpoint"
    error = make_error(number, f"{text} ({request.operation}: HTTP {status}{shown})", request.path, origin)
    if status < 300 and _is_damaged(body.strip()):
        return _reply_failure(response, error, Retry.YES, outcome_unknown=True)
    failure = status_failure(response, error)
    if not failure.is_final and response.note_failure is not None:
        failure.outage = response.note_failure(failure.retry_after or 0.0)
    return failure


def _is_damaged(body: bytes) -> bool:
    """Return whether a reply may have been damaged in transit; a page of something else, or of another API, is not."""
    if body[:1] != b"{" and body[-1:] != b"}":
        return not body
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return True
    return not isinstance(reply, dict) or "code" in reply


def proxy_login(advice: str) -> str:
    """Return the text for a proxy that requires a user name and a password."""
    text = "the proxy wants a user name and a password: give them in its URL, as in http://user:password@proxy:3128"
    return f"{text} ({advice})" if advice else text


def status_failure(response: Response, error: CosError) -> AttemptError:
    """Return the failure for an error that the HTTP status alone decides about."""
    status = response.status
    if (status < 500 and status != 429) or status in _NEVER:
        return _reply_failure(response, error)
    retry = Retry.BACK_OFF if status in (429, 503) else Retry.YES
    return _reply_failure(response, error, retry, outcome_unknown=status != 429)


def code_failure(response: Response, row: Code, error: CosError) -> AttemptError:
    """Return the failure for a code that a table of codes has."""
    return _reply_failure(response, error, row.retry, outcome_unknown=row.may_have_acted)


def _reply_failure(
    response: Response, error: CosError, retry: Retry = Retry.NO, *, outcome_unknown: bool = False
) -> AttemptError:
    """Return a failure with what the head of the reply says about time."""
    return AttemptError(
        error,
        retry,
        outcome_unknown=outcome_unknown,
        retry_after=_retry_after(response),
        server_date=response.headers.get("Date"),
    )


def compressed_reply(response: Response, request: Request) -> AttemptError:
    """Return the failure for a reply that a proxy or a CDN compressed, although the request forbids it."""
    text = (
        f"the reply to {request.operation} was compressed in transit (Content-Encoding: {content_coding(response)}), "
        "although the request forbids it: let the proxy or CDN send it unchanged, or bypass it with proxies=, "
        "endpoint= or download_endpoint="
    )
    error = make_error(errno.EBADMSG, text, request.path, Origin(status=response.status))
    return AttemptError(error, outcome_unknown=True)


def _page_text(body: bytes, response: Response) -> str:
    """Return the beginning of a page as one line, without its tags, the space between them, and what it repeats.

    The heading of an error page is usually its title.
    """
    texts = (quoted(part.decode("utf-8", "replace"), response).split() for part in _TAGS.split(body[:2000]))
    return " ".join(dict.fromkeys(" ".join(words) for words in texts if words))[:200]
