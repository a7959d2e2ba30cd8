"""Uploading by the JSON API v4: slices in any order, through a session on a hidden sibling.

The complete sibling is moved to the target, so that no reader sees a part, and the old object stays until then.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from dataclasses import replace

from cosv4fs.api import CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.request import Content
from cosv4fs.concurrency import Buffers, Pool
from cosv4fs.errors import CosError, CosFileExistsError, make_error
from cosv4fs.options import MIB
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.journal import JournalEntry, Record
from cosv4fs.transfer.piecewise import KnownContent
from cosv4fs.transfer.plan import ByteRange, ranges
from cosv4fs.transfer.probe import DECLARED_SIZE, allows_streaming, learn_finish_size
from cosv4fs.transfer.publish import UNFINISHED, Target, blocked_parent
from cosv4fs.transfer.sha1state import upload_parts
from cosv4fs.transfer.single import BucketSingle
from cosv4fs.transfer.slices import SlicedUpload
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.uploader import Uploader


class V4Uploader(Uploader[CosV4Client]):
    """Uploads by the JSON API v4 (cos.md#upload and cos.md#upload_slice_init); see `Uploader`.

    The client's configuration has the options ``streaming``, ``instant_upload`` and ``checksum``.
    """

    def __init__(self, client: CosV4Client, pool: Pool) -> None:
        super().__init__(client, pool)
        self._probing = threading.Lock()

    def single(self, target: Target) -> BucketSingle:
        """Return the upload of a small object, in one request."""
        return BucketSingle(self.client, target)

    def stream(self, target: Target, size: int | None, piece_size: int) -> V4Upload | None:
        """Return an upload whose slices are sent while the caller is still writing.

        Without a size there is one only where the server lets an upload be finished with another size than it was
        opened with (cos.md#finish-size).
        """
        if size is None and not self._allows_streaming(target):
            return None
        return V4Upload(self.client, target, size, piece_size)

    def from_source(self, target: Target, source: Source, piece_size: int, entry: JournalEntry | None) -> V4Upload:
        """Return the upload of a source that can be read again, with its SHA-1 where it is wanted."""
        config, content = self.client.config, KnownContent(source, self.pool, entry)
        known = upload_parts(_blocks(source, self.pool.buffers)) if config.instant_upload else None
        if known is not None:
            # all recorded clients that send uploadparts also cut slices of 1 MiB (wire.md#upload_slice_init)
            piece_size, (sha, parts) = MIB, known
            content = replace(content, sha=sha, uploadparts=parts)
        elif config.checksum or source.is_hashed:
            # also to continue an interrupted upload: the recorded SHA-1 may be that of an older content
            content = replace(content, sha=source.sha1())
        return V4Upload(self.client, target, source.size, piece_size, content)

    def _allows_streaming(self, target: Target) -> bool:
        # threads that write at the same time wait for one answer
        with self._probing:
            return allows_streaming(self.client, target)


def _blocks(source: Source, buffers: Buffers) -> Iterator[memoryview]:
    for block in ranges(0, source.size, MIB):
        with source.lend(block.offset, block.length, buffers) as view:
            yield view


class V4Upload(SlicedUpload[CosV4Client]):
    """An upload session of v4: slices in any order; see `SlicedUpload`.

    Parameters
    ----------
    size : int or None
        Bytes of the whole object; None if unknown: then `finish` names them.
    """

    def __init__(
        self,
        client: CosV4Client,
        target: Target,
        size: int | None,
        slice_size: int,
        content: KnownContent | None = None,
    ) -> None:
        super().__init__(client, target, DECLARED_SIZE if size is None else size, slice_size, content)
        self._is_unsized = size is None

    def continue_session(self) -> bool:
        """Send the slices of a continued session in order from now on; return whether there is such a session.

        The list of an unfinished upload does not say that its slices have to come in order; a refused slice shows it.
        """
        session = self._session
        if session is None or session.serial or not self._continued:
            return False
        found = self._client.upload_slice_list(self._target.bucket, self._key)
        if found is None or found.session != session.session:
            return False
        self._session, self._done = replace(session, serial=True), found.parts
        return True

    def adopt_if_finished(self) -> bool:
        """Take the object as stored if the lost session was completed; return whether it was."""
        # an upload that only lacks its end looks complete to stat, but is listed
        found = self._client.upload_slice_list(self._target.bucket, self._key)
        self._stored = found is None and self._is_stored_here()
        return self._stored

    def send(self, piece: ByteRange, content: Content) -> None:
        """Send one slice; sending it again does no harm."""
        self._client.upload_slice_data(
            self._target.bucket,
            self._key,
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
        try:
            self._finish(size, sha)
        except CosError:
            if self._is_unsized:
                learn_finish_size(self._client, self._target.bucket, streams=False)
            raise

    def _finish(self, size: int | None, sha: str | None) -> None:
        target = self._target
        self._size = self._size if size is None else size
        if not self._stored:
            session = self._opened().session
            self._client.upload_slice_finish(target.bucket, self._key, session, self._size, sha=self._sha)
            self._session, self._stored = None, True
        if size is not None:
            self._verify(sha)
        content_type = target.content_type if target.explicit_type else None
        self._client.set_content_type(target.bucket, self._key, content_type)
        self._publish_unless_deferred()

    def _verify(self, sha: str | None) -> None:
        status = self._client.stat(self._target.bucket, self._key)
        known = sha is not None and status.sha is not None
        if status.is_unfinished or status.size != self._size or (known and status.sha != sha):
            raise make_error(
                errno.EIO, "the service stored something else than was sent: nothing is published", self._target.path
            )

    def _begin(self) -> None:
        """Open a session, or continue the one that was opened by an attempt whose reply was lost."""
        self._save_record(self._key, None)
        self._may_exist_on_server = True
        with blocked_parent(self._target):
            try:
                reply = with_parents(self._client, self._target.bucket, self._key, self._request_session)
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
        """Continue the recorded upload of an earlier process; return whether it still exists."""
        found = self._unfinished_here()
        if found is not None and found.filesize == self._size:
            self._take(SliceSession(found.session, found.slice_size))
            self._done = found.parts
            return True
        if found is None and self._is_stored_here():
            self._stored = True
            return True
        if found is None and self._was_published():
            self._key, self._stored = self._target.key, True
            return True
        return False

    def _unfinished_here(self) -> UnfinishedUpload | None:
        return self._client.upload_slice_list(self._target.bucket, self._key)

    def _take(self, session: SliceSession) -> None:
        self._session = session
        self._save_record(self._key, session.session)

    def _request_session(self) -> SliceSession | UploadedObject:
        return self._client.upload_slice_init(
            self._target.bucket,
            self._key,
            filesize=self._size,
            slice_size=self._wanted_slice,
            insert_only=True,
            sha=self._sha,
            uploadparts=None if self._content is None else self._content.uploadparts,
        )
