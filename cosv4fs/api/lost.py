"""Errors for requests whose reply was lost and whose outcome cannot be determined.

Other clients may act between a request and its retry. A deletion or a move is repeated only if what is there now is
provably what was there before the first attempt. Times alone prove nothing, because a move keeps those of its source.
Size, SHA-1 and times together do, if they are older than the first attempt: the service counts whole seconds, so a
version of the same second looks the same.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cosv4fs.api.attempt import AttemptError
from cosv4fs.codes import Retry
from cosv4fs.errors import (
    CosError,
    CosInterruptedError,
    CosPossiblyCreatedError,
    CosPossiblyMovedError,
    Origin,
    make_error,
    possibly_created,
    possibly_moved,
)

TOLERANCE = 2.0
"""Seconds by which times in replies may be off: they are whole seconds, from several machines."""


def is_older(seconds: int, moment: float | None) -> bool:
    """Return whether a time of the service is certainly before a moment; False if either is unknown."""
    return moment is not None and 0 < seconds < moment - TOLERANCE


@contextmanager
def checking(failure: AttemptError) -> Iterator[None]:
    """Report the request whose reply was lost if its outcome cannot be checked.

    Raises
    ------
    CosError
        See `outcome_unknown`.
    """
    try:
        yield
    except CosInterruptedError:
        raise
    except CosError as error:
        raise outcome_unknown(failure, f"its outcome could not be checked ({error.strerror})") from error


def outcome_unknown(failure: AttemptError, text: str) -> CosError:
    """Return the error for a request that may have been carried out.

    Parameters
    ----------
    failure : AttemptError
        Of the last attempt.
    text : str
        What is not known, and what to do.
    """
    error = failure.error
    number = error.errno or errno.EIO
    # a signature that was used up does not mean that access is denied, and nothing is known about the path
    if failure.retry is Retry.RESIGN or number in (errno.ENOENT, errno.EEXIST):
        number = errno.EIO
    return make_error(number, f"{error.strerror}; {text}", error.filename, _origin(error))


def possibly_own(failure: AttemptError) -> CosPossiblyCreatedError:
    """Return the error for a name that is taken, perhaps by the attempt whose reply was lost."""
    text = "the reply to an earlier attempt was lost, so this may be its own work: check whether another client uses it"
    return possibly_created(f"{failure.error.strerror}; {text}", failure.error.filename, _origin(failure.error))


def possibly_gone(failure: AttemptError, text: str) -> CosPossiblyMovedError:
    """Return the error for a path where nothing is after a lost reply to a move."""
    text = f"the reply was lost, there is nothing here now, {text}"
    return possibly_moved(text, failure.error.filename, _origin(failure.error))


def _origin(error: CosError) -> Origin:
    return Origin(error.code, error.request_id, error.status)
