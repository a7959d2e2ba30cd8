"""Replies, and the parts of files in them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosv4fs.emulator.portability import READ_FLAGS, read_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_JSON = "application/json; charset=utf-8"
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*\Z", re.IGNORECASE)


@dataclass
class FileBody:
    """A part of an open file as the body of a reply; the file is closed when that is sent or dropped."""

    descriptor: int
    offset: int
    count: int

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass
class Reply:
    """One reply.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes or FileBody
        What follows the head.
    code : int or str
        The code in the body, for the request log; 0 for downloads and other replies without one.
    content_type : str
        The header of that name.
    headers : list of pairs
        Further headers.
    close : bool
        Whether the connection is closed afterwards.
    cut : int, optional
        Send only the first bytes of the body and close (a fault).
    reset : bool
        Whether that close is a reset (a fault).
    overrides : dict
        Headers that are sent with another value, by lower-case name; None: left out (a fault).
    chunked : bool
        Whether the length of the body is not announced, as for a reply that begins before it is known.
    pieces : callable, optional
        Called with the number of bytes of the body; gives the lengths in which they are sent, and may take its time
        (a fault).
    """

    status: int = 200
    body: bytes | FileBody = b""
    code: int | str = 0
    content_type: str = _JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    close: bool = False
    cut: int | None = None
    reset: bool = False
    overrides: dict[str, str | None] = field(default_factory=dict)
    chunked: bool = False
    pieces: Callable[[int], Iterator[int]] | None = None

    @property
    def length(self) -> int:
        """The number of bytes of the body."""
        return self.body.count if isinstance(self.body, FileBody) else len(self.body)

    @property
    def planned(self) -> int:
        """The number of bytes of the body that are to be sent."""
        return self.length if self.cut is None else min(self.cut, self.length)

    def read(self, offset: int, count: int) -> bytes:
        """Return a part of the body."""
        body = self.body
        if isinstance(body, FileBody):
            return read_at(body.descriptor, min(count, body.count - offset), body.offset + offset)
        return body[offset : offset + count]

    def discard(self) -> None:
        """Close what the reply holds, when it will not be sent."""
        if isinstance(self.body, FileBody):
            self.body.close()


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the number of bytes that a Range header asks for, of a file of `size` bytes.

    None: there is no range, or one that is malformed or in several parts, which HTTP says to ignore. A count of 0 means
    that the range lies behind the end.
    """
    match = _RANGE.match(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        count = min(int(match[2]), size)
        return size - count, count
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    return first, max(0, min(last, size - 1) - first + 1)


def file_reply(
    path: Path, size: int, part: tuple[int, int] | None, content_type: str, headers: list[tuple[str, str]]
) -> Reply:
    """Return the reply with a file of `size` bytes, which it opens, or a 206 with a part: first byte and count.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    offset, count = part or (0, size)
    body = FileBody(os.open(path, READ_FLAGS), offset, count)
    reply = Reply(body=body, content_type=content_type, headers=headers)
    if part is not None:
        reply.status = 206
        reply.headers.append(("Content-Range", f"bytes {offset}-{offset + count - 1}/{size}"))
    return reply


def not_modified(headers: list[tuple[str, str]]) -> Reply:
    """Return a 304: it has no body, and says nothing of the body that it stands for."""
    return Reply(304, headers=headers, overrides={"content-type": None, "content-length": None})
