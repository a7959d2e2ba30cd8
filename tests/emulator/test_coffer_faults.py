"""Faults strike requests to coffers as they strike those to buckets, and refuse in the words of CDCS."""

import http.client
import json
import threading
import time

import pytest

from cosv4fs.emulator import faults

from .coffers import COFFER, md5
from .test_fault_kinds import GONE, settle

BODY = bytes(range(256)) * 2000


@pytest.mark.parametrize("name", faults.COFFER)
def test_all(coffers, name):
    """Each strikes a small upload, a listing and a ranged download once, and the service is well afterwards."""
    action = faults.COFFER[name]
    coffers.put("f", BODY)
    tries = {
        "PutObject": lambda: coffers.put("g", BODY),
        "GetCoffer": coffers.listed,
        "GetObject": lambda: coffers.get("f", Range="bytes=100-299"),
    }
    for op, attempt in tries.items():
        rules = {} if action.stage == "connection" else {"op": op}
        fault = coffers.emulator.faults.add(action=action, **rules)
        try:
            attempt()
        except (*GONE, ValueError, AssertionError, RecursionError):
            pass
        until = time.monotonic() + 10
        while not fault.hits and time.monotonic() < until:
            time.sleep(0.01)
        assert fault.hits == 1
        coffers.emulator.faults.clear()
        settle()
    assert coffers.put("after").status == 200
    assert coffers.get("f").body == BODY
    assert "f" in coffers.names()


def test_both_tables_have_every_kind():
    kinds = {type(action) for action in faults.ALL.values()}
    assert {type(action) for action in faults.COFFER.values()} == kinds
    assert not any(isinstance(getattr(action, "code", ""), int) for action in faults.COFFER.values())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("DataSynchronization", 409),
        ("AlreadyLock", 409),
        ("KMSFailed", 409),
        ("ServiceNotOpen", 401),
        ("InternalError", 500),
    ],
)
def test_refusals(coffers, code, status):
    fault = coffers.emulator.faults.add(op="PutObject", times=2, action=faults.Refuse(code, retry_after=3))
    for _ in range(2):
        answer = coffers.put("f")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (status, code, "3")
        assert answer.headers["x-cdcs-trace-id"] == json.loads(answer.body)["TraceId"]
    assert coffers.emulator.requests[-1].code == code
    assert coffers.put("f").status == 200
    assert (fault.seen, fault.hits) == (3, 2)


def test_refusals_with_an_unknown_code():
    with pytest.raises(ValueError, match="no code"):
        faults.Refuse("Nonsense")


def test_parts(coffers):
    upload = coffers.begin("f")
    coffers.emulator.faults.add(op="UploadPart", nth=2, action=faults.DropReply(reset=True))
    coffers.emulator.faults.add(op="UploadPart", path="/f", nth=3, action=faults.CutRequest(1000))
    coffers.emulator.faults.add(op="UploadPart", nth=3, action=faults.HttpError(503, retry_after=1))
    assert coffers.part("f", upload, 1, BODY).status == 200
    with pytest.raises(GONE):
        coffers.part("f", upload, 2, BODY)  # it arrived all the same
    with pytest.raises(GONE):
        coffers.part("f", upload, 3, BODY)
    assert coffers.emulator.requests[-1].bytes_in == 1000
    assert coffers.part("f", upload, 3, BODY).status == 503
    assert [part["PartNumber"] for part in coffers.parts("f", upload).json["Part"]] == [1, 2]
    blobs = coffers.emulator.root / "blobs"
    until = time.monotonic() + 10
    while len(list(blobs.iterdir())) > 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(list(blobs.iterdir())) == 2


def test_a_lost_reply_leaves_the_object(coffers):
    coffers.emulator.faults.add(op="PutObject", action=faults.DropReply())
    with pytest.raises(http.client.RemoteDisconnected):
        coffers.put("f", BODY)
    assert coffers.put("f", BODY).code == "ObjectAlreadyExistsOwnedByYou"
    assert coffers.get("f").body == BODY


def test_an_error_within_a_200(coffers):
    coffers.emulator.faults.add(op="CompleteMultipartUpload", action=faults.Refuse("InternalError", status=200))
    upload = coffers.begin("f")
    answer = coffers.finish("f", upload, [(1, coffers.part("f", upload, 1, BODY).headers["ETag"])])
    assert (answer.status, json.loads(answer.body)["Code"]) == (200, "InternalError")
    assert coffers.head("f").status == 404


def test_a_full_disk(coffers):
    coffers.emulator.faults.add(op="PutObject", action=faults.DiskFull())
    assert (coffers.put("f", BODY).status, coffers.put("f", BODY).status) == (500, 200)
    assert len(list((coffers.emulator.root / "blobs").iterdir())) == 1


def test_a_disk_that_fails_while_a_body_comes(coffers, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    for method in ("_write", "open_blob"):
        monkeypatch.setattr(type(coffers.emulator._store), method, fail)
        answer = coffers.put("f", BODY)
        assert (answer.status, answer.code) == (500, "InternalError")
        monkeypatch.undo()
    assert coffers.put("f", BODY).status == 200


def test_a_wrong_clock(coffers):
    coffers.emulator.faults.add(op="PutObject", action=faults.ClockSkew(3600))
    answer = coffers.put("f")
    assert (answer.code, answer.headers["Date"]) == ("AuthFailed", "Tue, 14 Nov 2023 23:13:20 GMT")
    assert coffers.put("f").status == 200


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "not-utf8", "array", "null-data", "types", "nested"])
def test_broken_json(coffers, kind):
    coffers.put("f")
    coffers.emulator.faults.add(op="GetCoffer", action=faults.BrokenJson(kind))
    answer = coffers.of_coffer("GET")
    assert answer.status == 200
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        data = None
    assert not isinstance(data, dict) or data["MaxKeys"] == "many"


def test_unreachable_and_restart(coffers):
    coffers.put("f", BODY)
    with coffers.emulator.unreachable(), pytest.raises(ConnectionRefusedError):
        coffers.get("f")
    port = coffers.emulator.port
    coffers.emulator.restart()
    assert coffers.emulator.port == port
    assert coffers.get("f").body == BODY
    coffers.emulator.faults.add(op="GetObject", action=faults.Restart())
    with pytest.raises(GONE):
        coffers.get("f")
    settle()
    assert coffers.get("f").body == BODY


def test_large_bodies_are_never_in_memory(coffers):
    content = bytes(1 << 20) * 24
    stall = faults.Stall()
    coffers.emulator.faults.add(op="PutObject", action=stall)
    results = []
    thread = threading.Thread(target=lambda: results.append(coffers.put("f", content, Content_MD5=md5(content)).status))
    thread.start()
    assert stall.entered.wait(20)
    server = coffers.emulator._server
    with server._changed:
        held = [len(connection.buffer) for connection in server._connections.values()]
    assert 0 < max(held) <= 1 << 20
    stall.release.set()
    thread.join(20)
    assert results == [200]
    answer = coffers.get("f")
    assert answer.body == content
    assert coffers.emulator.requests[0].bytes_in == len(content)


def test_a_blank_before_the_json_can_be_held_up(make_coffers):
    """The 200 is there at once, and what came of it only when it is let go."""
    from cosv4fs.emulator import CofferDialect

    coffers = make_coffers(dialect=CofferDialect(complete_whitespace=True))
    upload = coffers.begin("f")
    tag = coffers.part("f", upload, 1, BODY).headers["ETag"]
    stall = faults.StallReply(5)
    coffers.emulator.faults.add(op="CompleteMultipartUpload", action=stall)
    results = []
    thread = threading.Thread(target=lambda: results.append(coffers.finish("f", upload, [(1, tag)])))
    thread.start()
    assert stall.entered.wait(20)
    assert results == []
    assert coffers.get("f").body == BODY
    stall.release.set()
    thread.join(20)
    assert results[0].json["Coffer"] == COFFER
