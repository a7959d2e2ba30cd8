"""The service's words: sign, send, retry, parse. One typed method per operation; knows nothing of filesystems.

Modules of all services: `caller` (how operations run), `credentials`, `clock` (the server's), `http` (the only user of
`requests`), `retry`, `interrupts` (stopping what is under way), `download` (ranges). Of the JSON API: `operations`
(those of both generations), `client` (v4's own), `predecessor` (v3's own), `files` (how each becomes requests), `lost`
(what became of requests without a reply), `signing`, `bodies`, `replies`, `listing` (paging). Of the Data Coffer
Service: `coffer`.
"""

from cosv4fs.api.client import CosV4Client
from cosv4fs.api.coffer import Coffer, CofferClient, ObjectPage, ObjectStatus, Part, PendingUpload, StoredObject
from cosv4fs.api.download import Fetched, Version
from cosv4fs.api.operations import CosClient
from cosv4fs.api.predecessor import CosV3Client
from cosv4fs.api.replies import (
    Entry,
    Page,
    PathStatus,
    ReceivedSlice,
    SliceSession,
    UnfinishedUpload,
    UploadedObject,
)
from cosv4fs.config import Config
from cosv4fs.generation import CDCS, V3, V4, Generation

__all__ = [
    "Coffer",
    "CofferClient",
    "CosClient",
    "CosV3Client",
    "CosV4Client",
    "Entry",
    "Fetched",
    "ObjectPage",
    "ObjectStatus",
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
    "client_for",
]

_CLIENTS: dict[Generation, type[CosClient] | type[CofferClient]] = {
    V4: CosV4Client,
    V3: CosV3Client,
    CDCS: CofferClient,
}


def client_for(config: Config) -> CosClient | CofferClient:
    """Return a client of the service that the configuration is for."""
    return _CLIENTS[config.generation](config)
