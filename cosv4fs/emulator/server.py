"""A server of one address: its thread, its connections, and how it stops."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from typing import TYPE_CHECKING, Generic

from .api import AnyCall
from .http import Connection, HttpServer

if TYPE_CHECKING:
    from .dispatcher import Dispatcher


class Server(Generic[AnyCall]):
    """Serves one account over HTTP.

    Parameters
    ----------
    dispatcher : Dispatcher
        Serves the requests.
    address : tuple
        Host and port; port 0 for a free one.
    """

    def __init__(self, dispatcher: Dispatcher[AnyCall], address: tuple[str, int]) -> None:
        self._dispatcher = dispatcher
        self._stopping = dispatcher.api.stopping
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
        """Close the open connections."""
        with self._changed:
            for connection in self._connections.values():
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close every connection and wait for the requests in progress."""
        self._stopping.set()
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
        return not self._dispatcher.faults.actions(None, "connection")

    def _serve(self, connection: Connection) -> None:
        number = next(self._connection_numbers)
        with self._changed:
            self._connections[number] = connection
        try:
            while not self._stopping.is_set() and self._dispatcher.serve_one(connection, number):
                pass
        finally:
            with self._changed:
                del self._connections[number]
                self._changed.notify_all()
