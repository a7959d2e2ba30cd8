"""Every kind of fault of the JSON API, byte by byte."""

import http.client
import json
import socket
import threading
import time
from email.utils import parsedate_to_datetime

import pytest

from cosv4fs.emulator import faults

from .client import APPID, NOW, Client, form, sign

GONE = (http.client.HTTPException, ConnectionError)
BODY = bytes(range(256)) * 2000
HOST = f"b-{APPID}.cosgz.myqcloud.com"


class Wire:
    """One connection, byte by byte."""

    def __init__(self, emulator):
        self.socket = socket.create_connection(("127.0.0.1", emulator.port), timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def get(self, path="/f", **headers):
        lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: {sign()}"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        return self

    def rest(self):
        """Return all that comes, and whether the end is a reset."""
        data = bytearray()
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                return bytes(data), True
            if not piece:
                return bytes(data), False
            data += piece


def body(data):
    return data.partition(b"\r\n\r\n")[2]


def settle():
    """Wait until a restart that was ordered is over."""
    until = time.monotonic() + 30
    while any(thread.name == "cos-emulator-restart" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_refused_connections(emulator, client):
    fault = emulator.faults.add(action=faults.RefuseConnection(), nth=2, times=2)
    results = []
    for _ in range(4):
        try:
            results.append(client.get("/", "stat").code)
        except ConnectionError:
            results.append(None)
    assert results == [0, None, None, 0]
    assert (fault.seen, fault.hits) == (4, 2)
    with pytest.raises(ValueError, match="connection"):
        emulator.faults.add(action=faults.RefuseConnection(), op="stat")


@pytest.mark.parametrize("hang_up", [True, False])
def test_unreachable(emulator, client, hang_up):
    client.upload("/f", BODY)
    with Wire(emulator) as old:
        first, connection = b"", old.get().socket
        while BODY not in first:
            # a reply that is being sent breaks off
            first += connection.recv(65536)
        with emulator.unreachable(hang_up=hang_up):
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    client.get("/", "stat")
            if not hang_up:
                old.get(Connection="close")
            assert (first + old.rest()[0]).count(BODY) == (1 if hang_up else 2)
        assert client.download("/f").body == BODY
        with emulator.unreachable():
            emulator.restart()
        assert client.download("/f").body == BODY
        with emulator.unreachable():
            emulator.stop()
        with pytest.raises(ConnectionRefusedError):
            client.get("/", "stat")


@pytest.mark.parametrize("op", [None, "upload"])
@pytest.mark.parametrize("count", [0, 100, 300_000])
def test_cut_requests(emulator, client, op, count):
    fault = emulator.faults.add(op=op, path="/f", action=faults.CutRequest(count))
    assert client.upload("/g", BODY).code == 0
    with pytest.raises(GONE):
        client.upload("/f", BODY)
    assert fault.hits == 1
    record = emulator.requests[-1]
    assert (record.op, record.path, record.status, record.bytes_in) == (op or "upload", "/f", 0, count)
    assert client.names() == ["g"]
    assert client.upload("/f", BODY).code == 0


def test_cut_requests_of_other_forms(emulator, client):
    emulator.faults.add(op="create", action=faults.CutRequest(5), times=2)
    for carrier in ("json", "query"):
        with pytest.raises(GONE):
            client.post("/d/", "create", carrier=carrier)
    assert client.post("/d/", "create", carrier="json").code == 0
    emulator.faults.add(op="move", action=faults.CutRequest())
    assert client.raw("POST", "/nonsense", body=b"x").status == 400
    assert client.raw("POST", "/x", headers={"Content-Length": "x"}).status == 400


def test_cut_after_100_continue(emulator):
    emulator.faults.add(op="upload", action=faults.CutRequest(10))
    text, kind = form({"op": "upload", "filecontent": BODY})
    head = (
        f"POST /files/v2/{APPID}/b/f HTTP/1.1\r\nAuthorization: {sign()}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(text)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with Wire(emulator) as wire:
        wire.socket.sendall(head.encode())
        assert wire.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.socket.sendall(text[:2000])
        assert wire.rest() == (b"", True)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("count", [0, 7, 300_000, None])
def test_cut_replies(emulator, client, count, reset):
    client.upload("/f", BODY)
    emulator.faults.add(op="download", action=faults.CutReply(count, reset=reset))
    with Wire(emulator) as wire:
        data, was_reset = wire.get().rest()
    assert f"Content-Length: {len(BODY)}\r\nConnection: keep-alive\r\n".encode() in data
    assert body(data) == BODY[:count]
    assert was_reset is reset


def test_resets_are_resets(emulator):
    for action in (faults.DropBefore(reset=True), faults.DropReply(reset=True)):
        emulator.faults.add(action=action)
        with Wire(emulator) as wire:
            assert wire.get().rest() == (b"", True)
    emulator.faults.add(action=faults.DropReply())
    with Wire(emulator) as wire:
        assert wire.get().rest() == (b"", False)


def test_trickle(emulator, client):
    client.upload("/f", BODY)
    pauses = []
    emulator.faults.add(action=faults.Trickle(10, pieces=30, seconds=9.0, pause=pauses.append), times=None)
    assert client.download("/f").body == BODY
    assert pauses == [9.0] * 30
    assert client.download("/f", Range="bytes=0-99").body == BODY[:100]
    assert len(pauses) == 39
    assert client.get("/f", "stat").data["filesize"] == len(BODY)


def test_pieces_arrive_one_by_one(emulator, client):
    client.upload("/f", b"0123456789")
    gate = threading.Semaphore(0)
    emulator.faults.add(action=faults.Trickle(4, pause=lambda _: gate.acquire(timeout=30)))
    with Wire(emulator) as wire, wire.get(Connection="close").socket.makefile("rb", buffering=0) as stream:
        while stream.readline() != b"\r\n":
            pass
        assert stream.read(100) == b"0123"
        gate.release(2)
        assert wire.rest() == (b"456789", False)


def test_stall_within_a_reply(emulator, client):
    client.upload("/f", BODY)
    action = faults.StallReply(5)
    emulator.faults.add(op="download", action=action)
    with Wire(emulator) as wire:
        wire.get(Connection="close")
        assert action.entered.wait(30)
        data = b""
        while not data.endswith(b"\r\n\r\n" + BODY[:5]):
            data += wire.socket.recv(65536)
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(65536)
        action.release.set()
        wire.socket.settimeout(30)
        assert wire.rest() == (BODY[5:], False)


@pytest.mark.parametrize("status", [500, 503, 504])
@pytest.mark.parametrize(
    ("kind", "content_type", "text"),
    [
        ("html", "text/html", b"<html>"),
        ("xml", "application/xml", b"<Error>"),
        ("json", "application/json", b"errorcode"),
        ("empty", "text/plain", b""),
    ],
)
def test_http_errors(emulator, client, status, kind, content_type, text):
    emulator.faults.add(action=faults.HttpError(status, kind=kind))
    answer = client.upload("/f", b"x")
    assert (answer.status, answer.headers["Content-Type"]) == (status, content_type)
    assert text in answer.body
    assert bool(answer.body) is (kind != "empty")
    assert client.names() == []
    emulator.faults.add(action=faults.HttpError(status, "own words", kind=kind, acted=True, retry_after=2))
    answer = client.upload("/f", b"x")
    assert (answer.status, answer.body, answer.headers["Retry-After"]) == (status, b"own words", "2")
    assert client.names() == ["f"]


@pytest.mark.parametrize("code", [-94, -5983, -96])
def test_refusals_of_slices(emulator, client, code):
    session = client.begin("/f", 4).data["session"]
    emulator.faults.add(op="upload_slice_data", action=faults.Refuse(code))
    assert client.piece("/f", session, 0, b"0123").code == code
    assert client.piece("/f", session, 0, b"0123").code == 0


def date(answer):
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def test_date_follows_the_clock(emulator, client, clock):
    assert date(client.get("/", "stat")) == NOW
    clock.now += 100
    assert date(client.get("/", "stat")) == NOW + 100
    assert date(client.raw("GET", "/nonsense")) == NOW + 100


def test_clock_offset(emulator, client):
    for offset, code in ((3600, -96), (-200 * 86400, -97), (0, 0)):
        emulator.clock_offset = offset
        answer = client.upload("/f", b"x")
        assert answer.code == code
        assert date(answer) == NOW + offset
        if code:
            later = sign(t=NOW + offset, e=NOW + offset + 600)
            assert client.get("/", "stat", signature=later).code == 0


def test_disk_full(emulator, client, capfd):
    client.upload("/f", b"old")
    session = client.begin("/u", 8).data["session"]
    client.piece("/u", session, 0, b"01234567")
    emulator.faults.add(action=faults.DiskFull(), times=None)
    for answer in (
        client.upload("/f", b"new", insertOnly=0),
        client.piece("/u", session, 0, b"76543210"),
        client.finish("/u", session, 8),
        client.begin("/v", 1),
        client.post("/d/", "create"),
        client.post("/f", "delete"),
    ):
        assert (answer.code, answer.status) == (-6993, 500)
    assert client.download("/f").body == b"old"
    emulator.faults.clear()
    assert len(list((emulator.root / "blobs").iterdir())) == 2
    assert client.names() == ["f", "u"]
    assert client.piece("/u", session, 0, b"01234567").code == 0
    assert client.finish("/u", session, 8).code == 0
    assert client.download("/u").body == b"01234567"
    assert capfd.readouterr().err == ""


def test_a_disk_that_is_really_full(emulator, client, monkeypatch):
    """The same answer comes from a disk that is really full."""
    import os

    def pwrite(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        assert client.upload("/f", b"new").code == -6993
    assert list((emulator.root / "blobs").iterdir()) == []


@pytest.mark.parametrize("by", [5, -5])
def test_wrong_length(emulator, client, by):
    client.upload("/f", BODY)
    emulator.faults.add(op="download", action=faults.WrongLength(by))
    with Wire(emulator) as wire:
        wire.get()
        if by < 0:
            wire.get(Connection="close")
        data, _ = wire.rest()
    assert f"Content-Length: {len(BODY) + by}\r\n".encode() in data
    first = body(data)
    if by > 0:
        assert first == BODY
    else:
        assert first.startswith(BODY + b"HTTP/1.1 200 OK\r\n")
    emulator.faults.add(op="stat", action=faults.WrongLength(-100000))
    assert client.get("/f", "stat").body == b""


def test_headers(emulator, client):
    client.upload("/f", BODY)
    emulator.faults.add(op="download", action=faults.WrongHeader("content-length"))
    answer = client.download("/f")
    assert (answer.headers["Content-Length"], answer.body) == (None, BODY)
    emulator.faults.add(op="download", action=faults.WrongHeader("ETag", '"x"'))
    emulator.faults.add(op="download", action=faults.WrongHeader("Content-Type", "text/html"))
    emulator.faults.add(op="download", action=faults.WrongHeader("Date"))
    answer = client.download("/f")
    assert [answer.headers.get_all(name) for name in ("ETag", "Content-Type", "Date")] == [['"x"'], ["text/html"], None]


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (faults.WrongHeader("Content-Range"), None),
        (faults.WrongHeader("Content-Range", "bytes 0-0/1"), "bytes 0-0/1"),
        (faults.WrongRange(first=1), "bytes 11-19/100"),
        (faults.WrongRange(first=-10, last=-10), "bytes 0-9/100"),
        (faults.WrongRange(last=1, size=-1), "bytes 10-20/99"),
    ],
)
def test_ranges(emulator, client, action, text):
    client.upload("/f", bytes(100))
    emulator.faults.add(action=action)
    answer = client.download("/f", Range="bytes=10-19")
    assert (answer.status, answer.headers["Content-Range"], len(answer.body)) == (206, text, 10)
    emulator.faults.add(action=faults.WrongRange(size=3))
    assert client.download("/f").headers["Content-Range"] is None


def parse(data):
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        ("truncated", lambda value: value is None),
        ("empty", lambda value: value is None),
        ("text", lambda value: value is None),
        ("not-utf8", lambda value: value is None),
        ("nested", lambda value: value is None),
        ("array", lambda value: isinstance(value, list)),
        ("null-data", lambda value: value["data"] is None),
        ("code", lambda value: value["code"] == "zero"),
        ("types", lambda value: value["data"]["filesize"] == "many" and isinstance(value["data"]["sha"], dict)),
        ("huge", lambda value: len(value["padding"]) == 8_000_000),
    ],
)
def test_json(emulator, client, kind, good):
    client.upload("/f", b"x")
    emulator.faults.add(action=faults.BrokenJson(kind), times=2)
    answer = client.get("/f", "stat")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert good(parse(answer.body))
    assert client.download("/f").body == b"x"
    emulator.faults.add(op="delete", action=faults.BrokenJson(kind))
    client.post("/f", "delete")
    assert client.names() == []


@pytest.mark.parametrize("acted", [False, True])
def test_restart_within_a_transfer(emulator, client, acted):
    content = BODY * 4
    data = client.begin("/f", len(content)).data
    port, step = emulator.port, data["slice_size"]
    fault = emulator.faults.add(op="upload_slice_data", nth=2, times=2, action=faults.Restart(acted=acted))
    failures = 0
    for offset in range(0, len(content), step):
        while True:
            try:
                assert client.piece("/f", data["session"], offset, content[offset : offset + step]).code == 0
                break
            except OSError:
                failures += 1
                assert failures < 1000
                time.sleep(0.01)
    assert fault.hits == 2
    assert failures >= 2
    assert emulator.port == port
    assert client.finish("/f", data["session"], len(content)).code == 0
    assert client.download("/f").body == content


def test_restart_of_a_stopped_one(emulator, client):
    emulator.faults.add(action=faults.Restart(acted=True))
    with pytest.raises(GONE):
        client.upload("/f", b"x")
    settle()
    assert client.names() == ["f"]
    emulator.faults.add(action=faults.Restart())
    with pytest.raises(GONE):
        client.get("/", "stat")
    emulator.close()
    settle()
    with pytest.raises(ConnectionRefusedError):
        Client(emulator).get("/", "stat")
