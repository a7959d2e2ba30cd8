"""What every part of the filesystem stands on: its configuration, the shared machine room, and its paths."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from cosv4fs.cache import PathCache
from cosv4fs.coffertree import CofferTree
from cosv4fs.config import Config
from cosv4fs.room import Room, room_for
from cosv4fs.transfer.status import Client
from cosv4fs.transfer.workers import Workers
from cosv4fs.travel import arrive, token
from cosv4fs.tree import Tree

__all__ = ["BaseFileSystem"]


class BaseFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Configuration, threads, caches and the client, for the parts of the filesystem.

    Parameters
    ----------
    config : Config
        Where requests go, and all limits.
    **fsspec_options
        What fsspec's own constructor takes.
    """

    def __init__(self, config: Config, **fsspec_options: Any) -> None:
        super().__init__(**fsspec_options)
        self.config = config
        self.blocksize = config.range_size
        self._room = room_for(config)
        self._pid = os.getpid()

    @cached_property
    def _fs_token(self) -> str:
        # fsspec's own is another one in every process and thread: equal work would have many names in dask
        return token(type(self), self.config)

    def __reduce__(self) -> tuple[Any, ...]:
        return arrive, (type(self), self.storage_args, self.storage_options)

    @property
    def room(self) -> Room:
        """What all instances with this configuration share in this process."""
        if self._pid != os.getpid():
            self._room, self._pid = room_for(self.config), os.getpid()
        return self._room

    @property
    def client(self) -> Client:
        """The typed client of the API, for what a filesystem cannot express."""
        return self.room.client

    @property
    def workers(self) -> Workers:
        """The threads that this configuration shares."""
        return self.room.workers

    @property
    def namespace(self) -> Tree | CofferTree:
        """What exists, asked through the caches."""
        return self.room.tree

    @property
    def _remembered(self) -> PathCache:
        return self.room.cache

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        return super()._strip_protocol(stringify_path(path)).strip("/")
