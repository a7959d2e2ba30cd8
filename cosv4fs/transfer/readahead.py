"""Read-ahead for ``open(path, "rb")``: fetching overlaps with reading, several ranges at once, in bounded memory.

Small objects come whole. In larger ones, reads that follow one another have more and more ranges fetched ahead, up to
the number of transfers: large reads at once, small ones gradually. Random reads fetch little more than they need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from fsspec.caching import BaseCache

from cosv4fs.concurrency import Pool, Task, TaskGroup, cancellation
from cosv4fs.transfer.hashing import ReadHash
from cosv4fs.transfer.plan import ranges

_LEAST = 1024 * 1024
"""Bytes that a single small read fetches at least."""

_BULK = 256 * 1024
"""Bytes of a read from which on as many ranges as possible are fetched ahead."""


@dataclass(eq=False)
class _FetchedRange:
    start: int
    stop: int
    memory: bytearray
    done: Task
    lent: list[bytearray]
    """The memory until it is given back; an interrupt or another thread that closes must not do that once more."""

    def view(self, start: int, stop: int) -> memoryview:
        return memoryview(self.memory)[start - self.start : stop - self.start]


class ReadAhead(BaseCache):  # type: ignore[misc]
    """A cache as fsspec's files use them: `_fetch` returns the bytes of a range.

    Parameters
    ----------
    blocksize : int
        Bytes of a range; objects up to this size are fetched whole.
    fetch : callable
        Returns the bytes between two offsets: the `fetcher` that fsspec takes over when it puts another cache in the
        place of this one.
    fill : callable
        Fills memory with the bytes from an offset on; called in several threads of `pool` at once.
    size : int
        Bytes of the object.
    pool : Pool
        Runs `fill`, and lends memory.
    position : int
        Offset where reading begins, in bytes.
    read_hash : ReadHash, optional
        Takes what is read of objects with several ranges.
    most : int, optional
        Ranges that are fetched ahead at most; by default the threads of the pool.
    """

    name = "parallel"

    def __init__(
        self,
        blocksize: int,
        fetch: Callable[[int, int], bytes],
        fill: Callable[[int, memoryview], None],
        size: int,
        pool: Pool,
        position: int = 0,
        read_hash: ReadHash | None = None,
        most: int | None = None,
    ) -> None:
        super().__init__(blocksize, fetch, size)
        self._most = min(pool.most, most or pool.most)
        self._hash = read_hash
        self._fill = fill
        self._pool, self._buffers = pool, pool.buffers
        self._group = TaskGroup(pool)
        self._ranges: list[_FetchedRange] = []
        # all bytes of a small object
        self._whole = b""
        self._next = position
        # ranges to fetch ahead
        self._depth = 1

    def close(self) -> None:
        """Stop what is being fetched ahead, and wait until it has ended. No read may use the cache any more.

        The memory is reused at once, so the result of a concurrent read must be discarded.
        """
        self._group.stop(cancel_running=True)
        if self.size <= self.blocksize and not self._whole:
            # a reader may be fetching it in its own thread
            cancellation.cancel(self._group)
        self._whole = b""
        while self._ranges:
            fetched = self._ranges.pop()
            if fetched.done.is_done:
                with suppress(IndexError):
                    self._buffers.give_back(fetched.lent.pop())

    def lose(self) -> None:
        """Have another thread stop what is being fetched ahead. Safe to call from ``__del__``."""
        self._group.lose()

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        start, stop = start or 0, self.size if stop is None else min(stop, self.size)
        if start >= stop:
            return b""
        if self.size <= self.blocksize:
            return self._fetch_whole()[start:stop]
        sequential = start == self._next
        self._evict(start, sequential)
        is_covered = self._cover(start, stop, sequential)
        if sequential:
            # whoever asks for so much at once reads on
            self._depth = self._most if stop - start >= _BULK else min(self._most, self._depth * 2)
            if is_covered:
                self._fetch_ahead(stop)
        else:
            self._depth = 1
        self._next = stop
        return self._collect(start, stop)

    def _fetch_whole(self) -> bytes:
        """Fetch a small object in the reader's own thread: to wake another one costs more than a small request."""
        whole = self._whole
        if not whole:
            with cancellation.working_also_for(self._group):
                whole = self._whole = self.fetcher(0, self.size)
        return whole

    def _evict(self, start: int, sequential: bool) -> None:
        """Drop what lies behind a sequential reader, and the oldest of what a jumping one left."""
        allowed = self._pool.most * self.blocksize // 2
        kept: list[_FetchedRange] = []
        dropped: list[_FetchedRange] = []
        for fetched in reversed(self._ranges):
            allowed -= fetched.stop - fetched.start
            if fetched.stop > start if sequential else allowed >= 0:
                kept.insert(0, fetched)
            elif fetched.done.is_done:
                dropped.append(fetched)
        self._ranges = kept
        for fetched in dropped:
            self._drop(fetched)

    def _drop(self, fetched: _FetchedRange) -> None:
        with suppress(IndexError):
            memory = fetched.lent.pop()
            if self._hash is None:
                self._buffers.give_back(memory)
            else:
                self._hash.give_back(memory, fetched.stop)

    def _cover(self, start: int, stop: int, sequential: bool) -> bool:
        """Start fetching what is missing between two offsets; return False as soon as a part of it has failed."""
        position = start
        begun: deque[_FetchedRange] = deque(maxlen=self._pool.most + 1)
        while position < stop:
            found = self._at(position)
            if found is not None:
                position = found.stop
                continue
            after = min((fetched.start for fetched in self._ranges if fetched.start > position), default=self.size)
            least = self.blocksize if sequential else _LEAST
            end = min(after, max(stop, position + least))
            for wanted in ranges(position, end, self.blocksize):
                self._start(wanted, wait=True)
                begun.append(self._ranges[-1])
                if any(fetched.done.error is not None for fetched in begun):
                    # the read fails here: what lies behind it is not needed
                    return False
            position = end
        return True

    def _fetch_ahead(self, position: int) -> None:
        end = max((fetched.stop for fetched in self._ranges), default=position)
        ahead = sum(fetched.stop > position for fetched in self._ranges)
        for wanted in ranges(end, min(self.size, end + max(0, self._depth - ahead) * self.blocksize), self.blocksize):
            if not self._start(wanted, wait=False):
                return

    def _start(self, wanted: range, wait: bool) -> bool:
        """Start fetching a range; where no thread is free, do it at once, or not at all."""
        memory = self._buffers.borrow(len(wanted))
        # not a method: a running task must not keep this object alive
        fill = partial(self._fill, wanted.start, memoryview(memory)[: len(wanted)])
        task = self._group.try_start(fill, detached=True)
        if task is None:
            if not wait:
                self._buffers.give_back(memory)
                return False
            # in the reader's own thread, which must never wait for a permit
            task = Task(fill)
            task.run()
            if cancellation.is_cancellation(task.error):
                # Ctrl-C is for this thread: it does not wait for the range's turn
                task.wait()
        self._ranges.append(_FetchedRange(wanted.start, wanted.stop, memory, task, [memory]))
        return True

    def _at(self, position: int) -> _FetchedRange | None:
        return next((fetched for fetched in self._ranges if fetched.start <= position < fetched.stop), None)

    def _collect(self, start: int, stop: int) -> bytes:
        views: list[memoryview] = []
        position = start
        while position < stop:
            fetched = self._at(position)
            if fetched is None:
                # another thread has closed the file
                raise ValueError("the read-ahead is closed")
            try:
                fetched.done.wait()
            except BaseException:
                # the next read may try again what has failed; and what refers to the error must not be in its frames
                self._ranges = [kept for kept in self._ranges if kept.done.error is None]
                self._group.discard_done()
                del fetched
                raise
            end = min(stop, fetched.stop)
            views.append(fetched.view(position, end))
            position = end
        if self._hash is not None:
            self._hash.take(start, views)
        return b"".join(views)
