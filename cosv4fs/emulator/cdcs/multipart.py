"""Multipart uploads (cdcs.md#multipart): one unfinished upload per key, which blocks the key until it ends."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.cdcs.call import asctime, iso_time
from cosv4fs.emulator.cdcs.coffers import matching
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cdcs.call import CofferCall
    from cosv4fs.emulator.cdcs.service import CofferService
    from cosv4fs.emulator.replies import Reply
    from cosv4fs.emulator.store import Database, Transaction

_MOST_PARTS = 10_000
"""Parts of one upload."""

_PAGE = 1000
_BLANKS = b" " * 32


def initiate(service: CofferService, call: CofferCall) -> dict[str, Any]:
    """Begin an upload of a key that is free; it holds the key from then on."""
    service.check_key(call.key)
    upload = f"{int(service.clock()):010d}{secrets.token_hex(32)}"
    with service.store.writing() as db:
        service.coffer(db, call.coffer)
        service.check_free(db, call.coffer, call.key)
        values = (upload, call.coffer, call.key, call.content_type, service.clock())
        db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", values)
    return {"Coffer": call.coffer, "Key": call.key, "UploadId": upload}


def upload_part(service: CofferService, call: CofferCall) -> Reply:
    """Store one part, in place of an earlier one of the same number."""
    number, upload, body = call.whole("partNumber", None, least=1, most=_MOST_PARTS), call.upload_id, call.body
    with service.store.reading() as db:
        _find(service, call, db)
    call.check_md5()
    if not body.size and call.dialect.empty_objects == "refuse":
        raise ApiError("ObjectEmpty", "the part is empty")
    etag = body.tag
    blob = body.publish()
    with service.locks.writing(upload), service.store.writing(blob) as db:
        _find(service, call, db)
        db.delete("parts WHERE upload = ? AND number = ?", (upload, number))
        row = (upload, number, body.size, etag, service.clock(), blob)
        db.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", row)
    return call.empty_reply(headers=[("ETag", f'"{etag}"')])


def list_parts(service: CofferService, call: CofferCall) -> dict[str, Any]:
    """List one page of an upload's parts."""
    encode, inclusive = call.encoder(), call.dialect.part_marker == "inclusive"
    most = call.whole("max-parts", _PAGE, least=1, most=_PAGE, clamp=True)
    marker = call.whole("part-number-marker", 0, least=0, most=2**31)
    with service.store.reading() as db:
        _find(service, call, db)
        found = db.execute(
            f"SELECT * FROM parts WHERE upload = ? AND number {'>=' if inclusive else '>'} ? ORDER BY number LIMIT ?",  # noqa: S608
            (call.upload_id, marker, most + 1),
        ).fetchall()
    truncated, rows = len(found) > most, found[:most]
    following = None
    if truncated:
        following = str(found[most]["number"] if inclusive else rows[-1]["number"])
    when = iso_time if call.dialect.part_times == "iso" else asctime
    parts = [
        {
            "PartNumber": row["number"],
            "LastModified": when(row["ctime"]),
            "ETag": f'"{row["etag"]}"',
            "Size": row["size"],
        }
        for row in rows
    ]
    return {
        "Coffer": call.coffer,
        "Key": encode(call.key),
        "UploadId": call.upload_id,
        "EncodingType": call.text("encoding-type"),
        "Initiator": service.owner,
        "Owner": service.owner,
        "PartNumberMarker": str(marker),
        "IsTruncated": truncated,
        "NextPartNumberMarker": following,
        "MaxParts": most,
        "Part": parts,
    }


def complete(service: CofferService, call: CofferCall) -> dict[str, Any]:
    """Join the parts of an upload into an object."""
    with service.locks.closing(call.upload_id):
        with service.store.reading() as db:
            upload = _find(service, call, db, completed=call.dialect.second_complete)
            coffer = service.coffer(db, call.coffer)
            kept = db.execute("SELECT * FROM parts WHERE upload = ? ORDER BY number", (call.upload_id,)).fetchall()
        call.check_md5()
        named = _named_parts(call)
        try:
            etag = _merge(service, call, upload, _chosen(call, named, {row["number"]: row for row in kept}))
        except ApiError as error:
            if call.dialect.complete_errors == "status":
                raise
            raise ApiError(error.code, error.message, status=200) from None
    locations = {"Location": json.loads(coffer["locations"])}
    return {"Locations": locations, "Coffer": call.coffer, "Key": call.key, "ETag": f'"{etag}"'}


def start_early(call: CofferCall, reply: Reply) -> None:
    """Send a 200 of complete in chunks, with blanks in front, where the dialect does (cdcs.md#late-failure)."""
    dialect = call.dialect
    if reply.status != 200 or reply.chunked or not isinstance(reply.body, bytes):
        return
    if dialect.complete_whitespace or dialect.complete_errors == "late":
        reply.body, reply.chunked = _BLANKS + reply.body, True


def _named_parts(call: CofferCall) -> list[tuple[int, str]]:
    parts = call.json().get("Part")
    if not isinstance(parts, list) or not parts or len(parts) > _MOST_PARTS:
        raise ApiError("InvalidArgument", f"Part is a list of 1 to {_MOST_PARTS} parts")
    return [_named_part(part) for part in parts]


def _named_part(part: Any) -> tuple[int, str]:
    number, etag = (part.get("PartNumber"), part.get("ETag")) if isinstance(part, dict) else (None, None)
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10:
        number = int(number)
    if type(number) is not int or not isinstance(etag, str):
        raise ApiError("InvalidArgument", "every part has a PartNumber and an ETag")
    return number, etag


def _chosen(call: CofferCall, named: list[tuple[int, str]], kept: dict[int, sqlite3.Row]) -> list[sqlite3.Row]:
    """Return the parts that are named, checked in the order of cdcs.md#emulator."""
    numbers = [number for number, _ in named]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise ApiError("InvalidPartOrder", "the parts are not in the order of their numbers")
    first = 1 if call.dialect.first_part == "one" else numbers[0]
    if numbers != list(range(first, first + len(numbers))):
        raise ApiError("InvalidPart", f"the numbers of the parts are not consecutive from {first} on")
    for number, etag in named:
        if number not in kept or _bare(call, etag) != kept[number]["etag"]:
            raise ApiError("InvalidPart", f"part {number} is not there, or has another ETag")
    rows = [kept[number] for number in numbers]
    for row in rows[:-1]:
        if row["size"] < call.dialect.smallest_part:
            raise ApiError("EntityTooSmall", f"part {row['number']} has only {row['size']} bytes")
    return rows


def _bare(call: CofferCall, etag: str) -> str | None:
    """Return an ETag without quotes, in lower case; None when it is not written as the dialect wants."""
    quoted = len(etag) > 1 and etag[0] == etag[-1] == '"'
    if call.dialect.etag_quotes == ("bare" if quoted else "quoted"):
        return None
    return (etag[1:-1] if quoted else etag).lower()


def _merge(service: CofferService, call: CofferCall, upload: sqlite3.Row, rows: list[sqlite3.Row]) -> str:
    """Put the parts together and publish the object; return its ETag, which is not the MD5 of its content."""
    digests = "".join(row["etag"] for row in rows)
    etag = hashlib.md5(f"{digests}-{len(rows)}".encode(), usedforsecurity=False).hexdigest()
    blob = service.store.join_blobs(row["blob"] for row in rows)
    values = {
        "size": sum(row["size"] for row in rows),
        "etag": etag,
        "content_type": upload["content_type"],
        "blob": blob,
    }
    with service.store.writing(blob) as db:
        _remove(db, _find(service, call, db)["upload"])
        service.add_object(db, call.coffer, call.key, values)
        db.execute("INSERT INTO completed VALUES (?, ?, ?)", (upload["upload"], call.coffer, call.key))
    return etag


def abort(service: CofferService, call: CofferCall) -> None:
    """Abort an upload; its key is free again."""
    with service.locks.closing(call.upload_id), service.store.writing() as db:
        _find(service, call, db)
        _remove(db, call.upload_id)


def list_uploads(service: CofferService, call: CofferCall) -> dict[str, Any]:
    """List one page of a coffer's unfinished uploads."""
    encode, dialect = call.encoder(), call.dialect
    prefix, marker = call.text("prefix") or "", call.text("upload-id-marker") or ""
    service.check_prefix(prefix)
    least = 0 if dialect.most_uploads_zero == "accept" else 1
    most = call.whole("max-uploads", _PAGE, least=least, most=_PAGE)
    by_key = dialect.upload_marker == "key"
    column = "key" if by_key else "upload"
    with service.store.reading() as db:
        service.coffer(db, call.coffer)
        found = db.execute(
            f"SELECT * FROM uploads WHERE coffer = ? AND {column} > ? AND substr(key, 1, ?) = ? ORDER BY {column}",  # noqa: S608
            (call.coffer, marker, len(prefix), prefix),
        )
        rows = matching(found, prefix, most + 1)
    truncated, rows = len(rows) > most, rows[:most]
    uploads = [
        {
            "Key": encode(row["key"]),
            dialect.upload_id_field: row["upload"],
            "Initiator": service.owner,
            "Owner": service.owner,
            "Initiated": iso_time(row["ctime"]),
        }
        for row in rows
    ]
    return {
        "Coffer": call.coffer,
        "EncodingType": call.text("encoding-type"),
        "UploadIdMarker": marker,
        "IsTruncated": truncated,
        "NextUploadIdMarker": rows[-1][column] if truncated and rows else None,
        "Prefix": encode(prefix),
        "MaxUploads": most,
        "Upload": uploads,
    }


def _find(service: CofferService, call: CofferCall, db: Database, *, completed: str | None = None) -> sqlite3.Row:
    """Return the unfinished upload that is named; `completed` is the code for one that was completed."""
    upload = call.upload_id
    service.coffer(db, call.coffer)
    key = (upload, call.coffer, call.key)
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM uploads WHERE upload = ? AND coffer = ? AND key = ?", key
    ).fetchone()
    if row is not None:
        return row
    done = db.execute("SELECT 1 FROM completed WHERE upload = ? AND coffer = ? AND key = ?", key).fetchone()
    if done is not None and completed == "MultipartAlreadyCompleted":
        raise ApiError(completed, "the upload was completed")
    raise ApiError(call.dialect.missing_upload, "there is no such upload of this object")


def _remove(db: Transaction, upload: str) -> None:
    """Remove an upload with its parts."""
    db.delete("parts WHERE upload = ?", (upload,))
    db.execute("DELETE FROM uploads WHERE upload = ?", (upload,))
