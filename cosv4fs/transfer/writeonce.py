"""Coffers are write-once: a taken name is refused, and the refusal says why (cdcs.md#immutability)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cosv4fs.api import CofferClient
from cosv4fs.api.cdcs.codes import NAME_TAKEN_CODES
from cosv4fs.errors import (
    CosError,
    CosFileExistsError,
    CosFileNotFoundError,
    CosPossiblyCreatedError,
    Origin,
    make_error,
)
from cosv4fs.transfer.publish import Target

__all__ = ["WRITE_ONCE", "creating", "exists_error"]

WRITE_ONCE = (
    "a coffer is write-once: its objects are neither replaced nor deleted, and vanish only by its lifecycle "
    "(set_lifecycle)"
)
"""Why so much is refused."""


def exists_error(path: str, refusal: CosError | None = None) -> CosError:
    """Return the error for a path at which there is an object already."""
    origin = None if refusal is None else Origin(refusal.code, refusal.request_id, refusal.status)
    return make_error(errno.EEXIST, f"the file exists, and {WRITE_ONCE}: write to another path", path, origin)


@contextmanager
def creating(client: CofferClient, target: Target) -> Iterator[None]:
    """Tell a refused creation for what it is: there is an object, or an unfinished upload that holds its name.

    The service says the same for both (cdcs.md#put-object and cdcs.md#initiate), so a refusal costs one request more.

    Raises
    ------
    FileExistsError
        Saying which of the two it is, and what to do.
    """
    try:
        yield
    except CosFileExistsError as refusal:
        if refusal.code not in NAME_TAKEN_CODES or isinstance(refusal, CosPossiblyCreatedError):
            raise
        try:
            client.head(target.bucket, target.key)
        except CosFileNotFoundError:
            raise _held_error(target.path, refusal) from refusal
        except CosError:
            raise refusal from None
        raise exists_error(target.path, refusal) from refusal


def _held_error(path: str, refusal: CosError) -> CosError:
    text = "an unfinished upload holds this name: wait until it is complete, or give it up (abort_upload)"
    return make_error(errno.EEXIST, text, path, Origin(refusal.code, refusal.request_id, refusal.status))
