"""The manifest: a SQLite database with the state of every file of a migration, kept across runs.

Every change is one transaction in SQLite's write-ahead log, so the process may be killed at any time. A lock file
(``….lock``) admits one process at a time; other processes may read the database meanwhile.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cosv4fs.migrate.database import Database
from cosv4fs.migrate.metadata import EXAMPLES, Lost
from cosv4fs.portability import NO_LINKS, open_private, try_lock

if TYPE_CHECKING:
    from typing_extensions import Self


PENDING, COPIED, VERIFIED, FAILED = "pending", "copied", "verified", "failed"
"""States of files."""

NEW, SIZE, CONTENT, MISSING, DAMAGED = "new", "size", "content", "missing", "damaged"
"""Reasons to copy a file: the target has none, or another one; or an earlier copy is gone, or is another one now."""

_VERSION = "3"

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL,           -- as listed, with mtime (Unix seconds) and sha (where the source keeps one)
    mtime REAL,
    sha TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'copied', 'verified', 'failed')),
    how TEXT NOT NULL DEFAULT '',    -- 'copied', or 'found' when the target already had it
    content TEXT,                    -- SHA-1 of the bytes that were copied or compared
    error TEXT NOT NULL DEFAULT '',
    not_carried TEXT NOT NULL DEFAULT '',   -- names of the attributes that the copy could not carry, with commas
    attempts INTEGER NOT NULL DEFAULT 0,
    is_written INTEGER NOT NULL DEFAULT 0,  -- a copy was begun and not completed: the target may be incomplete
    is_barred INTEGER NOT NULL DEFAULT 0,   -- listed, but cannot be copied
    is_gone INTEGER NOT NULL DEFAULT 0,     -- no longer listed
    round INTEGER NOT NULL,          -- number of the last listing that contained it
    listed REAL NOT NULL, begun REAL, ended REAL
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS listed_files AS
    SELECT * FROM files WHERE round = (SELECT value FROM about WHERE name = 'round') AND NOT is_gone;
"""

_LIST = """
INSERT INTO files (path, size, mtime, sha, error, round, listed, state, is_barred)
VALUES (:path, :size, :mtime, :sha, :error, :round, :now,
        CASE WHEN :error = '' THEN 'pending' ELSE 'failed' END, :error != '')
ON CONFLICT (path) DO UPDATE SET round = :round, listed = :now, is_gone = 0,
    -- a name that cannot be stored may be written as another one: neither is left out in silence
    state = CASE WHEN :error = '' THEN state ELSE 'failed' END, is_barred = is_barred OR :error != '',
    error = CASE WHEN :error = '' THEN error ELSE :error END
"""
_CHANGE = """
UPDATE files SET size = :size, mtime = :mtime, sha = :sha, error = :error, is_barred = :error != '', how = '',
    content = NULL, not_carried = '', state = CASE WHEN :error = '' THEN 'pending' ELSE 'failed' END
WHERE path = :path AND (size != :size OR mtime IS NOT :mtime OR sha IS NOT :sha OR is_barred != (:error != '')
    -- the last listing came within the second of the last change: another one may have followed in it
    OR (size > 0 AND sha IS NULL AND mtime = round(mtime) AND mtime > listed + :ahead - 2))
    AND NOT (round = :round AND is_barred)
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
    """The result of migrating a file; the first fields are columns of the table ``files``.

    In the state ``pending``, the file is to be copied.
    """

    path: str
    """The path of the file in its tree."""
    state: str
    """``pending``, ``copied``, ``verified``, ``failed`` or ``vanished``."""
    how: str = ""
    """How the copy was verified."""
    content: str | None = None
    """The SHA-1 of the content in hex, where known."""
    error: str = ""
    """Why it failed."""
    size: int = 0
    """Bytes copied by this run, or to be copied."""
    is_begun: bool = False
    """Whether this run began to write the target."""
    lost: tuple[str, ...] = ()
    """The attributes that the copy could not carry."""
    reason: str = ""
    """Why it was copied, or is to be: see `NEW`."""
    seconds: float = 0.0
    """How long it took to copy."""
    is_refused: bool = False
    """Whether it failed because access was denied."""


class Manifest:
    """The manifest of one migration, locked for this process; a context manager.

    A missing database is created with its parent directories, private to the user. `source` and `target` are
    identities. Every method can raise an OSError, for example when the disk is full.

    Parameters
    ----------
    path : path
        The database.
    source, target : str
        Identities; see `cosv4fs.migrate.identities`.
    is_trial : bool
        Work on a copy, which vanishes at the end: nothing is created or changed, and another run may use the database.

    Raises
    ------
    BlockingIOError
        Another run is using it.
    ValueError
        The file is not a manifest, or belongs to another migration.
    """

    def __init__(self, path: str | os.PathLike[str], source: str, target: str, *, is_trial: bool = False) -> None:
        self.path = Path(path)
        self._ahead: float | None = 0.0
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "the manifest must be a file, but this is a directory", str(path))
        self._lock: IO[str] | None = None
        try:
            if not is_trial:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = _locked(self.path)
                _open_private(self.path).close()
            self._database = self._open({"version": _VERSION, "source": source, "target": target}, is_trial)
        except BaseException:
            self._unlock()
            raise

    def _open(self, about: Mapping[str, str], is_trial: bool) -> Database:
        try:
            database = sqlite3.connect("" if is_trial else self.path, timeout=0 if self._lock is None else 30,
                                       isolation_level=None, check_same_thread=False)  # fmt: skip
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"the manifest cannot be opened: {error}", str(self.path)) from error
        opened = Database(database, "the manifest", str(self.path))
        with ExitStack() as after_failure:
            after_failure.callback(database.close)
            try:
                if is_trial:
                    self._copy_into(database)
                self._prepare(database, about, is_shared=self._lock is not None or is_trial)
            except sqlite3.OperationalError as error:
                raise (_busy(self.path) if "locked" in str(error) else opened.failure(error)) from error
            except sqlite3.Error as error:
                raise ValueError(f"{self.path} cannot be used as a manifest: {error}") from error
            after_failure.pop_all()
        return opened

    def _prepare(self, database: sqlite3.Connection, about: Mapping[str, str], *, is_shared: bool) -> None:
        """Create what the database lacks; refuse that of another migration."""
        self._check_kind(database)
        if not is_shared:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";\n"):
            database.execute(statement)
        database.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())
        known = dict(database.execute("SELECT name, value FROM about"))
        database.execute("COMMIT")
        for name, value in about.items():
            if known[name] != value:
                text = f"{self.path} is the manifest of another migration, with {name} {known[name]} instead of {value}"
                raise ValueError(f"{text}: choose another with --manifest")

    def _check_kind(self, database: sqlite3.Connection) -> None:
        """Refuse, before anything is changed, a database that is no manifest, or one of another version."""
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if not tables:
            return
        columns = {row[1] for row in database.execute("PRAGMA table_info(about)")}
        known = dict(database.execute("SELECT name, value FROM about")) if {"name", "value"} <= columns else {}
        if not {"files", "folders"} <= tables or "version" not in known:
            raise ValueError(f"{self.path} cannot be used as a manifest: it is the database of another program")
        if known["version"] != _VERSION:
            text = "is a manifest of another version of cosv4fs: remove it, or choose another with --manifest"
            raise ValueError(f"{self.path} {text}; equal files at the target are found, and not copied again")

    def _copy_into(self, database: sqlite3.Connection) -> None:
        if self.path.exists():
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as original:
                original.backup(database)

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
            database.execute("INSERT OR REPLACE INTO about VALUES ('round', ?)", (self._round() + 1,))
            database.execute("DELETE FROM folders")

    def _round(self) -> int:
        found = self._database.all("SELECT value FROM about WHERE name = 'round'")
        return int(found[0][0]) if found else 0

    def list_page(self, files: Iterable[File], folders: Iterable[str]) -> int:
        """Record entries of the source; new and changed files become pending. Return the number of files.

        What is below a failed path with a trailing slash is not in the listing, and keeps its state.
        """
        given = {"round": self._round(), "now": time.time(), "ahead": self._ahead}
        rows = [{**vars(file), **given} for file in files]
        with self._database.change() as database:
            # changes first: they are detected by the old values
            database.executemany(_CHANGE, rows)
            database.executemany(_LIST, rows)
            database.executemany("INSERT OR IGNORE INTO folders VALUES (?)", ((folder,) for folder in folders))
        return len(rows)

    def end_listing(self, is_selected: Callable[[str], bool] = lambda _: True) -> None:
        """Finish the listing: files that were not in it are marked as gone, unless `is_selected` excludes the path."""
        unlisted = self._database.all("SELECT path FROM listed_files WHERE is_barred AND path LIKE '%/'")
        with self._database.change() as database:
            database.create_function("is_selected", 1, is_selected)
            for (folder,) in unlisted:
                # the character after the slash is 0
                database.execute("UPDATE files SET round = ? WHERE path > ? AND path < ?",
                                 (self._round(), folder, f"{folder[:-1]}0"))  # fmt: skip
            database.execute("UPDATE files SET is_gone = 1 WHERE round != ? AND NOT is_gone AND is_selected(path)",
                             (self._round(),))  # fmt: skip

    def bar_files_above(self, error: str) -> None:
        """Record as failed each file whose path is also a directory with files that can be copied."""
        with self._database.change() as database:
            database.execute(
                "UPDATE files SET state = 'failed', error = ?, is_barred = 1 WHERE round = ? AND NOT is_barred "
                "AND EXISTS (SELECT 1 FROM files AS below WHERE "
                "below.path > files.path || '/' AND below.path < files.path || '0' "
                "AND NOT below.is_gone AND NOT below.is_barred)",
                (error, self._round()),
            )

    def bar_other_spellings(self, error: str) -> None:
        """Record as failed all files whose paths differ in case alone from those of others that can be copied."""
        known = "NOT is_gone AND NOT is_barred"
        with self._database.change() as database:
            database.create_function("fold", 1, str.casefold, deterministic=True)
            database.execute(
                f"UPDATE files SET state = 'failed', error = ?, is_barred = 1 WHERE {known} AND fold(path) IN "  # noqa: S608 - constant
                f"(SELECT fold(path) FROM files WHERE {known} GROUP BY fold(path) HAVING count(*) > 1)",
                (error,),
            )

    def files(self, *states: str) -> Iterator[File]:
        """Yield the files to migrate in the order of their paths; each once, even if its state changes meanwhile.

        Files that are pending or failed, and those in further `states`.
        """
        query = (
            "SELECT path, size, mtime, sha, error, state, how, content, is_written FROM listed_files "
            "WHERE state IN (?, ?, ?, ?) AND NOT is_barred AND path > ? ORDER BY path LIMIT ?"
        )
        for rows in self._database.pages(query, *_work_in(states), after=("",)):
            for path, size, mtime, sha, error, state, how, content, is_written in rows:
                yield File(path, size, mtime, sha, error, state, how, content, bool(is_written))

    def begin(self, paths: Iterable[str], *, attempts: int = 1) -> None:
        """Record that files are about to be written at the target: what is there is not known until they are done.

        `attempts` is added to their numbers: 1, or 0 if `record` will do that.
        """
        now = time.time()
        with self._database.change() as database:
            database.executemany(
                "UPDATE files SET state = 'pending', attempts = attempts + ?, is_written = 1, begun = ? WHERE path = ?",
                ((attempts, now, path) for path in paths),
            )

    def reopen(self, paths: Iterable[str]) -> None:
        """Record that complete files may be written again."""
        with self._database.change() as database:
            database.executemany("UPDATE files SET state = 'pending' WHERE path = ?", ((path,) for path in paths))

    def record(self, outcomes: Iterable[Outcome], *, begun: bool = True) -> None:
        """Record the outcomes of files; `begun` tells whether `begin` has counted the attempts."""
        now = time.time()
        rows = [
            {**vars(outcome), "lost": ",".join(outcome.lost), "now": now, "later": outcome.is_begun and not begun}
            for outcome in outcomes
        ]
        with self._database.change() as database:
            database.executemany(
                "UPDATE files SET state = :state, how = CASE WHEN :how = '' THEN how ELSE :how END, error = :error, "
                "content = CASE WHEN :state = 'failed' THEN content ELSE :content END, ended = :now, "
                "attempts = attempts + :later, "
                "not_carried = CASE WHEN :is_begun THEN :lost ELSE not_carried END, "
                "is_written = CASE WHEN :state = 'failed' THEN is_written OR :later ELSE 0 END WHERE path = :path",
                rows,
            )

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return the number of listed files and their bytes by state; ``gone`` are those the source no longer has."""
        rows = self._database.all(
            "SELECT state, count(*), sum(size) FROM listed_files GROUP BY 1 "
            "UNION ALL SELECT 'gone', count(*), sum(size) FROM files WHERE is_gone HAVING count(*)"
        )
        return {state: (count, size) for state, count, size in rows}

    def work(self, *states: str) -> tuple[int, int]:
        """Return the number of files that `files` yields and their total size in bytes."""
        query = (
            "SELECT count(*), coalesce(sum(size), 0) FROM listed_files WHERE state IN (?, ?, ?, ?) AND NOT is_barred"
        )
        count, size = self._database.all(query, *_work_in(states))[0]
        return count, size

    def failures(self, limit: int) -> list[tuple[str, str]]:
        """Return paths and errors of failed files, at most `limit`."""
        query = "SELECT path, error FROM listed_files WHERE state = 'failed' ORDER BY path LIMIT ?"
        return [(path, error) for path, error in self._database.all(query, limit)]

    def not_carried(self) -> dict[str, Lost]:
        """Return the number of files whose copies lost an attribute, and the first paths, by the attribute's name."""
        found: dict[str, Lost] = {}
        groups = "SELECT not_carried, count(*) FROM listed_files WHERE not_carried != '' GROUP BY 1"
        first = "SELECT path FROM listed_files WHERE not_carried = ? ORDER BY path LIMIT ?"
        for names, count in self._database.all(groups):
            paths = [path for (path,) in self._database.all(first, names, EXAMPLES)]
            for name in names.split(","):
                before = found.get(name, Lost(files=0, examples=[]))
                examples = sorted([*before["examples"], *paths])[:EXAMPLES]
                found[name] = Lost(files=before["files"] + count, examples=examples)
        return found

    def empty_folders(self) -> Iterator[str]:
        """Yield the empty directories, relative to the source."""
        query = (
            "SELECT path FROM folders WHERE NOT EXISTS (SELECT 1 FROM folders AS below WHERE "
            "below.path > folders.path || '/' AND below.path < folders.path || '0') "
            "AND NOT EXISTS (SELECT 1 FROM files AS below WHERE "
            "below.path > folders.path || '/' AND below.path < folders.path || '0' AND NOT below.is_gone) "
            "AND path > ? ORDER BY path LIMIT ?"
        )
        for rows in self._database.pages(query, after=("",)):
            yield from (path for (path,) in rows)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all columns of every file, in the order of the paths."""
        names = [name for _, name, *_ in self._database.all("PRAGMA table_info(files)")]
        for page in self._database.pages("SELECT * FROM files WHERE path > ? ORDER BY path LIMIT ?", after=("",)):
            yield from (dict(zip(names, row, strict=True)) for row in page)


def _work_in(states: tuple[str, ...]) -> tuple[str, ...]:
    """Return the four states for a query: of files to migrate in any case, and `states`."""
    return (PENDING, FAILED, *states, PENDING, PENDING)[:4]


def _locked(path: Path) -> IO[str] | None:
    """Lock the file beside `path` until it is closed or the process ends; None where there are no such locks."""
    lock = _open_private(path.with_name(path.name + ".lock"))
    try:
        try_lock(lock.fileno())
    except OSError as error:
        lock.seek(0)
        holder = lock.read(20).strip()
        lock.close()
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _busy(path, holder) from error
        # the system or the disk has no locks
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
        return open(path, "a+", encoding="ascii", opener=lambda name, flags: open_private(name, flags | NO_LINKS))
    except OSError as error:
        if error.errno == errno.ELOOP:
            text = "symbolic links are not followed: name the file itself with --manifest, or remove the link"
            raise OSError(errno.ELOOP, text, str(path)) from error
        raise


def _busy(path: Path, holder: str = "") -> BlockingIOError:
    owner = f"process {holder}" if holder else "another process"
    text = f"{owner} is using this manifest, and only one run at a time can: wait for it or stop it"
    return BlockingIOError(errno.EAGAIN, text, str(path))
