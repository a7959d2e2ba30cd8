"""Whether an object is what a source holds: read and compared, where nothing that the service tells proves it."""

from __future__ import annotations

from functools import partial

from cosv4fs.api import Client
from cosv4fs.concurrency import TaskGroup
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.options import MIB
from cosv4fs.transfer.plan import Slice, ranges
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.workers import Workers

__all__ = ["is_same"]

_STEP = 4 * MIB
"""Bytes that are read and compared at once."""


def is_same(client: Client, workers: Workers, target: Target, source: Source) -> bool:
    """Return whether the target is there and has the bytes of a source; an object of another size is not read."""
    try:
        if client.file_status(target.bucket, target.key).size != source.size:
            return False
    except CosFileNotFoundError:
        return False
    differs: list[Slice] = []

    def compare(piece: Slice) -> None:
        if differs:
            return
        with workers.buffer(piece.length) as found:
            client.fetch(target.bucket, target.key, lambda length, _: found[:length], piece.offset, piece.stop)
            with source.slice(piece.offset, piece.length, workers) as ours:
                if found != ours:
                    differs.append(piece)

    with TaskGroup(workers.transfers) as group:
        for piece in ranges(0, source.size, _STEP):
            group.start(partial(compare, piece))
        group.wait()
    return not differs
