"""Uploads in several requests: what all services share, and what the sliced uploads of the JSON API share.

`slices` is for the JSON API v4, `ordered` for v3, and `parts` for coffers, which have neither slices nor hidden
siblings.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from cosv4fs import paths
from cosv4fs.api import CosClient, SliceSession
from cosv4fs.api.request import Content
from cosv4fs.errors import CosError, CosFileNotFoundError, CosUploadSessionError, make_error, session_error
from cosv4fs.transfer.context import TransferContext
from cosv4fs.transfer.integrity import is_same
from cosv4fs.transfer.journal import NO_ENTRY, Entry, Record
from cosv4fs.transfer.plan import Slice, SlicePlan
from cosv4fs.transfer.publish import Target, discard_sibling, publish_sibling
from cosv4fs.transfer.sources import Source

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST_SLICES = 2**22
"""More slices of one object than this are not planned: their list alone would take a gigabyte."""


class MultipartUpload(ABC):
    """One upload in pieces, from `open` to `publish` or `abort`.

    Parameters
    ----------
    target : Target
        Where the object goes.
    entry : Entry
        The journal's page, for sources that a later process can read again.
    """

    def __init__(self, target: Target, entry: Entry = NO_ENTRY) -> None:
        self._target, self._entry = target, entry
        self._stored = False
        self._source: Source | None = None
        self._context: TransferContext | None = None

    def verify_against(self, source: Source, context: TransferContext) -> Self:
        """Have `finish` verify the object against a source; return this upload."""
        self._source, self._context = source, context
        return self

    @property
    def target(self) -> Target:
        """Where the object goes."""
        return self._target

    @property
    def is_resumable(self) -> bool:
        """Whether a later process can continue the upload."""
        return self._entry.is_kept

    @property
    @abstractmethod
    def plan(self) -> SlicePlan:
        """A fresh plan of the pieces that the open upload still wants."""

    @property
    @abstractmethod
    def is_serial(self) -> bool:
        """Whether pieces have to go one after another."""

    @property
    def is_stored(self) -> bool:
        """Whether nothing has to be sent: the server has the content."""
        return self._stored

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the upload was begun on the server, or the content is already stored."""

    @abstractmethod
    def piece_size(self, offset: int) -> int:
        """Return the bytes of a full piece that begins at an offset."""

    @abstractmethod
    def open(self) -> None:
        """Start the upload, or continue that of an earlier process.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """

    @abstractmethod
    def recover(self) -> None:
        """Recover after the server refused to continue, so that a new plan can be sent."""

    @abstractmethod
    def send(self, piece: Slice, content: Content) -> None:
        """Send one piece; sending it again does no harm."""

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


class SlicedUpload(MultipartUpload):
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
    sha : str, optional
        SHA-1 of the whole object in hex, when it is known beforehand: the server verifies it.
    entry : Entry
        The journal's page, for sources that a later process can read again.
    """

    def __init__(
        self,
        client: CosClient,
        target: Target,
        size: int,
        slice_size: int,
        sha: str | None = None,
        entry: Entry = NO_ENTRY,
    ) -> None:
        super().__init__(target, entry)
        self._common = client
        self._size, self._wanted_slice, self._sha = size, slice_size, sha
        self._key = paths.sibling(target.key)
        self._session: SliceSession | None = None
        self._parts: tuple[tuple[int, int], ...] = ()
        self._asked = self._continued = False

    @property
    def plan(self) -> SlicePlan:
        """A fresh plan of the slices that the open session still wants."""
        if self._stored:
            return SlicePlan(0, 1)
        session = self._opened()
        if self._size // session.slice_size > _MOST_SLICES:
            text = f"the service wants {self._size} bytes in slices of {session.slice_size}: more than can be planned"
            raise make_error(errno.EBADMSG, text, self._target.path)
        return SlicePlan(self._size, session.slice_size, session.serial, self._parts, session.offset)

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
        record = self._entry.load()
        if record is not None and self._may_have_chosen(record.key):
            if record.matches and record.sha == self._sha:
                # also when starting again: then a late request of the killed process leaves nothing behind
                self._key, self._asked = record.key, True
                if self._continue(record):
                    self._continued = True
                    return
            # the file has changed, or the session is gone: the sibling will never be continued
            discard_sibling(self._common, self._target.bucket, record.key)
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
        if self.continue_session() or self.was_finished():
            return
        discard_sibling(self._common, self._target.bucket, self._key)
        self._key = paths.sibling(self._target.key)
        self._session, self._parts, self._stored, self._continued = None, (), False, False
        self._begin()

    @abstractmethod
    def continue_session(self) -> bool:
        """Continue the same session after it refused a slice; return whether that is possible."""

    @abstractmethod
    def was_finished(self) -> bool:
        """Return whether the lost session was completed: its last reply was lost."""

    def abort(self) -> None:
        """Remove the sibling, also where the reply that named its session was lost."""
        if not self._is_published and (self._asked or self.is_open):
            discard_sibling(self._common, self._target.bucket, self._key)
        self._session, self._stored = None, False
        self._entry.remove()

    def publish(self) -> None:
        """Publish the complete sibling, by a move to the target. Does nothing when that was done."""
        if self._is_published:
            return
        try:
            publish_sibling(self._common, self._target, self._key, self._size, self._sha)
        except CosFileNotFoundError:
            if not self._was_published():
                raise
        self._key = self._target.key

    def _publish_unless_deferred(self) -> None:
        self._prove()
        if not self._target.deferred:
            self.publish()
            self._entry.remove()

    def _prove(self) -> None:
        """Verify the complete sibling against the source, unless a SHA-1 was sent with the slices.

        A continued upload may begin with slices of an earlier content: size and time of a file can be the same. An
        upload whose file was modified meanwhile may be a mixture.

        Raises
        ------
        OSError
            ESTALE, so that the upload starts again.
        """
        source, context = self._source, self._context
        if source is None or context is None or self._sha is not None or self._is_published:
            return
        if not (self._continued or source.was_touched):
            return
        stored = self._common.stat(self._target.bucket, self._key).sha
        here = replace(self._target, key=self._key)
        if stored == source.sha1() if stored else is_same(context, here, source):
            return
        discard_sibling(self._common, self._target.bucket, self._key)
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

    def _note(self, session: str | None) -> None:
        self._entry.save(Record(self._key, session, self._sha))

    def _may_have_chosen(self, key: str) -> bool:
        """Return whether a recorded key is one that this upload can have chosen."""
        return paths.sibling_target(key) == paths.shortened(self._target.key)

    def _refuse_early(self) -> None:
        """Refuse to create an existing object before anything is sent; the final move decides."""
        if not self._target.create or self._target.deferred:
            return
        try:
            status = self._common.stat(self._target.bucket, self._target.key)
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
            status = self._common.stat(self._target.bucket, key)
        except CosFileNotFoundError:
            return False
        known = self._sha is not None and status.sha is not None
        same = status.sha == self._sha if known else paths.is_sibling(key)
        return not status.is_unfinished and status.size == self._size and same


def is_gone(error: CosError) -> bool:
    """Return whether an error means that the server does not know the upload, or no longer does."""
    return isinstance(error, (CosUploadSessionError, CosFileNotFoundError))
