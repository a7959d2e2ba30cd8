"""Uploading one object: in one request, or in slices through a session; replacing never endangers the old object.

A path that is taken is recognised by the refusal of an ``insertOnly=1`` request, which costs nothing. Its new content
goes to a hidden sibling and is moved into place when it is complete (architecture: "Replacing an object").
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from cosv4fs import paths
from cosv4fs.api import CosClient, CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.bodies import Content
from cosv4fs.codes import Retry
from cosv4fs.config import MIB
from cosv4fs.errors import CosError, CosFileExistsError, Origin, make_error
from cosv4fs.generation import V3, V4, Generation
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.journal import NO_ENTRY, Entry, Record
from cosv4fs.transfer.ordered import OrderedUpload
from cosv4fs.transfer.placed import PlacedUpload
from cosv4fs.transfer.plan import Slice, ranges
from cosv4fs.transfer.publish import (
    UNFINISHED,
    Target,
    blocked_parent,
    discard_sibling,
    publish_sibling,
    refuse_taken,
    remove_session,
)
from cosv4fs.transfer.sha1state import upload_parts
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.workers import Workers, is_stop

__all__ = ["SliceUpload", "upload_kind", "upload_single", "upload_source"]

Progress = Callable[[int], None]

_SIZE_DIFFERS = -175
"""The code of finish for another size than the slices have; no code is documented for missing slices (spec 6.7)."""

_RECOVERIES = 2
"""How often an upload goes on in another way when its session is refused: in order, then at another place."""


class SliceUpload(PlacedUpload):
    """An upload session of v4: slices in any order, at the target or on a hidden sibling; see `PlacedUpload`."""

    def __init__(
        self,
        client: CosV4Client,
        target: Target,
        size: int,
        slice_size: int,
        sha: str | None = None,
        entry: Entry = NO_ENTRY,
        hidden: bool = False,
        uploadparts: str | None = None,
    ) -> None:
        super().__init__(client, target, size, slice_size, sha, entry, hidden, uploadparts)
        self._client = client
        self._sessions: set[str] = set()
        self._adopted = self._left = False

    def open(self) -> None:
        """Open the session: at the target, or on a hidden sibling when the target is taken.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """
        record = self._entry.load()
        if record is not None and self._continue(record):
            return
        try:
            self._init()
        except CosFileExistsError as refusal:
            if self._adopt_unfinished(refusal):
                return
            if self._is_sibling:
                with blocked_parent(self._target):
                    raise
            self._leave_target(refusal)
            with blocked_parent(self._target):
                self._init_or_adopt()

    def go_on(self) -> bool:
        """Go on one slice after another with a session that was taken up; return whether there is one.

        The list of an unfinished upload does not tell that its slices have to come in order: their refusal does.
        """
        session = self._session
        if session is None or session.serial or not self._adopted:
            return False
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        if found is None or found.session != session.session:
            return False
        self._session, self._parts = replace(session, serial=True), found.parts
        return True

    def was_finished(self) -> bool:
        """Tell whether the lost session had become our object: another process finished it, or a dead one's request."""
        # an upload that only lacks its end looks complete to stat, but is listed
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        self._stored = found is None and self._is_stored_here()
        return self._stored

    def move_to_sibling(self) -> None:
        """Start again on a hidden sibling, after the session was lost to someone else."""
        self._session, self._parts, self._stored, self._adopted = None, (), False, False
        if self._is_sibling:
            discard_sibling(self._client, self._target.bucket, self._place)
        else:
            self._left = True
        self._place = paths.sibling(self._target.key)
        self._init_or_adopt()

    def send(self, piece: Slice, content: Content) -> None:
        """Send one slice; sending it again does no harm."""
        session = self._opened().session
        reply = self._client.upload_slice_data(
            self._target.bucket,
            self._place,
            session,
            piece.offset,
            content,
            sha=self._sha,
            content_type=self._target.content_type,
        )
        self._sessions.add(reply.session)

    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Finish the session, and publish the object unless it is deferred.

        Parameters
        ----------
        size, sha : int, str, optional
            Bytes and SHA-1 that came, where the size was not known when the session was opened: what the server
            stored is compared with them.
        """
        target = self._target
        self._size = self._size if size is None else size
        if not self._stored:
            self._finish_session(is_declared=size is None)
            self._session, self._stored = None, True
        if size is not None:
            self._verify(sha)
        content_type = target.content_type if target.explicit_type else None
        self._client.set_content_type(target.bucket, self._place, content_type)
        self._publish_unless_deferred()

    def _finish_session(self, is_declared: bool) -> None:
        bucket, session = self._target.bucket, self._opened().session
        try:
            self._client.upload_slice_finish(bucket, self._place, session, self._size, sha=self._sha)
        except CosError as error:
            if not is_declared or error.code != _SIZE_DIFFERS or self._is_listed(session):
                raise
            # the size was the declared one: someone replaced the path meanwhile, and the slices went with the session
            origin = Origin(error.code, error.request_id, error.status, Retry.SESSION)
            text = "the service no longer knows the upload session: the path was replaced"
            raise make_error(errno.ESTALE, text, self._target.path, origin) from error

    def _is_listed(self, session: str) -> bool:
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        return found is not None and found.session == session

    def _verify(self, sha: str | None) -> None:
        status = self._client.stat(self._target.bucket, self._place)
        known = sha is not None and status.sha is not None
        if status.is_unfinished or status.size != self._size or (known and status.sha != sha):
            raise make_error(
                errno.EIO, "the service stored something else than was sent: nothing is published", self._target.path
            )

    def abort(self) -> None:
        """Remove what is there of the upload: a session that is provably ours, or our own sibling.

        A complete object at the target is never touched.
        """
        client, bucket = self._client, self._target.bucket
        if self._is_sibling and (self._asked or self.is_open):
            # also without a session: the reply that named it may have been lost
            discard_sibling(client, bucket, self._place)
        if not self.is_open and not self._left:
            return
        if self._left or not (self._is_sibling or self._stored):
            remove_session(client, bucket, self._target.key, self._sessions)
        self._session, self._stored = None, False
        self._entry.remove()

    def _init_or_adopt(self) -> None:
        """Open the session; take up the one that an attempt has opened whose reply was lost."""
        try:
            self._init()
        except CosFileExistsError as refusal:
            if not self._adopt_unfinished(refusal):
                raise

    def _init(self) -> None:
        self._note(None)
        self._asked = True
        reply = with_parents(self._client, self._target.bucket, self._place, self._request_session)
        if isinstance(reply, UploadedObject):
            self._stored = True
            return
        if not reply.resumed:
            self._take(reply)
            return
        # the server handed out a session that exists, for whatever it takes to be the same upload
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        if found is None or found.session != reply.session or not self._adopt(found, None):
            self._place = paths.sibling(self._target.key)
            self._init()

    def _take(self, session: SliceSession) -> None:
        self._session = session
        self._sessions.add(session.session)
        self._note(session.session)

    def _request_session(self) -> SliceSession | UploadedObject:
        return self._client.upload_slice_init(
            self._target.bucket,
            self._place,
            filesize=self._size,
            slice_size=self._wanted_slice,
            insert_only=True,
            sha=self._sha,
            uploadparts=self._uploadparts,
        )

    def _continue(self, record: Record) -> bool:
        """Take up what an earlier process left, where it is provably this content; return whether it could be."""
        if not self._may_have_chosen(record.place):
            return False
        place, self._place = self._place, record.place
        found = self._client.upload_slice_list(self._target.bucket, record.place)
        if found is not None and self._adopt(found, record.session):
            return True
        if found is None and self._is_stored_here():
            self._stored = True
            return True
        if found is None and self._is_sibling and self._was_published():
            self._place, self._stored = self._target.key, True
            return True
        self._place = place
        return False

    def _adopt_unfinished(self, refusal: CosFileExistsError) -> bool:
        if refusal.code != UNFINISHED:
            return False
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        return found is not None and self._adopt(found, None)

    def _adopt(self, found: UnfinishedUpload, noted: str | None) -> bool:
        """Continue an unfinished session if it is provably for the same content.

        Proof is the declared SHA-1, the session's name in our journal, or a sibling's name, which nobody else knows.
        """
        ours = found.session == noted or self._is_sibling or (found.sha is not None and found.sha == self._sha)
        if not ours or found.filesize != self._size:
            return False
        self._take(SliceSession(found.session, found.slice_size))
        self._parts, self._adopted = found.parts, True
        return True

    def _leave_target(self, refusal: CosFileExistsError) -> None:
        if refusal.code != UNFINISHED:
            refuse_taken(self._client, self._target, refusal)
        self._place = paths.sibling(self._target.key)


_UPLOADS: dict[Generation, type[PlacedUpload]] = {V4: SliceUpload, V3: OrderedUpload}


def upload_kind(client: CosClient) -> type[PlacedUpload]:
    """Return how objects go up in slices in the generation of the API that the client speaks."""
    return _UPLOADS[client.config.generation]


def upload_single(client: CosClient, target: Target, view: memoryview) -> str:
    """Upload an object of at most 20 MiB in one request; return the key where it is now.

    That key is a hidden sibling's when the target is deferred, else the target's.

    Raises
    ------
    FileExistsError
        The target exists, and the upload is to create it.
    IsADirectoryError
        A directory has the target's name.
    """

    def put(key: str, create: bool) -> None:
        def action() -> object:
            return client.upload(target.bucket, key, view, insert_only=create, content_type=target.content_type)

        with_parents(client, target.bucket, key, action)
        client.set_content_type(target.bucket, key, target.content_type if target.explicit_type else None)

    def put_sibling() -> str:
        place = paths.sibling(target.key)
        try:
            with blocked_parent(target):
                put(place, create=True)
        except BaseException:
            discard_sibling(client, target.bucket, place)
            raise
        return place

    if target.deferred:
        return put_sibling()
    try:
        put(target.key, target.create)
    except CosFileExistsError as refusal:
        # the server does not overwrite in one request, or an unfinished upload is in the way
        if refusal.code != UNFINISHED:
            refuse_taken(client, target, refusal)
        publish_sibling(client, target, put_sibling(), len(view), None)
    return target.key


def upload_source(
    client: CosClient,
    workers: Workers,
    target: Target,
    source: Source,
    slice_size: int,
    progress: Progress | None = None,
    entry: Entry = NO_ENTRY,
    instant: bool = False,
    checksum: bool = True,
) -> PlacedUpload:
    """Upload a source in slices, several at once.

    On failure nothing is left behind, unless a later process can continue: then the unfinished upload stays,
    invisible, and the journal knows it.

    Parameters
    ----------
    slice_size : int
        Bytes per slice to ask for; the server decides.
    progress : callable, optional
        Called with the number of bytes of each slice that has arrived; never from two threads at once.
    entry : Entry
        The journal's page for the source.
    instant : bool
        Tell the server enough of the content that it need not be sent when it is stored already.
    checksum : bool
        Tell the server the content's SHA-1, so that it verifies what it stores.

    Returns
    -------
    PlacedUpload
        Finished; to be published when the target is deferred.
    """
    counted = None if progress is None else _Counted(progress)
    record = entry.load()
    kind = upload_kind(client)
    known = upload_parts(_blocks(source, workers)) if instant and not kind.needs_sha else None
    sha: str | None = None
    parts: str | None = None
    if known is not None:
        # all recorded clients that send uploadparts also cut slices of 1 MiB (spec, wire traces, section 4)
        (sha, parts), slice_size = known, MIB
    elif record is not None:
        sha = record.sha
    elif checksum or kind.needs_sha:
        sha = source.sha1()
    upload = kind(client, target, source.size, slice_size, sha, entry, uploadparts=parts)
    try:
        upload.open()
        if upload.is_stored and counted is not None:
            counted.add(source.size)
        _complete(upload, workers, source, counted)
    except BaseException as error:
        if not (entry.is_kept and _may_pass(error)):
            with client.interrupts.working_for(None):
                _abort_quietly(upload)
        raise
    return upload


def _complete(upload: PlacedUpload, workers: Workers, source: Source, counted: _Counted | None) -> None:
    """Send what is missing and finish; where the session is refused, go on in order, or start again elsewhere."""
    for _ in range(_RECOVERIES):
        try:
            _send_all(upload, workers, source, counted)
            upload.finish()
        except CosError as error:
            if error.retry is not Retry.SESSION:
                raise
        else:
            return
        if not upload.go_on():
            if upload.was_finished():
                break
            # someone else replaced the path under our session: start again where nobody else is
            upload.move_to_sibling()
        if counted is not None:
            counted.begin_again()
    _send_all(upload, workers, source, counted)
    upload.finish()


def _blocks(source: Source, workers: Workers) -> Iterator[memoryview]:
    for piece in ranges(0, source.size, MIB):
        with source.slice(piece.offset, piece.length, workers) as view:
            yield view


def _may_pass(error: BaseException) -> bool:
    """Tell whether the same upload may succeed later."""
    passing = isinstance(error, CosError) and error.retry in (Retry.YES, Retry.BACK_OFF)
    return passing or is_stop(error)


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
        workers.transfer_all(sending.tasks())


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
