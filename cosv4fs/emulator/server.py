"""From a connection to an API and back: one request after the other, each with its record in the log."""

from __future__ import annotations

import abc
import contextlib
import errno
import itertools
import socket
import sqlite3
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Generic, TypeVar

from .faults import CutRequest, Disconnect, Faults
from .http import BadHeadError, Connection, HttpServer, read_length
from .log import RequestLog, RequestRecord
from .replies import FileBody, Reply
from .request import Head, Request
from .store import disk_full

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Api", "Server"]

AnyRequest = TypeVar("AnyRequest", bound=Request)
_STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


class Api(abc.ABC, Generic[AnyRequest]):
    """What a service says and does; the server around it knows connections, faults and the log.

    Parameters
    ----------
    clock : callable
        Returns Unix seconds.

    Attributes
    ----------
    stopping : threading.Event
        Set when the service stops.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stopping = threading.Event()

    @abc.abstractmethod
    def request(self, head: Head, restart: Callable[[], None]) -> AnyRequest:
        """Return a new request, of which nothing but the head is known."""

    @abc.abstractmethod
    def glance(self, request: AnyRequest, preview: Callable[[], bytes]) -> None:
        """Tell what a request is about before its body is read; `preview` returns what has come of that."""

    @abc.abstractmethod
    def receive(self, request: AnyRequest, connection: Connection) -> int:
        """Take in a request's body, tell what the request is about, and return the body's length in bytes.

        Raises
        ------
        BadHeadError
            The body has no usable length or is too long to be taken in.
        """

    @abc.abstractmethod
    def act(self, request: AnyRequest) -> Reply:
        """Do what is asked, or refuse it; errors of the storage and mistakes are the server's to catch."""

    @abc.abstractmethod
    def dress(self, request: AnyRequest, reply: Reply) -> None:
        """Change an answer to the looks that all answers have."""

    @abc.abstractmethod
    def forget(self, request: AnyRequest) -> None:
        """Let go of what a request holds, when it was answered or given up."""

    @abc.abstractmethod
    def bad_head(self, request: AnyRequest, status: int) -> Reply:
        """Return the answer to a head that is not HTTP, or to a body that cannot be taken in."""

    @abc.abstractmethod
    def no_room(self, request: AnyRequest) -> Reply:
        """Return the answer when the storage fails."""

    @abc.abstractmethod
    def mistake(self, request: AnyRequest) -> Reply:
        """Return the answer when the service itself is at fault."""

    @abc.abstractmethod
    def headers(self, request: AnyRequest) -> list[tuple[str, str]]:
        """Return the headers that every answer has."""


class Server(Generic[AnyRequest]):
    """Serves one account over HTTP.

    Parameters
    ----------
    api : Api
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
        api: Api[AnyRequest],
        address: tuple[str, int],
        *,
        faults: Faults,
        log: RequestLog,
        numbers: itertools.count[int],
        restart: Callable[[], None],
        listener: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._api = api
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
        self._stop_accepting()
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
        self._api.stopping.set()
        self._stop_accepting()
        self._http.server_close()
        self.hang_up()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, timeout=10)

    def _stop_accepting(self) -> None:
        if self._thread is None:
            return
        with contextlib.suppress(OSError):
            # wakes the thread at once; where a listening socket cannot be shut down, the next poll does
            self._http.socket.shutdown(socket.SHUT_RDWR)
        self._http.shutdown()
        self._thread.join()

    def _accept(self) -> bool:
        return not self._faults.actions(None, "connection")

    def _serve(self, connection: Connection) -> None:
        number = next(self._connection_numbers)
        with self._changed:
            self._connections[number] = connection
        try:
            while not self._api.stopping.is_set() and self._serve_one(connection, number):
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
        request = self._api.request(head, self._restart)
        try:
            if self._faults.wait_for("body") and self._cut_request(connection, number, request):
                return False
            length = self._api.receive(request, connection)
            exchange = _Exchange(self, connection, number, request, started, length)
            try:
                reply = self._answer(request)
            except Disconnect as order:
                exchange.record(0, 0, 0)
                if order.reset:
                    connection.reset()
                return False
        except BadHeadError as error:
            self._refuse_head(connection, number, head, error.status)
            return False
        finally:
            self._api.forget(request)
            connection.forget_body()
        return exchange.send(reply)

    def _cut_request(self, connection: Connection, number: int, request: AnyRequest) -> bool:
        """Break off within the body of a request, if that is ordered; what is known of it may be little."""
        length = read_length(request.head)
        self._api.glance(request, connection.preview if length else bytes)
        cuts = [cut for cut in self._faults.actions(request, "body") if isinstance(cut, CutRequest)]
        if not cuts:
            return False
        count = connection.read_part(min(length, *(cut.count for cut in cuts)))
        _Exchange(self, connection, number, request, time.time(), count).record(0, 0, 0)
        connection.reset()
        return True

    def _refuse_head(self, connection: Connection, number: int, head: Head, status: int) -> None:
        request = self._api.request(head, self._restart)
        reply = self._api.bad_head(request, status)
        reply.close = True
        _Exchange(self, connection, number, request, time.time(), 0).send(reply)

    def _answer(self, request: AnyRequest) -> Reply:
        actions = self._faults.actions(request)
        reply = None
        for action in actions:
            reply = action.before(request)
            if reply is not None:
                break
        else:
            reply = self._act(request)
        self._api.dress(request, reply)
        for action in actions:
            answer, reply = reply, action.after(request, reply)
            if reply is not answer:
                self._api.dress(request, reply)
        return reply

    def _act(self, request: AnyRequest) -> Reply:
        earlier = disk_full.set(request.disk_full)
        try:
            return self._api.act(request)
        except Exception as error:  # noqa: BLE001  a fault of the emulator must not leave the client without an answer
            if _storage_failed(error):
                return self._api.no_room(request)
            traceback.print_exc(file=sys.stderr)
            return self._api.mistake(request)
        finally:
            disk_full.reset(earlier)  # the next request's body may be stored before it is acted on


class _Exchange(Generic[AnyRequest]):
    """One request and its answer on a connection, with the record of it."""

    def __init__(
        self,
        server: Server[AnyRequest],
        connection: Connection,
        number: int,
        request: AnyRequest,
        started: float,
        bytes_in: int,
    ) -> None:
        self._server = server
        self._connection = connection
        self._request = request
        self._number = next(server._numbers)
        self._connection_number = number
        self._started = started
        self._bytes_in = bytes_in

    def send(self, reply: Reply) -> bool:
        """Send the answer; False when the connection is to be closed."""
        request = self._request
        with_body = request.head.method != "HEAD" and reply.status not in {204, 304}
        close = reply.close or request.unread or not request.head.keep_alive
        # Recorded before it is sent: whoever has the answer finds the record.
        streamed = isinstance(reply.body, FileBody)
        self.record(reply.status, reply.code, reply.planned if with_body else 0)
        sent, now = 0, self._server._api.clock() + request.skew
        headers = self._server._api.headers(request)
        try:
            sent = self._connection.send(reply, headers, now=now, with_body=with_body, close=close)
        finally:
            if streamed:
                log = self._server._log
                log.amend(self._number, bytes_out=sent, finished=time.time())
        if reply.reset:
            self._connection.reset()
        return not close and reply.cut is None

    def record(self, status: int, code: int | str, bytes_out: int) -> None:
        """Put the request into the log."""
        request, subject = self._request, self._request.subject
        record = RequestRecord(
            number=self._number,
            op=request.op,
            method=request.head.method,
            host=request.head.host,
            bucket=subject.container,
            path=subject.path,
            query=subject.query,
            offset=subject.offset,
            range=request.head.headers.get("range"),
            status=status,
            code=code,
            bytes_in=self._bytes_in,
            bytes_out=bytes_out,
            started=self._started,
            finished=time.time(),
            connection=self._connection_number,
            request_id=request.request_id,
            session=subject.session,
        )
        server = self._server
        server._log.add(record)
        if server._listener is not None:
            server._listener(record)


def _storage_failed(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error) or "disk I/O" in str(error)
    return isinstance(error, OSError) and error.errno in _STORAGE_ERRORS


def _shut(connection: Connection) -> None:
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
