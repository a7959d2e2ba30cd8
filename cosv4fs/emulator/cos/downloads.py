"""Downloads: GET and HEAD of a file, whole or in part (cos.md#download)."""

from __future__ import annotations

import json
import os
from email.utils import formatdate
from typing import TYPE_CHECKING

from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.portability import READ_FLAGS
from cosv4fs.emulator.replies import file_reply, read_range

from . import namespace

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.replies import Reply

    from .call import CosCall
    from .service import CosService


def download(service: CosService, call: CosCall) -> Reply:
    """Return a file for GET, or its headers for HEAD.

    Codes: 6101 for nothing there and 45062 for an unfinished upload, both HTTP 404; HTTP 403 for a bad signature; −5996
    for HEAD when the dialect refuses it.
    """
    if call.head.method == "HEAD" and service.dialect.head == "refuse":
        raise ApiError(-5996)
    node, descriptor = _open(service, call)
    try:
        return _reply(service, call, node, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _open(service: CosService, call: CosCall) -> tuple[sqlite3.Row, int]:
    path = call.path
    with service.store.reading() as db:  # nothing is replaced or made private meanwhile
        node = None if path.is_directory else namespace.find_node(db, path)
        if not service.is_public(path, node):
            _authorize(service, call)
        if node is None or node["directory"]:
            upload = None if path.is_directory else namespace.find_upload(db, path)
            raise ApiError(6101 if upload is None else 45062)
        try:
            return node, os.open(service.store.blob_path(node["blob"]), READ_FLAGS)
        except FileNotFoundError:
            raise ApiError(-6991) from None


def _authorize(service: CosService, call: CosCall) -> None:
    try:
        service.authorize(call, "multi", download=True)
    except ApiError as error:
        raise ApiError(error.code, status=403) from None


def _reply(service: CosService, call: CosCall, node: sqlite3.Row, descriptor: int) -> Reply:
    size, dialect = node["size"], service.dialect
    part = None
    if call.head.method == "GET" and dialect.ranges == "accept":
        part = read_range(call.head.headers.get("range"), size)
    if part is not None and not part[1]:
        if dialect.bad_range == "416":
            error = ApiError(-182, status=416)
            error.headers.append(("Content-Range", f"bytes */{size}"))
            raise error
        part = None
    headers = _headers(service, node)
    custom = json.loads(node["headers"])
    content_type = custom.pop("Content-Type", None) or node["content_type"] or "application/octet-stream"
    headers += [(name, text) for name, text in custom.items() if text]
    return file_reply(descriptor, size, part, content_type, headers)


def _headers(service: CosService, node: sqlite3.Row) -> list[tuple[str, str]]:
    shown, headers = service.dialect.download_headers, []
    if shown == "full":
        headers.append(("ETag", f'"{node["sha"] or node["blob"]}"'))
    if shown == "weak":
        headers.append(("ETag", f'W/"{node["mtime"]:x}-{node["size"]:x}"'))
    if shown != "bare":
        headers.append(("Last-Modified", formatdate(node["mtime"], usegmt=True)))
        if service.dialect.ranges == "accept":
            headers.append(("Accept-Ranges", "bytes"))
    return headers
