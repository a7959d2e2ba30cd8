"""``upload_slice``: an upload in slices by one operation, that of v3, which one client also sends to v4.

It both opens an upload (no content) and takes its slices; the last slice completes the file (cos.md#v3,
cos.md#v4-upload-slice). A session of v4 is like any other: the other operations can list, continue and finish it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.cos import namespace, uploads
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService
    from cosv4fs.emulator.store import Database

_USUAL_SLICE = 3145728  # what the sample sends


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
    session = uploads.new_session(call)
    uploads.open_session(service, call.path, session, values, insert_only=insert_only)
    return _progress(service, session, values["slice_size"], 0)


def _known(service: CosService, call: CosCall, values: dict[str, Any], session: str) -> dict[str, Any] | None:
    """Return the reply when the upload is unfinished or complete; remove one that starts again."""
    with service.store.writing() as db:
        row = namespace.find_upload(db, call.path)
        if row is None or not _continues(service, call, row, values, session):
            if _is_published(db, call, values):
                return service.links(call)
            if session:
                raise ApiError(-94)
            uploads.discard(service, db, row)
            return None
        offset = uploads.first_gap(db, row)
    if offset and offset == row["size"]:
        # there is no slice left that could complete it
        return _complete(service, call, row)
    return _progress(service, row["session"], row["slice_size"], offset)


def _continues(service: CosService, call: CosCall, row: sqlite3.Row, values: dict[str, Any], session: str) -> bool:
    if not uploads.is_session_of(row["session"], call) or (row["size"], row["sha"]) != (values["size"], values["sha"]):
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
