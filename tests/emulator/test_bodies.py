"""Bodies as real clients send them (wire.md#tolerate), and malformed ones."""

import hashlib
import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosv4fs.emulator import Dialect, Emulator

from .client import APPID, NOW, SECRET_ID, SECRET_KEY, Client, form, send_bytes, sign

B = "--------------------------4f2c"
TEXT = "hello, 世界".encode()
SHA = hashlib.sha1(TEXT).hexdigest()


def part(head, content):
    content = content if isinstance(content, bytes) else str(content).encode()
    return f"--{B}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def plain(name, value):
    return part(f'Content-Disposition: form-data; name="{name}"', value)


def named(name, value):
    return part(f'Content-Disposition: form-data; name="{name}"; filename="{name}"', value)


def java(name, value):
    head = f'Content-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain; charset=UTF-8'
    return part(head + "\r\nContent-Transfer-Encoding: 8bit", value)


def typed(name, value, filename, kind="application/octet-stream"):
    return part(f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}', value)


END = f"--{B}--\r\n".encode()
BINARY = (
    'Content-Disposition: form-data; name="fileContent"\r\nContent-Type: application/octet-stream\r\n'
    "Content-Transfer-Encoding: binary"
)
UPPER = 'CONTENT-TYPE: application/octet-stream\r\nCONTENT-DISPOSITION: form-data; name="{}"; filename=""'

UPLOADS = {
    "PY": named("insertOnly", 0) + named("sha", SHA) + named("biz_attr", "a") + named("filecontent", TEXT)
    + named("op", "upload"),
    "PY3F": named("op", "upload") + named("filecontent", TEXT) + named("sha", SHA) + named("biz_attr", "a")
    + named("insertOnly", 1),
    "SU27": plain("op", "upload") + plain("biz_attr", "a") + plain("insertOnly", 1) + typed("filecontent", TEXT, ""),
    "SU27 async": part('CONTENT-DISPOSITION: form-data; name="op"', "upload")
    + part('CONTENT-DISPOSITION: form-data; name="biz_attr"', "a") + part(UPPER.format("filecontent"), TEXT),
    "NPM": plain("op", "upload") + plain("sha", SHA) + plain("biz_attr", "a")
    + typed("filecontent", TEXT, "small.txt", "text/plain"),
    "QOS": plain("op", "upload") + typed("filecontent", TEXT, "small.txt", "text/plain") + plain("biz_attr", "a")
    + plain("insertOnly", 1),
    "PHP": plain("op", "upload") + plain("sha", SHA) + plain("biz_attr", "a") + plain("filecontent", TEXT)
    + plain("insertOnly", ""),
    "JAVA": java("op", "upload") + java("sha", SHA) + java("biz_attr", "a") + part(BINARY, TEXT)
    + java("insertOnly", 1),
    "CPP": plain("biz_attr", "a") + plain("insertOnly", 1) + plain("op", "upload") + plain("sha", SHA)
    + typed("filecontent", TEXT, "data"),
    "NET": b"\r\n" + plain("op", "upload") + plain("sha", SHA) + plain("biz_attr", "a") + plain("insertOnly", 1)
    + typed("fileContent", TEXT, "small.txt"),
    "JS": plain("op", "upload") + typed("fileContent", TEXT, "中文.txt", "text/csv") + plain("insertOnly", 1)
    + plain("biz_attr", "a"),
}  # fmt: skip
KINDS = {"NPM": "text/plain", "QOS": "text/plain", "JS": "text/csv"}


def send(client, path, body, kind=f"multipart/form-data; boundary={B}"):
    return client.raw(
        "POST", client.target(path), body=body, headers={"Authorization": sign(), "Content-Type": kind, "Accept": "*/*"}
    )


@pytest.mark.parametrize("peer", UPLOADS)
def test_upload(client, peer):
    assert send(client, "/f", UPLOADS[peer] + END).code == 0
    assert client.get("/f", "stat").data["biz_attr"] == "a"
    answer = client.download("/f")
    assert answer.body == TEXT
    assert answer.headers["Content-Type"] == KINDS.get(peer, "application/octet-stream")


def test_part_types_can_be_ignored(make_emulator):
    client = Client(make_emulator(dialect=Dialect(part_content_type="ignore")))
    send(client, "/f", UPLOADS["JS"] + END)
    assert client.download("/f").headers["Content-Type"] == "application/octet-stream"


SLICES = {
    "PY": lambda s, o, c: named("sha", SHA) + named("offset", o) + named("session", s) + named("filecontent", c)
    + named("op", "upload_slice_data"),
    "SU27": lambda s, o, c: named("op", "upload_slice_data") + named("filecontent", c) + named("session", s)
    + named("offset", o),
    "QOS": lambda s, o, c: plain("op", "upload_slice_data")
    + part('Content-Disposition: form-data; name="filecontent"\r\nContent-Type: application/octet-stream', c)
    + plain("session", s) + plain("offset", o),
    "PHP": lambda s, o, c: plain("op", "upload_slice_data") + plain("session", s) + plain("offset", o)
    + plain("filecontent", c) + plain("datamd5", hashlib.md5(c).hexdigest()),
    "JAVA": lambda s, o, c: java("op", "upload_slice_data") + java("session", s) + java("offset", o) + part(BINARY, c),
    "CPP": lambda s, o, c: plain("offset", o) + plain("op", "upload_slice_data") + plain("session", s)
    + typed("filecontent", c, "data"),
    "NET": lambda s, o, c: b"\r\n" + plain("op", "upload_slice_data") + plain("session", s) + plain("offset", o)
    + plain("sha", SHA) + typed("fileContent", c, "big30.bin"),
    "JS": lambda s, o, c: plain("sliceSize", 4) + plain("op", "upload_slice_data") + plain("session", s)
    + plain("offset", o) + plain("sha", SHA) + typed("fileContent", c, "blob"),
}  # fmt: skip


@pytest.mark.parametrize("peer", SLICES)
def test_slices(make_emulator, peer):
    client = Client(make_emulator(dialect=Dialect(slice_size=4)))
    start = plain("uploadparts", "") + plain("sha", SHA) + plain("op", "upload_slice_init")
    start += (
        plain("filesize", len(TEXT)) + plain("slice_size", 1048576) + plain("biz_attr", "") + plain("insertOnly", "")
    )
    session = send(client, "/f", start + END).data["session"]
    for offset in range(0, len(TEXT), 4):
        body = SLICES[peer](session, offset, TEXT[offset : offset + 4])
        assert send(client, "/f", body + END).data["session"] == session
    last = (
        plain("op", "upload_slice_finish")
        + plain("session", session)
        + plain("fileSize", len(TEXT))
        + plain("sha", SHA)
    )
    assert send(client, "/f", last + END).code == 0
    assert client.download("/f").body == TEXT
    assert client.download("/f").headers["Content-Type"] == "application/octet-stream"


def test_first_slice_with_a_type(make_emulator):
    client = Client(make_emulator(dialect=Dialect(slice_size=4)))
    session = client.begin("/f", 8).data["session"]
    for offset, kind in ((4, "image/png"), (0, "image/gif")):
        fields = plain("op", "upload_slice_data") + plain("session", session) + plain("offset", offset)
        assert send(client, "/f", fields + typed("filecontent", b"0123", "x", kind) + END).code == 0
    client.finish("/f", session, 8)
    assert client.download("/f").headers["Content-Type"] == "image/png"


def test_json_bodies(client):
    send(client, "/f", UPLOADS["PY"] + END)
    body = b'{"biz_attr":"x","op":"create","unknown":{"a":[1]}}\n'
    assert send(client, "/d/", body, "application/json").code == 0
    assert send(client, "/e/", body, "application/json; charset=utf-8").code == 0
    assert send(client, "/g/", body, "").code == 0
    body = json.dumps({"op": "move", "dest_fileid": "/d/f", "to_over_write": 0}).encode()
    assert send(client, "/f", body, "application/json").code == 0


def test_get_with_a_content_type(client):
    answer = client.raw(
        "GET", client.target("/", op="stat"), headers={"Authorization": sign(), "Content-Type": "application/json"}
    )
    assert answer.code == 0


def test_move_by_query(client):
    client.upload("/f", b"x")
    target = f"/files/v2/{APPID}/b/f?to_over_write=0&dest_fileid=%2Fd+e%2Fg%2Bh&op=move"
    answer = client.raw("POST", target, headers={"Authorization": sign(), "Content-Length": "0", "Method": "POST"})
    assert answer.code == 0
    assert client.download("/d e/g+h").body == b"x"


def test_move_with_a_stray_content(client):
    client.upload("/f", b"x")
    body = plain("op", "move") + plain("dest_fileid", "g") + plain("to_over_write", 0) + plain("filecontent", b"")
    assert send(client, "/f", body + END).code == 0


@pytest.mark.parametrize("encoded", ["%28%27%2B%2b%7E%41", "('++~A", "%28'%2b+~A"])
def test_spellings_of_a_path(client, encoded):
    client.upload("/('++~A", b"x")
    answer = client.raw("GET", f"/files/v2/{APPID}/b/{encoded}?op=stat", headers={"Authorization": sign()})
    assert answer.code == 0


def test_raw_bytes_in_a_path(client):
    client.upload("/中", b"x")
    sock = socket.create_connection(("127.0.0.1", client.emulator.port), timeout=30)
    with sock, sock.makefile("rb") as stream:
        head = f"GET /files/v2/{APPID}/b/中?op=stat HTTP/1.0\r\nHost: x\r\nAuthorization: {sign()}\r\n\r\n"
        sock.sendall(head.encode())
        assert b'"code": 0' in stream.read()


def test_expect_100_continue(emulator):
    body = UPLOADS["PHP"] + END
    head = (
        f"POST /files/v2/{APPID}/b/f HTTP/1.1\r\nHost: x\r\nAuthorization: {sign()}\r\nMethod: POST\r\n"
        f"Content-Type: multipart/form-data; boundary={B}\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=30) as sock, sock.makefile("rb") as stream:
        sock.sendall(head.encode())
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert stream.readline() == b"\r\n"
        sock.sendall(body)
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


def test_expect_of_a_body_that_is_too_long(emulator):
    head = f"POST /files/v2/{APPID}/b/f HTTP/1.1\r\nContent-Length: {10**12}\r\nExpect: 100-continue\r\n\r\n"
    assert send_bytes(emulator, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_keep_alive(emulator):
    request = f"GET /files/v2/{APPID}/b/?op=stat HTTP/1.1\r\nHost: x\r\nAuthorization: {sign()}\r\n\r\n".encode()
    answer = send_bytes(emulator, request + b"\r\n" + request + request.replace(b"HTTP/1.1", b"HTTP/1.0") + request)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert len({record.connection for record in emulator.requests}) == 1


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", -5975),
        (b"[]", "application/json", -5975),
        (b'{"op": "\xff"}', "application/json", -147),
        (b"[" * 100000, "application/json", -5975),
        (b'{"op": ' + b"9" * 5000 + b"}", "application/json", -5975),
        (b'{"op": ["x"]}', "application/json", -182),
        (b'{"op": null}', "application/json", -5980),
        (b"x", "multipart/form-data", -5993),
        (b"x", f"multipart/form-data; boundary={B}", -5993),
        (b"", f"multipart/form-data; boundary={B}", -5993),
        (END, f"multipart/form-data; boundary={B}", -5980),
        (END.rstrip(), f'multipart/form-data; boundary="{B}"', -5980),
        (f"--{B}".encode(), f"multipart/form-data; boundary={B}", -5993),
        (plain("op", "x"), f"multipart/form-data; boundary={B}", -5993),
        (plain("op", "x")[:-1] + END, f"multipart/form-data; boundary={B}", -5993),
        (part("X: y", "x") + END, f"multipart/form-data; boundary={B}", -5993),
        (plain("op", b"\xff") + END, f"multipart/form-data; boundary={B}", -147),
        (plain("op", "create") + END + b"epilogue", f"multipart/form-data; boundary={B}", 0),
        (part("Content-Disposition: form-data; name=op", "create") + END, f"multipart/form-data; boundary={B}", 0),
        (b"op=create&x=%20", "application/x-www-form-urlencoded", 0),
    ],
)
def test_malformed_bodies(client, body, kind, code):
    answer = send(client, "/d/", body, kind)
    assert answer.code == code
    assert answer.status == (200 if code == 0 else 400)


@pytest.fixture(scope="module")
def one_emulator():
    with Emulator(secret_id=SECRET_ID, secret_key=SECRET_KEY, buckets=("b",), clock=lambda: NOW) as emulator:
        yield emulator


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda a, b: UPLOADS["PHP"][:a] + b, st.integers(0, 900), st.binary(max_size=40)),
    kind=st.sampled_from(["application/json", f"multipart/form-data; boundary={B}", "text/plain", ""]),
    path=st.text(max_size=20),
    op=st.sampled_from(["upload", "create", "move", "upload_slice_init", "upload_slice_data", "delete"]),
)
def test_no_body_is_an_internal_error(one_emulator, body, kind, path, op):
    client = Client(one_emulator)
    try:
        target = client.target("/" + path, op=op, dest_fileid="/" + path)
    except UnicodeEncodeError:
        return
    answer = client.raw("POST", target, body=body, headers={"Authorization": sign(), "Content-Type": kind})
    assert answer.status < 500
    assert isinstance(answer.code, int)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300), boundary=st.from_regex(r"[A-Za-z0-9'()+_,./:=?-]{1,30}", fullmatch=True))
def test_contents_are_stored_unchanged(one_emulator, content, boundary):
    client = Client(one_emulator)
    if f"\r\n--{boundary}".encode() in b"\r\n" + content:
        return
    body, _ = form({"op": "upload", "filecontent": content, "insertOnly": 0}, boundary)
    assert send(client, "/f", body, f'multipart/form-data; boundary="{boundary}"').code == 0
    assert client.download("/f").body == content
