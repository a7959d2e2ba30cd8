"""The context of operations on buckets: database, signatures, hashes of uploads, how replies show times and URLs."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import encode
from cosv4fs.emulator.cos.call import CosCall
from cosv4fs.emulator.cos.signature import LONGEST_VALIDITY, check_signature
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.service import Service

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cosv4fs.emulator.call import ObjectPath
    from cosv4fs.emulator.cos.signature import Kind
    from cosv4fs.emulator.dialects import Dialect
    from cosv4fs.emulator.service import Account
    from cosv4fs.emulator.store import Store

BUCKETS = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, ctime INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (
    bucket TEXT NOT NULL,
    parent TEXT NOT NULL,           -- '/', '/dir/', …
    name TEXT NOT NULL,
    directory INTEGER NOT NULL,
    made INTEGER NOT NULL,          -- a directory that was created, not implied by what is below it
    size INTEGER NOT NULL,
    slice_size INTEGER NOT NULL,
    sha TEXT,                       -- of the content; NULL when it was not needed
    shown_sha TEXT,                 -- as stat and list show it; NULL: left out
    content_type TEXT,
    headers TEXT NOT NULL,          -- JSON object
    authority TEXT NOT NULL,
    forbid INTEGER NOT NULL,
    biz_attr TEXT NOT NULL,
    ctime INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    blob TEXT,
    PRIMARY KEY (bucket, parent, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nodes_sha ON nodes (sha, size) WHERE sha IS NOT NULL;
CREATE TABLE IF NOT EXISTS uploads (
    bucket TEXT NOT NULL,
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    session TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    slice_size INTEGER NOT NULL,
    sha TEXT,
    content_type TEXT,
    biz_attr TEXT NOT NULL,
    ctime INTEGER NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (bucket, parent, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slices (
    session TEXT NOT NULL,
    position INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (session, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_signatures (
    key BLOB PRIMARY KEY,
    until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS used_until ON used_signatures (until);
CREATE TEMP VIEW known AS SELECT blob FROM nodes WHERE blob IS NOT NULL UNION ALL SELECT blob FROM uploads;
"""
"""The database of an `Emulator`."""

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
                    _hash_file(path, self.state, start, self.length)
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


class _PrefixHashes:
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
        return _hash_file(path, running.state, running.length, size)


def _hash_file(path: Path, state: hashlib._Hash, start: int, end: int) -> str:
    """Continue a SHA-1 with the bytes of a file from `start` to `end`, and return it in hex."""
    buffer = memoryview(bytearray(min(_CHUNK, max(0, end - start))))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (count := file.readinto(buffer[: end - start])):
            state.update(buffer[:count])
            start += count
    return state.hexdigest()


class CosService(Service[CosCall]):
    """One account with its buckets by name, True for public ones, and what operations on them need."""

    def __init__(
        self,
        account: Account,
        store: Store,
        dialect: Dialect,
        clock: Callable[[], float],
        buckets: Mapping[str, bool],
    ) -> None:
        super().__init__(account, store, clock)
        self.dialect = dialect
        self.buckets = buckets
        self.hashes = _PrefixHashes()
        with store.writing() as db:
            for name in buckets:
                db.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (name, self.now()))

    def now(self) -> int:
        """Return the time in whole Unix seconds."""
        return int(self.clock())

    def authorize(
        self, call: CosCall, kind: Kind, *, bound: bool = True, download: bool = False, twice: bool = False
    ) -> None:
        """Check a request's signature, and use it up if it is a single-use one (cos.md#signature); −77: it was."""
        signature = check_signature(
            call.signature,
            call.path,
            self.account,
            self.dialect,
            now=self.clock() + call.skew,
            kind=kind,
            bound=bound,
            download=download,
            twice=twice,
        )
        if signature.single and not self._use_up(signature.key, signature.signed + LONGEST_VALIDITY):
            raise ApiError(-77)

    def _use_up(self, key: bytes, until: float) -> bool:
        """Record that a signature was used, until it is refused for its age; False when it had been used before."""
        with self.store.writing() as db:
            db.execute("DELETE FROM used_signatures WHERE until < ?", (self.clock(),))
            return db.execute("INSERT OR IGNORE INTO used_signatures VALUES (?, ?)", (key, until)).rowcount == 1

    def time(self, seconds: int) -> int | str:
        """Return a time as replies show it."""
        return seconds if self.dialect.times == "number" else str(seconds)

    def times(self, ctime: int, mtime: int) -> dict[str, int | str]:
        """Return the times of a file, a directory, an upload or a bucket as lists and stat show them."""
        times = {"ctime": self.time(ctime)}
        return times if self.dialect.missing_mtime else times | {"mtime": self.time(mtime)}

    def source_url(self, path: ObjectPath, *, v3: bool = False) -> str:
        """Return the URL of a file on the origin host, which names no region for v3 (cos.md#hosts)."""
        region = "" if v3 else self.account.region
        return f"http://{path.bucket}-{self.account.appid}.cos{region}.myqcloud.com{encode(path.text)}"

    def access_url(self, path: ObjectPath) -> str:
        """Return the URL of a file on the CDN host (cos.md#hosts)."""
        return f"http://{path.bucket}-{self.account.appid}.file.myqcloud.com{encode(path.text)}"

    def links(self, call: CosCall) -> dict[str, Any]:
        """Return the data of a finished upload's reply: where the file is (cos.md#upload and cos.md#v3)."""
        path, dialect, is_v3 = call.path, self.dialect, call.is_v3
        full = f"/{self.account.appid}/{path.bucket}{path.text}"
        resource = full if (dialect.v1_resource_path if is_v3 else dialect.resource_path) == "full" else path.text
        url = f"http://{self.account.region}.file.myqcloud.com/files/v2{encode(full)}"
        if is_v3:  # whose sample leaves appid and bucket out of both
            url = f"http://web.file.myqcloud.com/files/v1{encode(resource)}"
        return {
            "access_url": self.access_url(path),
            "resource_path": resource,
            "source_url": self.source_url(path, v3=is_v3),
            "url": url,
        }

    def is_public(self, path: ObjectPath, node: sqlite3.Row | None) -> bool:
        """Return whether a file is public, by its authority or that of its bucket (cos.md#directory-semantics)."""
        authority = node["authority"] if node is not None else "eInvalid"
        if authority == "eInvalid":
            return self.buckets[path.bucket]
        return bool(authority == "eWPrivateRPublic")
