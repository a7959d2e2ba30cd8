"""Uploading a source that can be read again: in pieces, several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool, TaskGroup, cancellation
from cosv4fs.errors import CosError, CosUploadSessionError
from cosv4fs.transfer.piecewise import PiecewiseUpload
from cosv4fs.transfer.plan import ByteRange, UploadPlan
from cosv4fs.transfer.sources import Source

Progress = Callable[[int], None]

_RECOVERIES = 2
"""How often a refused session is recovered: by sending in order, then by starting again on another sibling."""


def send_source(pool: Pool, upload: PiecewiseUpload[Client], source: Source, progress: Progress | None = None) -> None:
    """Open an upload, send its source, and finish it.

    On failure nothing is left behind, unless a later process can continue: then the unfinished upload stays, invisible,
    and the journal has a record of it.

    Parameters
    ----------
    pool : Pool
        Sends the pieces.
    upload : PiecewiseUpload
        Of the source; when its target is deferred, it is still to be published.
    progress : callable, optional
        Called with the number of bytes of each piece that was sent; never from two threads at once.
    """
    sender = _Sender(pool, upload, source, _Counter(progress))
    try:
        sender.run()
    except BaseException as error:
        is_transient = isinstance(error, CosError) and error.is_transient
        if not (upload.is_resumable and (is_transient or cancellation.is_cancellation(error))):
            cancellation.clean_up(partial(_abort_quietly, upload))
        raise


def _abort_quietly(upload: PiecewiseUpload[Client]) -> None:
    with suppress(OSError):
        upload.abort()


class _Counter:
    """Reports bytes; when they are sent again, only those beyond what was reported before.

    Parameters
    ----------
    progress : callable or None
        Called with a number of bytes.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._sent = self._reported = 0

    def add(self, count: int) -> None:
        """Count bytes that were sent."""
        self._sent += count
        if self._progress is not None and self._sent > self._reported:
            self._progress(self._sent - self._reported)
            self._reported = self._sent

    def reset(self) -> None:
        """Count from the beginning: everything is sent again."""
        self._sent = 0


class _Sender:
    """Sends one source: the loop around the plan, and the lock around both."""

    def __init__(self, pool: Pool, upload: PiecewiseUpload[Client], source: Source, counter: _Counter) -> None:
        self._pool, self._upload, self._source, self._counter = pool, upload, source, counter
        self._lock = threading.Lock()

    def run(self) -> None:
        """Open, send and finish; recover a refused session some times."""
        self._upload.open()
        if self._upload.is_stored:
            self._counter.add(self._source.size)
        for _ in range(_RECOVERIES):
            with suppress(CosUploadSessionError):
                self._send_and_finish()
                return
            self._upload.recover()
            self._counter.reset()
        self._send_and_finish()

    def _send_and_finish(self) -> None:
        plan = self._upload.make_plan()
        if plan.serial:
            for task in self._tasks(plan):
                task()
        else:
            with TaskGroup(self._pool) as group:
                for task in self._tasks(plan):
                    group.start(task)
                group.wait()
        self._source.check_unchanged()
        self._upload.finish()

    def _tasks(self, plan: UploadPlan) -> Iterator[Callable[[], None]]:
        """Yield a task for every missing piece."""
        self._counter.add(plan.done_bytes)
        while True:
            with self._lock:
                piece = plan.next()
            if piece is None:
                return
            yield partial(self._send, plan, piece)

    def _send(self, plan: UploadPlan, piece: ByteRange) -> None:
        try:
            with self._source.lend(piece.offset, piece.length, self._pool.buffers) as view:
                self._upload.send(piece, view)
        except BaseException:
            with self._lock:
                plan.failed(piece)
            raise
        with self._lock:
            plan.succeeded(piece)
            self._counter.add(piece.length)
