"""What uploads in slices have in common, whichever generation of the API carries them: a place, a session, an end.

`upload` has those of v4, `ordered` those of its predecessor.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from typing import ClassVar

from cosv4fs import paths
from cosv4fs.api import CosClient, SliceSession
from cosv4fs.api.bodies import Content
from cosv4fs.errors import CosFileNotFoundError, make_error
from cosv4fs.transfer.journal import NO_ENTRY, Entry, Record
from cosv4fs.transfer.plan import Slice, SlicePlan
from cosv4fs.transfer.publish import Target, publish_sibling

__all__ = ["PlacedUpload"]

_MOST_SLICES = 2**22
"""More slices of one object than this are not planned: their list alone would take a gigabyte."""


class PlacedUpload(ABC):
    """One upload in slices, from `open` to `publish` or `abort`.

    Parameters
    ----------
    client : CosClient
        Sends the requests.
    target : Target
        Where the object shall be in the end.
    size : int
        Bytes of the whole object.
    slice_size : int
        Bytes per slice to ask for.
    sha : str, optional
        SHA-1 of the whole object in hex, when it is known beforehand: the server verifies it.
    entry : Entry
        The journal's page, for sources that a later process can read again.
    hidden : bool
        Upload to a hidden sibling in any case.
    uploadparts : str, optional
        Lets the server recognise content that it has already (see `cosv4fs.transfer.sha1state`).
    """

    needs_sha: ClassVar[bool] = False
    """Whether nothing can be sent before the whole content is known: no slice travels while somebody is writing."""

    def __init__(
        self,
        client: CosClient,
        target: Target,
        size: int,
        slice_size: int,
        sha: str | None = None,
        entry: Entry = NO_ENTRY,
        hidden: bool = False,
        uploadparts: str | None = None,
    ) -> None:
        self._common, self._target, self._entry = client, target, entry
        self._uploadparts = uploadparts
        self._size, self._wanted_slice, self._sha = size, slice_size, sha
        self._place = paths.sibling(target.key) if target.deferred or hidden else target.key
        self._session: SliceSession | None = None
        self._parts: tuple[tuple[int, int], ...] = ()
        self._stored = self._asked = False

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
    def session(self) -> SliceSession:
        """The open session: how large slices have to be, and whether they go one after another."""
        return self._opened()

    @property
    def is_stored(self) -> bool:
        """Whether nothing has to be sent: the server has the content."""
        return self._stored

    @property
    def is_open(self) -> bool:
        """Whether a session exists, or the content is already stored."""
        return self._session is not None or self._stored

    @abstractmethod
    def open(self) -> None:
        """Open the session, or take up the one of an earlier process.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """

    @abstractmethod
    def go_on(self) -> bool:
        """Go on with the same session after it refused a slice, if it allows that; return whether it does."""

    @abstractmethod
    def was_finished(self) -> bool:
        """Tell whether the lost session had become our object: another process finished it, or a dead one's request."""

    @abstractmethod
    def move_to_sibling(self) -> None:
        """Start again on a hidden sibling, after the session was lost to someone else."""

    @abstractmethod
    def send(self, piece: Slice, content: Content) -> None:
        """Send one slice; sending it again does no harm."""

    @abstractmethod
    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Complete the object, and publish it unless it is deferred.

        Parameters
        ----------
        size, sha : int, str, optional
            Bytes and SHA-1 that came, where the size was not known when the session was opened: what the server
            stored is compared with them.
        """

    @abstractmethod
    def abort(self) -> None:
        """Remove what is there of the upload: a session that is provably ours, or our own sibling.

        A complete object at the target is never touched.
        """

    def publish(self) -> None:
        """Move a complete sibling into place. Does nothing when the object was uploaded in place."""
        if self._is_sibling:
            try:
                publish_sibling(self._common, self._target, self._place, self._size, self._sha)
            except CosFileNotFoundError:
                if not self._was_published():
                    raise
            self._place = self._target.key

    def _publish_unless_deferred(self) -> None:
        if not self._target.deferred:
            self.publish()
            self._entry.remove()

    @property
    def _is_sibling(self) -> bool:
        return self._place != self._target.key

    def _opened(self) -> SliceSession:
        if self._session is None:
            raise make_error(errno.EIO, "the upload session is not open", self._target.path)
        return self._session

    def _note(self, session: str | None) -> None:
        self._entry.save(Record(self._place, session, self._sha))

    def _may_have_chosen(self, place: str) -> bool:
        """Tell whether a noted place is one that this upload can have chosen."""
        return place == self._target.key or paths.sibling_target(place) == paths.shortened(self._target.key)

    def _was_published(self) -> bool:
        """Tell whether the target provably has this content: the sibling was moved, and nobody lived to hear of it."""
        return not self._target.create and self._sha is not None and self._is_stored_at(self._target.key)

    def _is_stored_here(self) -> bool:
        """Tell whether the place holds this content completely: the earlier process had only to finish."""
        return self._is_stored_at(self._place)

    def _is_stored_at(self, key: str) -> bool:
        try:
            status = self._common.stat(self._target.bucket, key)
        except CosFileNotFoundError:
            return False
        known = self._sha is not None and status.sha is not None
        same = status.sha == self._sha if known else paths.is_sibling(key)
        return not status.is_unfinished and status.size == self._size and same
