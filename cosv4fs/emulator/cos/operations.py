"""The tables of operations of the JSON API: v4, v3, and the requests that name no operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.emulator.api import Operation
from cosv4fs.emulator.replies import Reply

from . import entries, listing, moving, uploads, v3
from .call import CosCall
from .downloads import download
from .service import CosService

if TYPE_CHECKING:
    from collections.abc import Mapping

CosOperation = Operation[CosService, CosCall]


def _preflight(service: CosService, call: CosCall) -> Reply:
    """Let a browser send its request; which operations there are is the same for all accounts."""
    wanted = call.head.headers.get("access-control-request-headers", "*")
    return Reply(
        headers=[
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "".join(c for c in wanted if c.isprintable())),
            ("Access-Control-Max-Age", "600"),
        ]
    )


V4: Mapping[str, CosOperation] = {
    "create": Operation(entries.create, path="directory", bound=True),
    "stat": Operation(entries.stat, methods=("GET",), path="any", bound=True),
    "list": Operation(listing.list_page, methods=("GET",), path="any", bound=True),
    "update": Operation(entries.update, path="either", signature="single"),
    "delete": Operation(entries.delete, path="either", signature="single"),
    "move": Operation(moving.move, path="either", signature="move_signature"),
    "copy": Operation(moving.copy, signature="copy_signature"),
    "upload": Operation(uploads.upload),
    "upload_slice_init": Operation(uploads.slice_init),
    "upload_slice_data": Operation(uploads.slice_data),
    # The overview of the documentation calls it a GET; every client posts it.
    "upload_slice_list": Operation(uploads.slice_list, methods=("POST", "GET")),
    "upload_slice_finish": Operation(uploads.slice_finish),
}
"""The operations of v4, by the value of ``op``."""

V3: Mapping[str, CosOperation] = {
    **{name: V4[name] for name in ("create", "delete", "move", "upload")},
    "stat": Operation(v3.stat, methods=("GET",), path="any", bound=True),
    "list": Operation(v3.list_page, methods=("GET",), path="any", bound=True),
    "update": Operation(v3.update, path="either", signature="single"),
    "upload_slice": Operation(v3.upload_slice),
}
"""The operations of v3 (cos.md#v3): no copy, and one operation for slices."""

PLAIN: Mapping[str, CosOperation] = {
    "download": Operation(download, methods=("GET",), path="any", signature="own"),
    "head": Operation(download, methods=("HEAD",), path="any", signature="own"),
    "options": Operation(_preflight, methods=("OPTIONS",), path="any", signature="own"),
}
"""The requests without ``op``, by their names in the request log."""
