"""Whatever a server answers, the client ends with an `OSError` or a value, in bounded time and memory."""

import errno
import gzip
import itertools
import json

import pytest

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.api.cos.listing import DirectoryPager
from cosv4fs.api.cos.replies import Entry, Page
from cosv4fs.api.fields import LARGEST_OBJECT
from cosv4fs.api.quirks import Quirks
from tests.security.servers import http_reply
from tests.support import MIB, RawServer, raw_client


def ok(data):
    return http_reply(json.dumps({"code": 0, "data": data}).encode())


def hostile_fs(server, kind=CosV4FileSystem, **options):
    account = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "endpoint": server.endpoint}
    return kind(**account, max_retries=0, use_listings_cache=False, **options)


def hostile_coffers(server):
    account = {"secret_id": "id", "secret_key": "key", "endpoint": server.endpoint}
    return CofferFileSystem(**account, region="ap-x", max_retries=0, use_listings_cache=False)


BODIES = {
    "nan code": b'{"code":NaN}',
    "infinite code": b'{"code":Infinity}',
    "nan size": b'{"code":0,"data":{"filesize":NaN}}',
    "infinite size": b'{"code":0,"data":{"filesize":-Infinity}}',
    "long number": b'{"code":0,"data":{"filesize":' + b"9" * 5000 + b"}}",
    "long unused number": b'{"code":0,"data":{"filesize":1,"x":' + b"9" * 5000 + b"}}",
    "huge size": b'{"code":0,"data":{"filesize":%d}}' % (2**62),
    "large size": b'{"code":0,"data":{"filesize":%d}}' % (LARGEST_OBJECT + 1),
    "deep in data": b'{"code":0,"data":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "surrogate": b'{"code":0,"data":{"filesize":"\\ud800"}}',
    "utf-16": '{"code":0,"data":{"filesize":[]}}'.encode("utf-16"),
    "nul": b'{"code":0,"data":{"filesize":"1\\u0000"}}',
    "last of two": b'{"code":0,"data":{"filesize":1},"data":[]}',
    "last code of two": b'{"code":0,"data":{"filesize":1},"code":-97}',
}


@pytest.mark.parametrize("name", BODIES)
def test_json_that_makes_no_sense(name):
    with RawServer(http_reply(BODIES[name])) as server, pytest.raises(OSError) as caught:
        raw_client(server).stat("b", "/x")
    assert caught.value.errno in (errno.EIO, errno.EBADMSG, errno.EACCES)
    assert caught.value.filename == "b/x"
    assert len(str(caught.value)) < 600


def test_compressed_replies_are_not_blown_up():
    bomb = gzip.compress(bytes(64 * MIB))
    reply = http_reply(bomb, headers=["Content-Encoding: gzip"])
    with RawServer(reply) as server, pytest.raises(OSError, match="compressed in transit"):
        raw_client(server).stat("b", "/x")


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", "9" * 30, "10, 20"])
def test_lengths_that_are_none(length):
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\ncontent" % length.encode()
    with RawServer(reply) as server:
        client = raw_client(server)
        with pytest.raises(OSError) as caught:
            client.fetch("b", "/x", lambda count, _: memoryview(bytearray(count)))
        client.close()
    assert caught.value.errno in (errno.EBADMSG, errno.ECONNRESET)


@pytest.mark.parametrize("total", [LARGEST_OBJECT + 1, 2**62, 10**18])
@pytest.mark.parametrize("whole", [True, False])
def test_a_size_that_no_object_has(total, whole, tmp_path):
    parts = (b"206 Partial", b"Content-Range: bytes 0-6/%d\r\nContent-Length: 7" % total)
    status, header = (b"200 OK", b"Content-Length: %d" % total) if whole else parts
    with RawServer(b'HTTP/1.1 %s\r\n%s\r\nETag: "1"\r\n\r\ncontent' % (status, header)) as server:
        fs = hostile_fs(server)
        for action in (fs.cat_file, lambda path: fs.get_file(path, tmp_path / "x")):
            with pytest.raises(OSError, match=f"has {total} bytes") as caught:
                action("b/x")
            assert caught.value.errno == errno.EBADMSG
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_place_in_memory_is_an_oserror(monkeypatch):
    monkeypatch.setattr("cosv4fs.api.download.LARGEST_OBJECT", 2**63)
    monkeypatch.setattr("cosv4fs.transfer.download.ranges", lambda *_: [])
    reply = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "1"\r\n\r\ncontent' % (2**62)
    with RawServer(reply) as server, pytest.raises(OSError, match="not enough memory") as caught:
        hostile_fs(server).cat_file("b/x")
    assert caught.value.errno == errno.ENOMEM


@pytest.mark.parametrize("size", [0, -1, 1 << 40, 2**62, "", None, "x"])
def test_slices_that_no_memory_holds(size, tmp_path):
    (tmp_path / "local").write_bytes(bytes(MIB))
    data = {"session": "s", "slice_size": size}
    listed = {**data, "filesize": MIB, "listparts": []}
    with RawServer(ok(data), ok(listed)) as server:
        fs = hostile_fs(server, single_upload_limit=0, journal_dir=str(tmp_path / "journal"))
        with pytest.raises(OSError, match="slice_size"):
            fs.put_file(tmp_path / "local", "b/x")
        with pytest.raises(OSError, match="slice_size"):
            fs.client.upload_slice_list("b", "/x")


def test_more_slices_than_can_be_planned(monkeypatch):
    monkeypatch.setattr("cosv4fs.transfer.slices._MOST_SLICES", 1000)
    with RawServer(ok({"session": "s", "slice_size": 1})) as server:
        fs = hostile_fs(server, single_upload_limit=0)
        with pytest.raises(OSError, match="more than can be planned"):
            fs.pipe_file("b/x", bytes(1001))
        assert len(server.requests) < 10


def entry(number):
    return Entry(f"name{number}", is_directory=False, size=1, stored=1)


class TestEndlessListings:
    def endless(self, entries):
        numbers = itertools.count(1)
        asked = []

        def list_page(bucket, key, *, num, context="", prefix=""):
            asked.append(context)
            number = next(numbers)
            return Page(entries(number), f"context{number}", None if number % 2 else False)

        return DirectoryPager(list_page, 2, Quirks()), asked

    def test_ever_new_names(self, monkeypatch):
        monkeypatch.setattr("cosv4fs.api.paging._MOST_PAGES", 500)
        pager, asked = self.endless(lambda number: (entry(2 * number), entry(2 * number + 1)))
        with pytest.raises(OSError, match="never end") as caught:
            list(pager.entries("b", "/d/"))
        assert caught.value.errno == errno.EBADMSG
        assert 400 < len(asked) <= 502

    def test_the_same_page_again_and_again(self):
        pager, asked = self.endless(lambda _: (entry(1), entry(2)))
        with pytest.raises(OSError, match="round in circles"):
            list(pager.entries("b", "/d/"))
        assert len(asked) == 2

    def test_over_the_wire(self):
        contexts = itertools.count()

        class Endless(RawServer):
            def _answer(self, connection):
                self.replies = [ok({"context": f"c{next(contexts)}", "listover": False, "infos": ROWS})]
                super()._answer(connection)

        with Endless() as server, pytest.raises(OSError, match="round in circles"):
            hostile_fs(server).find("b/d")
        assert 2 <= len(server.requests) <= 4

    @pytest.mark.parametrize("kind", ["cosv4", "cdcs"])
    def test_who_holds_a_listing_holds_no_more_than_memory_has_room_for(self, kind, monkeypatch):
        monkeypatch.setattr("cosv4fs.api.paging._MOST_HELD", 2500)
        numbers = itertools.count()

        class Endless(RawServer):
            def _answer(self, connection):
                first = 1000 * next(numbers)
                names = [f"n{number:08}" for number in range(first, first + 1000)]
                rows = [{"name": name, "filesize": 1, "filelen": 1, "sha": ""} for name in names]
                page = {"context": names[-1], "listover": False, "infos": rows}
                objects = {"Name": "b-1", "IsTruncated": "true", "Contents": [{"Key": n, "Size": 1} for n in names]}
                self.replies = [ok(page) if kind == "cosv4" else http_reply(json.dumps(objects).encode())]
                super()._answer(connection)

        with Endless() as server:
            fs = hostile_fs(server) if kind == "cosv4" else hostile_coffers(server)
            for question in (fs.ls, fs.find, fs.du, lambda path: list(fs.walk(path))):
                with pytest.raises(OSError, match=r"more than 2,500 entries.*fs\.client\.list") as caught:
                    question("b-1")
                assert caught.value.errno == errno.EFBIG
                assert caught.value.filename.startswith("b-1")
            assert sum(1 for _ in itertools.islice(fs.client.list("b-1", "/"), 5000)) == 5000

    @pytest.mark.parametrize("kind", [CosV4FileSystem, CosV3FileSystem, None], ids=["cosv4", "cosv3", "cdcs"])
    def test_a_page_with_far_more_than_was_asked_for(self, kind):
        rows = [{"name": f"n{number}", "filesize": 1, "Key": f"n{number}", "Size": 1} for number in range(10_001)]
        page = {"context": "", "infos": rows}
        objects = {"Name": "b-1", "IsTruncated": "false", "Contents": rows}
        with RawServer(http_reply(json.dumps(objects).encode()) if kind is None else ok(page)) as server:
            fs = hostile_coffers(server) if kind is None else hostile_fs(server, kind)
            with pytest.raises(OSError, match="10001 rows") as caught:
                fs.ls("b-1")
        assert caught.value.errno == errno.EBADMSG


ROWS = [{"name": f"n{number}", "filesize": 1, "filelen": 1, "sha": ""} for number in range(1000)]


@pytest.mark.parametrize("seconds", ["86400", "9" * 19, "9" * 500, "-5", "nan", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_server_makes_a_client_wait_for_long(seconds):
    with RawServer(http_reply(b"", "503 Slow", [f"Retry-After: {seconds}"]), ok({"mtime": 7})) as server:
        client = raw_client(server, max_retries=1)
        slept = []
        object.__setattr__(client._policy, "sleep", slept.append)
        assert client.stat("b", "/d/").modified == 7
        client.close()
    [pause] = slept
    assert 0 <= pause <= 60
