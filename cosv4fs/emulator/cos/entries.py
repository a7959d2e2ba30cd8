"""The operations on one file or directory: create, stat, update, delete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import load_json
from cosv4fs.emulator.errors import ApiError

from . import namespace, uploads

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.dialects import Dialect

    from .call import CosCall
    from .parameters import Parameters
    from .service import CosService


_AUTHORITIES = frozenset({"eInvalid", "eWRPrivate", "eWPrivateRPublic"})
_HEADERS = {
    name.lower(): name
    for name in ("Cache-Control", "Content-Type", "Content-Disposition", "Content-Language", "Content-Encoding")
}
_META = "x-cos-meta-"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


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
        **service.times(upload["ctime"], upload["ctime"]),
    }


def update(service: CosService, call: CosCall) -> None:
    """Change attributes of a file or directory (cos.md#update)."""
    with service.store.writing() as db:
        node = namespace.find_node(db, call.path)
        if node is None or bool(node["directory"]) != call.path.is_directory:
            raise ApiError(-197)
        change = _read_update(call.parameters, service.dialect, node)
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


@dataclass(frozen=True)
class Change:
    """The attributes of a file or directory after an update; the headers as a JSON object."""

    biz_attr: str
    authority: str
    headers: str
    forbid: int


def _read_update(parameters: Parameters, dialect: Dialect, node: sqlite3.Row) -> Change:
    """Return the attributes of a file or directory after an update.

    Codes: −158 for an unknown authority, −182 for headers that are not allowed, −179 for a wrong ``flag``.
    """
    biz_attr = parameters.text("biz_attr")
    authority = parameters.text("authority") or None
    headers = _read_headers(parameters.values.get("custom_headers"))
    forbid = parameters.text("forbid") or None
    if dialect.update_flag == "required":
        _check_flag(parameters, biz_attr, headers, authority)
    if authority is not None and authority not in _AUTHORITIES:
        raise ApiError(-158)
    stored = node["headers"]
    if headers is not None and not node["directory"]:
        stored = json.dumps(_combine(json.loads(stored), headers, dialect), ensure_ascii=False)
    return Change(
        biz_attr=node["biz_attr"] if biz_attr is None else biz_attr,
        authority=node["authority"] if authority is None or node["directory"] else authority,
        headers=stored,
        forbid=node["forbid"] if forbid is None else parameters.whole("forbid", missing=-182, bad=-182),
    )


def _check_flag(
    parameters: Parameters, biz_attr: str | None, headers: dict[str, str] | None, authority: str | None
) -> None:
    sent = (biz_attr is not None) * 0x01 | (headers is not None) * 0x40 | (authority is not None) * 0x80
    if parameters.whole("flag", missing=-179, bad=-179) != sent:
        raise ApiError(-179)


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
    if not isinstance(value, dict):
        raise ApiError(-182)
    return dict(_read_header(name, text) for name, text in value.items())


def _read_header(name: str, value: Any) -> tuple[str, str]:
    lower = name.lower()
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ApiError(-182)
    text = str(value)
    try:
        text.encode()
    except UnicodeError:
        raise ApiError(-147) from None
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
