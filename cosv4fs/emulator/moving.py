"""op=move and op=copy (cos.md#move and cos.md#copy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import namespace, uploads
from .errors import ApiError
from .paths import CosPath, check_new_path

if TYPE_CHECKING:
    import sqlite3

    from .call import Call
    from .service import Service

__all__ = ["copy", "move"]

_CARRIED = ("size", "slice_size", "sha", "shown_sha", "content_type", "headers", "authority", "forbid", "biz_attr")


def move(service: Service, call: Call) -> None:
    """Give a file another path, in one transaction.

    Raises
    ------
    ApiError
        −197 without a source, −178 when the target exists and may not be replaced, −199 and −160 as the dialect says.
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
        freed = _make_room(service, db, target, overwrite=overwrite)
        db.execute(
            "DELETE FROM nodes WHERE bucket = ? AND parent = ? AND name = ?",
            (source.bucket, source.parent, source.name),
        )
        values = {name: node[name] for name in (*_CARRIED, "ctime", "mtime", "blob")}
        freed.append(namespace.add_file(db, target, values))
        if service.dialect.parents == "virtual":
            namespace.prune_parents(db, source)
    service.store.remove_blobs(*freed)


def copy(service: Service, call: Call) -> None:
    """Make a second file with the same content and attributes.

    Raises
    ------
    ApiError
        As for `move`.
    """
    target, overwrite = _read_target(service, call)
    with service.store.writing() as db:
        node = _source(db, call.path)
        if target == call.path:
            if not overwrite:
                raise ApiError(-178)
            return
        freed = _make_room(service, db, target, overwrite=overwrite)
        now = service.now()
        values = {name: node[name] for name in _CARRIED}
        values |= {"ctime": now, "mtime": now, "blob": service.store.copy_blob(node["blob"])}
        freed.append(namespace.add_file(db, target, values))
    service.store.remove_blobs(*freed)


def _read_target(service: Service, call: Call) -> tuple[CosPath, bool]:
    text = call.parameters.text("dest_fileid") or ""
    if not text:
        raise ApiError(-182)
    if not text.startswith("/"):
        # Relative to the source's directory.
        text = call.path.parent + text
    target = CosPath(call.path.bucket, text)
    if call.path.is_directory:
        if service.dialect.directory_move == "refuse":
            raise ApiError(-160)
        target = CosPath(target.bucket, target.text.rstrip("/") + "/")
    elif target.is_directory:
        raise ApiError(-160)
    if target.is_root:
        raise ApiError(-178)
    check_new_path(target, service.dialect)
    return target, call.parameters.flag("to_over_write", default=False)


def _source(db: sqlite3.Connection, path: CosPath) -> sqlite3.Row:
    node = namespace.find_node(db, path)
    if node is None or node["directory"]:
        raise ApiError(-197)
    return node


def _make_room(service: Service, db: sqlite3.Connection, target: CosPath, *, overwrite: bool) -> list[str | None]:
    node = namespace.find_node(db, target)
    upload = namespace.find_upload(db, target)
    if node is not None and node["directory"]:
        raise ApiError(-178)
    if (node is not None or upload is not None) and not overwrite:
        raise ApiError(-178)
    namespace.ensure_parents(db, target, service.dialect, service.now())
    return [uploads.discard(service, db, upload)] if upload is not None else []


def _move_directory(service: Service, source: CosPath, target: CosPath) -> None:
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
