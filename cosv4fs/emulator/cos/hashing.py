"""The SHA-1 of unfinished uploads, computed while their slices come."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20


class _Running:
    """The hash of one upload's beginning. The request with the next slice continues it; no other request waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state = hashlib.sha1(usedforsecurity=False)
        self.length = 0  # hashed, or being hashed
        self.waiting: dict[int, int] = {}
        self.busy = False
        self.spoiled = False

    def add(self, content: memoryview, offset: int, path: Path) -> None:
        with self.lock:
            if offset < self.length:
                # A slice came again, perhaps with other bytes: finish reads the whole file.
                self.spoiled = True
            if self.spoiled:
                return
            self.waiting[offset] = len(content)
            if self.busy:
                return
            self.busy = True
        try:
            while (start := self._claim()) is not None:
                if start == offset:
                    self.state.update(content)
                else:
                    hash_file(path, self.state, start, self.length)
        except OSError:
            self.spoiled = True  # aborted meanwhile; if not, finish reads the whole file

    def _claim(self) -> int | None:
        """Claim the next slice and return where it begins; None when it has not come yet."""
        with self.lock:
            count = None if self.spoiled else self.waiting.pop(self.length, None)
            if count is None:
                self.busy = False
                return None
            self.length += count
            return self.length - count


class PrefixHashes:
    """The SHA-1 of the beginning of every unfinished upload, continued with each slice.

    So finish has only the rest to read. Dropping one costs time only: finish then reads the whole file.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()

    def add(self, session: str, content: memoryview, offset: int, path: Path) -> None:
        """Add a slice that was just written into `path`."""
        with self._lock:
            running = self._running.setdefault(session, _Running())
        running.add(content, offset, path)

    def drop(self, session: str) -> None:
        """Drop the hash of an upload."""
        with self._lock:
            self._running.pop(session, None)

    def finish(self, session: str, path: Path, size: int) -> str:
        """Return the SHA-1 of an upload's complete file in hex, and drop its hash."""
        with self._lock:
            running = self._running.pop(session, None)
        if running is None or running.spoiled or running.length > size:
            running = _Running()
        return hash_file(path, running.state, running.length, size)


def hash_file(path: Path, state: hashlib._Hash, start: int, end: int) -> str:
    """Continue a SHA-1 with the bytes of a file from `start` to `end`, and return it in hex."""
    buffer = memoryview(bytearray(min(_CHUNK, max(0, end - start))))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (count := file.readinto(buffer[: end - start])):
            state.update(buffer[:count])
            start += count
    return state.hexdigest()
