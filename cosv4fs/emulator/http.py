"""The HTTP floor: heads in, bodies into a reused buffer, replies out. Nothing here knows the API."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from email.utils import formatdate
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from socketserver import StreamRequestHandler, TCPServer
from typing import TYPE_CHECKING, Any, cast

from .call import Head
from .replies import FileBody, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadHeadError", "Connection", "HttpServer"]

LARGEST_BODY = 24 * 1024 * 1024
"""Bytes of a body that are taken in: the largest upload and room for its form."""

_LONGEST_HEAD = 65536
_DRAINED = 256 * 1024 * 1024
_KEPT_BUFFER = 4 * 1024 * 1024
_GRAIN = 65536
_INLINE = 65536
_SERVER = "tencent-cos"
_EXPOSED = "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, Date, x-cos-request-id"


class BadHeadError(Exception):
    """The head of a request is not HTTP.

    Parameters
    ----------
    status : int
        What to answer before the connection is closed.
    """

    def __init__(self, status: int = 400) -> None:
        super().__init__(f"malformed request head, HTTP {status}")
        self.status = status


class HttpServer(ThreadingHTTPServer):
    """Accepts connections, one thread each.

    Parameters
    ----------
    address : tuple
        Host and port.
    serve : callable
        Called with a `Connection`; serves its requests until it returns.
    """

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], serve: Callable[[Connection], None]) -> None:
        self.serve = serve
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        """Bind, without asking the name service for the host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that go away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(StreamRequestHandler):
    """One TCP connection."""

    rbufsize = 65536
    disable_nagle_algorithm = True
    server: HttpServer

    def setup(self) -> None:
        """Prepare the buffer that all bodies of the connection share."""
        super().setup()
        self.buffer = bytearray()
        self._continue = False

    def handle(self) -> None:
        """Serve the connection's requests."""
        with contextlib.suppress(ConnectionError):
            self.server.serve(self)

    def finish(self) -> None:
        """Close the streams; the client may be gone already."""
        with contextlib.suppress(OSError):
            super().finish()

    @property
    def socket(self) -> socket.socket:
        """The connection's socket."""
        return cast("socket.socket", self.connection)

    def read_head(self) -> Head | None:
        """Read the next head; None when the client has closed the connection.

        Raises
        ------
        BadHeadError
            It is not HTTP.
        """
        line = self.rfile.readline(_LONGEST_HEAD + 1)
        if line in {b"\r\n", b"\n"}:  # HTTP tolerates an empty line before a request
            line = self.rfile.readline(_LONGEST_HEAD + 1)
        if not line:
            return None
        if len(line) > _LONGEST_HEAD:
            raise BadHeadError(414)
        words = line.split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            raise BadHeadError
        headers = self._read_headers()
        self._continue = headers.get("expect", "").lower() == "100-continue"
        method, target, version = (word.decode("latin-1") for word in words)
        return Head(method, target, version, headers)

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        length = 0
        while (line := self.rfile.readline(_LONGEST_HEAD + 1)) not in {b"\r\n", b"\n"}:
            name, colon, value = line.partition(b":")
            length += len(line)
            if not line.endswith(b"\n") and length <= _LONGEST_HEAD:
                raise ConnectionAbortedError  # the client went away within the head
            if length > _LONGEST_HEAD or len(headers) > 200:
                raise BadHeadError(431)
            if not colon:
                raise BadHeadError
            headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        return headers

    def read_body(self, head: Head) -> memoryview:
        """Read the body that follows a head into the connection's buffer.

        Raises
        ------
        BadHeadError
            It has no usable length (400, 411) or is too long (413).
        ConnectionError
            The client went away within it.
        """
        if "transfer-encoding" in head.headers:
            raise BadHeadError(411)
        text = head.headers.get("content-length", "0")
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise BadHeadError
        length = int(text)
        if length > LARGEST_BODY:
            if not self._continue and length <= _DRAINED:
                self._drain(length)  # so that the client, busy sending, gets to read the answer
            raise BadHeadError(413)
        if self._continue:
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self.buffer) < length or len(self.buffer) > max(_KEPT_BUFFER, length + _GRAIN):
            self.buffer = bytearray(-(-length // _GRAIN) * _GRAIN)
        body = memoryview(self.buffer)[:length]
        if length and self.rfile.readinto(body) != length:
            raise ConnectionAbortedError
        return body

    def _drain(self, length: int) -> None:
        room = memoryview(bytearray(1 << 20))
        while length:
            count = self.rfile.readinto(room[:length])
            if not count:
                raise ConnectionAbortedError
            length -= count

    def send(self, reply: Reply, request_id: str, *, with_body: bool, close: bool) -> int:
        """Send a reply and return how many bytes of its body were sent.

        Parameters
        ----------
        reply : Reply
            What is sent; its file is closed.
        request_id : str
            For the header.
        with_body : bool
            False for HEAD.
        close : bool
            Whether to announce that the connection ends here.
        """
        head = _head(reply, request_id, close=close)
        count = reply.length if reply.cut is None else min(reply.cut, reply.length)
        try:
            if not with_body:
                self.socket.sendall(head)
                return 0
            body = reply.body
            if not isinstance(body, FileBody):
                self.socket.sendall(head + body[:count])
            elif count <= _INLINE:
                self.socket.sendall(head + os.pread(body.descriptor, count, body.offset))
            else:
                self.socket.sendall(head, getattr(socket, "MSG_MORE", 0))
                self._send_file(body, count)
        finally:
            reply.discard()
        return count

    def _send_file(self, body: FileBody, count: int) -> None:
        offset, target = body.offset, self.socket.fileno()
        while count:
            sent = os.sendfile(target, body.descriptor, offset, count)
            if not sent:
                raise ConnectionAbortedError
            offset += sent
            count -= sent

    def reset(self) -> None:
        """Make the end of the connection a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_date: tuple[int, str] = (0, "")


def _http_date() -> str:
    global _date  # noqa: PLW0603  formatting a date costs more than the rest of a head
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


def _head(reply: Reply, request_id: str, *, close: bool) -> bytes:
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [
        f"HTTP/1.1 {reply.status} {reason}",
        f"Server: {_SERVER}",
        f"Date: {_http_date()}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {reply.length}",
        f"Connection: {'close' if close else 'keep-alive'}",
        f"x-cos-request-id: {request_id}",
        "Access-Control-Allow-Origin: *",
        f"Access-Control-Expose-Headers: {_EXPOSED}",
    ]
    lines += [f"{name}: {text}" for name, text in reply.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
