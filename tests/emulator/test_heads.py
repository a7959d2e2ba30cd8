"""Heads of requests over a raw socket: what is no request, and what two readers could take for different ones."""

import http.client
import re
import socket

import pytest

from .client import APPID, Client, once, send_bytes, sign

FOLLOWING = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request in what is left of another one: it must not be served."""


def statuses(reply):
    """Return the statuses of the replies in a stream of bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", reply)]


@pytest.mark.parametrize(
    "head",
    [
        b'"}GET / HTTP/1.1\r\nHost: x\r\n',
        b"\xc3\xa4GET / HTTP/1.1\r\nHost: x\r\n",
        b"G(T / HTTP/1.1\r\nHost: x\r\n",
        b" GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: x\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n",
        b"GET /a\x0bb HTTP/1.1\r\nHost: x\r\n",
        b"GET /\r\n",
        b"GET / HTTP/1.1x\r\nHost: x\r\n",
        b"GET / http/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n",
        b"GET / HTTP/1.1\rHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n",
        b"GET / HTTP/1.1\r\n\tHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA b: y\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 33\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 33, 33\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +33\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 3\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x21\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3_3\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\nContent-Length: 0\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\0: chunked\r\n",
    ],
)
def test_heads_that_could_be_read_in_two_ways(service, head):
    reply = send_bytes(service.emulator, head + b"\r\n" + FOLLOWING)
    assert statuses(reply) == [400]
    assert b"\r\nConnection: close\r\n" in reply
    assert service.put("f").ok


@pytest.mark.parametrize("length", [b"", b"Content-Length: 33\r\n", b"Content-Length: 0\r\n"])
@pytest.mark.parametrize("coding", [b"chunked", b"identity", b"gzip, chunked", b"xchunked"])
def test_bodies_without_a_length_end_the_connection(service, length, coding):
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + length + b"Transfer-Encoding: " + coding + b"\r\n\r\n"
    assert statuses(send_bytes(service.emulator, head + b"0\r\n\r\n" + FOLLOWING)) == [411]


def test_a_refused_client_may_finish_before_it_reads(service):
    """As HTTP libraries do; a reset in between would take the reply from them."""
    connection = http.client.HTTPConnection("127.0.0.1", service.emulator.port, timeout=30)
    try:
        connection.request("POST", "/x", body=iter([bytes(1 << 20)] * 20))
        assert connection.getresponse().status == 411
    finally:
        connection.close()


@pytest.mark.parametrize("method", [b"PATCH", b"get", b"aGET", b"CONNECT", b"x-1.2~!"])
def test_after_an_unknown_method_the_connection_ends(service, method):
    reply = send_bytes(service.emulator, method + b" /x HTTP/1.1\r\nHost: x\r\n\r\n" + FOLLOWING)
    assert len(statuses(reply)) == 1
    assert statuses(reply)[0] // 100 == 4
    assert b"\r\nConnection: close\r\n" in reply


def test_a_body_longer_than_its_length(client):
    client.upload("/f", b"x")
    # one client counts characters, not bytes, where it says how long its body is
    text = '{"op":"update","biz_attr":"备注"}'
    wrong = text.encode()[: len(text)]
    body = text.encode()
    head = (
        f"POST /files/v2/{APPID}/b/f HTTP/1.1\r\nContent-Type: application/json\r\nUser-Agent: cos-node-sdk-1.0.5\r\n"
        f"Authorization: {once('b', '/f')}\r\nHost: gz.file.myqcloud.com\r\nContent-Length: {len(wrong)}\r\n"
        "Connection: keep-alive\r\n\r\n"
    ).encode()
    following = f"GET {client.target('/f', op='stat')} HTTP/1.1\r\nAuthorization: {sign()}\r\nHost: x\r\n\r\n".encode()
    reply = send_bytes(client.emulator, head + body + following)
    assert statuses(reply) == [400, 400]
    assert reply.count(b"Connection: close") == 1
    assert client.get("/f", "stat").data["biz_attr"] == ""
    assert client.emulator.count()["stat"] == 1


def test_what_is_no_line_is_refused_at_once(service):
    """A TLS client says hello without any line break, and waits."""
    with socket.create_connection(("127.0.0.1", service.emulator.port), timeout=30) as connection:
        connection.sendall(bytes.fromhex("16030100fa010000f60303") + b"\x55" * 32)
        with connection.makefile("rb") as stream:
            assert stream.readline() == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize("target", ["https://x/f", "*", "x:443", "/%zz"])
def test_other_forms_of_targets_are_refused(client, target):
    answer = client.raw("GET", target)
    assert (answer.status, answer.code) == (400, -5994)


def test_what_http_allows(client):
    client.upload("/f", b"content")
    target = client.target("/f")
    head = f"\r\nGET {target} HTTP/1.0\nAUTHORIZATION:{sign()}\t \nExpect: 100-continue\nX-Empty:\nHost: x\nHost: x\n\n"
    reply = send_bytes(client.emulator, head.encode())
    assert statuses(reply) == [200]
    assert reply.endswith(b"\r\n\r\ncontent")


def test_pipelined_requests_are_served_in_order(client):
    client.upload("/f", b"content")
    one = f"GET {client.target('/f')} HTTP/1.1\r\nAuthorization: {sign()}\r\nHost: x\r\n\r\n"
    missing = f"GET {client.target('/g')} HTTP/1.1\r\nAuthorization: {sign()}\r\nHost: x\r\n\r\n"
    assert statuses(send_bytes(client.emulator, (one + missing + one).encode())) == [200, 404, 200]
    assert Client(client.emulator).names() == ["f"]
