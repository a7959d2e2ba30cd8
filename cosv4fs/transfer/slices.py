"""Uploads to buckets, by the JSON API: in one request, or in slices by a session. What v4 and v3 share.

Large content goes to a hidden sibling that is moved into place, so that no reader sees a part of it. Small content goes
there only if the path cannot be replaced in one request, until the end of a transaction, or to be given attributes that
no upload can carry: no reader sees the object without them.
"""

from __future__ import annotations

import errno
import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from cosv4fs import paths
from cosv4fs.api import CosClient, PathStatus, SliceSession, UploadedObject
from cosv4fs.errors import CosFileExistsError, CosFileNotFoundError, make_error
from cosv4fs.transfer.directories import file_above, with_parents
from cosv4fs.transfer.journal import Record
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.target import discard_sibling
from cosv4fs.transfer.upload import Upload

_T = TypeVar("_T")

_log = logging.getLogger("cosv4fs")

UNFINISHED = -4019
"""The code for "an unfinished upload blocks the path" (cos.md#upload_slice_init)."""

_CONFLICT = -178
"""The code for a path that is taken, or below a file (cos.md#codes)."""

DECLARED_SIZE = 2**40
"""The size in bytes that a session of unknown size is opened with; no object may become larger."""

_MOST_SLICES = 2**22
"""More slices of one object than this are not planned: their list alone would take a gigabyte."""


class SlicedUpload(Upload):
    """An upload to a bucket; see `Upload`.

    At the target itself an upload in slices would be visible between its last slice and its end, and could be mistaken
    for another client's. The sibling's name is random, so no upload of another client is ever continued or removed.

    A lost reply is first the client's concern, which finds out whether the request had succeeded. Only what that cannot
    tell is decided here: whether a session goes on after a refused slice (`recover`) or in a new process (`open`), and
    whether the sibling was moved although the move was refused (`publish`).
    """

    _client: CosClient
    _session: SliceSession | None = None
    """The session of the sibling; None before it is open, and after its end."""
    _done: tuple[tuple[int, int], ...] = ()
    """Offset and bytes of each slice that a continued session has."""
    _continued = False
    """Whether the session may have slices of an earlier process."""

    # -- in one request --------------------------------------------------------------------------------------------

    def store(self, view: memoryview) -> None:
        """Upload an object of at most 20 MiB (cos.md#upload), if necessary to a hidden sibling."""
        target, self._size = self._target, len(view)
        if target.deferred or self._settings:
            self._refuse_early()
            self._store_sibling(view)
            if not target.deferred:
                self.publish()
            return
        try:
            self._put(target.key, view, create=target.create)
        except CosFileExistsError as refusal:
            # the server does not overwrite in one request, or an unfinished upload is in the way
            if refusal.code != UNFINISHED:
                self._raise_if_taken(refusal)
            self._store_sibling(view)
            self.publish()

    def _store_sibling(self, view: memoryview) -> None:
        sibling = paths.sibling(self._target.key)
        try:
            self._explain_refusal(lambda: self._put(sibling, view, create=True))
            self._set_attributes(sibling)
        except BaseException:
            discard_sibling(self._client, self._target.bucket, sibling)
            raise
        self._key = sibling

    def _put(self, key: str, view: memoryview, *, create: bool) -> None:
        client, target = self._client, self._target

        def action() -> object:
            return client.upload(
                target.bucket,
                key,
                view,
                insert_only=create,
                content_type=target.content_type,
                biz_attr=target.attributes.get("biz_attr"),
            )

        with_parents(client, target.bucket, key, action)

    @property
    def _settings(self) -> dict[str, Any]:
        """The attributes that no upload can carry, as the arguments of an update."""
        return {}

    def _set_attributes(self, key: str) -> None:
        """Set the attributes that no upload can carry, on a complete object that is not visible yet."""
        settings = self._settings
        if settings:
            self._client.update(self._target.bucket, key, **settings)

    # -- in slices -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open a session on a hidden sibling, or continue the one that the journal names."""
        record = self._load_record()
        if record is not None and paths.sibling_target(record.key) == paths.shortened(self._target.key):
            if record.matches and self._is_of_same_content(record):
                # reuse the sibling's name even when starting over, so that a late request of the killed process cannot
                # create a second sibling
                self._key = record.key
                if self._continue(record):
                    self._continued = True
                    self._log_resumed(self._size if self._stored else self._bytes_stored())
                    return
            _log.info("%r: the interrupted upload cannot be resumed, and starts again", self._target.path)
            # the file has changed, or the session is gone: the sibling will never be continued
            discard_sibling(self._client, self._target.bucket, record.key)
        self._refuse_early()
        self._begin()

    def _begin(self) -> None:
        if not self._has_sibling:
            self._key = paths.sibling(self._target.key)
        self._save_record(self._key, None)

        def action() -> SliceSession | UploadedObject:
            return with_parents(self._client, self._target.bucket, self._key, self._request_session)

        self._take(self._explain_refusal(action))

    @abstractmethod
    def _request_session(self) -> SliceSession | UploadedObject:
        """Request a session for the sibling."""

    def _take(self, reply: SliceSession | UploadedObject) -> None:
        if isinstance(reply, UploadedObject):
            self._stored = True
            return
        self._session = reply
        self._save_record(self._key, reply.session)

    def _opened(self) -> SliceSession:
        if self._session is None:
            raise make_error(errno.EIO, "the upload session is not open", self._target.path)
        return self._session

    @property
    def is_serial(self) -> bool:
        """Whether the session takes slices only one after another; what is expected, before it is open."""
        return self._expects_serial if self._session is None else self._session.serial

    @property
    @abstractmethod
    def _expects_serial(self) -> bool:
        """Whether a session is expected to take slices only one after another."""

    def piece_size(self, offset: int) -> int:
        """Return the bytes per slice that the server decided."""
        return self._opened().slice_size

    def missing(self) -> list[range]:
        """Return the slices that the open session still wants; of those that it has, only whole ones count."""
        if self._stored:
            return []
        session, size, done = self._opened(), self._filesize, set(self._done)
        if size // session.slice_size > _MOST_SLICES:
            text = f"the service wants {size} bytes in slices of {session.slice_size}: more than can be planned"
            raise make_error(errno.EBADMSG, text, self._target.path)
        every = ranges(session.offset, size, session.slice_size)
        return [piece for piece in every if (piece.start, len(piece)) not in done]

    @property
    def _filesize(self) -> int:
        return DECLARED_SIZE if self._size is None else self._size

    @property
    def _has_sibling(self) -> bool:
        """Whether a sibling may exist on the server that was not moved into place."""
        return self._key != self._target.key

    # -- after a lost reply, a refused slice, or a killed process --------------------------------------------------

    def _is_of_same_content(self, record: Record) -> bool:
        """Return whether the recorded upload was opened with the SHA-1 that this one is opened with."""
        return record.sha == self._sha

    @abstractmethod
    def _continue(self, record: Record) -> bool:
        """Continue the recorded upload of an earlier process; return whether it still exists."""

    def _bytes_stored(self) -> int:
        """Return the bytes that the continued session has."""
        return self._filesize - sum(map(len, self.missing()))

    def _find_complete(self) -> bool:
        """Take the object as stored if the sibling is complete, or was moved; return whether it is."""
        if not self._is_stored_at_sibling():
            if not self._was_published():
                return False
            self._key = self._target.key
        self._stored = True
        return True

    def recover(self) -> None:
        """Continue the session in order, or find it complete, or start again on another sibling."""
        if self._continue_session() or self._adopt_if_finished():
            _log.info("%r: the upload goes on after a refused slice", self._target.path)
            return
        _log.info("%r: the upload starts again", self._target.path)
        self._discard()
        self._reset()
        self._begin()

    @abstractmethod
    def _continue_session(self) -> bool:
        """Continue the same session after it refused a slice; return whether that is possible."""

    @abstractmethod
    def _adopt_if_finished(self) -> bool:
        """Take the object as stored if the lost session was completed; return whether it was."""

    def _was_published(self) -> bool:
        """Return whether the target provably has this content: the sibling was moved, and the reply was lost."""
        status = None if self._target.create else self._complete_at(self._target.key)
        return status is not None and status.sha is not None and status.sha == self._content_sha()

    def _is_stored_at_sibling(self) -> bool:
        """Return whether the sibling is complete; it can have no other content unless the service tells so."""
        status = self._complete_at(self._key) if self._has_sibling else None
        return status is not None and (None in (self._sha, status.sha) or status.sha == self._sha)

    def _complete_at(self, key: str) -> PathStatus | None:
        """Return the status of a complete object of the content's size at a key; None where there is none."""
        try:
            status = self._client.stat(self._target.bucket, key)
        except CosFileNotFoundError:
            return None
        return status if not status.is_unfinished and status.size == self._size else None

    def _content_sha(self) -> str | None:
        """Return the SHA-1 of the content, where it is known."""
        return self._sha or self._sent_sha

    def _reset(self) -> None:
        """Give up the sibling, removed or not: the next session is that of another one."""
        self._key = self._target.key
        self._session, self._done, self._stored, self._continued = None, (), False, False

    # -- publishing, or giving up ----------------------------------------------------------------------------------

    def _publish_unless_deferred(self) -> None:
        if not self._target.deferred:
            self.publish()
            self._remove_record()

    def publish(self) -> None:
        """Move the complete sibling to the target; if that fails it is removed, and the old object stays.

        Does nothing without a sibling.
        """
        if not self._has_sibling:
            return
        try:
            self._move_into_place()
        except CosFileNotFoundError:
            if not self._was_published():
                raise
        self._key = self._target.key

    def _move_into_place(self) -> None:
        client, target, sibling = self._client, self._target, self._key
        expected = (self._filesize, self._sha or self._sent_sha)

        def action() -> None:
            client.move(target.bucket, sibling, target.key, overwrite=not target.create, expected=expected)

        try:
            with_parents(client, target.bucket, target.key, action, source=sibling)
        except BaseException as error:
            discard_sibling(client, target.bucket, sibling)
            if isinstance(error, CosFileExistsError):
                self._raise_if_taken(error)
            raise

    def abort(self) -> None:
        """Remove the sibling, also where the reply that named its session was lost."""
        self._discard()
        self._session, self._stored = None, False
        self._remove_record()

    def _discard(self) -> None:
        if self._has_sibling:
            discard_sibling(self._client, self._target.bucket, self._key)

    # -- why a path cannot be taken --------------------------------------------------------------------------------

    def _refuse_early(self) -> None:
        """Refuse to create an existing object before anything is sent; the final move decides."""
        if not self._target.create or self._target.deferred:
            return
        try:
            status = self._client.stat(self._target.bucket, self._target.key)
        except CosFileNotFoundError:
            return
        if not status.is_unfinished:
            raise make_error(errno.EEXIST, "the file exists", self._target.path)

    def _explain_refusal(self, action: Callable[[], _T]) -> _T:
        """Create a sibling. A refusal means that a file stands where its directory is needed: its name is new."""
        try:
            return action()
        except CosFileExistsError as refusal:
            if refusal.code == UNFINISHED:
                raise
            self._raise_if_below_file(refusal)
            path = paths.parent(self._target.path)
            raise make_error(errno.ENOTDIR, "the parent is a file, not a directory", path) from refusal

    def _raise_if_below_file(self, refusal: CosFileExistsError) -> None:
        blocking = file_above(self._client, self._target.bucket, self._target.key)
        if blocking is not None:
            raise make_error(errno.ENOTDIR, "the parent is a file, not a directory", blocking) from refusal

    def _raise_if_taken(self, refusal: CosFileExistsError) -> None:
        """Raise when a taken path must not be replaced: it is to be created, or a directory has its name."""
        target = self._target
        if target.create:
            if refusal.code == _CONFLICT:
                self._raise_if_below_file(refusal)
            # the refused move names the sibling
            refusal.filename = target.path
            try:
                raise refusal
            finally:
                # it refers to this frame
                del refusal
        try:
            self._client.stat(target.bucket, target.key + "/")
        except CosFileNotFoundError:
            return
        text = "a directory with this name exists and cannot be replaced by a file"
        raise make_error(errno.EISDIR, text, target.path) from refusal
