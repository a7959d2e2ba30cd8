"""Uploading by v3 of the API: slices in order, the SHA-1 first, the last slice completes the object.

There is no listing of the slices of an unfinished upload. A client that knows the session asks how far it has come, and
goes on from there.
"""

from __future__ import annotations

from dataclasses import replace

from cosv4fs.api import CosV3Client, SliceSession, UploadedObject
from cosv4fs.api.request import Content
from cosv4fs.errors import CosError, session_error
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.journal import JournalEntry, Record
from cosv4fs.transfer.piecewise import KnownContent, is_gone
from cosv4fs.transfer.plan import ByteRange
from cosv4fs.transfer.publish import Target, blocked_parent
from cosv4fs.transfer.single import BucketSingle
from cosv4fs.transfer.slices import SlicedUpload
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.uploader import Uploader


class V3Uploader(Uploader[CosV3Client]):
    """Uploads by the JSON API v3 (cos.md#v3); see `Uploader`."""

    def single(self, target: Target) -> BucketSingle:
        """Return the upload of a small object, in one request."""
        return BucketSingle(self.client, target)

    def stream(self, target: Target, size: int | None, piece_size: int) -> None:
        """Return None: v3 takes no slice without the SHA-1 of the whole content."""

    def from_source(self, target: Target, source: Source, piece_size: int, entry: JournalEntry | None) -> V3Upload:
        """Return the upload of a source that can be read again."""
        return V3Upload(self.client, target, piece_size, KnownContent(source, self.pool, entry))


class V3Upload(SlicedUpload[CosV3Client]):
    """An upload by v3; see `SlicedUpload`.

    Parameters
    ----------
    content : KnownContent
        The content; its SHA-1 is computed now.
    """

    def __init__(self, client: CosV3Client, target: Target, slice_size: int, content: KnownContent) -> None:
        self._digest = content.source.sha1()
        super().__init__(client, target, content.source.size, slice_size, replace(content, sha=self._digest))

    def continue_session(self) -> bool:
        """Ask how far the session has come, to continue from there; return whether it still exists."""
        if self._session is None:
            return False
        try:
            self._take(self._ask(self._session.session))
        except CosError as error:
            if not is_gone(error):
                raise
            return False
        return True

    def adopt_if_finished(self) -> bool:
        """Take the object as stored if it is complete, and the reply was lost; return whether it is."""
        self._stored = self._is_stored_here()
        return self._stored

    def send(self, piece: ByteRange, content: Content) -> None:
        """Send one slice. If it is refused, ask whether the service has it already."""
        session = self._opened().session
        try:
            done = self._client.send_slice(
                self._target.bucket,
                self._key,
                session,
                piece.offset,
                content,
                content_type=self._target.content_type,
            )
        except CosError as error:
            if not is_gone(error) or not self._has(piece):
                raise
            return
        self._stored = self._stored or done is not None

    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """See to it that the object is complete, and publish it unless it is deferred.

        Raises
        ------
        OSError
            ESTALE when the service still wants slices.
        """
        if not self._stored and not (self.continue_session() and self._stored) and not self.adopt_if_finished():
            text = "the service has not completed the object with its last slice"
            raise session_error(text, self._target.path)
        self._session = None
        self._publish_unless_deferred()

    def _has(self, piece: ByteRange) -> bool:
        """Return whether the service has a slice that it refused: an earlier reply was lost."""
        session = self._session
        if not self.continue_session():
            return self.adopt_if_finished()
        has_slice = self._stored or self._opened().offset >= piece.stop
        if has_slice and not self._stored:
            self._session = session
        return has_slice

    def _begin(self) -> None:
        self._save_record(self._key, None)
        self._may_exist_on_server = True
        with blocked_parent(self._target):
            self._take(with_parents(self._client, self._target.bucket, self._key, lambda: self._ask(None)))

    def _ask(self, session: str | None) -> SliceSession | UploadedObject:
        return self._client.open_slices(
            self._target.bucket,
            self._key,
            filesize=self._size,
            sha=self._digest,
            slice_size=self._wanted_slice,
            session=session,
        )

    def _take(self, reply: SliceSession | UploadedObject) -> None:
        if isinstance(reply, UploadedObject):
            self._stored = True
            return
        self._session = reply
        self._save_record(self._key, reply.session)

    def _continue(self, record: Record) -> bool:
        """Continue the recorded upload of an earlier process; return whether it still exists."""
        try:
            if record.session is not None:
                self._take(self._ask(record.session))
                return True
        except CosError as error:
            if not is_gone(error):
                raise
        if self._is_stored_here():
            self._stored = True
            return True
        if self._was_published():
            self._key, self._stored = self._target.key, True
            return True
        return False
