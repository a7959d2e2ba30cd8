"""Faults of what only coffers have: parts, replies that begin early, bodies that go to the disk."""

import json
import threading
import time

import pytest

from cosv4fs.emulator import CofferDialect, faults

from .coffers import COFFER, md5
from .test_fault_kinds import BODY, GONE


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
    until = time.monotonic() + 30
    while len(list(blobs.iterdir())) > 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(list(blobs.iterdir())) == 2


def test_an_error_within_a_200(coffers):
    coffers.emulator.faults.add(op="CompleteMultipartUpload", action=faults.Refuse("InternalError", status=200))
    upload = coffers.begin("f")
    answer = coffers.finish("f", upload, [(1, coffers.part("f", upload, 1, BODY).headers["ETag"])])
    assert (answer.status, json.loads(answer.body)["Code"]) == (200, "InternalError")
    assert coffers.head("f").status == 404


def test_the_disk_fails_while_a_body_is_received(coffers, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    for method in ("_write", "open_blob"):
        monkeypatch.setattr(type(coffers.emulator._service.store), method, fail)
        answer = coffers.put("f", BODY)
        assert (answer.status, answer.code) == (500, "InternalError")
        monkeypatch.undo()
    assert coffers.put("f", BODY).status == 200


def test_large_bodies_are_never_in_memory(coffers):
    content = bytes(1 << 20) * 24
    stall = faults.Stall()
    coffers.emulator.faults.add(op="PutObject", action=stall)
    results = []
    thread = threading.Thread(target=lambda: results.append(coffers.put("f", content, Content_MD5=md5(content)).status))
    thread.start()
    assert stall.entered.wait(30)
    server = coffers.emulator._server
    with server._changed:
        held = [len(connection.buffer) for connection in server._connections]
    assert 0 < max(held) <= 1 << 20
    stall.release.set()
    thread.join(30)
    assert results == [200]
    answer = coffers.get("f")
    assert answer.body == content
    assert coffers.emulator.requests[0].bytes_in == len(content)


def test_a_reply_can_stall_after_its_blanks(make_coffers):
    """The 200 comes at once, and the outcome only when it is released."""
    coffers = make_coffers(dialect=CofferDialect(complete_whitespace=True))
    upload = coffers.begin("f")
    tag = coffers.part("f", upload, 1, BODY).headers["ETag"]
    stall = faults.StallReply(5)
    coffers.emulator.faults.add(op="CompleteMultipartUpload", action=stall)
    results = []
    thread = threading.Thread(target=lambda: results.append(coffers.finish("f", upload, [(1, tag)])))
    thread.start()
    assert stall.entered.wait(30)
    assert results == []
    assert coffers.get("f").body == BODY
    stall.release.set()
    thread.join(30)
    assert results[0].json["Coffer"] == COFFER
