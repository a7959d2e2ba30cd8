"""The operations of the API and what each of them asks for: method, kind of signature, kind of path."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import namespace, uploads, v3
from .attributes import read_update
from .errors import ApiError
from .listing import list_page
from .moving import copy, move
from .paths import check_new_path
from .replies import Reply, json_reply
from .signature import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call import Call
    from .service import Service

__all__ = ["OPERATIONS", "PREDECESSOR", "perform"]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Parameters
    ----------
    run : callable
        Does it, and returns the reply's ``data``.
    kind : Kind or str
        The kind of signature (cos.md#signature), or the name of the dialect switch that says it.
    methods : tuple of str
        HTTP methods.
    place : {"file", "directory", "either", "any"}
        What the path has to be; "any" may also be the bucket itself.
    bound : bool
        Whether the dialect may refuse multi-effect signatures that are bound to a path.
    """

    run: Callable[[Service, Call], dict[str, Any] | None]
    kind: Kind | str = Kind.MULTI
    methods: tuple[str, ...] = ("POST",)
    place: Literal["file", "directory", "either", "any"] = "file"
    bound: bool = False


def perform(service: Service, call: Call) -> Reply:
    """Do what a request asks for.

    Raises
    ------
    ApiError
        It is refused.
    """
    operation = (PREDECESSOR if call.is_v3 else OPERATIONS).get(call.op)
    if operation is None:
        raise ApiError(-299 if call.op else -5980)
    if call.head.method not in operation.methods:
        raise ApiError(-5996)
    kind = operation.kind
    if not isinstance(kind, Kind):
        kind = Kind(getattr(service.dialect, kind))
    service.authorize(call, kind, bound=not operation.bound or service.dialect.bound_stat == "accept")
    _check_place(operation, call)
    uploads.forget_expired(service)
    return json_reply(call.request_id, operation.run(service, call))


def _check_place(operation: Operation, call: Call) -> None:
    if operation.place == "any":
        return
    if call.path.is_root:
        raise ApiError(-164)
    if operation.place == "file" and call.path.is_directory:
        raise ApiError(-160)
    if operation.place == "directory" and not call.path.is_directory:
        raise ApiError(-161)


def _create(service: Service, call: Call) -> dict[str, Any]:
    check_new_path(call.path, service.dialect)
    biz_attr = call.parameters.text("biz_attr") or ""
    now = service.now()
    with service.store.writing() as db:
        namespace.create_directory(db, call.path, service.dialect, now, biz_attr)
    return {"ctime": service.time(now)}


def _stat(service: Service, call: Call) -> dict[str, Any]:
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


def _stat_bucket(service: Service, bucket: str) -> dict[str, Any]:
    with service.store.reading() as db:
        ctime = db.execute("SELECT ctime FROM buckets WHERE name = ?", (bucket,)).fetchone()["ctime"]
    authority = "eWPrivateRPublic" if service.buckets[bucket] else "eWRPrivate"
    return {"biz_attr": "", "authority": authority, "ctime": service.time(ctime), "mtime": service.time(ctime)}


def _stat_upload(service: Service, call: Call, upload: Any, received: int) -> dict[str, Any]:
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


def _update(service: Service, call: Call) -> None:
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


def _delete(service: Service, call: Call) -> None:
    path = call.path
    freed: list[str | None] = []
    with service.store.writing() as db:
        node = namespace.find_node(db, path)
        if node is not None and bool(node["directory"]) != path.is_directory:
            raise ApiError(-197)
        if path.is_directory:
            if node is None:
                raise ApiError(-197)
            if namespace.child_count(db, path):
                if service.dialect.rmdir_nonempty == "refuse":
                    raise ApiError(-173)
                return
            namespace.remove_node(db, path, directory=True)
        else:
            upload = namespace.find_upload(db, path)
            if node is None and upload is None:
                raise ApiError(-197)
            freed.append(namespace.remove_node(db, path, directory=False))
            if upload is not None:
                freed.append(uploads.discard(service, db, upload))
        if service.dialect.parents == "virtual":
            namespace.prune_parents(db, path)
    service.store.remove_blobs(*freed)


OPERATIONS: dict[str, Operation] = {
    "create": Operation(_create, place="directory", bound=True),
    "stat": Operation(_stat, methods=("GET",), place="any", bound=True),
    "list": Operation(list_page, methods=("GET",), place="any", bound=True),
    "update": Operation(_update, Kind.SINGLE, place="either"),
    "delete": Operation(_delete, Kind.SINGLE, place="either"),
    "move": Operation(move, "move_signature", place="either"),
    "copy": Operation(copy, "copy_signature"),
    "upload": Operation(uploads.upload),
    "upload_slice_init": Operation(uploads.slice_init),
    "upload_slice_data": Operation(uploads.slice_data),
    # The overview of the documentation calls it a GET; every client posts it.
    "upload_slice_list": Operation(uploads.slice_list, methods=("POST", "GET")),
    "upload_slice_finish": Operation(uploads.slice_finish),
}
"""Every operation by the name that ``op`` carries."""

PREDECESSOR: dict[str, Operation] = {
    **{name: OPERATIONS[name] for name in ("create", "delete", "move", "upload")},
    "stat": Operation(v3.stat(_stat), methods=("GET",), place="any", bound=True),
    "list": Operation(v3.list_page, methods=("GET",), place="any", bound=True),
    "update": Operation(v3.only_biz_attr(_update), Kind.SINGLE, place="either"),
    "upload_slice": Operation(v3.upload_slice),
}
"""Those of v3 (cos.md#v3): no copy, and one operation for slices."""
