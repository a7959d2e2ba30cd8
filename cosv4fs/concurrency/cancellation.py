"""Cancelling what threads do, and cleaning up in bounded time: what Ctrl-C needs to be prompt.

A thread that waits for a socket notices nothing. Each thread therefore registers the connection that it uses, and
cancelling the thread shuts that connection down. The thread's next check raises `InterruptedError`, so that nothing is
retried.

A thread works for an *owner*, usually a `TaskGroup`, and is cancelled through it. Threads and signals belong to the
process, and so does this registry. Every thread changes only its own records, in single steps: Ctrl-C may come between
any two.
"""

from __future__ import annotations

import errno
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from cosv4fs.errors import make_error
from cosv4fs.forking import PerProcess, shared_lock

CHECK_EVERY = 0.2
"""Seconds between checks of whether a waiting thread was cancelled."""

_CLEAN_UP_SECONDS = 5.0
"""Seconds that cleaning up after an interrupt may take in all."""


class Connection(Protocol):
    """What a thread may wait for."""

    used_by: int
    """The thread that used it last. It returns to a pool, and from there to other threads."""

    def shut_down(self) -> None:
        """End what waits for it; called from another thread."""


@dataclass(eq=False)
class _SecondOwner:
    """One more owner of a thread, and whether it has cancelled the thread."""

    owner: object
    has_cancelled: bool = False


class _ThreadRecords:
    """The owners, cancellations, connections and clean-up deadlines of the threads of one process."""

    def __init__(self) -> None:
        self.lock = shared_lock()
        self.owners: dict[int, object] = {}
        self.second_owners: dict[int, _SecondOwner] = {}
        self.cancelled: set[int] = set()
        # weak: a thread must not keep the last connection that it used
        self.connections: dict[int, weakref.ref[Connection]] = {}
        self.deadlines: dict[int, float] = {}

    def shut_down(self, ident: int) -> None:
        known = self.connections.get(ident)
        connection = None if known is None else known()
        if connection is not None and connection.used_by == ident:
            connection.shut_down()

    def assign(self, ident: int, owner: object | None, *, cancelled: bool) -> None:
        if owner is None:
            self.owners.pop(ident, None)
        else:
            self.owners[ident] = owner
        if cancelled:
            self.cancelled.add(ident)
        else:
            self.cancelled.discard(ident)


# called at every step: a block that was entered before a fork may be left in the child
_threads = PerProcess(_ThreadRecords)


def is_cancelled(ident: int | None = None) -> bool:
    """Return whether a thread was cancelled; the calling one unless `ident` names another."""
    threads, ident = _threads(), ident or threading.get_ident()
    if ident in threads.cancelled:
        return True
    second = threads.second_owners.get(ident)
    return second is not None and second.has_cancelled


def check_interpreter() -> None:
    """Raise ECANCELED when the interpreter shuts down, after the ``atexit`` functions.

    All threads but one are frozen then, also those that hold locks or that are waited for, and the libraries below can
    import nothing: a request would be sent, and its reply would be lost.
    """
    if sys.is_finalizing():
        text = (
            "the interpreter is shutting down: use files and filesystems earlier, in an atexit function at the latest"
        )
        raise make_error(errno.ECANCELED, text, None)


def check(ident: int | None = None) -> None:
    """Raise EINTR if a thread was cancelled; the calling one unless `ident` names another."""
    check_interpreter()
    if is_cancelled(ident):
        raise make_error(errno.EINTR, "interrupted", None)


def sleep(seconds: float) -> None:
    """Wait before a retry; raise EINTR if the thread is cancelled, or cleans up and has no time for a retry."""
    if seconds_left() is not None:
        raise make_error(errno.EINTR, "interrupted: not retried", None)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, CHECK_EVERY))
    check()


def seconds_left() -> float | None:
    """Return how many seconds the calling thread may still clean up, None without a limit; raise EINTR after them."""
    end = _threads().deadlines.get(threading.get_ident())
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise make_error(errno.EINTR, "interrupted: there was no time to clean up", None)
    return left


def clean_up(action: Callable[[], object]) -> None:
    """Remove what a failed operation leaves; the calling thread cannot be cancelled meanwhile.

    While an interrupt is handled, this takes some seconds at most, and every request has one attempt: a service that
    hangs must not delay the end of the program. Another Ctrl-C ends it at once.
    """
    ident = threading.get_ident()
    is_limited = ident not in _threads().deadlines and is_cancellation(sys.exc_info()[1])
    with working_for(None):
        if not is_limited:
            action()
            return
        try:
            _threads().deadlines[ident] = time.monotonic() + _CLEAN_UP_SECONDS
            action()
        finally:
            # one step, which nothing can interrupt
            _threads().deadlines.pop(ident, None)


@contextmanager
def working_for(owner: object | None) -> Iterator[None]:
    """Let `cancel` of an owner cancel the calling thread during a block; None shields the thread."""
    ident = threading.get_ident()
    with _threads().lock:
        before, was_cancelled = _threads().owners.get(ident), ident in _threads().cancelled
        _threads().assign(ident, owner, cancelled=False)
    try:
        yield
    finally:
        with _threads().lock:
            _threads().assign(ident, before, cancelled=was_cancelled)


@contextmanager
def working_also_for(owner: object) -> Iterator[None]:
    """Let `cancel` of one more owner cancel the calling thread during a block, and not any longer; not nested.

    The calling thread may be the program's own, where Ctrl-C may come at any step: nothing must be left behind. For
    blocks that have nothing to clean up, because `clean_up` does not shield the thread from this owner.
    """
    ident, second_owners = threading.get_ident(), _threads().second_owners
    try:
        second_owners[ident] = _SecondOwner(owner)
        yield
    finally:
        # one step, which nothing can interrupt
        second_owners.pop(ident, None)


def register(connection: Connection) -> None:
    """Note that the calling thread sends its request on a connection; raise EINTR if it was cancelled meanwhile."""
    connection.used_by = threading.get_ident()
    _threads().connections[connection.used_by] = weakref.ref(connection)
    check()


def cancel(owner: object) -> None:
    """Cancel all threads that work for an owner: their connections are shut down, and they send nothing more."""
    threads = _threads()
    with threads.lock:
        for ident, known in list(threads.owners.items()):
            if known is owner:
                threads.cancelled.add(ident)
                threads.shut_down(ident)
        for ident, second in list(threads.second_owners.items()):
            if second.owner is owner:
                second.has_cancelled = True
                threads.shut_down(ident)


def is_cancellation(error: BaseException | None) -> bool:
    """Return whether an error means that everything has to end: Ctrl-C in this thread, or a cancelled one."""
    return isinstance(error, InterruptedError) or not isinstance(error, (Exception, type(None)))
