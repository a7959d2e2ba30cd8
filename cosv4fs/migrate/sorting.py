"""Sort the entries of a tree on disk: `SortedEntries`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cosv4fs.migrate.database import Database
from cosv4fs.migrate.entries import Entry
from cosv4fs.paths import parents

if TYPE_CHECKING:
    from typing_extensions import Self

_TABLE = """
    CREATE TABLE entries (
        key BLOB, is_directory INTEGER, size INTEGER, modified REAL, PRIMARY KEY (key, is_directory)
    ) WITHOUT ROWID
"""

_MAX_FOLDERS = 10_000
"""Directories that are known to be in the table, and not added again."""

_BEHIND = b"\xff" * 4096
"""A key behind all others: local paths are not longer, and no others have such bytes."""


class SortedEntries:
    """Entries in the order of a walk: sorted by name, and each directory followed by what is in it; a context manager.

    Directories that only the paths of files show are added. A file comes before a directory of the same name.
    """

    def __init__(self) -> None:
        self._database = Database.temporary("the sorted listing", _TABLE)
        self._folders: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the entries."""
        self._database.close()

    def add(self, page: list[Entry]) -> None:
        """Add a page of entries."""
        if len(self._folders) > _MAX_FOLDERS:
            self._folders.clear()
        folders = {folder for entry in page for folder in parents(entry.path)} - self._folders
        self._folders |= folders
        implied = [(_key(folder), True, 0, None) for folder in folders]
        found = [(_key(entry.path), entry.is_directory, entry.size, entry.modified) for entry in page]
        with self._database.change() as database:
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", sorted(found))
            database.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?)", sorted(implied))

    def __iter__(self) -> Iterator[Entry]:
        return self._entries("WHERE (key, is_directory) > (?, ?) ORDER BY key, is_directory", (b"", -1))

    def __reversed__(self) -> Iterator[Entry]:
        return self._entries("WHERE (key, is_directory) < (?, ?) ORDER BY key DESC, is_directory DESC", (_BEHIND, 0))

    def _entries(self, order: str, after: tuple[bytes, int]) -> Iterator[Entry]:
        query = f"SELECT key, is_directory, size, modified FROM entries {order} LIMIT ?"  # noqa: S608 - constants
        for page in self._database.pages(query, after=after):
            for key, is_directory, size, modified in page:
                path = os.fsdecode(key.replace(b"\0", b"/"))
                yield Entry(path, size, modified, is_directory=bool(is_directory))

    def is_last(self, entry: Entry) -> bool:
        """Return whether nothing in the same directory comes after an entry."""
        key = _key(entry.path)
        folder = key[: key.rfind(b"\0") + 1]
        if not entry.is_directory and self._database.all("SELECT 1 FROM entries WHERE key = ? AND is_directory", key):
            return False
        # behind everything in it
        query = "SELECT key FROM entries WHERE key >= ? ORDER BY key LIMIT 1"
        following = [*self._database.all(query, key + b"\1")]
        # names that begin with this one and a smaller character come between
        return not following or not following[0][0].startswith(folder)


def _key(path: str) -> bytes:
    """Return what sorts a path: what is in a directory comes right behind it."""
    return os.fsencode(path).replace(b"/", b"\0")
