"""Damaged replies: flipped bits, wrong headers, invalid JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cosv4fs.emulator.replies import FileBody

from .rules import Action

if TYPE_CHECKING:
    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.replies import Reply

_NUMBERS = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


@dataclass(frozen=True)
class Corrupt(Action):
    """Flip bits in the body of the reply; its length stays.

    Parameters
    ----------
    position : int
        Which byte, from the end when negative.
    mask : int
        The bits.
    """

    position: int = 0
    mask: int = 0xFF

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the body."""
        body = bytearray(reply.body.read() if isinstance(reply.body, FileBody) else reply.body)
        if -len(body) <= self.position < len(body):
            body[self.position] ^= self.mask
        reply.body = bytes(body)
        return reply


@dataclass(frozen=True)
class WrongLength(Action):
    """Announce a ``Content-Length`` other than the body's.

    The connection is kept when too little is announced, so that the surplus precedes the next reply; when too much
    is announced, it is closed after the body.

    Parameters
    ----------
    by : int
        How much too long (or, negative, too short) the announced length is; never less than zero is announced.
    """

    by: int

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        reply.overrides["content-length"] = str(max(0, reply.length + self.by))
        if self.by > 0:
            reply.cut = reply.length
        return reply


@dataclass(frozen=True)
class WrongRange(Action):
    """Send a ``Content-Range`` other than the body's; replies without one stay unchanged.

    Parameters
    ----------
    first, last, size : int
        What is added to the three numbers of the header.
    """

    first: int = 0
    last: int = 0
    size: int = 0

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        match = _NUMBERS.match(dict(reply.headers).get("Content-Range", ""))
        if match is not None:
            first, last, size = map(int, match.groups())
            text = f"bytes {first + self.first}-{last + self.last}/{size + self.size}"
            reply.overrides["content-range"] = text
        return reply


@dataclass(frozen=True)
class WrongHeader(Action):
    """Change, add or remove a header of the reply.

    Parameters
    ----------
    name : str
        Which one, for example ``Content-Range``, ``ETag``, ``Date`` or ``Content-Type``.
    text : str, optional
        Its value; None: it is removed.
    """

    name: str
    text: str | None = None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        reply.overrides[self.name.lower()] = self.text
        if self.name.lower() == "content-length":
            reply.cut = reply.length  # only the end of the connection ends the body then
        return reply


@dataclass(frozen=True)
class BrokenJson(Action):
    """Run the operation, and reply with broken or invalid JSON. Replies that are no JSON stay unchanged.

    Parameters
    ----------
    kind : str
        ``truncated``, ``empty``, ``text`` (a page of HTML under the name of JSON) and ``not-utf8`` are no JSON;
        ``array``, ``null-data`` and ``code`` (text instead of a number) are not the envelope; ``types`` has every value
        of ``data``, or of a reply without an envelope, in a wrong type; ``huge`` has eight million bytes more,
        ``nested`` many lists in lists.
    """

    kind: Literal["truncated", "empty", "text", "not-utf8", "array", "null-data", "code", "types", "huge", "nested"] = (
        "truncated"
    )

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the body."""
        if isinstance(reply.body, FileBody):
            return reply
        try:
            envelope = json.loads(reply.body)
        except ValueError:
            return reply  # not JSON, whatever its type says
        reply.body = _break(self.kind, reply.body, envelope)
        return reply


def _break(kind: str, body: bytes, envelope: dict[str, Any]) -> bytes:
    raw = {
        "truncated": body[: -max(1, len(body) // 3)],
        "empty": b"",
        "text": b"<html><body>welcome</body></html>",
        "not-utf8": body.replace(b'": "', b'": "\xff\xfe', 1),
        "array": b"[" + body + b"]",
    }
    if kind in raw:
        return raw[kind]
    if kind == "huge":
        return json.dumps({**envelope, "padding": "x" * 8_000_000}).encode()
    if kind == "nested":
        return body[:-1] + b', "padding": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    if kind == "code":
        return json.dumps({**envelope, "code": "zero"}).encode()
    if "code" not in envelope:  # no envelope: the reply is the data
        changed = {name: _change_types(value, 1) for name, value in envelope.items()}
        return json.dumps(None if kind == "null-data" else changed).encode()
    data = None if kind == "null-data" else _change_types(envelope.get("data", 0))
    return json.dumps({**envelope, "data": data}).encode()


def _change_types(value: object, depth: int = 0) -> object:
    if isinstance(value, dict):
        return {name: _change_types(item, depth + 1) for name, item in value.items()} if not depth else [value]
    if isinstance(value, str):
        return {"text": value}
    return "many" if isinstance(value, (bool, int, float)) else {"0": value}
