"""From a connection to an API and back: one request after the other, with its faults and its record in the log."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from .api import AnyCall, Api
from .call import Head
from .errors import ApiError
from .faults import CutRequest, Disconnect, Faults
from .http import BadHeadError, Connection, read_length
from .log import RequestLog, RequestRecord
from .replies import FileBody, Reply

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Dispatcher(Generic[AnyCall]):
    """Serves the requests of connections.

    Parameters
    ----------
    api : Api
        The protocol with its account.
    faults : Faults
        The ordered faults.
    log : RequestLog
        Where requests are recorded.
    restart : callable
        Restarts the emulator soon, from a thread of its own.
    numbers : iterator
        Gives the requests their numbers.
    """

    api: Api[AnyCall]
    faults: Faults
    log: RequestLog
    restart: Callable[[], None]
    numbers: itertools.count[int]

    def serve_one(self, connection: Connection, number: int) -> bool:
        """Serve the next request of a connection; False when the connection is to be closed."""
        try:
            head = connection.read_head()
        except BadHeadError as error:
            self._refuse_head(connection, number, Head("", "", "HTTP/1.1", {}), error.status)
            return False
        if head is None:
            return False
        call = self.api.new_call(head, self.restart)
        started = time.time()
        try:
            if self.faults.wait_for("body") and self._cut_request(connection, number, call):
                return False
            length = self.api.receive(call, connection)
            exchange = _Exchange(self, connection, number, call, length, started)
            try:
                reply = self._answer(call)
            except Disconnect as order:
                exchange.record(0, 0, 0)
                if order.reset:
                    connection.reset()
                return False
        except BadHeadError as error:
            self._refuse_head(connection, number, head, error.status)
            return False
        finally:
            self.api.release(call)
            connection.release_body()
        return exchange.send(reply)

    def _cut_request(self, connection: Connection, number: int, call: AnyCall) -> bool:
        """Break off within the body of a request, if a fault says so; little may be known of the request."""
        length = read_length(call.head)
        self.api.peek(call, connection.preview if length else bytes)
        cuts = [cut for cut in self.faults.actions(call, "body") if isinstance(cut, CutRequest)]
        if not cuts:
            return False
        count = connection.read_part(min(length, *(cut.count for cut in cuts)))
        _Exchange(self, connection, number, call, count).record(0, 0, 0)
        connection.reset()
        return True

    def _refuse_head(self, connection: Connection, number: int, head: Head, status: int) -> None:
        call = self.api.new_call(head, self.restart)
        reply = self.api.refuse_head(call, status)
        reply.close = True
        _Exchange(self, connection, number, call, 0).send(reply)

    def _answer(self, call: AnyCall) -> Reply:
        actions = self.faults.actions(call)
        reply = None
        for action in actions:
            try:
                reply = action.before(call)
            except ApiError as error:
                reply = self.api.refuse(call, error)
            if reply is not None:
                break
        else:
            reply = self.api.run(call)
        self.api.decorate(call, reply)
        for action in actions:
            earlier, reply = reply, action.after(call, reply)
            if reply is not earlier:
                self.api.decorate(call, reply)
        return reply


@dataclass
class _Exchange(Generic[AnyCall]):
    """One request and its reply on a connection, with the record of both."""

    dispatcher: Dispatcher[AnyCall]
    connection: Connection
    connection_number: int
    call: AnyCall
    bytes_in: int
    started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self._number = next(self.dispatcher.numbers)

    def send(self, reply: Reply) -> bool:
        """Send the reply; False when the connection is to be closed."""
        call, api = self.call, self.dispatcher.api
        with_body = call.head.method != "HEAD" and reply.status not in {204, 304}
        close = reply.close or call.unread or not call.head.keep_alive
        # Recorded before it is sent: a client that has the reply finds the record.
        streamed = isinstance(reply.body, FileBody)
        self.record(reply.status, reply.code, reply.planned if with_body else 0)
        sent, now = 0, api.clock() + call.skew
        try:
            sent = self.connection.send(reply, api.headers(call), now=now, with_body=with_body, close=close)
        finally:
            if streamed:
                self.dispatcher.log.amend(self._number, bytes_out=sent, finished=time.time())
        if reply.reset:
            self.connection.reset()
        return not close and reply.cut is None

    def record(self, status: int, code: int | str, bytes_out: int) -> None:
        """Put the request into the log."""
        call = self.call
        record = RequestRecord(
            number=self._number,
            op=call.op,
            method=call.head.method,
            host=call.head.host,
            bucket=call.path.bucket,
            path=call.path.text,
            query=call.query,
            offset=call.offset,
            range=call.head.headers.get("range"),
            status=status,
            code=code,
            bytes_in=self.bytes_in,
            bytes_out=bytes_out,
            started=self.started,
            finished=time.time(),
            connection=self.connection_number,
            request_id=call.request_id,
            session=call.session,
        )
        self.dispatcher.log.add(record)
