"""Uploading what can be read again: in pieces, several at once, of whichever kind the service wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

from cosv4fs.api import is_transient
from cosv4fs.concurrency import TaskGroup, cancellation
from cosv4fs.errors import CosUploadSessionError
from cosv4fs.transfer.journal import NO_ENTRY, Entry
from cosv4fs.transfer.placed import PlacedUpload
from cosv4fs.transfer.plan import Slice
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.uploader import Uploader
from cosv4fs.transfer.workers import Workers

__all__ = ["upload_source"]

Progress = Callable[[int], None]

_RECOVERIES = 2
"""How often an upload goes on in another way when its session is refused: in order, then at another place."""


def upload_source(
    uploader: Uploader,
    workers: Workers,
    target: Target,
    source: Source,
    slice_size: int,
    progress: Progress | None = None,
    entry: Entry = NO_ENTRY,
) -> PlacedUpload:
    """Upload a source in slices or parts, several at once.

    On failure nothing is left behind, unless a later process can continue: then the unfinished upload stays,
    invisible, and the journal knows it.

    Parameters
    ----------
    slice_size : int
        Bytes per slice to ask for; the server, or the number of parts that it takes, decides.
    progress : callable, optional
        Called with the number of bytes of each slice that has arrived; never from two threads at once.
    entry : Entry
        The journal's page for the source.

    Returns
    -------
    PlacedUpload
        Finished; to be published when the target is deferred.
    """
    counted = None if progress is None else _Counted(progress)
    upload = uploader.resend(target, source, workers, slice_size, entry)
    try:
        upload.open()
        if upload.is_stored and counted is not None:
            counted.add(source.size)
        _complete(upload, workers, source, counted)
    except BaseException as error:
        if not (entry.is_kept and _may_pass(error)):
            cancellation.clean_up(partial(_abort_quietly, upload))
        raise
    return upload


def _complete(upload: PlacedUpload, workers: Workers, source: Source, counted: _Counted | None) -> None:
    """Send what is missing and finish; where the session is refused, go on in order, or start again elsewhere."""
    for _ in range(_RECOVERIES):
        try:
            _send_all(upload, workers, source, counted)
            source.check()
            upload.finish()
        except CosUploadSessionError:
            pass
        else:
            return
        upload.recover()
        if counted is not None:
            counted.begin_again()
    _send_all(upload, workers, source, counted)
    source.check()
    upload.finish()


def _may_pass(error: BaseException) -> bool:
    """Return whether the same upload may succeed later."""
    return is_transient(error) or cancellation.is_cancellation(error)


class _Counted:
    """Announces bytes; of a second sending only those beyond what the first had announced.

    Parameters
    ----------
    progress : callable
        Called with a number of bytes.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._sent = self._announced = 0

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._sent += count
        if self._sent > self._announced:
            self._progress(self._sent - self._announced)
            self._announced = self._sent

    def begin_again(self) -> None:
        """Everything is sent anew."""
        self._sent = 0


def _send_all(upload: PlacedUpload, workers: Workers, source: Source, counted: _Counted | None) -> None:
    """Send what the plan says is missing; one slice after another where the server wants it so."""
    sending = _Sending(upload, workers, source, counted)
    if sending.plan.serial:
        for task in sending.tasks():
            task()
    else:
        with TaskGroup(workers.transfers) as group:
            for task in sending.tasks():
                group.start(task)
            group.wait()


class _Sending:
    """One sending of all missing slices: the plan, and the lock around it."""

    def __init__(self, upload: PlacedUpload, workers: Workers, source: Source, counted: _Counted | None) -> None:
        self.plan = upload.plan
        self._upload, self._workers, self._source, self._counted = upload, workers, source, counted
        self._lock = threading.Lock()

    def tasks(self) -> Iterator[Callable[[], None]]:
        """Yield a task for every missing slice."""
        self._announce(self.plan.done_bytes)
        while True:
            with self._lock:
                piece = self.plan.next()
            if piece is None:
                return
            yield partial(self._send, piece)

    def _send(self, piece: Slice) -> None:
        try:
            with self._source.slice(piece.offset, piece.length, self._workers) as view:
                self._upload.send(piece, view)
        except BaseException:
            with self._lock:
                self.plan.failed(piece)
            raise
        with self._lock:
            self.plan.succeeded(piece)
            self._announce(piece.length)

    def _announce(self, count: int) -> None:
        if self._counted is not None and count:
            self._counted.add(count)


def _abort_quietly(upload: PlacedUpload) -> None:
    try:
        upload.abort()
    except OSError:
        return
