"""The Data Coffer Service (CDCS): write-once storage with uploads in parts, an API of its own.

Modules: `client` (coffers and objects), `uploads` (in parts), `calls` (how operations become requests), `ranges`
(downloads), `signing`, `codes` (of errors), `errors` (which error a reply is), `values` (typed access to replies, in
JSON or the XML of the early documentation), `replies` (dataclasses of what they say).
"""

from cosv4fs.api.cdcs.client import CofferClient
from cosv4fs.api.cdcs.replies import Coffer, ObjectPage, ObjectStatus, Part, PendingUpload, StoredObject

__all__ = ["Coffer", "CofferClient", "ObjectPage", "ObjectStatus", "Part", "PendingUpload", "StoredObject"]
