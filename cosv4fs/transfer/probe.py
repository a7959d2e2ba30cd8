"""Asking a bucket whether an upload may be finished with another size than it was opened with.

The documentation does not say (cos.md#finish-size). Where it may, objects of unknown size are sent while they are
written; where it may not, they wait in a spool. The answer decides speed only: what was streamed is verified before it
is published.
"""

from __future__ import annotations

from cosv4fs import paths
from cosv4fs.api import CosV4Client, SliceSession
from cosv4fs.errors import CosError
from cosv4fs.transfer.directories import parent_key, with_parents
from cosv4fs.transfer.publish import Target, discard_sibling

DECLARED_SIZE = 2**40
"""The size in bytes that a session of unknown size is opened with; no object may become larger."""

_CONTENT = b"cosv4fs asks whether an upload may be finished with another size than it was opened with"


def allows_streaming(client: CosV4Client, target: Target) -> bool:
    """Return whether uploads to the target's bucket may be streamed; probes beside the target the first time.

    The quirks of the client have the results. Its option ``streaming`` is the mode: ``auto`` probes, ``always`` and
    ``never`` do not.
    """
    mode = client.config.streaming
    if mode != "auto":
        return mode == "always"
    known = client.quirks.finish_size.get(target.bucket)
    if known is not None:
        return known == "any"
    answer = _probe(client, target)
    if answer is not None:
        learn_finish_size(client, target.bucket, streams=answer)
    return bool(answer)


def learn_finish_size(client: CosV4Client, bucket: str, *, streams: bool) -> None:
    """Record whether an upload to a bucket may be finished with another size than it was opened with."""
    quirks = client.quirks
    quirks.learn(finish_size={**quirks.finish_size, bucket: "any" if streams else "declared"})


def _probe(client: CosV4Client, target: Target) -> bool | None:
    """Try it on a hidden sibling; return None if a transient error leaves it open."""
    sibling = paths.sibling(parent_key(target.key) + "probe")
    try:
        return with_parents(client, target.bucket, sibling, lambda: _try(client, target.bucket, sibling))
    except CosError as error:
        return None if error.is_transient else False
    finally:
        discard_sibling(client, target.bucket, sibling)


def _try(client: CosV4Client, bucket: str, sibling: str) -> bool:
    size = len(_CONTENT)
    session = client.upload_slice_init(bucket, sibling, filesize=DECLARED_SIZE, slice_size=client.config.slice_size)
    if not isinstance(session, SliceSession):
        return False
    client.upload_slice_data(bucket, sibling, session.session, 0, memoryview(_CONTENT))
    client.upload_slice_finish(bucket, sibling, session.session, size)
    status = client.stat(bucket, sibling)
    if status.is_unfinished or status.size != size:
        return False
    memory = bytearray(size)
    client.fetch(bucket, sibling, lambda length, _: memoryview(memory)[:length])
    return memory == _CONTENT
