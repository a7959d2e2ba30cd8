"""Hostile clients exhaust neither the memory nor the threads of the local service, and learn nothing."""

import contextlib
import socket
import struct
import threading

import pytest
import requests

from cosv4fs.emulator import Emulator
from cosv4fs.emulator import http as emulator_http
from tests.security.conftest import BUCKET, SECRET_ID, SECRET_KEY
from tests.support import MIB

ASK = b"GET /files/v2/1250000000/box/?op=stat HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(emulator):
    return socket.create_connection(("127.0.0.1", emulator.port), timeout=20)


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
    monkeypatch.setattr(emulator_http, "_SILENCE", struct.pack("ll", 0, 50_000))
    with Emulator(buckets=(BUCKET,)) as emulator:
        beginnings = [b"", b"GET / HT", ASK[:-2], b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"]
        beginnings.append(b"POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\nhalf")
        for beginning in beginnings:
            with connect(emulator) as connection:
                connection.sendall(beginning)
                # it may say why; then it hangs up
                with contextlib.suppress(ConnectionError), connection.makefile("rb") as stream:
                    assert stream.read()[:10] in (b"", b"HTTP/1.1 4")
        monkeypatch.setattr(emulator_http, "_SILENCE", struct.pack("ll", 20, 0))
        assert is_served(emulator)
        assert emulator._server._http.large_bodies.acquire(blocking=False)


def test_large_bodies_take_turns(monkeypatch):
    monkeypatch.setattr(emulator_http.HttpServer, "most_large_bodies", 1)
    with Emulator(buckets=(BUCKET,), secret_id=SECRET_ID, secret_key=SECRET_KEY) as emulator:
        head = b"POST /files/v2/1250000000/box/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (5 * MIB)
        with connect(emulator) as first, connect(emulator) as second:
            first.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert first.recv(65536).startswith(b"HTTP/1.1 100 ")  # it has its turn
            second.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(65536)
            assert is_served(emulator)  # small ones need no turn
            second.settimeout(20)
            first.sendall(bytes(5 * MIB))
            assert first.recv(65536).startswith(b"HTTP/1.1 4")
            assert second.recv(65536).startswith(b"HTTP/1.1 100 ")
            second.sendall(bytes(5 * MIB))
            assert second.recv(65536).startswith(b"HTTP/1.1 4")
            with emulator._server._changed:
                held = [len(connection.buffer) for connection in emulator._server._connections.values()]
            assert sum(held) < 5 * MIB


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
    monkeypatch.setattr("cosv4fs.emulator.front.perform", fail)
    headers = {"Authorization": signature}
    url = f"{emulator.endpoint}/files/v2/1250000000/{BUCKET}/"
    reply = requests.get(url, params={"op": "stat", "sign": signature}, headers=headers, timeout=20)
    assert reply.status_code == 500
    told = capfd.readouterr().err
    assert "a fault" in told
    for text in (told, reply.text, str(reply.headers)):
        assert signature[:28] not in text
        assert SECRET_KEY not in text
