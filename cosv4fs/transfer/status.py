"""Whoever speaks to one of the services, and the one question that all of them are asked in different words."""

from __future__ import annotations

from typing import TypeAlias

from cosv4fs.api import CofferClient, CosClient, PathStatus
from cosv4fs.api.coffer import ObjectStatus

__all__ = ["Client", "file_status", "status_of"]

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


def file_status(client: CosClient, bucket: str, key: str) -> PathStatus:
    """Return the status of a file in a bucket; without keys, what a download tells of it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    return client.peek(bucket, key) if client.config.anon else client.stat(bucket, key)
