"""Reading one range, whatever breaks on the way."""

import errno
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.api.download import Version
from cosv4fs.emulator import faults
from tests.support import BUCKET, KIB, Do, RawServer, Service, content, http_reply, raw_client

DATA = content(300 * KIB)


@pytest.fixture(scope="module")
def shared():
    service = Service()
    service.put("/x", DATA)
    service.put("/empty", b"")
    yield service
    service.close()


@given(
    st.none() | st.integers(-len(DATA) - 10, len(DATA) + 10),
    st.none() | st.integers(0, len(DATA) + 10),
)
@settings(max_examples=60, deadline=None)
def test_any_range_equals_the_slice(shared, start, stop):
    expected = DATA[start:stop] if start is None or start >= 0 or stop is None else DATA[start:][: _after(start, stop)]
    assert shared.read("/x", start, stop) == expected


def _after(start, stop):
    return max(0, stop - max(0, len(DATA) + start))


@pytest.mark.parametrize(("start", "stop"), [(None, None), (0, 5), (5, None), (-5, None), (7, 9)])
def test_an_empty_object(shared, start, stop):
    assert shared.read("/empty", start, stop) == b""


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("start", [None, 1000, -5000])
def test_a_broken_body_goes_on_where_it_broke(service, start, reset):
    service.put("/x", DATA)
    cuts = [service.fault(faults.CutReply(1000 * (nth + 1)), op="download", nth=nth + 1) for nth in range(2)]
    if reset:
        service.fault(faults.DropBefore(reset=True), op="download", nth=3)
    assert service.read("/x", start) == DATA[start:]
    assert [cut.hits for cut in cuts] == [1, 1]
    first = (start or 0) if (start or 0) >= 0 else len(DATA) + start
    asked = [record.range for record in service.emulator.requests if record.op == "download"]
    last = len(DATA) - 1
    goes_on = f"bytes={first + 3000}-{last}"
    assert asked[1:] == [f"bytes={first + 1000}-{last}", goes_on] + ([goes_on] if reset else [])


def test_progress_is_not_counted_as_a_retry(make_service):
    service = make_service(retries=1)
    service.put("/x", DATA)
    service.fault(faults.CutReply(10 * KIB), op="download", times=25)
    assert service.read("/x") == DATA


def test_without_progress_it_ends(make_service):
    service = make_service(retries=2)
    service.put("/x", DATA)
    fault = service.fault(faults.CutReply(0), op="download", times=None)
    with pytest.raises(ConnectionError) as caught:
        service.read("/x")
    assert caught.value.filename == f"{BUCKET}/x"
    assert fault.hits == 3


def test_memory_is_asked_for_once(service):
    service.put("/x", DATA)
    service.fault(faults.CutReply(1000), op="download")
    asked = []

    def allocate(count, version):
        asked.append((count, version.size))
        return memoryview(bytearray(count))

    service.client.fetch(BUCKET, "/x", allocate, 100, 5000)
    assert asked == [(4900, len(DATA))]


@pytest.mark.parametrize("dialect", [{"ranges": "ignore"}, {"bad_range": "200"}, {"download_headers": "bare"}], ids=str)
class TestDialects:
    @pytest.fixture
    def service(self, make_service, dialect):
        service = make_service(**dialect)
        service.put("/x", DATA)
        return service

    @pytest.mark.parametrize(
        ("start", "stop"),
        [(None, None), (10, 20), (200_000, None), (-10, None), (len(DATA), None), (len(DATA) + 5, len(DATA) + 9)],
    )
    def test_ranges(self, service, start, stop):
        assert service.read("/x", start, stop) == DATA[start:stop]

    @pytest.mark.parametrize("start", [0, 70_000, -90_000])
    def test_broken(self, service, start):
        service.fault(faults.CutReply(230_000), op="download")
        service.fault(faults.CutReply(50_000), op="download", nth=2)
        assert service.read("/x", start) == DATA[start:]

    def test_empty(self, service):
        service.put("/empty", b"")
        assert service.read("/empty") == service.read("/empty", 3) == service.read("/empty", -3) == b""


class TestReplaced:
    """The object is replaced between two attempts of one read."""

    def read(self, service, new):
        service.put("/x", DATA)
        service.fault(faults.CutReply(1000), op="download")
        service.fault(Do(lambda: service.put("/x", new)), op="download", nth=2)
        return service.read("/x")

    def test_by_other_content(self, service):
        with pytest.raises(OSError, match="replaced") as caught:
            self.read(service, DATA[::-1])
        assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, f"{BUCKET}/x")

    @pytest.mark.parametrize("new", [DATA + b"x", DATA[:-1], b""], ids=["longer", "shorter", "empty"])
    def test_by_another_size_where_nothing_else_tells(self, make_service, new):
        with pytest.raises(OSError, match="replaced") as caught:
            self.read(make_service(download_headers="bare"), new)
        assert caught.value.errno == errno.ESTALE


class TestRawReplies:
    def fetch(self, reply, start=None, stop=None, expected=None):
        memory = bytearray()

        def allocate(count, version):
            memory.extend(bytes(count))
            return memoryview(memory)

        with RawServer(reply) as server:
            client = raw_client(server)
            try:
                fetched = client.fetch("b", "/x", allocate, start, stop, expected)
            finally:
                client.close()
        return fetched, bytes(memory)

    @pytest.mark.parametrize(
        ("status", "headers", "body"),
        [
            ("206 Partial", [], b"abc"),
            ("206 Partial", ["Content-Range: bytes 3-5"], b"abc"),
            ("206 Partial", ["Content-Range: bytes 3-5/*"], b"abc"),
            ("206 Partial", ["Content-Range: bytes 4-6/100"], b"abc"),  # not what was asked for
            ("206 Partial", ["Content-Range: bytes 3-5/" + "9" * 30], b"abc"),
            ("204 No Content", [], b""),
            ("301 Moved", ["Location: /y"], b""),
        ],
    )
    def test_nonsense(self, status, headers, body):
        with pytest.raises(OSError) as caught:
            self.fetch(http_reply(body, status, headers), 3, 6)
        assert caught.value.errno in (errno.EBADMSG, errno.EIO)
        assert caught.value.filename == "b/x"

    def test_a_reply_of_the_api(self):
        with pytest.raises(OSError, match="was answered with an API reply") as caught:
            self.fetch(http_reply(b'{"code": 0, "message": "SUCCESS"}', "201 Created"), 3, 6)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, "b/x")

    @pytest.mark.parametrize("length", ["\xb2", "x", "9" * 5000])
    def test_a_length_that_is_none(self, length):
        with pytest.raises(OSError) as caught:
            self.fetch(http_reply(b"abc", length=length))
        assert caught.value.errno == errno.EBADMSG

    def test_a_wider_range_than_asked_for(self):
        reply = http_reply(b"0123456789", "206 Partial", ["Content-Range: bytes 0-9/100"])
        fetched, data = self.fetch(reply, 3, 6)
        assert (fetched.start, data) == (3, b"345")

    def test_a_narrower_range_is_continued(self):
        first = http_reply(b"345", "206 Partial", ['ETag: "1"', "Content-Range: bytes 3-5/100"])
        second = http_reply(b"678", "206 Partial", ['ETag: "1"', "Content-Range: bytes 6-8/100"])
        memory = bytearray(6)
        with RawServer(first, second) as server:
            client = raw_client(server, max_retries=1)
            fetched = client.fetch("b", "/x", lambda *_: memoryview(memory), 3, 9)
            client.close()
            data = bytes(memory)
            asked = [re.search(rb"Range: (\S+)", head)[1] for head in server.requests]
        assert (fetched.length, data) == (6, b"345678")
        assert asked == [b"bytes=3-8", b"bytes=6-8"]

    @pytest.mark.parametrize(
        "validator", [[], ['ETag: W/"1"'], ["Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT"], ["ETag: "]]
    )
    def test_a_range_is_not_continued_without_proof_of_the_version(self, validator):
        cut = http_reply(b"345", "206 Partial", ["Content-Range: bytes 3-8/100", *validator], length=6)
        whole = http_reply(b"abcdef", "206 Partial", ["Content-Range: bytes 3-8/100", *validator])
        memory = bytearray(6)
        with RawServer(cut, whole) as server:
            client = raw_client(server, max_retries=1)
            client.fetch("b", "/x", lambda *_: memoryview(memory), 3, 9)
            client.close()
            asked = [re.search(rb"Range: (\S+)", head)[1] for head in server.requests]
        assert bytes(memory) == b"abcdef"
        assert asked == [b"bytes=3-8"] * 2

    def test_a_json_error_with_status_200(self):
        # the expected version shows it: a body that is no object has another size
        reply = http_reply(b'{"code":-97,"message":"ERROR"}')
        with pytest.raises(OSError, match="replaced"):
            self.fetch(reply, 0, 10, Version(100))

    def test_a_refusal(self):
        with pytest.raises(PermissionError):
            self.fetch(http_reply(b"<Error><Code>AccessDenied</Code></Error>", "403 Forbidden"))

    def test_416_without_a_range(self):
        fetched, data = self.fetch(http_reply(b"", "416 No"), 100)
        assert (fetched.length, data) == (0, b"")
