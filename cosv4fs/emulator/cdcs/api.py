"""CDCS: from a request to its operation, and from its result to the reply."""

from __future__ import annotations

import contextlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cosv4fs.emulator.api import Api
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.http import read_length
from cosv4fs.emulator.replies import Reply

from .call import Body, CofferCall, read_url
from .multipart import start_early
from .operations import OPERATIONS, CofferOperation, find_operation
from .values import empty_reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosv4fs.emulator.api import Operation
    from cosv4fs.emulator.call import Head
    from cosv4fs.emulator.http import Connection

    from .service import CofferService

LARGEST_OBJECT = 5 * 1024**3
"""Bytes of a simple upload and of a part at most (cdcs.md#transport)."""

_LARGEST_JSON = 2 * 1024**2


class CofferApi(Api[CofferCall]):
    """CDCS for one account.

    Parameters
    ----------
    service : CofferService
        The account with its coffers.
    """

    storage_failed = "InternalError"
    internal_error = "InternalError"
    head_codes = MappingProxyType({0: "InvalidArgument"})

    def __init__(self, service: CofferService) -> None:
        super().__init__(service.clock)
        self._service = service

    def new_call(self, head: Head, restart: Callable[[], None]) -> CofferCall:
        """Return a new call."""
        return CofferCall(head, self.next_request_id(), self.stopping, restart, dialect=self._service.dialect)

    def peek(self, call: CofferCall, preview: Callable[[], bytes]) -> None:
        """Find the operation in the head."""
        with contextlib.suppress(ApiError):
            read_url(call)
            call.op = find_operation(call)

    def receive(self, call: CofferCall, connection: Connection) -> int:
        """Read the body: contents into the store, JSON into memory; drop that of a refused request."""
        length = read_length(call.head)
        try:
            self._read_head(call, length)
        except ApiError as error:
            call.error = error
            skipped = connection.skip_body(call.head)
            call.unread = skipped is None
            return skipped or 0
        for block in connection.read_blocks(length):
            call.body.add(block)
        return length

    def _read_head(self, call: CofferCall, length: int) -> None:
        """Read what the head says, and open what the body goes into."""
        read_url(call)
        call.op = find_operation(call)
        operation = OPERATIONS[call.op]
        limit = LARGEST_OBJECT if operation.stored else _LARGEST_JSON
        if length > limit:
            raise ApiError("InvalidArgument", f"the body has more than {limit} bytes")
        self._service.check_signer(call)
        if operation.claims:
            self._service.claim(call)
        if not operation.stored:
            call.body = Body(keep=True)
            return
        try:
            call.body = Body(self._service.store.open_blob(), tag=call.dialect.part_etag)
        except OSError as error:
            call.body.failure = error

    def operation(self, call: CofferCall) -> CofferOperation:
        """Return the operation that was found in the head."""
        return OPERATIONS[call.op]

    def authorize(self, call: CofferCall, operation: Operation[CofferService, CofferCall]) -> None:
        """Check the signature, now with its time, and that the body was stored."""
        self._service.authorize(call)
        if call.body.failure is not None:
            raise call.body.failure
        self._service.expire()

    def perform(self, call: CofferCall, operation: Operation[CofferService, CofferCall]) -> Reply:
        """Run the operation, and write its data as JSON."""
        result = operation.run(self._service, call)
        if isinstance(result, Reply):
            return result
        if result is None:
            return empty_reply(call.dialect, operation.status)
        return json_reply(call.dialect, result)

    def refuse(self, call: CofferCall, error: ApiError) -> Reply:
        """Return the error in JSON, or in the XML of the dialect."""
        trace = call.request_id[::-1].strip("=")  # opaque, as the id of a request
        fields = {"Code": str(error.code), "Message": error.message, "Resource": call.resource}
        fields |= {"RequestId": call.request_id, "TraceId": trace}
        if call.dialect.error_bodies == "xml":
            del fields["Resource"]
            inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
            body, kind = f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>{inner}</Error>", "application/xml"
        else:
            body, kind = json.dumps(fields, ensure_ascii=False), call.dialect.content_type
        reply = Reply(error.status, body.encode(), error.code, kind, [("x-cdcs-trace-id", trace)])
        if error.retry_after is not None:
            reply.headers.append(("Retry-After", str(error.retry_after)))
        return reply

    def decorate(self, call: CofferCall, reply: Reply) -> None:
        """Begin the reply to CompleteMultipartUpload early, where the dialect does."""
        if call.op == "CompleteMultipartUpload":
            start_early(call, reply)

    def release(self, call: CofferCall) -> None:
        """Release the key, and drop the body."""
        self._service.release(call)
        call.body.discard()

    def headers(self, call: CofferCall) -> list[tuple[str, str]]:
        """Return the server's name and the request's id."""
        return [("Server", "tencent-cdcs"), ("x-cdcs-request-id", call.request_id)]
