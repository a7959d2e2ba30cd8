"""Errors as users meet them: builtin `OSError` subclasses that also carry what the server said.

A caller only ever needs the builtin names:

    OSError
    └── CosError                      everything this package raises about the service
        ├── CosFileNotFoundError      + FileNotFoundError
        │   └── CosPossiblyMovedError     a reply was lost: this call may have moved it
        ├── CosFileExistsError        + FileExistsError
        │   └── CosPossiblyCreatedError   a reply was lost: this call may have created it
        ├── CosPermissionError        + PermissionError
        │   └── MissingCredentialsError  + ValueError
        ├── CosIsADirectoryError      + IsADirectoryError
        ├── CosNotADirectoryError     + NotADirectoryError
        ├── CosTimeoutError           + TimeoutError
        ├── CosInterruptedError       + InterruptedError
        ├── CosConnectionError        + ConnectionError
        ├── CosPositionError          + ValueError
        └── CosUploadSessionError     the upload session is unusable

Each has ``errno``, ``strerror`` and ``filename`` (``bucket/dir/name``) like any `OSError`, and ``code`` (the server's
number or, of coffers, name; or None), ``request_id`` and ``status`` (the HTTP status, or None).
"""

from __future__ import annotations

import errno as _errno
import sys
from dataclasses import dataclass, replace
from typing import TypeVar

from cosv4fs.codes import Code, lookup

__all__ = [
    "CosConnectionError",
    "CosError",
    "CosFileExistsError",
    "CosFileNotFoundError",
    "CosInterruptedError",
    "CosIsADirectoryError",
    "CosNotADirectoryError",
    "CosPermissionError",
    "CosPositionError",
    "CosPossiblyCreatedError",
    "CosPossiblyMovedError",
    "CosTimeoutError",
    "CosUploadSessionError",
    "MissingCredentialsError",
]


def __dir__() -> list[str]:
    return sorted(__all__)


class CosError(OSError):
    """An error that the service, the network or this package reports about one path.

    Attributes
    ----------
    code : int or str or None
        The ``code`` of the server's JSON reply (cos.md#codes); of coffers, the name in ``Code``.
    request_id : str or None
        The server's id of the request, to be quoted to the vendor's support.
    status : int or None
        The HTTP status of the reply.
    is_transient : bool
        Whether the same operation may succeed later, although all retries failed.
    """

    code: int | str | None = None
    request_id: str | None = None
    status: int | None = None
    is_transient: bool = False


class CosFileNotFoundError(CosError, FileNotFoundError):
    """There is no such object, directory or bucket."""


class CosPossiblyMovedError(CosFileNotFoundError):
    """Nothing is at the path; a reply was lost, so this call may have moved what was there."""


class CosFileExistsError(CosError, FileExistsError):
    """Something exists at the path, and it was to be created."""


class CosPossiblyCreatedError(CosFileExistsError):
    """Something exists at the path; a reply was lost, so this call may have created it."""


class CosPermissionError(CosError, PermissionError):
    """The service refused the credentials, the signature or the access."""


class MissingCredentialsError(CosPermissionError, ValueError):
    """An appid, a secret or a region was needed and found nowhere."""


class CosIsADirectoryError(CosError, IsADirectoryError):
    """The path is a directory and a file was meant."""


class CosNotADirectoryError(CosError, NotADirectoryError):
    """The path is a file and a directory was meant."""


class CosTimeoutError(CosError, TimeoutError):
    """The service did not answer in time."""

    is_transient = True
    """The same operation may succeed later."""


class CosInterruptedError(CosError, InterruptedError):
    """The transfer was stopped, by Ctrl-C or because its file was discarded."""


class CosConnectionError(CosError, ConnectionError):
    """The service could not be reached, or the connection broke."""

    is_transient = True
    """The same operation may succeed later."""


class CosPositionError(CosError, ValueError):
    """A position before the start of a file was to be set.

    Local files raise `OSError` then, on which `zipfile` relies, and files in memory and those of fsspec `ValueError`.
    """


class CosUploadSessionError(CosError):
    """The service does not know the upload session any more, or refuses to continue it: begin the upload again."""


_CLASSES: dict[int, type[CosError]] = {
    _errno.ENOENT: CosFileNotFoundError,
    _errno.EEXIST: CosFileExistsError,
    _errno.EACCES: CosPermissionError,
    _errno.EPERM: CosPermissionError,
    _errno.EISDIR: CosIsADirectoryError,
    _errno.ENOTDIR: CosNotADirectoryError,
    _errno.ETIMEDOUT: CosTimeoutError,
    _errno.EINTR: CosInterruptedError,
    _errno.ECONNREFUSED: CosConnectionError,
    _errno.ECONNRESET: CosConnectionError,
    _errno.ECONNABORTED: CosConnectionError,
    _errno.EPIPE: CosConnectionError,
    _errno.EHOSTUNREACH: CosConnectionError,
}

_E = TypeVar("_E", bound=CosError)


@dataclass(frozen=True)
class Origin:
    """What the server said about an error; members as in `CosError`."""

    code: int | str | None = None
    request_id: str | None = None
    status: int | None = None
    is_transient: bool = False


def make_error(errno: int, text: str, path: str | None, origin: Origin | CosError | None = None) -> CosError:
    """Return the error about a path, ``bucket/dir/name``; `errno` decides the class.

    `text` says what happened and what to do about it, `origin` what the server said, perhaps in an earlier error that
    this one explains.
    """
    return with_origin(_CLASSES.get(errno, CosError)(errno, text, path), origin)


def error_for_code(
    code: int, message: str, operation: str, path: str, origin: Origin, *, is_lookup: bool = False
) -> CosError:
    """Return the error for a reply whose ``code`` is not 0, by the table of `cosv4fs.codes`.

    With `is_lookup`, for a request that only reads, a path that nothing can have is not found. The text names the
    meaning, the operation, the code with the server's own message, and the request id.
    """
    row = lookup(code)
    said = row.name if message in ("", row.name) else message[:200]
    text = f"{row.meaning} ({operation}: code {code} {said}"
    text += f", request {origin.request_id})" if origin.request_id else ")"
    return error_for_row(row, text, path, origin, is_lookup=is_lookup)


def error_for_row(row: Code, text: str, path: str, origin: Origin, *, is_lookup: bool) -> CosError:
    """Return the error that a row of a table of codes stands for, with its own text; see `error_for_code`."""
    known = replace(origin, code=row.code)
    if row.errno == _errno.ESTALE:
        return session_error(text, path, known)
    number = _errno.ENOENT if is_lookup and row.is_about_path else row.errno
    return make_error(number, text, path, known)


def session_error(text: str, path: str | None, origin: Origin | CosError | None = None) -> CosUploadSessionError:
    """Return the error for an upload session that cannot be continued."""
    return with_origin(CosUploadSessionError(_errno.ESTALE, text, path), origin)


def refused_before() -> str:
    """Return the text of the refusal after which an attempt with ``anon=True`` is made; empty for any other attempt.

    pandas makes it while it handles the `PermissionError` of the first, but most people read only the last error.
    """
    first = sys.exc_info()[1]
    return str(first.strerror) if isinstance(first, CosPermissionError) else ""


def with_origin(error: _E, origin: Origin | CosError | None) -> _E:
    """Add what the server said to an error, and return it; `make_error` and `session_error` do so themselves."""
    if origin is not None:
        error.code, error.request_id, error.status = origin.code, origin.request_id, origin.status
        error.is_transient = error.is_transient or origin.is_transient
    return error
