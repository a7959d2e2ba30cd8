"""The service's words: sign, send, retry, parse. One typed method per operation; knows nothing of filesystems.

Modules: `operations` (those of both generations), `client` (v4's own), `predecessor` (v3's own), `caller` (how each
becomes requests), `signing`, `credentials`, `http` (the only user of `requests`), `retry`, `interrupts` (stopping what
is under way), `bodies`, `replies`, `listing` (paging), `download` (ranges).
"""

from cosv4fs.api.client import CosV4Client
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
from cosv4fs.generation import V3, V4, Generation

__all__ = [
    "CosClient",
    "CosV3Client",
    "CosV4Client",
    "Entry",
    "Fetched",
    "Page",
    "PathStatus",
    "ReceivedSlice",
    "SliceSession",
    "UnfinishedUpload",
    "UploadedObject",
    "Version",
    "client_for",
]

_CLIENTS: dict[Generation, type[CosClient]] = {V4: CosV4Client, V3: CosV3Client}


def client_for(config: Config) -> CosClient:
    """Return a client of the configuration's generation."""
    return _CLIENTS[config.generation](config)
