"""op=move and op=copy (cos.md#move and cos.md#copy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.emulator.call import ObjectPath
from cosv4fs.emulator.errors import ApiError

from . import namespace, uploads

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.store import Transaction

    from .call import CosCall
    from .service import CosService

_CARRIED = ("size", "slice_size", "sha", "shown_sha", "content_type", "headers", "authority", "forbid", "biz_attr")


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
        node = _source(db, source)
        if target == source:
            if not overwrite:
                raise ApiError(-178)
            return
        if service.dialect.cross_directory_move == "refuse" and target.parent != source.parent:
            raise ApiError(-199)
        _make_room(service, db, target, overwrite=overwrite)
        db.execute(
            "DELETE FROM nodes WHERE bucket = ? AND parent = ? AND name = ?",
            (source.bucket, source.parent, source.name),
        )
        values = {name: node[name] for name in (*_CARRIED, "ctime", "mtime", "blob")}
        namespace.add_file(db, target, values)
        if service.dialect.parents == "virtual":
            namespace.prune_parents(db, source)


def copy(service: CosService, call: CosCall) -> None:
    """Make a second file with the same content and attributes; the codes are those of `move`."""
    target, overwrite = _read_target(service, call)
    with service.store.writing() as db:
        node = _source(db, call.path)
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
    text = call.parameters.text("dest_fileid") or ""
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
    return target, call.parameters.flag("to_over_write", default=False)


def _source(db: Transaction, path: ObjectPath) -> sqlite3.Row:
    node = namespace.find_node(db, path)
    if node is None or node["directory"]:
        raise ApiError(-197)
    return node


def _make_room(service: CosService, db: Transaction, target: ObjectPath, *, overwrite: bool) -> None:
    """Remove the unfinished upload at the target of a move or copy, and make its parents; or refuse."""
    node = namespace.find_node(db, target)
    upload = namespace.find_upload(db, target)
    if node is not None and node["directory"]:
        raise ApiError(-178)
    if (node is not None or upload is not None) and not overwrite:
        raise ApiError(-178)
    namespace.ensure_parents(db, target, service.dialect, service.now())
    if upload is not None:
        uploads.discard(service, db, upload)


def _move_directory(service: CosService, source: ObjectPath, target: ObjectPath) -> None:
    with service.store.writing() as db:
        node = namespace.find_node(db, source)
        if node is None or not node["directory"]:
            raise ApiError(-197)
        if target.text.startswith(source.text):
            raise ApiError(-199)
        if service.dialect.cross_directory_move == "refuse" and target.parent != source.parent:
            raise ApiError(-199)
        if namespace.find_node(db, target) is not None or namespace.find_upload(db, target) is not None:
            raise ApiError(-178)
        namespace.ensure_parents(db, target, service.dialect, service.now())
        namespace.rename_directory(db, source, target)
        if service.dialect.parents == "virtual":
            namespace.prune_parents(db, source)
