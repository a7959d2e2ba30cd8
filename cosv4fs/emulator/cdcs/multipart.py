"""Multipart uploads (cdcs.md#multipart): one unfinished upload per key, which blocks the key until it ends."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from typing import TYPE_CHECKING, Any

from .coffers import encoder, matching, read_json
from .errors import CofferError
from .objects import content_type, publish
from .replies import asctime, empty_reply, iso_time, json_reply

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.replies import Reply

    from .call import CofferCall
    from .service import CofferService

__all__ = ["MOST_PARTS", "abort", "complete", "initiate", "list_parts", "list_uploads", "upload_part"]

MOST_PARTS = 10_000
"""Parts of one upload."""

_PAGE = 1000
_BLANKS = b" " * 32


def initiate(service: CofferService, call: CofferCall) -> Reply:
    """Begin an upload of a key that is free; it holds the key from then on.

    Raises
    ------
    CofferError
        CofferNotFound, InvalidObjectKey, the codes for a key that is taken.
    """
    target = call.target
    service.check_key(target.key)
    upload = f"{int(service.clock()):010d}{secrets.token_hex(32)}"
    with service.store.writing() as db:
        service.coffer(db, target.coffer)
        service.check_free(db, target.coffer, target.key)
        values = (upload, target.coffer, target.key, content_type(call), service.clock())
        db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", values)
    return json_reply(call.dialect, {"Coffer": target.coffer, "Key": target.key, "UploadId": upload})


def upload_part(service: CofferService, call: CofferCall) -> Reply:
    """Keep one part, in place of an earlier one of the same number.

    Raises
    ------
    CofferError
        InvalidArgument for the number, NoSuchUpload, ObjectEmpty, a wrong ``Content-MD5``.
    """
    number, upload, body = call.number("partNumber", None, least=1, most=MOST_PARTS), call.upload_id, call.body
    with service.store.reading() as db:
        _find(service, call, db)
    call.check_md5()
    if not body.size and call.dialect.empty_objects == "refuse":
        raise CofferError("ObjectEmpty", "the part is empty")
    etag = body.tag
    blob = publish(call)
    freed: list[str] = [blob]
    try:
        with service.gate.writing(upload), service.store.writing() as db:
            _find(service, call, db)
            old = db.execute("SELECT blob FROM parts WHERE upload = ? AND number = ?", (upload, number)).fetchone()
            row = (upload, number, body.size, etag, service.clock(), blob)
            db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", row)
        freed = [old["blob"]] if old is not None else []
    finally:
        service.store.remove_blobs(*freed)
    reply = empty_reply(call.dialect)
    reply.headers.append(("ETag", f'"{etag}"'))
    return reply


def list_parts(service: CofferService, call: CofferCall) -> Reply:
    """List one page of an upload's parts.

    Raises
    ------
    CofferError
        InvalidArgument, NoSuchUpload.
    """
    encode, inclusive = encoder(call), call.dialect.part_marker == "inclusive"
    most = call.number("max-parts", _PAGE, least=1, most=_PAGE, clamp=True)
    marker = call.number("part-number-marker", 0, least=0, most=2**31)
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
    data = {
        "Coffer": call.target.coffer,
        "Key": encode(call.target.key),
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
    return json_reply(call.dialect, data)


def complete(service: CofferService, call: CofferCall) -> Reply:
    """Make the parts of an upload an object.

    Raises
    ------
    CofferError
        NoSuchUpload, MultipartAlreadyCompleted, InvalidArgument, InvalidPartOrder, InvalidPart, EntityTooSmall.
    """
    with service.gate.closing(call.upload_id):
        with service.store.reading() as db:
            upload = _find(service, call, db, completed=call.dialect.second_complete)
            coffer = service.coffer(db, call.target.coffer)
            kept = db.execute("SELECT * FROM parts WHERE upload = ? ORDER BY number", (call.upload_id,)).fetchall()
        call.check_md5()
        named = _named_parts(call)
        try:
            etag = _merge(service, call, upload, _chosen(call, named, {row["number"]: row for row in kept}))
        except CofferError as error:
            if call.dialect.complete_errors == "status":
                raise
            reply = call.refuse(CofferError(error.code, error.message, status=200))
        else:
            locations = {"Location": json.loads(coffer["locations"])}
            data = {"Locations": locations, "Coffer": call.target.coffer, "Key": call.target.key, "ETag": f'"{etag}"'}
            reply = json_reply(call.dialect, data)
        service.store.remove_blobs(*(row["blob"] for row in kept if reply.code == 0))
    late = call.dialect.complete_errors == "late"
    if (call.dialect.complete_whitespace or late) and isinstance(reply.body, bytes):
        reply.body, reply.chunked = _BLANKS + reply.body, True
    return reply


def _named_parts(call: CofferCall) -> list[tuple[int, str]]:
    parts = read_json(call).get("Part")
    if not isinstance(parts, list) or not parts or len(parts) > MOST_PARTS:
        raise CofferError("InvalidArgument", f"Part is a list of 1 to {MOST_PARTS} parts")
    return [_named_part(part) for part in parts]


def _named_part(part: Any) -> tuple[int, str]:
    number, etag = (part.get("PartNumber"), part.get("ETag")) if isinstance(part, dict) else (None, None)
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10:
        number = int(number)
    if type(number) is not int or not isinstance(etag, str):
        raise CofferError("InvalidArgument", "every part has a PartNumber and an ETag")
    return number, etag


def _chosen(call: CofferCall, named: list[tuple[int, str]], kept: dict[int, sqlite3.Row]) -> list[sqlite3.Row]:
    """Return the parts that are named, checked in the order of cdcs.md#emulator."""
    numbers = [number for number, _ in named]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise CofferError("InvalidPartOrder", "the parts are not in the order of their numbers")
    first = 1 if call.dialect.first_part == "one" else numbers[0]
    if numbers != list(range(first, first + len(numbers))):
        raise CofferError("InvalidPart", f"the numbers of the parts are not consecutive from {first} on")
    for number, etag in named:
        if number not in kept or _bare(call, etag) != kept[number]["etag"]:
            raise CofferError("InvalidPart", f"part {number} is not there, or has another ETag")
    rows = [kept[number] for number in numbers]
    for row in rows[:-1]:
        if row["size"] < call.dialect.smallest_part:
            raise CofferError("EntityTooSmall", f"part {row['number']} has only {row['size']} bytes")
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
    target = call.target
    values = {
        "size": sum(row["size"] for row in rows),
        "etag": etag,
        "content_type": upload["content_type"],
        "blob": blob,
    }
    try:
        with service.store.writing() as db:
            _remove(db, _find(service, call, db)["upload"])
            service.add_object(db, target.coffer, target.key, values)
            db.execute("INSERT INTO completed VALUES (?, ?, ?)", (upload["upload"], target.coffer, target.key))
    except BaseException:
        service.store.remove_blobs(blob)
        raise
    return etag


def abort(service: CofferService, call: CofferCall) -> Reply:
    """Give an upload up; the key is free again.

    Raises
    ------
    CofferError
        NoSuchUpload.
    """
    with service.gate.closing(call.upload_id), service.store.writing() as db:
        _find(service, call, db)
        freed = _remove(db, call.upload_id)
    service.store.remove_blobs(*freed)
    return empty_reply(call.dialect, 204)


def list_uploads(service: CofferService, call: CofferCall) -> Reply:
    """List one page of a coffer's unfinished uploads.

    Raises
    ------
    CofferError
        CofferNotFound, InvalidArgument, InvalidObjectPrefix.
    """
    encode, dialect = encoder(call), call.dialect
    prefix, marker = call.text("prefix") or "", call.text("upload-id-marker") or ""
    service.check_prefix(prefix)
    least = 0 if dialect.most_uploads_zero == "accept" else 1
    most = call.number("max-uploads", _PAGE, least=least, most=_PAGE)
    by_key = dialect.upload_marker == "key"
    column = "key" if by_key else "upload"
    with service.store.reading() as db:
        service.coffer(db, call.target.coffer)
        found = db.execute(
            f"SELECT * FROM uploads WHERE coffer = ? AND {column} > ? AND substr(key, 1, ?) = ? ORDER BY {column}",  # noqa: S608
            (call.target.coffer, marker, len(prefix), prefix),
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
    data = {
        "Coffer": call.target.coffer,
        "EncodingType": call.text("encoding-type"),
        "UploadIdMarker": marker,
        "IsTruncated": truncated,
        "NextUploadIdMarker": rows[-1][column] if truncated and rows else None,
        "Prefix": encode(prefix),
        "MaxUploads": most,
        "Upload": uploads,
    }
    return json_reply(dialect, data)


def _find(
    service: CofferService, call: CofferCall, db: sqlite3.Connection, *, completed: str | None = None
) -> sqlite3.Row:
    """Return the unfinished upload that is named; `completed` is the code for one that was completed."""
    target, upload = call.target, call.upload_id
    service.coffer(db, target.coffer)
    place = (upload, target.coffer, target.key)
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM uploads WHERE upload = ? AND coffer = ? AND key = ?", place
    ).fetchone()
    if row is not None:
        return row
    done = db.execute("SELECT 1 FROM completed WHERE upload = ? AND coffer = ? AND key = ?", place).fetchone()
    if done is not None and completed == "MultipartAlreadyCompleted":
        raise CofferError(completed, "the upload was completed")
    raise CofferError(call.dialect.missing_upload, "there is no such upload of this object")


def _remove(db: sqlite3.Connection, upload: str) -> list[str]:
    """Forget an upload, in a transaction of the caller; return the contents that are free now."""
    freed = [row["blob"] for row in db.execute("SELECT blob FROM parts WHERE upload = ?", (upload,))]
    db.execute("DELETE FROM parts WHERE upload = ?", (upload,))
    db.execute("DELETE FROM uploads WHERE upload = ?", (upload,))
    return freed
