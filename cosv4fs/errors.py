"""Errors as users meet them: builtin `OSError` subclasses that also carry what the server said.

A caller only ever needs the builtin names::

    OSError
    └── CosError                      everything this package raises about the service
        ├── CosFileNotFoundError      + FileNotFoundError
        ├── CosFileExistsError        + FileExistsError
        ├── CosPermissionError        + PermissionError
        │   └── MissingCredentialsError  + ValueError
        ├── CosIsADirectoryError      + IsADirectoryError
        ├── CosNotADirectoryError     + NotADirectoryError
        ├── CosTimeoutError           + TimeoutError
        ├── CosInterruptedError       + InterruptedError
        └── CosConnectionError        + ConnectionError

Each has ``errno``, ``strerror`` and ``filename`` (``bucket/dir/name``) like any `OSError`, and ``code`` (the server's
number or, of coffers, name; or None), ``request_id`` and ``status`` (the HTTP status, or None).
"""

from __future__ import annotations

import errno as _errno
from dataclasses import dataclass

from cosv4fs.codes import Code, Retry, lookup

__all__ = [
    "CosConnectionError",
    "CosError",
    "CosFileExistsError",
    "CosFileNotFoundError",
    "CosInterruptedError",
    "CosIsADirectoryError",
    "CosNotADirectoryError",
    "CosPermissionError",
    "CosTimeoutError",
    "MissingCredentialsError",
    "Origin",
    "error_for_code",
    "error_for_row",
    "make_error",
]


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
    retry : Retry
        What may be done about it.
    doubtful : bool
        True when the server may have carried out the request although it failed: the reply was lost or said 5xx. A
        `FileExistsError` with it may be about what the failed call itself has made.
    """

    code: int | str | None = None
    request_id: str | None = None
    status: int | None = None
    retry: Retry = Retry.NO
    retry_after: float | None = None
    server_date: str | None = None
    doubtful: bool = False
    progressed: bool = False


class CosFileNotFoundError(CosError, FileNotFoundError):
    """There is no such object, directory or bucket."""


class CosFileExistsError(CosError, FileExistsError):
    """Something exists at the path, and it was to be created."""


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


class CosInterruptedError(CosError, InterruptedError):
    """The transfer was stopped, by Ctrl-C or because its file was discarded."""


class CosConnectionError(CosError, ConnectionError):
    """The service could not be reached, or the connection broke."""


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


@dataclass(frozen=True)
class Origin:
    """Where an error comes from: the HTTP status, the server's code and request id, and what may be done."""

    code: int | str | None = None
    request_id: str | None = None
    status: int | None = None
    retry: Retry = Retry.NO
    retry_after: float | None = None
    server_date: str | None = None
    doubtful: bool = False


_REPLAYED = -77
"""A signature that is sent once and was used before: something on the way has sent the request twice."""


def make_error(errno: int, text: str, path: str | None, origin: Origin | None = None) -> CosError:
    """Return the error for `errno` about `path`.

    Parameters
    ----------
    errno : int
        Decides the class: ``ENOENT`` gives a `FileNotFoundError`, and so on.
    text : str
        What happened and what to do about it.
    path : str or None
        ``bucket/dir/name``; becomes ``filename``.
    origin : Origin, optional
        What the server said.
    """
    error = _CLASSES.get(errno, CosError)(errno, text, path)
    for name, value in vars(origin or Origin()).items():
        setattr(error, name, value)
    return error


def error_for_code(code: int, message: str, operation: str, path: str, origin: Origin) -> CosError:
    """Return the error for a reply whose ``code`` is not 0, by the table of `cosv4fs.codes`.

    The text names the meaning, the operation, the code with the server's own message, and the request id.
    """
    row = lookup(code)
    said = f"{row.name}" if message in ("", row.name) else message[:200]
    text = f"{row.meaning} ({operation}: code {code} {said}"
    text += f", request {origin.request_id})" if origin.request_id else ")"
    return error_for_row(row, text, path, origin)


def error_for_row(row: Code, text: str, path: str, origin: Origin) -> CosError:
    """Return the error that a row of a table of codes says, with a text of its own."""
    known = Origin(
        code=row.code,
        request_id=origin.request_id,
        status=origin.status,
        retry=row.retry,
        retry_after=origin.retry_after,
        server_date=origin.server_date,
        doubtful=row.retry is Retry.YES or row.code == _REPLAYED,
    )
    return make_error(row.errno, text, path, known)
