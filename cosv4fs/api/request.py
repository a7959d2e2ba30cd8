"""Requests and their bodies, as `cosv4fs.api.transport` sends them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cosv4fs.concurrency.limits import sending

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Content = memoryview | Sequence[memoryview]
"""The bytes of an upload, in one piece or in several that belong one after another."""

_JOIN_BELOW = 64 * 1024
"""Bodies up to this many bytes are sent in one piece: one system call is cheaper than three."""


def check_plain(**texts: str | None) -> None:
    """Refuse (ValueError) texts with control characters, which do not fit on one line of a header or a form's part.

    Others, such as ``biz_attr``, may have line breaks: they are sent in JSON, or between random boundaries.
    """
    for name, text in texts.items():
        if text is not None and _CONTROL.search(text):
            raise ValueError(f"{name} must not have line breaks or other control characters: {text[:80]!r}")


class Body:
    """A request body of known length, in pieces, that can be sent more than once.

    Iterating yields the pieces without copying them; each iteration starts again, so a retry can send the same body.
    """

    def __init__(self, content_type: str, *pieces: bytes | memoryview) -> None:
        self.content_type = content_type
        self._pieces = pieces
        self._length = sum(len(piece) for piece in pieces)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return self._slowly() if sending.is_limited else iter(self._pieces)

    def _slowly(self) -> Iterator[bytes | memoryview]:
        for piece in self._pieces:
            offset = 0
            while offset < len(piece):
                part = piece[offset : offset + sending.step(len(piece))]
                sending.take(len(part))
                yield part
                offset += len(part)

    def md5(self) -> bytes:
        """Return the MD5 of the whole body."""
        return md5_of(self._pieces)

    def payload(self) -> bytes | Body:
        """Return the body as the connection sends it: one bytes object if small, else this iterable."""
        if self._length > _JOIN_BELOW:
            return self
        sending.take(self._length)
        return b"".join(self._pieces)


def json_body(values: Mapping[str, object]) -> Body:
    """Return a JSON body, as the documentation shows it for create, update and delete (cos.md#bodies)."""
    return Body("application/json", json.dumps(values, ensure_ascii=False).encode())


def pieces_of(content: Content) -> list[memoryview]:
    """Return the pieces of a content as bytes."""
    pieces = [content] if isinstance(content, memoryview) else content
    return [piece.cast("B") for piece in pieces]


def md5_of(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return the MD5 of pieces that belong one after another."""
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def size_of(content: Content) -> int:
    """Return the number of bytes of a content."""
    return sum(map(len, pieces_of(content)))


def form_body(
    fields: Mapping[str, str | None], content: Content | None = None, content_type: str | None = None
) -> Body:
    """Return a multipart/form-data body: text fields (those of None are left out), and the ``filecontent`` part.

    The type of the content is a header of its part, the only place at upload that the recorded clients use for it
    (wire.md#upload).
    """
    check_plain(content_type=content_type)
    boundary = f"cosv4fs-{secrets.token_hex(16)}"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
        if value is not None
    )
    form_type = f"multipart/form-data; boundary={boundary}"
    if content is None:
        return Body(form_type, f"{head}--{boundary}--\r\n".encode())
    head += (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="filecontent"; filename="filecontent"\r\n'
        f"Content-Type: {content_type or 'application/octet-stream'}\r\n\r\n"
    )
    return Body(form_type, head.encode(), *pieces_of(content), f"\r\n--{boundary}--\r\n".encode())


@dataclass(frozen=True)
class Request:
    """One request, complete but for its signature: `sign` returns the headers that identify the caller, every time.

    `operation` and `path` are for messages: ``upload_slice_data``, ``bucket/dir/name``. With `absent_on_404`, a 404
    means that there is no such object, whatever its body (cos.md#envelope and cos.md#download).
    """

    method: str
    url: str
    operation: str
    path: str
    sign: Callable[[], Mapping[str, str]] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = field(default=None, repr=False)
    timeout_factor: float = 1.0
    absent_on_404: bool = False

    @property
    def host(self) -> str:
        """The host and the port that the request is sent to."""
        # parsing a URL costs ten times as much, for every request
        return self.url.split("/", 3)[2]
