"""Read-ahead for ``open(path, "rb")``: fetching overlaps with reading, several ranges at once, in bounded memory.

Small objects come whole. In larger ones, reads that follow one another open a window of ranges that doubles up to the
number of transfers; reads that jump about fetch what they ask for, and little more.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from fsspec.caching import BaseCache

from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.workers import Workers

__all__ = ["ReadAhead"]

_LEAST = 1024 * 1024
"""Bytes that a single small read fetches at least."""


@dataclass
class _Segment:
    start: int
    stop: int
    data: Future[bytes]


class ReadAhead(BaseCache):  # type: ignore[misc]
    """A cache as fsspec's files use them: `_fetch` returns the bytes of a range.

    Parameters
    ----------
    blocksize : int
        Bytes per range; objects up to this size are fetched whole.
    fetcher : callable
        Returns the bytes from one offset up to another; called from several threads.
    size : int
        Bytes of the object.
    workers : Workers
        Run the ranges.
    """

    name = "parallel"

    def __init__(self, blocksize: int, fetcher: Callable[[int, int], bytes], size: int, workers: Workers) -> None:
        super().__init__(blocksize, fetcher, size)
        self._workers = workers
        self._segments: list[_Segment] = []
        self._next = 0
        self._window = 1

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        start, stop = start or 0, self.size if stop is None else min(stop, self.size)
        if start >= stop:
            return b""
        sequential = start == self._next
        self._forget(start, sequential)
        self._cover(start, stop, sequential)
        if sequential:
            self._fetch_ahead(stop)
        else:
            self._window = 1
        self._next = stop
        return self._collect(start, stop)

    def _forget(self, start: int, sequential: bool) -> None:
        """Drop what lies behind a sequential reader, and the oldest of what a jumping one left."""
        if sequential:
            self._segments = [piece for piece in self._segments if piece.stop > start]
            return
        held = 0
        for index in range(len(self._segments) - 1, -1, -1):
            held += self._segments[index].stop - self._segments[index].start
            if held > self._workers.concurrency * self.blocksize // 2:
                del self._segments[: index + 1]
                return

    def _cover(self, start: int, stop: int, sequential: bool) -> None:
        """Start fetching what is missing between two offsets."""
        position = start
        while position < stop:
            found = self._at(position)
            if found is not None:
                position = found.stop
                continue
            after = min((piece.start for piece in self._segments if piece.start > position), default=self.size)
            least = self.blocksize if sequential or self.size <= self.blocksize else _LEAST
            begin = 0 if self.size <= self.blocksize else position
            end = min(after, max(stop, position + least))
            for piece in ranges(begin, end, self.blocksize):
                self._segments.append(_Segment(piece.offset, piece.stop, self._start(piece.offset, piece.stop)))
            position = end

    def _fetch_ahead(self, position: int) -> None:
        self._window = min(self._workers.concurrency, self._window * 2)
        end = max((piece.stop for piece in self._segments), default=position)
        ahead = sum(piece.stop > position for piece in self._segments)
        for piece in ranges(end, self.size, self.blocksize)[: max(0, self._window - ahead)]:
            future = self._workers.transfer_if_free(self._task(piece.offset, piece.stop))
            if future is None:
                return
            self._segments.append(_Segment(piece.offset, piece.stop, future))

    def _start(self, start: int, stop: int) -> Future[bytes]:
        task = self._task(start, stop)
        future = self._workers.transfer_if_free(task)
        if future is None:
            # all threads are busy: the reader's own does it, so that it never waits for a place
            future = Future()
            try:
                future.set_result(task())
            except OSError as error:
                future.set_exception(error)
        return future

    def _task(self, start: int, stop: int) -> Callable[[], bytes]:
        return lambda: self.fetcher(start, stop)

    def _at(self, position: int) -> _Segment | None:
        return next((piece for piece in self._segments if piece.start <= position < piece.stop), None)

    def _collect(self, start: int, stop: int) -> bytes:
        parts: list[bytes] = []
        while start < stop:
            piece = self._at(start)
            assert piece is not None  # _cover has seen to it
            try:
                data = piece.data.result()
            except OSError:
                # the next read may try again
                self._segments.remove(piece)
                raise
            end = min(stop, piece.stop)
            whole = start == piece.start and end == piece.stop
            parts.append(data if whole else data[start - piece.start : end - piece.start])
            start = end
        return parts[0] if len(parts) == 1 else b"".join(parts)
