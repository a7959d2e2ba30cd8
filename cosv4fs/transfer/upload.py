"""Uploads of one object: in one request, or in pieces.

A *piece* is a slice of the JSON API or a part of a coffer's object. `v4` and `v3` upload in slices, and `coffers` in
parts.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from copy import copy
from functools import partial
from typing import ClassVar

from cosv4fs.api import Client
from cosv4fs.api.request import Content
from cosv4fs.concurrency import Pool, TaskGroup, cancellation
from cosv4fs.errors import CosError, CosFileNotFoundError, CosUploadSessionError
from cosv4fs.options import MIB
from cosv4fs.progress import Step
from cosv4fs.transfer.connecting import start_connecting
from cosv4fs.transfer.hashing import ContentHash
from cosv4fs.transfer.journal import JournalEntry, Record
from cosv4fs.transfer.plan import gaps, ranges
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.target import Target

_log = logging.getLogger("cosv4fs")


_RECOVERIES = 2
"""How often an upload is recovered: a refused session is continued in order; content that was lost, or stored
differently, is sent again to another sibling."""

_STEP = 4 * MIB
"""Bytes of an object and its source that are compared at once, at most."""


class Upload(ABC):
    """The upload of one object: by `store`, by `send_source`, or from `open` over `send` to `finish`.

    Parameters
    ----------
    client : Client
        Sends the requests.
    pool : Pool
        Runs the requests for pieces, and lends them memory.
    target : Target
        Where the object goes.
    piece_size : int
        Bytes per piece to ask for.
    size : int, optional
        Bytes of the whole object; None if unknown.
    """

    needs_size: ClassVar[bool] = True
    """Whether the service expects the size of an object before its first piece."""

    def __init__(self, client: Client, pool: Pool, target: Target, piece_size: int, size: int | None = None) -> None:
        self._client, self._pool, self._target = client, pool, target
        self._wanted_piece, self._size = piece_size, size
        # set by `send_source`
        self._source: Source | None = None
        self._entry: JournalEntry | None = None
        # where the content goes at present: the target's own, or that of a hidden sibling
        self._key = target.key
        # what the service verifies the content with
        self._sha: str | None = None
        # what was hashed while it was sent, to be compared with what the service has stored
        self._sent_sha: str | None = None
        self._stored = False

    def can_stream(self) -> bool:
        """Return whether pieces can be sent while the caller is still writing."""
        return True

    @property
    def is_serial(self) -> bool:
        """Whether pieces have to go one after another; as far as is known, before the upload is open."""
        return False

    @abstractmethod
    def store(self, view: memoryview) -> None:
        """Upload the content in one request, visible at once unless the target is deferred.

        The view can be reused afterwards.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """

    @abstractmethod
    def open(self) -> None:
        """Start an upload in pieces, or continue that of an earlier process; raises like `store`."""

    def open_for(self, pieces: int) -> None:
        """Open the upload, and meanwhile the connections for so many pieces, as far as they are in flight at once."""
        if not self.is_serial:
            start_connecting(self._client, self._pool, pieces)
        self.open()

    @abstractmethod
    def piece_size(self, offset: int) -> int:
        """Return the bytes of a full piece that begins at an offset."""

    @abstractmethod
    def missing(self) -> list[range]:
        """Return the pieces that the open upload still wants."""

    @abstractmethod
    def send(self, piece: range, content: Content) -> None:
        """Send one piece; sending it again does no harm."""

    @abstractmethod
    def recover(self) -> None:
        """Recover after the server refused to continue, so that what is missing can be sent."""

    @abstractmethod
    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Complete the object, and publish it unless it is deferred.

        Parameters
        ----------
        size, sha : int, str, optional
            Bytes and SHA-1 that were sent, where the size was not known at the start: the stored object is compared
            with them unless it is verified otherwise.
        """

    @abstractmethod
    def publish(self) -> None:
        """Make a deferred object visible. Does nothing when it is."""

    @abstractmethod
    def abort(self) -> None:
        """Remove the unfinished upload. A complete object at the target is never touched."""

    def send_source(self, source: Source, progress: Step | None = None, entry: JournalEntry | None = None) -> None:
        """Open the upload, send the whole content, and finish it.

        On failure nothing is left behind, unless a later process can continue: then the unfinished upload stays,
        invisible, and the journal has a record of it.

        Parameters
        ----------
        source : Source
            The content, of the size that was named; it can be read again, to verify the upload or to resume it.
        progress : callable, optional
            Called with the number of bytes of each piece that was sent; never from two threads at once.
        entry : JournalEntry, optional
            Where the upload is recorded, if a later process can read the source again.
        """
        self._source, self._entry = source, entry
        self._sha = self._sha1(source)
        try:
            self._send_all(source, _Counter(progress))
        except BaseException as error:
            is_transient = isinstance(error, CosError) and error.is_transient
            if entry is None or not (is_transient or cancellation.is_cancellation(error)):
                with suppress(OSError):
                    cancellation.clean_up(self.abort)
            raise

    def _sha1(self, source: Source) -> str | None:
        """Return the SHA-1 of the source in hex, if the service is to verify it."""
        return None

    def _hashes_while_sending(self) -> bool:
        """Return whether the source is to be hashed while it is sent."""
        return False

    def _send_all(self, source: Source, counter: _Counter) -> None:
        self.open_for(-(-source.size // self._wanted_piece))
        for _ in range(_RECOVERIES):
            with suppress(CosUploadSessionError):
                self._send_missing(source, counter)
                return
            self.recover()
            counter.reset()
        self._send_missing(source, counter)

    def _send_missing(self, source: Source, counter: _Counter) -> None:
        missing = self.missing()
        counter.add(source.size - sum(len(piece) for piece in missing))
        steps = [(piece, partial(self._send_piece, source, counter, piece)) for piece in missing]
        is_hashed = self._hashes_while_sending()
        content = ContentHash() if is_hashed and not source.hashes_itself else None
        if content is not None:
            # what the service has already is read only to be hashed: pieces start in order, or one waits for ever
            stored = gaps(missing, source.size, self._wanted_piece)
            steps += [(piece, partial(self._hash_piece, source, piece)) for piece in stored]
            steps.sort(key=lambda step: step[0].start)
        if self.is_serial:
            for _, step in steps:
                step(content)
        else:
            with TaskGroup(self._pool) as group, content or nullcontext():
                for _, step in steps:
                    group.start(partial(step, content))
                group.wait()
        source.check_unchanged()
        if is_hashed:
            self._sent_sha = source.sha1() if content is None else content.hexdigest(source.size)
        self.finish()

    def _send_piece(self, source: Source, counter: _Counter, piece: range, content: ContentHash | None) -> None:
        with source.lend(piece.start, len(piece), self._pool.buffers) as view:
            if content is not None:
                # before it is sent, so that hashing never waits for the network
                content.add(piece.start, view)
            self.send(piece, view)
            if content is not None:
                content.wait_for(piece.stop)
        counter.add(len(piece))

    def _hash_piece(self, source: Source, piece: range, content: ContentHash) -> None:
        with source.lend(piece.start, len(piece), self._pool.buffers) as view:
            content.add(piece.start, view)
            content.wait_for(piece.stop)

    def _is_source_at(self, key: str) -> bool:
        """Return whether an object exists at a key of the target's bucket, and has the bytes of the source."""
        bucket, buffers, source = self._target.bucket, self._pool.buffers, self._source
        if source is None:
            return False
        try:
            if self._client.file_status(bucket, key).size != source.size:
                return False
        except CosFileNotFoundError:
            return False
        differences: list[range] = []

        def compare(wanted: range) -> None:
            if differences:
                return
            with buffers.lend(len(wanted)) as found:
                self._client.fetch(bucket, key, lambda length, _: found[:length], wanted.start, wanted.stop)
                with source.lend(wanted.start, len(wanted), buffers) as ours:
                    if found != ours:
                        differences.append(wanted)

        with TaskGroup(self._pool) as group:
            # both halves together take the memory of one piece
            for wanted in ranges(0, source.size, min(_STEP, self._wanted_piece // 2)):
                group.start(partial(compare, wanted))
            group.wait()
        return not differences

    def _log_resumed(self, stored: int | None) -> None:
        """Log that the upload of an earlier process goes on, and how many bytes the service has already."""
        _log.info("%r: resumed the upload, %s of %s bytes are stored", self._target.path, stored, self._size)

    def _save_record(self, key: str, session: str | None) -> None:
        if self._entry is not None:
            self._entry.save(Record(key, session, self._sha))

    def _load_record(self) -> Record | None:
        return None if self._entry is None else self._entry.load()

    def _remove_record(self) -> None:
        if self._entry is not None:
            self._entry.remove()


def is_gone(error: CosError) -> bool:
    """Return whether an error means that the server does not know the upload, or no longer does."""
    return isinstance(error, (CosUploadSessionError, CosFileNotFoundError))


class _Counter:
    """Reports bytes that were sent; when they are sent again, only those beyond what was reported before."""

    def __init__(self, progress: Step | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._sent = self._reported = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._sent += count
            if self._progress is not None and self._sent > self._reported:
                self._progress(self._sent - self._reported)
                self._reported = self._sent

    def reset(self) -> None:
        self._sent = 0


class Uploader:
    """Uploads by one configuration: small objects in one request, large ones in pieces.

    Parameters
    ----------
    client : Client
        Sends the requests.
    pool : Pool
        Runs the requests for pieces, and lends them memory.
    kind : type of Upload
        How the service takes an object.
    """

    def __init__(self, client: Client, pool: Pool, kind: type[Upload]) -> None:
        self.client, self.pool, self.kind = client, pool, kind

    def upload(
        self,
        target: Target,
        source: Source,
        progress: Step | None = None,
        entry: JournalEntry | None = None,
        piece_size: int | None = None,
    ) -> Upload:
        """Upload a source; return the upload, which is still to be published when the target is deferred.

        Parameters
        ----------
        progress : callable, optional
            Called with a number of bytes whenever some were sent; never from two threads at once.
        piece_size : int, optional
            Bytes per piece to ask for; from the configuration unless given.
        """
        config = self.client.config
        piece_size = piece_size or config.slice_size
        if source.size > config.single_upload_limit:
            upload = self.kind(self.client, self.pool, target, piece_size, source.size)
            upload.send_source(source, progress, entry)
            return upload
        upload = self.kind(self.client, self.pool, target, piece_size)
        with source.lend(0, source.size, self.pool.buffers) as view:
            source.check_unchanged()
            upload.store(view)
        if progress is not None:
            progress(source.size)
        return upload

    def share(self, most: int | None) -> Uploader:
        """Return an uploader with at most `most` pieces in flight; this one for None."""
        if most is None:
            return self
        shared = copy(self)
        shared.pool = self.pool.share(most)
        return shared

    def stream(self, target: Target, size: int | None, piece_size: int) -> Upload | None:
        """Return an upload whose pieces are sent while the caller is still writing.

        None where the service can take no piece before the whole content, or its size, is known.
        """
        upload = self.kind(self.client, self.pool, target, piece_size, size)
        return upload if upload.can_stream() else None
