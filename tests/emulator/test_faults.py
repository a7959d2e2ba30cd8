"""Faults on order, and the request log."""

import http.client
import threading
import time

import pytest

from cosv4fs.emulator import faults
from cosv4fs.emulator.log import RequestLog, RequestRecord

from .client import APPID, Client, once

GONE = (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError)


def test_refuse(emulator, client):
    fault = emulator.faults.add(op="upload", nth=2, times=2, action=faults.Refuse(-71, retry_after=3))
    codes = [client.upload(f"/{number}", b"x").code for number in range(4)]
    assert codes == [0, -71, -71, 0]
    assert (fault.seen, fault.hits) == (4, 2)
    assert client.names() == ["0", "3"]
    record = emulator.requests[1]
    assert (record.op, record.status, record.code) == ("upload", 503, -71)


def test_retry_after_and_html(emulator, client):
    emulator.faults.add(action=faults.Refuse(-71, retry_after=3))
    assert client.get("/", "stat").headers["Retry-After"] == "3"
    emulator.faults.add(op="stat", action=faults.HttpError(504, retry_after=1))
    answer = client.get("/", "stat")
    assert (answer.status, answer.headers["Retry-After"]) == (504, "1")
    assert answer.headers["Content-Type"] == "text/html"
    emulator.faults.add(op="upload", action=faults.HttpError(502, acted=True))
    assert client.upload("/f", b"x").status == 502
    assert client.download("/f").body == b"x"


@pytest.mark.parametrize("reset", [False, True])
def test_drops(emulator, client, reset):
    emulator.faults.add(op="upload", action=faults.DropBefore(reset=reset))
    with pytest.raises(GONE):
        client.upload("/f", b"x")
    assert client.get("/f", "stat").code == -197
    emulator.faults.add(op="upload", action=faults.DropReply(reset=reset))
    with pytest.raises(GONE):
        client.upload("/f", b"x")
    assert client.download("/f").body == b"x"
    emulator.faults.add(op="download", action=faults.DropReply())
    with pytest.raises(GONE):
        client.download("/f")
    lost = [record for record in emulator.requests if record.status == 0]
    assert [record.op for record in lost] == ["upload", "upload", "download"]


def test_lost_reply_uses_the_signature_up(emulator, client):
    client.upload("/f", b"x")
    signature = once("b", "/f")
    emulator.faults.add(op="delete", action=faults.DropBefore())
    with pytest.raises(GONE):
        client.post("/f", "delete", signature=signature)
    emulator.faults.add(op="delete", action=faults.DropReply())
    with pytest.raises(GONE):
        client.post("/f", "delete", signature=signature)
    assert client.post("/f", "delete", signature=signature).code == -77


@pytest.mark.parametrize("size", [100, 1000000])
def test_cut_and_corrupt(emulator, client, size):
    client.upload("/f", bytes(size))
    emulator.faults.add(op="download", action=faults.CutReply(60))
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.download("/f")
    assert len(caught.value.partial) == 60
    assert emulator.requests[-1].bytes_out == 60
    emulator.faults.add(op="download", action=faults.Corrupt(-1))
    assert client.download("/f").body == bytes(size - 1) + b"\xff"
    emulator.faults.add(op="stat", action=faults.CutReply(0))
    with pytest.raises(http.client.IncompleteRead):
        client.get("/f", "stat")


def test_stall(emulator, client):
    release = threading.Event()
    action = faults.Stall(release)
    emulator.faults.add(path="/f", action=action)
    codes = []
    thread = threading.Thread(target=lambda: codes.append(client.upload("/f", b"x").code))
    thread.start()
    assert action.entered.wait(10)
    assert client.upload("/g", b"x").code == 0
    assert codes == []
    release.set()
    thread.join()
    assert codes == [0]


def test_stop_ends_a_stall(emulator, client):
    action = faults.Stall(threading.Event(), acted=True)
    emulator.faults.add(action=action)
    failures = []

    def run():
        try:
            client.get("/", "stat")
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert action.entered.wait(10)
    emulator.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_rules(emulator, client):
    everything = emulator.faults.add(action=faults.Refuse(-181), times=None, match=lambda call: "x" in call.path.text)
    for _ in range(3):
        assert client.get("/x", "stat").code == -181
        assert client.get("/y", "stat").code == -197
    emulator.faults.remove(everything)
    emulator.faults.remove(everything)
    assert client.get("/x", "stat").code == -197
    emulator.faults.add(action=faults.Refuse(-181))
    emulator.faults.clear()
    assert client.get("/x", "stat").code == -197


def test_own_action(emulator, client):
    class Slow(faults.Action):
        def after(self, call, reply):
            reply.headers.append(("X-Slow", call.op))
            return reply

    emulator.faults.add(action=Slow())
    assert client.get("/", "stat").headers["X-Slow"] == "stat"


def test_log(emulator, client):
    before = time.time()
    session = client.begin("/d/ü", 10).data["session"]
    client.piece("/d/ü", session, 0, b"0123456789")
    client.finish("/d/ü", session, 10)
    client.download("/d/ü", Range="bytes=1-3")
    client.download("/d/ü", method="HEAD")
    client.get("/d/", "list", num=7, sign="secret")
    client.raw("OPTIONS", "/x")
    init, piece, finish, download, head, listing, nothing = emulator.requests
    assert (init.op, init.method, init.bucket, init.path, init.status) == (
        "upload_slice_init",
        "POST",
        "b",
        "/d/ü",
        200,
    )
    assert (piece.session, piece.offset) == (session, 0)
    assert piece.bytes_in > 10
    assert finish.number == 3
    assert (download.range, download.status, download.bytes_out) == ("bytes=1-3", 206, 3)
    assert download.host == f"b-{APPID}.cosgz.myqcloud.com"
    assert (head.op, head.bytes_out) == ("head", 0)
    assert listing.query == {"op": "list", "num": "7"}
    assert (nothing.op, nothing.bucket) == ("", "")
    assert before <= init.started <= init.finished <= time.time()
    assert len({record.connection for record in emulator.requests}) == 7
    assert len({record.request_id for record in emulator.requests}) == 7
    assert emulator.count()["upload_slice_data"] == 1
    emulator.clear_requests()
    assert emulator.requests == []
    assert emulator.count() == {}


def test_log_is_bounded():
    log = RequestLog(limit=3)
    for number in range(5):
        log.add(RequestRecord(number, "", "", "", "", "", {}, None, None, 0, 0, 0, 0, 0, 0, 0, "", None))
    assert [record.number for record in log.records()] == [2, 3, 4]


def test_two_emulators(make_emulator):
    one, two = Client(make_emulator()), Client(make_emulator())
    one.upload("/f", b"x")
    assert two.names() == []
