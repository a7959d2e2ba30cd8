"""Uploads in slices, by sessions of the JSON API: what v4 and v3 share."""

from __future__ import annotations

import errno
from abc import abstractmethod
from typing import TypeVar

from cosv4fs import paths
from cosv4fs.api import CosClient, SliceSession
from cosv4fs.errors import CosFileNotFoundError, make_error, session_error
from cosv4fs.transfer.journal import Record
from cosv4fs.transfer.piecewise import KnownContent, PiecewiseUpload
from cosv4fs.transfer.plan import UploadPlan
from cosv4fs.transfer.publish import Target, discard_sibling, publish_sibling

S_co = TypeVar("S_co", bound=CosClient, covariant=True)

_MOST_SLICES = 2**22
"""More slices of one object than this are not planned: their list alone would take a gigabyte."""


class SlicedUpload(PiecewiseUpload[S_co]):
    """An upload in slices through a session of the JSON API, to a hidden sibling that is moved into place.

    At the target itself an upload would be visible between its last slice and its end, and could be mistaken for
    another client's. The sibling's name is random, so no upload of another client is ever continued or removed.

    Parameters
    ----------
    client : CosClient
        Sends the requests.
    target : Target
        Where the object goes.
    size : int
        Bytes of the whole object.
    slice_size : int
        Bytes per slice to ask for.
    content : KnownContent, optional
        The content, if it can be read again.
    """

    def __init__(
        self, client: S_co, target: Target, size: int, slice_size: int, content: KnownContent | None = None
    ) -> None:
        super().__init__(client, target, content)
        self._size, self._wanted_slice = size, slice_size
        self._key = paths.sibling(target.key)
        self._session: SliceSession | None = None
        self._done: tuple[tuple[int, int], ...] = ()
        self._may_exist_on_server = self._continued = False

    def make_plan(self) -> UploadPlan:
        """Return a new plan of the slices that the open session still wants."""
        if self._stored:
            return UploadPlan(0, 1)
        session = self._opened()
        if self._size // session.slice_size > _MOST_SLICES:
            text = f"the service wants {self._size} bytes in slices of {session.slice_size}: more than can be planned"
            raise make_error(errno.EBADMSG, text, self._target.path)
        return UploadPlan(self._size, session.slice_size, session.serial, self._done, session.offset)

    @property
    def is_serial(self) -> bool:
        """Whether the open session takes slices only one after another."""
        return self._opened().serial

    @property
    def is_open(self) -> bool:
        """Whether a session exists, or the content is already stored."""
        return self._session is not None or self._stored

    def piece_size(self, offset: int) -> int:
        """Return the bytes per slice that the server decided."""
        return self._opened().slice_size

    def open(self) -> None:
        """Open a session on a hidden sibling, or continue the one that the journal names.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        NotADirectoryError
            A parent is a file.
        """
        record = self._load_record()
        if record is not None and self._may_have_chosen(record.key):
            if record.matches and record.sha == self._sha:
                # reuse the sibling's name even when starting over, so that a late request of the killed process cannot
                # create a second sibling
                self._key, self._may_exist_on_server = record.key, True
                if self._continue(record):
                    self._continued = True
                    return
            # the file has changed, or the session is gone: the sibling will never be continued
            discard_sibling(self._client, self._target.bucket, record.key)
        self._refuse_early()
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Open a session at the current key."""

    @abstractmethod
    def _continue(self, record: Record) -> bool:
        """Continue the recorded upload of an earlier process; return whether it still exists."""

    def recover(self) -> None:
        """Continue the session in order, or find it complete, or start again on another sibling."""
        if self.continue_session() or self.adopt_if_finished():
            return
        discard_sibling(self._client, self._target.bucket, self._key)
        self._key = paths.sibling(self._target.key)
        self._session, self._done, self._stored, self._continued = None, (), False, False
        self._begin()

    @abstractmethod
    def continue_session(self) -> bool:
        """Continue the same session after it refused a slice; return whether that is possible."""

    @abstractmethod
    def adopt_if_finished(self) -> bool:
        """Take the object as stored if the lost session was completed; return whether it was."""

    def abort(self) -> None:
        """Remove the sibling, also where the reply that named its session was lost."""
        if not self._is_published and (self._may_exist_on_server or self.is_open):
            discard_sibling(self._client, self._target.bucket, self._key)
        self._session, self._stored = None, False
        self._remove_record()

    def publish(self) -> None:
        """Publish the complete sibling, by a move to the target. Does nothing when that was done."""
        if self._is_published:
            return
        try:
            publish_sibling(self._client, self._target, self._key, self._size, self._sha)
        except CosFileNotFoundError:
            if not self._was_published():
                raise
        self._key = self._target.key

    def _publish_unless_deferred(self) -> None:
        self._verify_against_source()
        if not self._target.deferred:
            self.publish()
            self._remove_record()

    def _verify_against_source(self) -> None:
        """Verify the complete sibling against the source, unless a SHA-1 was sent with the slices.

        A continued upload may begin with slices of an earlier content: size and time of a file can be the same. An
        upload whose file was modified meanwhile may be a mixture.

        Raises
        ------
        OSError
            ESTALE, so that the upload starts again.
        """
        if self._content is None or self._sha is not None or self._is_published:
            return
        source = self._content.source
        if not (self._continued or source.was_touched):
            return
        stored = self._client.stat(self._target.bucket, self._key).sha
        if stored == source.sha1() if stored else self._is_source_at(self._key):
            return
        discard_sibling(self._client, self._target.bucket, self._key)
        self._session, self._stored = None, False
        text = "the local file is not what was sent of it: it was changed without a new modification time"
        raise session_error(text, self._target.path)

    @property
    def _is_published(self) -> bool:
        return self._key == self._target.key

    def _opened(self) -> SliceSession:
        if self._session is None:
            raise make_error(errno.EIO, "the upload session is not open", self._target.path)
        return self._session

    def _may_have_chosen(self, key: str) -> bool:
        """Return whether a recorded key is one that this upload can have chosen."""
        return paths.sibling_target(key) == paths.shortened(self._target.key)

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

    def _is_stored_here(self) -> bool:
        """Return whether the current key has the complete content, and only the publication is missing."""
        return self._is_stored_at(self._key)

    def _was_published(self) -> bool:
        """Return whether the target provably has this content: the sibling was moved, and the reply was lost."""
        return not self._target.create and self._sha is not None and self._is_stored_at(self._target.key)

    def _is_stored_at(self, key: str) -> bool:
        try:
            status = self._client.stat(self._target.bucket, key)
        except CosFileNotFoundError:
            return False
        known = self._sha is not None and status.sha is not None
        same = status.sha == self._sha if known else paths.is_sibling(key)
        return not status.is_unfinished and status.size == self._size and same
