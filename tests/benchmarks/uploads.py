"""What the sink knows of uploads in slices: their sizes, and the content of tiny ones. Other content is discarded.

The SHA-1 of an object is told by its name: one that ends in ``-h<sha1>`` has that SHA-1, as its hidden siblings have.
Real services compute it on their own machines; here the client would have to share its processors for it.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, replace

STREAMING = "streams"
"""The bucket where uploads may be finished with another size than they were opened with."""

_SHA = re.compile(r"-h([0-9a-f]{40})(?:\.cosv4-[0-9a-f]{16})?$")
_MOST = 10_000
"""Objects that are known at once; older ones are dropped."""


@dataclass(frozen=True)
class Upload:
    """An upload in slices: its declared size, its size once it is finished, and the content if that is tiny."""

    declared: int
    size: int | None = None
    content: bytes | None = None

    def status(self, path: str) -> dict[str, object]:
        """Return what ``stat`` tells; an unfinished upload has fewer bytes than it will have."""
        if self.size is None:
            return {"filesize": self.declared, "filelen": 0}
        sha = _sha1(path, self.content)
        return {"filesize": self.size, "filelen": self.size, **({"sha": sha} if sha else {})}


def _sha1(path: str, content: bytes | None) -> str | None:
    if content is not None:
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()
    found = _SHA.search(path)
    return found[1] if found else None


class Uploads:
    """The uploads of a sink by path (``bucket/key``). Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), dict[str, Upload]()

    def find(self, path: str) -> Upload | None:
        """Return the upload at a path, finished or not."""
        return self._known.get(path)

    def open(self, path: str, size: int) -> None:
        """Begin an upload of a declared size in bytes."""
        with self._lock:
            self._known[path] = Upload(size)
            while len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    def hold(self, path: str, content: bytes | None) -> None:
        """Take the content of a slice: only that of a first and only tiny slice is kept."""
        with self._lock:
            upload = self._known.get(path)
            if upload is not None and content != upload.content:
                self._known[path] = replace(upload, content=content)

    def finish(self, path: str, size: int) -> bool:
        """Finish an upload; return False if the bucket does not accept the size."""
        with self._lock:
            upload = self._known.get(path)
            if upload is not None:
                if upload.declared != size and path.partition("/")[0] != STREAMING:
                    return False
                whole = upload.content is not None and len(upload.content) == size
                self._known[path] = replace(upload, size=size, content=upload.content if whole else None)
        return True

    def move(self, path: str, target: str) -> None:
        """Give a finished upload another path."""
        with self._lock:
            upload = self._known.pop(path, None)
            if upload is not None:
                self._known[target] = upload

    def remove(self, path: str) -> None:
        """Remove an upload, finished or not."""
        with self._lock:
            self._known.pop(path, None)
