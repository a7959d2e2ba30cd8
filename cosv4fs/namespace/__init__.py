"""What exists: infos, listings, finding and matching, answered from the caches or by the service."""

from cosv4fs.namespace.base import Namespace, key_of, missing, time_of
from cosv4fs.namespace.buckets import BucketNamespace
from cosv4fs.namespace.coffers import CofferNamespace, Levels, Written

__all__ = [
    "BucketNamespace",
    "CofferNamespace",
    "Levels",
    "Namespace",
    "Written",
    "key_of",
    "missing",
    "time_of",
]
