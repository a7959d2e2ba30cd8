"""Certificates are checked, through proxies too, unless the user says otherwise."""

import contextlib
import os
import socket
import threading
import time

import pytest
from urllib3.exceptions import InsecureRequestWarning

from cosv4fs.api import connections
from cosv4fs.concurrency import cancellation
from tests import support
from tests.security.servers import Certificate, TlsServer, TunnelProxy, http_reply
from tests.support import MIB, KeepingServer, content, raw_client, read_head

OK = http_reply(b'{"code":0,"data":{"mtime":2}}')


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("good"), "IP:127.0.0.1", "DNS:localhost")


@pytest.fixture(scope="module")
def of_another_host(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("other"), "DNS:cos.example", "IP:127.0.0.2")


def ask(server, **options):
    client = raw_client(server, **options)
    try:
        return client.stat("b", "/dir/").modified
    finally:
        client.close()


def refused(server, **options):
    """Return the error of a refused certificate; nothing was sent."""
    with pytest.raises(ConnectionError, match="certificate") as caught:
        ask(server, **options)
    assert server.requests == []
    assert caught.value.filename == "b/dir"
    return str(caught.value)


def test_an_unknown_certificate_is_refused_and_the_error_says_what_to_do(certificate):
    with TlsServer(certificate, OK) as server:
        text = refused(server)
        assert f"127.0.0.1:{server.port}" in text
    assert "not trusted" in text
    assert "verify=" in text


def test_its_own_bundle_makes_it_good(certificate, monkeypatch):
    with TlsServer(certificate, OK) as server:
        assert ask(server, verify=str(certificate.path)) == 2
        assert ask(server, verify=certificate.path) == 2
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
        assert ask(server) == 2
    assert all(b"Authorization: " in head for head in server.requests)


def test_without_checking_it_is_taken_with_a_warning(certificate, of_another_host):
    for each in (certificate, of_another_host):
        with TlsServer(each, OK) as server, pytest.warns(InsecureRequestWarning, match=r"127\.0\.0\.1"):
            assert ask(server, verify=False) == 2


def test_the_certificate_of_another_host_is_refused(of_another_host):
    with TlsServer(of_another_host, OK) as server:
        assert "is for another host" in refused(server, verify=str(of_another_host.path))


def test_downloads_are_checked_as_well(certificate):
    with TlsServer(certificate, http_reply(b"content", headers=['ETag: "1"'])) as server:
        with pytest.raises(ConnectionError, match="not trusted"):
            raw_client(server).fetch("b", "/x", lambda count, _: memoryview(bytearray(count)))
        assert server.requests == []


def test_only_what_is_meant_turns_checking_off(certificate):
    with TlsServer(certificate, OK) as server:
        for wrong in (None, "", [], "nope"):
            with pytest.raises((OSError, ValueError)):
                ask(server, verify=wrong)
        assert server.requests == []


class TestTunnels:
    def test_what_a_proxy_sees(self, certificate):
        with TlsServer(certificate, OK) as server, TunnelProxy(server.port) as proxy:
            proxies = {"https": f"http://user:pass-word@127.0.0.1:{proxy.port}"}
            assert ask(server, proxies=proxies, verify=str(certificate.path)) == 2
            [head] = proxy.requests
            assert head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.".encode())
        assert b"Proxy-Authorization: Basic" in head
        assert b"\r\nAuthorization:" not in head
        assert b"files/v2" not in head
        [inner] = server.requests
        assert b"\r\nAuthorization: " in inner
        assert b"Proxy-Authorization" not in inner

    def test_a_proxy_cannot_show_another_certificate(self, certificate, of_another_host):
        with TlsServer(certificate, OK) as server, TlsServer(of_another_host, OK) as thief:
            with TunnelProxy(thief.port) as proxy:
                proxies = {"https": proxy.endpoint}
                for bundle, text in ((certificate.path, "not trusted"), (of_another_host.path, "for another host")):
                    with pytest.raises(ConnectionError, match=text):
                        ask(server, proxies=proxies, verify=str(bundle))
            assert len(proxy.requests) == 2
            assert thief.requests == []


@pytest.fixture
def shaken():
    """Wait for a handshake whose tickets the client has not read yet."""

    def wait(server):
        for _ in range(30_000):
            if server.handshakes:
                return
            time.sleep(0.001)
        pytest.fail("no handshake")

    return wait


def assert_served_early(certificate, shaken):
    """The first request takes the connection that was opened before."""
    with TlsServer(certificate, OK) as server:
        client = raw_client(server, verify=str(certificate.path))
        client.open_connection()
        shaken(server)
        assert client.stat("b", "/dir/").modified == 2
        assert server.handshakes == 1
        client.close()


def test_a_connection_that_was_opened_early_serves_the_next_request(certificate, shaken):
    assert_served_early(certificate, shaken)


def test_a_ticket_that_comes_a_moment_later_is_no_end_of_a_connection(certificate, shaken, monkeypatch):
    came, look = [True], connections.wait_for_read
    monkeypatch.setattr(connections, "wait_for_read", lambda *given: bool(came and came.pop()) or look(*given))
    assert_served_early(certificate, shaken)


def test_a_connection_that_was_opened_early_waits_while_a_large_body_is_sent(certificate, shaken):
    reply = http_reply(b'{"code":0,"data":{"session":"s","offset":0,"datalen":8388608}}')
    with TlsServer(certificate, reply) as server:
        client = raw_client(server, verify=str(certificate.path))
        client.open_connection()
        shaken(server)
        client.upload_slice_data("b", "/x", "s", 0, memoryview(bytes(8 * MIB)))
        assert server.handshakes == 1
        client.close()


def test_a_connection_that_was_opened_early_uses_the_tunnel_of_a_proxy(certificate, shaken):
    with TlsServer(certificate, OK) as server, TunnelProxy(server.port) as proxy:
        client = raw_client(server, verify=str(certificate.path), proxies={"https": proxy.endpoint})
        client.open_connection()
        shaken(server)
        assert client.stat("b", "/dir/").modified == 2
        assert (server.handshakes, len(proxy.requests)) == (1, 1)
        client.close()


def test_what_comes_unasked_on_a_connection_that_was_opened_early_is_no_reply(certificate, shaken):
    class Eager(TlsServer):
        def greet(self, wrapped):
            if not self.handshakes:
                # else it waits until the client has confirmed the tickets
                wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wrapped.sendall(b"H")

    with Eager(certificate, OK) as server:
        client = raw_client(server, verify=str(certificate.path))
        client.open_connection()
        shaken(server)
        assert client.stat("b", "/dir/").modified == 2
        assert server.handshakes == 2
        client.close()


def test_an_early_connection_does_not_accept_an_unknown_certificate(certificate):
    with TlsServer(certificate, OK) as server:
        client = raw_client(server)
        client.open_connection()
        assert client.missing_connections(2) == 1
        with pytest.raises(ConnectionError, match="certificate"):
            client.stat("b", "/dir/")
        assert server.requests == []


class KeepingTlsServer(KeepingServer):
    """A `KeepingServer` behind TLS."""

    def __init__(self, certificate, *replies):
        super().__init__(*replies)
        self._context = certificate.context
        self.sent = threading.Event()

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def _converse(self, connection):
        try:
            wrapped = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        with wrapped, contextlib.suppress(OSError):
            while head := read_head(wrapped):
                self.requests.append(head)
                wrapped.sendall(self.replies[min(len(self.requests), len(self.replies)) - 1])
                self.sent.set()


def download(client, meanwhile=lambda: None):
    """Return the memory for a download and do it; `meanwhile` is called when the head of the reply was read."""
    memory = bytearray()

    def allocate(count, _):
        memory.extend(bytes(count))
        meanwhile()
        return memoryview(memory)

    with contextlib.suppress(OSError):
        client.fetch("b", "/x", allocate)
    return bytes(memory)


def test_what_is_left_of_a_reply_is_no_part_of_the_next_one(certificate):
    keep = ['ETag: "1"', "Connection: keep-alive"]
    whole, foreign = support.http_reply(b"x" * 100, headers=keep), support.http_reply(b"y" * 100, headers=keep)
    # it is decrypted together with the reply, but not read
    rest = b"z" * (8192 - len(whole)) + foreign
    with KeepingTlsServer(certificate, whole + rest, whole) as server:
        client = raw_client(server, verify=str(certificate.path))
        assert download(client) == download(client) == b"x" * 100
        assert server.connections == 2
        client.close()


def test_what_comes_after_a_cancellation_is_still_decrypted(certificate):
    data = content(100_000)
    with KeepingTlsServer(certificate, support.http_reply(data, headers=['ETag: "1"'])) as server:
        client, owner = raw_client(server, verify=str(certificate.path)), object()

        def interrupt():
            assert server.sent.wait(30)
            cancellation.cancel(owner)

        with cancellation.working_for(owner):
            memory = download(client, interrupt)
        received = memory.rstrip(b"\0")
        assert len(memory) == len(data)
        assert data.startswith(received)
        client.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_reads_nothing_of_a_connection_that_was_opened_early(certificate, shaken):
    with TlsServer(certificate, OK) as server:
        client = raw_client(server, verify=str(certificate.path))
        client.open_connection()
        shaken(server)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert client.stat("b", "/dir/").modified == 2
        assert server.handshakes == 1
        client.close()
