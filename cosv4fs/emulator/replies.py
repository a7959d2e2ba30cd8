"""Replies: the JSON envelope of cos.md#envelope, and what a reply may carry."""

from __future__ import annotations

import base64
import itertools
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .errors import ApiError

__all__ = ["FileBody", "Reply", "RequestIds", "error_reply", "json_reply", "unknown_bucket_reply"]

_JSON = "application/json; charset=utf-8"


@dataclass
class FileBody:
    """A part of an open file as the body of a reply.

    Parameters
    ----------
    descriptor : int
        The open file; whoever sends or drops the reply closes it.
    offset, count : int
        Which bytes.
    """

    descriptor: int
    offset: int
    count: int

    def read(self) -> bytes:
        """Return the bytes and close the file."""
        try:
            return os.pread(self.descriptor, self.count, self.offset)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass
class Reply:
    """One answer.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes or FileBody
        What follows the head.
    code : int or str
        The code in the body, for the request log; 0 for downloads and other answers without one.
    content_type : str
        The header of that name.
    headers : list of pairs
        Further headers.
    close : bool
        Whether the connection is closed afterwards.
    cut : int, optional
        Send only so many bytes of the body and close (a fault).
    reset : bool
        Whether that close is a reset (a fault).
    overrides : dict
        Headers that are sent otherwise, by lower-case name; None: left out (a fault).
    chunked : bool
        Whether the length of the body is not announced, as of an answer that begins before it is known.
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
            return os.pread(body.descriptor, min(count, body.count - offset), body.offset + offset)
        return body[offset : offset + count]

    def discard(self) -> None:
        """Close what the reply holds, when it will not be sent."""
        if isinstance(self.body, FileBody):
            self.body.close()


class RequestIds:
    """Makes request ids: base64 of four groups of hex digits, the first one Unix seconds (cos.md#envelope)."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._host = f"{os.getpid() & 0xFFFFF:x}"

    def next(self, now: float) -> str:
        """Return an id that was never used before."""
        text = f"{max(0, int(now)):x}_c9a33_{self._host}_{next(self._numbers):x}"
        return base64.b64encode(text.encode()).decode()


def json_reply(request_id: str, data: dict[str, Any] | None = None) -> Reply:
    """Return the reply of an operation that worked; without `data` for those that answer nothing."""
    envelope: dict[str, Any] = {"code": 0, "message": "SUCCESS", "request_id": request_id}
    if data is not None:
        envelope["data"] = data
    return Reply(body=json.dumps(envelope, ensure_ascii=False).encode())


def error_reply(request_id: str, error: ApiError, status: int | None = None) -> Reply:
    """Return the reply for a refused request; `status` overrides the error's."""
    envelope = {"code": error.code, "message": error.name, "request_id": request_id}
    reply = Reply(error.status if status is None else status, json.dumps(envelope).encode(), error.code)
    if error.retry_after is not None:
        reply.headers.append(("Retry-After", str(error.retry_after)))
    return reply


def unknown_bucket_reply(request_id: str) -> Reply:
    """Return what the service answers to a URL with a wrong appid or bucket: 400 with XML (cos.md#envelope)."""
    body = (
        "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>InvalidRequest</Code>\n"
        "\t<Message>Missing required header for this request: Appid</Message>\n"
        f"\t<RequestId>{request_id}</RequestId>\n</Error>\n"
    )
    return Reply(400, body.encode(), -1, "application/xml")
