"""Content is what is stored: what something on the way compresses is an error, and never becomes content."""

import errno
import gzip
import json
import re
import zlib

import pytest

from cosv4fs import CofferFileSystem, CosV4FileSystem
from tests.security.conftest import BUCKET
from tests.security.servers import http_reply
from tests.support import KIB, RawServer, content, raw_client

DATA = b"the same line again and again\n" * 1000
SMALL = gzip.compress(DATA)
CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: b"\x1b" + data[:50],
    "x, y": zlib.compress,
}
NEVER = "compressed in transit"


def chunked(data):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


class Compressing(RawServer):
    """What stands before a service and compresses what it sends, in one of several ways."""

    def __init__(self, way, coding="gzip"):
        super().__init__()
        self.way, self.coding = way, coding

    def _answer(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        self.requests.append(head)
        connection.sendall(self.reply(head))

    def reply(self, head):
        if b"op=stat" in head or b"max-keys" in head:
            data = {"filesize": len(DATA), "filelen": len(DATA), "mtime": 1}
            objects = {"Name": "x", "IsTruncated": "false", "Contents": [{"Key": "x", "Size": len(DATA)}]}
            return http_reply(json.dumps({"code": 0, "data": data, **objects}).encode())
        packed = CODINGS[self.coding](DATA)
        headers = [f"Content-Encoding: {self.coding}", 'ETag: "1"', "Vary: Accept-Encoding", "Connection: close"]
        asked = re.search(rb"Range: bytes=(\d+)-(\d+)", head)
        if head.startswith(b"HEAD"):
            plain = ['ETag: "1"', "Connection: close"]
            is_packed = self.way in ("whole", "parts of it")
            return http_reply(b"", headers=headers if is_packed else plain, length=len(packed if is_packed else DATA))
        if self.way == "whole" or (self.way in ("part", "parts of it") and not asked):
            return http_reply(packed, headers=headers)
        if self.way == "stream" or not asked:
            return self.stream("200 OK", headers, packed)
        first, last = (int(place) for place in asked.groups())
        size = len(packed) if self.way == "parts of it" else len(DATA)
        last = min(last, size - 1)
        headers.append(f"Content-Range: bytes {first}-{last}/{size}")
        if self.way == "parts of it":
            return http_reply(packed[first : last + 1], "206 Partial", headers)
        part = CODINGS[self.coding](DATA[first : last + 1])
        if self.way == "stream of a part":
            return self.stream("206 Partial", headers, part)
        return http_reply(part, "206 Partial", headers)

    @staticmethod
    def stream(status, headers, body):
        lines = [f"HTTP/1.1 {status}", "Transfer-Encoding: chunked", *headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + chunked(body)


def filesystem(kind, server, **options):
    account = {"secret_id": "i", "secret_key": "k", "endpoint": server.endpoint, "max_retries": 0}
    account |= {"region": "ap-x"} if kind is CofferFileSystem else {"appid": "1", "region": "gz"}
    return kind(**account, use_listings_cache=False, **options)


ACTIONS = {
    "cat": lambda fs, path, _: fs.cat_file(path),
    "part": lambda fs, path, _: fs.cat_file(path, 5, 2000),
    "open": lambda fs, path, _: fs.open(path).read(),
    "cache": lambda fs, path, _: fs.open(path, cache_type="readahead").read(),
    "disk": lambda fs, path, folder: fs.get_file(path, str(folder / "x")),
}


@pytest.mark.parametrize("way", ["whole", "stream", "parts of it", "part", "stream of a part"])
@pytest.mark.parametrize("kind", [CosV4FileSystem, CofferFileSystem])
@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_compressed_on_its_way_is_an_error(way, kind, action, tmp_path):
    with Compressing(way) as server:
        path = "c-1/x" if kind is CofferFileSystem else f"{BUCKET}/x"
        with pytest.raises(OSError, match=NEVER) as caught:
            ACTIONS[action](filesystem(kind, server), path, tmp_path)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADMSG, path)
    assert "gzip" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("way", ["whole", "stream", "stream of a part"])
def test_whichever_coding_it_is(coding, way):
    with Compressing(way, coding) as server, pytest.raises(OSError, match=f"{NEVER}.*{coding}"):
        filesystem(CosV4FileSystem, server).cat_file(f"{BUCKET}/x")


@pytest.mark.parametrize("way", ["whole", "stream", "stream of a part"])
def test_without_keys(way):
    with Compressing(way) as server, pytest.raises(OSError, match=NEVER):
        CosV4FileSystem(appid="1", region="gz", endpoint=server.endpoint, anon=True).cat_file(f"{BUCKET}/x")


@pytest.mark.parametrize("anon", [False, True])
@pytest.mark.parametrize("size", [100, 300 * KIB])
@pytest.mark.parametrize("coding", ["gzip", "identity", ""])
def test_what_is_stored_compressed_is_read_as_it_is_stored(fs, emulator, anon, size, coding, tmp_path):
    stored = gzip.compress(content(size))
    fs.pipe_file(f"{BUCKET}/x", stored)
    headers = {"Content-Encoding": coding}
    fs.client.update(BUCKET, "/x", custom_headers=headers, authority="eWPrivateRPublic")
    options = {**emulator.storage_options, "range_size": 100 * KIB, "anon": anon}
    reader = CosV4FileSystem(**options, use_listings_cache=False)
    assert reader.cat_file(f"{BUCKET}/x") == stored
    assert reader.cat_file(f"{BUCKET}/x", 5, 50) == stored[5:50]
    assert reader.cat_file(f"{BUCKET}/x", -5) == stored[-5:]
    assert reader.open(f"{BUCKET}/x").read() == stored
    reader.get_file(f"{BUCKET}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == stored
    assert fs.open(f"{BUCKET}/x", compression="gzip").read() == content(size)


def test_the_question_what_is_stored_costs_one_request(fs, emulator):
    fs.pipe_file(f"{BUCKET}/x", content(300 * KIB))
    fs.setxattrs(f"{BUCKET}/x", content_encoding="gzip")
    reader = CosV4FileSystem(**emulator.storage_options, range_size=100 * KIB, use_listings_cache=False)
    emulator.clear_requests()
    reader.cat_file(f"{BUCKET}/x")
    assert emulator.count() == {"download": 3, "stat": 1}


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found"])
@pytest.mark.parametrize("coding", CODINGS)
def test_replies_of_the_api(status, coding):
    body = CODINGS[coding](json.dumps({"code": 0, "data": {"mtime": 7}}).encode())
    with RawServer(http_reply(body, status, [f"Content-Encoding: {coding}"])) as server:
        with pytest.raises(OSError, match=f"{NEVER}.*{coding}") as caught:
            raw_client(server).stat("b", "/d/")
        assert caught.value.errno == errno.EBADMSG
        assert not isinstance(caught.value, FileNotFoundError)
        assert caught.value.status == int(status[:3])


def test_what_needs_no_body_is_understood_all_the_same():
    for status, kind in (("404 Not Found", FileNotFoundError), ("503 Busy", OSError)):
        with RawServer(http_reply(SMALL, status, ["Content-Encoding: gzip"])) as server, pytest.raises(kind) as caught:
            raw_client(server).fetch("b", "/x", lambda count, _: memoryview(bytearray(count)))
        assert NEVER not in str(caught.value)
