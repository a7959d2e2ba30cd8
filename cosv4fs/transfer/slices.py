"""Uploading by the JSON API v4: slices in any order, through a session; replacing never endangers the old object.

A path that is taken is recognised by the refusal of an ``insertOnly=1`` request, which costs nothing. Its new content
goes to a hidden sibling and is moved into place when it is complete (architecture: "Replacing an object").
"""

from __future__ import annotations

import errno
from dataclasses import replace

from cosv4fs import paths
from cosv4fs.api import CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.bodies import Content
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, CosFileExistsError, Origin, make_error
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.journal import NO_ENTRY, Entry, Record
from cosv4fs.transfer.placed import SlicedUpload
from cosv4fs.transfer.plan import Slice
from cosv4fs.transfer.publish import (
    UNFINISHED,
    Target,
    blocked_parent,
    discard_sibling,
    refuse_taken,
    remove_session,
)

__all__ = ["SliceUpload"]

_SIZE_DIFFERS = -175
"""The code of finish for another size than the slices have; no code is documented for missing slices (spec 6.7)."""


class SliceUpload(SlicedUpload):
    """An upload session of v4: slices in any order, at the target or on a hidden sibling; see `SlicedUpload`."""

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
