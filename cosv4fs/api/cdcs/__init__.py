"""The Data Coffer Service (CDCS): write-once storage with uploads in parts, an API of its own.

Modules: `client` (coffers and objects), `uploads` (those in parts), `calls` (how each becomes requests), `reading`
(ranges), `signing`, `codes` (of errors), `faults` (which error a reply is), `values` (typed access to replies, in JSON
and in the XML of early days), `replies` (what they say).
"""

from cosv4fs.api.cdcs.client import CofferClient
from cosv4fs.api.cdcs.replies import Coffer, ObjectPage, ObjectStatus, Part, PendingUpload, StoredObject

__all__ = ["Coffer", "CofferClient", "ObjectPage", "ObjectStatus", "Part", "PendingUpload", "StoredObject"]
