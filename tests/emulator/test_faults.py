"""Rules and faults that strike both services alike, and the request log."""

import dataclasses
import http.client
import inspect
import json
import threading
import time
from pathlib import Path

import pytest

from cosv4fs.emulator import faults
from cosv4fs.emulator.faults import actions
from cosv4fs.emulator.log import RequestLog, RequestRecord

from .client import APPID, once
from .services import SERVICES, blobs
from .test_fault_kinds import BODY, GONE, date, settle

ALL = [(kind, name) for kind, service in SERVICES.items() for name in service.faults]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_fault_ends_by_itself(service, name):
    """Each strikes a small upload, a listing and a ranged download once, and the service works afterwards."""
    action = service.faults[name]
    assert type(action).__name__ in repr(action)
    service.put("f", BODY)
    attempts = {
        service.put_op: lambda: service.put("g", BODY),
        service.list_op: service.list,
        service.get_op: lambda: service.get("f", Range="bytes=100-299"),
    }
    for op, attempt in attempts.items():
        # a body that is cut begins in the head, if the operation is known from there
        if action.stage == "body" and service.kind == "buckets" and op == "download":
            continue
        rules = {} if action.stage == "connection" else {"op": op}
        fault = service.emulator.faults.add(action=action, **rules)
        try:
            attempt()
        except (*GONE, ValueError, RecursionError):
            pass
        until = time.monotonic() + 30
        while not fault.hits and time.monotonic() < until:
            time.sleep(0.01)
        assert fault.hits == 1
        service.emulator.faults.clear()
        settle()
    assert service.put("after").ok
    assert service.get("f").body == BODY
    assert "f" in service.names()


def test_every_kind_is_exported_in_the_tables_and_tested():
    kinds = {kind for kind in vars(actions).values() if inspect.isclass(kind) and issubclass(kind, faults.Action)}
    kinds.remove(faults.Action)
    assert {kind.__name__ for kind in kinds} <= set(faults.__all__)
    texts = [Path(__file__).with_name(name).read_text("utf-8") for name in ("test_fault_kinds.py", "test_faults.py")]
    assert {kind.__name__ for kind in kinds if f"faults.{kind.__name__}(" not in "".join(texts)} == set()
    for table, code in ((faults.ALL, int), (faults.COFFER, str)):
        assert {type(action) for action in table.values()} == kinds
        assert all(type(action.code) is code for action in table.values() if isinstance(action, faults.Refuse))
    assert all(dataclasses.is_dataclass(kind) for kind in kinds)
    assert repr(faults.CutReply(3, reset=True)) == "CutReply(count=3, reset=True)"


def test_refuse(service):
    action = faults.Refuse(service.busy, retry_after=3, status=503)
    fault = service.emulator.faults.add(op=service.put_op, nth=2, times=2, action=action)
    answers = [service.put(str(number)) for number in range(4)]
    assert [answer.code for answer in answers] == [0, service.busy, service.busy, 0]
    assert (answers[1].status, answers[1].headers["Retry-After"]) == (503, "3")
    assert (fault.seen, fault.hits) == (4, 2)
    assert service.names() == ["0", "3"]
    record = service.emulator.requests[1]
    assert (record.op, record.status, record.code) == (service.put_op, 503, service.busy)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("buckets", -71, 503),
        ("coffers", "DataSynchronization", 409),
        ("coffers", "AlreadyLock", 409),
        ("coffers", "KMSFailed", 409),
        ("coffers", "ServiceNotOpen", 401),
        ("coffers", "InternalError", 500),
    ],
)
def test_the_status_of_refusals(service, code, status):
    service.emulator.faults.add(action=faults.Refuse(code))
    answer = service.put("f")
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(("kind", "code"), [("buckets", -143), ("coffers", "InternalError")])
def test_refusals_of_what_was_carried_out(service, code):
    service.emulator.faults.add(action=faults.Refuse(code, acted=True))
    answer = service.put("f")
    assert (answer.status, answer.code) == (500, code)
    assert service.get("f").body == b"content"


def test_refusals_with_an_unknown_code():
    with pytest.raises(ValueError, match="no code"):
        faults.Refuse("Nonsense")


def test_pages_of_a_gateway(emulator, client):
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
def test_lost_requests_and_replies(service, reset):
    service.emulator.faults.add(op=service.put_op, action=faults.DropBefore(reset=reset))
    with pytest.raises(GONE):
        service.put("f")
    assert service.names() == []
    service.emulator.faults.add(op=service.put_op, action=faults.DropReply(reset=reset))
    with pytest.raises(GONE):
        service.put("f")
    assert service.get("f").body == b"content"
    service.emulator.faults.add(op=service.get_op, action=faults.DropReply())
    with pytest.raises(GONE):
        service.get("f")
    lost = [record.op for record in service.emulator.requests if record.status == 0]
    assert lost == [service.put_op, service.put_op, service.get_op]


def test_stall(service):
    action = faults.Stall()
    service.emulator.faults.add(path="/f", action=action)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.put("f")))
    thread.start()
    assert action.entered.wait(30)
    assert service.put("g").ok
    assert answers == []
    action.release.set()
    thread.join()
    assert answers[0].ok


def test_stop_ends_a_stall(service):
    action = faults.Stall(acted=True)
    service.emulator.faults.add(action=action)
    failures = []

    def run():
        try:
            service.list()
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert action.entered.wait(30)
    service.emulator.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_a_full_disk(service):
    service.emulator.faults.add(op=service.put_op, action=faults.DiskFull())
    answer = service.put("f", BODY)
    assert (answer.status, answer.code) == (500, service.storage_failed)
    assert service.put("f", BODY).ok
    assert len(blobs(service.emulator)) == 1


def test_a_wrong_clock(service, clock):
    service.emulator.faults.add(op=service.put_op, action=faults.ClockSkew(3600))
    answer = service.put("f")
    assert (answer.code, date(answer)) == (service.expired, clock.now + 3600)
    answer = service.put("f")
    assert (answer.code, date(answer)) == (0, clock.now)


@pytest.mark.parametrize("part", ["truncated", "empty", "text", "not-utf8", "array", "null-data", "types", "nested"])
def test_broken_json(service, part):
    service.put("f")
    right = service.list().json
    service.emulator.faults.add(op=service.list_op, action=faults.BrokenJson(part))
    answer = service.list()
    assert answer.status == 200
    try:
        broken = json.loads(answer.body)
    except (ValueError, RecursionError):
        broken = None
    assert not isinstance(broken, dict) or (broken.keys() == right.keys() and broken != right)


def test_unreachable_and_restart(service):
    service.put("f", BODY)
    with service.emulator.unreachable(), pytest.raises(ConnectionRefusedError):
        service.get("f")
    port = service.emulator.port
    service.emulator.faults.add(op=service.get_op, action=faults.Restart())
    with pytest.raises(GONE):
        service.get("f")
    settle()
    assert service.emulator.port == port
    assert service.get("f").body == BODY


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


@pytest.mark.parametrize(
    ("kind", "rule", "message"),
    [
        ("buckets", {"op": "uplod"}, "there is no operation 'uplod': did you mean upload[?]"),
        ("buckets", {"op": "PutObject"}, "there is no operation 'PutObject': there are .*, delete, download, head"),
        ("coffers", {"op": "PutObjekt"}, "there is no operation 'PutObjekt': did you mean PutObject[?]"),
        ("coffers", {"op": "upload"}, "there is no operation 'upload'"),
        ("buckets", {"path": "e.csv"}, "path must begin with a slash, without the bucket"),
        ("coffers", {"path": "b/e.csv"}, "path must begin with a slash, without the bucket"),
        ("buckets", {"nth": 0}, "nth must be at least 1, not 0"),
        ("buckets", {"times": 0}, "times must be at least 1, not 0"),
    ],
)
def test_faults_that_could_never_happen_are_refused(start_service, kind, rule, message):
    service = start_service(kind)
    with pytest.raises(ValueError, match=message):
        service.emulator.faults.add(action=faults.DropReply(), **rule)
    assert service.put("e.csv").ok


def test_an_action_is_no_class(emulator):
    with pytest.raises(TypeError, match=r"such as faults.DropReply\(\), not the class"):
        emulator.faults.add(action=faults.DropReply)


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


def test_two_emulators(start_service, kind):
    one, two = start_service(kind), start_service(kind)
    one.put("f")
    assert two.names() == []
