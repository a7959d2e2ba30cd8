"""What holds for every request: no error of the server, loopback only, constant-time comparison, no lost slice."""

import base64
import hashlib
import hmac
import json
import random
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosv4fs.emulator import Dialect, Emulator

from .client import APPID, NOW, SECRET_ID, SECRET_KEY, Client, send_bytes, sign


@pytest.fixture(scope="module")
def one_emulator():
    with Emulator(secret_id=SECRET_ID, secret_key=SECRET_KEY, buckets=("b",), clock=lambda: NOW) as emulator:
        client = Client(emulator)
        client.upload("/f", b"content")
        client.begin("/u", 10)
        yield emulator


def status_of(emulator, data):
    """Return the status of the first reply to raw bytes, None when there was none."""
    line = send_bytes(emulator, data).partition(b"\r\n")[0]
    return int(line.split()[1]) if line else None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: x\r\n" % i for i in range(300)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"\x00\x01\x02", None),
        (b"", None),
        (b"GET / HTTP/1.1\r\nHost", None),
        (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", None),
    ],
)
def test_heads_that_are_not_http(service, data, status):
    reply = send_bytes(service.emulator, data)
    if status is None:
        assert reply == b"" or reply.startswith(b"HTTP/1.1 400 ")
    else:
        assert reply.startswith(f"HTTP/1.1 {status} ".encode())
        body = json.loads(reply.partition(b"\r\n\r\n")[2])
        assert body["code"] < 0 if service.kind == "buckets" else body["Code"] == "InvalidArgument"
    assert service.put("f").ok


ANY = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))
WORD = ANY.map(lambda data: b"".join(data.split()) or b"x")
TEXT = st.sampled_from(
    [b"", b"0", b"-1", b"1e9", b"9" * 18, b"9" * 400, b"%00", b"%ff", b"%", b"[]", b"nan", b"\xc3\x28"]
)
OPS = [b"stat", b"list", b"create", b"update", b"delete", b"move", b"copy", b"upload", b"upload_slice_init"]
OPS += [b"upload_slice_data", b"upload_slice_list", b"upload_slice_finish", b"", b"x"]
NAMES = [b"num", b"context", b"pattern", b"order", b"filesize", b"slice_size", b"offset", b"session", b"sha", b"flag"]
NAMES += [b"uploadparts", b"insertOnly", b"dest_fileid", b"to_over_write", b"custom_headers", b"authority", b"forbid"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"\xff"]),
    path=st.sampled_from([b"/f", b"/u", b"/", b"/d/", b"/%ff", b"/%2e%2e/x", b"//", b"/%00"]) | WORD,
    op=st.sampled_from(OPS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), TEXT | WORD), max_size=5),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"Range", b"Content-Type", b"Authorization", b"Content-Length", b"Expect", b"X"]),
            TEXT
            | ANY
            | st.sampled_from([b"bytes=5-2", b"bytes=-9999999999999999999", b"multipart/form-data; boundary="]),
        ),
        max_size=3,
    ),
    host=st.sampled_from([b"x", f"b-{APPID}.cosgz.myqcloud.com".encode(), b"-1", b"[::1"]) | ANY,
    signed=st.booleans(),
)
def test_no_request_is_an_internal_error(one_emulator, method, path, op, query, headers, host, signed):
    target = f"/files/v2/{APPID}/b".encode() + path + b"?op=" + op
    target += b"".join(b"&" + name + b"=" + b"".join(value.split()) for name, value in query)
    if host.startswith(b"b-"):
        target = path
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: " + host]
    lines += [b"Authorization: " + sign().encode()] if signed else []
    lines += [name + b": " + value for name, value in headers]
    status = status_of(one_emulator, b"\r\n".join([*lines, b"", b""]) + b"body")
    assert status is None or status < 500


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(fields=st.dictionaries(st.sampled_from("aketrfb"), st.text(max_size=12), max_size=7), tail=st.binary(max_size=5))
def test_no_signature_is_an_internal_error(one_emulator, fields, tail):
    good = {"a": APPID, "k": SECRET_ID, "e": str(NOW + 600), "t": str(NOW), "r": "1", "f": "", "b": "b"}
    plain = "&".join(f"{name}={value}" for name, value in (good | fields).items()).encode() + tail
    digest = hmac.new(SECRET_KEY.encode(), plain, hashlib.sha1).digest()
    text = base64.b64encode(digest + plain).decode()
    for op in ("stat", "delete"):
        assert Client(one_emulator).get("/f", op, signature=text).status < 500


def test_signatures_are_compared_in_constant_time(client, monkeypatch):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, two: compared.append(len(one)) or compare(one, two))
    assert client.get("/", "stat", signature=sign(key="wrong")).code == -97
    assert compared == [len(SECRET_ID), 20]


def test_it_listens_on_loopback_only(service):
    emulator = service.emulator
    assert emulator.host == "127.0.0.1"
    assert emulator._server._http.socket.getsockname() == ("127.0.0.1", emulator.port)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, emulator.port), timeout=0.5).close()


def test_slices_in_any_order_at_once(make_emulator):
    client = Client(make_emulator(dialect=Dialect(slice_size=1000)))
    content = random.Random(1).randbytes(100_500)
    sha = hashlib.sha1(content).hexdigest()
    session = client.begin("/f", len(content), sha=sha).data["session"]
    offsets = list(range(0, len(content), 1000)) * 2
    random.Random(2).shuffle(offsets)
    codes = []

    def run(mine):
        codes.extend(client.piece("/f", session, start, content[start : start + 1000]).code for start in mine)

    threads = [threading.Thread(target=run, args=(offsets[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {0}
    assert client.finish("/f", session, len(content), sha=sha).code == 0
    assert client.download("/f").body == content


def test_slices_while_the_upload_is_deleted(make_emulator, capfd):
    client = Client(make_emulator(dialect=Dialect(slice_size=1000)))
    answers = []

    def run(session, number):
        answers.extend(client.piece("/f", session, number * 1000, bytes(1000)) for _ in range(5))

    for _ in range(5):
        session = client.begin("/f", 10_000).data["session"]
        threads = [threading.Thread(target=run, args=(session, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert client.post("/f", "delete").code == 0
        for thread in threads:
            thread.join()
    assert {answer.code for answer in answers} <= {0, -94}
    assert {answer.status for answer in answers} <= {200, 400}
    assert capfd.readouterr().err == ""
