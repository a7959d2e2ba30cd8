"""Stopping requests that other threads have in flight, and cleaning up in a hurry: what Ctrl-C needs to be prompt.

A thread that waits for a socket notices nothing. So each connection is known by the thread that uses it, and stopping
a thread shuts its socket down; what it does next raises `InterruptedError` instead of trying again.
"""

from __future__ import annotations

import errno
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cosv4fs.errors import make_error
from cosv4fs.forking import renewed_after_fork

__all__ = ["Interrupts", "Stack", "is_stop", "tracked"]

_CHECK_EVERY = 0.2
"""Seconds between looks at whether a waiting thread was stopped."""

_HURRY = 5.0
"""Seconds that cleaning up after an interrupt may take in all."""


class Interrupts:
    """Which threads work for whom, which were stopped, which are in a hurry, and which connections they use.

    Every thread changes only what is noted of itself, in single steps: Ctrl-C may come between any two.
    """

    def __init__(self) -> None:
        self.after_fork()
        renewed_after_fork(self)

    def after_fork(self) -> None:
        """Forget the threads of the parent, and what they held."""
        self._lock = threading.Lock()
        self._owners: dict[int, object] = {}
        self._stopped: set[int] = set()
        self._connections: dict[int, Any] = {}
        self._hurried: dict[int, float] = {}

    @property
    def is_stopped(self) -> bool:
        """Whether the calling thread was stopped."""
        return threading.get_ident() in self._stopped

    def check(self) -> None:
        """Raise when the calling thread was stopped.

        Raises
        ------
        InterruptedError
            EINTR.
        """
        if self.is_stopped:
            raise make_error(errno.EINTR, "interrupted", None)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the calling thread is stopped meanwhile, or has no time for a second attempt."""
        if self.seconds_left() is not None:
            raise make_error(errno.EINTR, "interrupted: not tried again", None)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _CHECK_EVERY))
        self.check()

    def seconds_left(self) -> float | None:
        """Return how long the calling thread may still take to clean up; None when it is in no hurry.

        Raises
        ------
        InterruptedError
            The time is over.
        """
        end = self._hurried.get(threading.get_ident())
        if end is None:
            return None
        left = end - time.monotonic()
        if left <= 0:
            raise make_error(errno.EINTR, "interrupted: there was no time to clean up", None)
        return left

    def clean_up(self, action: Callable[[], object]) -> None:
        """Remove what a failed operation leaves; the thread cannot be stopped meanwhile.

        While an interrupt is being handled, there are only some seconds for it, and one attempt for each request: a
        service that hangs must not delay the end of the program. Another Ctrl-C ends it at once.
        """
        ident = threading.get_ident()
        if ident not in self._hurried and is_stop(sys.exc_info()[1]):
            try:
                self._hurried[ident] = time.monotonic() + _HURRY
                self._clean_up(action)
            finally:
                # one step, which nothing can interrupt
                self._hurried.pop(ident, None)
        else:
            self._clean_up(action)

    def _clean_up(self, action: Callable[[], object]) -> None:
        with self.working_for(None):
            action()

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


class Stack:
    """The connections of a pool that nobody uses, as urllib3 keeps them; without the locks of `queue.LifoQueue`.

    Those are held by methods written in Python: Ctrl-C can leave them held, and so can a fork.

    Parameters
    ----------
    maxsize : int
        Connections at most.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._items: list[Any] = []

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Return the newest; never wait.

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
        """Add one.

        Raises
        ------
        Full
            There are enough.
        """
        if len(self._items) >= self._most:
            raise queue.Full
        self._items.append(item)

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self._items)


def tracked(connection_class: type[Any], interrupts: Interrupts) -> type[Any]:
    """Return a connection class that tells `interrupts` of every request."""

    class Tracked(connection_class):  # type: ignore[misc]
        used_by = 0

        def putrequest(self, *args: Any, **kwargs: Any) -> Any:
            interrupts.use(self)
            return super().putrequest(*args, **kwargs)

    return Tracked


def is_stop(error: BaseException | None) -> bool:
    """Return whether an error means that the user wants everything to end: Ctrl-C here, or in a waiting thread."""
    return isinstance(error, InterruptedError) or not isinstance(error, (Exception, type(None)))
