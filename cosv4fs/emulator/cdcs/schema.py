"""The database of coffers: coffers, objects, unfinished uploads with their parts."""

from __future__ import annotations

from cosv4fs.emulator.store import Schema

_TABLES = """
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
"""

COFFERS = Schema(_TABLES, "SELECT blob FROM objects UNION ALL SELECT blob FROM parts")
"""The database of a `CofferEmulator`."""
