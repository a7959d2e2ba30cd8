"""What all instances with one configuration share in a process: connections, threads, caches, and what uses them.

fsspec makes one instance of a synchronous filesystem per thread. What is expensive or has to be bounded for the whole
process lives here instead, keyed by the configuration, and is made anew in a forked child. A runtime lasts as long as a
filesystem that uses it: with the last one its threads end and its connections are closed, so that a process that goes
through many accounts or credentials does not collect them.

Runtimes for the same buckets tell each other that something was changed, and never what they have seen: whatever is
written through one is seen at once through all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import WeakValueDictionary

from cosv4fs.api import CofferClient, CosClient, client_for
from cosv4fs.cache import Kin, PathCache
from cosv4fs.config import Config
from cosv4fs.files import Files
from cosv4fs.forking import PerProcess
from cosv4fs.metadata import Metadata
from cosv4fs.namespace import BucketNamespace, CofferNamespace, Namespace, Written
from cosv4fs.protocols import V4
from cosv4fs.rearranging import Rearranging
from cosv4fs.transfer.journal import Journal
from cosv4fs.transfer.probe import StreamingProbe
from cosv4fs.transfer.status import Client
from cosv4fs.transfer.transfers import Transfers
from cosv4fs.transfer.workers import Workers
from cosv4fs.unfinished import BucketUploads, CofferUploads, UnfinishedUploads

__all__ = ["BucketRuntime", "CofferRuntime", "Runtime", "runtime_for"]


@dataclass
class Runtime:
    """What instances with one configuration share.

    Parameters
    ----------
    client : CosClient or CofferClient
        Connections and signatures.
    workers : Workers
        Threads and buffers.
    namespace : Namespace
        What exists, asked through the caches.
    transfers : Transfers
        Moving the contents of objects.
    files : Files
        Reading and writing whole files.
    unfinished : UnfinishedUploads
        Incomplete uploads, of anybody.
    """

    client: Client
    workers: Workers
    namespace: Namespace
    transfers: Transfers
    files: Files
    unfinished: UnfinishedUploads


@dataclass
class BucketRuntime(Runtime):
    """The runtime of filesystems for buckets: what only the JSON API can do is here as well."""

    client: CosClient
    namespace: BucketNamespace
    rearranging: Rearranging
    metadata: Metadata


@dataclass
class CofferRuntime(Runtime):
    """The runtime of filesystems for coffers."""

    client: CofferClient
    namespace: CofferNamespace


class _Registry:
    """All runtimes of a process, and what some of them share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runtimes: WeakValueDictionary[Config, Runtime] = WeakValueDictionary()
        self.kin: WeakValueDictionary[tuple[str, str], Kin] = WeakValueDictionary()
        self.written: WeakValueDictionary[tuple[object, ...], Written] = WeakValueDictionary()


_registry = PerProcess(_Registry)


def runtime_for(config: Config) -> Runtime:
    """Return the runtime of this process for a configuration; made when nobody has it yet."""
    registry = _registry()
    with registry.lock:
        runtime = registry.runtimes.get(config)
        if runtime is None:
            runtime = registry.runtimes[config] = _build(config, registry)
        return runtime


def _build(config: Config, registry: _Registry) -> Runtime:
    client = client_for(config)
    workers = Workers(config.max_concurrency, config.max_requests)
    client.on_throttle = workers.transfers.window.halve
    seconds = config.listings_expiry_time if config.use_listings_cache else 0
    # where one endpoint is named for both versions of the JSON API, they serve the same buckets
    cache = PathCache(seconds, kin=registry.kin.setdefault((config.api_root, config.appid), Kin()))
    if isinstance(client, CofferClient):
        written = registry.written.setdefault(_account(config), Written())
        return _for_coffers(client, workers, CofferNamespace(client, workers, cache, written))
    return _for_buckets(client, workers, BucketNamespace(client, workers, cache))


def _for_buckets(client: CosClient, workers: Workers, namespace: BucketNamespace) -> BucketRuntime:
    config = client.config
    transfers = Transfers(client, workers, config, StreamingProbe(client, config.streaming, config.slice_size))
    return BucketRuntime(
        client,
        workers,
        namespace,
        transfers,
        Files(namespace, transfers, workers, _journal(config), config),
        BucketUploads(client, workers, namespace),
        Rearranging(client, workers, namespace, copies_on_server=config.protocol is V4),
        Metadata(client, namespace.cache),
    )


def _for_coffers(client: CofferClient, workers: Workers, namespace: CofferNamespace) -> CofferRuntime:
    config, transfers = client.config, Transfers(client, workers, client.config)
    files = Files(namespace, transfers, workers, _journal(config), config)
    return CofferRuntime(client, workers, namespace, transfers, files, CofferUploads(client, workers))


def _journal(config: Config) -> Journal:
    return Journal(config.journal_dir, f"{config.api_root}{config.protocol.prefix} {config.appid}")


def _account(config: Config) -> tuple[object, ...]:
    """Return what distinguishes one account, and its connections, from all others."""
    keys = (config.secret_id, config.secret_key, config.security_token, config.credentials, config.anon)
    return (config.api_root, *keys, config.verify, config.proxies)
