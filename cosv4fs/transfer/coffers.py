"""Uploading to a coffer: in one request, or in numbered parts in any order, which then become an object.

Nothing can be moved or replaced in a coffer, and nothing is visible before the end: so there are no hidden siblings. A
deferred object waits in memory, or its parts have not been completed yet. An unfinished upload blocks its key
(cdcs.md#initiate): it is aborted on every failure, unless a later process can continue it.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cosv4fs.api import CofferClient, Part
from cosv4fs.api.cdcs.errors import NAME_TAKEN_CODES
from cosv4fs.api.request import Content, md5_of, pieces_of
from cosv4fs.concurrency import Pool
from cosv4fs.errors import (
    CosError,
    CosFileExistsError,
    CosFileNotFoundError,
    CosInterruptedError,
    CosPossiblyCreatedError,
    make_error,
)
from cosv4fs.transfer.plan import LEAST_PART, MOST_PARTS, PartSizes, part_size, ranges
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.upload import Upload, is_gone

_log = logging.getLogger("cosv4fs")

WRITE_ONCE = (
    "a coffer is write-once: its objects cannot be replaced or deleted, and only expire by its lifecycle "
    "(set_lifecycle)"
)
"""The reason in errors of operations that would replace or remove objects (cdcs.md#immutability)."""


class CofferUpload(Upload):
    """An upload to a coffer (cdcs.md#put-object and cdcs.md#multipart); see `Upload`.

    Parts are of at least 1 MiB, and larger where there would be too many; where the size is unknown, they grow as the
    object does. The options ``instant_upload`` and ``checksum`` have no effect: every part carries its MD5, and nothing
    is stored beforehand.

    Raises
    ------
    OSError
        EFBIG for a size that no number of parts can hold.
    """

    needs_size = False
    _client: CofferClient

    def __init__(
        self, client: CofferClient, pool: Pool, target: Target, piece_size: int, size: int | None = None
    ) -> None:
        super().__init__(client, pool, target, piece_size, size)
        self._sizes = self._sized(piece_size)
        self._upload_id: str | None = None
        self._listed: dict[int, Part] = {}
        self._sent: dict[int, Part] = {}
        # the content of a small deferred object
        self._waiting: bytes | None = None

    def store(self, view: memoryview) -> None:
        """Put the object, or keep its content in memory if the target is deferred."""
        if self._target.deferred:
            self._waiting = bytes(view)
        else:
            self._put(view)

    def _put(self, view: memoryview) -> None:
        target = self._target
        with _creating(self._client, target):
            self._client.put_object(
                target.bucket, target.key, view, content_type=target.content_type, exclusive=target.create
            )
        self._stored = True

    def missing(self) -> list[range]:
        """Return all parts; `send` skips those that the service already has."""
        return [] if self._stored else ranges(0, self._size or 0, self._sizes.first)

    def piece_size(self, offset: int) -> int:
        """Return the bytes of the full part that begins at an offset."""
        return self._sizes.size(self._number(offset))

    def open(self) -> None:
        """Begin the upload, or continue the one that an earlier process recorded."""
        record = self._load_record()
        if record is not None and record.session is not None:
            if record.matches and self._continue(record.session):
                self._log_resumed(self._size if self._stored else sum(part.size for part in self._listed.values()))
                return
            if not record.matches:
                # the file has another content by now: its old upload would only block the key
                self._abort_upload(record.session)
        self._initiate()

    def recover(self) -> None:
        """Begin again: another client aborted the upload, unless a late request of this one completed it."""
        _log.info("%r: the service has lost the upload, which starts again", self._target.path)
        self._upload_id, self._listed, self._sent = None, {}, {}
        try:
            self._initiate()
        except CosFileExistsError:
            if not self._is_source_at(self._target.key):
                raise
            self._stored = True

    def send(self, piece: range, content: Content) -> None:
        """Send one part, unless the service has listed one that is provably the same."""
        number, md5 = self._number(piece.start), None
        listed = self._listed.get(number)
        if listed is not None and listed.size == len(piece):
            md5 = md5_of(pieces_of(content))
            # an ETag that is no MD5 proves nothing: the part is sent again and replaces the other
            if listed.etag.lower() == md5.hex():
                self._sent[number] = listed
                return
        etag = self._client.upload_part(self._target.bucket, self._target.key, self._opened(), number, content, md5=md5)
        self._sent[number] = Part(number, len(piece), etag)

    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Complete the object, unless it is deferred; raise EIO when not all bytes were sent. The SHA-1 has no use."""
        self._size = self._size if size is None else size
        if self._source is not None and self._source.was_touched:
            # each part is what was read, but together they may be a mixture, and nothing replaces an object later
            text = "the local file was changed, or renamed, while it was being uploaded: nothing is published"
            raise make_error(errno.EIO, text, self._target.path)
        if not self._stored:
            self._check_parts()
        if not self._target.deferred:
            self._complete()

    def publish(self) -> None:
        """Put or complete a deferred object; if that fails, abort its upload."""
        if self._waiting is not None:
            with memoryview(self._waiting) as view:
                self._put(view)
            self._waiting = None
            return
        try:
            self._complete()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Abort the upload, so that its key is free again. A complete object stays."""
        upload_id, self._upload_id, self._waiting = self._upload_id, None, None
        if upload_id is not None and not self._stored:
            self._abort_upload(upload_id)
        self._remove_record()

    def _abort_upload(self, upload_id: str) -> None:
        try:
            self._client.abort(self._target.bucket, self._target.key, upload_id)
        except CosError as error:
            if not is_gone(error):
                raise

    def _complete(self) -> None:
        if not self._stored:
            parts = [self._sent[number] for number in sorted(self._sent)]
            with _creating(self._client, self._target):
                self._client.complete(self._target.bucket, self._target.key, self._opened(), parts)
            self._upload_id, self._stored = None, True
        self._remove_record()

    def _check_parts(self) -> None:
        """Check that no part is missing, and that together they are as long as the object."""
        numbers, total = sorted(self._sent), sum(part.size for part in self._sent.values())
        if numbers != list(range(1, len(numbers) + 1)) or total != self._size:
            text = f"{len(numbers)} parts of {total} bytes were sent for an object of {self._size} bytes"
            raise make_error(errno.EIO, f"{text}: nothing is published", self._target.path)

    def _initiate(self) -> None:
        target = self._target
        with _creating(self._client, target):
            self._upload_id = self._client.initiate(target.bucket, target.key, content_type=target.content_type)
        self._save_record(target.key, self._upload_id)

    def _continue(self, upload_id: str) -> bool:
        """Continue the upload of an earlier process; return whether it still exists, or is complete."""
        try:
            parts = self._client.list_parts(self._target.bucket, self._target.key, upload_id)
        except CosError as error:
            if not is_gone(error):
                raise
            # it was completed, and the earlier process ended before the reply; or another client aborted it
            self._stored = self._is_source_at(self._target.key)
            return self._stored
        self._upload_id, self._listed = upload_id, {part.number: part for part in parts}
        first = self._listed.get(1)
        if first is not None and self._can_be_cut(first.size):
            self._sizes = PartSizes(first.size)
        return True

    def _can_be_cut(self, size: int) -> bool:
        return size >= LEAST_PART and -(-(self._size or 0) // size) <= MOST_PARTS

    def _sized(self, wanted: int) -> PartSizes:
        if self._size is None:
            return PartSizes(max(LEAST_PART, wanted), grow=True)
        try:
            return PartSizes(part_size(self._size, wanted))
        except ValueError as fault:
            raise make_error(errno.EFBIG, str(fault), self._target.path) from fault

    def _number(self, offset: int) -> int:
        number = self._sizes.number(offset)
        if number > MOST_PARTS:
            text = f"{offset} bytes are in {MOST_PARTS} parts, and no object of a coffer may have more"
            raise make_error(errno.EFBIG, text, self._target.path)
        return number

    def _opened(self) -> str:
        if self._upload_id is None:
            raise make_error(errno.EIO, "the upload is not open", self._target.path)
        return self._upload_id


def exists_error(path: str, refusal: CosError | None = None) -> CosError:
    """Return the error for the path of an existing object."""
    return make_error(errno.EEXIST, f"the file exists, and {WRITE_ONCE}: write to another path", path, refusal)


@contextmanager
def _creating(client: CofferClient, target: Target) -> Iterator[None]:
    """Explain why an object could not be created: it exists, or an unfinished upload blocks its key.

    The service refuses both with the same code (cdcs.md#put-object and cdcs.md#initiate): a refusal costs a request.
    """
    try:
        yield
    except CosFileExistsError as refusal:
        if refusal.code not in NAME_TAKEN_CODES or isinstance(refusal, CosPossiblyCreatedError):
            raise
        try:
            client.head(target.bucket, target.key)
        except CosFileNotFoundError:
            text = "an unfinished upload blocks this name: wait until it is complete, or abort it (abort_upload)"
            raise make_error(errno.EEXIST, text, target.path, refusal) from refusal
        except CosInterruptedError:
            raise
        except CosError:
            raise refusal from None
        raise exists_error(target.path, refusal) from refusal
