"""One machine room per configuration and process: connections, threads and caches that all instances share.

fsspec makes one instance of a synchronous filesystem per thread. What is expensive or has to be bounded for the whole
process lives here instead, keyed by the configuration, and is made anew in a forked child. A room lasts as long as a
filesystem that uses it: with the last one its threads end and its connections are closed, so that a process that goes
through many accounts or credentials does not collect them.

Rooms for the same buckets tell each other that something was changed, and never what they have seen: whatever is
written through one is seen at once through all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import WeakValueDictionary

from cosv4fs.api import CofferClient, client_for
from cosv4fs.cache import Kin, PathCache
from cosv4fs.coffertree import CofferTree, Written
from cosv4fs.config import Config
from cosv4fs.forking import PerProcess
from cosv4fs.transfer.journal import Journal
from cosv4fs.transfer.probe import StreamingProbe
from cosv4fs.transfer.status import Client
from cosv4fs.transfer.workers import Workers
from cosv4fs.tree import Tree
from cosv4fs.unfinished import BucketUploads, CofferUploads, UnfinishedUploads

__all__ = ["Room", "room_for"]


@dataclass
class Room:
    """What instances with one configuration share.

    Parameters
    ----------
    client : CosClient or CofferClient
        Connections and signatures.
    workers : Workers
        Threads and buffers.
    cache : PathCache
        Listings and statuses.
    tree : Tree or CofferTree
        What exists, asked through both.
    journal : Journal
        Uploads that a later process may continue.
    unfinished : UnfinishedUploads
        Incomplete uploads, of anybody.
    probe : StreamingProbe or None
        Which buckets take objects of unknown size as a stream; None where that is no question.
    """

    client: Client
    workers: Workers
    cache: PathCache
    tree: Tree | CofferTree
    journal: Journal
    unfinished: UnfinishedUploads
    probe: StreamingProbe | None


class _House:
    """All rooms of a process, and what some of them share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rooms: WeakValueDictionary[Config, Room] = WeakValueDictionary()
        self.kin: WeakValueDictionary[tuple[str, str], Kin] = WeakValueDictionary()
        self.written: WeakValueDictionary[tuple[object, ...], Written] = WeakValueDictionary()


_house = PerProcess(_House)


def room_for(config: Config) -> Room:
    """Return the room of this process for a configuration; made when nobody has it yet."""
    house = _house()
    with house.lock:
        room = house.rooms.get(config)
        if room is None:
            room = house.rooms[config] = _build(config, house)
        return room


def _build(config: Config, house: _House) -> Room:
    client = client_for(config)
    workers = Workers(config.max_concurrency, config.max_requests, client.interrupts)
    client.on_throttle = workers.window.narrow
    seconds = config.listings_expiry_time if config.use_listings_cache else 0
    # where one endpoint is named for both generations of the JSON API, they serve the same buckets
    cache = PathCache(seconds, kin=house.kin.setdefault((config.api_root, config.appid), Kin()))
    journal = Journal(config.journal_dir, f"{config.api_root}{config.generation.prefix} {config.appid}")
    if isinstance(client, CofferClient):
        tree = CofferTree(client, workers, cache, house.written.setdefault(_account(config), Written()))
        return Room(client, workers, cache, tree, journal, CofferUploads(client, workers), None)
    probe = StreamingProbe(client, config.streaming, config.slice_size)
    buckets = Tree(client, workers, cache)
    unfinished = BucketUploads(client, workers, buckets, cache)
    return Room(client, workers, cache, buckets, journal, unfinished, probe)


def _account(config: Config) -> tuple[object, ...]:
    """Return what tells who asks, and over which connections, from all others."""
    keys = (config.secret_id, config.secret_key, config.security_token, config.credentials, config.anon)
    return (config.api_root, *keys, config.verify, config.proxies)
