"""The storage on disk: one SQLite database for names and unfinished uploads, one file per blob.

Blobs have generated names, so that no path of a request can leave the root folder. A blob is written under a
temporary name and renamed before the transaction that refers to it is committed; a blob of this database that no
row refers to is an orphan, and is removed at the next start. So a service starts only on a folder that it made itself,
with the database that belongs to the contents there; everything else is an error, and changes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import sqlite3
import stat
import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cosv4fs.emulator.errors import EmulatorError
from cosv4fs.emulator.portability import (
    LOCK_FLAGS,
    WRITE_FLAGS,
    lock_file,
    sync_content,
    sync_folder,
    unlock_file,
    write_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

_DATABASE = "emulator.sqlite"
_BLOBS = "blobs"
_LOCK = "emulator.lock"
_KINDS = {_DATABASE: (stat.S_ISREG, "file"), _LOCK: (stat.S_ISREG, "file"), _BLOBS: (stat.S_ISDIR, "directory")}
_BLOB = re.compile(r"[0-9a-f]{32}")
_BLOCK = 1 << 20

disk_full: ContextVar[bool] = ContextVar("disk_full", default=False)
"""Whether writing fails in this thread, as if there were no room on the disk (a fault)."""


@dataclass
class Transaction:
    """The database within one transaction, and the blobs to remove when it fails, and when it is committed."""

    db: sqlite3.Connection
    added: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.db.execute(sql, values)

    def add(self, blob: str) -> None:
        """Remove a new blob if the transaction fails."""
        self.added.append(blob)

    def free(self, blob: str | None) -> None:
        """Remove a blob once the transaction is committed; None is ignored."""
        if blob is not None:
            self.freed.append(blob)

    def delete(self, rows: str, values: Sequence[Any]) -> None:
        """Delete rows, a table with its condition, and the blobs to which they refer."""
        for (blob,) in self.execute(f"SELECT blob FROM {rows}", values):  # noqa: S608  constant text
            self.free(blob)
        self.execute(f"DELETE FROM {rows}", values)  # noqa: S608  constant text


Database = sqlite3.Connection | Transaction
"""Where rows are read from, in a transaction or not."""


class Store:
    """The root folder of a service, made if it is missing: database, contents, lock.

    All access to the database goes through one connection and one lock: a stat costs some tens of microseconds.
    `schema` is SQL that makes its tables, and the temporary view ``known`` of every blob to which a row refers.
    """

    def __init__(self, root: Path, schema: str, *, fsync: bool, temporary: bool = False) -> None:
        self.root = root
        self._schema = schema
        self._fsync = fsync
        self._temporary = temporary
        self._blobs = root / _BLOBS
        self._mutex = threading.RLock()
        self._in_use: set[str] = set()
        try:
            _check_folder(root)
            # a new folder is for this user alone; an existing one keeps its permissions
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _take_lock(root)
        except OSError as error:
            raise EmulatorError(f"cannot use the folder {root}: {error.strerror}") from None
        try:
            _check_tables(root, schema)
            self._db = self._open_database()
        except (sqlite3.Error, OSError) as error:
            unlock_file(self._lock)
            text = f"cannot use the database {root / _DATABASE}: {error}: put a whole one back, or name another folder"
            raise EmulatorError(f"{text}; nothing was changed") from None
        except BaseException:
            unlock_file(self._lock)
            raise
        try:
            self._blobs.mkdir(mode=0o700, exist_ok=True)
            self._identity = self._read_identity()
            self._remove_orphans()
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise _lost(root, f"the database {root / _DATABASE} is damaged ({error})") from None
            if isinstance(error, OSError):
                raise EmulatorError(f"cannot use the folder {root}: {error.strerror}") from None
            raise

    def _open_database(self) -> sqlite3.Connection:
        path = self.root / _DATABASE
        path.touch(mode=0o600)  # the files that SQLite puts beside it are as private
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            db.row_factory = sqlite3.Row
            # first: changing the journal mode waits for the disk where that is not switched off
            db.execute("PRAGMA synchronous=FULL" if self._fsync else "PRAGMA synchronous=OFF")
            db.execute("PRAGMA fullfsync=ON")  # as `sync_content`, on macOS
            # nobody opens a temporary folder after the death of its process: it needs no journal on disk
            db.execute("PRAGMA journal_mode=MEMORY" if self._temporary else "PRAGMA journal_mode=WAL")
            db.executescript(f"BEGIN IMMEDIATE; {self._schema} COMMIT;")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _read_identity(self) -> str:
        """Return the prefix of the names of this database's blobs; other blobs are not its own."""
        [identity] = self._db.execute("PRAGMA user_version").fetchone()
        if not identity:
            identity = secrets.randbelow(2**31 - 1) + 1
            self._db.execute(f"PRAGMA user_version = {identity}")
        return f"{identity:08x}"

    def _remove_orphans(self) -> None:
        """Remove blobs that a killed process had not completed, or not yet removed.

        Nothing is removed when the database is damaged, or not that of the contents.
        """
        known = {name for (name,) in self._db.execute("SELECT blob FROM known")}
        unknown = [name for name in _own_files(self.root) if name not in known]
        if not unknown:
            return
        foreign = next((name for name in unknown if _is_blob(name) and not name.startswith(self._identity)), None)
        if foreign is not None:
            raise _lost(self.root, f"the database {self.root / _DATABASE} does not know the content {foreign}")
        found = [text for (text,) in self._db.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"] or not all(map(_is_blob, known)):
            raise _lost(self.root, f"the database {self.root / _DATABASE} is damaged ({found[0]})")
        for name in unknown:
            if name.startswith(self._identity):
                self._remove_file(name)

    def _new_name(self) -> str:
        return self._identity + secrets.token_hex(12)

    def close(self) -> None:
        """Close the database and unlock the folder."""
        with self._mutex:
            self._db.close()
            unlock_file(self._lock)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the database for reading; nothing is written meanwhile."""
        with self._mutex:
            yield self._db

    @contextlib.contextmanager
    def writing(self, *added: str) -> Iterator[Transaction]:
        """Yield a transaction on the database: committed at the end of the block, undone by an exception.

        The new blobs to which it will refer are removed when it fails.
        """
        transaction = Transaction(self._db, list(added))
        unused = transaction.added
        try:
            if disk_full.get():
                raise _no_room()
            with self._mutex:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield transaction
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            unused = transaction.freed
        finally:
            self._remove_blobs(*unused)

    def blob_path(self, blob: str) -> Path:
        """Return the file of a blob."""
        return self._blobs / blob

    def new_blob(self, content: bytes | memoryview = b"") -> str:
        """Write a new blob and return its name; no row refers to it yet."""
        with self.open_blob() as new:
            new.write(content)
            return new.publish()

    def open_blob(self) -> BlobWriter:
        """Begin a new blob of unknown size."""
        return BlobWriter(self)

    def join_blobs(self, blobs: Iterable[str]) -> str:
        """Concatenate blobs into a new one, and return its name."""
        with self.open_blob() as joined:
            for blob in blobs:
                with self.blob_path(blob).open("rb", buffering=0) as file:
                    while block := file.read(_BLOCK):
                        joined.write(block)
            return joined.publish()

    def copy_blob(self, blob: str) -> str:
        """Return a second name of a blob, independent of the first: published blobs never change."""
        copy = self._new_name()
        try:
            os.link(self._blobs / blob, self._blobs / copy)
        except FileNotFoundError:
            raise
        except OSError:  # not on FAT and some network shares, nor any number of times
            return self.join_blobs([blob])
        self._sync_folder()
        return copy

    def write_blob(self, blob: str, content: memoryview, offset: int) -> bool:
        """Write into the blob of an unfinished upload; False when it is gone."""
        try:
            descriptor = os.open(self._blobs / blob, WRITE_FLAGS)
        except FileNotFoundError:
            return False
        try:
            self._write(descriptor, content, offset)
        finally:
            os.close(descriptor)
        return True

    def resize_blob(self, blob: str, size: int) -> None:
        """Truncate or extend the blob of an unfinished upload."""
        os.truncate(self._blobs / blob, size)

    def _remove_blobs(self, *blobs: str) -> None:
        """Remove blobs to which no row refers any more; open downloads of them continue.

        Windows keeps open files: they are tried again with the next ones, and at the next start.
        """
        for blob in (*blobs, *self._in_use.copy()):
            if self._remove_file(blob):
                self._in_use.discard(blob)
            else:
                self._in_use.add(blob)

    def _remove_file(self, name: str) -> bool:
        """Remove a file of the folder for blobs; False when it cannot be removed now."""
        try:
            (self._blobs / name).unlink(missing_ok=True)
        except PermissionError:
            return False
        return True

    def _write(self, descriptor: int, content: bytes | memoryview, offset: int) -> None:
        view = memoryview(content)
        if disk_full.get():
            write_at(descriptor, view[: view.nbytes // 2], offset)
            raise _no_room()
        while view.nbytes:
            written = write_at(descriptor, view, offset)
            view = view[written:]
            offset += written
        if self._fsync:
            sync_content(descriptor)

    def _sync_folder(self) -> None:
        if self._fsync:
            sync_folder(self._blobs)


class BlobWriter:
    """A blob that is written piece by piece; as a context manager it removes what was not published."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = store._new_name()
        self._temporary = store.blob_path(f"{self._name}.part")
        self._descriptor = os.open(self._temporary, WRITE_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, block: bytes | memoryview) -> None:
        """Add bytes."""
        self._store._write(self._descriptor, block, self.size)
        self.size += len(block)

    def publish(self) -> str:
        """Publish it and return its name; no row refers to it yet."""
        if disk_full.get():
            raise _no_room()
        self._close()
        self._temporary.rename(self._store.blob_path(self._name))
        self._store._sync_folder()
        return self._name

    def discard(self) -> None:
        """Remove what was written, if it was not published."""
        self._close()
        self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_blob(name: str) -> bool:
    """Return whether this can be the name of a blob."""
    return _BLOB.fullmatch(name) is not None


def _check_folder(root: Path) -> None:
    """Refuse a folder with files of others, links in place of its own, or contents without their database."""
    if not root.exists():
        return
    names = {path.name for path in root.iterdir()}
    for name, (is_kind, kind) in _KINDS.items():
        if name in names and not is_kind((root / name).lstat().st_mode):
            raise EmulatorError(f"{root / name} has to be a {kind}, and no link: name another folder for the service")
    if _DATABASE in names:
        return
    contents = {path.name for path in (root / _BLOBS).iterdir()} if _BLOBS in names else set()
    if any(map(_is_blob, contents)) or f"{_DATABASE}-wal" in names:
        raise _lost(root, f"the database {_DATABASE} is missing")
    if names - {_LOCK, _BLOBS} or contents:
        shown = min(names - {_LOCK})
        raise EmulatorError(f"the folder {root} has files of others, such as {shown}: name an empty or a new one")


def _lost(root: Path, what: str) -> EmulatorError:
    """Return the error of blobs without their database, with what can be done."""
    return EmulatorError(
        f"{what}, but there are contents in {root / _BLOBS}: put the right database back, with {_DATABASE}-wal if there"
        f" is one, or move the folder {root} away and start again; nothing was changed"
    )


def _take_lock(root: Path) -> io.FileIO:
    """Lock a folder for this process until the file is closed, or refuse one that another service uses."""
    lock = io.FileIO(os.open(root / _LOCK, LOCK_FLAGS, 0o600), "r+")
    try:
        lock_file(lock)
    except BlockingIOError:
        lock.close()
        raise EmulatorError(f"another emulator is using the folder {root}: stop it, or name another folder") from None
    return lock


def _check_tables(root: Path, schema: str) -> None:
    """Refuse a database of another program, service or version, or an emptied one; a new one may be empty."""
    path = root / _DATABASE
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        found = _tables(db)
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema)
        expected = _tables(db)
    if found and found != expected:
        raise EmulatorError(
            f"the database {path} was made by another program, service or version of cosv4fs: use that one, or name"
            " another folder; nothing was changed"
        )
    if not found and any(_own_files(root)):
        raise _lost(root, f"the database {path} is empty")


def _tables(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns of all tables."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {name: db.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchall() for name in names}


def _own_files(root: Path) -> Iterator[str]:
    """Yield the names of contents that a service has made, also of unfinished ones, which end with ``.part``."""
    if not (root / _BLOBS).is_dir():
        return
    with os.scandir(root / _BLOBS) as entries:
        for entry in entries:
            if _is_blob(entry.name.removesuffix(".part")) and entry.is_file(follow_symlinks=False):
                yield entry.name
