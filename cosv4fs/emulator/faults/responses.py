"""Faults that change the response: refusals, pages of a gateway, a wrong clock, a full disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.replies import Reply

from .rules import Action

if TYPE_CHECKING:
    from cosv4fs.emulator.call import Call

_HTML = "<html><head><title>error</title></head><body><center><h1>error</h1></center></body></html>\r\n"
_XML = (
    "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>{name}</Code>\n\t<Message>{name}</Message>\n"
    "\t<RequestId>{request_id}</RequestId>\n</Error>\n"
)
_TYPES = {"html": "text/html", "xml": "application/xml", "json": "application/json", "empty": "text/plain"}


@dataclass(frozen=True)
class Refuse(Action):
    """Refuse the request with an error code of the service.

    Parameters
    ----------
    code : int or str
        The code: a number of the JSON API, or a word of coffers.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.
    status : int, optional
        An HTTP status other than the code's.
    """

    code: int | str
    retry_after: int | None = None
    status: int | None = None

    def __post_init__(self) -> None:
        self._error()  # an unknown code fails here, not in the service

    def before(self, call: Call) -> Reply | None:
        """Refuse."""
        raise self._error()

    def _error(self) -> ApiError:
        return ApiError(self.code, status=self.status, retry_after=self.retry_after)


@dataclass(frozen=True)
class HttpError(Action):
    """Reply with an HTTP status and without the API's envelope, as a gateway in front of the service does.

    Parameters
    ----------
    status : int
        For example 500, 502, 503, 504.
    body : str, optional
        The body; None: one that fits `kind`.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.
    acted : bool
        Whether the operation runs nevertheless.
    kind : {"html", "xml", "json", "empty"}
        The format of the body. JSON has the three fields of old download errors, not the API's.
    """

    status: int
    body: str | None = None
    retry_after: int | None = None
    acted: bool = False
    kind: Literal["html", "xml", "json", "empty"] = "html"

    def before(self, call: Call) -> Reply | None:
        """Reply at once, unless the operation is to run."""
        return None if self.acted else self._page(call)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Replace the real reply with the page."""
        if not self.acted:
            return reply
        reply.discard()
        return self._page(call)

    def _page(self, call: Call) -> Reply:
        reply = Reply(self.status, self._text(call).encode(), -1, _TYPES[self.kind])
        if self.retry_after is not None:
            reply.headers.append(("Retry-After", str(self.retry_after)))
        return reply

    def _text(self, call: Call) -> str:
        if self.body is not None:
            return self.body
        if self.kind == "xml":
            name = {503: "SlowDown", 504: "GatewayTimeout"}.get(self.status, "InternalError")
            return _XML.format(name=name, request_id=call.request_id)
        if self.kind == "json":
            return json.dumps({"errorcode": -self.status, "errormsg": "internal error", "retcode": -self.status})
        return _HTML if self.kind == "html" else ""


@dataclass(frozen=True)
class ClockSkew(Action):
    """Serve with an offset clock: signatures are checked against it, and the ``Date`` header shows it.

    To offset the clock of the whole service, use ``Emulator.clock_offset``.

    Parameters
    ----------
    seconds : float
        How far the clock is ahead; behind when negative.
    """

    seconds: float

    def before(self, call: Call) -> Reply | None:
        """Offset the clock for this request."""
        call.skew = self.seconds
        return None


@dataclass(frozen=True)
class DiskFull(Action):
    """Run the operation on a full disk: writes fail half-way, with −6993 or InternalError. Reads work."""

    def before(self, call: Call) -> Reply | None:
        """Fill the disk for this request."""
        call.disk_full = True
        return None
