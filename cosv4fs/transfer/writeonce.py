"""Errors of write-once coffers, where a key can be used only once (cdcs.md#immutability)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cosv4fs.api import CofferClient
from cosv4fs.api.cdcs.errors import NAME_TAKEN_CODES
from cosv4fs.errors import (
    CosError,
    CosFileExistsError,
    CosFileNotFoundError,
    CosPossiblyCreatedError,
    make_error,
)
from cosv4fs.transfer.publish import Target

WRITE_ONCE = (
    "a coffer is write-once: its objects cannot be replaced or deleted, and only expire by its lifecycle "
    "(set_lifecycle)"
)
"""The reason in errors of operations that would replace or remove objects."""


def exists_error(path: str, refusal: CosError | None = None) -> CosError:
    """Return the error for the path of an existing object."""
    return make_error(errno.EEXIST, f"the file exists, and {WRITE_ONCE}: write to another path", path, refusal)


@contextmanager
def creating(client: CofferClient, target: Target) -> Iterator[None]:
    """Explain why an object could not be created: it exists, or an unfinished upload blocks its key.

    The service refuses both with the same code (cdcs.md#put-object and cdcs.md#initiate): a refusal costs a request.

    Raises
    ------
    FileExistsError
        Names the reason, and what to do.
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
    text = "an unfinished upload blocks this name: wait until it is complete, or abort it (abort_upload)"
    return make_error(errno.EEXIST, text, path, refusal)
