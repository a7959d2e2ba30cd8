"""Infos, listings, ``find`` and ``glob``, from the cache or the service."""

from cosv4fs.namespace.base import Namespace, error_handler, fingerprint_of, not_found_error, time_of
from cosv4fs.namespace.buckets import BucketNamespace
from cosv4fs.namespace.coffers import CofferNamespace, Levels

__all__ = [
    "BucketNamespace",
    "CofferNamespace",
    "Levels",
    "Namespace",
    "error_handler",
    "fingerprint_of",
    "not_found_error",
    "time_of",
]
