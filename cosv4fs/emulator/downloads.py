"""Downloads: GET and HEAD of a file, whole or in part (cos.md#download)."""

from __future__ import annotations

import json
import os
import re
from email.utils import formatdate
from typing import TYPE_CHECKING

from . import namespace
from .errors import ApiError
from .replies import FileBody, Reply
from .signature import Kind

if TYPE_CHECKING:
    import sqlite3

    from .call import Call
    from .service import Service

__all__ = ["download", "read_range"]

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*\Z", re.IGNORECASE)
_ATTEMPTS = 10


def download(service: Service, call: Call) -> Reply:
    """Answer a GET or HEAD of a file.

    Raises
    ------
    ApiError
        6101 for nothing there and 45062 for an unfinished upload, both HTTP 404; HTTP 403 for a bad signature;
        −5996 for HEAD when the dialect knows none.
    """
    if call.head.method == "HEAD" and service.dialect.head == "refuse":
        raise ApiError(-5996)
    if call.head.method not in {"GET", "HEAD"}:
        raise ApiError(-5996)
    node, descriptor = _open(service, call)
    try:
        return _answer(service, call, node, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the number of bytes that a Range header asks for.

    Parameters
    ----------
    header : str, optional
        For example ``bytes=0-99``, ``bytes=100-`` or ``bytes=-100``.
    size : int
        The file's length in bytes.

    Returns
    -------
    tuple or None
        None when there is no range, or one that is malformed or in several parts, which HTTP says to ignore. A count
        of 0 means that the range lies behind the end.
    """
    match = _RANGE.match(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        count = min(int(match[2]), size)
        return size - count, count
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    return first, max(0, min(last, size - 1) - first + 1)


def _open(service: Service, call: Call) -> tuple[sqlite3.Row, int]:
    authorized = False
    for _ in range(_ATTEMPTS):
        with service.store.reading() as db:
            node = None if call.path.is_directory else namespace.find_node(db, call.path)
            upload = None if call.path.is_directory else namespace.find_upload(db, call.path)
        if not authorized and not service.public(call.path, node):
            _authorize(service, call)
            authorized = True
        if node is None or node["directory"]:
            raise ApiError(6101 if upload is None else 45062)
        try:
            return node, os.open(service.store.blob_path(node["blob"]), os.O_RDONLY)
        except FileNotFoundError:
            continue  # replaced between the two steps
    raise ApiError(-6991)


def _authorize(service: Service, call: Call) -> None:
    try:
        service.authorize(call, Kind.MULTI, download=True)
    except ApiError as error:
        raise ApiError(error.code, status=403) from None


def _answer(service: Service, call: Call, node: sqlite3.Row, descriptor: int) -> Reply:
    size, dialect = node["size"], service.dialect
    reply = Reply(content_type=node["content_type"] or "application/octet-stream")
    _add_headers(service, reply, node)
    wanted = None
    if call.head.method == "GET" and dialect.ranges == "accept":
        wanted = read_range(call.head.headers.get("range"), size)
    if wanted is not None and not wanted[1]:
        if dialect.bad_range == "416":
            return _beyond_end(call, size, descriptor)
        wanted = None
    offset, count = wanted or (0, size)
    if wanted is not None:
        reply.status = 206
        reply.headers.append(("Content-Range", f"bytes {offset}-{offset + count - 1}/{size}"))
    reply.body = FileBody(descriptor, offset, count)
    return reply


def _add_headers(service: Service, reply: Reply, node: sqlite3.Row) -> None:
    told = service.dialect.download_headers
    if told == "full":
        reply.headers.append(("ETag", f'"{node["sha"] or node["blob"]}"'))
    if told == "weak":
        reply.headers.append(("ETag", f'W/"{node["mtime"]:x}-{node["size"]:x}"'))
    if told != "bare":
        reply.headers.append(("Last-Modified", formatdate(node["mtime"], usegmt=True)))
        if service.dialect.ranges == "accept":
            reply.headers.append(("Accept-Ranges", "bytes"))
    for name, text in json.loads(node["headers"]).items():
        if name == "Content-Type":
            reply.content_type = text or reply.content_type
        elif text:
            reply.headers.append((name, text))


def _beyond_end(call: Call, size: int, descriptor: int) -> Reply:
    os.close(descriptor)
    envelope = {"code": -182, "message": "ERROR_CMD_PARAM_INVALID", "request_id": call.request_id}
    return Reply(416, json.dumps(envelope).encode(), -182, headers=[("Content-Range", f"bytes */{size}")])
