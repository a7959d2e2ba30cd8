"""The operations on one file or directory: create, stat, update, delete, move, copy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import ObjectPath, load_json
from cosv4fs.emulator.cos import namespace, uploads
from cosv4fs.emulator.cos.call import checked
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService
    from cosv4fs.emulator.dialects import Dialect
    from cosv4fs.emulator.store import Transaction

_HEADERS = {
    name.lower(): name
    for name in ("Cache-Control", "Content-Type", "Content-Disposition", "Content-Language", "Content-Encoding")
}
_META = "x-cos-meta-"
_CARRIED = ("size", "slice_size", "sha", "shown_sha", "content_type", "headers", "authority", "forbid", "biz_attr")
_BITS = {"biz_attr": 0x01, "custom_headers": 0x40, "authority": 0x80}
"""The bits of ``flag`` (cos.md#update-flag)."""
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def create(service: CosService, call: CosCall) -> dict[str, Any]:
    """Make a directory (cos.md#create)."""
    namespace.check_new_path(call.path, service.dialect)
    biz_attr = call.text("biz_attr") or ""
    now = service.now()
    with service.store.writing() as db:
        namespace.create_directory(db, call.path, service.dialect, now, biz_attr)
    return {"ctime": service.time(now)}


def stat(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return the status of a file, a directory, an unfinished upload or the bucket (cos.md#stat)."""
    path = call.path
    if path.is_root:
        return _stat_bucket(service, path.bucket)
    with service.store.reading() as db:
        node = namespace.find_node(db, path)
        if node is None or bool(node["directory"]) != path.is_directory:
            upload = None if path.is_directory or node is not None else namespace.find_upload(db, path)
            if upload is None:
                raise ApiError(-197)
            return _stat_upload(service, call, upload, uploads.received(db, upload))
    times = service.times(node["ctime"], node["mtime"])
    if path.is_directory:
        return {"biz_attr": node["biz_attr"], **times}
    data = {
        "slicesize": node["slice_size"],
        "biz_attr": node["biz_attr"],
        "filelen": node["size"],
        "authority": node["authority"],
        "source_url": service.source_url(path),
        "forbid": node["forbid"],
        "custom_headers": json.loads(node["headers"]),
        "filesize": node["size"],
        "access_url": service.access_url(path),
        **times,
    }
    if node["shown_sha"] is not None:
        data["sha"] = node["shown_sha"]
    return data


def _stat_bucket(service: CosService, bucket: str) -> dict[str, Any]:
    with service.store.reading() as db:
        ctime = db.execute("SELECT ctime FROM buckets WHERE name = ?", (bucket,)).fetchone()["ctime"]
    authority = "eWPrivateRPublic" if service.buckets[bucket] else "eWRPrivate"
    return {"biz_attr": "", "authority": authority, **service.times(ctime, ctime)}


def _stat_upload(service: CosService, call: CosCall, upload: sqlite3.Row, received: int) -> dict[str, Any]:
    return {
        "slicesize": upload["slice_size"],
        "biz_attr": upload["biz_attr"],
        "filelen": received,
        "authority": "eInvalid",
        "source_url": service.source_url(call.path),
        "forbid": 0,
        "sha": upload["sha"] or "",
        "custom_headers": {},
        "filesize": upload["size"],
        "access_url": service.access_url(call.path),
        **service.times(upload["ctime"], upload["ctime"]),
    }


def update(service: CosService, call: CosCall) -> None:
    """Change attributes of a file or directory (cos.md#update)."""
    change(service, call, is_flagged=service.dialect.update_flag == "required")


def change(service: CosService, call: CosCall, *, is_flagged: bool) -> None:
    """Change attributes, of which ``flag`` has to name those that are sent if `is_flagged`; −179 if it does not."""
    with service.store.writing() as db:
        node = namespace.existing_node(db, call.path)
        db.execute(
            "UPDATE nodes SET biz_attr = ?, authority = ?, headers = ?, forbid = ?"
            " WHERE bucket = ? AND parent = ? AND name = ?",
            (*_read_update(call, service.dialect, node, is_flagged=is_flagged), *call.path.row_key),
        )


def delete(service: CosService, call: CosCall) -> None:
    """Delete a file, an unfinished upload or an empty directory (cos.md#delete)."""
    path = call.path
    with service.store.writing() as db:
        upload = None if path.is_directory else namespace.find_upload(db, path)
        if upload is None:
            namespace.existing_node(db, path)
        if path.is_directory and namespace.has_children(db, path):
            if service.dialect.rmdir_nonempty == "refuse":
                raise ApiError(-173)
            return
        namespace.remove_node(db, path)
        uploads.discard(service, db, upload)
        namespace.prune_parents(db, path, service.dialect)


def _read_update(call: CosCall, dialect: Dialect, node: sqlite3.Row, *, is_flagged: bool) -> tuple[object, ...]:
    """Return biz_attr, authority, headers and forbid of a file or directory after an update.

    Codes: −158 for an unknown authority, −182 for headers that are not allowed, and for what a directory does not have,
    −179 for a wrong ``flag``.
    """
    sent: dict[str, Any] = {
        "biz_attr": call.text("biz_attr"),
        "authority": call.authority(),
        "custom_headers": _read_headers(call.values.get("custom_headers")),
    }
    if is_flagged:
        sent = _flagged(call, sent)
    if node["directory"] and (sent["authority"] or sent["custom_headers"]):
        raise ApiError(-182)
    headers = sent["custom_headers"]
    stored = node["headers"]
    if headers is not None and not node["directory"]:
        stored = json.dumps(_combine(json.loads(stored), headers, dialect), ensure_ascii=False)
    return (
        node["biz_attr"] if sent["biz_attr"] is None else sent["biz_attr"],
        sent["authority"] or node["authority"],
        stored,
        call.whole("forbid", missing=-182, bad=-182) if call.text("forbid") else node["forbid"],
    )


def _flagged(call: CosCall, sent: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that ``flag`` names; −179 when it names one that is not sent, or not one that is.

    Empty ones need no name: some clients send all fields.
    """
    flag = call.whole("flag", missing=-179, bad=-179)
    there = sum(bit for name, bit in _BITS.items() if sent[name] is not None)
    telling = sum(bit for name, bit in _BITS.items() if sent[name])
    if flag & ~there or telling & ~flag:
        raise ApiError(-179)
    return {name: value if flag & _BITS[name] else None for name, value in sent.items()}


def _read_headers(value: Any) -> dict[str, str] | None:
    if isinstance(value, str):
        # Some clients put JSON text into the JSON body or into a form field (cos.md#bodies).
        if not value.strip():
            return None
        try:
            value = load_json(value)
        except (ValueError, RecursionError):
            raise ApiError(-5975) from None
    if value is None:
        return None
    if value == []:
        value = {}  # PHP writes an empty array so (cos.md#update)
    if not isinstance(value, dict):
        raise ApiError(-182)
    return dict(_read_header(name, text) for name, text in value.items())


def _read_header(name: str, value: Any) -> tuple[str, str]:
    lower = name.lower()
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ApiError(-182)
    text = checked(str(value))
    meta = lower.startswith(_META) and len(lower) > len(_META) and _TOKEN.issuperset(lower) and bool(text)
    if lower not in _HEADERS and not meta:
        raise ApiError(-182)
    if len(text) > 2048 or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ApiError(-182)
    return _HEADERS.get(lower, name), text


def _combine(stored: dict[str, str], sent: dict[str, str], dialect: Dialect) -> dict[str, str]:
    if dialect.custom_headers == "replace":
        return sent
    replaced = {name.lower() for name in sent}
    return {name: text for name, text in stored.items() if name.lower() not in replaced} | sent


def move(service: CosService, call: CosCall) -> None:
    """Move a file to another path, in one transaction.

    Codes: −197 without a source, −178 when the target exists and may not be replaced, −199 and −160 as the dialect
    says.
    """
    source = call.path
    target, overwrite = _read_target(service, call)
    if source.is_directory:
        _move_directory(service, source, target)
        return
    with service.store.writing() as db:
        node = namespace.existing_node(db, source)
        if target == source:
            if not overwrite:
                raise ApiError(-178)
            return
        if service.dialect.cross_directory_move == "refuse" and target.parent != source.parent:
            raise ApiError(-199)
        _make_room(service, db, target, overwrite=overwrite)
        db.execute("DELETE FROM nodes WHERE bucket = ? AND parent = ? AND name = ?", source.row_key)
        values = {name: node[name] for name in (*_CARRIED, "ctime", "mtime", "blob")}
        namespace.add_file(db, target, values)
        namespace.prune_parents(db, source, service.dialect)


def copy(service: CosService, call: CosCall) -> None:
    """Make a second file with the same content and attributes; the codes are those of `move`."""
    target, overwrite = _read_target(service, call)
    with service.store.writing() as db:
        node = namespace.existing_node(db, call.path)
        if target == call.path:
            if not overwrite:
                raise ApiError(-178)
            return
        _make_room(service, db, target, overwrite=overwrite)
        now, blob = service.now(), service.store.copy_blob(node["blob"])
        db.add(blob)
        values = {name: node[name] for name in _CARRIED} | {"ctime": now, "mtime": now, "blob": blob}
        namespace.add_file(db, target, values)


def _read_target(service: CosService, call: CosCall) -> tuple[ObjectPath, bool]:
    text = call.text("dest_fileid") or ""
    if not text:
        raise ApiError(-182)
    if not text.startswith("/"):
        # Relative to the source's directory.
        text = call.path.parent + text
    target = ObjectPath(call.path.bucket, text)
    if call.path.is_directory:
        if service.dialect.directory_move == "refuse":
            raise ApiError(-160)
        target = ObjectPath(target.bucket, target.text.rstrip("/") + "/")
    elif target.is_directory:
        raise ApiError(-160)
    if target.is_root:
        raise ApiError(-178)
    namespace.check_new_path(target, service.dialect)
    return target, call.flag("to_over_write", default=False)


def _make_room(service: CosService, db: Transaction, target: ObjectPath, *, overwrite: bool) -> None:
    """Remove the unfinished upload at the target of a move or copy, and make its parents; or refuse."""
    node = namespace.find_node(db, target)
    upload = namespace.find_upload(db, target)
    if node is not None and node["directory"]:
        raise ApiError(-178)
    if (node is not None or upload is not None) and not overwrite:
        raise ApiError(-178)
    namespace.ensure_parents(db, target, service.dialect, service.now())
    uploads.discard(service, db, upload)


def _move_directory(service: CosService, source: ObjectPath, target: ObjectPath) -> None:
    with service.store.writing() as db:
        namespace.existing_node(db, source)
        if target.text.startswith(source.text):
            raise ApiError(-199)
        if service.dialect.cross_directory_move == "refuse" and target.parent != source.parent:
            raise ApiError(-199)
        if namespace.find_node(db, target) is not None or namespace.find_upload(db, target) is not None:
            raise ApiError(-178)
        namespace.ensure_parents(db, target, service.dialect, service.now())
        namespace.rename_directory(db, source, target)
        namespace.prune_parents(db, source, service.dialect)
