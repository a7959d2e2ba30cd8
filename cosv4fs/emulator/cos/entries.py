"""The operations on one file or directory: create, stat, update, delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.errors import ApiError

from . import namespace, uploads
from .attributes import read_update

if TYPE_CHECKING:
    from .call import CosCall
    from .service import CosService


def create(service: CosService, call: CosCall) -> dict[str, Any]:
    """Make a directory (cos.md#create)."""
    namespace.check_new_path(call.path, service.dialect)
    biz_attr = call.parameters.text("biz_attr") or ""
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
    times = {"ctime": service.time(node["ctime"]), "mtime": service.time(node["mtime"])}
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
    return {"biz_attr": "", "authority": authority, "ctime": service.time(ctime), "mtime": service.time(ctime)}


def _stat_upload(service: CosService, call: CosCall, upload: Any, received: int) -> dict[str, Any]:
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
        "ctime": service.time(upload["ctime"]),
        "mtime": service.time(upload["ctime"]),
    }


def update(service: CosService, call: CosCall) -> None:
    """Change attributes of a file or directory (cos.md#update)."""
    with service.store.writing() as db:
        node = namespace.find_node(db, call.path)
        if node is None or bool(node["directory"]) != call.path.is_directory:
            raise ApiError(-197)
        change = read_update(call.parameters, service.dialect, node)
        key = (call.path.bucket, call.path.parent, call.path.name)
        db.execute(
            "UPDATE nodes SET biz_attr = ?, authority = ?, headers = ?, forbid = ?"
            " WHERE bucket = ? AND parent = ? AND name = ?",
            (change.biz_attr, change.authority, change.headers, change.forbid, *key),
        )


def delete(service: CosService, call: CosCall) -> None:
    """Delete a file, an unfinished upload or an empty directory (cos.md#delete)."""
    path = call.path
    with service.store.writing() as db:
        node = namespace.find_node(db, path)
        if node is not None and bool(node["directory"]) != path.is_directory:
            raise ApiError(-197)
        if path.is_directory:
            if node is None:
                raise ApiError(-197)
            if namespace.has_children(db, path):
                if service.dialect.rmdir_nonempty == "refuse":
                    raise ApiError(-173)
                return
            namespace.remove_node(db, path, directory=True)
        else:
            upload = namespace.find_upload(db, path)
            if node is None and upload is None:
                raise ApiError(-197)
            namespace.remove_node(db, path, directory=False)
            if upload is not None:
                uploads.discard(service, db, upload)
        if service.dialect.parents == "virtual":
            namespace.prune_parents(db, path)
