"""A server of one address: its connections, and each of their requests with its faults and its record in the log."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import Head
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.faults import CutRequest, Disconnect
from cosv4fs.emulator.heads import BadHeadError
from cosv4fs.emulator.http import HttpServer, read_length
from cosv4fs.emulator.log import RequestRecord
from cosv4fs.emulator.portability import hang_up
from cosv4fs.emulator.replies import FileBody, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.faults import Faults
    from cosv4fs.emulator.http import Connection
    from cosv4fs.emulator.log import RequestLog
    from cosv4fs.emulator.service import Service


class Server:
    """Serves one account over HTTP, on a free port for port 0, or on that which the server `before` has kept.

    `restart` is what its calls have.
    """

    def __init__(
        self,
        service: Service[Any],
        address: tuple[str, int],
        faults: Faults,
        log: RequestLog,
        restart: Callable[[], None],
        before: Server | None = None,
    ) -> None:
        self._service = service
        self._stopping = service.stopping
        self._faults = faults
        self._log = log
        self._restart = restart
        self._connections: set[Connection] = set()
        self._connection_numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._http: HttpServer
        if before is None:
            self._http = HttpServer(address, self._serve, self._accept)
        else:
            self._http = before._http
            self._http.serve, self._http.accept = self._serve, self._accept
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
        """Close the open connections."""
        with self._changed:
            for connection in self._connections:
                hang_up(connection.socket)

    def stop(self, *, keeps_port: bool = False) -> None:
        """Close every connection and wait for the requests in progress; a port that is kept is to be used or freed."""
        self._stopping.set()
        if keeps_port:
            self.mute()
        else:
            self._stop_accepting()
            self.free_port()
        self.hang_up()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, timeout=10)

    def free_port(self) -> None:
        """Let others listen on the port."""
        self._http.server_close()

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
        with self._changed:
            connection.number = next(self._connection_numbers)
            self._connections.add(connection)
        try:
            while not self._stopping.is_set() and self._serve_one(connection):
                pass
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()

    def _serve_one(self, connection: Connection) -> bool:
        """Serve the next request of a connection; False when the connection is to be closed."""
        try:
            head = connection.read_head()
        except BadHeadError as error:
            return self._refuse_head(connection, Head(), error.status)
        if head is None:
            return False
        call = self._service.new_call(head, self._restart)
        try:
            if self._faults.wait_for("body") and self._cut_request(connection, call):
                return False
            call.bytes_in = self._service.receive(call, connection)
            call.number = self._log.next_number()
            try:
                reply = self._answer(call)
            except Disconnect as order:
                self._record(connection, call, Reply(0))
                if order.reset:
                    connection.reset()
                return False
        except BadHeadError as error:
            return self._refuse_head(connection, head, error.status)
        finally:
            self._service.release(call)
            connection.release_body()
        return self._send(connection, call, reply)

    def _cut_request(self, connection: Connection, call: Call) -> bool:
        """Break off within the body of a request, if a fault says so; little may be known of the request."""
        length = read_length(call.head)
        self._service.peek(call, connection.preview if length else bytes)
        cuts = [cut for cut in self._faults.actions(call, "body") if isinstance(cut, CutRequest)]
        if not cuts:
            return False
        call.bytes_in = connection.read_part(min(length, *(cut.count for cut in cuts)))
        call.number = self._log.next_number()
        self._record(connection, call, Reply(0))
        connection.reset()
        return True

    def _refuse_head(self, connection: Connection, head: Head, status: int) -> bool:
        call = self._service.new_call(head, self._restart)
        call.number = self._log.next_number()
        reply = self._service.refuse_head(call, status)
        reply.close = True
        self._send(connection, call, reply)
        connection.drain()
        return False

    def _answer(self, call: Call) -> Reply:
        actions = self._faults.actions(call)
        reply = None
        for action in actions:
            try:
                reply = action.before(call)
            except ApiError as error:
                reply = self._service.refuse(call, error)
            if reply is not None:
                break
        else:
            reply = self._service.run(call)
        self._service.decorate(call, reply)
        for action in actions:
            earlier = reply
            try:
                reply = action.after(call, earlier)
            except ApiError as error:
                reply = self._service.refuse(call, error)
            if reply is not earlier:
                self._service.decorate(call, reply)
        return reply

    def _send(self, connection: Connection, call: Call, reply: Reply) -> bool:
        """Send a reply; False when the connection is to be closed."""
        with_body = call.head.method != "HEAD" and reply.status not in {204, 304}
        close = reply.close or connection.unread or not call.head.keep_alive
        # Recorded before it is sent: a client that has the reply finds the record.
        streamed = isinstance(reply.body, FileBody)
        self._record(connection, call, reply, reply.planned if with_body else 0)
        sent, now = 0, self._service.clock() + call.skew
        try:
            sent = connection.send(reply, self._service.headers(call), now=now, with_body=with_body, close=close)
        finally:
            if streamed:
                self._log.amend(call.number, bytes_out=sent, finished=time.time())
        if reply.reset:
            connection.reset()
        elif connection.unread:
            connection.drain()
        return not close and reply.cut is None

    def _record(self, connection: Connection, call: Call, reply: Reply, bytes_out: int = 0) -> None:
        """Put a request into the log; a status of 0 means that there was no reply."""
        record = RequestRecord(
            number=call.number,
            op=call.op,
            method=call.head.method,
            host=call.head.host,
            bucket=call.path.bucket,
            path=call.path.text,
            query=call.query,
            offset=call.offset,
            range=call.head.headers.get("range"),
            status=reply.status,
            code=reply.code,
            bytes_in=call.bytes_in,
            bytes_out=bytes_out,
            started=call.started,
            finished=time.time(),
            connection=connection.number,
            request_id=call.request_id,
            session=call.session,
        )
        self._log.add(record)
