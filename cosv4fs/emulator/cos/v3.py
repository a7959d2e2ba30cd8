"""V3 of the API, under ``/files/v1`` (cos.md#v3): what differs from v4, on the same files; see also `serial`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.cos import entries
from cosv4fs.emulator.cos.listing import listed_directory, read_page
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService
    from cosv4fs.emulator.replies import Reply

_MOST_LISTED = 199
_JSON = "application/json"
_FLAGGED = ("authority", "custom_headers")
"""Attributes that are changed with a ``flag`` only."""


def implied_op(method: str, values: Mapping[str, Any]) -> str:
    """Return the operation of a request that names none: list and update may leave it out."""
    if method == "GET":
        return "list" if "num" in values else ""
    return "update" if not values.keys().isdisjoint({"biz_attr", "flag"}) else ""


def decorate(reply: Reply) -> None:
    """Make a reply look like the sample: another server, no request id."""
    reply.overrides = {"server": "nginx", "x-cos-request-id": None, **reply.overrides}
    if not isinstance(reply.body, bytes) or not reply.content_type.startswith(_JSON):
        return
    reply.overrides.setdefault("content-type", "/")
    try:
        envelope = json.loads(reply.body)
    except (ValueError, RecursionError):
        return  # a fault damaged it
    if isinstance(envelope, dict) and envelope.pop("request_id", None) is not None:
        reply.body = json.dumps(envelope, ensure_ascii=False).encode()


def list_page(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return one page of a directory, with the numbers of everything in it; −165 above 199 entries."""
    context, more, infos = read_page(service, call, _MOST_LISTED)
    directory = listed_directory(call)
    found = "SELECT directory, count(*) FROM nodes WHERE bucket = ? AND parent = ? GROUP BY directory"
    with service.store.reading() as db:
        counts = dict(db.execute(found, (directory.bucket, directory.text)).fetchall())
    totals = {"dircount": counts.get(1, 0), "filecount": counts.get(0, 0)}
    return {"context": context, "has_more": more, **totals, "infos": infos}


def stat(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return the fields of a status that v3's table has."""
    status = entries.stat(service, call)
    shown = ["biz_attr", "filesize", "sha", "ctime", "mtime", "access_url"]
    if service.dialect.v1_stat == "filelen":
        shown.append("filelen")
    return {"name": call.path.name} | {name: status[name] for name in shown if name in status}


def update(service: CosService, call: CosCall) -> None:
    """Change ``biz_attr``, the documented attribute, or what ``flag`` names, as the clients of v3 do (cos.md#v3).

    Code: −179 for anything else, which would otherwise get lost.
    """
    if call.text("forbid"):
        raise ApiError(-179)
    entries.change(service, call, is_flagged=any(call.values.get(name) for name in ("flag", *_FLAGGED)))
