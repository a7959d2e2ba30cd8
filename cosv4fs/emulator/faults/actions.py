"""The kinds of faults: connections that break, responses that are changed, late or damaged."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.faults.rules import Action, Disconnect, Stage
from cosv4fs.emulator.replies import FileBody, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cosv4fs.emulator.call import Call

_TIMEOUT = 30.0
_HTML = "<html><head><title>error</title></head><body><center><h1>error</h1></center></body></html>\r\n"
_XML = (
    "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>{name}</Code>\n\t<Message>{name}</Message>\n"
    "\t<RequestId>{request_id}</RequestId>\n</Error>\n"
)
_TYPES = {"html": "text/html", "xml": "application/xml", "json": "application/json", "empty": "text/plain"}
_NUMBERS = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


@dataclass(frozen=True)
class RefuseConnection(Action):
    """Reset a connection as soon as it is accepted.

    Its rule counts connections. ``Emulator.unreachable`` refuses all of them while it lasts, before they are accepted.
    """

    stage: ClassVar[Stage] = "connection"


@dataclass(frozen=True)
class CutRequest(Action):
    """Reset the connection while the body of a request is received; the operation does not run.

    A rule with ``op`` matches only operations named in the query or at the beginning of the body. `DropBefore` closes
    after the whole body.

    Parameters
    ----------
    count : int
        How many bytes of the body are read first.
    """

    count: int = 0

    stage: ClassVar[Stage] = "body"


@dataclass(frozen=True)
class DropBefore(Action):
    """Close the connection when the request is read, without running the operation and without a reply.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    reset: bool = False

    def before(self, call: Call) -> Reply | None:
        """Close."""
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class DropReply(Action):
    """Run the operation, then close the connection without a reply: the lost reply.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    reset: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Close."""
        reply.discard()
        raise Disconnect(reset=self.reset)


@dataclass(frozen=True)
class CutReply(Action):
    """Send the correct head but only the first bytes of the body, then close the connection.

    Parameters
    ----------
    count : int, optional
        How many bytes of the body are sent; None: all, but the announced keep-alive connection ends after it.
    reset : bool
        Whether the client sees a reset, after those bytes, instead of an orderly end.
    """

    count: int | None = None
    reset: bool = False

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""
        reply.cut = reply.length if self.count is None else self.count
        reply.reset = self.reset
        return reply


@dataclass(frozen=True)
class Restart(Action):
    """Stop the service and start it again, on the same port and folder; the request gets no reply.

    Parameters
    ----------
    acted : bool
        Whether the operation runs before.
    """

    acted: bool = False

    def before(self, call: Call) -> Reply | None:
        """Restart, unless the operation is to run before."""
        if not self.acted:
            self._restart(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Restart."""
        reply.discard()
        self._restart(call)
        return reply

    def _restart(self, call: Call) -> None:
        call.restart()
        call.stopping.wait(_TIMEOUT)
        raise Disconnect(reset=True)


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
    acted : bool
        Whether the operation runs nevertheless.
    """

    code: int | str
    retry_after: int | None = None
    status: int | None = None
    acted: bool = False

    def __post_init__(self) -> None:
        self._error()  # an unknown code fails here, not in the service

    def before(self, call: Call) -> Reply | None:
        """Refuse, unless the operation is to run before."""
        if not self.acted:
            raise self._error()
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Refuse what was carried out."""
        if not self.acted:
            return reply
        reply.discard()
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


def _hold(action: Stall | StallReply, call: Call) -> None:
    """Keep a request waiting until a test releases it."""
    action.entered.set()
    end = time.monotonic() + action.timeout
    while not call.stopping.is_set() and time.monotonic() < end:
        if action.release.wait(0.02):
            return


@dataclass(frozen=True)
class Stall(Action):
    """Hold a request until a test releases it.

    Parameters
    ----------
    release : threading.Event
        Set to release it.
    acted : bool
        Whether the operation runs before the wait.
    timeout : float
        Seconds after which it continues anyway.
    entered : threading.Event
        Set as soon as a request waits.
    """

    release: threading.Event = field(default_factory=threading.Event, repr=False)
    acted: bool = False
    timeout: float = 60.0
    entered: threading.Event = field(default_factory=threading.Event, repr=False)

    def before(self, call: Call) -> Reply | None:
        """Wait, then let the request through."""
        if not self.acted:
            _hold(self, call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Wait, then let the reply through."""
        if self.acted:
            _hold(self, call)
        return reply


@dataclass(frozen=True)
class StallReply(Action):
    """Send the head and the first bytes of the reply, and the rest when a test releases it.

    Parameters
    ----------
    count : int
        How many bytes of the body are sent first.
    release, timeout, entered
        As of `Stall`.
    """

    count: int = 0
    release: threading.Event = field(default_factory=threading.Event, repr=False)
    timeout: float = 60.0
    entered: threading.Event = field(default_factory=threading.Event, repr=False)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""

        def pieces(length: int) -> Iterator[int]:
            yield min(self.count, length)
            _hold(self, call)
            yield max(0, length - self.count)

        reply.pieces = pieces
        return reply


@dataclass(frozen=True)
class Trickle(Action):
    """Send the body of the reply in small pieces with pauses between them, then the rest at once.

    Parameters
    ----------
    step : int
        Bytes of a piece.
    pieces : int
        How many pieces there are at most before the rest.
    seconds : float
        A pause.
    pause : callable
        Called with `seconds` after every piece.
    """

    step: int = 1
    pieces: int = 64
    seconds: float = 0.005
    pause: Callable[[float], object] = field(default=time.sleep, repr=False)

    def after(self, call: Call, reply: Reply) -> Reply:
        """Mark the reply."""

        def pieces(length: int) -> Iterator[int]:
            left = length
            for _ in range(self.pieces):
                if left <= self.step or call.stopping.is_set():
                    break
                yield self.step
                left -= self.step
                self.pause(self.seconds)
            yield left

        reply.pieces = pieces
        return reply


@dataclass(frozen=True)
class Corrupt(Action):
    """Flip bits in the body of the reply; its length stays.

    Parameters
    ----------
    position : int
        Which byte, from the end when negative.
    mask : int
        The bits.
    """

    position: int = 0
    mask: int = 0xFF

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the body."""
        body = bytearray(reply.read(0, reply.length))
        reply.discard()
        if -len(body) <= self.position < len(body):
            body[self.position] ^= self.mask
        reply.body = bytes(body)
        return reply


@dataclass(frozen=True)
class WrongLength(Action):
    """Announce a ``Content-Length`` other than the body's.

    The connection is kept when too little is announced, so that the surplus precedes the next reply; when too much
    is announced, it is closed after the body.

    Parameters
    ----------
    by : int
        How much too long (or, negative, too short) the announced length is; never less than zero is announced.
    """

    by: int

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        reply.overrides["content-length"] = str(max(0, reply.length + self.by))
        if self.by > 0:
            reply.cut = reply.length
        return reply


@dataclass(frozen=True)
class WrongRange(Action):
    """Send a ``Content-Range`` other than the body's; replies without one stay unchanged.

    Parameters
    ----------
    first, last, size : int
        What is added to the three numbers of the header.
    """

    first: int = 0
    last: int = 0
    size: int = 0

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        match = _NUMBERS.match(dict(reply.headers).get("Content-Range", ""))
        if match is not None:
            first, last, size = map(int, match.groups())
            text = f"bytes {first + self.first}-{last + self.last}/{size + self.size}"
            reply.overrides["content-range"] = text
        return reply


@dataclass(frozen=True)
class WrongHeader(Action):
    """Change, add or remove a header of the reply.

    Parameters
    ----------
    name : str
        Which one, for example ``Content-Range``, ``ETag``, ``Date`` or ``Content-Type``.
    text : str, optional
        Its value; None: it is removed.
    """

    name: str
    text: str | None = None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the header."""
        reply.overrides[self.name.lower()] = self.text
        if self.name.lower() == "content-length":
            reply.cut = reply.length  # only the end of the connection ends the body then
        return reply


@dataclass(frozen=True)
class BrokenJson(Action):
    """Run the operation, and reply with broken or invalid JSON. Replies that are no JSON stay unchanged.

    Parameters
    ----------
    kind : str
        ``truncated``, ``empty``, ``text`` (a page of HTML under the name of JSON) and ``not-utf8`` are no JSON;
        ``array``, ``null-data`` and ``code`` (text instead of a number) are not the envelope; ``types`` has every value
        of ``data``, or of a reply without an envelope, in a wrong type; ``huge`` has eight million bytes more,
        ``nested`` many lists in lists.
    """

    kind: Literal["truncated", "empty", "text", "not-utf8", "array", "null-data", "code", "types", "huge", "nested"] = (
        "truncated"
    )

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change the body."""
        if isinstance(reply.body, FileBody):
            return reply
        try:
            envelope = json.loads(reply.body)
        except ValueError:
            return reply  # not JSON, whatever its type says
        reply.body = _break(self.kind, reply.body, envelope)
        return reply


def _break(kind: str, body: bytes, envelope: dict[str, Any]) -> bytes:
    raw = {
        "truncated": body[: -max(1, len(body) // 3)],
        "empty": b"",
        "text": b"<html><body>welcome</body></html>",
        "not-utf8": body.replace(b'": "', b'": "\xff\xfe', 1),
        "array": b"[" + body + b"]",
    }
    if kind in raw:
        return raw[kind]
    if kind == "huge":
        return json.dumps({**envelope, "padding": "x" * 8_000_000}).encode()
    if kind == "nested":
        return body[:-1] + b', "padding": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    if kind == "code":
        return json.dumps({**envelope, "code": "zero"}).encode()
    if "code" not in envelope:  # no envelope: the reply is the data
        changed = {name: _change_types(value, 1) for name, value in envelope.items()}
        return json.dumps(None if kind == "null-data" else changed).encode()
    data = None if kind == "null-data" else _change_types(envelope.get("data", 0))
    return json.dumps({**envelope, "data": data}).encode()


def _change_types(value: object, depth: int = 0) -> object:
    if isinstance(value, dict):
        return {name: _change_types(item, depth + 1) for name, item in value.items()} if not depth else [value]
    if isinstance(value, str):
        return {"text": value}
    return "many" if isinstance(value, (bool, int, float)) else {"0": value}
