"""Whether bytes are those of an object: downloads are compared with its SHA-1, sources byte by byte.

Only listings and statuses have the SHA-1; the documentation promises nothing of the replies to downloads
(cos.md#download), and a part of an object has no checksum at all. Coffers have none: the ETag of an object that was
uploaded in parts looks like an MD5 and is none, and nothing shows how an object was uploaded
(cdcs.md#response-headers, cdcs.md#complete).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable

from cosv4fs import paths
from cosv4fs.api import Client
from cosv4fs.api.download import changed_error
from cosv4fs.errors import CosFileNotFoundError, make_error
from cosv4fs.options import MIB

_STEP = 4 * MIB
"""Bytes that are read and compared at once."""


def check_content(client: Client, bucket: str, key: str, known: str, found: str) -> None:
    """Compare the SHA-1 of a download with the one from a listing or a status.

    A difference costs one request: the known SHA-1 may be older than the download.

    Parameters
    ----------
    known, found : str
        SHA-1 in lower-case hex: as listed, and of the bytes.

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
    if now in (found, None):
        return
    if now != known:
        raise changed_error(path)
    text = "the bytes that came are not those of the object, whose SHA-1 is another: read it again"
    raise make_error(errno.EIO, f"{text} (verify_downloads='never' takes them as they come)", path)


class SequentialCheck:
    """Hashes an object that is read sequentially, and compares the SHA-1 at its end.

    A reader that skips bytes is not checked until it starts at the beginning again.

    Parameters
    ----------
    size : int
        Bytes of the whole object.
    compare : callable
        Called with the SHA-1 of all bytes, in hex; raises if it is wrong.
    """

    def __init__(self, size: int, compare: Callable[[str], None]) -> None:
        self._size, self._compare = size, compare
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._hashed = 0

    def add(self, offset: int, data: bytes) -> None:
        """Add bytes that were read at an offset.

        Raises
        ------
        OSError
            They were the last, and the SHA-1 of all bytes is wrong.
        """
        if offset == 0 and self._hashed != 0:
            self._digest, self._hashed = hashlib.sha1(usedforsecurity=False), 0
        if not offset <= self._hashed < offset + len(data):
            return
        self._digest.update(memoryview(data)[self._hashed - offset :])
        self._hashed = offset + len(data)
        if self._hashed == self._size:
            self._compare(self._digest.hexdigest())
