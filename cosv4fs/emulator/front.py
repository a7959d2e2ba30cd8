"""From a request to a bucket to its operation, and from what comes of that to the words of the JSON API."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from . import v3
from .call import Call, Place, locate
from .downloads import download
from .errors import ApiError, UnknownBucketError
from .forms import read_body, read_op
from .http import LARGEST_BODY, SMALL_BODY, read_length
from .operations import perform
from .replies import Reply, error_reply, unknown_bucket_reply
from .server import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from .http import Connection
    from .request import Head
    from .service import Service

__all__ = ["BucketApi"]

_HEAD_CODES = {405: -5996, 411: -5992, 413: -5991, 414: -187, 431: -5999}
_LARGEST_TEXT = 1 << 20
"""Bytes of a body that is no form."""
_EXPOSED = "ETag, Content-Length, Content-Range, Accept-Ranges, Last-Modified, Date, x-cos-request-id"


class BucketApi(Api[Call]):
    """The JSON API of one account.

    Parameters
    ----------
    service : Service
        The account with its buckets.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(service.clock)
        self._service = service

    def request(self, head: Head, restart: Callable[[], None]) -> Call:
        """Return a new call."""
        return Call(head, self._service.request_ids.next(self.clock()), self.stopping, restart=restart)

    def glance(self, request: Call, preview: Callable[[], bytes]) -> None:
        """Tell the operation from the query, or from what has come of a form."""
        with contextlib.suppress(ApiError, UnknownBucketError):
            request.place = self._locate(request.head)
            request.op = request.place.query.get("op", "") or read_op(preview())

    def receive(self, request: Call, connection: Connection) -> int:
        """Read the body, and the parameters from wherever they are; what is refused anyway is not kept."""
        needed = False
        try:
            needed = self._prepare(request, connection)
        except (ApiError, UnknownBucketError) as error:
            request.error = error
        if not needed:
            length = connection.skip_body(request.head)
            request.unread = length is None
            return length or 0
        body = connection.read_body(request.head, _most(request.head))
        try:
            self._understand(request, connection, body)
        except (ApiError, UnknownBucketError) as error:
            request.error = error
        return len(body)

    def _prepare(self, call: Call, connection: Connection) -> bool:
        """Read what the head says; return whether the body says more.

        Raises
        ------
        ApiError, UnknownBucketError
            It is refused. Strangers get no memory for more than a small body.
        """
        place = call.place = self._locate(call.head)
        method = call.head.method
        if method == "OPTIONS":
            call.op = "options"
            return False
        if place.download_host or (method in {"GET", "HEAD"} and not _named(place)):
            call.op = "head" if method == "HEAD" else "download"
            return False
        if SMALL_BODY < read_length(call.head) <= _most(call.head):
            try:
                self._service.check_signer(call)
            except ApiError:
                call.op = place.query.get("op", "") or read_op(connection.beginning())
                raise
        return True

    def act(self, request: Call) -> Reply:
        """Perform the operation."""
        if request.error is not None:
            return self._error(request, request.error)
        try:
            if request.op == "options":
                return _preflight(request)
            if request.op in {"download", "head"}:
                return download(self._service, request)
            return perform(self._service, request)
        except (ApiError, UnknownBucketError) as error:
            return self._error(request, error)

    def dress(self, request: Call, reply: Reply) -> None:
        """Give an answer the form of the API version that was asked."""
        if request.is_v3:
            v3.dress(reply)

    def forget(self, request: Call) -> None:
        """Let go of the content: the connection's next request overwrites it."""
        request.parameters.content = None

    def bad_head(self, request: Call, status: int) -> Reply:
        """Return the code that fits best."""
        return error_reply(request.request_id, ApiError(_HEAD_CODES.get(status, -5999), status=status))

    def no_room(self, request: Call) -> Reply:
        """Return −6993."""
        return self._error(request, ApiError(-6993))

    def mistake(self, request: Call) -> Reply:
        """Return −9999."""
        return error_reply(request.request_id, ApiError(-9999, status=500))

    def headers(self, request: Call) -> list[tuple[str, str]]:
        """Return the server's name, the request's id, and what browsers ask for."""
        return [
            ("Server", "tencent-cos"),
            ("x-cos-request-id", request.request_id),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", _EXPOSED),
        ]

    def _locate(self, head: Head) -> Place:
        return locate(head, self._service.appid, frozenset(self._service.buckets))

    def _understand(self, call: Call, connection: Connection, body: memoryview) -> None:
        assert call.place is not None  # found in the head
        content_type = call.head.headers.get("content-type", "")
        call.parameters = read_body(body, connection.buffer, content_type, call.place.query)
        call.op = call.parameters.text("op") or (
            v3.implied(call.head.method, call.parameters.values) if call.is_v3 else ""
        )

    def _error(self, call: Call, error: Exception) -> Reply:
        if not isinstance(error, ApiError):
            return unknown_bucket_reply(call.request_id)
        dialect = self._service.dialect
        downloading = call.op in {"download", "head"}
        if error.status == 404 and (downloading or call.op == "upload_slice_list"):
            if dialect.not_found_body == "empty":
                return Reply(404, b"", error.code)
            if dialect.not_found_body == "html":
                page = b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>\r\n"
                return Reply(404, page, error.code, "text/html")
        fixed = {"mapped": None, "always-400": 400, "always-200": 200}[dialect.error_status]
        return error_reply(call.request_id, error, None if downloading else fixed)


def _most(head: Head) -> int:
    """Return how long the body of a request may be: only forms carry contents."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return LARGEST_BODY if kind == "multipart/form-data" else _LARGEST_TEXT


def _named(place: Place) -> str:
    """Return the operation that a URL names, or means where v3 need not be told."""
    return place.query.get("op") or (v3.implied("GET", place.query) if place.version == "v1" else "")


def _preflight(call: Call) -> Reply:
    wanted = call.head.headers.get("access-control-request-headers", "*")
    return Reply(
        headers=[
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "".join(c for c in wanted if c.isprintable())),
            ("Access-Control-Max-Age", "600"),
        ]
    )
