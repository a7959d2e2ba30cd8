"""Reading several ranges of one object without mixing two versions of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from cosv4fs import paths
from cosv4fs.api import Client, Fetched, FileStatus
from cosv4fs.api.download import changed_error
from cosv4fs.concurrency import cancellation

_TICK = 2.0
"""Seconds after which a replacement has another modification time than the object: times are whole seconds."""

_CLOCK_SKEW = 60.0
"""Seconds by which the clocks of a service's servers may differ."""


class VersionGuard:
    """Makes sure that all ranges come from one version of an object, where replies have no strong ETag; thread-safe.

    Then only the status tells versions apart (cos.md#download-headers): it has to be the same before and after a range
    is read. Its time is in whole seconds and hides a replacement within the same one. So unless the status identifies
    the content, or is old, a range counts only if it was read some seconds after the status.

    Parameters
    ----------
    path : str
        ``bucket/dir/name``.
    size : int
        Bytes of the object.
    status : mapping, optional
        ``mtime`` and ``sha`` of the version to read, as far as they are known; by default that of the first check.
    """

    def __init__(self, path: str, size: int, status: Mapping[str, object] | None = None) -> None:
        self._path, self._size = path, size
        self._bucket, self._key = paths.file_key(path)
        self._known = status
        self._known_since = time.monotonic()
        self.after_fork()

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def accepts(self, client: Client, fetched: Fetched, started: float = 0.0) -> bool:
        """Return whether a range is certainly of this version; if not, wait until it can be read again.

        Parameters
        ----------
        client : Client
            Requests the status; that of the current process.
        fetched : Fetched
            The reply.
        started : float
            When its request started, by `time.monotonic`; by default before the status was known.

        Raises
        ------
        OSError
            ESTALE if the object was replaced.
        """
        was_known = self._known is not None
        status = self.check(client)
        if fetched.date is not None and status.modified > 0 and fetched.date - status.modified >= _CLOCK_SKEW:
            return True
        if was_known and (status.identifies_content or started - self._known_since >= _TICK):
            return True
        if not status.identifies_content:
            cancellation.sleep(_TICK)
        return False

    def check(self, client: Client) -> FileStatus:
        """Return the status of the object.

        Raises
        ------
        OSError
            ESTALE if the object was replaced.
        """
        status = client.file_status(self._bucket, self._key)
        found = {"mtime": status.modified, "sha": status.sha}
        with self._lock:
            if self._known is None:
                self._known, self._known_since = found, time.monotonic()
            known = self._known
        if status.size != self._size or any(known.get(name, value) != value for name, value in found.items()):
            raise changed_error(self._path)
        return status
