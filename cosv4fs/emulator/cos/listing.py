"""op=list: one page of a directory (cos.md#list)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import ObjectPath
from cosv4fs.emulator.cos import namespace
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService

_LAST_CHARACTER = "\U0010ffff"
_PATTERNS = {"elistboth": (0, 1), "elistdironly": (1, 1), "elistfileonly": (0, 0)}

_RANGE = (
    "bucket = :bucket AND parent = :parent AND name >= :low AND name <= :high AND name <> :skip"
    " AND substr(name, 1, :length) = :prefix"
)
_NODES = (
    "SELECT name, directory, size, size AS received, shown_sha AS sha, authority, ctime, mtime FROM nodes"  # noqa: S608
    f" WHERE {_RANGE} AND directory BETWEEN :kind_low AND :kind_high ORDER BY name"
)
# One kind of unfinished upload is hidden: the one that will replace the file at its path.
_UPLOADS = (
    "SELECT name, 0 AS directory, size, coalesce(sha, '') AS sha, 'eInvalid' AS authority, ctime, ctime AS mtime,"  # noqa: S608
    " (SELECT coalesce(sum(length), 0) FROM slices WHERE slices.session = uploads.session) AS received FROM uploads"
    f" WHERE {_RANGE} AND :kind_low = 0 AND NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.bucket = uploads.bucket"
    " AND nodes.parent = uploads.parent AND nodes.name = uploads.name) ORDER BY name"
)


def list_page(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return one page of a directory: its direct entries, names in byte order.

    Codes: −157, −165, −170 for the page size, −182 for a malformed context, −197 when the directory does not exist.
    """
    context, more, infos = read_page(service, call, service.dialect.max_list)
    return {"context": context, "listover": more if service.dialect.listover == "more" else not more, "infos": infos}


def listed_directory(call: CosCall) -> ObjectPath:
    """Return the directory that a request lists; what follows it in the path is a prefix of names."""
    return ObjectPath(call.path.bucket, call.path.text.rpartition("/")[0] + "/")


def read_page(service: CosService, call: CosCall, most: int) -> tuple[str, bool, list[dict[str, Any]]]:
    """Return a page of at most so many entries: the context of the next one, whether there is one, and the entries."""
    directory = listed_directory(call)
    prefix = call.path.text.rpartition("/")[2]
    context = call.text("context") or ""
    count = _page_size(service, call, most)
    after, listed = _read_context(context), 0
    if service.dialect.context == "position":
        after, listed = None, _position(after)
    with service.store.reading() as db:
        if not namespace.directory_exists(db, directory):
            raise ApiError(-197)
        rows = _select(db, call, directory, prefix, after, listed + count + 1)[listed:]
    more = len(rows) > count
    rows = rows[:count]
    last = service.dialect.last_context
    following = context if last == "kept" else ""
    if rows and (more or last == "next"):
        is_position = service.dialect.context == "position"
        following = _make_context(str(listed + len(rows)) if is_position else rows[-1]["name"])
    return following, more, [_entry(service, directory, row) for row in rows]


def _page_size(service: CosService, call: CosCall, most: int) -> int:
    count = call.whole("num", missing=-182, bad=-157)
    dialect = service.dialect
    if count < 1:
        raise ApiError(-157)
    if count > most:
        if dialect.oversize_list == "refuse":
            raise ApiError(-170 if most == 1000 else -165)
        count = most
    return max(1, count - 1) if dialect.short_pages else count


def _select(
    db: sqlite3.Connection, call: CosCall, directory: ObjectPath, prefix: str, after: str | None, limit: int
) -> list[sqlite3.Row]:
    reverse = (call.text("order") or "0") == "1"
    pattern = _PATTERNS.get((call.text("pattern") or "eListBoth").lower())
    if pattern is None:
        raise ApiError(-182)
    values: dict[str, object] = {
        "bucket": directory.bucket,
        "parent": directory.text,
        "low": prefix if after is None or reverse else max(prefix, after, key=str.encode),
        "high": (after if reverse else None) or prefix + _LAST_CHARACTER * 4,
        "skip": after or "",
        "prefix": prefix,
        "length": len(prefix),
        "kind_low": pattern[0],
        "kind_high": pattern[1],
        "limit": limit,
    }
    ending = " DESC LIMIT :limit" if reverse else " LIMIT :limit"
    # Two queries of their own, since SQLite would sort the whole directory to give one page of both.
    rows = [row for query in (_NODES, _UPLOADS) for row in db.execute(query + ending, values)]
    rows.sort(key=lambda row: row["name"].encode(), reverse=reverse)
    return rows[:limit]


def _entry(service: CosService, directory: ObjectPath, row: sqlite3.Row) -> dict[str, Any]:
    name = row["name"]
    times = service.times(row["ctime"], row["mtime"])
    if row["directory"]:
        return {"name": name + "/" if service.dialect.dir_slash else name, **times}
    entry = {"name": name, "filesize": row["size"], "filelen": row["received"], **times}
    if row["sha"] is not None:
        entry["sha"] = row["sha"]
    entry["access_url"] = service.access_url(ObjectPath(directory.bucket, directory.text + name))
    if row["authority"] != "eInvalid":
        entry["authority"] = row["authority"]
    return entry


def _position(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise ApiError(-182) from None


def _make_context(name: str) -> str:
    # Two clients send the context into the next URL as it is, so it has to be made of plain characters.
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _read_context(context: str) -> str | None:
    if not context:
        return None
    try:
        return base64.b64decode(context + "=" * (-len(context) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ApiError(-182) from None
