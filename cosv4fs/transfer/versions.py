"""Whether bytes are those of the object: all ranges are of one version, and the whole has its SHA-1.

Only listings and statuses have the SHA-1; the documentation promises nothing of the replies to downloads
(cos.md#download), and a part of an object has no checksum at all. Coffers have none: the ETag of an object that was
uploaded in parts looks like an MD5 and is none, and nothing shows how an object was uploaded
(cdcs.md#response-headers, cdcs.md#complete).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping

from cosv4fs import paths
from cosv4fs.api import Client, Fetched, FileStatus
from cosv4fs.api.download import changed_error
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import CosFileNotFoundError, make_error

_TICK = 2.0
"""Seconds after which a replacement has another modification time than the object: times are whole seconds."""

_CLOCK_SKEW = 60.0
"""Seconds by which the clocks of a service's servers may differ."""


class VersionGuard:
    """Makes sure that all ranges come from one version of an object, where replies have no strong ETag; thread-safe.

    Then only the status tells versions apart (cos.md#download-headers): it has to be the same before and after a range
    is read. Its time is in whole seconds and hides a replacement within the same one. So unless the status identifies
    the content, or is old, a range counts only if it was read some seconds after the status. One replacement stays
    hidden: by an object of the same size that was stored in the same second, and moved into place seconds later.

    Parameters
    ----------
    path : str
        ``bucket/dir/name``.
    size : int
        Bytes of the object.
    status : mapping, optional
        ``mtime`` and ``sha`` of the version to read, where they are known; by default those of the first check.
    """

    def __init__(self, path: str, size: int, status: Mapping[str, object] | None = None) -> None:
        self._path, self._size = path, size
        self._bucket, self._key = paths.file_key(path)
        # at most one status, and when it became known: the first is set in one step, without a lock
        self._known: dict[str, tuple[Mapping[str, object], float]] = {}
        if status is not None:
            self._known[path] = status, time.monotonic()

    @property
    def status(self) -> Mapping[str, object] | None:
        """What is known of the version to read: at least ``mtime`` and ``sha``, as far as the service has them."""
        known, _ = self._known.get(self._path, (None, 0.0))
        return known

    def accepts(self, client: Client, fetched: Fetched, started: float = 0.0) -> bool:
        """Return whether a range is certainly of this version; if not, wait until it can be read again.

        Parameters
        ----------
        client : Client
            That of the current process.
        fetched : Fetched
            The reply.
        started : float
            When its request started, by `time.monotonic`; by default before the status was known.

        Raises
        ------
        OSError
            ESTALE if the object was replaced.
        """
        was_known = bool(self._known)
        status = self.check(client)
        _, known_since = self._known[self._path]
        if fetched.date is not None and status.modified > 0 and fetched.date - status.modified >= _CLOCK_SKEW:
            return True
        if was_known and (status.identifies_content or started - known_since >= _TICK):
            return True
        if not status.identifies_content:
            cancellation.sleep(_TICK)
        return False

    def check(self, client: Client) -> FileStatus:
        """Return the status of the object; raise ESTALE if it was replaced."""
        status = client.file_status(self._bucket, self._key)
        found = {"mtime": status.modified, "sha": status.sha}
        known, _ = self._known.setdefault(self._path, (found, time.monotonic()))
        if status.size != self._size or any(known.get(name, value) != value for name, value in found.items()):
            raise changed_error(self._path)
        return status


def check_content(client: Client, bucket: str, key: str, known: str, found: str, *, accepts_newer: bool = True) -> None:
    """Compare the SHA-1 of a download with the one from a listing or a status.

    A difference costs one request: the known SHA-1 may be older than the download.

    Parameters
    ----------
    known, found : str
        SHA-1 in lower-case hex: as listed, and of the bytes.
    accepts_newer : bool
        Whether the bytes may be those of a newer version of the object than the known one.

    Raises
    ------
    OSError
        EIO when the bytes are not those of the object; ESTALE when it was replaced meanwhile.
    """
    if found == known:
        return
    path = paths.join(bucket, key)
    try:
        now = client.file_status(bucket, key).sha
    except CosFileNotFoundError:
        raise changed_error(path) from None
    if accepts_newer and now in (found, None):
        return
    if now not in (known, None):
        raise changed_error(path)
    text = "SHA-1 mismatch: the downloaded bytes differ from the object: read it again"
    raise make_error(errno.EIO, f"{text} (verify_downloads='never' takes them as they come)", path)
