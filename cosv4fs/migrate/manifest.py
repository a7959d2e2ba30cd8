"""The manifest: what is known of every file of a migration, over many runs, in one SQLite file.

Every change is one transaction of SQLite's write-ahead log, so that a process may die at any moment. One process at a
time works with it: the lock beside it (``….lock``) ends with the process. Others may read it meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock serves
    fcntl = None

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["COPIED", "FAILED", "PENDING", "VERIFIED", "Job", "Listed", "Manifest", "Outcome", "identity"]

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
    how TEXT NOT NULL DEFAULT '',    -- 'copied', or 'found' when the target had it already
    content TEXT,                    -- SHA-1 of the bytes that went through, or were compared
    error TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    is_written INTEGER NOT NULL DEFAULT 0,  -- a copy of ours was begun, and never known to be complete: what is at the
                                            -- target may be a part of it
    is_barred INTEGER NOT NULL DEFAULT 0,   -- listed, but nothing that can be copied
    is_gone INTEGER NOT NULL DEFAULT 0,     -- not listed any more
    round INTEGER NOT NULL,          -- of the listing that saw it last
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
WHERE path = :path AND (size != :size OR mtime IS NOT :mtime OR sha IS NOT :sha OR is_barred != (:error != ''))
"""


@dataclass(frozen=True)
class Listed:
    """A file as the source lists it.

    Parameters
    ----------
    path : str
        Relative to the source.
    size : int
        Bytes.
    mtime : float or None
        Unix seconds.
    sha : str or None
        SHA-1 of the content in hex, where the source keeps one.
    error : str
        Why it cannot be copied, if so.
    """

    path: str
    size: int = 0
    mtime: float | None = None
    sha: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A file that has to be worked on; see the columns of the table ``files``."""

    path: str
    size: int
    sha: str | None
    state: str
    how: str = ""
    content: str | None = None
    is_written: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Parameters
    ----------
    path : str
        Relative to the source.
    state : str
        ``copied``, ``verified`` or ``failed``.
    how : str
        ``copied``; ``found`` when the target had it already.
    content : str or None
        SHA-1 in hex.
    error : str
        Why it failed.
    size : int
        Bytes that were copied now.
    is_begun : bool
        Whether a copy was begun now.
    """

    path: str
    state: str
    how: str = ""
    content: str | None = None
    error: str = ""
    size: int = 0
    is_begun: bool = False


class Manifest:
    """The manifest of one migration, locked for this process; a context manager.

    Parameters
    ----------
    path : path
        The file, which is no symbolic link; it is made, with its folder, if it is not there, for this user alone.
    source, target : str
        What is moved where. A manifest of another pair is refused.

    Raises
    ------
    BlockingIOError
        Another run is working with it.
    OSError
        The file cannot be read or written; every method can raise this, as when the disk is full.
    ValueError
        The file is no manifest, or that of another migration.
    """

    def __init__(self, path: str | os.PathLike[str], source: str, target: str) -> None:
        self.path = Path(path)
        self._mutex = threading.RLock()
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a manifest is a file, and this is a directory", str(path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        try:
            _open_private(self.path).close()
            self._base = self._open({"version": _VERSION, "source": source, "target": target})
        except BaseException:
            self._unlock()
            raise

    def _open(self, about: Mapping[str, str]) -> sqlite3.Connection:
        with self._told():
            base = sqlite3.connect(self.path, timeout=0 if self._lock is None else 30, isolation_level=None,
                                   check_same_thread=False)  # fmt: skip
        try:
            if self._lock is None:
                base.execute("PRAGMA locking_mode = EXCLUSIVE")
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            base.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";\n"):
                base.execute(statement)
            base.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())
            known = dict(base.execute("SELECT name, value FROM about"))
            base.execute("COMMIT")
        except sqlite3.Error as error:
            base.close()
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise _busy(self.path) from error
            if isinstance(error, sqlite3.OperationalError):
                raise self._failure(error) from error
            raise ValueError(f"{self.path} cannot be used as a manifest: {error}") from error
        for name, value in about.items():
            if known[name] != value:
                base.close()
                raise ValueError(f"{self.path} is the manifest of another migration, with {name} {known[name]}: "
                                 "choose another with --manifest, or remove it")  # fmt: skip
        return base

    def close(self) -> None:
        """Write everything to the file and let others have it."""
        with self._mutex:
            self._base.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, error: sqlite3.Error) -> OSError:
        return OSError(errno.EIO, f"the manifest cannot be used: {error}", str(self.path))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise an error of SQLite as one of the system: the disk is full, or the file is damaged."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Make a transaction of the block; it happens as a whole, or not at all."""
        with self._mutex, self._told():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                # SQLite itself may have ended the transaction, and another error would hide the cause
                with suppress(sqlite3.Error):
                    self._base.execute("ROLLBACK")
                raise

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._mutex, self._told():
            return self._base.execute(query, values).fetchall()

    def begin_listing(self) -> None:
        """Begin to list the source anew: what an interrupted listing has seen may be old by now."""
        with self._change() as base:
            base.execute("INSERT OR REPLACE INTO about VALUES ('round', ?)", (str(self._round() + 1),))
            base.execute("DELETE FROM folders")
            base.execute("INSERT INTO folders VALUES ('', ?, 0, 0)", (self._round(),))

    def _about(self, name: str) -> str | None:
        found = self._all("SELECT value FROM about WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def _round(self) -> int:
        return int(self._about("round") or 0)

    def folders_to_list(self, count: int) -> list[str]:
        """Return directories, relative to the source, that this listing has still to look into."""
        return [path for (path,) in self._all("SELECT path FROM folders WHERE NOT is_listed LIMIT ?", count)]

    def list_folder(self, path: str, files: Iterable[Listed], folders: Iterable[str]) -> int:
        """Note what a directory has: new and changed files have to be copied.

        Parameters
        ----------
        path : str
            The directory, relative to the source; empty for the source itself.
        files, folders : iterable of Listed, iterable of str
            What is in it, by paths relative to the source.

        Returns
        -------
        int
            How many files there are.
        """
        rows = [{**vars(file), "round": self._round(), "now": time.time()} for file in files]
        below = [(folder, self._round()) for folder in folders]
        with self._change() as base:
            # first those that are known, while their old values are still there
            base.executemany(_CHANGE, rows)
            base.executemany(_LIST, rows)
            base.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, 0, 0)", below)
            base.execute("UPDATE folders SET is_listed = 1, is_empty = ? WHERE path = ?", (not rows + below, path))
        return len(rows)

    def end_listing(self) -> None:
        """Note that all is listed: what was not seen has vanished."""
        with self._change() as base:
            base.execute("UPDATE files SET is_gone = 1 WHERE round != ?", (self._round(),))

    def jobs(self, *, verify: bool, page: int = 1000) -> Iterator[Job]:
        """Yield the files that have to be worked on, by path; each once, whatever becomes of it meanwhile.

        Parameters
        ----------
        verify : bool
            Those that are copied but not verified, too.
        page : int
            How many rows are fetched at once.
        """
        states = (PENDING, FAILED, COPIED if verify else PENDING)
        last = None
        while True:
            rows = self._all(
                "SELECT path, size, sha, state, how, content, is_written FROM files WHERE (? IS NULL OR path > ?) "
                "AND state IN (?, ?, ?) AND NOT is_gone AND NOT is_barred ORDER BY path LIMIT ?",
                last, last, *states, page,
            )  # fmt: skip
            if not rows:
                return
            for path, size, sha, state, how, content, is_written in rows:
                yield Job(path, size, sha, state, how, content, bool(is_written))
            last = rows[-1][0]

    def begin(self, path: str) -> None:
        """Note that a file is about to be written at the target."""
        with self._change() as base:
            base.execute(
                "UPDATE files SET attempts = attempts + 1, is_written = 1, begun = ? WHERE path = ?",
                (time.time(), path),
            )

    def note(self, outcomes: Iterable[Outcome], *, began: bool = True) -> None:
        """Note what became of files.

        Parameters
        ----------
        outcomes : iterable of Outcome
            One per file.
        began : bool
            Whether `begin` was called for those that were begun.
        """
        now = time.time()
        rows = [{**vars(outcome), "now": now, "later": outcome.is_begun and not began} for outcome in outcomes]
        with self._change() as base:
            base.executemany(
                "UPDATE files SET state = :state, how = CASE WHEN :how = '' THEN how ELSE :how END, error = :error, "
                "content = coalesce(:content, content), ended = :now, attempts = attempts + :later, "
                "is_written = CASE WHEN :state = 'failed' THEN is_written OR :later ELSE 0 END WHERE path = :path",
                rows,
            )

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return how many files there are, and their bytes, by state; those that vanished as ``gone``."""
        rows = self._all(
            "SELECT CASE WHEN is_gone THEN 'gone' ELSE state END, count(*), sum(size) FROM files GROUP BY 1"
        )
        return {state: (count, size) for state, count, size in rows}

    def work(self, *, verify: bool) -> tuple[int, int]:
        """Return how many files have to be worked on, and their bytes."""
        states = (PENDING, FAILED, COPIED if verify else PENDING)
        query = "SELECT count(*), coalesce(sum(size), 0) FROM files WHERE state IN (?, ?, ?) AND NOT is_gone"
        count, size = self._all(query + " AND NOT is_barred", *states)[0]
        return count, size

    def failures(self, most: int) -> list[tuple[str, str]]:
        """Return paths and reasons of failed files, so many at most."""
        query = "SELECT path, error FROM files WHERE state = ? AND NOT is_gone ORDER BY path LIMIT ?"
        return [(path, error) for path, error in self._all(query, FAILED, most)]

    def empty_folders(self) -> list[str]:
        """Return the directories in which there is nothing, relative to the source."""
        return [path for (path,) in self._all("SELECT path FROM folders WHERE is_empty ORDER BY path") if path]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all that is known of every file, by path."""
        last = ""
        while found := self._all("SELECT * FROM files WHERE path > ? ORDER BY path LIMIT 1000", last):
            names = [name for _, name, *_ in self._all("PRAGMA table_info(files)")]
            for row in found:
                yield dict(zip(names, row, strict=True))
            last = found[-1][0]


def _locked(path: Path) -> IO[str] | None:
    """Lock a file beside `path` until it is closed, or the process ends; None where SQLite's own lock has to serve."""
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
        # a disk without such locks
        return None
    # a hard link may lead to anybody's file, too
    if os.fstat(lock.fileno()).st_nlink == 1:
        with suppress(OSError):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
    return lock


def _open_private(path: Path) -> IO[str]:
    """Open a file, new ones for this user alone, and never the one that a link leads to: it may be anybody's."""
    try:
        return open(path, "a+", encoding="ascii", opener=_without_links)
    except OSError as error:
        if error.errno == errno.ELOOP:
            text = "it is a symbolic link, which is not followed: name the file itself with --manifest, or remove it"
            raise OSError(errno.ELOOP, text, str(path)) from error
        raise


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _busy(path: Path, holder: str = "") -> BlockingIOError:
    who = f"process {holder}" if holder else "another process"
    return BlockingIOError(
        errno.EAGAIN, f"{who} is working with this manifest; only one run at a time: wait for it, or end it", str(path)
    )


def identity(url: str, service: Mapping[str, Any]) -> str:
    """Return what a manifest remembers of a side: its URL, and where that is; no secrets."""
    return json.dumps([url, dict(sorted(service.items()))], ensure_ascii=True, sort_keys=True, default=str)
