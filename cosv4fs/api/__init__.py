"""The service's words: sign, send, retry, parse. One typed method per operation; knows nothing of filesystems.

Modules: `client` (the operations), `caller` (how each becomes requests), `signing`, `credentials`, `http` (the only
user of `requests`), `retry`, `interrupts` (stopping what is under way), `bodies`, `replies`, `listing` (paging),
`download` (ranges).
"""

from cosv4fs.api.client import CosV4Client
from cosv4fs.api.download import Fetched, Version
from cosv4fs.api.replies import (
    Entry,
    Page,
    PathStatus,
    ReceivedSlice,
    SliceSession,
    UnfinishedUpload,
    UploadedObject,
)

__all__ = [
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
]
