"""The envelope of the JSON API: the code decides; what has none is an error, whatever it is."""

import errno

import pytest

from cosv4fs.errors import CosError
from tests.support import RawServer, http_reply, raw_client

OK = http_reply(b'{"code":0,"message":"SUCCESS","data":{"ctime":1,"mtime":2}}')
XML = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>%s</Message></Error>"


def stat(server, key="/dir/", **options):
    client = raw_client(server, **options)
    try:
        return client.stat("b", key)
    finally:
        client.close()


def error_of(reply, **options):
    with RawServer(reply) as server, pytest.raises(OSError) as caught:
        stat(server, **options)
    assert isinstance(caught.value, CosError)
    assert caught.value.filename == "b/dir"
    assert caught.value.strerror
    assert "stat" in str(caught.value)
    return caught.value


def test_the_raw_server_works():
    with RawServer(OK) as server:
        assert stat(server).modified == 2
        assert server.requests[0].startswith(b"GET /files/v2/1250000000/b/dir/?op=stat HTTP/1.1\r\n")


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found", "500 Oops"])
def test_the_code_decides_whatever_the_status(status):
    error = error_of(http_reply(b'{"code":-197,"message":"ERROR_CMD_FILE_NOTEXIST","request_id":"abc="}', status))
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.code, error.request_id) == (errno.ENOENT, -197, "abc=")
    assert error.status == int(status[:3])
    assert "abc=" in str(error)


def test_the_request_id_of_the_header():
    error = error_of(http_reply(b'{"code":"-197"}', headers=["x-cos-request-id: xyz="]))
    assert (error.code, error.request_id) == (-197, "xyz=")


def test_an_unknown_code():
    error = error_of(http_reply(b'{"code":-31337,"message":"ERROR_NEW"}', "400 Bad"))
    assert (error.errno, error.code) == (errno.EIO, -31337)
    assert "ERROR_NEW" in str(error)


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        (b"NoSuchBucket", b"gone", FileNotFoundError),
        (b"AccessDenied", b"no", OSError),
    ],
)
def test_xml(name, message, kind):
    error = error_of(http_reply(XML % (name, message), "404 Not" if name == b"NoSuchBucket" else "400 Bad"))
    assert isinstance(error, kind)
    assert name.decode() in str(error)
    assert message.decode() in str(error)


def test_a_missing_bucket_is_not_reported_as_a_missing_header():
    message = b"Missing required header for this request: Appid"
    error = error_of(http_reply(XML % (b"InvalidRequest", message), "400 Bad"))
    assert isinstance(error, FileNotFoundError)
    assert error.strerror == "no such bucket for this appid (stat: HTTP 400, InvalidRequest)"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"0",
        b'"code"',
        b"{}",
        b'{"code":null}',
        b'{"code":[]}',
        b'{"code":0.5}',
        b'{"code":"zero"}',
        b'{"code":"' + b"9" * 5000 + b'"}',
        b'{"code":0',
        b'{"code":0}trailing',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff" * 100,
        b'{"code":' + b"9" * 5000 + b"}",
        b'{"code":0,"data":[]}',
        b'{"code":0,"data":"text"}',
        b'{"code":0,"data":{"mtime":-1}}',
        b'{"code":0,"data":{"mtime":true}}',
        b'{"code":0,"data":{"mtime":1e400}}',
        b'{"code":0,"data":{"mtime":"' + b"9" * 5000 + b'"}}',
        b'{"code":0,"data":{"biz_attr":{}}}',
        b'{"code":0,"data":{"custom_headers":[1]}}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_nonsense(body):
    assert error_of(http_reply(body)).errno in (errno.EIO, errno.EBADMSG)


def test_a_length_that_is_no_number_does_not_matter_to_json():
    with RawServer(http_reply(b'{"code":0,"data":{"mtime":5}}', length="\xb2")) as server:
        assert stat(server).modified == 5


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (-71, "503 Busy", True),
        (-181, "400 Bad Request", True),
        (-180, "500 Oops", False),
        (-123456, "500 Oops", True),
        (-123456, "400 Bad Request", False),
    ],
)
def test_what_may_succeed_later(code, status, expected):
    assert error_of(http_reply(b'{"code":%d,"message":""}' % code, status)).is_transient is expected
