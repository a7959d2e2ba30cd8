"""Connections, proxies and bodies: how requests are sent, and what happens when the network fails."""

import errno
import gc
import socket
import threading
import tracemalloc
import warnings

import pytest

from cosv4fs.api.request import Body, form_body
from cosv4fs.emulator import faults
from tests.api.failures import failure_of
from tests.support import BUCKET, KIB, MIB, RawServer, content, http_reply, raw_client

OK = http_reply(b'{"code":0,"message":"SUCCESS","data":{"ctime":1,"mtime":2}}')
HTML = b"<html><head><title>404</title></head><body><h1>Not   here</h1></body></html>"
XML = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>%s</Message></Error>"


def stat(server, key="/dir/", **options):
    client = raw_client(server, **options)
    try:
        return client.stat("b", key)
    finally:
        client.close()


class TestNetwork:
    def test_timeout(self, service):
        release = threading.Event()
        service.fault(faults.Stall(release), op="stat")
        client = raw_client(service.emulator, **service.emulator.storage_options, read_timeout=0.05)
        try:
            failure = failure_of(client, lambda client: client.stat(BUCKET, "/x"))
            assert isinstance(failure.error, TimeoutError)
            assert "127.0.0.1" in str(failure.error)
            assert (failure.error.errno, failure.error.filename) == (errno.ETIMEDOUT, f"{BUCKET}/x")
            assert failure.outcome_unknown
        finally:
            release.set()
            client.close()

    @pytest.mark.parametrize("fault", [faults.DropReply(), faults.CutReply(2, reset=True)], ids=repr)
    def test_what_the_caller_is_handling_is_no_cause(self, service, fault):
        service.fault(fault, op="stat")
        client = raw_client(service.emulator, **service.emulator.storage_options)
        try:
            raise TimeoutError("another server's")
        except TimeoutError as handled:
            failure = failure_of(client, lambda client: client.stat(BUCKET, "/x"))
            where = handled.__traceback__
        client.close()
        assert failure.error.errno == errno.ECONNRESET
        assert where is not None

    def test_connection_refused(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and never listens
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            client = raw_client(_Place(f"http://{place}"))
            failure = failure_of(client, lambda client: client.stat("b", "/x"))
            client.close()
        assert f"cannot connect to {place}" in str(failure.error)
        assert failure.error.errno == errno.ECONNREFUSED
        assert not failure.outcome_unknown

    def test_https_where_http_is_spoken(self, service):
        client = raw_client(_Place(service.emulator.endpoint.replace("http:", "https:")))
        with pytest.raises(ConnectionError, match=r"127\.0\.0\.1") as caught:
            client.stat("b", "/x")
        client.close()
        assert caught.value.filename == "b/x"

    def test_a_ca_bundle_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="CA bundle"):
            raw_client(_Place("https://127.0.0.1:9"), verify=str(tmp_path / "none.pem"))

    def test_the_connection_is_kept(self, service):
        for number in range(5):
            service.put(f"/{number}", content(100 * KIB))
            service.read(f"/{number}")
            with pytest.raises(FileNotFoundError):
                service.client.stat(BUCKET, "/no")
        assert len({record.connection for record in service.emulator.requests}) == 1

    def test_close_closes_it(self, service):
        service.put("/x", b"x")
        service.client.close()
        service.put("/x", b"y")
        assert len({record.connection for record in service.emulator.requests}) == 2

    def test_a_dead_kept_connection_is_no_error(self, service):
        service.put("/x", b"x")
        service.emulator.restart()
        assert service.read("/x") == b"x"

    def test_nothing_but_the_signature_identifies(self):
        with RawServer(OK) as server:
            stat(server)
        head = server.requests[0].decode().lower()
        assert "user-agent: cosv4fs/" in head
        assert "cookie" not in head
        assert "accept-encoding: identity" in head


class _Place:
    """Anything with an endpoint."""

    def __init__(self, endpoint):
        self.endpoint = endpoint


class TestProxies:
    @pytest.fixture
    def proxy(self):
        with RawServer(OK) as server:
            yield server

    @pytest.fixture
    def target(self):
        return _Place("http://far.example:81")

    def test_option(self, proxy, target):
        assert stat(target, proxies={"http": proxy.endpoint}).modified == 2
        assert proxy.requests[0].startswith(b"GET http://far.example:81/files/v2/1250000000/b/dir/?op=stat HTTP/1.1")

    def test_environment(self, proxy, target, monkeypatch):
        monkeypatch.setenv("http_proxy", proxy.endpoint)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert stat(target).modified == 2
        assert proxy.requests[0].startswith(b"GET http://far.example:81/")

    def test_the_environments_exceptions(self, proxy, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert stat(proxy).modified == 2

    def test_none_at_all(self, proxy, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert stat(proxy, proxies={}).modified == 2

    def test_downloads_name_the_bucket(self, target):
        with RawServer(http_reply(b"content", headers=['ETag: "1"'])) as proxy:
            client = raw_client(target, proxies={"http": proxy.endpoint})
            fetched = client.fetch("b", "/x", lambda count, _: memoryview(bytearray(count)))
            client.close()
        assert fetched.length == 7
        assert b"\r\nHost: b-1250000000.cosgz.myqcloud.com\r\n" in proxy.requests[0]


class TestBodies:
    def test_a_body_can_be_sent_again(self):
        body = form_body({"op": "upload"}, memoryview(content(MIB)))
        assert b"".join(body) == b"".join(body)
        assert len(body) == len(b"".join(body))
        assert body.payload() is body

    def test_a_small_one_goes_in_one_piece(self):
        body = form_body({"op": "upload"}, memoryview(b"content"))
        assert isinstance(body.payload(), bytes)
        assert body.payload() == b"".join(body)

    def test_a_slice_is_never_copied(self):
        data = memoryview(content(8 * MIB))
        with RawServer(http_reply(b'{"code":0,"data":{"offset":0}}')) as server:
            client = raw_client(server)
            tracemalloc.start()
            try:
                client.upload_slice_data(BUCKET, "/x", "session", 0, data)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
                client.close()
        assert peak < MIB

    def test_no_boundary_comes_twice(self):
        first, second = (form_body({"op": "x"}, memoryview(b"")).content_type for _ in range(2))
        assert first != second

    def test_lengths(self):
        assert len(Body("text/plain", b"ab", memoryview(b"cde"))) == 5


@pytest.mark.parametrize("reply", [b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 500 Oh\r\n\r\n<html>"])
def test_bodies_without_a_length_leave_no_connection_open(reply):
    with warnings.catch_warnings():
        # what earlier tests left is not this one's
        warnings.simplefilter("ignore")
        gc.collect()
    with RawServer(reply) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client = raw_client(server)
        with pytest.raises(OSError, match="stat") as caught:
            client.stat("bucket", "/x")
        # as exceptions are kept that refer to themselves: collected with all that their frames hold
        caught.value.itself = caught.value
        del caught
        gc.collect()
    assert [str(warning.message) for warning in warned if warning.category is ResourceWarning] == []
