"""The JSON API: from a request to its operation, and from its result to the reply."""

from __future__ import annotations

import contextlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from cosv4fs.emulator.api import Api
from cosv4fs.emulator.errors import ApiError, UnknownBucketError
from cosv4fs.emulator.http import LARGEST_BODY, SMALL_BODY, read_length
from cosv4fs.emulator.replies import Reply

from . import v3
from .call import CosCall, read_url
from .operations import PLAIN, V3, V4, CosOperation
from .parameters import read_body, read_op
from .uploads import remove_expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosv4fs.emulator.api import Operation
    from cosv4fs.emulator.call import Head
    from cosv4fs.emulator.http import Connection

    from .service import CosService
    from .signature import Kind

_LARGEST_TEXT = 1 << 20
"""Bytes of a body that is no form."""
_EXPOSED = "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, Date, x-cos-request-id"
_NOT_FOUND_PAGE = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>\r\n"
_UNKNOWN_BUCKET = (
    "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>InvalidRequest</Code>\n"
    "\t<Message>Missing required header for this request: Appid</Message>\n"
    "\t<RequestId>{}</RequestId>\n</Error>\n"
)


class CosApi(Api[CosCall]):
    """The JSON API of one account.

    Parameters
    ----------
    service : CosService
        The account with its buckets.
    """

    storage_failed = -6993
    internal_error = -9999
    head_codes = MappingProxyType({405: -5996, 411: -5992, 413: -5991, 414: -187, 431: -5999, 0: -5999})

    def __init__(self, service: CosService) -> None:
        super().__init__(service.clock)
        self._service = service

    def new_call(self, head: Head, restart: Callable[[], None]) -> CosCall:
        """Return a new call."""
        return CosCall(head, self.next_request_id(), self.stopping, restart)

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
            length = connection.skip_body(call.head)
            call.unread = length is None
            return length or 0
        body = connection.read_body(call.head, _largest(call.head))
        try:
            self._read_parameters(call, connection, body)
        except ApiError as error:
            call.error = error
        return len(body)

    def _read_url(self, call: CosCall) -> bool:
        return read_url(call, self._service.account.appid, self._service.buckets)

    def _read_head(self, call: CosCall, connection: Connection) -> bool:
        """Read what the head says; return whether the body says more.

        Raises
        ------
        ApiError
            It is refused. A request without a valid signature gets no memory for more than a small body.
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
                self._service.check_signer(call)
            except ApiError:
                call.op = call.query.get("op", "") or read_op(connection.beginning())
                raise
        return True

    def _read_parameters(self, call: CosCall, connection: Connection, body: memoryview) -> None:
        content_type = call.head.headers.get("content-type", "")
        call.parameters = read_body(body, connection.buffer, content_type, call.query)
        call.op = call.parameters.text("op") or (
            v3.implied_op(call.head.method, call.parameters.values) if call.is_v3 else ""
        )

    def operation(self, call: CosCall) -> CosOperation:
        """Return the operation of that name, if it has this method."""
        table = PLAIN if call.is_plain else V3 if call.is_v3 else V4
        operation = table.get(call.op)
        if operation is None:
            raise ApiError(-299 if call.op else -5980)
        if call.head.method not in operation.methods:
            raise ApiError(-5996)
        return operation

    def authorize(self, call: CosCall, operation: Operation[CosService, CosCall]) -> None:
        """Check the signature, then the kind of path."""
        if operation.signature == "own":
            return
        dialect = self._service.dialect
        kind = cast("Kind", getattr(dialect, operation.signature, operation.signature))
        self._service.authorize(call, kind, bound=not operation.bound or dialect.bound_stat == "accept")
        _check_path(call, operation)
        remove_expired(self._service)

    def perform(self, call: CosCall, operation: Operation[CosService, CosCall]) -> Reply:
        """Run the operation, and wrap its data into the envelope (cos.md#envelope)."""
        result = operation.run(self._service, call)
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
        dialect = self._service.dialect
        if error.status == 404 and (call.is_plain or call.op == "upload_slice_list"):
            if dialect.not_found_body == "empty":
                return Reply(404, b"", error.code)
            if dialect.not_found_body == "html":
                return Reply(404, _NOT_FOUND_PAGE, error.code, "text/html")
        status = error.status
        if not call.is_plain and not error.has_own_status:
            status = {"mapped": status, "always-400": 400, "always-200": 200}[dialect.error_status]
        envelope = {"code": error.code, "message": error.message, "request_id": call.request_id}
        reply = Reply(status, json.dumps(envelope).encode(), error.code)
        if error.retry_after is not None:
            reply.headers.append(("Retry-After", str(error.retry_after)))
        return reply

    def decorate(self, call: CosCall, reply: Reply) -> None:
        """Make a reply to v3 look like its sample."""
        if call.is_v3:
            v3.decorate(reply)

    def release(self, call: CosCall) -> None:
        """Drop the content: the connection's next request overwrites it."""
        call.parameters.content = None

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


def _check_path(call: CosCall, operation: Operation[CosService, CosCall]) -> None:
    if operation.path == "any":
        return
    if call.path.is_root:
        raise ApiError(-164)
    if operation.path == "file" and call.path.is_directory:
        raise ApiError(-160)
    if operation.path == "directory" and not call.path.is_directory:
        raise ApiError(-161)
