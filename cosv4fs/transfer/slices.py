"""Uploading by the JSON API v4: slices in any order, through a session on a hidden sibling.

The sibling is moved into place when it is complete, so that no reader sees a part, and the old object stays until then.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from cosv4fs.api import CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.bodies import Content
from cosv4fs.errors import CosFileExistsError, make_error
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.journal import NO_ENTRY, Entry, Record
from cosv4fs.transfer.placed import SlicedUpload
from cosv4fs.transfer.plan import Slice
from cosv4fs.transfer.publish import UNFINISHED, Target, blocked_parent

__all__ = ["SliceUpload"]


class SliceUpload(SlicedUpload):
    """An upload session of v4: slices in any order; see `SlicedUpload`."""

    def __init__(
        self,
        client: CosV4Client,
        target: Target,
        size: int,
        slice_size: int,
        sha: str | None = None,
        entry: Entry = NO_ENTRY,
        uploadparts: str | None = None,
    ) -> None:
        super().__init__(client, target, size, slice_size, sha, entry, uploadparts)
        self._client = client

    def go_on(self) -> bool:
        """Go on one slice after another with a session that was continued; return whether there is one.

        The list of an unfinished upload does not tell that its slices have to come in order: their refusal does.
        """
        session = self._session
        if session is None or session.serial or not self._continued:
            return False
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        if found is None or found.session != session.session:
            return False
        self._session, self._parts = replace(session, serial=True), found.parts
        return True

    def was_finished(self) -> bool:
        """Return whether the lost session had become our object: its last reply was lost."""
        # an upload that only lacks its end looks complete to stat, but is listed
        found = self._client.upload_slice_list(self._target.bucket, self._place)
        self._stored = found is None and self._is_stored_here()
        return self._stored

    def send(self, piece: Slice, content: Content) -> None:
        """Send one slice; sending it again does no harm."""
        self._client.upload_slice_data(
            self._target.bucket,
            self._place,
            self._opened().session,
            piece.offset,
            content,
            sha=self._sha,
            content_type=self._target.content_type,
        )

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
            session = self._opened().session
            self._client.upload_slice_finish(target.bucket, self._place, session, self._size, sha=self._sha)
            self._session, self._stored = None, True
        if size is not None:
            self._verify(sha)
        content_type = target.content_type if target.explicit_type else None
        self._client.set_content_type(target.bucket, self._place, content_type)
        self._publish_unless_deferred()

    def _verify(self, sha: str | None) -> None:
        status = self._client.stat(self._target.bucket, self._place)
        known = sha is not None and status.sha is not None
        if status.is_unfinished or status.size != self._size or (known and status.sha != sha):
            raise make_error(
                errno.EIO, "the service stored something else than was sent: nothing is published", self._target.path
            )

    def _begin(self) -> None:
        """Open a session; take up the one that an attempt has opened whose reply was lost."""
        self._note(None)
        self._asked = True
        with blocked_parent(self._target):
            try:
                reply = with_parents(self._client, self._target.bucket, self._place, self._request_session)
            except CosFileExistsError as refusal:
                found = self._unfinished_here() if refusal.code == UNFINISHED else None
                if found is None:
                    raise
                reply = SliceSession(found.session, found.slice_size)
        if isinstance(reply, UploadedObject):
            self._stored = True
        else:
            self._take(reply)

    def _continue(self, record: Record) -> bool:
        """Continue the upload that an earlier process noted at the place; return whether it still exists."""
        found = self._unfinished_here()
        if found is not None and found.filesize == self._size:
            self._take(SliceSession(found.session, found.slice_size))
            self._parts = found.parts
            return True
        if found is None and self._is_stored_here():
            self._stored = True
            return True
        if found is None and self._was_published():
            self._place, self._stored = self._target.key, True
            return True
        return False

    def _unfinished_here(self) -> UnfinishedUpload | None:
        return self._client.upload_slice_list(self._target.bucket, self._place)

    def _take(self, session: SliceSession) -> None:
        self._session = session
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
