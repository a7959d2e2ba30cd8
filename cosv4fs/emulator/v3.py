"""V3 of the API, under ``/files/v1`` (cos.md#v3): what it does otherwise, on the same files.

One operation, ``upload_slice``, both opens an upload (no content) and takes its slices; the last slice completes the
file. Sessions have another form and are no good for the other protocol.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from . import namespace, uploads
from .errors import ApiError
from .listing import read_page
from .paths import check_new_path

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from .call import Call
    from .replies import Reply
    from .service import Service

__all__ = ["dress", "implied", "list_page", "only_biz_attr", "stat", "upload_slice"]

_MOST_LISTED = 199
_USUAL_SLICE = 3145728  # what the sample sends
_JSON = "application/json"


def implied(method: str, values: Mapping[str, Any]) -> str:
    """Return the operation that a request means which names none: list and update need not."""
    if method == "GET":
        return "list" if "num" in values else ""
    return "update" if "biz_attr" in values else ""


def dress(reply: Reply) -> None:
    """Give a reply the looks of the sample: another server, no request id."""
    reply.overrides = {"server": "nginx", "x-cos-request-id": None, **reply.overrides}
    if not isinstance(reply.body, bytes) or not reply.content_type.startswith(_JSON):
        return
    reply.overrides.setdefault("content-type", "/")
    try:
        envelope = json.loads(reply.body)
    except (ValueError, RecursionError):
        return  # a fault made something else of it
    if isinstance(envelope, dict) and envelope.pop("request_id", None) is not None:
        reply.body = json.dumps(envelope, ensure_ascii=False).encode()


def list_page(service: Service, call: Call) -> dict[str, Any]:
    """Return one page of a directory, with the numbers of everything in it.

    Raises
    ------
    ApiError
        As in v4; −165 above 199 entries.
    """
    page = read_page(service, call, _MOST_LISTED)
    place = (page.directory.bucket, page.directory.text)
    with service.store.reading() as db:
        counts = dict(
            db.execute(
                "SELECT directory, count(*) FROM nodes WHERE bucket = ? AND parent = ? GROUP BY directory", place
            ).fetchall()
        )
    totals = {"dircount": counts.get(1, 0), "filecount": counts.get(0, 0)}
    return {"context": page.context, "has_more": page.more, **totals, "infos": page.infos}


def stat(perform: Callable[[Service, Call], dict[str, Any]]) -> Callable[[Service, Call], dict[str, Any]]:
    """Return the operation that shows no more of a status than v3's table has."""

    def shortened(service: Service, call: Call) -> dict[str, Any]:
        status = perform(service, call)
        shown = ["biz_attr", "filesize", "sha", "ctime", "mtime", "access_url"]
        if service.dialect.v1_stat == "filelen":
            shown.append("filelen")
        return {"name": call.path.name} | {name: status[name] for name in shown if name in status}

    return shortened


def only_biz_attr(perform: Callable[[Service, Call], None]) -> Callable[[Service, Call], None]:
    """Return the operation that knows of no other attribute."""

    def reduced(service: Service, call: Call) -> None:
        values = call.parameters.values
        call.parameters.values = {name: values[name] for name in ("biz_attr",) if name in values}
        perform(service, call)

    return reduced


def upload_slice(service: Service, call: Call) -> dict[str, Any]:
    """Open or take up an upload, when nothing but its description comes; else take a slice of it.

    Raises
    ------
    ApiError
        −65 when a description comes with content.
    """
    if call.parameters.content is None:
        return _control(service, call)
    if call.parameters.text("offset") is None:
        raise ApiError(-65)
    return _data(service, call)


def _control(service: Service, call: Call) -> dict[str, Any]:
    parameters = call.parameters
    check_new_path(call.path, service.dialect)
    size = parameters.whole("filesize", missing=-5971, bad=-5995)
    uploads.check_size(service, size)
    sha = parameters.sha()
    if sha is None:
        raise ApiError(-5979)
    values: dict[str, Any] = {
        "size": size,
        "sha": sha,
        "biz_attr": parameters.text("biz_attr") or "",
        "slice_size": _slice_size(service, call),
    }
    insert_only = parameters.flag("insertOnly", default=True)
    known = _known(service, call, values, parameters.text("session") or "")
    if known is not None:
        return known
    with service.store.reading() as db:
        uploads.check_target(service, db, call.path, insert_only=insert_only, sliced=True)
    if uploads.store_instantly(service, call, values, insert_only=insert_only):
        return service.links(call)
    session = f"{uuid.uuid4()}+{base64.b64encode(secrets.token_bytes(10)).decode()}"
    uploads.open_session(service, call.path, session, values, insert_only=insert_only)
    return _progress(service, session, values["slice_size"], 0)


def _known(service: Service, call: Call, values: dict[str, Any], session: str) -> dict[str, Any] | None:
    """Return the reply where the upload is under way or over; forget one that is begun anew.

    Raises
    ------
    ApiError
        −94 for a session that there is not.
    """
    freed: list[str | None] = []
    with service.store.writing() as db:
        row, node = namespace.find_upload(db, call.path), namespace.find_node(db, call.path)
        if row is not None and _continues(service, row, values, session):
            return _progress(service, row["session"], row["slice_size"], uploads.first_gap(db, row))
        if node is not None and (node["size"], node["sha"]) == (values["size"], values["sha"]):
            return service.links(call)
        if session:
            raise ApiError(-94)
        if row is not None:
            freed.append(uploads.discard(service, db, row))
    service.store.remove_blobs(*freed)
    return None


def _continues(service: Service, row: sqlite3.Row, values: dict[str, Any], session: str) -> bool:
    if "-" not in row["session"] or (row["size"], row["sha"]) != (values["size"], values["sha"]):
        return False
    return row["session"] == session or (not session and service.dialect.v1_reinit == "matching")


def _progress(service: Service, session: str, slice_size: int, offset: int) -> dict[str, Any]:
    reply: dict[str, Any] = {"session": session, "offset": offset, "slice_size": slice_size}
    if service.dialect.v1_order == "any":
        reply["serial_upload"] = 0
    return reply


def _slice_size(service: Service, call: Call) -> int:
    if service.dialect.slice_size is not None:
        return service.dialect.slice_size
    if not call.parameters.text("slice_size"):
        return _USUAL_SLICE
    wish = call.parameters.whole("slice_size", missing=-5992, bad=-5992)
    return wish if wish in uploads.SLICE_SIZES else _USUAL_SLICE


def _data(service: Service, call: Call) -> dict[str, Any]:
    """Take a slice, and complete the file with the last one.

    Raises
    ------
    ApiError
        −95 and −94 for the session, −290 behind a gap, −4024 where the dialect takes nothing twice, −284 and −5991
        for offset and length, −4016 when the whole is not what was declared.
    """
    content = call.parameters.content
    assert content is not None  # told from a description by it
    session = call.parameters.text("session") or ""
    if not session:
        raise ApiError(-95)
    offset = call.parameters.whole("offset", missing=-5992, bad=-5992)
    with service.gate.writing(session):
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


def _complete(service: Service, call: Call, row: sqlite3.Row) -> dict[str, Any]:
    with service.gate.closing(row["session"]):
        if _is_published(service, call, row):
            # two slices came at once, and the other one was the last as well
            return service.links(call)
        uploads.find_session(service, call, row["session"])
        try:
            sha = uploads.content_sha(service, row, row["size"], row["sha"])
        except ApiError as error:
            raise ApiError(-4016 if error.code == -174 else error.code) from None
        uploads.publish(service, call.path, row, row["size"], sha, row["sha"])
    return service.links(call)


def _is_published(service: Service, call: Call, row: sqlite3.Row) -> bool:
    with service.store.reading() as db:
        node = namespace.find_node(db, call.path)
    return node is not None and (node["size"], node["sha"]) == (row["size"], row["sha"])
