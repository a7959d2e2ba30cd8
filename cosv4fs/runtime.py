"""State shared by all instances with one configuration in a process: connections, threads, caches and their users.

fsspec makes one instance of a synchronous filesystem per thread. Everything that is expensive, or limited for the whole
process, belongs to a runtime, of which there is one per configuration and process; a forked child makes its own. A
runtime is freed with the last filesystem that uses it: its threads end and its connections are closed.

Runtimes for the same buckets or coffers share invalidations, but no cached data: all see a change through one at once.
"""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from cosv4fs.api import Client
from cosv4fs.cache import CacheGroup, PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.config import Config
from cosv4fs.files import Files
from cosv4fs.forking import PerProcess
from cosv4fs.namespace import Namespace
from cosv4fs.service import Service
from cosv4fs.transfer.journal import Journal
from cosv4fs.transfer.upload import Uploader

C = TypeVar("C", bound=Client)
N = TypeVar("N", bound=Namespace)
C_co = TypeVar("C_co", bound=Client, covariant=True)
N_co = TypeVar("N_co", bound=Namespace, covariant=True)


class Runtime(Generic[C_co, N_co]):
    """The shared state of one configuration.

    Parameters
    ----------
    service : Service
        Makes the parts that depend on the service.
    config : Config
        The configuration.
    cache_group : CacheGroup
        The caches of the same paths.

    Attributes
    ----------
    client : Client
        Connections and signatures.
    pool : Pool
        Threads for everything but slices and ranges, whose pool is that of `uploader`. Files are handled
        here and wait for slices there, and slices wait for nothing: no set of transfers can block itself.
    namespace : Namespace
        Files and directories, seen through the cache.
    uploader : Uploader
        Uploads contents. Downloads use its pool, too.
    files : Files
        Reading and writing whole files.
    unfinished : UnfinishedUploads
        Unfinished uploads of all clients.
    """

    def __init__(self, service: Service[C_co, N_co], config: Config, cache_group: CacheGroup) -> None:
        self.client = client = service.client(config)
        self.pool = Pool(config.max_requests, "cosv4fs-request")
        transfer_pool = Pool(config.max_concurrency, "cosv4fs-transfer")
        client.on_throttle = transfer_pool.window.halve
        seconds = config.listings_expiry_time if config.use_listings_cache else 0
        self.namespace = service.namespace(client, self.pool, PathCache(seconds, group=cache_group))
        self.uploader = Uploader(client, transfer_pool, service.upload)
        journal = Journal(config.journal_dir, f"{config.api_root}{config.protocol.prefix} {config.appid}")
        self.files = Files(self.namespace, self.uploader, self.pool, journal, config)
        self.unfinished = service.unfinished(client, self.pool, self.namespace)


class _Registry:
    """All runtimes of a process, and the groups of their caches."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runtimes: WeakValueDictionary[Config, Runtime[Any, Any]] = WeakValueDictionary()
        self.cache_groups: WeakValueDictionary[tuple[str, str], CacheGroup] = WeakValueDictionary()


_registry = PerProcess(_Registry)


def runtime_for(service: Service[C, N], config: Config) -> Runtime[C, N]:
    """Return the runtime of a configuration in this process; make it unless a filesystem already uses it.

    The configuration names its protocol, so equal configurations have the same service.
    """
    registry = _registry()
    with registry.lock:
        runtime = registry.runtimes.get(config)
        if runtime is None:
            # the key names no protocol: v3 and v4 on one endpoint serve the same buckets
            cache_group = registry.cache_groups.setdefault((config.api_root, config.appid), CacheGroup())
            runtime = registry.runtimes[config] = Runtime(service, config, cache_group)
        return runtime
