"""The lines of a request's head, read strictly.

What another reader of the same bytes could take for something else is refused, and the connection ends: the remains of
a body that was longer than announced must not become a request, nor a request the body of another one.
"""

from __future__ import annotations

import re

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([^\x00-\x20\x7f]+) (HTTP/1\.[0-9])\r?\n?\Z" % _TOKEN)
_NAME = re.compile(_TOKEN)
_START = re.compile(rb"[\r\n]|%b" % _TOKEN)
_BAD_VALUE = re.compile(rb"[\0\r\n]")
_ONCE = frozenset({"content-length", "host"})
"""Headers that say one thing, however often they are sent."""


class BadHeadError(Exception):
    """The head of a request is not HTTP; `status` is that of the reply before the connection is closed."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(f"malformed request head, HTTP {status}")
        self.status = status


def check_start(first: bytes) -> None:
    """Refuse the first byte of what is no request, such as TLS, of which no line may ever end."""
    if first and not _START.match(first):
        raise BadHeadError


def read_request_line(line: bytes) -> tuple[str, str, str]:
    """Return method, target and version."""
    match = _REQUEST_LINE.match(line)
    if match is None:
        raise BadHeadError
    return match[1].decode(), match[2].decode("latin-1"), match[3].decode()


def add_header(headers: dict[str, str], line: bytes) -> None:
    """Add a header to those before it; the last one of a name counts.

    A name with a space, as of a line that continues the one before it, is refused.
    """
    name, colon, value = line.partition(b":")
    value = value.removesuffix(b"\n").removesuffix(b"\r").strip(b" \t")
    if not colon or not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
        raise BadHeadError
    key, text = name.lower().decode(), value.decode("latin-1")
    if key in _ONCE and headers.get(key, text) != text:
        raise BadHeadError
    headers[key] = text
