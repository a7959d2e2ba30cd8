"""From a connection to the operations and back: one request after the other, each with its record in the log."""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import sqlite3
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from . import predecessor
from .call import Call, Head, Place, locate
from .downloads import download
from .errors import ApiError, UnknownBucketError
from .faults import CutRequest, Disconnect, Faults
from .forms import read_body, read_op
from .http import BadHeadError, Connection, HttpServer, read_length
from .log import RequestLog, RequestRecord
from .operations import perform
from .replies import FileBody, Reply, error_reply, unknown_bucket_reply
from .store import disk_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from .service import Service

__all__ = ["Server"]

_HEAD_CODES = {405: -5996, 411: -5992, 413: -5991, 414: -187, 431: -5999}
_STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


class Server:
    """Serves one account over HTTP.

    Parameters
    ----------
    service : Service
        The account.
    address : tuple
        Host and port; port 0 for a free one.
    faults : Faults
        What shall go wrong.
    log : RequestLog
        Where requests are recorded.
    numbers : iterator
        Gives the requests their numbers.
    restart : callable
        Restarts the emulator soon, from a thread of its own.
    listener : callable, optional
        Called with every record, for a log that a person reads.
    """

    def __init__(
        self,
        service: Service,
        address: tuple[str, int],
        *,
        faults: Faults,
        log: RequestLog,
        numbers: itertools.count[int],
        restart: Callable[[], None],
        listener: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._service = service
        self._faults = faults
        self._log = log
        self._numbers = numbers
        self._restart = restart
        self._listener = listener
        self._connections: dict[int, Connection] = {}
        self._connection_numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._http = HttpServer(address, self._serve, self._accept)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._http.server_address[1])

    def start(self) -> None:
        """Begin to accept connections."""
        self._http.server_activate()
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="cos-emulator", daemon=True
        )
        self._thread.start()

    def mute(self) -> None:
        """Refuse new connections, but keep the port; `start` ends that."""
        if self._thread is None:
            return
        self._http.shutdown()
        self._thread.join()
        self._thread = None
        address = self._http.server_address[:2]
        self._http.server_close()
        self._http = HttpServer((str(address[0]), int(address[1])), self._serve, self._accept)

    def hang_up(self) -> None:
        """Close the connections that are there."""
        with self._changed:
            for connection in self._connections.values():
                _shut(connection)

    def stop(self) -> None:
        """Close every connection and wait for the requests that are under way."""
        self._service.stopping.set()
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self.hang_up()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, timeout=10)

    def _accept(self) -> bool:
        return not self._faults.actions(None, "connection")

    def _serve(self, connection: Connection) -> None:
        number = next(self._connection_numbers)
        with self._changed:
            self._connections[number] = connection
        try:
            while not self._service.stopping.is_set() and self._serve_one(connection, number):
                pass
        finally:
            with self._changed:
                del self._connections[number]
                self._changed.notify_all()

    def _serve_one(self, connection: Connection, number: int) -> bool:
        """Serve the next request; False when the connection is to be closed."""
        try:
            head = connection.read_head()
        except BadHeadError as error:
            self._refuse_head(connection, number, Head("", "", "HTTP/1.1", {}), error.status)
            return False
        if head is None:
            return False
        started = time.time()
        try:
            if self._faults.wait_for("body") and self._cut_request(connection, number, head):
                return False
            body = connection.read_body(head)
        except BadHeadError as error:
            self._refuse_head(connection, number, head, error.status)
            return False
        call = self._call(head)
        exchange = _Exchange(self, connection, number, call, started, len(body))
        try:
            reply = self._answer(connection, call, body)
        except Disconnect as order:
            exchange.record(0, 0, 0)
            if order.reset:
                connection.reset()
            return False
        finally:
            call.parameters.content = None  # the next request overwrites it
            connection.forget_body()
        return exchange.send(reply)

    def _call(self, head: Head) -> Call:
        service = self._service
        return Call(head, service.request_ids.next(service.clock()), service.stopping, restart=self._restart)

    def _cut_request(self, connection: Connection, number: int, head: Head) -> bool:
        """Break off within the body of a request, if that is ordered; what is known of it may be little."""
        length = read_length(head)
        call = self._call(head)
        with contextlib.suppress(ApiError, UnknownBucketError):
            call.place = locate(head, self._service.appid, frozenset(self._service.buckets))
            call.op = call.place.query.get("op", "") or (read_op(connection.preview()) if length else "")
        cuts = [cut for cut in self._faults.actions(call, "body") if isinstance(cut, CutRequest)]
        if not cuts:
            return False
        count = connection.read_part(min(length, *(cut.count for cut in cuts)))
        _Exchange(self, connection, number, call, time.time(), count).record(0, 0, 0)
        connection.reset()
        return True

    def _refuse_head(self, connection: Connection, number: int, head: Head, status: int) -> None:
        call = self._call(head)
        reply = error_reply(call.request_id, ApiError(_HEAD_CODES.get(status, -5999), status=status))
        reply.close = True
        _Exchange(self, connection, number, call, time.time(), 0).send(reply)

    def _answer(self, connection: Connection, call: Call, body: memoryview) -> Reply:
        error: Exception | None = None
        try:
            self._understand(connection, call, body)
        except (ApiError, UnknownBucketError) as refusal:
            error = refusal
        actions = self._faults.actions(call)
        reply = None
        for action in actions:
            reply = action.before(call)
            if reply is not None:
                break
        else:
            reply = self._error(call, error) if error is not None else self._act(call)
        if call.is_predecessor:
            predecessor.dress(reply)
        for action in actions:
            answer, reply = reply, action.after(call, reply)
            if call.is_predecessor and reply is not answer:
                predecessor.dress(reply)
        return reply

    def _understand(self, connection: Connection, call: Call, body: memoryview) -> None:
        service = self._service
        call.place = locate(call.head, service.appid, frozenset(service.buckets))
        method = call.head.method
        if method == "OPTIONS":
            call.op = "options"
        elif call.place.download_host or (method in {"GET", "HEAD"} and not _named(call.place)):
            call.op = "head" if method == "HEAD" else "download"
        else:
            content_type = call.head.headers.get("content-type", "")
            call.parameters = read_body(body, connection.buffer, content_type, call.place.query)
            call.op = call.parameters.text("op") or (
                predecessor.implied(method, call.parameters.values) if call.is_predecessor else ""
            )

    def _act(self, call: Call) -> Reply:
        disk_full.set(call.disk_full)
        try:
            if call.op == "options":
                return _preflight(call)
            if call.op in {"download", "head"}:
                return download(self._service, call)
            return perform(self._service, call)
        except (ApiError, UnknownBucketError) as error:
            return self._error(call, error)
        except Exception as error:  # noqa: BLE001  a fault of the emulator must not leave the client without an answer
            if _storage_failed(error):
                return self._error(call, ApiError(-6993))
            traceback.print_exc(file=sys.stderr)
            return error_reply(call.request_id, ApiError(-9999, status=500))

    def _error(self, call: Call, error: Exception) -> Reply:
        if not isinstance(error, ApiError):
            return unknown_bucket_reply(call.request_id)
        dialect = self._service.dialect
        downloading = call.op in {"download", "head"}
        if error.status == 404 and (downloading or call.op == "upload_slice_list"):
            if dialect.not_found_body == "empty":
                return Reply(404, b"", error.code)
            if dialect.not_found_body == "html":
                page = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>\r\n"
                return Reply(404, page, error.code, "text/html")
        fixed = {"mapped": None, "always-400": 400, "always-200": 200}[dialect.error_status]
        return error_reply(call.request_id, error, None if downloading else fixed)


class _Exchange:
    """One request and its answer on a connection, with the record of it."""

    def __init__(
        self, server: Server, connection: Connection, number: int, call: Call, started: float, bytes_in: int
    ) -> None:
        self._server = server
        self._connection = connection
        self._call = call
        self._number = next(server._numbers)
        self._connection_number = number
        self._started = started
        self._bytes_in = bytes_in
        self._session = _short_text(call, "session")
        self._offset = _short_text(call, "offset")

    def send(self, reply: Reply) -> bool:
        """Send the answer; False when the connection is to be closed."""
        call = self._call
        with_body = call.head.method != "HEAD" and reply.status not in {204, 304}
        close = reply.close or not call.head.keep_alive
        # Recorded before it is sent: whoever has the answer finds the record.
        streamed = isinstance(reply.body, FileBody)
        self.record(reply.status, reply.code, reply.planned if with_body else 0)
        sent, now = 0, self._server._service.clock() + call.skew
        try:
            sent = self._connection.send(reply, call.request_id, now=now, with_body=with_body, close=close)
        finally:
            if streamed:
                log = self._server._log
                log.amend(self._number, bytes_out=sent, finished=time.time())
        if reply.reset:
            self._connection.reset()
        return not close and reply.cut is None

    def record(self, status: int, code: int, bytes_out: int) -> None:
        """Put the request into the log."""
        call = self._call
        session, offset = _short_text(call, "session"), _short_text(call, "offset")
        record = RequestRecord(
            number=self._number,
            op=call.op,
            method=call.head.method,
            host=call.head.host,
            bucket=call.path.bucket,
            path=call.path.text,
            query=dict(call.place.query) if call.place is not None else {},
            offset=int(offset) if offset is not None and offset.isascii() and offset.isdigit() else None,
            range=call.head.headers.get("range"),
            status=status,
            code=code,
            bytes_in=self._bytes_in,
            bytes_out=bytes_out,
            started=self._started,
            finished=time.time(),
            connection=self._connection_number,
            request_id=call.request_id,
            session=session,
        )
        server = self._server
        server._log.add(record)
        if server._listener is not None:
            server._listener(record)


def _named(place: Place) -> str:
    """Return the operation that a URL names, or means where the predecessor need not be told."""
    return place.query.get("op") or (predecessor.implied("GET", place.query) if place.version == "v1" else "")


def _short_text(call: Call, name: str) -> str | None:
    value = call.parameters.values.get(name)
    return str(value)[:256] if isinstance(value, (str, int)) else None


def _storage_failed(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error) or "disk I/O" in str(error)
    return isinstance(error, OSError) and error.errno in _STORAGE_ERRORS


def _preflight(call: Call) -> Reply:
    wanted = call.head.headers.get("access-control-request-headers", "*")
    return Reply(
        headers=[
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "".join(c for c in wanted if c.isprintable())),
            ("Access-Control-Max-Age", "600"),
        ]
    )


def _shut(connection: Connection) -> None:
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
