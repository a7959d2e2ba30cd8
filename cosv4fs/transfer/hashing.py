"""The SHA-1 of content whose pieces pass through several threads, taken beside the transfer.

A thread offers the piece that it has in memory, then sends it. SHA-1 needs the pieces in order: whichever thread finds
the next one offered hashes it, and all that follow without a gap, while the others go on. Hashing releases the GIL, so
on a second processor it costs no time, and nothing is read twice.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cosv4fs.concurrency import cancellation
from cosv4fs.errors import make_error

if TYPE_CHECKING:
    from typing_extensions import Self


class ContentHash:
    """The SHA-1 of content that is offered in pieces, in any order and by any threads.

    Whoever offers a piece keeps its memory until `wait_for` has returned. To let nobody wait for a piece that will
    never come, use the object as a context inside that of the tasks: an error stops it before the tasks are waited for.

    >>> content = ContentHash()
    >>> content.add(5, memoryview(b" world"))
    >>> content.add(0, memoryview(b"hello"))
    >>> content.hexdigest(11)
    '2aae6c35c94fcfb415dbe95f408b9ce91ee846ed'
    """

    def __init__(self) -> None:
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._hashed = 0
        self._offered: dict[int, memoryview | Iterable[memoryview]] = {}
        # held by the thread that hashes; no thread waits for it
        self._turn = threading.Lock()
        self._waiting: list[tuple[int, SimpleQueue[None]]] = []
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.stop()

    def add(self, offset: int, content: memoryview | Iterable[memoryview]) -> None:
        """Offer the piece at `offset`, each once; hash what is next in order unless another thread does.

        Parameters
        ----------
        offset : int
            Where the piece begins, in bytes.
        content : memoryview or iterable of memoryview
            The piece, in one view or several; it must not change until it is hashed.
        """
        self._offered[offset] = content
        # asked again after each turn: a thread that found it taken has left its piece to this one
        while self._hashed in self._offered and self._turn.acquire(blocking=False):
            try:
                self._hash_next()
            finally:
                self._turn.release()

    def _hash_next(self) -> None:
        # taken first: an interrupt leaves a gap, so that nothing wrong is ever returned
        content = self._offered.pop(self._hashed, None)
        if content is None:
            return
        length = 0
        # one at a time: a piece may be read into the memory of the one before
        for piece in (content,) if isinstance(content, memoryview) else content:
            self._sha1.update(piece)
            length += piece.nbytes
        self._hashed += length
        for offset, done in list(self._waiting):
            if offset <= self._hashed:
                done.put(None)

    def wait_for(self, offset: int) -> None:
        """Wait until everything before `offset` is hashed, so that its memory can be reused.

        Raises
        ------
        InterruptedError
            EINTR: the calling thread was cancelled, or hashing was stopped.
        """
        if self._hashed >= offset:
            return
        done: SimpleQueue[None] = SimpleQueue()
        waiter = offset, done
        self._waiting.append(waiter)
        try:
            while self._hashed < offset:
                if self._is_stopped:
                    raise make_error(errno.EINTR, "cancelled: the content is not complete", None)
                # never without a limit: a signal that comes just before the wait is seen only when it is over
                with suppress(Empty):
                    done.get(timeout=cancellation.CHECK_EVERY)
                cancellation.check()
        finally:
            self._waiting.remove(waiter)

    def hexdigest(self, size: int) -> str:
        """Wait until all `size` bytes of the content are hashed; return their SHA-1 in hex.

        Raises
        ------
        InterruptedError
            As for `wait_for`.
        ValueError
            More bytes were offered.
        """
        self.wait_for(size)
        if self._hashed != size:
            raise ValueError(f"{self._hashed} bytes were hashed of a content of {size}")
        return self._sha1.hexdigest()

    def stop(self) -> None:
        """End all waiting, now and later, for pieces that are not hashed: some will not come."""
        self._is_stopped = True
        for _, done in list(self._waiting):
            done.put(None)
