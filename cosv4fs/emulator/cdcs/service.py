"""The context of operations on coffers: the database, the check of a signature, keys in use, the lifecycle."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.cdcs.call import CofferCall
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.service import Service

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from cosv4fs.emulator.dialects import CofferDialect
    from cosv4fs.emulator.service import Account
    from cosv4fs.emulator.store import Database, Store, Transaction

_DAY = 86400
MOST_COFFERS = 20
"""Coffers of one account (cdcs.md#transport)."""

_SHORT_NAME = re.compile(r"[0-9a-z-]{1,35}\Z")
_LONG_NAME = re.compile(r"[!-.0-~]{2,50}\Z")
_LONGEST_KEY = 850

COFFERS = """
CREATE TABLE IF NOT EXISTS coffers (
    name TEXT PRIMARY KEY,
    locations TEXT NOT NULL,        -- JSON array
    encrypt_type INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    key_region TEXT NOT NULL,
    days INTEGER,                   -- of the lifecycle; NULL: none is set, 0: one without an expiration
    policy BLOB,
    ctime REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    coffer TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    content_type TEXT NOT NULL,
    ctime REAL NOT NULL,
    hidden INTEGER NOT NULL,        -- the listings from which it is still missing, and the one in progress
    blob TEXT NOT NULL,
    PRIMARY KEY (coffer, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_age ON objects (coffer, ctime);
CREATE TABLE IF NOT EXISTS uploads (
    upload TEXT PRIMARY KEY,
    coffer TEXT NOT NULL,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    ctime REAL NOT NULL,
    UNIQUE (coffer, key)            -- one unfinished upload per key
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    ctime REAL NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS completed (
    upload TEXT PRIMARY KEY,
    coffer TEXT NOT NULL,
    key TEXT NOT NULL
) WITHOUT ROWID;
CREATE TEMP VIEW known AS SELECT blob FROM objects UNION ALL SELECT blob FROM parts;
"""
"""The database of a `CofferEmulator`."""


class CofferService(Service[CofferCall]):
    """One account with its coffers, of which some exist from the beginning, and what operations on them need."""

    def __init__(
        self,
        account: Account,
        store: Store,
        dialect: CofferDialect,
        clock: Callable[[], float],
        coffers: Iterable[str],
    ) -> None:
        super().__init__(account, store, clock)
        self.dialect = dialect
        self._uploading: set[tuple[str, str]] = set()
        self._mutex = threading.Lock()
        with store.writing() as db:
            for name in coffers:
                db.execute(
                    "INSERT OR IGNORE INTO coffers VALUES (?, ?, 0, '', '', NULL, NULL, ?)",
                    (name, json.dumps([account.region]), clock()),
                )

    @property
    def owner(self) -> dict[str, str]:
        """The account as replies show it."""
        return {"ID": self.account.appid, "DisplayName": self.account.appid}

    def _claim(self, call: CofferCall) -> None:
        """Let a request that begins an object hold its key, from its head until its reply; or refuse it."""
        key = (call.coffer, call.key)
        with self._mutex:
            if key in self._uploading:
                raise ApiError("ObjectAlreadyUploading", "another upload of the object is running")
            self._uploading.add(key)
            call.claimed = True

    def release(self, call: CofferCall) -> None:
        """Release the key that `_claim` took, if it did, and drop the body."""
        if call.claimed:
            call.claimed = False
            with self._mutex:
                self._uploading.discard((call.coffer, call.key))
        call.body.discard()

    def _expire(self) -> None:
        """Remove what is older than its coffer's lifecycle allows (cdcs.md#lifecycle, cdcs.md#immutability)."""
        whole = self.dialect.lifecycle_subject == "coffer"
        objects = "EXISTS (SELECT 1 FROM objects WHERE coffer = name AND objects.ctime <= :now - days * :day)"
        is_old = "ctime <= :now - days * :day" if whole else objects
        with self.store.reading() as db:
            found = db.execute(
                f"SELECT name, :now - days * :day AS until FROM coffers WHERE days > 0 AND {is_old}",  # noqa: S608
                {"now": self.clock(), "day": _DAY},
            ).fetchall()
        for row in found:
            with self.store.writing() as db:
                if whole:
                    _remove_coffer(db, row["name"])
                else:
                    db.delete("objects WHERE coffer = ? AND ctime <= ?", (row["name"], row["until"]))

    def settle(self) -> None:
        """List every object that is still missing from listings."""
        with self.store.writing() as db:
            db.execute("UPDATE objects SET hidden = 0 WHERE hidden > 0")

    def coffer(self, db: Database, name: str, code: str = "CofferNotFound") -> sqlite3.Row:
        """Return the row of a coffer; `code` is for one that is not there, unless the dialect has one for all."""
        row: sqlite3.Row | None = db.execute("SELECT * FROM coffers WHERE name = ?", (name,)).fetchone()
        if row is None:
            check_coffer_name(name, self.dialect)
            fixed = self.dialect.missing_coffer
            raise ApiError(code if fixed == "mixed" else fixed, f"there is no coffer {name}")
        return row

    def check_free(self, db: Database, coffer: str, key: str) -> None:
        """Refuse a key that is taken or that a multipart upload holds (cdcs.md#put-object and cdcs.md#initiate)."""
        if db.execute("SELECT 1 FROM objects WHERE coffer = ? AND key = ?", (coffer, key)).fetchone() is not None:
            raise ApiError(self.dialect.object_exists, "the object exists, and objects are never overwritten")
        if db.execute("SELECT 1 FROM uploads WHERE coffer = ? AND key = ?", (coffer, key)).fetchone() is not None:
            raise ApiError(self.dialect.object_uploading, "a multipart upload of the object is unfinished")

    def add_object(self, db: Transaction, coffer: str, key: str, values: dict[str, Any]) -> None:
        """Add an object whose key the caller found free in the same transaction."""
        lag = self.dialect.listing_lag
        db.execute(
            "INSERT INTO objects VALUES (:coffer, :key, :size, :etag, :content_type, :ctime, :hidden, :blob)",
            {**values, "coffer": coffer, "key": key, "ctime": self.clock(), "hidden": 0 if lag is None else lag + 1},
        )

    def check_key(self, key: str) -> None:
        """Refuse a key that no object can have (cdcs.md#transport)."""
        if "\0" in key or (self.dialect.object_keys == "cos" and not _is_valid(key)):
            raise ApiError("InvalidObjectKey", "the key is too long, begins with a slash or has control bytes")

    def check_prefix(self, prefix: str) -> None:
        """Refuse a prefix that no key can have."""
        if "\0" in prefix or (self.dialect.object_keys == "cos" and prefix and not _is_valid(prefix)):
            raise ApiError("InvalidObjectPrefix", "no key can have this prefix")


def _remove_coffer(db: Transaction, name: str) -> None:
    db.delete("parts WHERE upload IN (SELECT upload FROM uploads WHERE coffer = ?)", (name,))
    db.delete("objects WHERE coffer = ?", (name,))
    for table in ("uploads", "completed"):
        db.execute(f"DELETE FROM {table} WHERE coffer = ?", (name,))  # noqa: S608  constant names
    db.execute("DELETE FROM coffers WHERE name = ?", (name,))


def check_coffer_name(name: str, dialect: CofferDialect, appid: str | None = None) -> None:
    """Refuse a full name that no coffer can have, of this account if one is given."""
    short, _, number = name.rpartition("-")
    pattern = _SHORT_NAME if dialect.coffer_names == "short" else _LONG_NAME
    if not pattern.match(short) or not (number.isascii() and number.isdigit()) or appid not in {None, number}:
        raise ApiError("InvalidCofferName", "a coffer is called <name>-<APPID>, in small letters, digits and hyphens")


def _is_valid(key: str) -> bool:
    return (
        len(key.encode()) <= _LONGEST_KEY and key[0] not in "/\\" and not any("\x18" <= sign <= "\x1b" for sign in key)
    )
