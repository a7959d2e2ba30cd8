"""What serves a filesystem: the parts of its service, and what all instances with one configuration share.

A filesystem class names the parts of its `Service`. No other code asks which service it is talking to; only options and
attributes differ by the name of the protocol (`cosv4fs.options` and `cosv4fs.attributes`).

fsspec makes one instance of a synchronous filesystem per thread. Everything that is expensive, or limited for the whole
process, belongs to a `Runtime`, of which there is one per configuration and process; a forked child makes its own. A
runtime is freed with the last filesystem that uses it: its threads end and its connections are closed.

Runtimes for the same buckets or coffers share invalidations, but no cached data: all see a change through one at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from cosv4fs.api import Client
from cosv4fs.cache import CacheGroup, PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.concurrency.limits import Window
from cosv4fs.config import Config
from cosv4fs.files import Files
from cosv4fs.forking import Registry
from cosv4fs.namespace import Namespace
from cosv4fs.protocols import ProtocolSpec
from cosv4fs.transfer.journal import Journal
from cosv4fs.transfer.upload import Upload, Uploader

_log = logging.getLogger("cosv4fs")

C_co = TypeVar("C_co", bound=Client, covariant=True)
N_co = TypeVar("N_co", bound=Namespace, covariant=True)


@dataclass(frozen=True)
class Service(Generic[C_co, N_co]):
    """The parts that serve one protocol.

    Parameters
    ----------
    protocol : ProtocolSpec
        Hosts, limits, and the options that differ.
    client : callable
        Makes the client, which sends the requests of the API.
    namespace : callable
        Makes the namespace: files, directories and unfinished uploads, seen through the cache.
    upload : type of Upload
        How it takes an object: in one request, or in pieces.
    """

    protocol: ProtocolSpec
    client: Callable[[Config], C_co]
    namespace: Callable[[C_co, Pool, PathCache], N_co]
    upload: type[Upload]


class Runtime(Generic[C_co, N_co]):
    """The shared state of one configuration.

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
    """

    def __init__(self, service: Service[C_co, N_co], config: Config) -> None:
        self.client = client = service.client(config)
        self.pool = Pool(config.max_requests, "cosv4fs-request")
        transfer_pool = Pool(config.max_concurrency, "cosv4fs-transfer")
        client.on_throttle = partial(_narrow, transfer_pool.window, self.pool.window)
        seconds = config.listings_expiry_time if config.use_listings_cache else 0
        # the key names no protocol: v3 and v4 on one endpoint serve the same buckets
        group = _cache_groups.get((config.api_root, config.appid), CacheGroup)
        self.namespace = service.namespace(
            client, self.pool, PathCache(seconds, group=group, most_listings=config.max_paths)
        )
        self.uploader = Uploader(client, transfer_pool, service.upload)
        journal = Journal(config.journal_dir, f"{config.api_root}{config.protocol.prefix} {config.appid}")
        self.files = Files(self.namespace, self.uploader, journal, config)


def _narrow(transfers: Window, others: Window) -> None:
    """Halve the numbers of requests in flight: the service throttles."""
    transfers.halve()
    others.halve()
    text = "the service asks for fewer requests: at most %d of %d transfers and %d of %d other requests in parallel"
    _log.info(text, transfers.limit, transfers.most, others.limit, others.most)


class HasRuntime(Protocol):
    """A filesystem, as the files that it opens use it."""

    @property
    def runtime(self) -> Runtime[Client, Namespace]:
        """The runtime of the current process; forked children have their own."""


_runtimes: Registry[Runtime[Any, Any]] = Registry()
_cache_groups: Registry[CacheGroup] = Registry()


def runtime_for(service: Service[C_co, N_co], config: Config) -> Runtime[C_co, N_co]:
    """Return the runtime that this process has for a configuration, of which the protocol is a part."""
    return _runtimes.get(config, lambda: Runtime(service, config))
