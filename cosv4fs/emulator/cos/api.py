"""The JSON API: its tables of operations, and the steps from a request to its operation and the reply.

To add an operation, write a function of the service and the call, and name it in a table. The function returns the data
of the reply (None: no data) or a whole `Reply`, and raises `ApiError` to refuse the request. Everything else, such as
checking the signature or the method, follows from the row.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

from cosv4fs.emulator.call import ObjectPath, folded
from cosv4fs.emulator.cos import entries, listing, serial, uploads, v3
from cosv4fs.emulator.cos.call import CosCall, read_body, read_op, read_url
from cosv4fs.emulator.cos.downloads import download
from cosv4fs.emulator.cos.service import CosService
from cosv4fs.emulator.cos.signature import check_signer
from cosv4fs.emulator.errors import ApiError, UnknownBucketError
from cosv4fs.emulator.http import LARGEST_BODY, SMALL_BODY, read_length
from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cosv4fs.emulator.call import Head
    from cosv4fs.emulator.cos.signature import Kind
    from cosv4fs.emulator.http import Connection

_LARGEST_TEXT = 1 << 20
"""Bytes of a body that is no form."""
_EXPOSED = "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, Date, x-cos-request-id"
_NOT_FOUND_PAGE = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>\r\n"
_UNKNOWN_BUCKET = (
    "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>InvalidRequest</Code>\n"
    "\t<Message>Missing required header for this request: Appid</Message>\n"
    "\t<RequestId>{}</RequestId>\n</Error>\n"
)


@dataclass(frozen=True)
class _Operation:
    """One operation: what it does, and the conditions of a request for it.

    A path of ``either`` kind is a file's or a directory's, of ``any`` also the bucket's. The signature is of a kind
    (cos.md#signature), or of that which a dialect switch names, or the operation checks its ``own``. The dialect may
    refuse multi-effect signatures of `bound` operations that are bound to a path, and signatures of a path that was
    encoded `twice`.
    """

    run: Callable[[CosService, CosCall], dict[str, Any] | Reply | None]
    methods: tuple[str, ...] = ("POST",)
    path: Literal["file", "directory", "either", "any"] = "file"
    signature: Literal["multi", "own", "move_signature", "copy_signature", "delete_signature", "update_signature"] = (
        "multi"
    )
    bound: bool = False
    twice: bool = False


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


_V4: Mapping[str, _Operation] = {
    "create": _Operation(entries.create, path="directory", bound=True),
    "stat": _Operation(entries.stat, methods=("GET",), path="any", bound=True),
    "list": _Operation(listing.list_page, methods=("GET",), path="any", bound=True),
    "update": _Operation(entries.update, path="either", signature="update_signature"),
    "delete": _Operation(entries.delete, path="either", signature="delete_signature"),
    "move": _Operation(entries.move, path="either", signature="move_signature", twice=True),
    "copy": _Operation(entries.copy, signature="copy_signature", twice=True),
    "upload": _Operation(uploads.upload),
    "upload_slice_init": _Operation(uploads.slice_init),
    "upload_slice_data": _Operation(uploads.slice_data),
    # The overview of the documentation calls it a GET; every client posts it.
    "upload_slice_list": _Operation(uploads.slice_list, methods=("POST", "GET")),
    "upload_slice_finish": _Operation(uploads.slice_finish),
    # One client still sends what v3 has instead of those four (cos.md#v4-upload-slice).
    "upload_slice": _Operation(serial.upload_slice),
}
"""The operations of v4, by the value of ``op``."""

_V3: Mapping[str, _Operation] = {
    **{name: _V4[name] for name in ("create", "delete", "move", "upload", "upload_slice")},
    "stat": _Operation(v3.stat, methods=("GET",), path="any", bound=True),
    "list": _Operation(v3.list_page, methods=("GET",), path="any", bound=True),
    "update": _Operation(v3.update, path="either", signature="update_signature"),
}
"""The operations of v3 (cos.md#v3): no copy, and one operation for slices."""

_PLAIN: Mapping[str, _Operation] = {
    "download": _Operation(download, methods=("GET",), path="any", signature="own"),
    "head": _Operation(download, methods=("HEAD",), path="any", signature="own"),
    "options": _Operation(_preflight, methods=("OPTIONS",), path="any", signature="own"),
}
"""The requests without ``op``, by their names in the request log."""

OPERATIONS = frozenset({**_V4, **_V3, **_PLAIN})
"""The names of all operations."""


class CosApi(CosService):
    """The JSON API of one account."""

    _storage_failed = -6993
    _internal_error = -9999
    _head_codes = MappingProxyType({405: -5996, 411: -5992, 413: -5991, 414: -187, 431: -5999, 0: -5999})

    def new_call(self, head: Head, restart: Callable[[], None]) -> CosCall:
        """Return a new call."""
        return CosCall(head, self._next_request_id(), self.stopping, restart)

    def peek(self, call: CosCall, preview: Callable[[], bytes]) -> None:
        """Find the operation in the query, or at the beginning of a form."""
        with contextlib.suppress(ApiError):
            self._read_url(call)
            call.op = call.query.get("op", "") or read_op(preview())

    def receive(self, call: CosCall, connection: Connection) -> int:
        """Read the body and the parameters; the body of a request that is refused is dropped."""
        needed = False
        try:
            needed = self._read_head(call, connection)
        except ApiError as error:
            call.error = error
        if not needed:
            return connection.skip_body(call.head)
        body = connection.read_body(call.head, _largest(call.head))
        try:
            read_body(call, body, connection.buffer)
            call.op = call.text("op") or (v3.implied_op(call.head.method, call.values) if call.is_v3 else "")
        except ApiError as error:
            call.error = error
        return len(body)

    def _read_url(self, call: CosCall) -> bool:
        is_download_host = read_url(call, self.account.appid, self.buckets)
        if self.dialect.final_slashes == "fold":
            call.path = ObjectPath(call.path.bucket, folded(call.path.text))
        return is_download_host

    def _read_head(self, call: CosCall, connection: Connection) -> bool:
        """Read what the head says; return whether the body says more.

        A request without a valid signature is refused here: it gets no memory for more than a small body.
        """
        is_download_host = self._read_url(call)
        method = call.head.method
        if method == "OPTIONS":
            call.op, call.is_plain = "options", True
            return False
        if is_download_host or (method in {"GET", "HEAD"} and not _named(call)):
            call.op, call.is_plain = "head" if method == "HEAD" else "download", True
            return False
        if SMALL_BODY < read_length(call.head) <= _largest(call.head):
            try:
                check_signer(call.signature, call.path.bucket, self.account)
            except ApiError:
                call.op = call.query.get("op", "") or read_op(connection.beginning())
                raise
        return True

    def perform(self, call: CosCall) -> Reply:
        """Run the operation, and wrap its data into the envelope (cos.md#envelope)."""
        operation = _find(call)
        if operation.signature != "own":
            kind = cast("Kind", getattr(self.dialect, operation.signature, operation.signature))
            bound = not operation.bound or self.dialect.bound_stat == "accept"
            self.authorize(call, kind, bound=bound, twice=operation.twice)
            _check_path(call, operation)
            uploads.remove_expired(self)
        result = operation.run(self, call)
        if isinstance(result, Reply):
            return result
        envelope = {"code": 0, "message": "SUCCESS", "request_id": call.request_id}
        if result is not None:
            envelope["data"] = result
        return Reply(body=json.dumps(envelope, ensure_ascii=False).encode())

    def refuse(self, call: CosCall, error: ApiError) -> Reply:
        """Return the envelope with a code, or the body that the dialect has instead."""
        if isinstance(error, UnknownBucketError):
            return Reply(error.status, _UNKNOWN_BUCKET.format(call.request_id).encode(), -1, "application/xml")
        dialect = self.dialect
        if error.status == 404 and (call.is_plain or call.op == "upload_slice_list"):
            if dialect.not_found_body == "empty":
                return Reply(404, b"", error.code)
            if dialect.not_found_body == "html":
                return Reply(404, _NOT_FOUND_PAGE, error.code, "text/html")
        status = error.status
        if not call.is_plain and not error.has_own_status:
            status = {"mapped": status, "always-400": 400, "always-200": 200}[dialect.error_status]
        envelope = {"code": error.code, "message": error.message, "request_id": call.request_id}
        return Reply(status, json.dumps(envelope).encode(), error.code, headers=error.headers)

    def decorate(self, call: CosCall, reply: Reply) -> None:
        """Make a reply to v3 look like its sample."""
        if call.is_v3:
            v3.decorate(reply)

    def release(self, call: CosCall) -> None:
        """Drop the content: the connection's next request overwrites it."""
        call.content = None

    def headers(self, call: CosCall) -> list[tuple[str, str]]:
        """Return the server's name, the request's id, and what browsers need."""
        return [
            ("Server", "tencent-cos"),
            ("x-cos-request-id", call.request_id),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", _EXPOSED),
        ]


def _largest(head: Head) -> int:
    """Return how many bytes the body of a request may have: only forms carry contents."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return LARGEST_BODY if kind == "multipart/form-data" else _LARGEST_TEXT


def _named(call: CosCall) -> str:
    """Return the operation that a URL names, or implies for v3."""
    return call.query.get("op") or (v3.implied_op("GET", call.query) if call.is_v3 else "")


def _find(call: CosCall) -> _Operation:
    """Return the operation of a request, if it has this method."""
    operation = (_PLAIN if call.is_plain else _V3 if call.is_v3 else _V4).get(call.op)
    if operation is None:
        raise ApiError(-299 if call.op else -5980)
    if call.head.method not in operation.methods:
        raise ApiError(-5996)
    return operation


def _check_path(call: CosCall, operation: _Operation) -> None:
    if operation.path == "any":
        return
    if call.path.is_root:
        raise ApiError(-164)
    if operation.path == "file" and call.path.is_directory:
        raise ApiError(-160)
    if operation.path == "directory" and not call.path.is_directory:
        raise ApiError(-161)
