"""What the table found: each is a fault that once lost something, or failed what could be done."""

import errno
import threading
from dataclasses import replace

import pytest

from cosv4fs import paths
from cosv4fs.concurrency import Pool, TaskGroup
from cosv4fs.emulator import faults
from cosv4fs.transfer.sources import MemorySource
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.v4 import V4Upload
from tests.faults.bench import Bench
from tests.support import BUCKET, KIB, MIB, Do, content, upload_source

DATA = content(MIB + 5)
HALF = 512 * KIB


def upload(service, **target):
    return upload_source(V4Upload, service, Target(BUCKET, "/x", **target), MemorySource(DATA), HALF)


class TestReplies:
    def test_an_init_without_data_is_no_stored_object(self, service):
        service.fault(faults.BrokenJson("null-data"), op="upload_slice_init")
        with pytest.raises(OSError, match="session") as caught:
            upload(service)
        assert caught.value.errno == errno.EBADMSG
        assert paths.sibling_target(caught.value.filename) == f"{BUCKET}/x"

    def test_a_list_without_data_is_not_nothing(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=len(DATA), slice_size=HALF)
        service.fault(faults.BrokenJson("null-data"), op="upload_slice_list")
        with pytest.raises(OSError, match="session"):
            service.client.upload_slice_list(BUCKET, "/x")
        service.put("/complete", b"x")
        assert service.client.upload_slice_list(BUCKET, "/complete") is None

    @pytest.mark.parametrize(
        "action",
        [faults.Corrupt(), faults.Corrupt(-1), *map(faults.BrokenJson, ("truncated", "empty", "not-utf8"))],
        ids=repr,
    )
    def test_a_damaged_reply_is_asked_for_again(self, service, action):
        service.put("/x", b"content")
        fault = service.fault(action, op="stat")
        assert service.client.stat(BUCKET, "/x").size == 7
        assert (fault.seen, fault.hits) == (2, 1)

    @pytest.mark.parametrize("kind", ["text", "array"])
    def test_a_page_of_something_else_is_not(self, service, kind):
        fault = service.fault(faults.BrokenJson(kind), op="stat", times=None)
        service.put("/x", b"content")
        with pytest.raises(OSError, match="not what the API promises"):
            service.client.stat(BUCKET, "/x")
        assert fault.hits == 1

    def test_drops_of_bytes_are_no_progress(self, make_service):
        service = make_service(retries=3)
        service.put("/x", DATA)
        fault = service.fault(faults.CutReply(100), op="download", times=None)
        with pytest.raises(ConnectionError):
            service.read("/x")
        assert fault.hits == 4


class TestSiblings:
    @pytest.mark.parametrize("action", [faults.DropReply(), faults.BrokenJson("truncated")], ids=repr)
    def test_a_lost_reply_to_their_init_is_survived(self, service, action):
        service.put("/x", b"old")
        fault = service.fault(action, op="upload_slice_init")
        upload(service)
        assert fault.hits == 1
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_one_without_a_known_session_is_removed(self, service):
        service.put("/x", b"old")
        service.fault(faults.BrokenJson("types"), op="upload_slice_init")
        with pytest.raises(OSError, match="session"):
            upload(service)
        assert service.read("/x") == b"old"
        assert service.names() == ["x"]

    @pytest.mark.parametrize("op", ["upload_slice_data", "upload_slice_finish"])
    def test_one_whose_session_was_lost_is_removed(self, service, op):
        service.put("/x", b"old")
        fault = service.fault(faults.Refuse(-94), op=op)
        upload(service)
        assert fault.hits == 1
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_nothing_is_asked_when_there_was_none(self, service):
        V4Upload(service.client, service.pool, Target(BUCKET, "/x"), HALF, len(DATA)).abort()
        assert service.ops() == []

    def test_the_place_that_was_left_is_cleaned_when_all_fails(self, service):
        service.fault(faults.Refuse(-94), op="upload_slice_data", times=None)
        with pytest.raises(OSError) as caught:
            upload(service)
        assert caught.value.code == -94
        assert service.names() == []


class TestRanges:
    def test_a_failure_is_told_though_others_begin_after_it(self):
        failed = threading.Event()

        def fail():
            raise OSError(errno.EIO, "broken", "box/x")

        with TaskGroup(Pool(4, "test")) as group:
            first = group.try_start(fail)
            assert first is not None
            first.add_callback(lambda _: failed.set())
            assert failed.wait(30)
            group.try_start(lambda: None)
            with pytest.raises(OSError, match="broken"):
                group.wait()

    def test_a_broken_range_never_becomes_zeros(self, service):
        from cosv4fs.transfer.download import Download

        service.put("/x", DATA)
        service.client.config = replace(service.client.config, range_size=64 * KIB)
        service.fault(faults.WrongHeader("Content-Range"), op="download", nth=2)
        with pytest.raises(OSError, match="Content-Range"):
            Download(service.client, service.pool, f"{BUCKET}/x").to_bytes()


class TestCoffers:
    @pytest.fixture
    def bench(self):
        with Bench("cdcs") as running:
            yield running

    @pytest.fixture
    def place(self, bench):
        place = bench.place()
        bench.second.pipe_file(place / "x", DATA)
        return place

    def test_an_error_within_a_200_is_no_object(self, bench, place):
        fault = bench.emulator.faults.add(action=faults.Refuse("InternalError", status=200), times=None)
        with pytest.raises(OSError, match="it describes no object") as caught:
            bench.client().exists(place / "nothing")
        assert (caught.value.errno, fault.hits) == (errno.EBADMSG, 4)
        bench.emulator.faults.clear()
        bench.emulator.faults.add(action=faults.Refuse("InternalError", status=200), op="GetObject", times=None)
        with pytest.raises(OSError) as caught:
            bench.client().cat_file(place / "x")
        assert caught.value.code == "InternalError"

    @pytest.mark.parametrize("more", [7, -7])
    def test_a_wrong_size_is_not_cached(self, bench, place, more):
        def read(fs, is_told=False):
            with fs.open(place / "x", "rb") as file:
                if is_told:
                    assert file.size in (len(DATA), len(DATA) + more)
                return file.read()

        bench.emulator.faults.add(action=faults.WrongLength(more), op="HeadObject", times=1)
        assert read(bench.client()) == DATA
        for reading in (lambda fs: read(fs, is_told=True), lambda fs: fs.cat_file(place / "x")):
            fs = bench.client()
            bench.emulator.faults.add(action=faults.WrongLength(more), op="HeadObject", times=1)
            with pytest.raises(OSError):
                reading(fs)
            assert reading(fs) == DATA

    def test_values_of_wrong_types_are_none(self, bench, place):
        fs, coffer = bench.client(), place.bucket
        fs.set_lifecycle(coffer, 30)
        fs.set_policy(coffer, {"version": "2.0", "statement": [{"effect": "deny", "action": "*", "resource": "*"}]})
        bench.emulator.faults.add(action=faults.BrokenJson("types"), times=None)
        for ask in (fs.lifecycle, fs.policy):
            with pytest.raises(OSError, match="is invalid") as caught:
                ask(coffer)
            assert caught.value.errno == errno.EBADMSG

    @pytest.mark.parametrize("same", [True, False])
    def test_what_a_late_request_has_completed_is_stored(self, bench, same):
        place, client = bench.place(), bench.second.client
        (place.scratch / "source").write_bytes(DATA)

        def complete():
            [upload] = client.list_uploads(place.bucket)
            if not same:
                client.upload_part(place.bucket, upload.key, upload.upload_id, 2, memoryview(b"other"))
            parts = client.list_parts(place.bucket, upload.key, upload.upload_id)
            client.complete(place.bucket, upload.key, upload.upload_id, parts)

        fault = bench.emulator.faults.add(action=Do(complete), op="CompleteMultipartUpload", times=1)
        fs = bench.client()
        if same:
            fs.put_file(place.scratch / "source", place / "x")
        else:
            with pytest.raises(FileExistsError, match="write-once"):
                fs.put_file(place.scratch / "source", place / "x")
        assert fault.hits == 1
        assert (bench.second.cat_file(place / "x") == DATA) is same
        assert fs.interrupted_uploads(place.bucket) == []
