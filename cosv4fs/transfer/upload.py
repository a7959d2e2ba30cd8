"""Uploading one object: in one request, or in slices through a session; replacing never endangers the old object.

A path that is taken is recognised by the refusal of an ``insertOnly=1`` request, which costs nothing. Its new content
goes to a hidden sibling and is moved into place when it is complete (architecture: "Replacing an object").
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from cosv4fs import paths
from cosv4fs.api import CosV4Client, SliceSession, UploadedObject
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, CosFileExistsError, CosFileNotFoundError, make_error
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.plan import Slice, SlicePlan
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.workers import Workers

__all__ = ["SliceUpload", "Target", "upload_single", "upload_source"]

_UNFINISHED = -4019

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Target:
    """Where an upload goes, and under which conditions.

    Parameters
    ----------
    bucket, key : str
        The object.
    create : bool
        Fail when it exists.
    content_type : str or None
        What downloads shall say, sent along with the content.
    explicit_type : bool
        The user named the content type: set it as an attribute as well, so that no server can miss it.
    deferred : bool
        Upload to a hidden sibling in any case, to be published later.
    """

    bucket: str
    key: str
    create: bool = False
    content_type: str | None = None
    explicit_type: bool = False
    deferred: bool = False

    @property
    def path(self) -> str:
        """``bucket/dir/name``, for messages."""
        return paths.join(self.bucket, self.key)


class SliceUpload:
    """One upload session on the service, from `open` to `publish` or `abort`.

    Parameters
    ----------
    client : CosV4Client
        Sends the requests.
    target : Target
        Where the object shall be in the end.
    size : int
        Bytes of the whole object.
    slice_size : int
        Bytes per slice to ask for.
    sha : str, optional
        SHA-1 of the whole object in hex, when it is known beforehand: the server verifies it.
    """

    def __init__(self, client: CosV4Client, target: Target, size: int, slice_size: int, sha: str | None = None) -> None:
        self._client, self._target = client, target
        self._size, self._wanted_slice, self._sha = size, slice_size, sha
        self._place = paths.sibling(target.key) if target.deferred else target.key
        self._session: SliceSession | None = None
        self._sessions: set[str] = set()
        self._parts: tuple[tuple[int, int], ...] = ()
        self._stored = False

    @property
    def plan(self) -> SlicePlan:
        """A fresh plan of the slices that the open session still wants."""
        if self._stored:
            return SlicePlan(0, 1)
        session = self._opened()
        return SlicePlan(self._size, session.slice_size, session.serial, self._parts)

    @property
    def is_open(self) -> bool:
        """Whether a session exists, or the content is already stored."""
        return self._session is not None or self._stored

    def open(self) -> None:
        """Open the session: at the target, or on a hidden sibling when the target is taken.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """
        try:
            self._init()
        except CosFileExistsError as refusal:
            if self._is_sibling or not self._adopt(refusal):
                self._leave_target(refusal)
                self._init()

    def move_to_sibling(self) -> None:
        """Start again on a hidden sibling, after the session was lost to someone else."""
        self._session, self._parts = None, ()
        self._place = paths.sibling(self._target.key)
        self._init()

    def send(self, piece: Slice, view: memoryview) -> None:
        """Send one slice; sending it again does no harm."""
        session = self._opened().session
        reply = self._client.upload_slice_data(
            self._target.bucket,
            self._place,
            session,
            piece.offset,
            view,
            sha=self._sha,
            content_type=self._target.content_type,
        )
        self._sessions.add(reply.session)

    def finish(self) -> None:
        """Finish the session, and publish the object unless it is deferred."""
        target = self._target
        if not self._stored:
            session = self._opened().session
            self._client.upload_slice_finish(target.bucket, self._place, session, self._size, sha=self._sha)
            self._session, self._stored = None, True
        if target.explicit_type and target.content_type:
            headers = {"Content-Type": target.content_type}
            self._client.update(target.bucket, self._place, custom_headers=headers)
        if not target.deferred:
            self.publish()

    def publish(self) -> None:
        """Move a complete sibling into place. Does nothing when the object was uploaded in place."""
        if self._is_sibling:
            publish_sibling(self._client, self._target, self._place, self._size, self._sha)
            self._place = self._target.key

    def abort(self) -> None:
        """Remove what is there of the upload: a session that is provably ours, or our own sibling.

        A complete object at the target is never touched.
        """
        client, bucket = self._client, self._target.bucket
        if not self.is_open:
            return
        if self._is_sibling:
            discard_sibling(client, bucket, self._place)
        elif not self._stored:
            found = client.upload_slice_list(bucket, self._place)
            if found is not None and found.session in self._sessions:
                _delete_quietly(client, bucket, self._place)
        self._session, self._stored = None, False

    @property
    def _is_sibling(self) -> bool:
        return self._place != self._target.key

    def _opened(self) -> SliceSession:
        if self._session is None:
            raise make_error(errno.EIO, "the upload session is not open", self._target.path)
        return self._session

    def _init(self) -> None:
        reply = with_parents(self._client, self._target.bucket, self._place, self._request_session)
        if isinstance(reply, UploadedObject):
            self._stored = True
        else:
            self._session = reply
            self._sessions.add(reply.session)

    def _request_session(self) -> SliceSession | UploadedObject:
        return self._client.upload_slice_init(
            self._target.bucket,
            self._place,
            filesize=self._size,
            slice_size=self._wanted_slice,
            insert_only=True,
            sha=self._sha,
        )

    def _adopt(self, refusal: CosFileExistsError) -> bool:
        """Continue the unfinished session at the target when it is provably for the same content."""
        if refusal.code != _UNFINISHED or self._sha is None:
            return False
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        if found is None or found.sha != self._sha or found.filesize != self._size:
            return False
        self._session = SliceSession(found.session, found.slice_size)
        self._sessions.add(found.session)
        self._parts = found.parts
        return True

    def _leave_target(self, refusal: CosFileExistsError) -> None:
        if refusal.code != _UNFINISHED:
            refuse_taken(self._client, self._target, refusal)
        self._place = paths.sibling(self._target.key)


def upload_single(client: CosV4Client, target: Target, view: memoryview) -> str:
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
        if target.explicit_type and target.content_type:
            client.update(target.bucket, key, custom_headers={"Content-Type": target.content_type})

    place = paths.sibling(target.key)
    if target.deferred:
        put(place, create=True)
        return place
    try:
        put(target.key, target.create)
    except CosFileExistsError as refusal:
        # the server does not overwrite in one request, or an unfinished upload is in the way
        if refusal.code != _UNFINISHED:
            refuse_taken(client, target, refusal)
        put(place, create=True)
        publish_sibling(client, target, place, len(view), None)
    return target.key


def upload_source(
    client: CosV4Client,
    workers: Workers,
    target: Target,
    source: Source,
    slice_size: int,
    progress: Progress | None = None,
) -> SliceUpload:
    """Upload a source in slices, several at once; on failure nothing is left behind.

    Parameters
    ----------
    slice_size : int
        Bytes per slice to ask for; the server decides.
    progress : callable, optional
        Called with the number of bytes of each slice that has arrived; never from two threads at once.

    Returns
    -------
    SliceUpload
        Finished; to be published when the target is deferred.
    """
    upload = SliceUpload(client, target, source.size, slice_size, source.sha1())
    try:
        upload.open()
        try:
            _send_all(upload, workers, source, progress)
            upload.finish()
        except CosError as error:
            if error.retry is not Retry.SESSION:
                raise
            # someone else replaced the path under our session: start again where nobody else is
            upload.move_to_sibling()
            _send_all(upload, workers, source, None)
            upload.finish()
    except BaseException:
        _abort_quietly(upload)
        raise
    return upload


def _send_all(upload: SliceUpload, workers: Workers, source: Source, progress: Progress | None) -> None:
    """Send what the plan says is missing; one slice after another where the server wants it so."""
    sending = _Sending(upload, workers, source, progress)
    if sending.plan.serial:
        for task in sending.tasks():
            task()
    else:
        workers.transfer_all(sending.tasks())


class _Sending:
    """One sending of all missing slices: the plan, and the lock around it."""

    def __init__(self, upload: SliceUpload, workers: Workers, source: Source, progress: Progress | None) -> None:
        self.plan = upload.plan
        self._upload, self._workers, self._source, self._progress = upload, workers, source, progress
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
        if self._progress is not None and count:
            self._progress(count)


def publish_sibling(client: CosV4Client, target: Target, place: str, size: int, sha: str | None) -> None:
    """Move a complete sibling to its target; on failure the sibling is removed and the old object stays.

    Raises
    ------
    FileExistsError
        The target exists by now, and the upload is to create it.
    """

    def action() -> None:
        client.move(target.bucket, place, target.key, overwrite=not target.create, expected=(size, sha))

    try:
        with_parents(client, target.bucket, target.key, action, source=place)
    except BaseException:
        discard_sibling(client, target.bucket, place)
        raise


def discard_sibling(client: CosV4Client, bucket: str, place: str) -> None:
    """Delete a hidden sibling, complete or not: its name is nobody else's."""
    _delete_quietly(client, bucket, place)


def refuse_taken(client: CosV4Client, target: Target, refusal: CosFileExistsError) -> None:
    """Raise when a taken path must not be replaced: it is to be created, or a directory has its name."""
    if target.create:
        raise refusal
    try:
        client.stat(target.bucket, target.key + "/")
    except CosFileNotFoundError:
        return
    raise make_error(errno.EISDIR, "a directory has this name: a file cannot replace it", target.path) from refusal


def _delete_quietly(client: CosV4Client, bucket: str, key: str) -> None:
    try:
        client.delete(bucket, key)
    except OSError:
        # what cannot be removed now stays invisible; the error that led here is the one to tell
        return


def _abort_quietly(upload: SliceUpload) -> None:
    try:
        upload.abort()
    except OSError:
        return
