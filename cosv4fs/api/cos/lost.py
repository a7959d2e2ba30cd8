"""What became of a request whose reply was lost: what was seen before it, compared with what is there now.

Between a request and its repetition anybody may act. A deletion or a move is repeated only when what is there now is
proven to be what was there before the first attempt. Times alone prove nothing, as a move keeps those of its source;
size, SHA-1 and times together do, provided that they are older than the first attempt: the service tells times in whole
seconds, so something made within the same second looks the same.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from cosv4fs.api.cos.replies import Entry, PathStatus
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, CosInterruptedError, Origin, make_error

__all__ = ["TOLERANCE", "Known", "asking", "is_final", "is_older", "is_same", "maybe_own", "unknown", "vanished"]

Known: TypeAlias = Entry | PathStatus
"""What is known of a file: ``size``, ``sha``, ``created`` and ``modified``."""

TOLERANCE = 2.0
"""Seconds by which times of replies, which are told in whole seconds and by several machines, may be off."""


def is_final(error: CosError) -> bool:
    """Return whether a request that failed like this is not retried."""
    return error.retry in (Retry.NO, Retry.SESSION)


def is_older(seconds: int, moment: float | None) -> bool:
    """Return whether a time that the service tells is certainly before a moment; False where either is unknown."""
    return moment is not None and 0 < seconds < moment - TOLERANCE


def is_same(seen: Known, found: Known) -> bool | None:
    """Return whether two statuses are of one version of a file; None when that cannot be told."""
    if seen.size != found.size or seen.is_unfinished != found.is_unfinished:
        return False
    if seen.sha is not None and found.sha is not None and seen.sha != found.sha:
        return False
    if seen.created and found.created and seen.created != found.created:
        return False
    # attributes can be changed, so another time of modification alone means no other content
    return True if seen.modified and seen.modified == found.modified else None


@contextmanager
def asking(error: CosError) -> Iterator[None]:
    """Name the request whose reply was lost when what became of it cannot be asked."""
    try:
        yield
    except CosInterruptedError:
        raise
    except CosError as failure:
        raise unknown(error, f"what became of it could not be asked ({failure.strerror})") from failure


def unknown(error: CosError, text: str) -> CosError:
    """Return the error for a request of which nobody can say whether it was carried out.

    Parameters
    ----------
    error : CosError
        The failure after which the question arose.
    text : str
        What is not known, and what to do.
    """
    origin = Origin(error.code, error.request_id, error.status, doubtful=True)
    # a signature that was used up says nothing of permissions
    number = errno.EIO if error.retry is Retry.RESIGN else error.errno
    return make_error(number or errno.EIO, f"{error.strerror}; {text}", error.filename, origin)


def maybe_own(refusal: CosError) -> CosError:
    """Return the refusal of a taken name, saying that the lost attempt may be what took it."""
    text = "the reply to an earlier attempt was lost, so this may be its own work: look whether anybody else uses it"
    return unknown(refusal, text)


def vanished(error: CosError, text: str) -> CosError:
    """Return the error for a path at which there is nothing after a lost reply."""
    origin = Origin(error.code, error.request_id, error.status, doubtful=True)
    return make_error(errno.ENOENT, f"the reply was lost, there is nothing here now, {text}", error.filename, origin)
