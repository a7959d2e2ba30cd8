"""The operations on objects (cdcs.md#objects): put once, get, head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cosv4fs.emulator.conditions import Validators
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.replies import Reply, file_reply, not_modified, read_range

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cdcs.call import CofferCall
    from cosv4fs.emulator.cdcs.service import CofferService

_BOTH_ENDS = re.compile(r"\s*bytes\s*=\s*\d+\s*-\s*\d+\s*\Z", re.IGNORECASE | re.ASCII)


def put_object(service: CofferService, call: CofferCall) -> Reply:
    """Store an object under a key that is free."""
    body = call.body
    service.check_key(call.key)
    with service.store.reading() as db:
        service.coffer(db, call.coffer)
        service.check_free(db, call.coffer, call.key)
    call.check_md5()
    if not body.size and call.dialect.empty_objects == "refuse":
        raise ApiError("ObjectEmpty", "the object is empty")
    etag, blob = body.md5.hex(), body.publish()
    with service.store.writing(blob) as db:
        service.coffer(db, call.coffer)
        service.check_free(db, call.coffer, call.key)
        values = {"size": body.size, "etag": etag, "content_type": call.content_type, "blob": blob}
        service.add_object(db, call.coffer, call.key, values)
    return call.empty_reply(headers=[("ETag", f'"{etag}"')])


def get_object(service: CofferService, call: CofferCall) -> Reply:
    """Return an object, whole or in part, or its headers for HEAD; HTTP 412 for a condition that does not hold."""
    service.check_key(call.key)
    with service.store.reading() as db:  # nothing expires before the file is open
        service.coffer(db, call.coffer)
        row = db.execute("SELECT * FROM objects WHERE coffer = ? AND key = ?", (call.coffer, call.key)).fetchone()
        if row is None:
            raise ApiError("ObjectNotExists", "there is no such object")
        return _reply(service, call, row)


def _reply(service: CofferService, call: CofferCall, row: sqlite3.Row) -> Reply:
    validators = Validators(f'"{row["etag"]}"', int(row["ctime"]))
    sent = call.head.headers
    refusal = validators.refusal(sent)
    if refusal == 412:
        raise ApiError("InvalidArgument", "a condition of the request does not hold", status=412)
    if refusal is not None:
        return not_modified(validators.headers)
    part = None
    if call.head.method == "GET" and validators.allow_range(sent, service.clock() + call.skew):
        part = _part(call, row["size"])
    headers = [*validators.headers, ("Accept-Ranges", "bytes")]
    try:
        return file_reply(service.store.blob_path(row["blob"]), row["size"], part, row["content_type"], headers)
    except FileNotFoundError:
        raise ApiError("ObjectNotExists", "the object is gone") from None


def _part(call: CofferCall, size: int) -> tuple[int, int] | None:
    """Return offset and length of the requested range; None for the whole object."""
    header, dialect = call.head.headers.get("range"), call.dialect
    if header is None:
        return None
    is_open = _BOTH_ENDS.match(header) is None
    if is_open and dialect.open_ranges == "ignore":
        return None
    part = None if is_open and dialect.open_ranges == "refuse" else read_range(header, size)
    if part is not None and part[1]:
        return part
    if dialect.bad_range == "200":
        return None
    raise ApiError("InvalidArgument", f"{header} is not a range of {size} bytes", status=416)
