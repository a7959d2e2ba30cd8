"""Uploading by the JSON API v4: slices in any order, through a session on a hidden sibling."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

from cosv4fs.api import CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.request import Content
from cosv4fs.attributes import headers_of
from cosv4fs.concurrency import Buffers, cancellation
from cosv4fs.errors import (
    CosError,
    CosFileExistsError,
    CosFileNotFoundError,
    CosPermissionError,
    make_error,
    session_error,
)
from cosv4fs.options import MIB
from cosv4fs.transfer.journal import Record
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.probing import allows_streaming, reported_sha1, stored_status
from cosv4fs.transfer.sha1state import upload_parts
from cosv4fs.transfer.slices import UNFINISHED, SlicedUpload
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.target import discard_sibling

_log = logging.getLogger("cosv4fs")

_PROBE_ABOVE = 1024 * MIB
"""Bytes above which a bucket is probed for SHA-1 values first: sending the content twice would cost more."""

_CHANGED = "the local file differs from what was sent: it was changed without a new modification time"
_UNLIKE = "the service stored different content"
_UNTOLD = "the service does not report what it stored"


class V4Upload(SlicedUpload):
    """An upload by v4 (cos.md#upload_slice_init); see `Upload`.

    The client's configuration has the options ``streaming``, ``instant_upload`` and ``checksum``.
    """

    _client: CosV4Client
    _parts: str | None = None
    """Lets the server recognise content that it already has (see `cosv4fs.transfer.sha1state`)."""

    def can_stream(self) -> bool:
        """Return whether slices can be sent while the caller is still writing.

        Without a size that is so only where the server lets an upload be finished with another size than it was opened
        with (cos.md#finish-size).
        """
        return self._size is not None or allows_streaming(self._client, self._target)

    def _sha1(self, source: Source) -> str | None:
        """Return the SHA-1 of the source if the upload is to be opened with it."""
        config = self._client.config
        known = upload_parts(_blocks(source, self._pool.buffers)) if config.instant_upload else None
        if known is not None:
            # all recorded clients that send uploadparts also cut slices of 1 MiB (wire.md#upload_slice_init)
            self._wanted_piece, (sha, self._parts) = MIB, known
            return sha
        if not self._wants_sha1(source):
            return None
        # the service notices what nothing else does: it compares what it gets with what was read before
        if source.may_change_unnoticed:
            return source.sha1()
        reported = reported_sha1(self._client, self._target, probe=source.size > _PROBE_ABOVE)
        return source.sha1() if reported in ("absent", "other") else None

    def _hashes_while_sending(self) -> bool:
        """Return whether the SHA-1 of the source is wanted and not known; what is published already was compared."""
        return self._source is not None and self._wants_sha1(self._source) and self._sha is None and self._has_sibling

    def _wants_sha1(self, source: Source) -> bool:
        return self._client.config.checksum or source.hashes_itself

    def _content_sha(self) -> str | None:
        """Return the SHA-1 of the content; compute it if `checksum` is on and it is unknown."""
        if self._sha is None and self._sent_sha is None and self._source is not None and self._client.config.checksum:
            self._sent_sha = self._source.sha1()
        return super()._content_sha()

    @property
    def _settings(self) -> dict[str, Any]:
        attributes = self._target.attributes
        settings = {"custom_headers": headers_of(attributes), "authority": attributes.get("authority")}
        return {name: value for name, value in settings.items() if value}

    # -- in slices -------------------------------------------------------------------------------------------------

    def _request_session(self) -> SliceSession | UploadedObject:
        """Open a session, or continue the one that was opened by an attempt whose reply was lost."""
        try:
            return self._client.upload_slice_init(
                self._target.bucket,
                self._key,
                filesize=self._filesize,
                slice_size=self._wanted_piece,
                insert_only=True,
                sha=self._sha,
                uploadparts=self._parts,
                biz_attr=self._target.attributes.get("biz_attr"),
            )
        except CosFileExistsError as refusal:
            found = self._listed() if refusal.code == UNFINISHED else None
            if found is None:
                raise
            return SliceSession(found.session, found.slice_size)

    def _take(self, reply: SliceSession | UploadedObject) -> None:
        super()._take(reply)
        if isinstance(reply, SliceSession) and reply.serial:
            self._client.quirks.learn(serial_upload=True)

    @property
    def _expects_serial(self) -> bool:
        return self._client.quirks.serial_upload

    def send(self, piece: range, content: Content) -> None:
        """Send one slice; sending it again does no harm."""
        self._client.upload_slice_data(
            self._target.bucket,
            self._key,
            self._opened().session,
            piece.start,
            content,
            sha=self._sha,
            content_type=self._target.content_type,
        )

    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Finish the session, and publish the object unless it is deferred; see `Upload.finish`."""
        is_unsized = size is not None
        self._size = self._size if size is None else size
        if not self._stored:
            self._finish_session(is_unsized=is_unsized)
        self._sent_sha = sha or self._sent_sha
        self._verify()
        self._set_attributes(self._key)
        self._publish_unless_deferred()

    def _finish_session(self, *, is_unsized: bool) -> None:
        bucket, session = self._target.bucket, self._opened().session
        try:
            self._client.upload_slice_finish(bucket, self._key, session, self._filesize, sha=self._sha)
        except CosError as error:
            if is_unsized and not (error.is_transient or cancellation.is_cancellation(error)):
                self._client.quirks.learn(bucket, finish_size="declared")
            raise
        self._session, self._stored = None, True

    # -- after a lost reply, a refused slice, or a killed process --------------------------------------------------

    def _is_of_same_content(self, record: Record) -> bool:
        """Return whether the recorded upload was opened with the SHA-1 that this one is opened with."""
        if record.sha is not None and self._sha is None:
            # it may be that of an older content
            self._sha = self._content_sha()
        return super()._is_of_same_content(record)

    def _continue(self, record: Record) -> bool:
        """Continue the recorded upload of an earlier process; return whether it still exists."""
        found = self._listed()
        if found is None:
            return self._find_complete()
        if found.filesize != self._filesize:
            return False
        self._take(SliceSession(found.session, found.slice_size))
        self._done = found.parts
        return True

    def _continue_session(self) -> bool:
        """Send the slices of a continued session in order from now on; return whether there is such a session.

        The list of an unfinished upload does not say that its slices have to come in order; a refused slice shows it.
        """
        session = self._session
        if session is None or session.serial or not self._continued:
            return False
        found = self._listed()
        if found is None or found.session != session.session:
            return False
        self._session, self._done = replace(session, serial=True), found.parts
        return True

    def _adopt_if_finished(self) -> bool:
        """Take the object as stored if the lost session was completed; return whether it was."""
        # an upload that only lacks its end looks complete to stat, but is listed
        self._stored = self._listed() is None and self._is_stored_at_sibling()
        return self._stored

    def _listed(self) -> UnfinishedUpload | None:
        return self._client.upload_slice_list(self._target.bucket, self._key)

    # -- whether the service has stored what was sent --------------------------------------------------------------

    def _verify(self) -> None:
        """Verify that the sibling is what was sent, unless the service compared it with a SHA-1 itself.

        A continued upload may contain slices of earlier content, and a file that was modified meanwhile may be a
        mixture.

        Raises
        ------
        CosUploadSessionError
            ESTALE: a source differs, or the service reports no SHA-1; it is uploaded again with its SHA-1.
        OSError
            EIO: a stream differs; it cannot be sent again.
        """
        source, sent = self._source, self._sent_sha
        is_doubtful = self._continued or (source is not None and source.was_touched)
        if self._sha is not None or not self._has_sibling or (sent is None and not is_doubtful):
            return
        try:
            status = stored_status(self._client, self._target.bucket, self._key)
        except (CosPermissionError, CosFileNotFoundError):
            # credentials may be for uploads only, and somebody may have cleaned up
            if source is None or sent is None:
                raise
            self._start_again(_UNTOLD, sent)
        is_whole = not status.is_unfinished and status.size == self._size
        if is_whole and status.sha in (None, sent):
            self._client.quirks.learn(self._target.bucket, slice_sha="real" if status.sha else "absent")
        if source is None:
            self._verify_stream(status.sha, is_whole=is_whole)
        elif not is_whole:
            self._start_again(_UNLIKE, sent)
        elif sent is None:
            self._verify_unhashed(source, status.sha)
        else:
            self._verify_source(source, status.sha, sent, is_doubtful=is_doubtful)

    def _verify_unhashed(self, source: Source, reported: str | None) -> None:
        """Verify doubtful content where the option ``checksum`` is off."""
        if (reported is None or reported != source.sha1()) and not self._is_source_at(self._key):
            self._start_again(_CHANGED, None)

    def _verify_source(self, source: Source, reported: str | None, sent: str, *, is_doubtful: bool) -> None:
        if reported is None:
            self._start_again(_UNTOLD, sent)
        if reported != sent:
            if not is_doubtful:
                # probe, so that later uploads to this bucket are hashed first if it never is
                reported_sha1(self._client, self._target, probe=True)
            self._start_again(_UNLIKE, sent)
        if source.was_touched and (now := source.sha1()) != sent:
            self._start_again(_CHANGED, now)

    def _verify_stream(self, reported: str | None, *, is_whole: bool) -> None:
        """Verify what cannot be sent again: by its size alone where the service reports no SHA-1."""
        if is_whole and reported in (None, self._sent_sha):
            return
        if is_whole and reported_sha1(self._client, self._target, probe=True) == "other":
            # another SHA-1 will be reported at the target, too
            self._sent_sha = None
            return
        # spooled content can be sent again
        self._client.quirks.learn(self._target.bucket, finish_size="declared")
        raise make_error(errno.EIO, f"{_UNLIKE}: nothing is published", self._target.path)

    def _start_again(self, reason: str, sha: str | None) -> NoReturn:
        """Remove the sibling and raise ESTALE, so that the content goes to another one, with its SHA-1 if given."""
        _log.info("%r: %s", self._target.path, reason)
        discard_sibling(self._client, self._target.bucket, self._key)
        # even where it cannot be removed, nothing takes it for the content
        self._reset()
        self._sha = sha
        raise session_error(reason, self._target.path)


def _blocks(source: Source, buffers: Buffers) -> Iterator[memoryview]:
    for block in ranges(0, source.size, MIB):
        cancellation.check()
        with source.lend(block.start, len(block), buffers) as view:
            yield view
