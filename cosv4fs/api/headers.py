"""Parse the headers of a reply, without trusting them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import requests

_SECRET_HEADERS = ("Authorization", "x-cdcs-security-token")
"""Request headers that identify the caller; messages never repeat them."""

_LONG_TOKEN = re.compile(r"[A-Za-z0-9+=_%-]{41,}")
"""Parts of signatures, and sessions; a SHA-1 and the service's request ids are shorter."""

_LONGEST_PAUSE = 60.0
"""Seconds at most that a Retry-After header can demand."""


def content_length(response: requests.Response) -> int | None:
    """Return the number in the Content-Length header; None if it is missing or not a number."""
    text = response.headers.get("Content-Length", "")
    return int(text) if _is_number(text) else None


def content_coding(response: requests.Response) -> str | None:
    """Return the Content-Encoding of a reply; None for ``identity``, the only one that requests accept."""
    coding = response.headers.get("Content-Encoding", "").strip()
    return None if coding.lower() in ("", "identity") else quoted(coding, response)[:40]


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds of the Retry-After header, at most a minute; None if it is missing or not a number."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_PAUSE) if _is_number(text) else None


def quoted(text: str, response: requests.Response) -> str:
    """Return a text from a server, safe for a message: on one line, without secrets of the request.

    Error pages of proxies and gateways repeat the request with all its headers.
    """
    for header in _SECRET_HEADERS:
        signature = str(response.request.headers.get(header, ""))
        for secret in (signature, quote(signature, safe=""), quote(signature)) if signature else ():
            text = text.replace(secret, "(signature)")
    text = _LONG_TOKEN.sub("(...)", text)
    return "".join(character if character.isprintable() else " " for character in text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
