"""The client's reading of replies: for every operation, replies with damage at every level."""

from __future__ import annotations

import gc
import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from hypothesis import strategies as st

from cosv4fs.api import CosV4Client
from cosv4fs.api.cos.replies import SliceSession, UploadedObject
from cosv4fs.api.retry import RetryPolicy
from cosv4fs.config import resolve
from cosv4fs.errors import CosError
from tests.fuzz.mutations import JSON, Edit, edited, edits, replaced, replacements
from tests.fuzz.targets import check_error, target
from tests.support import Clock, RawServer, http_reply

MOST_REQUESTS = 30
SHA = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
LINKS = {"access_url": "http://a", "resource_path": "/1/b/x", "source_url": "http://s", "url": "http://u"}
SESSION = {"session": "s" * 20, "slice_size": 1048576}
ENTRY = {"name": "x", "filesize": 3, "filelen": 3, "sha": SHA, "ctime": 1, "mtime": 2}
CONTENT = memoryview(b"abc")

OPERATIONS: dict[str, tuple[Any, Any]] = {
    "stat": (
        lambda client: client.stat("b", "/x"),
        {**ENTRY, "biz_attr": "", "authority": "eInvalid", "custom_headers": {"Cache-Control": "no"}, "forbid": 0},
    ),
    "stat-directory": (lambda client: client.stat("b", "/d/"), {"biz_attr": "", "ctime": 1, "mtime": 2}),
    "list": (
        lambda client: list(client.list("b", "/d/")),
        {"context": "", "listover": True, "infos": [ENTRY, {"name": "dir", "ctime": 1, "mtime": 1}]},
    ),
    "list-more": (
        lambda client: list(client.list("b", "/d/")),
        {"context": "next", "listover": False, "infos": [ENTRY] * 3},
    ),
    "list-first": (lambda client: client.list_first("b", "/d/"), {"context": "", "listover": True, "infos": [ENTRY]}),
    "upload": (lambda client: client.upload("b", "/x", b"abc"), LINKS),
    "init": (lambda client: client.upload_slice_init("b", "/x", filesize=10, slice_size=1048576), SESSION),
    "data": (
        lambda client: client.upload_slice_data("b", "/x", "s", 0, CONTENT),
        {"session": "s", "offset": 0, "datalen": 3},
    ),
    "slices": (
        lambda client: client.upload_slice_list("b", "/x"),
        {**SESSION, "filesize": 10, "listparts": [{"offset": 0, "datalen": 10}], "sha": SHA + "_1"},
    ),
    "finish": (lambda client: client.upload_slice_finish("b", "/x", "s", 10, sha=SHA), LINKS),
    "create": (lambda client: client.create("b", "/d/"), {"ctime": 1}),
    "move": (lambda client: client.move("b", "/x", "/y"), None),
    "copy": (lambda client: client.copy("b", "/x", "/y"), None),
    "update": (lambda client: client.update("b", "/x", biz_attr="y"), None),
    "delete": (lambda client: client.delete("b", "/x"), None),
    "clock": (lambda client: client.clock_difference("b"), {"biz_attr": ""}),
}
"""How each operation is called, and the ``data`` of a good reply."""


class Peer:
    """A server that says anything, for one client after the other."""

    def __init__(self, server: RawServer) -> None:
        self.server = server

    def client(self, *replies: bytes) -> CosV4Client:
        """Return a new client that gets these replies, the last one again and again, then none."""
        self.server.requests.clear()
        self.server.replies[:] = [*replies, *[replies[-1]] * (MOST_REQUESTS - len(replies)), b""]
        clock = Clock()
        options = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "region": "gz"}
        options |= {"endpoint": self.server.endpoint, "read_timeout": 30.0}
        return CosV4Client(resolve(options), RetryPolicy(2, 120.0, clock=clock, sleep=clock.sleep))

    @property
    def asked(self) -> int:
        """The number of requests of the present client."""
        return len(self.server.requests)


@contextmanager
def peer() -> Iterator[Peer]:
    """Give a server that ends with the block."""
    with RawServer(b"") as server:
        yield Peer(server)


def chunked(body: bytes, sizes: list[bytes] | None = None) -> bytes:
    """Return a chunked body; `sizes` are written instead of the true sizes."""
    half = len(body) // 2
    pieces = [piece for piece in (body[:half], body[half:]) if piece]
    given = [b"%x" % len(piece) for piece in pieces]
    given[: len(sizes or [])] = (sizes or [])[: len(given)]
    return b"".join(b"%s\r\n%s\r\n" % pair for pair in zip(given, pieces, strict=True)) + b"0\r\n\r\n"


FRAMES = ["length", "length", "length", "none", "short", "long", "chunked", "gzip", "both", "lies", "two"]
LENGTHS = [
    b"-1", b"0", b"1e3", b"9" * 18, b"9" * 19, b"9" * 30, b"9" * 5000, b"", b"x", b"5, 5", b"\xb2", b"5_0", b"+5",
]  # fmt: skip
CHUNKS = [b"-5", b"-1", b"0", b"", b"x", b"f" * 15, b"f" * 40, b"5;x=y", b"1_0", b"+5", b"0x5", b" 5"]
STATUS_LINES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 500 x", b"HTTP/1.1 503 x",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 x", b"HTTP/1.1 206 x", b"HTTP/1.1 301 x", b"HTTP/1.1 416 x",
    b"HTTP/1.1 429 x", b"HTTP/1.1 100 Continue", b"HTTP/1.1 199 x", b"HTTP/1.1 999 x", b"HTTP/1.1 099 x",
    b"HTTP/1.1 2e2 x",
    b"HTTP/1.1 -20 x", b"HTTP/1.1", b"HTTP/1.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/3 200 OK", b"ICY 200 OK", b"",
    b"HTTP/1.1 200", b"HTTP/1.1 \xb2\xb0\xb0 x", b"HTTP/1.1 200 " + b"x" * 70000, b"HTTP/1.1 612 x",
    b"HTTP/1.1 401 \xff",
]  # fmt: skip
HEADERS = [
    b"Date: Mon, 20 Nov 99999999999 19:12:08 GMT", b"Date: Mon, 20 Nov 1995 19:12:08 +99999999999999999999",
    b"Date: Mon, 20 Nov 0000 00:00:00 GMT", b"Date: x", b"Date: Mon, 01 Jan 0001 00:00:00 +2359", b"Date: ",
    b"Date: \xff",
    b"Date: Mon, 31 Dec 9999 23:59:59 -2359", b"Date: Mon, 20 Nov 1995 99:99:99", b"Date: , , ,", b"Date: 1 1 1 1 1",
    b"Retry-After: 99999999999", b"Retry-After: -1", b"Retry-After: nan", b"Retry-After: " + b"9" * 40,
    b"Location: http://127.0.0.1:1/", b"Location: //", b"Set-Cookie: a=b", b"Content-Encoding: gzip",
    b"Content-Encoding: br", b"Transfer-Encoding: x", b"Transfer-Encoding: chunked", b"Connection: close",
    b"Connection: \xff",
    b"x-cos-request-id: " + b"\xff" * 500, b"X: " + b"x" * 70000, b"no colon", b": x", b" folded", b"\0: \0",
    b"\xff\xfe: x",
    b"\r\n".join(b"X-%d: y" % number for number in range(150)), b"Content-Type: text/html; charset=x",
    b"Content-Range: bytes 0-1/2", b"ETag: ", b"Keep-Alive: timeout=99999999999999999999", b"Trailer: x",
]  # fmt: skip


def framed(status: bytes, headers: list[bytes], body: bytes, frame: str, number: int = 0) -> bytes:
    """Return an HTTP reply whose body is announced in one of the ways of `FRAMES`, not all of them true."""
    lines = [status, *headers]
    length = b"Content-Length: %d" % len(body)
    if frame == "gzip":
        body = gzip.compress(body)
        lines += [b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)]
    elif frame == "chunked":
        lies = [None, *[[size] for size in CHUNKS]][number % (len(CHUNKS) + 1)]
        body = chunked(body, lies)
        lines.append(b"Transfer-Encoding: chunked")
    elif frame == "both":
        lines += [length, b"Transfer-Encoding: chunked"]
        body = chunked(body)
    elif frame == "two":
        lines += [length, b"Content-Length: %d" % (number % 50)]
    elif frame != "none":
        lie = {"short": len(body) // 2, "long": len(body) + 5}.get(frame)
        text = b"Content-Length: %d" % lie if lie is not None else length
        lines.append(b"Content-Length: " + LENGTHS[number % len(LENGTHS)] if frame == "lies" else text)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Case(NamedTuple):
    """A reply: the JSON changed at some places, its text edited, then framed, then edited again."""

    operation: str
    changes: tuple[Any, ...] = ()
    code: Any = 0
    text: tuple[Edit, ...] = ()
    status: bytes = STATUS_LINES[0]
    headers: tuple[bytes, ...] = ()
    frame: str = "length"
    number: int = 0
    raw: tuple[Edit, ...] = ()

    def body(self) -> bytes:
        """Return the body before it is framed."""
        envelope = {"code": self.code, "message": "SUCCESS", "request_id": "x", "data": OPERATIONS[self.operation][1]}
        text = json.dumps(replaced(envelope, list(self.changes)))
        return edited(text.encode(), list(self.text))

    def reply(self) -> bytes:
        """Return all bytes."""
        return edited(framed(self.status, list(self.headers), self.body(), self.frame, self.number), list(self.raw))


CODES = [-1, -96, -77, -71, -97, -197, -178, -4018, -4019, -173, -174, -94, -179, -73, -74, -165, -170, 1, 10**30]
CASES = st.builds(
    Case,
    st.sampled_from(sorted(OPERATIONS)),
    replacements().map(tuple),
    st.sampled_from([0] * 20 + CODES + ["0", "-197", "x", "", None, False, True, 0.0, -96.0, [], "-96", "9" * 5000])
    | JSON,
    edits(2).map(tuple),
    st.sampled_from([STATUS_LINES[0]] * 25 + STATUS_LINES),
    st.lists(st.sampled_from(HEADERS), max_size=2).map(tuple),
    st.sampled_from(FRAMES),
    st.integers(0, 60),
    edits(2).map(lambda changes: tuple(changes) if len(changes) == 2 else ()),
)

PINNED = [
    *(Case(operation) for operation in sorted(OPERATIONS)),
    *(Case("stat", code=-96, headers=(header,)) for header in HEADERS if header.startswith(b"Date")),
    *(Case("stat", frame="chunked", number=number) for number in range(len(CHUNKS) + 1)),
    Case("delete", code=False),
    Case("stat", code=True),
    Case("stat", changes=((7, "set", 1e300),)),
]


@target(CASES, bench=peer, pinned=PINNED, weight=6)
def check_replies(other: Peer, case: Case) -> None:
    """An operation returns what a good reply says, or raises an `OSError` of ours, after few requests."""
    call, data = OPERATIONS[case.operation]
    client = other.client(case.reply())
    try:
        result = call(client)
    except CosError as error:
        _check_refusal(case, error)
    else:
        _check_result(case, result, data)
    finally:
        client.close()
    assert other.asked < MOST_REQUESTS


def _check_refusal(case: Case, error: CosError) -> None:
    check_error(error)
    assert error.filename
    assert repr(case) != repr(Case(case.operation)), "a good reply was refused"


PLACES = {
    "message": '{"code": -1, "message": %s}',
    "request id": '{"code": -1, "request_id": %s}',
    "code": '{"code": %s}',
    "data": '{"code": 0, "data": %s}',
    "size": '{"code": 0, "data": {"filesize": %s}}',
    "name": '{"code": 0, "data": {"infos": [{"name": %s}]}}',
    "header": '{"code": 0, "data": {"filesize": 1, "custom_headers": {"a": %s}}}',
    "parts": '{"code": 0, "data": {"session": "s", "slice_size": 1, "filesize": 1, "listparts": [{"offset": %s}]}}',
    "text": '{"code": 0, "data": {"session": "s", "slice_size": 1, "filesize": 1, "listparts": "%s"}}',
}
"""Replies with a place for something deep."""


@target(
    st.tuples(
        st.sampled_from(["stat", "list", "slices", "delete"]),
        st.sampled_from(sorted(PLACES)),
        st.integers(0, 120),
        st.booleans(),
    ),
    bench=peer,
    pinned=[(op, place, 0, False) for op, place in (("stat", "message"), ("stat", "size"), ("stat", "header"))],
    weight=2,
)
def check_nesting(other: Peer, case: tuple[str, str, int, bool]) -> None:
    """JSON that is nested nearly as deep as the interpreter can go, or a little deeper, is an error like others."""
    operation, place, spare, mapping = case
    depth = sys.getrecursionlimit() - spare
    deep = '{"a":' * depth + "1" + "}" * depth if mapping and place != "text" else "[" * depth + "]" * depth
    client = other.client(http_reply((PLACES[place] % deep).encode()))
    outcome: list[BaseException | None] = []

    def call() -> None:
        try:
            OPERATIONS[operation][0](client)
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    # a thread begins with an empty stack; a collection at its end would run the finalizers of others there
    thread = threading.Thread(target=call)
    gc.disable()
    try:
        thread.start()
        thread.join()
    finally:
        gc.enable()
    client.close()
    assert len(outcome) == 1
    assert outcome[0] is None or isinstance(outcome[0], CosError), repr(outcome[0])
    assert outcome[0] is not None or (operation, place) not in [("stat", "size"), ("stat", "message")]


def _check_result(case: Case, result: Any, data: Any) -> None:
    missing = (result is None and case.operation == "slices") or case.code in (-178, -4018, -197, "-197")
    if case.operation == "clock" or missing or case.raw:
        return
    # whatever was believed came whole, with a status that says so, from an envelope that says 0
    assert case.status.split()[1:2] in ([b"200"], [b"206"], [b"204"], [b"999"]) or b"\xb2" in case.status, case.status
    if case.frame in ("short", "lies", "gzip", "both", "two", "chunked") or case.headers:
        return
    envelope = json.loads(case.body())
    code = envelope["code"]
    assert not isinstance(code, bool)
    assert int(code) == 0
    said = envelope.get("data")
    if case.operation == "stat":
        assert (result.size, result.is_directory) == (int(said["filesize"]), False)
    elif case.operation.startswith("list"):
        entries = result[0] if case.operation == "list-first" else result
        assert case.operation == "list-more" or len(entries) == len(_sequence(said.get("infos")))
    elif case.operation == "data":
        assert (int(said["offset"]), int(said.get("datalen") or 3)) == (0, 3)
        assert (result.offset, result.length) in ((0, 3), (0, None))
    elif case.operation == "slices":
        assert (result.session, result.slice_size) == (said["session"], int(said["slice_size"]))
    elif case.operation == "init":
        assert isinstance(result, SliceSession if said and said.get("session") is not None else UploadedObject)
    if case == Case(case.operation) and data is LINKS:
        assert result == UploadedObject("http://a", "http://s", "/1/b/x", "http://u")


def _sequence(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value.strip() else []
    return value or []
