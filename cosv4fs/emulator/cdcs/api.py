"""From a request to the coffers to its operation, and what all answers of CDCS have in common."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cosv4fs.emulator.http import read_length
from cosv4fs.emulator.server import Api

from . import coffers, multipart, objects
from .call import Body, CofferCall, locate, operation
from .errors import CofferError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cosv4fs.emulator.http import Connection
    from cosv4fs.emulator.replies import Reply
    from cosv4fs.emulator.request import Head

    from .service import CofferService

__all__ = ["LARGEST_OBJECT", "OPERATIONS", "CofferApi"]

LARGEST_OBJECT = 5 * 1024**3
"""Bytes of a simple upload and of a part at most (cdcs.md#transport)."""

_LARGEST_JSON = 2 * 1024**2

OPERATIONS: dict[str, Callable[[CofferService, CofferCall], Reply]] = {
    "GetService": coffers.get_service,
    "PutCoffer": coffers.put_coffer,
    "DeleteCoffer": coffers.delete_coffer,
    "GetCoffer": coffers.get_coffer,
    "PutCofferLifecycle": coffers.put_lifecycle,
    "GetCofferLifecycle": coffers.get_lifecycle,
    "PutCofferPolicy": coffers.put_policy,
    "GetCofferPolicy": coffers.get_policy,
    "DeleteCofferPolicy": coffers.delete_policy,
    "PutObject": objects.put_object,
    "GetObject": objects.get_object,
    "HeadObject": objects.head_object,
    "InitiateMultipartUpload": multipart.initiate,
    "UploadPart": multipart.upload_part,
    "ListParts": multipart.list_parts,
    "CompleteMultipartUpload": multipart.complete,
    "AbortMultipartUpload": multipart.abort,
    "ListMultipartUploads": multipart.list_uploads,
}
"""The 18 operations of cdcs.md#service."""

_STORED = frozenset({"PutObject", "UploadPart"})
_CLAIMING = frozenset({"PutObject", "InitiateMultipartUpload"})


class CofferApi(Api[CofferCall]):
    """CDCS for one account.

    Parameters
    ----------
    service : CofferService
        The account with its coffers.
    """

    def __init__(self, service: CofferService) -> None:
        super().__init__(service.clock)
        self._service = service

    def request(self, head: Head, restart: Callable[[], None]) -> CofferCall:
        """Return a new call."""
        request_id = self._service.request_ids.next(self.clock())
        return CofferCall(head, request_id, self.stopping, restart=restart, dialect=self._service.dialect)

    def glance(self, request: CofferCall, preview: Callable[[], bytes]) -> None:
        """Tell everything from the head."""
        with contextlib.suppress(CofferError):
            request.target = locate(request.head)
            request.op = operation(request)

    def receive(self, request: CofferCall, connection: Connection) -> int:
        """Read the body: contents into the store, JSON into memory, and what is refused anyway into nothing."""
        length = read_length(request.head)
        try:
            self._prepare(request, length)
        except CofferError as error:
            request.error = error
            skipped = connection.skip_body(request.head)
            request.unread = skipped is None
            return skipped or 0
        body = request.body
        for block in connection.read_blocks(length):
            body.add(block)
        return length

    def _prepare(self, call: CofferCall, length: int) -> None:
        """Tell what is asked, and where the body goes."""
        call.target = locate(call.head)
        call.op = operation(call)
        limit = LARGEST_OBJECT if call.op in _STORED else _LARGEST_JSON
        if length > limit:
            raise CofferError("InvalidArgument", f"the body has more than {limit} bytes")
        self._service.authorize(call, timed=False)  # strangers hold no key, and what they send is not kept
        if call.op in _CLAIMING:
            self._service.claim(call)
        if call.op not in _STORED:
            call.body = Body(keep=True)
            return
        try:
            call.body = Body(self._service.store.open_blob(), tag=call.dialect.part_etag)
        except OSError as error:
            call.body.failure = error

    def act(self, request: CofferCall) -> Reply:
        """Perform the operation."""
        try:
            if request.error is not None:
                raise request.error
            self._service.authorize(request)
            if request.body.failure is not None:
                raise request.body.failure
            self._service.expire()
            return OPERATIONS[request.op](self._service, request)
        except CofferError as error:
            return request.refuse(error)

    def dress(self, request: CofferCall, reply: Reply) -> None:
        """Leave the answer as it is."""

    def forget(self, request: CofferCall) -> None:
        """Let go of the key and of the body."""
        self._service.release(request)
        request.body.discard()

    def bad_head(self, request: CofferCall, status: int) -> Reply:
        """Return InvalidArgument with the status that HTTP has for it."""
        message = "the request is not HTTP as it is wanted here"
        return request.refuse(CofferError("InvalidArgument", message, status=status))

    def no_room(self, request: CofferCall) -> Reply:
        """Return InternalError."""
        return request.refuse(CofferError("InternalError", "the storage fails"))

    def mistake(self, request: CofferCall) -> Reply:
        """Return InternalError."""
        return request.refuse(CofferError("InternalError"))

    def headers(self, request: CofferCall) -> list[tuple[str, str]]:
        """Return the server's name and the request's id."""
        return [("Server", "tencent-cdcs"), ("x-cdcs-request-id", request.request_id)]
