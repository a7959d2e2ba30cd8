"""The SHA-1 of content whose pieces pass through several threads, taken beside the transfer.

A thread offers the piece that it has in memory, then sends it. SHA-1 needs the pieces in order: whichever thread finds
the next one offered hashes it, and all that follow without a gap, while the others go on. Hashing releases the GIL, so
on a second processor it costs no time, and nothing is read twice.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cosv4fs.concurrency import Pool, Task, cancellation
from cosv4fs.errors import make_error

if TYPE_CHECKING:
    from typing_extensions import Self

_HAND_OVER = 4 * 1024 * 1024
"""Bytes from which waking another thread pays off."""

_MOST_LEFT = 2
"""Buffers that wait to be hashed before they are reused."""


class ContentHash:
    """The SHA-1 of content that is offered in pieces, in any order and by any threads.

    The memory of a piece must stay unchanged until `wait_for` returns. Enter the object after the `TaskGroup` whose
    tasks use it: if the block fails, waiting tasks then end before the group waits for them.

    >>> content = ContentHash()
    >>> content.add(5, memoryview(b" world"))
    >>> content.add(0, memoryview(b"hello"))
    >>> content.hexdigest(11)
    '2aae6c35c94fcfb415dbe95f408b9ce91ee846ed'
    """

    def __init__(self) -> None:
        # replaced in one step: right at any moment, also in a forked child
        self._state = hashlib.sha1(usedforsecurity=False), 0
        self._offered: dict[int, memoryview | Iterable[memoryview]] = {}
        # held by the thread that hashes; no thread waits for it
        self._turn = threading.Lock()
        self._waiting: list[tuple[int, SimpleQueue[None]]] = []
        self._is_stopped = False

    @property
    def hashed(self) -> int:
        """Bytes that are hashed: everything before this offset."""
        return self._state[1]

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
        self.offer(offset, content)
        self.hash_offered()

    def offer(self, offset: int, content: memoryview | Iterable[memoryview]) -> None:
        """Offer a piece without hashing it; `hash_offered`, in any thread, does that later."""
        self._offered[offset] = content

    def hash_offered(self) -> None:
        """Hash what is next in order and offered, unless another thread does."""
        # check again after each turn: a thread that found the lock taken has left its piece to this one
        while self.hashed in self._offered and self._turn.acquire(blocking=False):
            try:
                self._hash_next()
            finally:
                self._turn.release()

    def _hash_next(self) -> None:
        digest, hashed = self._state
        # taken first: an interrupt leaves a gap, so that nothing wrong is ever returned
        content = self._offered.pop(hashed, None)
        if content is None:
            return
        digest = digest.copy()
        # one at a time: a piece may be read into the memory of the one before
        for piece in (content,) if isinstance(content, memoryview) else content:
            digest.update(piece)
            hashed += piece.nbytes
        self._state = digest, hashed
        for offset, done in list(self._waiting):
            if offset <= hashed:
                done.put(None)

    def wait_for(self, offset: int) -> None:
        """Wait until everything before `offset` is hashed, so that its memory can be reused.

        Raises
        ------
        InterruptedError
            EINTR: the calling thread was cancelled, or hashing was stopped.
        """
        self._wait(offset, all_offered=False)

    def _wait(self, offset: int, *, all_offered: bool) -> None:
        if self.hashed >= offset:
            return
        done: SimpleQueue[None] = SimpleQueue()
        waiter = offset, done
        self._waiting.append(waiter)
        try:
            while self.hashed < offset:
                if self._is_stopped:
                    raise make_error(errno.EINTR, "cancelled: the content is not complete", None)
                self.hash_offered()
                if all_offered and self._lacks(offset):
                    raise ValueError(f"no piece was offered at {self.hashed}")
                # never without a limit: a signal that comes just before the wait is seen only when it is over
                with suppress(Empty):
                    done.get(timeout=cancellation.CHECK_EVERY)
                cancellation.check()
        finally:
            self._waiting.remove(waiter)

    def _lacks(self, offset: int) -> bool:
        """Return whether the next piece before `offset` is missing: no thread hashes it, and none was offered."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            return self.hashed < offset and self.hashed not in self._offered
        finally:
            self._turn.release()

    def hexdigest(self, size: int) -> str:
        """Hash the rest of a content of `size` bytes that was offered completely; return the SHA-1 in hex.

        Raises
        ------
        InterruptedError
            As for `wait_for`.
        ValueError
            More bytes were offered, or a piece was not.
        """
        self._wait(size, all_offered=True)
        digest, hashed = self._state
        if hashed != size:
            raise ValueError(f"{hashed} bytes were hashed of a content of {size}")
        return digest.hexdigest()

    def resumed(self) -> ContentHash:
        """Return the hash of what was hashed so far, without what was only offered, and without waiting for a thread.

        To go on after an interrupt, or in a forked child, which has no threads: the pieces are offered once more.
        """
        resumed = ContentHash()
        resumed._state = self._state
        return resumed

    def stop(self) -> None:
        """End all waiting, now and later, for pieces that are not hashed: some will not come."""
        self._is_stopped = True
        for _, done in list(self._waiting):
            done.put(None)


class ReadHash:
    """The SHA-1 of an object that is read in order; bytes read out of order do not count.

    Another thread hashes what was read while the reader uses it. A read at offset 0 starts over.

    Parameters
    ----------
    size : int
        Bytes of the object.
    pool : Pool
        Its threads hash where they have nothing else to do; otherwise the reader does.
    """

    def __init__(self, size: int, pool: Pool) -> None:
        self._size, self._pool = size, pool
        self._begin_again()

    def _begin_again(self) -> None:
        # nothing counts before the end of this: an interrupt may come at any step
        self._taken = self._size + 1
        self._content = ContentHash()
        self._task: Task | None = None
        # what may not be hashed yet
        self._pieces: deque[tuple[int, memoryview]] = deque()
        self._left: deque[tuple[int, bytearray]] = deque()
        self._taken = 0

    @property
    def is_complete(self) -> bool:
        """Whether the object was read from its first to its last byte."""
        return self._taken == self._size

    def take(self, start: int, views: Iterable[memoryview]) -> None:
        """Take what was read, in order or not.

        Parameters
        ----------
        start : int
            Where it begins, in bytes.
        views : iterable of memoryview
            What was read there, and what follows it; the memory must not change until it is hashed.
        """
        if start == 0 and self._taken:
            self._begin_again()
        with self._resumable():
            for view in views:
                stop = start + len(view)
                if start <= self._taken < stop:
                    self._take(view[self._taken - start :])
                start = stop
            self._go_on()

    def _take(self, view: memoryview) -> None:
        while self._pieces and self._pieces[0][0] < self._content.hashed:
            self._pieces.popleft()
        self._pieces.append((self._taken, view))
        self._content.offer(self._taken, view)
        self._taken += len(view)

    def _go_on(self) -> None:
        threads = self._pool.threads
        if not threads.has_idle or not (self._task is None or self._task.is_done):
            # while the memory is in the processor's cache, unless another thread hashes
            self._content.hash_offered()
        elif self._taken - self._content.hashed >= _HAND_OVER:
            self._task = Task(self._content.hash_offered)
            # without a permit of the window, because it sends nothing; no one waits for it
            threads.submit(self._task)

    def give_back(self, memory: bytearray, stop: int) -> None:
        """Return a buffer, which ends at offset `stop`, to the pool once its bytes are hashed."""
        with self._resumable():
            self._left.append((min(stop, self._taken), memory))
            if len(self._left) > _MOST_LEFT:
                self._content.wait_for(self._left[0][0])
            while self._left and self._left[0][0] <= self._content.hashed:
                self._pool.buffers.give_back(self._left.popleft()[1])

    def hexdigest(self) -> str:
        """Return the SHA-1 of the object, which is complete, in hex; hash the rest.

        Raises
        ------
        InterruptedError
            EINTR: the calling thread was cancelled.
        """
        with self._resumable():
            return self._content.hexdigest(self._size)

    def resume(self) -> None:
        """Offer what is not hashed once more: after an interrupt, or in a forked child, which has no other threads."""
        while self._pieces and self._pieces[-1][0] >= self._taken:
            # the interrupt came before it counted, and the repeated read has other borders
            self._pieces.pop()
        self._content, self._task = self._content.resumed(), None
        for start, view in self._pieces:
            self._content.offer(start, view)

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.resume()
            raise
