"""Hostile requests to coffers: always a well-formed error, never a 500, and the service keeps working."""

import json
import random

import pytest

from .client import send_bytes
from .coffers import COFFER, Coffers, md5

METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "X"]
TARGETS = [
    "/",
    "//",
    "/%00",
    "/%ff%fe",
    "/%",
    "/%zz",
    "/..",
    "/../../etc/passwd",
    f"/{COFFER}/../../etc/passwd",
    f"/{COFFER}/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    f"/{COFFER}/%ff",
    f"/{COFFER}/f?%ff=1",
    f"/{COFFER}?max-keys={'9' * 5000}",
    f"/{COFFER}?max-keys=%D9%A3",
    f"/{COFFER}?prefix=%00",
    f"/{COFFER}?marker=%00&max-keys=1",
    f"/{COFFER}?uploads&max-uploads={'9' * 5000}",
    f"/{COFFER}?uploads&upload-id-marker=%00%ED%A0%80",
    f"/{COFFER}?lifecycle&policy&uploads",
    f"/{COFFER}?&&&===",
    f"/{COFFER}/f?uploadId=",
    f"/{COFFER}/f?uploadId=x&partNumber={'9' * 5000}",
    f"/{COFFER}/f?uploadId=x&partNumber=-1&part-number-marker=x",
    f"/{COFFER}/f?uploadId=%00",
    f"/{COFFER}/{'a/' * 3000}",
    "/" + "x" * 60000,
    "http://elsewhere/" + COFFER,
    "no-slash",
    "*",
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[[[[",
    b'{"Part": [{"PartNumber": 1e400, "ETag": "\\ud800"}]}',
    b'{"Rule": [{"Expiration": {"Days": ' + b"9" * 5000 + b"}}]}",
    b'{"Locations": {"Location": ["\\ud800"]}}',
    b'{"Statement": [{"Effect": "allow", "Action": "\\ud800", "Resource": 1}]}',
    b'{"a":' * 50_000,
    b"\xff\xfe{\x00}",
    b"\x00" * 1000,
]


def check(answer, method, *, may_work=True):
    """Check that a reply is well-formed: no 500, a body with a code, matching ids."""
    assert answer.status < 500, answer.body
    assert answer.headers["x-cdcs-request-id"]
    if answer.status >= 300 and method != "HEAD":
        error = json.loads(answer.body)
        assert set(error) == {"Code", "Message", "Resource", "RequestId", "TraceId"}
        assert error["RequestId"] == answer.headers["x-cdcs-request-id"]
    assert may_work or answer.status >= 300


@pytest.mark.parametrize("method", METHODS)
def test_unsigned_requests(coffers, method):
    """Without a signature nothing works."""
    for target in TARGETS:
        for headers in ({}, {"Authorization": "q-sign-algorithm=sha1&q-ak=%ff"}):
            check(coffers.raw(method, target, body=b"{}", headers=headers), method, may_work=False)
    assert coffers.put("f").status == 200
    assert list(coffers.emulator.root.parent.glob("passwd")) == []


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies(coffers, body):
    """Signed, with every body at every operation that takes one."""
    upload = coffers.begin("u")
    headers = {"Content-MD5": md5(body)}
    requests = [
        ("PUT", "/second-1250000000", {}),
        ("PUT", f"/{COFFER}", {"lifecycle": None}),
        ("PUT", f"/{COFFER}", {"policy": None}),
        ("POST", f"/{COFFER}/u", {"uploadId": upload}),
        ("PUT", f"/{COFFER}/f", {}),
        ("PUT", f"/{COFFER}/u", {"uploadId": upload, "partNumber": 1}),
        ("GET", f"/{COFFER}", {}),
        ("DELETE", f"/{COFFER}/u", {"uploadId": upload}),
    ]
    for method, path, query in requests:
        check(coffers.call(method, path, query, body=body, headers=headers), method)
    assert coffers.of_coffer("GET", {"policy": None}).status == 200
    assert coffers.call("GET", "/").status == 200


def test_random_requests(coffers):
    """Signed requests of random operations with random values, seeded."""
    chance = random.Random(20200605)
    values = ["", "0", "1", "-1", "9" * 30, "x", "\0", "é", "%41", "url", "💾", "a" * 900, "/", "\\", "\u2028"]
    names = ["uploads", "uploadId", "partNumber", "max-keys", "marker", "prefix", "lifecycle", "policy", "max-parts"]
    names += ["encoding-type", "max-uploads", "upload-id-marker", "part-number-marker", "acl", "delimiter", ""]
    for _ in range(400):
        method = chance.choice(METHODS[:6])
        query = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(4))}
        query.pop("", None)
        path = chance.choice(["/", f"/{COFFER}", f"/{COFFER}/{chance.choice(values)}", f"/{chance.choice(values)}/f"])
        headers = {"Range": chance.choice(["bytes=0-0", "bytes=-", "x" * 5000, "bytes=99999999999999999999999-"])}
        check(coffers.call(method, path, query, body=chance.choice(BODIES), headers=headers), method)
    coffers.put("after")
    assert "after" in coffers.names()


@pytest.mark.parametrize(("target", "length"), [("f", 6 * 1024**3), ("?policy", 10**17)])
def test_lengths_over_the_limit(coffers, target, length):
    slash = "" if target.startswith("?") else "/"
    head = f"PUT /{COFFER}{slash}{target} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
    reply = send_bytes(coffers.emulator, head.encode())
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["Code"] == "InvalidArgument"


def test_a_truncated_body(coffers):
    target = f"/{COFFER}/f"
    assert send_bytes(coffers.emulator, f"PUT {target} HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf".encode()) == b""
    assert coffers.head("f").status == 404
    assert coffers.put("f").status == 200


def test_json_over_the_limit(coffers):
    answer = coffers.of_coffer("PUT", {"policy": None}, body=b" " * (8 * 1024**2 + 1))
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_large_refused_body_is_not_read(coffers):
    head = f"PUT /{COFFER}/f HTTP/1.1\r\nContent-Length: {10**9}\r\n\r\nbeginning"
    reply = send_bytes(coffers.emulator, head.encode())
    assert reply.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in reply
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["Code"] == "AuthFailed"
    assert coffers.emulator.requests[-1].bytes_in == 0


def test_unsigned_bodies_are_not_stored(coffers):
    other = Coffers(coffers.emulator, secret="another key")
    upload = coffers.begin("u")
    for answer in (other.put("f", bytes(100_000)), other.part("u", upload, 1, bytes(100_000))):
        assert answer.code == "AuthFailed"
    assert list((coffers.emulator.root / "blobs").iterdir()) == []


def test_content_types_that_would_split_a_reply(coffers):
    assert coffers.put("f", Content_Type="text/plain;\tx=1").status == 200
    assert coffers.get("f").headers["Content-Type"] == "application/octet-stream"
    assert coffers.put("g", Content_Type="text/\xe9").status == 200
    assert coffers.get("g").headers["Content-Type"] == "application/octet-stream"
