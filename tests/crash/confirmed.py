"""What a service has confirmed: its log played again, to be compared with what it has after it died."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cosv4fs import paths
from cosv4fs.api import CofferClient, CosClient, CosV3Client, CosV4Client
from cosv4fs.api import Entry as ListedEntry
from tests.crash.operations import CHANGING
from tests.crash.readers import read
from tests.processes import Event

_MD5_DIGITS = 32

Content = tuple[tuple[int, int, str], ...]
"""Offset or number, length, and SHA-1 or MD5 of the pieces that an object was sent in; empty for a directory."""

Slices = dict[int, tuple[int, str]]
"""Length and SHA-1 of slices by offset."""


class Confirmed:
    """What may be at every path that a request has named.

    A request that was answered has had its effect, one that the service did not live to answer may have had it.

    `events` is the log of one bucket.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._known: dict[str, set[Content | None]] = {}
        self._sessions: dict[str, tuple[str, Slices]] = {}
        self._sure: dict[str, set[int]] = {}
        self._sizes: dict[str, int] = {}
        waiting: dict[str, Event] = {}
        for event in events:
            if event["kind"] == "restart":
                self._give_up(waiting)
            if event.get("op") not in CHANGING:
                continue
            if event["kind"] == "arrived":
                waiting[event["request"]] = event
            elif event["kind"] == "answered":
                arrived = waiting.pop(event["request"])
                if event["ok"]:
                    self._act(arrived, sure=True)
        self._give_up(waiting)

    def _give_up(self, waiting: dict[str, Event]) -> None:
        for event in waiting.values():
            self._act(event, sure=False)
        waiting.clear()

    def _act(self, event: Event, sure: bool) -> None:
        op, key, session = event["op"], event["path"], event["session"]
        if op == "abort":
            self._sure.pop(session, None)
        elif op == "upload":
            self._set(key, {((0, event["length"], event["sha"]),)}, sure)
        elif op == "create":
            self._set(key, {()}, sure)
        elif op == "delete":
            self._set(key, {None}, sure)
        elif op == "upload_slice_data":
            slices = self._sessions.setdefault(session, (key, {}))[1]
            slices[event["offset"]] = event["length"], event["sha"]
            if sure:
                self._sure.setdefault(session, set()).add(event["offset"])
            if sum(length for length, _ in slices.values()) == self._sizes.get(key):
                # v3's last slice completes the object
                self._set(key, {_pieces(slices)}, sure)
        elif op == "upload_slice_init" and event["size"] is not None:
            self._sizes[key] = event["size"]
        elif op == "upload_slice_finish":
            slices = self._sessions.get(session, (key, {}))[1]
            self._set(key, {_pieces(slices)}, sure)
        elif op in ("copy", "move"):
            # nothing is known of a source that no request has named
            self._set(event["target"], self._known.get(key, set()), sure)
            if op == "move":
                self._set(key, {None}, sure)

    def _set(self, key: str, contents: set[Content | None], sure: bool) -> None:
        # what was unfinished here is no longer certain to be there
        for session, (place, _) in self._sessions.items():
            if place == key:
                self._sure.pop(session, None)
        if None not in contents:
            # directories come with what is in them
            for parent in _parents(key):
                self._known[parent] = {()} if sure else self._known.get(parent, {None}) | {()}
        if not sure and key.endswith("/") and key not in self._known:
            # it came with what is in it, before the log began
            return
        before = set() if sure else self._known.get(key, {None})
        self._known[key] = before | contents

    def missing(self, fs: Any, bucket: str) -> list[str]:
        """Return what was confirmed, and is not so."""
        wrong = [
            f"{key} is not what the service had confirmed"
            for key, contents in self._known.items()
            if not _is_one_of(fs, paths.join(bucket, key), key, contents)
        ]
        for session, offsets in self._sure.items():
            key, slices = self._sessions[session]
            lost = sorted(offsets - _received(fs.client, bucket, key, session, slices))
            wrong += [f"slices {lost} of {key} had been confirmed, and are lost"] if lost else []
        return wrong


def _pieces(slices: Slices) -> Content:
    return tuple((offset, *slices[offset]) for offset in sorted(slices))


def _received(client: CosClient | CofferClient, bucket: str, key: str, session: str, slices: Slices) -> set[int]:
    """Return where the slices of an upload begin that the service has; of parts, their numbers."""
    if isinstance(client, CofferClient):
        if all(upload.upload_id != session for upload in client.list_uploads(bucket, key)):
            return set()
        return {part.number for part in client.list_parts(bucket, key, session)}
    if isinstance(client, CosV3Client):
        # nobody but its owner may ask for a session: a listing tells how much there is, without gaps
        stored = next((entry.stored for entry in _listed(client, bucket, key)), 0)
        return {offset for offset, (length, _) in slices.items() if offset + length <= stored}
    assert isinstance(client, CosV4Client)
    upload = client.upload_slice_list(bucket, key)
    return set() if upload is None or upload.session != session else {offset for offset, _ in upload.parts}


def _listed(client: CosClient, bucket: str, key: str) -> list[ListedEntry]:
    folder, _, name = key.rpartition("/")
    return [entry for entry in client.list(bucket, f"{folder}/") if entry.name == name]


def _parents(key: str) -> list[str]:
    parts = key.rstrip("/").split("/")[1:-1]
    return ["/" + "/".join(parts[:count]) + "/" for count in range(1, len(parts) + 1)]


def _is_one_of(fs: Any, path: str, key: str, contents: set[Content | None]) -> bool:
    if key.endswith("/"):
        return (() if fs.isdir(path.rstrip("/")) else None) in contents
    content = read(fs, path)
    if content is None:
        return None in contents
    return any(pieces is not None and _fits(content, pieces) for pieces in contents)


def _fits(content: bytes, pieces: Content) -> bool:
    end = 0
    for position, (offset, length, digest) in enumerate(pieces, 1):
        # what is told of a part of a coffer's object is its number, from 1 on, and its MD5
        is_part = len(digest) == _MD5_DIGITS
        piece = content[end : end + length]
        found = hashlib.new("md5" if is_part else "sha1", piece, usedforsecurity=False).hexdigest()
        if found != digest or (offset not in (0, position) if is_part else offset != end):
            return False
        end += length
    return end == len(content)


def inconsistent(root: Path) -> list[str]:
    """Return what is wrong with the folder of a service that has nothing to do: rows without bytes, and the reverse."""
    database = sqlite3.connect(f"file:{root / 'emulator.sqlite'}?mode=ro", uri=True)
    try:
        wrong = [str(row) for (row,) in database.execute("PRAGMA integrity_check") if row != "ok"]
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "parts" in tables:
            known, unfinished = "SELECT blob, size FROM objects UNION ALL SELECT blob, size FROM parts", ""
        else:
            known, unfinished = "SELECT blob, size FROM nodes WHERE blob IS NOT NULL", "SELECT blob FROM uploads"
        objects = dict(database.execute(known))
        uploads = {blob for (blob,) in database.execute(unfinished)} if unfinished else set()
    finally:
        database.close()
    there = {path.name: path.stat().st_size for path in (root / "blobs").iterdir()}
    wrong += [f"content {blob} has {there.get(blob)} bytes of {size}" for blob, size in objects.items()
              if there.get(blob) != size]  # fmt: skip
    wrong += [f"the content {blob} of an upload is missing" for blob in uploads - there.keys()]
    return wrong + [f"nobody needs content {blob}" for blob in there.keys() - objects.keys() - uploads]
