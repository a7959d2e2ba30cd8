"""Whether a status proves which content was read."""

from __future__ import annotations

from cosv4fs.api import FileStatus

MOMENT = 2.0
"""Seconds after which a replacement has another time than what was there: times count whole seconds."""

_OLD = 60.0
"""Seconds after which an object's time has passed for certain, although its servers' clocks differ."""


def is_settled(status: FileStatus, read_at: float | None) -> bool:
    """Return whether a later replacement would have another status than the content that was read.

    Where the status does not identify the content by itself, its time does once that has passed: a replacement within
    the same second has the same time.

    Parameters
    ----------
    status : FileStatus
        The status, requested after the object was read.
    read_at : float or None
        The server's time when it began to send the content, in Unix seconds.
    """
    if status.identifies_content:
        return True
    return read_at is not None and status.modified > 0 and read_at - status.modified >= _OLD
