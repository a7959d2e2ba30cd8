"""Probing a bucket by a small upload: two disputed points that decide which way to upload is fastest.

The first is whether an upload may be finished with another size than it was opened with (cos.md#finish-size). If so,
objects of unknown size are sent while they are written. The second is whether the service computes and reports the
SHA-1 of what came in slices (cos.md#stat-sha). If so, content is hashed while it is sent. What was sent is verified
before it is published: by its SHA-1 or, if it was streamed to a bucket that reports none, by its size alone.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Literal

from cosv4fs import paths
from cosv4fs.api import CosV4Client, PathStatus, SliceSession
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import CosError, CosPermissionError
from cosv4fs.transfer.directories import parent_key, with_parents
from cosv4fs.transfer.slices import DECLARED_SIZE
from cosv4fs.transfer.target import Target, discard_sibling

_log = logging.getLogger("cosv4fs")

_PROBE = b"cosv4fs asks whether an upload may be finished with another size than it was opened with"


def allows_streaming(client: CosV4Client, target: Target) -> bool:
    """Return whether an upload to the target's bucket may be finished with another size than it was opened with.

    The option ``streaming`` is the mode: with ``auto`` a bucket is probed the first time.
    """
    mode = client.config.streaming
    if mode != "auto":
        return mode == "always"
    # threads that write at the same time wait for one result
    with client.quirks.probing:
        if target.bucket not in client.quirks.finish_size:
            _probe(client, target, DECLARED_SIZE)
    # where another SHA-1 is reported, only what was opened with its own can be verified, now and by readers
    is_misleading = client.quirks.slice_sha.get(target.bucket) == "other"
    return client.quirks.finish_size.get(target.bucket) == "any" and not is_misleading


def reported_sha1(client: CosV4Client, target: Target, *, probe: bool) -> Literal["real", "absent", "other"] | None:
    """Return which SHA-1 the service reports for what came in slices; None while that is unknown.

    With `probe`, a bucket is probed the first time. Otherwise the upload itself shows it.
    """
    if probe:
        with client.quirks.probing:
            if target.bucket not in client.quirks.slice_sha:
                _probe(client, target, len(_PROBE))
    return client.quirks.slice_sha.get(target.bucket)


def stored_status(client: CosV4Client, bucket: str, key: str) -> PathStatus:
    """Return the status of what was uploaded in slices; learn that no SHA-1 is reported if the request is refused."""
    try:
        return client.stat(bucket, key)
    except CosPermissionError:
        client.quirks.learn(bucket, slice_sha="absent")
        raise


def _probe(client: CosV4Client, target: Target, declared: int) -> None:
    """Upload a few bytes to a hidden sibling, declared as so many, and learn; nothing after a transient error."""
    # threads that waited for one that was interrupted: there is nothing to clean up
    cancellation.check()
    bucket, sibling = target.bucket, paths.sibling(parent_key(target.key) + "probe")
    status, answer = None, "no"
    try:
        status = with_parents(client, bucket, sibling, lambda: _try(client, bucket, sibling, declared))
    except CosError as error:
        if cancellation.is_cancellation(error):
            raise
        if error.is_transient:
            answer = "nothing, because of a transient error"
    finally:
        discard_sibling(client, bucket, sibling)
    if status is not None:
        answer = "yes"
        sha = hashlib.sha1(_PROBE, usedforsecurity=False).hexdigest()
        reported = "absent" if status.sha is None else "real" if status.sha == sha else "other"
        client.quirks.learn(bucket, slice_sha=reported)
    if declared != len(_PROBE):
        _log.info("can files of unknown size be sent to bucket %r while they are written? %s", bucket, answer)
        if answer in ("yes", "no"):
            client.quirks.learn(bucket, finish_size="any" if answer == "yes" else "declared")


def _try(client: CosV4Client, bucket: str, sibling: str, declared: int) -> PathStatus | None:
    """Return the status of what was uploaded; None where it is not what was sent."""
    size = len(_PROBE)
    session = client.upload_slice_init(bucket, sibling, filesize=declared, slice_size=client.config.slice_size)
    if not isinstance(session, SliceSession):
        return None
    client.upload_slice_data(bucket, sibling, session.session, 0, memoryview(_PROBE))
    client.upload_slice_finish(bucket, sibling, session.session, size)
    status = stored_status(client, bucket, sibling)
    if status.is_unfinished or status.size != size:
        return None
    memory = bytearray(size)
    client.fetch(bucket, sibling, lambda length, _: memoryview(memory)[:length])
    return status if memory == _PROBE else None
