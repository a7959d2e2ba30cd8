"""Writing bit by bit: what was announced is what must come, and a failure publishes nothing."""

import errno
import hashlib
import itertools
import sys
import threading

import pytest

from cosv4fs.emulator import faults
from cosv4fs.transfer.hashing import ContentHash
from cosv4fs.transfer.sources import MemorySource
from cosv4fs.transfer.spool import Spool
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.temporary import TemporaryFile
from cosv4fs.transfer.upload import Uploader
from cosv4fs.transfer.v4 import V4Upload
from cosv4fs.transfer.writer import ObjectWriter
from tests.support import BUCKET, KIB, MIB, Do, content, upload_source

HALF = MIB // 2
SMALL = {"single_upload_limit": 100 * KIB, "spool_memory": 200 * KIB, "slice_size": HALF, "streaming": "never"}
DATA = content(2 * MIB + 7)
OLD = b"the old content"


@pytest.fixture
def service(make_service):
    return make_service(options=SMALL)


def writer(service, size=None, **target):
    target = Target(BUCKET, "/x", **target)
    return ObjectWriter(Uploader(service.client, service.pool, V4Upload), target, size)


def write(made, data=DATA, step=300_000):
    for start in range(0, len(data), step):
        made.write(memoryview(data)[start : start + step])


@pytest.mark.parametrize("length", [0, 1, 100 * KIB, 100 * KIB + 1, 200 * KIB + 1, HALF, HALF + 1, MIB, len(DATA)])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("taken", [False, True])
def test_any_length(service, length, known, taken):
    if taken:
        service.put("/x", OLD)
    made = writer(service, length if known else None)
    write(made, DATA[:length])
    assert made.size == length
    made.finish()
    assert service.read("/x") == DATA[:length]
    assert service.names() == ["x"]


@pytest.mark.parametrize("length", [1, 100 * KIB, 200 * KIB + 1, 400 * KIB, HALF, HALF + 1, MIB, len(DATA)])
@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("streaming", ["auto", "always"])
def test_any_unknown_length_where_finish_names_the_size(make_service, length, taken, streaming):
    service = make_service(options={**SMALL, "streaming": streaming}, finish_size="any")
    if taken:
        service.put("/x", OLD)
    made = writer(service)
    write(made, DATA[:length])
    made.finish()
    assert service.read("/x") == DATA[:length]
    assert service.names() == ["x"]


@pytest.mark.parametrize("server_slice", [100_000, 200_000, MIB, 3 * MIB])
@pytest.mark.parametrize("length", [150_000, 200_000, 300_000, HALF, 600_000, MIB, len(DATA)])
@pytest.mark.parametrize("streaming", ["never", "always"])
def test_the_server_decides_the_slice_size(make_service, server_slice, length, streaming):
    service = make_service(options={**SMALL, "streaming": streaming}, slice_size=server_slice, finish_size="any")
    made = writer(service, length if streaming == "never" else None)
    write(made, DATA[:length], 70_001)
    made.finish()
    assert service.read("/x") == DATA[:length]
    sent = [r for r in service.emulator.requests if r.op == "upload_slice_data"]
    assert {r.code for r in sent} == {0} or length <= 100 * KIB
    assert all(r.offset < length for r in sent)


def test_a_bucket_that_insists_on_the_declared_size_is_probed_once(make_service):
    service = make_service(options={**SMALL, "streaming": "auto"})
    uploader = Uploader(service.client, service.pool, V4Upload)
    for _ in range(2):
        made = ObjectWriter(uploader, Target(BUCKET, "/x"))
        write(made)
        made.finish()
        assert service.read("/x") == DATA
    assert service.names() == ["x"]
    asked = [r for r in service.emulator.requests if r.op == "upload_slice_init" and "probe" in r.path]
    assert len(asked) == 1


def test_slices_go_out_while_the_caller_writes(service):
    arrived = threading.Semaphore(0)
    service.fault(Do(arrived.release), op="upload_slice_data", times=2)
    made = writer(service, len(DATA))
    write(made, DATA[:MIB])
    assert arrived.acquire(timeout=30)
    assert arrived.acquire(timeout=30)
    write(made, DATA[MIB:])
    made.finish()
    assert service.read("/x") == DATA


def test_slices_of_a_spool_go_out_before_it_is_hashed(service, monkeypatch):
    arrived, original = threading.Event(), Spool.hash_into

    def hash_into(self, *args):
        assert arrived.wait(30)
        original(self, *args)

    monkeypatch.setattr(Spool, "hash_into", hash_into)
    service.fault(Do(arrived.set), op="upload_slice_data")
    made = writer(service)
    write(made)
    made.finish()
    assert service.read("/x") == DATA


def test_a_spool_is_compared_even_without_checksums(make_service):
    service = make_service(options={**SMALL, "checksum": False})
    made = writer(service)
    write(made)
    made.finish()
    assert [request.op for request in service.emulator.requests][-3:] == ["upload_slice_finish", "stat", "move"]


@pytest.mark.parametrize("told", ["other", "absent"])
def test_without_checksums_only_a_spool_is_sent_with_its_sha1(make_service, told):
    service, sent = make_service(options={**SMALL, "checksum": False}, slice_sha=told), []
    service.watch(lambda call: sent.append(call.text("sha")), op="upload_slice_init")
    for _ in range(2):
        made = writer(service)
        write(made)
        made.finish()
    upload_source(V4Upload, service, Target(BUCKET, "/y"), MemorySource(DATA), HALF)
    sha = hashlib.sha1(DATA).hexdigest()
    # the first one shows what the service tells
    assert sent[-3:] == [sha, sha, None]


@pytest.mark.parametrize("told", ["other", "absent"])
def test_a_spool_where_the_service_tells_another_sha1_or_none(make_service, told):
    service = make_service(options=SMALL, slice_sha=told)
    for _ in range(2):
        made = writer(service)
        write(made)
        made.finish()
        assert service.read("/x") == DATA
        assert service.names() == ["x"]


def test_several_slices_at_once(service):
    release = threading.Event()
    stalls = [service.fault(faults.Stall(release), op="upload_slice_data", nth=1 + nth) for nth in range(3)]
    made = writer(service, len(DATA))
    write(made, DATA)
    for stall in stalls:
        assert stall.action.entered.wait(30)
    release.set()
    made.finish()
    assert service.read("/x") == DATA


def test_the_callers_memory_is_its_own_again(service):
    made = writer(service, len(DATA))
    buffer = bytearray(100_000)
    for start in range(0, len(DATA), len(buffer)):
        part = DATA[start : start + len(buffer)]
        buffer[: len(part)] = part
        made.write(memoryview(buffer)[: len(part)])
    buffer[:] = bytes(len(buffer))
    made.finish()
    assert service.read("/x") == DATA


def test_memory_of_a_stream_is_not_reused_before_it_is_hashed(make_service, monkeypatch):
    hashed, arrived = threading.Event(), threading.Semaphore(0)
    original = ContentHash.add

    def add(self, offset, content):
        if not offset:
            assert hashed.wait(30)
        original(self, offset, content)

    monkeypatch.setattr(ContentHash, "add", add)
    service = make_service(options={**SMALL, "streaming": "always"}, finish_size="any")
    service.fault(Do(arrived.release), op="upload_slice_data", times=None)
    made = writer(service)
    # the first slice waits; each of the others has arrived before the next is written
    made.write(memoryview(bytearray(DATA[:HALF])))
    for start in (HALF, 2 * HALF, 3 * HALF):
        made.write(memoryview(bytearray(DATA[start : start + HALF])))
        assert arrived.acquire(timeout=30)
    hashed.set()
    made.write(memoryview(DATA[4 * HALF :]))
    made.finish()
    assert service.read("/x") == DATA


def test_serial(make_service):
    service = make_service(options=SMALL, serial_upload=True)
    made = writer(service, len(DATA))
    write(made)
    made.finish()
    assert service.read("/x") == DATA
    assert {r.code for r in service.emulator.requests} == {0}


class TestWrongSize:
    @pytest.mark.parametrize("size", [10, len(DATA) - 1])
    def test_too_many(self, service, size):
        service.put("/x", OLD)
        made = writer(service, size)
        with pytest.raises(OSError, match=f"more than the announced {size} bytes") as caught:
            write(made)
        assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, f"{BUCKET}/x")
        with pytest.raises(OSError, match="nothing will be published"):
            made.finish()
        made.abort()
        assert service.read("/x") == OLD
        assert service.names() == ["x"]

    @pytest.mark.parametrize("size", [10, len(DATA)])
    def test_too_few(self, service, size):
        made = writer(service, size)
        write(made, DATA[: size - 1])
        with pytest.raises(OSError, match=f"only {size - 1} of the announced {size} bytes") as caught:
            made.finish()
        assert caught.value.errno == errno.EINVAL
        made.abort()
        assert service.names() == []


class TestFailures:
    @pytest.mark.parametrize("nth", [1, 3, 5])
    @pytest.mark.parametrize("known", [False, True])
    @pytest.mark.parametrize("taken", [False, True])
    def test_a_slice_fails(self, service, nth, known, taken):
        if taken:
            service.put("/x", OLD)
        service.fault(faults.Refuse(-4002), op="upload_slice_data", nth=nth)
        made = writer(service, len(DATA) if known else None)
        with pytest.raises(OSError, match="invalid"):
            self.all_of(made)
        with pytest.raises(OSError):
            made.write(memoryview(b"more"))
        with pytest.raises(OSError):
            made.finish()
        made.abort()
        assert service.names() == (["x"] if taken else [])
        if taken:
            assert service.read("/x") == OLD

    def all_of(self, made):
        write(made)
        made.finish()

    @pytest.mark.parametrize("known", [False, True])
    def test_abort_in_the_middle(self, service, known):
        service.put("/x", OLD)
        made = writer(service, len(DATA) if known else None)
        write(made, DATA[:MIB])
        made.abort()
        made.abort()
        assert service.names() == ["x"]
        assert service.read("/x") == OLD

    def test_a_full_disk_at_the_end(self, service, monkeypatch):
        service.put("/x", OLD)
        made = writer(service)
        monkeypatch.setattr(TemporaryFile, "write", self.fail)
        made.write(memoryview(DATA[: 200 * KIB + HALF]))
        with pytest.raises(OSError, match="No space left"):
            made.finish()
        made.abort()
        assert service.read("/x") == OLD
        assert service.names() == ["x"]

    def fail(self, *args):
        raise OSError(errno.ENOSPC, "No space left on device")

    def test_abort_of_a_stream_of_unknown_size(self, make_service):
        service = make_service(options={**SMALL, "streaming": "always"}, finish_size="any")
        made = writer(service)
        write(made)
        made.abort()
        assert service.names() == []

    def test_abort_while_a_slice_is_under_way(self, service):
        release = threading.Event()
        stall = service.fault(faults.Stall(release), op="upload_slice_data")
        made = writer(service, len(DATA))
        write(made, DATA[:MIB])
        assert stall.action.entered.wait(30)
        release.set()
        made.abort()
        assert service.names() == []

    def test_a_server_that_keeps_less_than_it_was_sent(self, make_service):
        service = make_service(options={**SMALL, "streaming": "always"}, finish_size="any")
        service.put("/x", OLD)
        made = writer(service)
        write(made)
        service.fault(Do(lambda: service.put(service.names()[0], b"")), op="stat")
        service.fault(faults.Refuse(-175), op="upload_slice_finish")
        with pytest.raises(OSError):
            made.finish()
        made.abort()
        assert service.read("/x") == OLD

    def test_an_abort_that_fails_is_logged(self, service, caplog):
        made = writer(service, len(DATA))
        write(made, DATA[:MIB])
        service.fault(faults.Refuse(-97), op="delete", times=None)
        made.abort()
        assert "could not be removed" in caplog.text


class TestDeferred:
    @pytest.mark.parametrize("length", [5, len(DATA)])
    @pytest.mark.parametrize("known", [False, True])
    def test_publish(self, service, length, known):
        service.put("/x", OLD)
        made = writer(service, length if known else None, deferred=True)
        write(made, DATA[:length])
        made.finish()
        assert service.read("/x") == OLD
        made.publish()
        assert service.read("/x") == DATA[:length]
        assert service.names() == ["x"]

    @pytest.mark.parametrize("length", [5, len(DATA)])
    @pytest.mark.parametrize("known", [False, True])
    def test_abort(self, service, length, known):
        made = writer(service, length if known else None, deferred=True)
        write(made, DATA[:length])
        made.finish()
        made.abort()
        assert service.names() == []
        with pytest.raises(OSError, match="nothing will be published"):
            made.publish()

    def test_create(self, service):
        made = writer(service, deferred=True, create=True)
        write(made, b"new")
        made.finish()
        service.put("/x", OLD)
        with pytest.raises(FileExistsError):
            made.publish()
        assert service.read("/x") == OLD
        assert service.names() == ["x"]


@pytest.mark.parametrize("method", ["write", "truncate"])
def test_after_an_interrupt_the_size_is_true_or_nothing_is_published(service, method):
    code = getattr(ObjectWriter, method).__code__
    actions = {"write": lambda made: made.write(memoryview(b" and end")), "truncate": lambda made: made.truncate(2)}
    for number in itertools.count():
        lines = itertools.count()

        def interrupt(frame, event, _, number=number, lines=lines):
            if frame.f_code is not code:
                return None
            if event == "line" and next(lines) == number:
                raise KeyboardInterrupt
            return interrupt

        made, before = writer(service), sys.gettrace()
        made.write(memoryview(b"begin"))
        sys.settrace(interrupt)
        try:
            actions[method](made)
            break
        except KeyboardInterrupt:
            size = made.size
        finally:
            sys.settrace(before)
        try:
            made.finish()
        except OSError:
            made.abort()
        else:
            assert service.read("/x") == b"begin and end"[:size]
    assert number > 4
