"""Errors after which the same operation may succeed later: by the tables of codes, the HTTP status and the class."""

from __future__ import annotations

from cosv4fs.api.cdcs.errors import CODES as CDCS_CODES
from cosv4fs.codes import CODES, Retry
from cosv4fs.errors import CosConnectionError, CosError, CosTimeoutError


def is_transient(error: BaseException) -> bool:
    """Return whether an operation that failed like this, after all retries, may succeed later."""
    if not isinstance(error, CosError):
        return False
    row = CODES.get(error.code) if isinstance(error.code, int) else CDCS_CODES.get(error.code or "")
    if row is not None:
        return row.retry in (Retry.YES, Retry.BACK_OFF)
    is_server_fault = error.status is not None and (error.status >= 500 or error.status == 429)
    return is_server_fault or isinstance(error, (CosConnectionError, CosTimeoutError))
