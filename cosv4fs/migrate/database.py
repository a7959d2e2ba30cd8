"""SQLite databases: transactions, rows page by page, and errors as `OSError`."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_CACHE_KIB = 8 * 1024
"""Memory for the pages of a temporary database; what does not fit is in a temporary file."""

PAGE = 1000
"""Rows that are in memory at once."""


class Database:
    """An open SQLite database in autocommit mode; thread-safe if the connection may be shared.

    Parameters
    ----------
    connection : sqlite3.Connection
        Opened with ``isolation_level=None``.
    name : str
        What the database is, in messages: ``the manifest``.
    path : str, optional
        Its file, in messages.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, path: str | None = None) -> None:
        self._connection, self._name, self._path = connection, name, path
        self._mutex = threading.RLock()

    @classmethod
    def temporary(cls, name: str, tables: str) -> Database:
        """Create a database with tables that vanishes with the process; what is large is on disk.

        SQLite puts it in the directory that ``SQLITE_TMPDIR`` or ``TMPDIR`` names, else in ``/var/tmp``.
        """
        # the garbage collector may close an abandoned one in any thread
        database = cls(sqlite3.connect("", isolation_level=None, check_same_thread=False), name)
        with database.translating():
            # nobody needs it after a crash
            database._connection.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE_KIB}; {tables}"
            )
        return database

    def close(self) -> None:
        """Close the database; a temporary one is gone then."""
        with self._mutex:
            self._connection.close()

    def failure(self, error: sqlite3.Error) -> OSError:
        """Return the `OSError` for an error of SQLite, such as a full disk or a damaged file."""
        text = f"{self._name} cannot be used: {error}"
        if "disk is full" not in str(error):
            return OSError(errno.EIO, text, self._path)
        advice = "" if self._path else "; set SQLITE_TMPDIR to a directory on a disk with more space"
        return OSError(errno.ENOSPC, text + advice, self._path)

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Translate errors of SQLite to `OSError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise self.failure(error) from error

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction."""
        with self._mutex, self.translating():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back already; that error would hide the cause
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def all(self, query: str, *values: Any) -> list[Any]:
        """Return all rows of a query."""
        with self._mutex, self.translating():
            return self._connection.execute(query, values).fetchall()

    def pages(self, query: str, *values: Any, after: tuple[Any, ...]) -> Iterator[list[Any]]:
        """Yield the rows of a query page by page; others may change the tables meanwhile.

        Parameters
        ----------
        query : str
            Selects first the columns by which it orders, unique together, and ends with a condition on them and a
            limit: ``SELECT path, size FROM files WHERE (path) > (?) ORDER BY path LIMIT ?``.
        after : tuple
            The values of those columns before the first row.
        """
        while rows := self.all(query, *values, *after, PAGE):
            yield rows
            after = rows[-1][: len(after)]
