"""HTTP over sockets: heads in, bodies into a reused buffer, replies out. Nothing here knows the API.

The server is our own, since faults need the socket: partial replies, resets, wrong lengths.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import sys
import threading
import time
from email.utils import formatdate
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Any, cast

from cosv4fs.emulator.call import Head
from cosv4fs.emulator.heads import BadHeadError, add_header, check_start, read_request_line
from cosv4fs.emulator.portability import (
    descriptor_limit,
    is_reset_when_closed,
    reset_when_closed,
    send_file,
    set_receive_timeout,
    wait_until_sent,
)
from cosv4fs.emulator.replies import FileBody, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

LARGEST_BODY = 24 * 1024 * 1024
"""The largest body in bytes: the largest upload and room for its form."""

_LONGEST_HEAD = 65536
"""Bytes of the head of a request, and of its first line; longer ones are refused."""

_LARGEST_DRAINED = 256 * 1024 * 1024
"""Bytes of a refused body that are read, so that the client, still sending, gets to read the reply."""

SMALL_BODY = 16 * 1024
"""Bytes of a body that are read before its signature is checked; every connection has room for them."""

_BLOCK = 1 << 20
"""Bytes of a body that are read at once if it may be larger than memory."""

_GRAIN = 65536
"""Sizes of buffers are multiples of so many bytes, so that a buffer fits other bodies, too."""

_INLINE = 65536
"""Bytes of a file up to which it is sent in one piece with the head, and not by the system."""

_FLUSH_TIMEOUT = 5.0
"""Seconds that a reset waits until the client has received what was sent."""
_DRAIN_TIMEOUT = 2.0
"""Seconds that a refused client may still send before its connection is closed."""
_DRAWS = 100
"""How often another free port is drawn when it was an earlier service's."""
_IDLE_TIMEOUT = 600.0
"""Seconds after which the connection of a silent client is closed."""

_earlier_ports: set[int] = set()
"""Ports that services of this process had; it grows with each."""


class _Buffers:
    """Memory for the bodies of requests: bounded for a whole server, and reused, as fresh memory costs page faults.

    At most `most` bytes are lent at once, and `kept` bytes of returned buffers are kept for the next ones. The client
    has the like in `cosv4fs.concurrency.buffers`, with which the local service shares nothing on purpose.
    """

    def __init__(self, most: int, kept: int) -> None:
        self._most = most
        self._kept = kept
        self._lent = 0
        self._idle: list[bytearray] = []
        self._changed = threading.Condition()

    def borrow(self, size: int) -> bytearray:
        """Return a buffer of at least `size` bytes with any content; wait for it while too much is lent."""
        size = -(-size // _GRAIN) * _GRAIN
        with self._changed:
            self._changed.wait_for(lambda: not self._lent or self._lent + size <= self._most)
            room = min(2 * size, max(size, self._most - self._lent))
            found = next((buffer for buffer in self._idle if size <= len(buffer) <= room), None)
            if found is not None:
                # by identity: equal contents are no reason
                self._idle = [buffer for buffer in self._idle if buffer is not found]
            buffer = bytearray(size) if found is None else found
            self._lent += len(buffer)
            return buffer

    def give_back(self, buffer: bytearray) -> None:
        """Take back a buffer that is no longer used."""
        with self._changed:
            self._lent -= len(buffer)
            self._idle.append(buffer)
            while sum(map(len, self._idle)) > self._kept:
                self._idle.pop(0)
            self._changed.notify_all()


class HttpServer(ThreadingTCPServer):
    """Accepts connections, one thread each: `serve` serves the requests of one, if `accept` does not refuse it."""

    daemon_threads = True
    request_queue_size = 256
    # On Windows it would let two services share a port, and SO_EXCLUSIVEADDRUSE would keep `Emulator.unreachable` and
    # `restart` from binding the port again while a client has a connection; without either, a port has one service.
    allow_reuse_address = sys.platform != "win32"
    most_connections = 2048
    """More at once are reset: each has a thread, a descriptor and memory."""
    most_body_memory = 256 * 1024 * 1024
    """Bytes of bodies that are in memory at once, beside small ones; others wait for their turn."""
    kept_body_memory = 64 * 1024 * 1024
    """Bytes that are kept for further bodies."""

    def __init__(
        self, address: tuple[str, int], serve: Callable[[Connection], None], accept: Callable[[], bool]
    ) -> None:
        self.serve = serve
        self.accept = accept
        self.buffers = _Buffers(self.most_body_memory, self.kept_body_memory)
        # half of the descriptors are left for files
        self._slots = threading.Semaphore(min(self.most_connections, max(64, descriptor_limit() // 2)))
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Connection, bind_and_activate=False)
        try:
            self.server_bind()
        except BaseException:
            self.server_close()
            raise

    def server_bind(self) -> None:
        """Bind, to a port that is new to this process if any port will do.

        Clients know a service by its address: what they cached of an earlier one would be taken for this one's.
        """
        wanted = self.server_address
        super().server_bind()
        draws = 1 if wanted[1] else _DRAWS
        while self.server_address[1] in _earlier_ports and (draws := draws - 1):
            self.socket.close()
            self.socket, self.server_address = socket.socket(self.address_family, self.socket_type), wanted
            super().server_bind()
        _earlier_ports.add(int(self.server_address[1]))

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Accept a connection, or reset it."""
        accepted = self.accept() and self._slots.acquire(blocking=False)
        if not accepted:
            with contextlib.suppress(OSError):  # macOS sets no option of a connection that the client has reset
                reset_when_closed(request)
        return accepted

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one to be reset must not be shut down first."""
        with contextlib.suppress(OSError):
            if not is_reset_when_closed(request):
                request.shutdown(socket.SHUT_WR)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report no clients that disconnect."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(StreamRequestHandler):
    """One TCP connection."""

    rbufsize = 65536
    disable_nagle_algorithm = True
    server: HttpServer
    number = 0
    """Which of its server's; set by the server."""
    unread = False
    """Whether a body was left on it, so that it cannot be used again."""

    def setup(self) -> None:
        """Prepare the buffer for bodies."""
        super().setup()
        set_receive_timeout(self.socket, _IDLE_TIMEOUT)
        self.buffer = bytearray()
        self._continue = False
        self._lent: bytearray | None = None

    def handle(self) -> None:
        """Serve the connection's requests."""
        with contextlib.suppress(ConnectionError):
            self.server.serve(self)

    def finish(self) -> None:
        """Close the streams; the client may be gone already."""
        self.release_body()
        with contextlib.suppress(OSError):
            super().finish()

    @property
    def socket(self) -> socket.socket:
        """The connection's socket."""
        return cast("socket.socket", self.connection)

    def read_head(self) -> Head | None:
        """Read the next head; None when the client has closed the connection."""
        check_start(cast("BufferedReader", self.rfile).peek(1)[:1])
        line = self.rfile.readline(_LONGEST_HEAD + 1)
        if line in {b"\r\n", b"\n"}:  # HTTP tolerates an empty line before a request
            line = self.rfile.readline(_LONGEST_HEAD + 1)
        if not line:
            return None
        if len(line) > _LONGEST_HEAD:
            raise BadHeadError(414)
        method, target, version = read_request_line(line)
        headers = self._read_headers()
        self._continue = headers.get("expect", "").lower() == "100-continue" and version != "HTTP/1.0"
        return Head(method, target, version, headers)

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        length = 0
        while (line := self.rfile.readline(_LONGEST_HEAD + 1)) not in {b"\r\n", b"\n"}:
            length += len(line)
            if not line.endswith(b"\n") and length <= _LONGEST_HEAD:
                raise ConnectionAbortedError  # the client went away within the head
            if length > _LONGEST_HEAD or len(headers) > 200:
                raise BadHeadError(431)
            add_header(headers, line)
        return headers

    def read_body(self, head: Head, most: int) -> memoryview:
        """Read the body that follows a head into the connection's buffer.

        Raises
        ------
        BadHeadError
            It has no usable length (400, 411) or more bytes than `most` (413).
        ConnectionError
            The client went away within it.
        """
        length = read_length(head)
        if length > most:
            if not self._continue and length <= _LARGEST_DRAINED:
                self._skip(length)  # so that the client, still sending, gets to read the reply
            raise BadHeadError(413)
        self._make_room(length)
        self._go_on()
        body = memoryview(self.buffer)[:length]
        self._fill(body)
        return body

    def skip_body(self, head: Head) -> int:
        """Read and drop the body of a request that is refused; return its length.

        One that is very long, or whose client waits for ``100 Continue``, is left unread, and 0 returned: the
        connection then ends with the reply.
        """
        length = read_length(head)
        if length > _LARGEST_DRAINED or (length and self._continue):
            self.unread = True
            return 0
        self._skip(length)
        return length

    def _make_room(self, length: int) -> None:
        if length > SMALL_BODY:
            self.buffer = self._lent = self.server.buffers.borrow(length)
        elif len(self.buffer) < length:
            self.buffer = bytearray(SMALL_BODY)

    def release_body(self) -> None:
        """Return the memory of a body that was served."""
        if self._lent is not None:
            self.server.buffers.give_back(self._lent)
            self.buffer, self._lent = bytearray(), None

    def _fill(self, room: memoryview) -> None:
        # What came with the head is in the stream's buffer; the kernel collects the rest in one call, which takes the
        # interpreter lock once, not after every packet.
        count = cast("BufferedReader", self.rfile).readinto1(room) if room else 0
        rest = room[count:]
        while count and rest:
            count = self.socket.recv_into(rest, 0, getattr(socket, "MSG_WAITALL", 0))
            rest = rest[count:]
        if rest:
            raise ConnectionAbortedError

    def _go_on(self) -> None:
        if self._continue:
            self._continue = False
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read_blocks(self, length: int) -> Iterator[memoryview]:
        """Read a body of any length block by block; a block is good until the next one."""
        self._make_room(min(length, _BLOCK))
        self._go_on()
        while length:
            block = memoryview(self.buffer)[: min(length, _BLOCK)]
            self._fill(block)
            yield block
            length -= len(block)

    def preview(self) -> bytes:
        """Return the bytes of a body received so far, at least its first packet, without consuming them."""
        self._go_on()
        return cast("BufferedReader", self.rfile).peek()

    def beginning(self) -> bytes:
        """Return what `preview` does; nothing where the client waits for ``100 Continue``."""
        return b"" if self._continue else self.preview()

    def read_part(self, count: int) -> int:
        """Read and drop the first bytes of a body; return how many there were."""
        if count:
            self._go_on()
        return len(self.rfile.read(count))

    def _skip(self, length: int) -> None:
        room = memoryview(bytearray(min(length, SMALL_BODY)))
        while length:
            count = self.rfile.readinto(room[:length])
            if not count:
                raise ConnectionAbortedError
            length -= count

    def send(self, reply: Reply, headers: list[tuple[str, str]], *, now: float, with_body: bool, close: bool) -> int:
        """Send a reply and return how many bytes of its body were sent; its file is closed.

        Its own headers follow those of every reply of the service. `now`, in Unix seconds, is for the ``Date`` header;
        `close` announces that the connection ends here.
        """
        head = _head(reply, headers, now, close=close)
        count = reply.planned
        try:
            if not with_body:
                self.socket.sendall(head)
                return 0
            if reply.pieces is not None or reply.chunked:
                self.socket.sendall(head)
                return self._send_pieces(reply, count)
            if isinstance(reply.body, FileBody) and count > _INLINE:
                self.socket.sendall(head, getattr(socket, "MSG_MORE", 0))
                self._send_file(reply.body, count)
            else:
                self.socket.sendall(head + reply.read(0, count))
        finally:
            reply.discard()
        return count

    def _send_pieces(self, reply: Reply, count: int) -> int:
        sent = 0
        for size in reply.pieces(count) if reply.pieces is not None else (count,):
            piece = reply.read(sent, min(size, count - sent))
            if reply.chunked and piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.socket.sendall(piece)
            sent += size
        if reply.chunked and reply.cut is None:
            self.socket.sendall(b"0\r\n\r\n")
        return sent

    def _send_file(self, body: FileBody, count: int) -> None:
        offset = body.offset
        while count:
            sent = send_file(self.socket, body.descriptor, offset, count)
            if not sent:
                raise ConnectionAbortedError
            offset += sent
            count -= sent

    def drain(self) -> None:
        """Read and drop for a short time what a refused client still sends: a reset could take the reply from it."""
        end = time.monotonic() + _DRAIN_TIMEOUT
        room = bytearray(_GRAIN)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            set_receive_timeout(self.socket, _DRAIN_TIMEOUT)
            while time.monotonic() < end and self.socket.recv_into(room):
                pass

    def reset(self) -> None:
        """Make the end of the connection a reset, after everything sent was received."""
        with contextlib.suppress(OSError):
            wait_until_sent(self.socket, _FLUSH_TIMEOUT)
            reset_when_closed(self.socket)


def read_length(head: Head) -> int:
    """Return the length of the body that follows a head; raise `BadHeadError` when it is unknown."""
    if "transfer-encoding" in head.headers:
        raise BadHeadError(411)
    text = head.headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadHeadError
    return int(text)


@functools.lru_cache(maxsize=16)
def _http_date(now: int) -> str:
    return formatdate(now, usegmt=True)


def _head(reply: Reply, common: list[tuple[str, str]], now: float, *, close: bool) -> bytes:
    try:
        reason = HTTPStatus(reply.status).phrase
    except ValueError:
        reason = "Unknown"
    headers: list[tuple[str, str]] = [
        ("Date", _http_date(int(now))),
        ("Content-Type", reply.content_type),
        ("Transfer-Encoding", "chunked") if reply.chunked else ("Content-Length", str(reply.length)),
        ("Connection", "close" if close else "keep-alive"),
        *common,
        *reply.headers,
    ]
    if reply.overrides:
        headers = [pair for pair in headers if pair[0].lower() not in reply.overrides]
        headers += [(name.title(), text) for name, text in reply.overrides.items() if text is not None]
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
    return f"HTTP/1.1 {reply.status} {reason}\r\n{lines}\r\n".encode()
