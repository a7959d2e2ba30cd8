"""Whether the bytes that came are those that the service says it has: whole objects are compared with their SHA-1.

Only listings and statuses tell it; replies to downloads carry nothing that the documentation promises
(cos.md#download), and a part of an object has no checksum at all. Coffers tell none: the ETag of an object that came
in parts looks like an MD5 and is none, and nothing tells how an object came (cdcs.md#response-headers,
cdcs.md#complete).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable

from cosv4fs import paths
from cosv4fs.api import Client
from cosv4fs.api.download import changed_error
from cosv4fs.errors import CosFileNotFoundError, make_error

__all__ = ["SequentialCheck", "check_content"]


def check_content(client: Client, bucket: str, key: str, known: str, found: str) -> None:
    """Compare the SHA-1 of what was read with the one that a listing or a status had told.

    A difference costs one request: what was told may be older than what was read.

    Parameters
    ----------
    known, found : str
        SHA-1 in lower-case hex: as told, and of the bytes.

    Raises
    ------
    OSError
        EIO when the bytes are not those of the object; ESTALE when it was replaced meanwhile by yet another content.
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
    """Hashes an object that is read from its beginning to its end, in steps, and compares it there.

    A reader that jumps over bytes is not checked until it starts at the object's beginning again.

    Parameters
    ----------
    size : int
        Bytes of the whole object.
    compare : callable
        Called with the SHA-1 of all bytes, in hex; raises when it is another.
    """

    def __init__(self, size: int, compare: Callable[[str], None]) -> None:
        self._size, self._compare = size, compare
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._hashed = 0

    def add(self, offset: int, data: bytes) -> None:
        """Note bytes that were read at an offset.

        Raises
        ------
        OSError
            They were the last, and all of them together are not the object.
        """
        if offset == 0 and self._hashed != 0:
            self._digest, self._hashed = hashlib.sha1(usedforsecurity=False), 0
        if not offset <= self._hashed < offset + len(data):
            return
        self._digest.update(memoryview(data)[self._hashed - offset :])
        self._hashed = offset + len(data)
        if self._hashed == self._size:
            self._compare(self._digest.hexdigest())
