"""Replies that are not what the API promises, from either service: the same errors, retries and outcomes."""

import errno

import pytest

from cosv4fs.api import CofferClient, CosV4Client
from cosv4fs.codes import Retry
from tests.api.failures import failure_of
from tests.support import COFFER, RawServer, http_reply, raw_client

HTML = b"<html><head><title>404</title></head><body><h1>Not   here</h1></body></html>"
GARBAGE = b"\xff\xfe\x00garbage"

SERVICES = {
    "cos": (CosV4Client, lambda client: client.stat("b", "/dir/"), "b/dir", "stat"),
    "cdcs": (
        CofferClient,
        lambda client: client.list_parts(COFFER, "/a", "u"),
        f"{COFFER}/a",
        "ListParts",
    ),
}


@pytest.fixture(params=SERVICES)
def kind(request):
    return request.param


@pytest.fixture
def failure(kind):
    """Send a request that gets a prepared reply; return how its one attempt fails."""
    client_kind, act, path, operation = SERVICES[kind]

    def fail(reply, **options):
        with RawServer(reply) as server:
            client = raw_client(server, client_kind, **options)
            try:
                failed = failure_of(client, act)
            finally:
                client.close()
        assert failed.error.filename == path
        assert operation in failed.error.strerror
        return failed

    return fail


@pytest.mark.parametrize(
    ("status", "expected", "number", "retry"),
    [
        ("400 Bad Request", OSError, errno.EINVAL, Retry.NO),
        ("401 Unauthorized", PermissionError, errno.EACCES, Retry.NO),
        ("403 Forbidden", PermissionError, errno.EACCES, Retry.NO),
        ("404 Not Found", ConnectionError, errno.EHOSTUNREACH, Retry.NO),
        ("405 Not Allowed", OSError, errno.ENOTSUP, Retry.NO),
        ("413 Too Large", OSError, errno.EFBIG, Retry.NO),
        ("418 Teapot", OSError, errno.EIO, Retry.NO),
        ("429 Too Many", OSError, errno.EBUSY, Retry.BACK_OFF),
        ("500 Oops", OSError, errno.EIO, Retry.YES),
        ("501 Not Implemented", ConnectionError, errno.EHOSTUNREACH, Retry.NO),
        ("505 Version", ConnectionError, errno.EHOSTUNREACH, Retry.NO),
        ("502 Bad Gateway", OSError, errno.EIO, Retry.YES),
        ("503 Unavailable", OSError, errno.EIO, Retry.BACK_OFF),
    ],
)
@pytest.mark.parametrize("body", [HTML, b"", GARBAGE], ids=["html", "empty", "garbage"])
def test_statuses(kind, failure, status, expected, number, retry, body):
    if kind == "cdcs" and status[:3] == "404" and not body:
        # the reply to HEAD has no body (cdcs.md#head-object)
        expected, number = FileNotFoundError, errno.ENOENT
    failed = failure(http_reply(body, status))
    error, code = failed.error, int(status[:3])
    assert isinstance(error, expected)
    assert (error.errno, error.status, error.code, failed.retry) == (number, code, None, retry)
    assert failed.outcome_unknown == (code >= 500 and retry is not Retry.NO)
    assert error.is_transient == (retry in (Retry.YES, Retry.BACK_OFF) or isinstance(error, ConnectionError))
    assert status[:3] in str(error)
    assert "<" not in error.strerror
    assert "  " not in error.strerror


@pytest.mark.parametrize(
    ("kind", "status", "expected", "number"),
    [
        ("cos", "612 Missing", FileNotFoundError, errno.ENOENT),
        ("cos", "631 Appid", PermissionError, errno.EACCES),
        ("cdcs", "409 Conflict", OSError, errno.EBUSY),
        ("cdcs", "416 Range", OSError, errno.EINVAL),
    ],
)
def test_statuses_of_one_service(failure, status, expected, number):
    error = failure(http_reply(b"", status)).error
    assert isinstance(error, expected)
    assert error.errno == number


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent", "304 Not Modified"])
@pytest.mark.parametrize("body", [b"", b'{"code":0,"data":{}}'], ids=["empty", "json"])
def test_redirects_are_not_followed(failure, status, body):
    with RawServer(http_reply(b"{}")) as elsewhere:
        body = b"" if "304" in status else body
        failed = failure(http_reply(body, status, [f"Location: {elsewhere.endpoint}/x"]))
        assert elsewhere.requests == []
    assert (failed.error.errno, failed.retry) == (errno.EIO, Retry.NO)
    assert "redirects to another place" in str(failed.error)


@pytest.mark.parametrize("body", [b"", b"  ", b'{"code":0,"data":{"ct', b'ime":1}}'], ids=str)
def test_a_damaged_reply_is_retried(failure, body):
    failed = failure(http_reply(body))
    assert (failed.error.errno, failed.retry, failed.outcome_unknown) == (errno.EIO, Retry.YES, True)


@pytest.mark.parametrize("body", [HTML, GARBAGE], ids=["html", "garbage"])
def test_a_page_of_something_else_is_not(failure, body):
    failed = failure(http_reply(body))
    assert (failed.error.errno, failed.retry) == (errno.EIO, Retry.NO)


@pytest.mark.parametrize("kind", ["cos"])
@pytest.mark.parametrize("body", [b'{"status":"ok"}', b"{}"], ids=str)
def test_a_reply_of_another_api_is_not(failure, body):
    failed = failure(http_reply(body))
    assert (failed.error.errno, failed.retry) == (errno.EIO, Retry.NO)


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_body_that_breaks_off(failure, length):
    failed = failure(http_reply(b'{"code":0,"data":{}}', length=length))
    assert isinstance(failed.error, ConnectionError)
    assert failed.retry is Retry.YES
    assert failed.outcome_unknown


@pytest.mark.parametrize("reply", [b"", b"HTT", b"nonsense\r\n\r\n"], ids=["none", "cut", "bad"])
def test_no_http(failure, reply):
    failed = failure(reply)
    assert isinstance(failed.error, ConnectionError)
    assert "127.0.0.1" in str(failed.error)
    assert ("did not answer in HTTP: check the port" in str(failed.error)) == (reply != b"")
    assert failed.outcome_unknown


def test_a_huge_reply_is_not_read(failure, monkeypatch):
    monkeypatch.setattr("cosv4fs.api.transport._MAX_JSON", 1000)
    failed = failure(http_reply(b'{"code":0,"data":{"biz_attr":"%s"}}' % bytes(2000)))
    assert (failed.error.errno, failed.retry) == (errno.EMSGSIZE, Retry.NO)


@pytest.mark.parametrize(
    "header",
    ["Retry-After: \xb2", "Retry-After: soon", "Retry-After: -1", "Retry-After: " + "9" * 5000, "Date: \xb2\xb2"],
)
def test_hostile_headers(failure, header):
    failed = failure(http_reply(HTML, "503 Unavailable", [header]))
    assert failed.error.errno == errno.EIO
    assert failed.retry_after is None


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("86400", 60.0)])
def test_retry_after_is_bounded(failure, said, seconds):
    assert failure(http_reply(HTML, "503 Unavailable", [f"Retry-After: {said}"])).retry_after == seconds


@pytest.mark.parametrize(("second", "seconds"), [("31", 11.0), ("10", 0.0)])
def test_retry_after_as_a_date(failure, second, seconds):
    dates = [f"Retry-After: Mon, 30 Nov 2026 10:00:{second} GMT", "Date: Mon, 30 Nov 2026 10:00:20 GMT"]
    assert failure(http_reply(HTML, "503 Unavailable", dates)).retry_after == seconds
