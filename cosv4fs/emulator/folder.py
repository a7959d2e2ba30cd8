"""The root folder of a local service: checked for files of others, and locked for one service.

A service removes what it had not finished before it was killed. So it starts only on a folder that it made itself,
with the database that belongs to the contents there; everything else is an error, and changes nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sqlite3
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

from .errors import EmulatorError
from .portability import LOCK_FLAGS, lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "emulator.sqlite"
BLOBS = "blobs"
_LOCK = "emulator.lock"
_KINDS = {DATABASE: (stat.S_ISREG, "file"), _LOCK: (stat.S_ISREG, "file"), BLOBS: (stat.S_ISDIR, "directory")}
_BLOB = re.compile(r"[0-9a-f]{32}")


def is_blob(name: str) -> bool:
    """Return whether this can be the name of a blob."""
    return _BLOB.fullmatch(name) is not None


def check_folder(root: Path) -> None:
    """Refuse a folder that is not a service's, or incomplete; nothing is changed.

    Raises
    ------
    EmulatorError
        It has files of others, a link where the service expects its own files, or contents without their database.
    OSError
        It cannot be read.
    """
    if not root.exists():
        return
    names = {path.name for path in root.iterdir()}
    for name, (is_kind, kind) in _KINDS.items():
        if name in names and not is_kind((root / name).lstat().st_mode):
            raise EmulatorError(f"{root / name} has to be a {kind}, and no link: name another folder for the service")
    if DATABASE in names:
        return
    contents = {path.name for path in (root / BLOBS).iterdir()} if BLOBS in names else set()
    if any(map(is_blob, contents)) or f"{DATABASE}-wal" in names:
        raise lost(root, f"the database {DATABASE} is missing")
    if names - {_LOCK, BLOBS} or contents:
        shown = min(names - {_LOCK})
        raise EmulatorError(f"the folder {root} has files of others, such as {shown}: name an empty or a new one")


def lost(root: Path, what: str) -> EmulatorError:
    """Return the error of blobs without their database, with what can be done."""
    return EmulatorError(
        f"{what}, but there are contents in {root / BLOBS}: put the right database back, with {DATABASE}-wal if there"
        f" is one, or move the folder {root} away and start again; nothing was changed"
    )


def take_lock(root: Path) -> io.FileIO:
    """Lock a folder for this process until the file is closed.

    Raises
    ------
    EmulatorError
        Another service uses the folder.
    OSError
        The lock cannot be opened.
    """
    lock = io.FileIO(os.open(root / _LOCK, LOCK_FLAGS, 0o600), "r+")
    try:
        lock_file(lock)
    except BlockingIOError:
        lock.close()
        raise EmulatorError(f"another emulator is using the folder {root}: stop it, or name another folder") from None
    return lock


def check_tables(root: Path, schema: str) -> None:
    """Refuse a database that is not what this version of the service makes; a new one may be empty.

    Raises
    ------
    EmulatorError
        It is that of another program, service or version, or it was emptied.
    sqlite3.Error
        It is damaged.
    """
    path = root / DATABASE
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
    if not found and any(own_files(root)):
        raise lost(root, f"the database {path} is empty")


def _tables(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns of all tables."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {name: db.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchall() for name in names}


def own_files(root: Path) -> Iterator[str]:
    """Yield the names of contents that a service has made, also of unfinished ones, which end with ``.part``."""
    if not (root / BLOBS).is_dir():
        return
    with os.scandir(root / BLOBS) as entries:
        for entry in entries:
            if is_blob(entry.name.removesuffix(".part")) and entry.is_file(follow_symlinks=False):
                yield entry.name
