"""Uploading by the JSON API v4: slices in any order, through a session on a hidden sibling."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cosv4fs import paths
from cosv4fs.api import CosV4Client, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.request import Content
from cosv4fs.attributes import headers_of
from cosv4fs.concurrency import Buffers
from cosv4fs.errors import CosError, CosFileExistsError, make_error
from cosv4fs.options import MIB
from cosv4fs.transfer.directories import parent_key, with_parents
from cosv4fs.transfer.journal import Record
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.sha1state import upload_parts
from cosv4fs.transfer.slices import DECLARED_SIZE, UNFINISHED, SlicedUpload
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.target import Target, discard_sibling

_log = logging.getLogger("cosv4fs")

_PROBE = b"cosv4fs asks whether an upload may be finished with another size than it was opened with"


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
        return self._size is not None or _allows_streaming(self._client, self._target)

    def _sha1(self, source: Source) -> str | None:
        """Return the SHA-1 of the source where it is wanted, or costs nothing."""
        config = self._client.config
        known = upload_parts(_blocks(source, self._pool.buffers)) if config.instant_upload else None
        if known is not None:
            # all recorded clients that send uploadparts also cut slices of 1 MiB (wire.md#upload_slice_init)
            self._wanted_piece, (sha, self._parts) = MIB, known
            return sha
        # also to continue an interrupted upload: the recorded SHA-1 may be that of an older content
        return source.sha1() if config.checksum or source.is_hashed else None

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
        try:
            self._finish(size, sha)
        except CosError:
            if size is not None:
                _learn_finish_size(self._client, self._target.bucket, streams=False)
            raise

    def _finish(self, size: int | None, sha: str | None) -> None:
        target = self._target
        self._size = self._size if size is None else size
        if not self._stored:
            session = self._opened().session
            self._client.upload_slice_finish(target.bucket, self._key, session, self._filesize, sha=self._sha)
            self._session, self._stored = None, True
        if size is not None:
            self._verify(sha)
        self._set_attributes(self._key)
        self._publish_unless_deferred()

    @property
    def _settings(self) -> dict[str, Any]:
        attributes = self._target.attributes
        settings = {"custom_headers": headers_of(attributes), "authority": attributes.get("authority")}
        return {name: value for name, value in settings.items() if value}

    def _verify(self, sha: str | None) -> None:
        """Verify what was stored of an upload whose size was not known when its session was opened."""
        status = self._client.stat(self._target.bucket, self._key)
        known = sha is not None and status.sha is not None
        if status.is_unfinished or status.size != self._size or (known and status.sha != sha):
            text = "the service stored something else than was sent: nothing is published"
            raise make_error(errno.EIO, text, self._target.path)

    @property
    def _expects_serial(self) -> bool:
        return self._client.quirks.serial_upload

    def _take(self, reply: SliceSession | UploadedObject) -> None:
        super()._take(reply)
        if isinstance(reply, SliceSession) and reply.serial:
            self._client.quirks.learn(serial_upload=True)

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
        self._stored = self._listed() is None and self._is_stored_at(self._key)
        return self._stored

    def _listed(self) -> UnfinishedUpload | None:
        return self._client.upload_slice_list(self._target.bucket, self._key)


def _blocks(source: Source, buffers: Buffers) -> Iterator[memoryview]:
    for block in ranges(0, source.size, MIB):
        with source.lend(block.start, len(block), buffers) as view:
            yield view


def _allows_streaming(client: CosV4Client, target: Target) -> bool:
    """Return whether an upload to the target's bucket may be finished with another size than it was opened with.

    The documentation does not say (cos.md#finish-size). Where it may, objects of unknown size are sent while they are
    written; where it may not, they wait in a spool. The answer decides speed only: what was streamed is verified before
    it is published. The option ``streaming`` is the mode: with ``auto`` a bucket is probed the first time.
    """
    mode = client.config.streaming
    if mode != "auto":
        return mode == "always"
    known = client.quirks.finish_size.get(target.bucket)
    if known is not None:
        return known == "any"
    answer = _probe(client, target)
    result = "nothing, because of a transient error" if answer is None else "yes" if answer else "no"
    _log.info("can files of unknown size be sent to bucket %r while they are written? %s", target.bucket, result)
    if answer is not None:
        _learn_finish_size(client, target.bucket, streams=answer)
    return bool(answer)


def _learn_finish_size(client: CosV4Client, bucket: str, *, streams: bool) -> None:
    quirks = client.quirks
    quirks.learn(finish_size={**quirks.finish_size, bucket: "any" if streams else "declared"})


def _probe(client: CosV4Client, target: Target) -> bool | None:
    """Try it on a hidden sibling of the target; return None if a transient error leaves it open."""
    sibling = paths.sibling(parent_key(target.key) + "probe")
    try:
        return with_parents(client, target.bucket, sibling, lambda: _try(client, target.bucket, sibling))
    except CosError as error:
        return None if error.is_transient else False
    finally:
        discard_sibling(client, target.bucket, sibling)


def _try(client: CosV4Client, bucket: str, sibling: str) -> bool:
    size = len(_PROBE)
    session = client.upload_slice_init(bucket, sibling, filesize=DECLARED_SIZE, slice_size=client.config.slice_size)
    if not isinstance(session, SliceSession):
        return False
    client.upload_slice_data(bucket, sibling, session.session, 0, memoryview(_PROBE))
    client.upload_slice_finish(bucket, sibling, session.session, size)
    status = client.stat(bucket, sibling)
    if status.is_unfinished or status.size != size:
        return False
    memory = bytearray(size)
    client.fetch(bucket, sibling, lambda length, _: memoryview(memory)[:length])
    return memory == _PROBE
