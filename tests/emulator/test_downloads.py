"""Downloads: whole, in ranges, by every form of URL (cos.md#download)."""

import hashlib
import socket

import pytest

from cosv4fs.emulator import Dialect

from .client import APPID, Client, sign

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def filled(client):
    client.upload("/d/f", CONTENT)
    client.upload("/empty", b"")
    return client


def test_headers(filled):
    answer = filled.download("/d/f")
    assert answer.status == 200
    assert answer.body == CONTENT
    assert answer.headers["ETag"] == f'"{hashlib.sha1(CONTENT).hexdigest()}"'
    assert answer.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["x-cos-request-id"]


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, len(CONTENT)),
        ("bytes=-100", len(CONTENT) - 100, len(CONTENT)),
        (f"bytes=-{len(CONTENT) + 5}", 0, len(CONTENT)),
        ("bytes=5-9223372036854775807", 5, len(CONTENT)),
        (f"bytes=0-{len(CONTENT) - 1}", 0, len(CONTENT)),
        ("BYTES = 1 - 2", 1, 3),
    ],
)
def test_ranges(service, header, start, stop):
    service.put("f", CONTENT)
    answer = service.get("f", Range=header)
    assert answer.status == 206
    assert answer.body == CONTENT[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"


@pytest.mark.parametrize(
    "header", ["bytes=5-1", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=" + "9" * 99]
)
def test_malformed_ranges(service, header):
    service.put("f", CONTENT)
    answer = service.get("f", Range=header)
    if service.kind == "buckets":
        assert (answer.status, answer.body) == (200, CONTENT)
    else:
        assert (answer.status, answer.code) == (416, "InvalidArgument")


@pytest.mark.parametrize("header", [f"bytes={len(CONTENT)}-", "bytes=999999999-9999999999", "bytes=-0"])
def test_ranges_behind_the_end(service, header):
    service.put("f", CONTENT)
    answer = service.get("f", Range=header)
    assert (answer.status, answer.code) == (416, -182 if service.kind == "buckets" else "InvalidArgument")
    assert answer.headers["Content-Range"] == (f"bytes */{len(CONTENT)}" if service.kind == "buckets" else None)


def test_empty_file(filled):
    assert filled.download("/empty").body == b""
    assert filled.download("/empty", Range="bytes=0-").status == 416


def test_head(filled):
    answer = filled.download("/d/f", method="HEAD", Range="bytes=0-1")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert filled.download("/nothing", method="HEAD").status == 404
    assert filled.emulator.count()["head"] == 2


def test_missing_files(filled):
    for path in ("/nothing", "/d", "/d/", "/", "/d/f/"):
        answer = filled.download(path)
        assert (answer.status, answer.code) == (404, 6101)
    filled.begin("/unfinished", 10)
    answer = filled.download("/unfinished")
    assert (answer.status, answer.code) == (404, 45062)


def test_post_to_the_download_host(filled):
    answer = filled.download("/d/f", method="POST")
    assert (answer.status, answer.code) == (405, -5996)


def test_api_host(filled):
    answer = filled.raw("GET", filled.target("/d/f"), headers={"Authorization": sign(f="d/f"), "Range": "bytes=1-2"})
    assert answer.body == CONTENT[1:3]
    answer = filled.raw("HEAD", filled.target("/d/f"), headers={"Authorization": sign()})
    assert answer.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("suffix", ["cosgz.myqcloud.com", "file.myqcloud.com", "localhost:80", "x"])
def test_virtual_hosts(filled, suffix):
    for host in (f"b-{APPID}.{suffix}", f"B-{APPID}.{suffix}".upper()):
        assert filled.raw("GET", "/d/f", headers={"Host": host, "Authorization": sign()}).body == CONTENT


def test_bucket_with_hyphens(make_emulator):
    client = Client(make_emulator(buckets=("my-bucket-1",)), "my-bucket-1")
    client.upload("/f", b"x")
    assert client.download("/f").body == b"x"
    assert client.raw("GET", client.target("/", op="stat"), headers={"Authorization": sign("my-bucket-1")}).code == 0


def test_object_below_files(client):
    client.upload("/files/v2/x", b"x")
    assert client.download("/files/v2/x").body == b"x"


def test_absolute_targets(filled):
    headers = {"Authorization": sign()}
    assert filled.raw("GET", f"http://b-{APPID}.cosgz.myqcloud.com/d/f", headers=headers).body == CONTENT
    target = "http://gz.file.myqcloud.com" + filled.target("/d/f", op="stat")
    assert filled.raw("GET", target, headers=headers).code == 0


def test_dialects(make_emulator):
    bare = Client(make_emulator(dialect=Dialect(download_headers="bare", head="refuse", bad_range="200")))
    bare.upload("/f", b"0123")
    answer = bare.download("/f")
    assert not {"etag", "last-modified", "accept-ranges"} & {name.lower() for name in answer.headers}
    assert bare.download("/f", method="HEAD").status == 405
    answer = bare.download("/f", Range="bytes=99-")
    assert (answer.status, answer.body) == (200, b"0123")
    ignoring = Client(make_emulator(dialect=Dialect(ranges="ignore")))
    ignoring.upload("/f", b"0123")
    answer = ignoring.download("/f", Range="bytes=1-2")
    assert (answer.status, answer.body) == (200, b"0123")


def test_a_download_continues_when_the_file_is_replaced(client):
    content = bytes(20 * 1024 * 1024)
    client.upload("/f", content)
    sock = socket.create_connection(("127.0.0.1", client.emulator.port), timeout=30)
    with sock, sock.makefile("rb") as stream:
        sock.sendall(f"GET {client.target('/f')} HTTP/1.1\r\nHost: x\r\nAuthorization: {sign()}\r\n\r\n".encode())
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        assert client.upload("/f", b"new", insertOnly=0).code == 0
        assert client.post("/f", "delete").code == 0
        while stream.readline() != b"\r\n":
            pass
        assert len(stream.read(len(content))) == len(content)
