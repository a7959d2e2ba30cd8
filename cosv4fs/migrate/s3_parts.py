"""Parts in which large files are sent to S3, and their ETags.

Every file in flight keeps its part in memory, about four times. The default of s3fs, parts of 50 MiB, needs gigabytes
for a few files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import signature
from typing import Any

from cosv4fs.migrate.locations import S3, Location

_PART = 8 * 1024 * 1024
"""Bytes of a part, unless the file is too large for so many; S3 accepts 5 MiB to 5 GiB."""

_MAX_PARTS = 10_000
"""Parts of one file that S3 accepts."""

_STEP = 4 * 1024 * 1024
"""Parts are multiples of the blocks that are written: some services accept parts of one size only."""

_AT_ONCE = 4
"""Parts of a download, and half as many of an upload from the disk, that are in flight for one file."""


def part_size(size: int) -> int:
    """Return the bytes of a part for a file of `size` bytes."""
    least = -(-size // _MAX_PARTS)
    return max(_PART, -(-least // _STEP) * _STEP)


def opening(location: Location, size: int | None = None) -> dict[str, int]:
    """Return keywords that make ``open`` keep little in memory: to read, or to write a file of `size` bytes."""
    return {"block_size": part_size(size or 0)} if S3 & location.protocols else {}


def downloading(source: Location) -> dict[str, int]:
    """Return keywords that make ``get_file`` keep little in memory."""
    return _taken(source.fs.get_file, chunksize=_PART, max_concurrency=_AT_ONCE) if S3 & source.protocols else {}


def uploading(target: Location) -> dict[str, int]:
    """Return keywords that make ``put_file`` keep little in memory.

    The parts stay those of s3fs: smaller files are sent at once, so that their ETag is their MD5.
    """
    return _taken(target.fs.put_file, max_concurrency=_AT_ONCE // 2) if S3 & target.protocols else {}


def _taken(method: Callable[..., Any], **keywords: int) -> dict[str, int]:
    """Return the keywords that a method takes in this version of s3fs."""
    known = signature(method).parameters
    return {name: value for name, value in keywords.items() if name in known}


def abort_uploads(target: Location, size: int) -> None:
    """Abort the uploads of parts to a file of `size` bytes: a killed process leaves them, and S3 keeps and bills them.

    Only for files that were begun before and not completed. Nothing happens if access is denied.
    """
    if not S3 & target.protocols or size < _PART:
        return
    bucket, _, key = target.path.partition("/")
    with suppress(OSError):
        # sorted by key, so that those of this one come first
        found = target.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        for upload in found.get("Uploads") or ():
            if upload["Key"] == key:
                target.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])


class PartsDigest:
    """The ETag of a file that is written to S3 block by block: its MD5, or the MD5 of those of its parts.

    Files that S3 encrypts with keys of KMS or of customers have other ETags.

    Parameters
    ----------
    size : int
        Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._part = part_size(size)
        self._parts: list[bytes] = []
        self._new_part()

    def _new_part(self) -> None:
        self._digest, self._count = hashlib.md5(usedforsecurity=False), 0

    def update(self, block: bytes) -> None:
        """Add a block, as it is written."""
        self._digest.update(block)
        self._count += len(block)
        if self._count >= self._part:
            # s3fs sends what was written as soon as it is a part
            self._end_part()

    def _end_part(self) -> None:
        self._parts.append(self._digest.digest())
        self._new_part()

    def etag(self) -> str:
        """Return the ETag, after the last block."""
        if not self._parts:
            return self._digest.hexdigest()
        if self._count:
            self._end_part()
        return f"{hashlib.md5(b''.join(self._parts), usedforsecurity=False).hexdigest()}-{len(self._parts)}"

    def is_of(self, info: Mapping[str, Any]) -> bool:
        """Return whether the copy has this ETag; that proves that contents are equal, not that they differ."""
        return str(info.get("ETag") or "").strip('"').lower() == self.etag()
