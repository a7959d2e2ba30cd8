"""The operations on objects (cdcs.md#objects): put once, get, look at."""

from __future__ import annotations

import os
import re
from email.utils import formatdate
from typing import TYPE_CHECKING

from cosv4fs.emulator.downloads import read_range
from cosv4fs.emulator.replies import FileBody, Reply

from .errors import CofferError
from .replies import empty_reply

if TYPE_CHECKING:
    import sqlite3

    from .call import CofferCall
    from .service import CofferService

__all__ = ["content_type", "get_object", "head_object", "publish", "put_object"]

_BOTH_ENDS = re.compile(r"\s*bytes\s*=\s*\d+\s*-\s*\d+\s*\Z", re.IGNORECASE | re.ASCII)
_UNKNOWN_TYPE = "application/octet-stream"


def put_object(service: CofferService, call: CofferCall) -> Reply:
    """Keep an object under a key that is free.

    Raises
    ------
    CofferError
        CofferNotFound, InvalidObjectKey, ObjectEmpty, a wrong ``Content-MD5``, the codes for a key that is taken.
    """
    target, body = call.target, call.body
    service.check_key(target.key)
    with service.store.reading() as db:
        service.coffer(db, target.coffer)
        service.check_free(db, target.coffer, target.key)
    call.check_md5()
    if not body.size and call.dialect.empty_objects == "refuse":
        raise CofferError("ObjectEmpty", "the object is empty")
    etag = body.md5.hex()
    blob = publish(call)
    values = {"size": body.size, "etag": etag, "content_type": content_type(call), "blob": blob}
    try:
        with service.store.writing() as db:
            service.coffer(db, target.coffer)
            service.check_free(db, target.coffer, target.key)
            service.add_object(db, target.coffer, target.key, values)
    except BaseException:
        service.store.remove_blobs(blob)
        raise
    reply = empty_reply(call.dialect)
    reply.headers.append(("ETag", f'"{etag}"'))
    return reply


def publish(call: CofferCall) -> str:
    """Make the body of a request a content, and return its name."""
    if call.body.writer is None:
        raise RuntimeError("the body of this request was not kept")
    return call.body.writer.publish()


def content_type(call: CofferCall) -> str:
    """Return the type that an object gets from the request that begins it."""
    text = call.head.headers.get("content-type", "")
    return text if text and text.isascii() and text.isprintable() else _UNKNOWN_TYPE


def get_object(service: CofferService, call: CofferCall) -> Reply:
    """Answer with an object, whole or in part.

    Raises
    ------
    CofferError
        CofferNotFound, ObjectNotExists, InvalidArgument with status 416 for a range that is none.
    """
    row, descriptor = _open(service, call)
    try:
        return _answer(call, row, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def head_object(service: CofferService, call: CofferCall) -> Reply:
    """Answer with the head of an object."""
    row, descriptor = _open(service, call)
    return _described(row, FileBody(descriptor, 0, row["size"]))


def _open(service: CofferService, call: CofferCall) -> tuple[sqlite3.Row, int]:
    target = call.target
    service.check_key(target.key)
    with service.store.reading() as db:  # nothing expires meanwhile
        service.coffer(db, target.coffer)
        row = db.execute("SELECT * FROM objects WHERE coffer = ? AND key = ?", (target.coffer, target.key)).fetchone()
        if row is None:
            raise CofferError("ObjectNotExists", "there is no such object")
        try:
            return row, os.open(service.store.blob_path(row["blob"]), os.O_RDONLY)
        except FileNotFoundError:
            raise CofferError("ObjectNotExists", "the object is gone") from None


def _described(row: sqlite3.Row, body: FileBody) -> Reply:
    headers = [
        ("ETag", f'"{row["etag"]}"'),
        ("Last-Modified", formatdate(int(row["ctime"]), usegmt=True)),
        ("Accept-Ranges", "bytes"),
    ]
    return Reply(body=body, content_type=row["content_type"], headers=headers)


def _answer(call: CofferCall, row: sqlite3.Row, descriptor: int) -> Reply:
    size = row["size"]
    wanted = _wanted(call, size)
    offset, count = (0, size) if wanted is None else wanted
    reply = _described(row, FileBody(descriptor, offset, count))
    if wanted is not None:
        reply.status = 206
        reply.headers.append(("Content-Range", f"bytes {offset}-{offset + count - 1}/{size}"))
    return reply


def _wanted(call: CofferCall, size: int) -> tuple[int, int] | None:
    """Return offset and length of the range that is asked for; None for the whole object."""
    header, dialect = call.head.headers.get("range"), call.dialect
    if header is None:
        return None
    is_open = _BOTH_ENDS.match(header) is None
    if is_open and dialect.open_ranges == "ignore":
        return None
    wanted = None if is_open and dialect.open_ranges == "refuse" else read_range(header, size)
    if wanted is not None and wanted[1]:
        return wanted
    if dialect.bad_range == "200":
        return None
    raise CofferError("InvalidArgument", f"{header} is not a range of {size} bytes", status=416)
