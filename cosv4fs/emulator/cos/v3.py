"""V3 of the API, under ``/files/v1`` (cos.md#v3): what differs from v4, on the same files.

One operation, ``upload_slice``, both opens an upload (no content) and takes its slices; the last slice completes the
file. Sessions have another form and are not valid for v4.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.errors import ApiError

from . import entries, namespace, uploads
from .listing import listed_directory, read_page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from cosv4fs.emulator.replies import Reply
    from cosv4fs.emulator.store import Database

    from .call import CosCall
    from .service import CosService

_MOST_LISTED = 199
_USUAL_SLICE = 3145728  # what the sample sends
_JSON = "application/json"
_FLAGGED = ("authority", "custom_headers")
"""Attributes that are changed with a ``flag`` only."""


def implied_op(method: str, values: Mapping[str, Any]) -> str:
    """Return the operation of a request that names none: list and update may leave it out."""
    if method == "GET":
        return "list" if "num" in values else ""
    return "update" if not values.keys().isdisjoint({"biz_attr", "flag"}) else ""


def decorate(reply: Reply) -> None:
    """Make a reply look like the sample: another server, no request id."""
    reply.overrides = {"server": "nginx", "x-cos-request-id": None, **reply.overrides}
    if not isinstance(reply.body, bytes) or not reply.content_type.startswith(_JSON):
        return
    reply.overrides.setdefault("content-type", "/")
    try:
        envelope = json.loads(reply.body)
    except (ValueError, RecursionError):
        return  # a fault damaged it
    if isinstance(envelope, dict) and envelope.pop("request_id", None) is not None:
        reply.body = json.dumps(envelope, ensure_ascii=False).encode()


def list_page(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return one page of a directory, with the numbers of everything in it; −165 above 199 entries."""
    context, more, infos = read_page(service, call, _MOST_LISTED)
    directory = listed_directory(call)
    found = "SELECT directory, count(*) FROM nodes WHERE bucket = ? AND parent = ? GROUP BY directory"
    with service.store.reading() as db:
        counts = dict(db.execute(found, (directory.bucket, directory.text)).fetchall())
    totals = {"dircount": counts.get(1, 0), "filecount": counts.get(0, 0)}
    return {"context": context, "has_more": more, **totals, "infos": infos}


def stat(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return the fields of a status that v3's table has."""
    status = entries.stat(service, call)
    shown = ["biz_attr", "filesize", "sha", "ctime", "mtime", "access_url"]
    if service.dialect.v1_stat == "filelen":
        shown.append("filelen")
    return {"name": call.path.name} | {name: status[name] for name in shown if name in status}


def update(service: CosService, call: CosCall) -> None:
    """Change ``biz_attr``, the documented attribute, or what ``flag`` names, as the clients of v3 do (cos.md#v3).

    Code: −179 for anything else, which would otherwise get lost.
    """
    if call.text("forbid"):
        raise ApiError(-179)
    entries.change(service, call, is_flagged=any(call.values.get(name) for name in ("flag", *_FLAGGED)))


def upload_slice(service: CosService, call: CosCall) -> dict[str, Any]:
    """Open or continue an upload, when the request is a description, which has no content; else store a slice."""
    if call.content is None:
        return _control(service, call)
    if call.text("offset") is None:
        raise ApiError(-65)
    return _data(service, call)


def _control(service: CosService, call: CosCall) -> dict[str, Any]:
    namespace.check_new_path(call.path, service.dialect)
    size = call.whole("filesize", missing=-5971, bad=-5995)
    uploads.check_size(service, size)
    sha = call.sha()
    if sha is None:
        raise ApiError(-5979)
    values: dict[str, Any] = {
        "size": size,
        "sha": sha,
        "biz_attr": call.text("biz_attr") or "",
        "slice_size": uploads.read_slice_size(service, call, _USUAL_SLICE, needed=False),
    }
    insert_only = call.flag("insertOnly", default=True)
    known = _known(service, call, values, call.text("session") or "")
    if known is not None:
        return known
    with service.store.reading() as db:
        uploads.check_target(service, db, call.path, insert_only=insert_only, sliced=True)
    if uploads.store_instantly(service, call, values, insert_only=insert_only):
        return service.links(call)
    session = f"{uuid.uuid4()}+{base64.b64encode(secrets.token_bytes(10)).decode()}"
    uploads.open_session(service, call.path, session, values, insert_only=insert_only)
    return _progress(service, session, values["slice_size"], 0)


def _known(service: CosService, call: CosCall, values: dict[str, Any], session: str) -> dict[str, Any] | None:
    """Return the reply when the upload is unfinished or complete; remove one that starts again."""
    with service.store.writing() as db:
        row = namespace.find_upload(db, call.path)
        if row is not None and _continues(service, row, values, session):
            return _progress(service, row["session"], row["slice_size"], uploads.first_gap(db, row))
        if _is_published(db, call, values):
            return service.links(call)
        if session:
            raise ApiError(-94)
        uploads.discard(service, db, row)
    return None


def _continues(service: CosService, row: sqlite3.Row, values: dict[str, Any], session: str) -> bool:
    if "-" not in row["session"] or (row["size"], row["sha"]) != (values["size"], values["sha"]):
        return False
    return row["session"] == session or (not session and service.dialect.v1_reinit == "matching")


def _progress(service: CosService, session: str, slice_size: int, offset: int) -> dict[str, Any]:
    reply: dict[str, Any] = {"session": session, "offset": offset, "slice_size": slice_size}
    if service.dialect.v1_order == "any":
        reply["serial_upload"] = 0
    return reply


def _data(service: CosService, call: CosCall) -> dict[str, Any]:
    """Store a slice, and complete the file with the last one.

    Codes: −95 and −94 for the session, −290 behind a gap, −4024 where the dialect takes nothing twice, −284 and −5991
    for offset and length, −4016 when the whole is not what was declared.
    """
    content = call.content
    assert content is not None  # a description has none
    session = call.needed_session()
    offset = call.whole("offset", missing=-5992, bad=-5992)
    with service.locks.writing(session):
        row = uploads.find_session(service, call, session)
        uploads.check_slice(service, row, offset, content)
        with service.store.reading() as db:
            reached = uploads.first_gap(db, row)
        if offset > reached and service.dialect.v1_order == "strict":
            raise ApiError(-290)
        if offset < reached and service.dialect.v1_again == "refuse":
            raise ApiError(-4024)
        uploads.write_slice(service, call, row, offset, content)
        with service.store.reading() as db:
            is_complete = uploads.first_gap(db, row) == row["size"]
    if is_complete:
        return _complete(service, call, row)
    following = offset if service.dialect.v1_reply_offset == "echo" else offset + len(content)
    return {"offset": following, "session": session}


def _complete(service: CosService, call: CosCall, row: sqlite3.Row) -> dict[str, Any]:
    with service.locks.closing(row["session"]):
        with service.store.reading() as db:
            if _is_published(db, call, row):
                # two last slices came at once, and the other request published the file
                return service.links(call)
        uploads.find_session(service, call, row["session"])
        try:
            uploads.publish(service, call.path, row, row["size"], row["sha"])
        except ApiError as error:
            raise ApiError(-4016 if error.code == -174 else error.code) from None
    return service.links(call)


def _is_published(db: Database, call: CosCall, wanted: sqlite3.Row | dict[str, Any]) -> bool:
    """Return whether the file at the path has the size and the SHA-1 of an upload."""
    node = namespace.find_node(db, call.path)
    return node is not None and (node["size"], node["sha"]) == (wanted["size"], wanted["sha"])
