"""The client of any supported service, and the one question that each of them answers in its own way."""

from __future__ import annotations

from typing import TypeAlias

from cosv4fs.api import CofferClient, CosClient, PathStatus
from cosv4fs.api.cdcs import ObjectStatus

__all__ = ["MOMENT", "Client", "file_status", "is_settled", "status_of"]

Client: TypeAlias = CosClient | CofferClient
"""A client of any of the services."""


def status_of(client: Client, bucket: str, key: str) -> PathStatus | ObjectStatus:
    """Return the status of a file; both kinds have ``size`` (bytes) and ``modified`` (Unix seconds).

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    return client.head(bucket, key) if isinstance(client, CofferClient) else file_status(client, bucket, key)


MOMENT = 2.0
"""Seconds after which a replacement has another time than what was there: times count whole seconds."""

_OLD = 60.0
"""Seconds after which the time of an object has passed for certain, though its servers' clocks differ."""


def is_settled(status: PathStatus | ObjectStatus, read_at: float | None) -> bool:
    """Return whether what was read is told by its status from everything that may replace it.

    The SHA-1 does. Where the service tells none, the time does once it has passed: what replaces an object within the
    second has its time.

    Parameters
    ----------
    status : PathStatus or ObjectStatus
        Asked for after the object was read.
    read_at : float or None
        The server's time when it began to send what was read, in Unix seconds.
    """
    if isinstance(status, ObjectStatus) or status.sha is not None:
        # objects of coffers are never replaced
        return True
    return read_at is not None and status.modified > 0 and read_at - status.modified >= _OLD


def file_status(client: CosClient, bucket: str, key: str) -> PathStatus:
    """Return the status of a file in a bucket; without keys, what a download tells of it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    return client.peek(bucket, key) if client.config.anon else client.stat(bucket, key)
