"""Stopping requests that are under way in other threads: what Ctrl-C needs to be prompt.

A thread that waits for a socket notices nothing. So each connection is known by the thread that uses it, and stopping
a thread shuts its socket down; what it does next raises `InterruptedError` instead of trying again.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cosv4fs.errors import make_error

__all__ = ["Interrupts", "tracked"]

_CHECK_EVERY = 0.2
"""Seconds between looks at whether a waiting thread was stopped."""


class Interrupts:
    """Which threads work for whom, which were stopped, and which connections they use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, object] = {}
        self._stopped: set[int] = set()
        self._connections: dict[int, Any] = {}

    def check(self) -> None:
        """Raise when the calling thread was stopped.

        Raises
        ------
        InterruptedError
            EINTR.
        """
        if threading.get_ident() in self._stopped:
            raise make_error(errno.EINTR, "interrupted", None)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the calling thread is stopped meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _CHECK_EVERY))
        self.check()

    @contextmanager
    def working_for(self, owner: object | None) -> Iterator[None]:
        """Let the calling thread work for an owner, who may stop it; for None nobody may."""
        ident = threading.get_ident()
        with self._lock:
            before, was_stopped = self._owners.get(ident), ident in self._stopped
            self._set(ident, owner, stopped=False)
        try:
            yield
        finally:
            with self._lock:
                self._set(ident, before, was_stopped)

    def _set(self, ident: int, owner: object | None, stopped: bool) -> None:
        if owner is None:
            self._owners.pop(ident, None)
        else:
            self._owners[ident] = owner
        if stopped:
            self._stopped.add(ident)
        else:
            self._stopped.discard(ident)

    def use(self, connection: Any) -> None:
        """Note that the calling thread sends its request on a connection.

        Raises
        ------
        InterruptedError
            The thread was stopped while it was connecting.
        """
        connection.used_by = threading.get_ident()
        self._connections[connection.used_by] = connection
        self.check()

    def is_busy(self, owner: object) -> bool:
        """Tell whether any thread works for an owner."""
        with self._lock:
            return any(known is owner for known in self._owners.values())

    def stop(self, owner: object) -> None:
        """Stop all threads that work for an owner: their sockets are shut down, and they send nothing more."""
        with self._lock:
            for ident in [ident for ident, known in self._owners.items() if known is owner]:
                self._stopped.add(ident)
                connection = self._connections.get(ident)
                # a connection goes back to a pool and to other threads: only its last user may be disturbed
                if connection is not None and connection.used_by == ident and connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)


def tracked(connection_class: type[Any], interrupts: Interrupts) -> type[Any]:
    """Return a connection class that tells `interrupts` of every request."""

    class Tracked(connection_class):  # type: ignore[misc]
        used_by = 0

        def putrequest(self, *args: Any, **kwargs: Any) -> Any:
            interrupts.use(self)
            return super().putrequest(*args, **kwargs)

    return Tracked
