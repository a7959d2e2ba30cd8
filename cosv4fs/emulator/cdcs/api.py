"""CDCS: its table of operations, to which one is added as in `cos.api`, and the steps from a request to the reply."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

from cosv4fs.emulator.cdcs import coffers, multipart, objects
from cosv4fs.emulator.cdcs.call import Body, CofferCall, read_url
from cosv4fs.emulator.cdcs.service import CofferService
from cosv4fs.emulator.cdcs.signature import check_authorization
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.http import read_length
from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cosv4fs.emulator.call import Head
    from cosv4fs.emulator.http import Connection

_LARGEST_OBJECT = 5 * 1024**3
"""Bytes of a simple upload and of a part at most (cdcs.md#transport)."""

_LARGEST_JSON = 2 * 1024**2


@dataclass(frozen=True)
class _Operation:
    """One operation: what it does, and the requests for it.

    `query` is the parameter that selects it, if there is one; `status` is that of a reply without data. A body that is
    `stored` is streamed into the store while it is received. A request that `claims` its key holds it from its head
    until its reply.
    """

    run: Callable[[CofferService, CofferCall], dict[str, Any] | Reply | None]
    method: str
    path: Literal["service", "coffer", "object"]
    query: str = ""
    status: int = 200
    stored: bool = False
    claims: bool = False


OPERATIONS: Mapping[str, _Operation] = {
    "GetService": _Operation(coffers.get_service, "GET", "service"),
    "PutCoffer": _Operation(coffers.put_coffer, "PUT", "coffer"),
    "DeleteCoffer": _Operation(coffers.delete_coffer, "DELETE", "coffer", status=204),
    "GetCoffer": _Operation(coffers.get_coffer, "GET", "coffer"),
    "PutCofferLifecycle": _Operation(coffers.put_lifecycle, "PUT", "coffer", "lifecycle"),
    "GetCofferLifecycle": _Operation(coffers.get_lifecycle, "GET", "coffer", "lifecycle"),
    "PutCofferPolicy": _Operation(coffers.put_policy, "PUT", "coffer", "policy"),
    "GetCofferPolicy": _Operation(coffers.get_policy, "GET", "coffer", "policy"),
    "DeleteCofferPolicy": _Operation(coffers.delete_policy, "DELETE", "coffer", "policy"),
    "PutObject": _Operation(objects.put_object, "PUT", "object", stored=True, claims=True),
    "GetObject": _Operation(objects.get_object, "GET", "object"),
    "HeadObject": _Operation(objects.get_object, "HEAD", "object"),
    "InitiateMultipartUpload": _Operation(multipart.initiate, "POST", "object", "uploads", claims=True),
    "UploadPart": _Operation(multipart.upload_part, "PUT", "object", "uploadId", stored=True),
    "ListParts": _Operation(multipart.list_parts, "GET", "object", "uploadId"),
    "CompleteMultipartUpload": _Operation(multipart.complete, "POST", "object", "uploadId"),
    "AbortMultipartUpload": _Operation(multipart.abort, "DELETE", "object", "uploadId", status=204),
    "ListMultipartUploads": _Operation(multipart.list_uploads, "GET", "coffer", "uploads"),
}
"""The 18 operations of cdcs.md#service, by their names in the documentation."""

_BY_REQUEST: Mapping[tuple[str, str, str], str] = {
    (operation.method, operation.path, operation.query): name for name, operation in OPERATIONS.items()
}
_UNSUPPORTED = frozenset({"acl", "append", "cors", "delete", "restore", "tagging", "versioning", "versions", "copy"})
_COPIES = ("x-cdcs-copy-source", "x-cos-copy-source")


class CofferApi(CofferService):
    """CDCS for one account."""

    _storage_failed = "InternalError"
    _internal_error = "InternalError"
    _head_codes = MappingProxyType({0: "InvalidArgument"})

    def new_call(self, head: Head, restart: Callable[[], None]) -> CofferCall:
        """Return a new call."""
        return CofferCall(head, self._next_request_id(), self.stopping, restart, dialect=self.dialect)

    def peek(self, call: CofferCall, preview: Callable[[], bytes]) -> None:
        """Find the operation in the head."""
        with contextlib.suppress(ApiError):
            read_url(call)
            call.op = _find(call)

    def receive(self, call: CofferCall, connection: Connection) -> int:
        """Read the body: contents into the store, JSON into memory; drop that of a refused request."""
        length = read_length(call.head)
        try:
            self._read_head(call, length)
        except ApiError as error:
            call.error = error
            return connection.skip_body(call.head)
        for block in connection.read_blocks(length):
            call.body.add(block)
        return length

    def _read_head(self, call: CofferCall, length: int) -> None:
        """Read what the head says, and open what the body goes into."""
        read_url(call)
        call.op = _find(call)
        operation = OPERATIONS[call.op]
        limit = _LARGEST_OBJECT if operation.stored else _LARGEST_JSON
        if length > limit:
            raise ApiError("InvalidArgument", f"the body has more than {limit} bytes")
        # without its time: bodies without a valid signature are dropped, and claim no key
        check_authorization(call, self.account, None)
        if operation.claims:
            self._claim(call)
        if not operation.stored:
            call.body = Body(keep=True)
            return
        try:
            call.body = Body(self.store.open_blob(), tag=call.dialect.part_etag)
        except OSError as error:
            call.body.failure = error

    def perform(self, call: CofferCall) -> Reply:
        """Check the signature, now with its time, run the operation, and write its data as JSON."""
        check_authorization(call, self.account, self.clock() + call.skew)
        if call.body.failure is not None:
            raise call.body.failure
        self._expire()
        operation = OPERATIONS[call.op]
        result = operation.run(self, call)
        if isinstance(result, Reply):
            return result
        return call.empty_reply(operation.status) if result is None else call.json_reply(result)

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
        return Reply(error.status, body.encode(), error.code, kind, [("x-cdcs-trace-id", trace), *error.headers])

    def decorate(self, call: CofferCall, reply: Reply) -> None:
        """Begin the reply to CompleteMultipartUpload early, where the dialect does."""
        if call.op == "CompleteMultipartUpload":
            multipart.start_early(call, reply)

    def headers(self, call: CofferCall) -> list[tuple[str, str]]:
        """Return the server's name and the request's id."""
        return [("Server", "tencent-cdcs"), ("x-cdcs-request-id", call.request_id)]


def _find(call: CofferCall) -> str:
    """Return the name of the operation of a request (cdcs.md#service and cdcs.md#emulator)."""
    names = {name for name, _ in call.pairs}
    selector = ""
    if not call.coffer:
        kind = "service" if not call.key else ""
    elif call.key:
        kind = "object"
        selector = "uploads" if "uploads" in names else "uploadId" if call.text("uploadId") is not None else ""
    else:
        kind = "coffer"
        selector = next((name for name in ("lifecycle", "policy", "uploads") if name in names), "")
    found = _BY_REQUEST.get((call.head.method, kind, selector))
    is_unsupported = not names.isdisjoint(_UNSUPPORTED) or any(name in call.head.headers for name in _COPIES)
    if found is None or (is_unsupported and kind != "service"):
        what = f"a {kind}" if kind in {"coffer", "object"} else "the service"
        raise ApiError("MethodNotAllowed", f"{what} has no such operation")
    return found
