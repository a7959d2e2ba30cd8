"""A connection serves the next request only when the reply before was read to its end: nothing of it comes later."""

import contextlib
import gc
import http.client
import json
import re
import socket
import threading
import time
import warnings

import pytest
import urllib3

from cosv4fs.api import CofferClient
from cosv4fs.api.request import Request
from tests.support import KIB, KeepingServer, RawServer, content, http_reply, hurry, raw_client, read_head

LATE = KeepingServer.UNTIL_ASKED
OPEN = "Connection: keep-alive"
ETAG = 'ETag: "1"'
FOREIGN = http_reply(b"of another request", headers=[OPEN, ETAG])
"""What would be taken for a reply, were it read as one."""
COFFERS = {"kind": CofferClient, "appid": None, "region": "x"}
DATA = content(300 * KIB)
WHOLE = http_reply(DATA, headers=[OPEN, ETAG])


def reply(body, status="200 OK", headers=(), length=None):
    return http_reply(body, status, [OPEN, *headers], length)


def late(body, status="200 OK", headers=(), length=None):
    """Return a reply whose body comes when the next request has come."""
    head = reply(b"", status, headers, len(body) if length is None else length)
    return [head, LATE, body]


def fetch(client, start=None, stop=None):
    memory = bytearray()

    def allocate(count, version):
        memory.extend(bytes(count))
        return memoryview(memory)

    client.fetch("b", "/x", allocate, start, stop)
    return bytes(memory)


@pytest.fixture
def serve():
    opened = []

    def serve(*replies, **options):
        server = KeepingServer(*replies)
        server.__enter__()
        client = raw_client(server, **options)
        opened.append((server, client))
        return server, client

    yield serve
    for server, client in opened:
        client.close()
        server.__exit__()


def test_the_server_keeps_connections(serve):
    server, client = serve(WHOLE)
    assert fetch(client) == fetch(client) == DATA
    assert server.connections == 1


PAST_THE_END = {
    "416": ("416 No", ["Content-Range: bytes */10"]),
    "416 of unknown size": ("416 No", []),
    "206": ("206 Partial", ["Content-Range: bytes 0-87/0"]),
}


@pytest.mark.parametrize("case", PAST_THE_END)
def test_a_late_body_that_is_of_no_use_becomes_no_content(serve, case):
    status, headers = PAST_THE_END[case]
    server, client = serve(late(FOREIGN, status, headers), WHOLE)
    assert fetch(client, 100, 200) == b""
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("case", PAST_THE_END)
def test_a_body_that_is_of_no_use_is_read_and_the_connection_kept(serve, case):
    status, headers = PAST_THE_END[case]
    server, client = serve(reply(FOREIGN, status, headers), WHOLE)
    assert fetch(client, 100, 200) == b""
    assert fetch(client) == DATA
    assert server.connections == 1


def test_a_large_body_that_is_of_no_use_is_not_read(serve):
    server, client = serve(late(FOREIGN, "416 No", length=10**9), WHOLE)
    assert fetch(client, 100, 200) == b""
    assert fetch(client) == DATA
    assert server.connections == 2


def test_of_more_than_was_wanted_the_little_is_read(serve):
    server, client = serve(WHOLE)
    assert fetch(client, 10, len(DATA) - 100) == DATA[10:-100]
    assert fetch(client, 0, 20) == DATA[:20]
    assert fetch(client, 0, 30) == DATA[:30]
    assert server.connections == 2


@pytest.mark.parametrize("status", ["102 Processing", "103 Early Hints"])
def test_a_reply_after_a_provisional_one_is_dropped(serve, status):
    head = f"HTTP/1.1 {status}\r\nLink: </x>\r\n\r\n".encode()
    server, client = serve([head, LATE, FOREIGN], WHOLE)
    with pytest.raises(OSError):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_reply_that_only_says_to_continue_is_skipped(serve):
    server, client = serve(b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n" + WHOLE)
    assert fetch(client) == fetch(client) == DATA
    assert server.connections == 1


def test_a_proxy_gets_the_whole_url_and_its_password():
    with KeepingServer(WHOLE) as server:
        proxies = {"http": f"http://user:word@127.0.0.1:{server.port}"}
        client = raw_client(server, endpoint="http://far.example:80", proxies=proxies)
        assert fetch(client) == fetch(client) == DATA
        assert server.connections == 1
        lines = server.requests[0].decode().split("\r\n")
        assert lines[0].startswith("GET http://far.example")
        assert "proxy-authorization: basic dxnlcjp3b3jk" in [line.lower() for line in lines]
        client.close()


@pytest.mark.parametrize("announced", [f"Content-Length: {len(FOREIGN)}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_where_none_may_be(serve, status, announced):
    head = f"HTTP/1.1 {status}\r\n{announced}\r\n\r\n".encode()
    server, client = serve([head, LATE, FOREIGN], WHOLE)
    with pytest.raises(OSError):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_refused_head_whose_body_comes_all_the_same(serve):
    server, client = serve(late(FOREIGN, "403 Forbidden"), WHOLE)
    with pytest.raises(PermissionError):
        client.head("b", "/x")
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_granted_head_keeps_its_connection(serve):
    server, client = serve(reply(b"", headers=[ETAG], length=len(DATA)), WHOLE)
    assert client.head("b", "/x")[0].size == len(DATA)
    assert fetch(client) == DATA
    assert server.connections == 1


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


NO_CHUNKS = [b"zz\r\n", b"\r\n", b"-1\r\n", b"+5\r\nabcde\r\n0\r\n\r\n", b"0x5\r\nabcde\r\n0\r\n\r\n", b"1_0\r\n"]


@pytest.mark.parametrize("chunk", NO_CHUNKS)
def test_chunks_of_no_size(serve, chunk):
    first = [reply(b"", "416 No", ["Transfer-Encoding: chunked"])[:-2].replace(b"Content-Length: 0\r\n", b"")]
    server, client = serve([*first, b"\r\n" + chunk, LATE, FOREIGN], WHOLE)
    assert fetch(client, 100, 200) == b""
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("chunk", NO_CHUNKS)
def test_chunks_of_no_size_in_a_reply_to_the_api(serve, chunk):
    head = f"HTTP/1.1 200 OK\r\n{OPEN}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    # everything up to the end of the connection would fill the memory
    server, client = serve([head + chunk, LATE, FOREIGN], WHOLE)
    with pytest.raises(ConnectionError):
        client.stat("b", "/d/")
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_rest_that_breaks_off_within_a_chunk(serve):
    head = f"HTTP/1.1 416 No\r\n{OPEN}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    server, client = serve([head + b"5\r\nab", LATE, FOREIGN], WHOLE)
    assert fetch(client, 100, 200) == b""
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("length", ["+3", "-3", "0_3", "3.0", "3 3", "\xa03", "\xb3", "0x3", "9" * 30])
def test_a_length_that_is_no_number(serve, length):
    body = json.dumps({"code": 0, "data": {"ctime": "1", "mtime": "1"}})
    head = f"HTTP/1.1 200 OK\r\n{OPEN}\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
    # its end is that of the connection, which never comes
    server, client = serve([head + body.encode(), LATE, FOREIGN], WHOLE)
    be_patient = hurry(client)
    with pytest.raises(TimeoutError):
        client.stat("b", "/d/")
    be_patient()
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("end", ["b", "\0"])
def test_a_header_of_many_spaces_takes_no_time(serve, end):
    _, client = serve(reply(DATA, headers=[ETAG, f"X-A:{' ' * 60_000}{end}"]))
    # it took hours
    assert fetch(client) == DATA


def test_a_length_in_two_forms(serve):
    body = chunked(b"abc")
    server, client = serve([reply(body, headers=["Transfer-Encoding: chunked"], length=3), LATE, FOREIGN], WHOLE)
    assert fetch(client) == b"abc"
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, chunked"])
def test_a_transfer_coding_that_is_not_understood_becomes_no_content(serve, coding):
    server, client = serve(reply(chunked(b"abc"), headers=[ETAG, f"Transfer-Encoding: {coding}"]), WHOLE)
    with pytest.raises(OSError, match="Transfer-Encoding"):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 2


def test_more_than_the_length_says(serve):
    server, client = serve([reply(b"abc", headers=[ETAG]) + b"x" * 20_000, LATE], WHOLE)
    assert fetch(client) == b"abc"
    assert fetch(client) == DATA
    assert server.connections == 2


NO_HEADERS = {
    "no colon": "nonsense",
    "no name": ": 1",
    "a space in the name": "Content-Range : bytes 0-0/1",
    "a folded line": " and more",
    "a carriage return": "X-A: 1\rContent-Range: bytes 0-0/1",
    "a zero": "X-A: 1\0",
}


@pytest.mark.parametrize("case", NO_HEADERS)
def test_a_line_that_is_no_header_is_ignored_and_ends_the_connection(serve, case):
    server, client = serve(reply(DATA, headers=[ETAG, NO_HEADERS[case]]), WHOLE)
    assert fetch(client) == DATA
    assert fetch(client) == DATA
    assert server.connections == 2


ENDLESS_HEADS = {
    "many": "".join(f"X-{number}: 1\r\n" for number in range(200)),
    "long": f"X: {'1' * 70_000}\r\n",
}


@pytest.mark.parametrize("case", ENDLESS_HEADS)
def test_a_head_without_an_end(serve, case):
    server, client = serve([b"HTTP/1.1 200 OK\r\n" + ENDLESS_HEADS[case].encode(), LATE], WHOLE)
    with pytest.raises(ConnectionError):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("length", range(20, len(reply(b"abc", headers=[ETAG])) - 3, 7))
def test_a_connection_that_breaks_within_a_head(length):
    with RawServer(reply(b"abc", headers=[ETAG])[:length]) as server:
        client = raw_client(server)
        with pytest.raises(ConnectionError):
            fetch(client)
        client.close()


@pytest.mark.parametrize("lengths", [("3", "3"), ("3", "300"), ("300", "3"), ("3, 3",)])
def test_several_lengths_are_none(serve, lengths):
    lines = "".join(f"Content-Length: {length}\r\n" for length in lengths)
    head = f"HTTP/1.1 200 OK\r\n{OPEN}\r\n{ETAG}\r\n{lines}\r\n".encode()
    server, client = serve([head + b"abc", LATE, FOREIGN], WHOLE)
    with pytest.raises(OSError, match="no Content-Length"):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_second_length_ends_the_connection(serve):
    body = json.dumps({"code": 0, "data": {"ctime": "1", "mtime": "1"}}).encode()
    server, client = serve([reply(body, headers=[f"Content-Length: {len(body) + 9}"]), LATE, FOREIGN], WHOLE)
    assert client.stat("b", "/d/").is_directory
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("part", ["a\rb", "a\nb", "a\r\nX-B: 1", "\u20ac"])
def test_what_does_not_fit_on_a_line_is_not_sent(serve, part):
    server, client = serve(WHOLE)
    for path, headers in (("/x", {"X-A": part}), ("/x", {part: "1"}), (f"/{part}", {}), ("/a b", {}), ("/\u00e9", {})):
        request = Request("GET", f"{server.endpoint}{path}", "download", "b/x", dict, headers)
        with pytest.raises(ValueError, match=r"character|codec"):
            client._transport.exchange(request)
    assert server.connections == 0


def test_headers_in_any_case_and_more_than_once(serve):
    head = f"HTTP/1.1 200 OK\r\ncontent-LENGTH:3\r\n{OPEN}\r\nX-a:  1 \r\nx-A: 2\r\netag: {ETAG[6:]}\r\n\r\n"
    server, client = serve(head.encode() + b"abc")
    fetched = client.fetch("b", "/x", lambda count, version: memoryview(bytearray(count)))
    assert (fetched.headers["X-a"], fetched.version.etag) == ("1, 2", '"1"')
    assert fetch(client) == b"abc"
    assert server.connections == 1


def test_idle_connections_are_closed_with_their_client(monkeypatch):
    """Version 1 of urllib3 leaves that to the collector, which warns of sockets that nobody has closed."""
    monkeypatch.setattr("urllib3.connectionpool._close_pool_connections", lambda _pool: None, raising=False)
    with KeepingServer(WHOLE) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = raw_client(server)
        assert fetch(client) == DATA
        del client
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


class SlowServer(KeepingServer):
    """Takes a body in small parts with pauses, and replies; without a reply it takes none, until the test ends."""

    def __init__(self, *replies):
        super().__init__(*replies)
        self.ends = threading.Event()
        # connections inherit it
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)

    def _converse(self, connection):
        with connection, contextlib.suppress(OSError):
            head, _, body = read_head(connection).partition(b"\r\n\r\n")
            missing = int(re.search(rb"Content-Length: (\d+)", head)[1]) - len(body)
            if not self.replies:
                self.ends.wait(30)
                return
            while missing > 0:
                time.sleep(0.02)
                missing -= len(connection.recv(min(missing, 256 * KIB), socket.MSG_WAITALL)) or missing
            connection.sendall(self.replies[0])


def test_a_body_that_is_taken_slowly():
    with SlowServer(reply(b'{"code":0,"data":{}}')) as server:
        client = raw_client(server, connect_timeout=1.0)
        client.upload("b", "/x", content(15 * 1024 * KIB), insert_only=False)
        client.close()


def test_a_body_that_is_not_taken():
    with SlowServer() as server:
        client = raw_client(server, connect_timeout=0.5)
        with pytest.raises(TimeoutError):
            client.upload("b", "/x", content(15 * 1024 * KIB), insert_only=False)
        server.ends.set()
        client.close()


class HastyServer(KeepingServer):
    """Replies to uploads when it has read their head, and closes the connection."""

    def _converse(self, connection):
        with connection:
            head = read_head(connection)
            connection.sendall(self.replies[0 if head.startswith(b"POST") else 1])
            # the client may have closed the connection already
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)


def test_a_request_that_is_answered_early():
    refusal = reply(b'{"code": -5997, "message": "no room"}', "400 No")
    with HastyServer(refusal, WHOLE) as server:
        client = raw_client(server)
        with pytest.raises(OSError, match="-5997"):
            client.upload("b", "/x", content(20 * 1024 * KIB), insert_only=False)
        assert fetch(client) == DATA
        assert server.connections == 2
        client.close()


BROKEN_OFF = {
    "api": lambda client: client.stat("b", "/d/"),
    "fetch": fetch,
    "clock": lambda client: client.clock_difference("b"),
}


@pytest.mark.parametrize("action", BROKEN_OFF)
def test_a_body_that_does_not_come_in_time(serve, action):
    server, client = serve(late(FOREIGN, headers=[ETAG]), WHOLE)
    be_patient = hurry(client)
    with pytest.raises(TimeoutError):
        BROKEN_OFF[action](client)
    be_patient()
    assert fetch(client) == DATA
    assert server.connections == 2


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_a_reply_that_is_too_long_takes_its_connection_along(serve, status):
    body = b" " * (17 * 1024 * KIB)
    server, client = serve([reply(body, status, length=len(body) + len(FOREIGN)), LATE, FOREIGN], WHOLE)
    with pytest.raises(OSError, match="16 MiB"):
        client.stat("b", "/d/")
    assert fetch(client) == DATA
    assert server.connections == 2


def test_a_redirect_is_read_to_its_end(serve):
    server, client = serve(reply(FOREIGN, "302 Found", ["Location: /y"]), WHOLE)
    with pytest.raises(OSError, match="another place"):
        fetch(client)
    assert fetch(client) == DATA
    assert server.connections == 1


class TestCoffers:
    def test_a_late_body(self, serve):
        beyond = late(FOREIGN, "206 Partial", [ETAG, "Content-Range: bytes 0-87/0"])
        server, client = serve(reply(b"", headers=[ETAG], length=100), beyond, WHOLE, **COFFERS)
        with pytest.raises(OSError, match="replaced"):
            fetch(client, 50, 60)
        assert fetch(client) == DATA
        assert server.connections == 2

    def test_a_refused_head(self, serve):
        server, client = serve(late(FOREIGN, "404 Not Found"), WHOLE, **COFFERS)
        with pytest.raises(FileNotFoundError):
            client.head("b", "/x")
        assert fetch(client) == DATA
        assert server.connections == 2


@pytest.mark.parametrize("pool_class", [urllib3.HTTPConnectionPool, urllib3.HTTPSConnectionPool])
def test_names_that_no_package_documents(pool_class):
    ours, theirs = socket.socketpair()
    with ours, theirs, http.client.HTTPResponse(ours) as reply, pool_class("localhost") as pool:
        of_replies = {"_read_status", "_check_close", "_method", "chunk_left", "_read_next_chunk_size"}
        of_pools = {"QueueCls", "ConnectionCls", "pool", "_new_conn", "_put_conn", "_prepare_proxy", "_validate_conn"}
        missing = [name for name in of_replies if not hasattr(reply, name)]
        assert missing + [name for name in of_pools if not hasattr(pool, name)] == []
        # there since version 2
        assert hasattr(pool._new_conn(), "has_connected_to_proxy") or urllib3.__version__.startswith("1.")
