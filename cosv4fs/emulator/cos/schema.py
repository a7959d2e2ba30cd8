"""The database of buckets: files and directories, unfinished uploads, used signatures."""

from __future__ import annotations

from cosv4fs.emulator.store import Schema

_TABLES = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, ctime INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (
    bucket TEXT NOT NULL,
    parent TEXT NOT NULL,           -- '/', '/dir/', …
    name TEXT NOT NULL,
    directory INTEGER NOT NULL,
    made INTEGER NOT NULL,          -- a directory that was created, not implied by what is below it
    size INTEGER NOT NULL,
    slice_size INTEGER NOT NULL,
    sha TEXT,                       -- of the content; NULL when it was not needed
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

BUCKETS = Schema(_TABLES, "SELECT blob FROM nodes WHERE blob IS NOT NULL UNION ALL SELECT blob FROM uploads")
"""The database of an `Emulator`."""
