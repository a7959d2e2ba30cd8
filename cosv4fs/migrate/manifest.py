"""The manifest: a SQLite database with the state of every file of a migration, kept across runs.

Every change is one transaction in SQLite's write-ahead log, so the process may be killed at any time. A lock file
(``….lock``) admits one process at a time; other processes may read the database meanwhile.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cosv4fs.migrate.database import Database

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock serves
    fcntl = None

if TYPE_CHECKING:
    from typing_extensions import Self


PENDING, COPIED, VERIFIED, FAILED = "pending", "copied", "verified", "failed"
_VERSION = "1"

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (
    path TEXT PRIMARY KEY, round INTEGER NOT NULL, is_listed INTEGER NOT NULL, is_empty INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS folders_to_list ON folders (is_listed, path);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL,           -- as listed, with mtime (Unix seconds) and sha (where the source keeps one)
    mtime REAL,
    sha TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'copied', 'verified', 'failed')),
    how TEXT NOT NULL DEFAULT '',    -- 'copied', or 'found' when the target already had it
    content TEXT,                    -- SHA-1 of the bytes that were copied or compared
    error TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    is_written INTEGER NOT NULL DEFAULT 0,  -- a copy was begun and not completed: the target may be incomplete
    is_barred INTEGER NOT NULL DEFAULT 0,   -- listed, but cannot be copied
    is_gone INTEGER NOT NULL DEFAULT 0,     -- no longer listed
    round INTEGER NOT NULL,          -- number of the last listing that contained it
    listed REAL NOT NULL, begun REAL, ended REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_state ON files (state, path);
"""

_LIST = """
INSERT INTO files (path, size, mtime, sha, error, round, listed, state, is_barred)
VALUES (:path, :size, :mtime, :sha, :error, :round, :now,
        CASE WHEN :error = '' THEN 'pending' ELSE 'failed' END, :error != '')
ON CONFLICT (path) DO UPDATE SET round = :round, listed = :now, is_gone = 0
"""
_CHANGE = """
UPDATE files SET size = :size, mtime = :mtime, sha = :sha, error = :error, is_barred = :error != '', how = '',
    content = NULL, state = CASE WHEN :error = '' THEN 'pending' ELSE 'failed' END,
    is_written = is_written AND state NOT IN ('copied', 'verified')  -- version 0.1.0 left it set
WHERE path = :path AND (size != :size OR mtime IS NOT :mtime OR sha IS NOT :sha OR is_barred != (:error != '')
    -- the last listing came within the second of the last change: another one may have followed in it
    OR (size > 0 AND sha IS NULL AND mtime = round(mtime) AND mtime > listed + :ahead - 2))
"""


@dataclass(frozen=True)
class File:
    """A file of the source; the fields are columns of the table ``files``. A listing knows the first five."""

    path: str
    size: int = 0
    mtime: float | None = None
    sha: str | None = None
    error: str = ""
    state: str = PENDING
    how: str = ""
    content: str | None = None
    is_written: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of migrating a file; the first fields are columns of the table ``files``."""

    path: str
    state: str
    how: str = ""
    content: str | None = None
    error: str = ""
    size: int = 0
    """Bytes copied by this run."""
    is_begun: bool = False
    """Whether this run began to write the target."""
    lost: tuple[str, ...] = ()
    """The attributes that the copy could not carry."""


class Manifest:
    """The manifest of one migration, locked for this process; a context manager.

    A missing database is created with its parent directories, private to the user. `source` and `target` are
    identities. Every method can raise an OSError, for example when the disk is full.

    Raises
    ------
    BlockingIOError
        Another run is using it.
    ValueError
        The file is not a manifest, or belongs to another migration.
    """

    def __init__(self, path: str | os.PathLike[str], source: str, target: str) -> None:
        self.path = Path(path)
        self._ahead: float | None = 0.0
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "the manifest must be a file, but this is a directory", str(path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        try:
            _open_private(self.path).close()
            self._database = self._open({"version": _VERSION, "source": source, "target": target})
        except BaseException:
            self._unlock()
            raise

    def _open(self, about: Mapping[str, str]) -> Database:
        try:
            database = sqlite3.connect(self.path, timeout=0 if self._lock is None else 30, isolation_level=None,
                                   check_same_thread=False)  # fmt: skip
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"the manifest cannot be opened: {error}", str(self.path)) from error
        opened = Database(database, "the manifest", str(self.path))
        try:
            if self._lock is None:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";\n"):
                database.execute(statement)
            database.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())
            known = dict(database.execute("SELECT name, value FROM about"))
            database.execute("COMMIT")
        except sqlite3.Error as error:
            database.close()
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise _busy(self.path) from error
            if isinstance(error, sqlite3.OperationalError):
                raise opened.failure(error) from error
            raise ValueError(f"{self.path} cannot be used as a manifest: {error}") from error
        for name, value in about.items():
            if known[name] != value:
                database.close()
                raise ValueError(f"{self.path} is the manifest of another migration, with {name} {known[name]}: "
                                 "choose another with --manifest, or remove it")  # fmt: skip
        return opened

    def close(self) -> None:
        """Close the database and release the lock."""
        self._database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_listing(self, ahead: float | None = 0.0) -> None:
        """Begin a new listing of the source; the results of an interrupted one may be stale.

        Parameters
        ----------
        ahead : float, optional
            Seconds by which the clock of the source is ahead of this machine's; None if its files never change.
        """
        self._ahead = ahead
        with self._database.change() as database:
            database.execute("INSERT OR REPLACE INTO about VALUES ('round', ?)", (str(self._round() + 1),))
            database.execute("DELETE FROM folders")
            database.execute("INSERT INTO folders VALUES ('', ?, 0, 0)", (self._round(),))

    def _round(self) -> int:
        found = self._database.all("SELECT value FROM about WHERE name = 'round'")
        return int(found[0][0]) if found else 0

    def folders_to_list(self, count: int) -> list[str]:
        """Return up to `count` directories, relative to the source, that are not yet listed."""
        return [path for (path,) in self._database.all("SELECT path FROM folders WHERE NOT is_listed LIMIT ?", count)]

    def list_folder(self, path: str, files: Iterable[File], folders: Iterable[str]) -> int:
        """Record the entries of a directory; new and changed files become pending. Return the number of files."""
        given = {"round": self._round(), "now": time.time(), "ahead": self._ahead}
        rows = [{**vars(file), **given} for file in files]
        below = [(folder, self._round()) for folder in folders]
        with self._database.change() as database:
            # changes first: they are detected by the old values
            database.executemany(_CHANGE, rows)
            database.executemany(_LIST, rows)
            database.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, 0, 0)", below)
            database.execute("UPDATE folders SET is_listed = 1, is_empty = ? WHERE path = ?", (not rows + below, path))
        return len(rows)

    def end_listing(self) -> None:
        """Finish the listing: files that were not in it are marked as gone."""
        with self._database.change() as database:
            database.execute("UPDATE files SET is_gone = 1 WHERE round != ?", (self._round(),))

    def bar_files_above(self, error: str) -> None:
        """Record as failed each file whose path is also a directory with files that can be copied."""
        with self._database.change() as database:
            database.execute(
                "UPDATE files SET state = 'failed', error = ?, is_barred = 1 WHERE NOT is_gone AND NOT is_barred "
                "AND path IN (SELECT path FROM folders) AND EXISTS (SELECT 1 FROM files AS below WHERE "
                "below.path > files.path || '/' AND below.path < files.path || '0' "
                "AND NOT below.is_gone AND NOT below.is_barred)",
                (error,),
            )

    def files(self, *, verify: bool, page: int = 1000) -> Iterator[File]:
        """Yield the files to migrate in the order of their paths; each once, even if its state changes meanwhile.

        With `verify`, files that are copied but not verified are included.
        """
        states = (PENDING, FAILED, COPIED if verify else PENDING)
        query = (
            "SELECT path, size, mtime, sha, error, state, how, content, is_written FROM files "
            "WHERE path > ? AND state IN (?, ?, ?) AND NOT is_gone AND NOT is_barred ORDER BY path LIMIT ?"
        )
        last = ""
        while rows := self._database.all(query, last, *states, page):
            for path, size, mtime, sha, error, state, how, content, is_written in rows:
                yield File(path, size, mtime, sha, error, state, how, content, bool(is_written))
            last = rows[-1][0]

    def begin(self, path: str) -> None:
        """Record that a file is about to be written at the target."""
        with self._database.change() as database:
            database.execute(
                "UPDATE files SET attempts = attempts + 1, is_written = 1, begun = ? WHERE path = ?",
                (time.time(), path),
            )

    def record(self, outcomes: Iterable[Outcome], *, begun: bool = True) -> None:
        """Record the outcomes of files; `begun` tells whether `begin` was called before each was written."""
        now = time.time()
        rows = [{**vars(outcome), "now": now, "later": outcome.is_begun and not begun} for outcome in outcomes]
        with self._database.change() as database:
            database.executemany(
                "UPDATE files SET state = :state, how = CASE WHEN :how = '' THEN how ELSE :how END, error = :error, "
                "content = coalesce(:content, content), ended = :now, attempts = attempts + :later, "
                "is_written = CASE WHEN :state = 'failed' THEN is_written OR :later ELSE 0 END WHERE path = :path",
                rows,
            )

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return the number of files and bytes by state; ``gone`` are those that the source no longer has."""
        rows = self._database.all(
            "SELECT CASE WHEN is_gone THEN 'gone' ELSE state END, count(*), sum(size) FROM files GROUP BY 1"
        )
        return {state: (count, size) for state, count, size in rows}

    def work(self, *, verify: bool) -> tuple[int, int]:
        """Return the number of files to migrate and their total size in bytes."""
        states = (PENDING, FAILED, COPIED if verify else PENDING)
        query = "SELECT count(*), coalesce(sum(size), 0) FROM files WHERE state IN (?, ?, ?) AND NOT is_gone"
        count, size = self._database.all(query + " AND NOT is_barred", *states)[0]
        return count, size

    def failures(self, limit: int) -> list[tuple[str, str]]:
        """Return paths and errors of failed files, at most `limit`."""
        query = "SELECT path, error FROM files WHERE state = ? AND NOT is_gone ORDER BY path LIMIT ?"
        return [(path, error) for path, error in self._database.all(query, FAILED, limit)]

    def empty_folders(self) -> list[str]:
        """Return the empty directories, relative to the source."""
        return [path for (path,) in self._database.all("SELECT path FROM folders WHERE is_empty ORDER BY path") if path]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all columns of every file, in the order of the paths."""
        last = ""
        while found := self._database.all("SELECT * FROM files WHERE path > ? ORDER BY path LIMIT 1000", last):
            names = [name for _, name, *_ in self._database.all("PRAGMA table_info(files)")]
            for row in found:
                yield dict(zip(names, row, strict=True))
            last = found[-1][0]


def _locked(path: Path) -> IO[str] | None:
    """Lock the file beside `path` until it is closed or the process ends; None where ``flock`` is unavailable."""
    if fcntl is None:
        return None
    lock = _open_private(path.with_name(path.name + ".lock"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read(20).strip()
        lock.close()
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _busy(path, holder) from error
        # the filesystem does not support flock
        return None
    # a hard link may be another user's file
    if os.fstat(lock.fileno()).st_nlink == 1:
        with suppress(OSError):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
    return lock


def _open_private(path: Path) -> IO[str]:
    """Open a file, created private to the user; symbolic links are not followed, as others may have placed them."""
    try:
        return open(path, "a+", encoding="ascii", opener=_without_links)
    except OSError as error:
        if error.errno == errno.ELOOP:
            text = "symbolic links are not followed: name the file itself with --manifest, or remove the link"
            raise OSError(errno.ELOOP, text, str(path)) from error
        raise


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _busy(path: Path, holder: str = "") -> BlockingIOError:
    owner = f"process {holder}" if holder else "another process"
    text = f"{owner} is using this manifest, and only one run at a time can: wait for it or stop it"
    return BlockingIOError(errno.EAGAIN, text, str(path))
