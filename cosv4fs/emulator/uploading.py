"""Two helpers of sliced uploads that live in memory: who writes into an upload, and its SHA-1 as far as it is known."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Gate", "PrefixHashes", "hash_file"]

_CHUNK = 1 << 20


class Gate:
    """Lets many slices into an upload at a time, but a finish only alone.

    A slice that arrives twice could otherwise be written into a file that is published already.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writers: dict[str, int] = {}
        self._closing: set[str] = set()

    @contextlib.contextmanager
    def writing(self, session: str) -> Iterator[None]:
        """Wait for a finish of the session to end, and keep the next one waiting."""
        with self._changed:
            while session in self._closing:
                self._changed.wait()
            self._writers[session] = self._writers.get(session, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._writers[session] -= 1
                if not self._writers[session]:
                    del self._writers[session]
                    self._changed.notify_all()

    @contextlib.contextmanager
    def closing(self, session: str) -> Iterator[None]:
        """Wait for the session's slices to be written, and keep further ones waiting."""
        with self._changed:
            while session in self._closing:
                self._changed.wait()
            self._closing.add(session)
            while session in self._writers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closing.discard(session)
                self._changed.notify_all()


class _Running:
    """The hash of one upload's beginning. The request with the next slice continues it; nobody waits for that."""

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
            self.spoiled = True  # given up by somebody meanwhile; if not, finish reads the whole file

    def _claim(self) -> int | None:
        """Take on the next slice and return where it begins; None when it is not there yet."""
        with self.lock:
            count = None if self.spoiled else self.waiting.pop(self.length, None)
            if count is None:
                self.busy = False
                return None
            self.length += count
            return self.length - count


class PrefixHashes:
    """The SHA-1 of the beginning of every unfinished upload, carried on while slices arrive.

    So finish has only the rest to read. Nothing is lost when one is dropped: finish then reads the whole file.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()

    def add(self, session: str, content: memoryview, offset: int, path: Path) -> None:
        """Take a slice into account that was just written into `path`."""
        with self._lock:
            running = self._running.setdefault(session, _Running())
        running.add(content, offset, path)

    def drop(self, session: str) -> None:
        """Forget an upload."""
        with self._lock:
            self._running.pop(session, None)

    def finish(self, session: str, path: Path, size: int) -> str:
        """Return the SHA-1 of a complete file in hex and forget the upload.

        Parameters
        ----------
        session : str
            The upload.
        path : Path
            Its file.
        size : int
            Its length in bytes.
        """
        with self._lock:
            running = self._running.pop(session, None)
        if running is None or running.spoiled or running.length > size:
            running = _Running()
        return hash_file(path, running.state, running.length, size)


def hash_file(path: Path, state: hashlib._Hash, start: int, end: int) -> str:
    """Carry a SHA-1 on over the bytes of a file from `start` to `end`, and return it in hex."""
    buffer = memoryview(bytearray(min(_CHUNK, max(0, end - start))))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (count := file.readinto(buffer[: end - start])):
            state.update(buffer[:count])
            start += count
    return state.hexdigest()
