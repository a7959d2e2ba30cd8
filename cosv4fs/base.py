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

    # -- unfinished uploads --------------------------------------------------------------------------------------

    def uploads(self, path: str) -> list[dict[str, Any]]:
        """Return the incomplete uploads of one file, or under a directory.

        Returns
        -------
        list of dict
            ``name`` (the path that the upload is for), ``place`` (the path that holds its bytes: the same, or a hidden
            sibling), ``size`` and ``stored`` (bytes declared and received) and ``mtime`` (Unix seconds). In coffers
            ``size`` is None, because nobody has declared one, and ``upload_id`` is there as well.
        """
        return self.room.unfinished.find(self._strip_protocol(path))

    def abort_upload(self, path: str) -> None:
        """Remove the incomplete uploads of one file; a complete object stays.

        Raises
        ------
        FileNotFoundError
            There is no incomplete upload.
        """
        self.room.unfinished.abort(self._strip_protocol(path))

    def clean_uploads(self, path: str, older_than: float = 86400.0) -> list[dict[str, Any]]:
        """Remove incomplete uploads under a directory, hidden siblings of dead uploads included.

        Parameters
        ----------
        older_than : float
            Only those that were begun, or last changed, at least so many seconds ago by the service's clock: others may
            be in flight.

        Returns
        -------
        list of dict
            What was removed, as `uploads` describes it.
        """
        return self.room.unfinished.clean(self._strip_protocol(path), older_than)

    def interrupted_uploads(self, path: str = "") -> list[dict[str, Any]]:
        """Return the uploads of local files that earlier processes of this user left, and `put_file` would continue.

        Parameters
        ----------
        path : str
            Only those of this file, or below this directory; all of the account when empty.

        Returns
        -------
        list of dict
            ``source`` (the local file), ``name`` (the path it goes to) and ``size`` (bytes of the whole file).
        """
        path = self._strip_protocol(path)
        return [
            {"source": found.source, "name": found.remote, "size": found.size}
            for found in self.room.journal.interrupted()
            if not path or found.remote == path or found.remote.startswith(path + "/")
        ]

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        return super()._strip_protocol(stringify_path(path)).strip("/")
