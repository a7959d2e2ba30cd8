"""The clients: sign, send, retry, parse. One typed method per operation, usable without fsspec.

A filesystem has its client as ``fs.client``; `Client.connect` makes one alone.

>>> client = CosV4Client.connect(appid="1250000000", region="gz")  # doctest: +SKIP
>>> client.stat("bucket", "/dir/x.txt").size  # doctest: +SKIP
5

The packages `cos` and `cdcs` have the operations of the JSON API and of the Data Coffer Service. They share

* `client` (how an operation runs) and `retry` (when it is repeated, and what a lost reply means);
* `request`, `connections` (HTTP on sockets), `connection_errors`, `proxies` and `transport` (proxy and TLS decisions);
* `fields` (the values of a reply) and `responses` (which error an unexpected one is);
* `download` (ranges) and `paging` (listings);
* `credentials` and `quirks` (what is learned about a server).
"""

from cosv4fs.api.cdcs.client import CofferClient
from cosv4fs.api.cdcs.replies import Coffer, ObjectPage, Part, PendingUpload, StoredObject
from cosv4fs.api.client import Client, FileStatus
from cosv4fs.api.cos.client import CosClient
from cosv4fs.api.cos.replies import (
    Entry,
    Page,
    PathStatus,
    ReceivedSlice,
    SliceSession,
    UnfinishedUpload,
    UploadedObject,
)
from cosv4fs.api.cos.v3 import CosV3Client
from cosv4fs.api.cos.v4 import CosV4Client
from cosv4fs.api.download import Fetched, Version

__all__ = [
    "Client",
    "Coffer",
    "CofferClient",
    "CosClient",
    "CosV3Client",
    "CosV4Client",
    "Entry",
    "Fetched",
    "FileStatus",
    "ObjectPage",
    "Page",
    "Part",
    "PathStatus",
    "PendingUpload",
    "ReceivedSlice",
    "SliceSession",
    "StoredObject",
    "UnfinishedUpload",
    "UploadedObject",
    "Version",
]


def __dir__() -> list[str]:
    return sorted(__all__)
