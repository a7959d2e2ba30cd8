"""The parts of each of the three services: the one place that defines how v4, v3 and CDCS differ.

A filesystem class names its `Service`. Everything that depends on the service is in one of its parts; no other code
asks which service it is talking to. Only options differ by the name of the protocol (`cosv4fs.options`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from cosv4fs import protocols
from cosv4fs.api import Client, CofferClient, CosV3Client, CosV4Client
from cosv4fs.cache import PathCache
from cosv4fs.capabilities import Capabilities
from cosv4fs.concurrency import Pool
from cosv4fs.config import Config
from cosv4fs.namespace import BucketNamespace, CofferNamespace, Namespace
from cosv4fs.protocols import ProtocolSpec
from cosv4fs.transfer.coffers import CofferUpload
from cosv4fs.transfer.upload import Upload
from cosv4fs.transfer.v3 import V3Upload
from cosv4fs.transfer.v4 import V4Upload
from cosv4fs.unfinished import BucketUploads, CofferUploads, UnfinishedUploads

C = TypeVar("C", bound=Client)
N = TypeVar("N", bound=Namespace)


@dataclass(frozen=True)
class Service(Generic[C, N]):
    """The parts that serve one protocol.

    Parameters
    ----------
    protocol : ProtocolSpec
        Hosts, limits, and the options that differ.
    capabilities : Capabilities
        What its filesystem can do.
    client : callable
        Makes the client, which sends the requests of the API.
    namespace : callable
        Makes the namespace: files and directories, seen through the cache.
    upload : type of Upload
        How it takes an object: in one request, or in pieces.
    unfinished : callable
        Makes the collaborator that lists and removes unfinished uploads.
    """

    protocol: ProtocolSpec
    capabilities: Capabilities
    client: Callable[[Config], C]
    namespace: Callable[[C, Pool, PathCache], N]
    upload: type[Upload[C]]
    unfinished: Callable[[C, Pool, N], UnfinishedUploads]


_BUCKETS = Capabilities(
    container="bucket",
    makes_parents=True,
    knows_sha1=True,
    takes_size=True,
    names_are_literal=True,
    is_thread_safe=True,
)

V4 = Service(
    protocol=protocols.V4,
    capabilities=replace(_BUCKETS, copies_on_server=True),
    client=CosV4Client,
    namespace=BucketNamespace,
    upload=V4Upload,
    unfinished=BucketUploads,
)
"""Buckets behind the JSON API v4."""

V3 = Service(
    protocol=protocols.V3,
    capabilities=_BUCKETS,
    client=CosV3Client,
    namespace=BucketNamespace,
    upload=V3Upload,
    unfinished=BucketUploads,
)
"""Buckets behind the JSON API v3 (cos.md#v3)."""

CDCS = Service(
    protocol=protocols.CDCS,
    capabilities=Capabilities(
        container="coffer",
        replaces_files=False,
        has_directories=False,
        makes_parents=True,
        signs_urls=False,
        takes_size=True,
        names_are_literal=True,
        is_thread_safe=True,
    ),
    client=CofferClient,
    namespace=CofferNamespace,
    upload=CofferUpload,
    unfinished=lambda client, pool, _: CofferUploads(client, pool),
)
"""Coffers of the Data Coffer Service (cdcs.md#service)."""
