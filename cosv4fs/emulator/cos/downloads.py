"""Downloads: GET and HEAD of a file, whole or in part (cos.md#download)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cosv4fs.emulator.conditions import Validators
from cosv4fs.emulator.cos import namespace
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.replies import file_reply, not_modified, read_range

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService
    from cosv4fs.emulator.replies import Reply


def download(service: CosService, call: CosCall) -> Reply:
    """Return a file for GET, or its headers for HEAD.

    Codes: 6101 for nothing there and 45062 for an unfinished upload, both HTTP 404; HTTP 403 for a bad signature; −5996
    for HEAD when the dialect refuses it; HTTP 412 for a condition that does not hold.
    """
    if call.head.method == "HEAD" and service.dialect.head == "refuse":
        raise ApiError(-5996)
    path = call.path
    with service.store.reading() as db:  # nothing is replaced or made private before the file is open
        node = None if path.is_directory else namespace.find_node(db, path)
        if not service.is_public(path, node):
            _authorize(service, call)
        if node is None or node["directory"]:
            upload = None if path.is_directory else namespace.find_upload(db, path)
            raise ApiError(6101 if upload is None else 45062)
        return _reply(service, call, node)


def _authorize(service: CosService, call: CosCall) -> None:
    try:
        service.authorize(call, "multi", download=True)
    except ApiError as error:
        raise ApiError(error.code, status=403) from None


def _reply(service: CosService, call: CosCall, node: sqlite3.Row) -> Reply:
    validators = _validators(service, node)
    custom = json.loads(node["headers"])
    refusal = validators.refusal(call.head.headers)
    if refusal == 412:
        raise ApiError(-182, status=412)
    if refusal is not None:
        cached = custom.get("Cache-Control")
        return not_modified(validators.headers + ([("Cache-Control", cached)] if cached else []))
    part = _part(service, call, node["size"], validators)
    headers = validators.headers
    if service.dialect.download_headers != "bare" and service.dialect.ranges == "accept":
        headers.append(("Accept-Ranges", "bytes"))
    content_type = custom.pop("Content-Type", None) or node["content_type"] or "application/octet-stream"
    headers += [(name, text) for name, text in custom.items() if text]
    try:
        return file_reply(service.store.blob_path(node["blob"]), node["size"], part, content_type, headers)
    except FileNotFoundError:
        raise ApiError(-6991) from None


def _part(service: CosService, call: CosCall, size: int, validators: Validators) -> tuple[int, int] | None:
    """Return the first byte and the number of bytes to return; None for the whole file."""
    sent = call.head.headers
    if call.head.method != "GET" or service.dialect.ranges != "accept":
        return None
    part = read_range(sent.get("range"), size) if validators.allow_range(sent, service.clock() + call.skew) else None
    if part is None or part[1]:
        return part
    if service.dialect.bad_range != "416":
        return None
    error = ApiError(-182, status=416)
    error.headers.append(("Content-Range", f"bytes */{size}"))
    raise error


def _validators(service: CosService, node: sqlite3.Row) -> Validators:
    shown = service.dialect.download_headers
    etags = {"full": f'"{node["sha"] or node["blob"]}"', "weak": f'W/"{node["mtime"]:x}-{node["size"]:x}"'}
    return Validators(etags.get(shown), None if shown == "bare" else node["mtime"])
