"""Uploading by v3 of the API: slices in order, the SHA-1 first, the last slice completes the object (cos.md#v3).

There is no listing of the slices of an unfinished upload. A client that knows the session asks how far it has come, and
goes on from there.
"""

from __future__ import annotations

from cosv4fs.api import CosV3Client, SliceSession, UploadedObject
from cosv4fs.api.request import Content
from cosv4fs.errors import CosError, session_error
from cosv4fs.transfer.journal import Record
from cosv4fs.transfer.slices import SlicedUpload
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.upload import is_gone


class V3Upload(SlicedUpload):
    """An upload by v3; see `Upload`."""

    _client: CosV3Client

    def can_stream(self) -> bool:
        """Return False: v3 takes no slice without the SHA-1 of the whole content."""
        return False

    def _sha1(self, source: Source) -> str:
        return source.sha1()

    # -- in slices -------------------------------------------------------------------------------------------------

    def _request_session(self, session: str | None = None) -> SliceSession | UploadedObject:
        """Open a session, or ask how far a known one has come."""
        assert self._sha is not None  # that of the source
        return self._client.open_slices(
            self._target.bucket,
            self._key,
            filesize=self._filesize,
            sha=self._sha,
            slice_size=self._wanted_piece,
            session=session,
            biz_attr=self._target.attributes.get("biz_attr"),
        )

    @property
    def _expects_serial(self) -> bool:
        return True

    def send(self, piece: range, content: Content) -> None:
        """Send one slice. If it is refused, ask whether the service has it already."""
        session = self._opened().session
        try:
            done = self._client.send_slice(
                self._target.bucket,
                self._key,
                session,
                piece.start,
                content,
                content_type=self._target.content_type,
            )
        except CosError as error:
            if not is_gone(error) or not self._has(piece):
                raise
            return
        self._stored = self._stored or done is not None

    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Publish the object unless it is deferred; raise ESTALE when the service still wants slices."""
        if not self._stored and not (self._continue_session() and self._stored) and not self._adopt_if_finished():
            text = "the service has not completed the object with its last slice"
            raise session_error(text, self._target.path)
        self._session = None
        self._publish_unless_deferred()

    # -- after a lost reply, a refused slice, or a killed process --------------------------------------------------

    def _has(self, piece: range) -> bool:
        """Return whether the service has a slice that it refused: an earlier reply was lost."""
        session = self._session
        if not self._continue_session():
            return self._adopt_if_finished()
        has_slice = self._stored or self._opened().offset >= piece.stop
        if has_slice and not self._stored:
            self._session = session
        return has_slice

    def _continue(self, record: Record) -> bool:
        """Continue the recorded upload of an earlier process; return whether it still exists."""
        return self._ask(record.session) or self._find_complete()

    def _continue_session(self) -> bool:
        """Ask how far the session has come, to continue from there; return whether it still exists."""
        return self._session is not None and self._ask(self._session.session)

    def _ask(self, session: str | None) -> bool:
        if session is None:
            return False
        try:
            self._take(self._request_session(session))
        except CosError as error:
            if not is_gone(error):
                raise
            return False
        return True

    def _adopt_if_finished(self) -> bool:
        """Take the object as stored if it is complete, and the reply was lost; return whether it is."""
        self._stored = self._is_stored_at_sibling()
        return self._stored
