"""The one exception that an operation raises to refuse a request."""

from __future__ import annotations

from cosv4fs.codes import lookup

__all__ = ["ApiError", "EmulatorError", "UnknownBucketError"]


class ApiError(Exception):
    """A request is refused with an error code of the service.

    Parameters
    ----------
    code : int
        The number for the reply's ``code``; its name and HTTP status come from the code table.
    status : int, optional
        Another HTTP status than the table's.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.
    """

    def __init__(self, code: int, *, status: int | None = None, retry_after: int | None = None) -> None:
        row = lookup(code)
        super().__init__(f"{code} {row.name}")
        self.code = code
        self.name = row.name
        self.status = row.http if status is None else status
        self.retry_after = retry_after


class UnknownBucketError(Exception):
    """The URL names a bucket or an appid that is not served here (cos.md#envelope: HTTP 400 with an XML body)."""


class EmulatorError(Exception):
    """The emulator cannot start: the root folder is locked or unusable, or the port is taken."""
