"""What is kept on disk: one SQLite database for names and sessions, one file per content.

Contents have generated names, so that no path of a request can leave the root folder. A content is written under a
temporary name and renamed before the transaction that refers to it is committed; a content that no row refers to is
an orphan, and is removed at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sqlite3
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

__all__ = ["Store", "disk_full"]

disk_full: ContextVar[bool] = ContextVar("disk_full", default=False)
"""Whether writing fails in this thread, as if there were no room on the disk (a fault)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, ctime INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (
    bucket TEXT NOT NULL,
    parent TEXT NOT NULL,           -- '/', '/dir/', …
    name TEXT NOT NULL,
    directory INTEGER NOT NULL,
    made INTEGER NOT NULL,          -- a directory that was created, not implied by what is below it
    size INTEGER NOT NULL,
    slice_size INTEGER NOT NULL,
    sha TEXT,                       -- of the content; NULL when nobody asked for it
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
"""


class Store:
    """The root folder of an emulator: database, contents, lock.

    All access to the database goes through one connection and one lock: a stat costs some tens of microseconds.

    Parameters
    ----------
    root : Path
        The folder; made if it is missing.
    fsync : bool
        Whether every acknowledged write survives a loss of power. Without it, it survives the death of the process.

    Raises
    ------
    EmulatorError
        The folder cannot be used, or another emulator uses it.
    """

    def __init__(self, root: Path, *, fsync: bool) -> None:
        self.root = root
        self._fsync = fsync
        self._blobs = root / "blobs"
        self._mutex = threading.RLock()
        try:
            # what is made here is for this user alone; a folder that is there stays as open as it is
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._blobs.mkdir(mode=0o700, exist_ok=True)
            self._lock = self._take_lock()
        except OSError as error:
            raise EmulatorError(f"cannot use the folder {root}: {error.strerror}") from None
        try:
            self._db = self._open_database()
        except (sqlite3.Error, OSError) as error:
            self._lock.close()
            raise EmulatorError(f"cannot use the database in {root}: {error}") from None
        self._remove_orphans()

    def _take_lock(self) -> IO[bytes]:
        path = self.root / "emulator.lock"
        path.touch(mode=0o600)
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmulatorError(f"another emulator is using the folder {self.root}") from None
        return lock

    def _open_database(self) -> sqlite3.Connection:
        path = self.root / "emulator.sqlite"
        path.touch(mode=0o600)  # the files that SQLite puts beside it are as private
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL" if self._fsync else "PRAGMA synchronous=OFF")
            db.executescript(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _remove_orphans(self) -> None:
        rows = self._db.execute("SELECT blob FROM nodes WHERE blob IS NOT NULL UNION ALL SELECT blob FROM uploads")
        known = {row["blob"] for row in rows}
        for file in self._blobs.iterdir():
            if file.name not in known:
                file.unlink()

    def close(self) -> None:
        """Close the database and let go of the folder."""
        with self._mutex:
            self._db.close()
            self._lock.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the database for reading; nobody writes meanwhile."""
        with self._mutex:
            yield self._db

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the database for one transaction: committed at the end of the block, undone by an exception."""
        if disk_full.get():
            raise _no_room()
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def use_signature(self, key: bytes, until: float, now: float) -> bool:
        """Remember that a single-use signature was used; False when it had been used before.

        Parameters
        ----------
        key : bytes
            The signature's short name.
        until : float
            Unix seconds from when on the signature is refused for its age, so that it may be forgotten.
        now : float
            Unix seconds.
        """
        with self.writing() as db:
            db.execute("DELETE FROM used_signatures WHERE until < ?", (now,))
            added = db.execute("INSERT OR IGNORE INTO used_signatures VALUES (?, ?)", (key, until))
            return added.rowcount == 1

    def blob_path(self, blob: str) -> Path:
        """Return the file of a content."""
        return self._blobs / blob

    def new_blob(self, content: bytes | memoryview = b"") -> str:
        """Write a new content and return its name; no row refers to it yet."""
        blob = secrets.token_hex(16)
        temporary = self._blobs / f"{blob}.part"
        try:
            with temporary.open("xb", buffering=0) as file:
                self._write(file.fileno(), content, 0)
            temporary.rename(self._blobs / blob)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._sync_folder()
        return blob

    def copy_blob(self, blob: str) -> str:
        """Give a content a second name, which lives on its own: contents never change once they are published."""
        copy = secrets.token_hex(16)
        os.link(self._blobs / blob, self._blobs / copy)
        self._sync_folder()
        return copy

    def write_blob(self, blob: str, content: memoryview, offset: int) -> bool:
        """Write into the content of an unfinished upload; False when it is gone."""
        try:
            descriptor = os.open(self._blobs / blob, os.O_WRONLY)
        except FileNotFoundError:
            return False
        try:
            self._write(descriptor, content, offset)
        finally:
            os.close(descriptor)
        return True

    def resize_blob(self, blob: str, size: int) -> None:
        """Cut or extend the content of an unfinished upload."""
        os.truncate(self._blobs / blob, size)

    def remove_blobs(self, *blobs: str | None) -> None:
        """Remove contents to which no row refers any more; open downloads of them go on."""
        for blob in blobs:
            if blob is not None:
                self.blob_path(blob).unlink(missing_ok=True)

    def _write(self, descriptor: int, content: bytes | memoryview, offset: int) -> None:
        view = memoryview(content)
        if disk_full.get():
            os.pwrite(descriptor, view[: view.nbytes // 2], offset)
            raise _no_room()
        while view.nbytes:
            written = os.pwrite(descriptor, view, offset)
            view = view[written:]
            offset += written
        if self._fsync:
            _sync_content(descriptor)

    def _sync_folder(self) -> None:
        if self._fsync:
            descriptor = os.open(self._blobs, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


_sync_content = getattr(os, "fdatasync", os.fsync)


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
