"""What the table found: each is a fault that once lost something, or failed what could be done."""

import errno
import threading

import pytest

from cosv4fs.emulator import faults
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import MemorySource
from cosv4fs.transfer.upload import SliceUpload, upload_source
from cosv4fs.transfer.workers import Batch, Workers
from tests.support import BUCKET, KIB, MIB, content

DATA = content(MIB + 5)
HALF = 512 * KIB


def upload(service, **target):
    target = Target(BUCKET, "/x", **target)
    return upload_source(service.client, service.workers, target, MemorySource(DATA), HALF)


class TestReplies:
    def test_an_init_without_data_is_no_stored_object(self, service):
        service.fault(faults.BrokenJson("null-data"), op="upload_slice_init")
        with pytest.raises(OSError, match="session") as caught:
            upload(service)
        assert (caught.value.errno, caught.value.filename) == (errno.EBADMSG, f"{BUCKET}/x")

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
        fault = service.fault(action, op="upload_slice_init", nth=2)
        upload(service)
        assert fault.hits == 1
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_one_without_a_known_session_is_removed(self, service):
        service.put("/x", b"old")
        service.fault(faults.BrokenJson("types"), op="upload_slice_init", nth=2)
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
        SliceUpload(service.client, Target(BUCKET, "/x"), len(DATA), HALF, hidden=True).abort()
        assert service.ops() == []

    def test_the_place_that_was_left_is_cleaned_when_all_fails(self, service):
        service.fault(faults.Refuse(-94), op="upload_slice_data", times=None)
        with pytest.raises(OSError) as caught:
            upload(service)
        assert caught.value.code == -94
        assert service.names() == []


class TestRanges:
    def test_a_failure_is_told_though_others_begin_after_it(self):
        workers, failed = Workers(4, 4), threading.Event()

        def fail():
            raise OSError(errno.EIO, "broken", "box/x")

        with Batch(workers) as batch:
            first = batch.start_if_free(fail)
            assert first is not None
            first.add_done_callback(lambda _: failed.set())
            assert failed.wait(20)
            batch.start_if_free(lambda: None)
            with pytest.raises(OSError, match="broken"):
                batch.finish()

    def test_a_broken_range_never_becomes_zeros(self, service):
        from cosv4fs.transfer.download import Download

        service.put("/x", DATA)
        service.fault(faults.WrongHeader("Content-Range"), op="download", nth=2)
        with pytest.raises(OSError, match="Content-Range"):
            Download(service.client, service.workers, BUCKET, "/x", 64 * KIB).to_bytes()
