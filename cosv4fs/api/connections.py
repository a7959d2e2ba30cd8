"""Connections that can be cancelled, and a pool of idle ones without locks that Ctrl-C can leave held."""

from __future__ import annotations

import queue
import socket
from contextlib import suppress
from typing import Any

from cosv4fs.concurrency import cancellation


class Stack:
    """The idle connections of a pool, with the interface that urllib3 expects of `queue.LifoQueue`.

    The locks of that are held by methods written in Python: Ctrl-C can leave them held, and so can a fork.

    Parameters
    ----------
    maxsize : int
        Connections at most.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._items: list[Any] = []

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Return the connection that was added last; never wait.

        Raises
        ------
        Empty
            There is none.
        """
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False, timeout: float | None = None) -> None:
        """Add a connection.

        Raises
        ------
        Full
            There are enough.
        """
        if len(self._items) >= self._most:
            raise queue.Full
        self._items.append(item)

    def qsize(self) -> int:
        """Return the number of connections."""
        return len(self._items)


def cancellable(connection_class: type[Any]) -> type[Any]:
    """Return a connection class whose requests end when the thread that sends them is cancelled."""

    class Cancellable(connection_class):  # type: ignore[misc]
        used_by = 0

        def putrequest(self, *args: Any, **kwargs: Any) -> Any:
            cancellation.register(self)
            return super().putrequest(*args, **kwargs)

        def shut_down(self) -> None:
            if self.sock is not None:
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)

    return Cancellable
