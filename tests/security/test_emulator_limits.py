"""Hostile clients exhaust neither the memory nor the threads of the local service, and learn nothing."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from cosv4fs.emulator import Emulator, faults
from cosv4fs.emulator import http as emulator_http
from tests.emulator.client import sign
from tests.security.conftest import BUCKET, SECRET_ID, SECRET_KEY
from tests.support import MIB

ASK = b"GET /files/v2/1250000000/box/?op=stat HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(emulator):
    return socket.create_connection(("127.0.0.1", emulator.port), timeout=30)


def ask(connection):
    """Return the first bytes of an answer; nothing when the connection was ended."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(ASK)
        return connection.recv(65536)
    return b""


def test_the_number_of_connections_is_bounded(monkeypatch):
    monkeypatch.setattr(emulator_http.HttpServer, "most_connections", 20)
    earlier = set(threading.enumerate())
    with Emulator(buckets=(BUCKET,)) as emulator, contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(emulator)) for _ in range(20)]
        assert all(ask(connection).startswith(b"HTTP/1.1 4") for connection in crowd)
        assert not is_served(emulator)
        names = [thread.name for thread in threading.enumerate() if thread not in earlier]
        assert sum("process_request_thread" in name for name in names) <= 20
        assert ask(crowd[3]).startswith(b"HTTP/1.1 4")  # who is in stays in
        crowd[0].close()
        # its place is free as soon as its thread has noticed: at most so many tries
        assert any(is_served(emulator) for _ in range(10_000))


def is_served(emulator):
    with contextlib.suppress(OSError), connect(emulator) as connection:
        return ask(connection).startswith(b"HTTP/1.1 4")
    return False


def test_silent_clients_are_left(monkeypatch):
    monkeypatch.setattr(emulator_http, "_IDLE_TIMEOUT", 0.05)
    with Emulator(buckets=(BUCKET,), secret_id=SECRET_ID, secret_key=SECRET_KEY) as emulator:
        beginnings = [b"", b"GET / HT", ASK[:-2], b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"]
        beginnings.append(b"POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\nhalf")
        beginnings.append(upload_head(5_000_000) + b"half")
        for beginning in beginnings:
            with connect(emulator) as connection:
                connection.sendall(beginning)
                # it may say why; then it hangs up
                with contextlib.suppress(ConnectionError), connection.makefile("rb") as stream:
                    assert stream.read()[:10] in (b"", b"HTTP/1.1 4")
        monkeypatch.setattr(emulator_http, "_IDLE_TIMEOUT", 20.0)
        assert is_served(emulator)
        assert emulator._server._http.buffers.borrow(emulator_http.HttpServer.most_body_memory)


def upload_head(length, *headers, signed=True, kind="multipart/form-data; boundary=x"):
    """Return the head of a request that brings a body of some length."""
    lines = [f"POST /files/v2/1250000000/{BUCKET}/x HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers]
    if signed:
        now = int(time.time())
        lines.append("Authorization: " + sign(BUCKET, e=now + 600, t=now, k=SECRET_ID, key=SECRET_KEY))
    return "\r\n".join([*lines, f"Content-Type: {kind}", "", ""]).encode()


def test_large_bodies_take_turns(monkeypatch):
    monkeypatch.setattr(emulator_http.HttpServer, "most_body_memory", 6 * MIB)
    monkeypatch.setattr(emulator_http.HttpServer, "kept_body_memory", 0)
    with Emulator(buckets=(BUCKET,), secret_id=SECRET_ID, secret_key=SECRET_KEY) as emulator:
        head = upload_head(5 * MIB, "Expect: 100-continue")
        with connect(emulator) as first, connect(emulator) as second:
            first.sendall(head)
            assert first.recv(65536).startswith(b"HTTP/1.1 100 ")  # it has its turn
            second.sendall(head)
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(65536)
            assert is_served(emulator)  # small ones need no turn
            second.settimeout(30)
            first.sendall(bytes(5 * MIB))
            assert first.recv(65536).startswith(b"HTTP/1.1 4")
            assert second.recv(65536).startswith(b"HTTP/1.1 100 ")
            second.sendall(bytes(5 * MIB))
            assert second.recv(65536).startswith(b"HTTP/1.1 4")
            with emulator._server._changed:
                held = [len(connection.buffer) for connection in emulator._server._connections]
            assert sum(held) < MIB


@pytest.fixture
def process():
    """A service in a process of its own, with a coffer; its endpoints, and how much memory it has used at most."""
    command = [sys.executable, "-m", "cosv4fs.emulator", "--bucket", BUCKET, "--coffer", "box-1250000000", "--no-fsync"]
    command += ["--secret-id", SECRET_ID, "--secret-key", SECRET_KEY]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        ports = [int(running.stdout.readline().rpartition(":")[2]) for _ in range(2)]
        yield ports, lambda: peak(running.pid)
        running.terminate()
        running.communicate(timeout=30)


def peak(pid):
    """Return the most bytes of memory that a process has used so far."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def answers(port, heads, length):
    """Send as many bodies at once, each but for its last byte, and then the rest; return the status lines."""
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in heads]
        for connection, head in zip(crowd, heads, strict=True):
            connection.sendall(head)
            connection.sendall(bytes(length - 1))
        for connection in crowd:
            connection.sendall(b"\0")
        return [connection.recv(65536).partition(b"\r\n")[0] for connection in crowd]


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc to see the memory")
CROWD = 150


@needs_proc
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json"])
def test_what_strangers_send_is_not_kept(process, kind):
    (port, _), used = process
    before, length = used(), 4 * MIB if kind.startswith("multipart") else MIB
    heads = [upload_head(length, signed=False, kind=kind)] * CROWD
    assert answers(port, heads, length) == [b"HTTP/1.1 400 Bad Request"] * CROWD
    assert used() - before < 60 * MIB


@needs_proc
@pytest.mark.parametrize("query", ["", "?policy"])
def test_what_strangers_send_to_coffers_is_not_kept(process, query):
    (_, port), used = process
    path = "/box-1250000000" + (query or "/key")
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * MIB}\r\n\r\n".encode()
    before = used()
    assert answers(port, [head] * CROWD, 2 * MIB) == [b"HTTP/1.1 401 Unauthorized"] * CROWD
    assert used() - before < 60 * MIB


@needs_proc
@pytest.mark.parametrize("signed", [False, True])
def test_json_does_not_grow_beyond_measure(process, signed):
    (port, _), used = process
    before = used()
    texts = [b'{"a": [%b[]]}' % (b"[]," * (20 * MIB // 3)), b'{"a": [%b{}]}' % (b"{}," * 300_000)]
    texts += [b"[" * 500_000, b'{"a":' * 100_000]
    for text in texts:
        head = upload_head(len(text), signed=signed, kind="application/json")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head + text)
            assert connection.recv(65536).startswith(b"HTTP/1.1 4")
    assert used() - before < 60 * MIB


@needs_proc
def test_forms_do_not_grow_beyond_measure(process):
    (port, _), used = process
    before = used()
    part = b"--x\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n"
    operation = part % (b"op", b"upload_slice_init") + part % (b"filesize", b"5") + part % (b"sha", b"0" * 40)
    bodies = [
        operation + part % (b"uploadparts", b"[%b{}]" % (b"{}," * 2_000_000)),
        operation + part % (b"biz_attr", b"x" * 20 * MIB),
        b"".join(part % (b"%d" % number, b"") for number in range(300_000)),
    ]
    for body in bodies:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(upload_head(len(body) + 7) + body + b"--x--\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 4")
    assert used() - before < 100 * MIB


def test_a_refused_upload_leaves_the_connection_usable():
    with Emulator(buckets=(BUCKET,)) as emulator, connect(emulator) as connection:
        for _ in range(2):
            body = b'--x\r\nContent-Disposition: form-data; name="op"\r\n\r\nupload\r\n' + bytes(MIB)
            connection.sendall(upload_head(len(body), signed=False) + body)
            reply = connection.recv(65536)
            assert reply.startswith(b"HTTP/1.1 400 ")
            assert b"keep-alive" in reply
        assert [(record.op, record.code, record.bytes_in) for record in emulator.requests] == [
            ("upload", -81, len(body))
        ] * 2


@pytest.mark.parametrize("fault", [None, faults.HttpError(503)], ids=["refused", "faulty"])
def test_who_waits_before_sending_a_body_is_told_not_to(fault):
    with Emulator(buckets=(BUCKET,)) as emulator, connect(emulator) as connection:
        if fault is not None:
            emulator.faults.add(action=fault)
        connection.sendall(upload_head(MIB, "Expect: 100-continue", signed=False))
        reply = connection.recv(65536)
        assert reply.startswith(b"HTTP/1.1 503 " if fault else b"HTTP/1.1 400 ")
        assert b"Connection: close" in reply


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd"]
)
def test_no_path_leaves_the_store(path):
    with Emulator(public_buckets=(BUCKET,), buckets=()) as emulator:
        for target in (f"/files/v2/1250000000/{BUCKET}{path}", path, f"/files/v2{path}"):
            request = f"GET {target} HTTP/1.1\r\nHost: {BUCKET}-1250000000.cosgz.myqcloud.com\r\n\r\n"
            with connect(emulator) as connection:
                connection.sendall(request.encode())
                reply = connection.recv(65536)
            assert reply.startswith(b"HTTP/1.1 4"), target
            assert b"root:" not in reply


def test_a_fault_of_its_own_tells_no_signature(fs, emulator, monkeypatch, capfd):
    def fail(*_):
        raise RuntimeError("a fault")

    signature = str(fs.client._signer.multi(BUCKET))
    monkeypatch.setattr("cosv4fs.emulator.cos.api.CosApi.perform", fail)
    headers = {"Authorization": signature}
    url = f"{emulator.endpoint}/files/v2/1250000000/{BUCKET}/"
    reply = requests.get(url, params={"op": "stat", "sign": signature}, headers=headers, timeout=30)
    assert reply.status_code == 500
    told = capfd.readouterr().err
    assert "a fault" in told
    for text in (told, reply.text, str(reply.headers)):
        assert signature[:28] not in text
        assert SECRET_KEY not in text
