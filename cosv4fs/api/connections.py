"""The connections to one origin: kept between requests, one exchange at a time on each.

`urllib3` opens them: it knows proxies, tunnels and TLS. What happens on them is here, because a small request would
cost more than twice as much with the general ways of `urllib3` and `http.client`: a head is sent in one system call,
together with a small body, and the head of a reply is read without the parser for e-mail.

That needs names that neither package documents; ``tests/api/test_connections.py`` tells a version that lacks one. Of
`http.client.HTTPResponse`: ``_read_status``, ``_check_close``, ``_method``, ``chunk_left``, and
``_read_next_chunk_size``, which is overridden. Of the pools of `urllib3`: ``QueueCls``, ``ConnectionCls``, ``pool``,
``_new_conn``, ``_put_conn``, ``_prepare_proxy`` and ``_validate_conn``; of its connections, ``has_connected_to_proxy``.
"""

from __future__ import annotations

import errno
import functools
import http.client
import io
import itertools
import queue
import re
import socket
import ssl
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import urllib3
from urllib3.connection import CertificateError  # type: ignore[attr-defined]
from urllib3.util.wait import wait_for_read

from cosv4fs.api.proxies import Proxy
from cosv4fs.api.retry import Outage
from cosv4fs.concurrency import cancellation

FAULTS = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
"""What goes wrong below HTTP; `connection_failure` turns each into an error of this package."""

_WITHOUT_BODY = (204, 304)
"""Statuses of replies that end with their head."""

_MOST_TICKETS = 10
"""Session tickets that a connection may bring before its first request: usual are two."""

_LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 100
"""What a reply's head may have at most, as in `http.client`."""

# spaces around a value are removed later: here, a hostile line would take hours
_HEADER = re.compile(r"(?m)^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\r\n\0]*)\r?\n")

_LENGTH = re.compile(r"[0-9]{1,19}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
"""A Content-Length, and the line before a chunk: `int` takes ``+5``, ``5_0`` and ``-1``, too."""

_NOT_IN_TARGET = re.compile(r"[^\x21-\x7e]")

_EARLY_REPLY = (errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.EPROTOTYPE)
"""What sending fails with when a server has replied and closed before it has read everything.

The third is of Windows, the last of macOS.
"""

_REST = 64 * 1024
"""Bytes of an unwanted rest of a reply that are read to keep its connection; with more, it is closed."""

_REST_SECONDS = 1.0
"""Seconds to wait for the next of those bytes."""


class Timeout(NamedTuple):
    """Timeouts in seconds.

    `connect` is for connecting and for each wait to send more of a body, `read` for each wait for more of a reply.
    """

    connect: float
    read: float


class Headers(Mapping[str, str]):
    """The headers of a reply: names in any case; values of a repeated name are joined by commas."""

    __slots__ = ("_found",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._found: dict[str, tuple[str, str]] = {}
        found = self._found
        for name, value in pairs:
            key = name.lower()
            found[key] = (found[key][0], f"{found[key][1]}, {value}") if key in found else (name, value)

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._found.values()])

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or `default`."""
        found = self._found.get(name.lower())
        return default if found is None else found[1]


class Response(http.client.HTTPResponse):
    """A reply, whose connection serves no other request unless the reply was read to its end, and that end is certain.

    `http.client` keeps a connection as soon as a reply is closed, also before its end: what is still to come would be
    read as the next reply, and could become the content of another object.

    Attributes
    ----------
    request_headers : mapping
        What was sent, the signature included: messages must not repeat it.
    proxy : Proxy or None
        The proxy that it came through.
    note_failure : callable or None
        To be called if it is an error page, with the seconds until the next request if the page says so, else 0;
        returns the outage that this belongs to.
    """

    status: int
    headers: Headers  # type: ignore[assignment]
    request_headers: Mapping[str, str]
    proxy: Proxy | None = None
    note_failure: Callable[[float], Outage] | None = None

    _connection: Any = None
    _give_back: Callable[[Any], None] | None = None

    def begin(self) -> None:
        """Read the head.

        Raises
        ------
        http.client.HTTPException
            It is not one of HTTP, too long, or incomplete.
        """
        version, status, reason = self._read_status()  # type: ignore[attr-defined]
        while status == http.client.CONTINUE:
            self._read_headers()
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
        if not version.startswith("HTTP/1.") and version != "HTTP/0.9":
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.code = self.status = status
        self.reason = reason.strip()
        headers, is_sound = self._read_headers()
        self.headers = self.msg = headers  # type: ignore[assignment]
        self._frame(headers)
        if not is_sound or _may_go_on(status, headers, self._method):  # type: ignore[attr-defined]
            # as if the server had said that it closes the connection: it is not kept
            self.will_close = True

    def _read_headers(self) -> tuple[Headers, bool]:
        """Return the headers, and whether all lines were understood."""
        lines: list[bytes] = []
        while (line := self.fp.readline(_LONGEST_LINE + 1)) not in (b"\r\n", b"\n"):
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if not line:
                raise http.client.RemoteDisconnected("the connection broke within the head of a reply")
            lines.append(line)
            if len(lines) > _MOST_HEADERS:
                raise http.client.HTTPException(f"a reply has more than {_MOST_HEADERS} headers")
        found = _HEADER.findall(b"".join(lines).decode("latin-1"))
        return Headers([(name, value.strip(" \t")) for name, value in found]), len(found) == len(lines)

    def _frame(self, headers: Headers) -> None:
        """Set where the body ends, as `http.client` does."""
        self.chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None
        if not self.chunked:
            # of several, the first
            length = headers.get("Content-Length", "").partition(",")[0].rstrip()
            self.length = int(length) if _LENGTH.fullmatch(length) else None
        if self.status in _WITHOUT_BODY or self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        if self.status in _WITHOUT_BODY:
            self.chunked = False
        closes: bool = self._check_close()  # type: ignore[attr-defined]
        self.will_close = closes or (not self.chunked and self.length is None)

    def _read_next_chunk_size(self) -> int:
        found = _CHUNK.fullmatch(self.fp.readline(_LONGEST_LINE))
        if found is None:
            # http.client raises IncompleteRead
            raise ValueError("the size of a chunk is no number")
        return int(found[1], 16)

    def belongs_to(self, connection: Any, give_back: Callable[[Any], None]) -> None:
        """Note the connection, and what takes it back."""
        self._connection, self._give_back = connection, give_back

    def release(self) -> None:
        """Let the next request have the connection if the reply was read to its end; else close it.

        A short unwanted rest of the reply is read first.
        """
        connection = self._connection
        if connection is None:
            return
        if not self.isclosed():
            self._read_rest(connection)
        # http.client closes a reply, too, that broke off: then bytes are left
        if self.isclosed() and not (self.length or self.will_close) and self._give_back is not None:
            self._connection = None
            self._give_back(connection)
        self.close()

    def _read_rest(self, connection: Any) -> None:
        if connection.sock is not None and (self.length is None or self.length <= _REST):
            with suppress(*FAULTS):
                connection.sock.settimeout(_REST_SECONDS)
                self.read(_REST + 1)

    def close(self) -> None:
        """Close the reply, and its connection, unless that was released."""
        super().close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _may_go_on(status: int, headers: Headers, method: str | None) -> bool:
    """Return whether more bytes may come behind the place where `http.client` sees a reply's end."""
    coded, length = headers.get("Transfer-Encoding"), headers.get("Content-Length", "0").strip()
    if 100 <= status < 200:
        # the real reply is still to come
        return True
    if status in _WITHOUT_BODY or (method == "HEAD" and status >= 300):
        # it must not have the body that it announces
        return coded is not None or length != "0"
    return "," in length or (coded is not None and "Content-Length" in headers)


class _ShortWaits(io.RawIOBase):
    """The bytes that arrive on a socket, waited for a fraction of a second at a time.

    Windows ends a wait neither for Ctrl-C nor because another thread shuts the socket down: both are noticed between
    two waits.
    """

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read; return 0 when the thread is cancelled, as for any connection that was shut down."""
        timeout = self._sock.gettimeout()
        end = None if timeout is None else time.monotonic() + timeout
        # decrypted bytes may be buffered in the TLS layer
        while not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            left = cancellation.CHECK_EVERY if end is None else end - time.monotonic()
            has_bytes = wait_for_read(self._sock, max(0.0, min(left, cancellation.CHECK_EVERY)))
            if cancellation.is_cancelled():
                return 0
            if has_bytes:
                break
            if left <= 0:
                raise TimeoutError("timed out")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the stream of the socket."""
        self._raw.close()
        super().close()


class _Stack:
    """The idle connections of a pool, with the interface that urllib3 expects of `queue.LifoQueue`.

    The locks of that are held by methods written in Python: Ctrl-C can leave them held, and so can a fork.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._items: list[Any] = []
        # urllib3 does so itself since version 2; the collector would warn of each socket
        weakref.finalize(self, _close, self._items)

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Return the connection that was added last; never wait."""
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False, timeout: float | None = None) -> None:
        """Add a connection, if necessary in place of one that urllib3 would open when it is needed: of a None."""
        if len(self._items) >= self._most:
            try:
                self._items.remove(None)
            except ValueError:
                raise queue.Full from None
        self._items.append(item)

    def open_connections(self) -> int:
        """Return the number of connections, without those that are to be opened."""
        return len(self._items) - self._items.count(None)

    def qsize(self) -> int:
        """Return the number of connections."""
        return len(self._items)


def _close(connections: Iterable[Any]) -> None:
    for connection in filter(None, connections):
        connection.close()


def stacked_pools(manager: urllib3.PoolManager) -> dict[str, type[Any]]:
    """Return the classes of a manager's pools by scheme, also those for SOCKS, with `_Stack` in place of a queue."""
    return {scheme: _stacked(kind) for scheme, kind in manager.pool_classes_by_scheme.items()}


@functools.cache
def _stacked(pool_class: type[Any]) -> type[Any]:
    is_stacked = pool_class.QueueCls is _Stack
    return pool_class if is_stacked else type(pool_class.__name__, (pool_class,), {"QueueCls": _Stack})


class _Exchanges:
    """What connections of any class of `urllib3` get for exchanges; they end when their thread is cancelled."""

    sock: Any
    used_by = 0
    is_unused = False

    def exchange(self, method: str, head: bytes, body: Any, timeout: Timeout) -> Response:
        """Send a request and return the reply, of which the head was read."""
        cancellation.register(self)
        self.is_unused = False
        # a small request fits into the socket's buffer: sending it takes no time
        is_small = body is None or isinstance(body, bytes)
        _set_timeout(self.sock, timeout.read if is_small else timeout.connect)
        was_sent = _send(self.sock, head, body)
        _set_timeout(self.sock, timeout.read)
        response = Response(self.sock, method=method)
        # others, of TLS within TLS, have bytes of which only they know
        if sys.platform == "win32" and isinstance(self.sock, socket.socket):
            response.fp = io.BufferedReader(_ShortWaits(self.sock, response.fp.detach()))
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        response.will_close = response.will_close or not was_sent
        return response

    def is_silent(self) -> bool:
        """Return whether the idle connection is usable: it is open, and no unexpected bytes have arrived."""
        sock = self.sock
        if sock is None:
            return False
        is_tls = isinstance(sock, ssl.SSLSocket)
        if is_tls and self.is_unused:
            sock.settimeout(0)
            return _has_only_tickets(sock)
        # decrypted bytes may be buffered in the TLS layer
        return not (is_tls and sock.pending()) and not wait_for_read(sock, 0)

    def shut_down(self) -> None:
        """End what a thread sends or receives, from another thread."""
        # in TLS within TLS, that of the proxy
        sock = getattr(self.sock, "socket", self.sock)
        if sock is not None:
            with suppress(OSError):
                # a socket of ssl would turn TLS off first, for the thread that uses it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _has_only_tickets(sock: ssl.SSLSocket) -> bool:
    """Read the session tickets, which follow a handshake one by one; return whether nothing else is there."""
    with suppress(OSError):
        for _ in range(_MOST_TICKETS):
            with suppress(ssl.SSLWantReadError):
                sock.recv(1)
                return False
            if not wait_for_read(sock, 0):
                return True
    return False


def _set_timeout(sock: Any, seconds: float) -> None:
    """Set the timeout of a socket if it differs: the system call lets other threads run."""
    if sock.gettimeout() != seconds:
        sock.settimeout(seconds)


def _send(sock: Any, head: bytes, body: bytes | Iterable[bytes | memoryview] | None) -> bool:
    """Send a request, a small body together with its head; return False if the server may have replied before its end.

    The timeout of ``sendall`` is for all bytes, and a slow line takes longer: here, it is for the next of them.
    """
    pieces: Iterable[bytes | memoryview]
    if body is None or isinstance(body, bytes):
        pieces = [head + body if body else head]
    else:
        pieces = itertools.chain([head], body)
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[sock.send(rest) :]
    except OSError as fault:
        if fault.errno not in _EARLY_REPLY:
            raise
        return False
    return True


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request; raise ValueError if a part of it would not be one line."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()], "", ""]
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\r") != breaks or text.count("\n") != breaks or _NOT_IN_TARGET.search(target):
        raise ValueError(f"invalid character in the headers or the path of a request: {target[:80]!r}")
    return text.encode("latin-1")


class Connections:
    """The connections to one origin, through `proxy` if there is one; `pool` makes and keeps them."""

    def __init__(self, pool: Any, origin: str, proxy: Proxy | None) -> None:
        if not issubclass(pool.ConnectionCls, _Exchanges):
            pool.ConnectionCls = type("Connection", (_Exchanges, pool.ConnectionCls), {})
        self._pool, self._origin, self.proxy = pool, origin, proxy
        # that of the pool, also after it was closed
        self._idle: _Stack = pool.pool
        is_https = origin.startswith("https:")
        # a proxy of the SOCKS family has no part in HTTP
        through_http = pool.proxy is not None
        self._tunnels = through_http and is_https
        self._forwards = through_http and not is_https
        port = pool.port or (443 if is_https else 80)
        name = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
        self._host = name if port == (443 if is_https else 80) else f"{name}:{port}"
        self._own_headers: Mapping[str, str] = pool.proxy_headers if self._forwards else {}

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: Any, timeout: Timeout) -> Response:
        """Send a request once and return the reply; see `Response`."""
        target = url if self._forwards else url[len(self._origin) :]
        head = _head(method, target, {"Host": self._host, **headers, **self._own_headers})
        connection = self._take()
        try:
            if connection.sock is None:
                self._connect(connection, timeout)
            response: Response = connection.exchange(method, head, body, timeout)
        except BaseException:
            connection.close()
            raise
        response.belongs_to(connection, self._pool._put_conn)
        response.request_headers, response.proxy = headers, self.proxy
        return response

    def _take(self) -> Any:
        """Return an idle connection, or a new one, which is not yet open."""
        with suppress(queue.Empty):
            while (connection := self._idle.get()) is not None:
                if connection.is_silent():
                    return connection
                connection.close()
        return self._pool._new_conn()

    @property
    def idle(self) -> int:
        """The number of connections that are open and not in use."""
        return self._idle.open_connections()

    def open(self, timeout: Timeout) -> None:
        """Open a connection and add it to the idle ones."""
        connection = self._pool._new_conn()
        connection.is_unused = True
        try:
            self._connect(connection, timeout)
        except BaseException:
            connection.close()
            raise
        self._pool._put_conn(connection)

    def _connect(self, connection: Any, timeout: Timeout) -> None:
        cancellation.register(connection)
        connection.timeout = timeout.connect
        try:
            if self._tunnels:
                self._pool._prepare_proxy(connection)
            # connects for https, and warns of certificates that are not verified
            self._pool._validate_conn(connection)
            if connection.sock is None:
                connection.connect()
        except CertificateError as fault:
            raise urllib3.exceptions.SSLError(fault) from fault
        except FAULTS as fault:
            is_beyond = isinstance(fault, ssl.SSLError) or getattr(connection, "has_connected_to_proxy", False)
            if self.proxy is None or is_beyond:
                raise
            raise urllib3.exceptions.ProxyError("cannot connect to the proxy", fault) from fault
