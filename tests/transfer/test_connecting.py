"""Connections for pieces are opened while the upload is: as many as will be used, and never in anybody's way."""

import os
import time

import pytest

from cosv4fs.api import CosV3Client
from cosv4fs.concurrency import Pool
from cosv4fs.emulator import faults
from cosv4fs.transfer import writer as writing
from cosv4fs.transfer.coffers import CofferUpload
from cosv4fs.transfer.sources import MemorySource
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.upload import Uploader
from cosv4fs.transfer.v3 import V3Upload
from cosv4fs.transfer.v4 import V4Upload
from cosv4fs.transfer.writer import ObjectWriter
from tests.support import BUCKET, COFFER, MIB, Do, content

DATA = content(3 * MIB)
OPTIONS = {"max_concurrency": 4, "slice_size": MIB // 2, "single_upload_limit": MIB // 2}


def opened(service):
    """Return how many connections are open at the service."""
    return len(service.emulator._server._connections)


def wait_until(service, enough):
    """Wait until the number of open connections is as wanted, and return it."""
    for _ in range(30_000):
        if enough(opened(service)):
            break
        time.sleep(0.001)
    return opened(service)


def none_is_left(service):
    return wait_until(service, lambda count: count == 0) == 0


@pytest.fixture
def held(make_service):
    """Make a service, whose reply that opens an upload waits for some open connections; return it and what it saw.

    Without a handshake that takes time, the request that opens the upload may already use one of them.
    """

    def make(op="upload_slice_init", connections=3, options=None, **more):
        service, seen = make_service(options={**OPTIONS, **(options or {})}, **more), []
        service.fault(
            Do(lambda: seen.append(wait_until(service, lambda count: count >= connections))), op=op, times=None
        )
        return service, seen

    return make


def upload(service, data=DATA, kind=V4Upload, bucket=BUCKET, **target):
    Uploader(service.client, service.pool, kind).upload(Target(bucket, "/x", **target), MemorySource(data))


def test_the_connections_of_a_window_are_opened_beside_the_request_that_opens_the_upload(held):
    service, seen = held()
    upload(service)
    assert seen[0] in (3, 4)
    # and not one more
    assert opened(service) <= 4
    assert service.read("/x") == DATA


def test_no_more_than_pieces(held):
    service, seen = held(connections=2)
    upload(service, DATA[: MIB + 1])
    assert seen[0] in (2, 3)
    assert opened(service) <= 3


def test_no_more_than_a_throttled_window(held):
    service, seen = held(connections=1)
    service.pool.window.halve()
    upload(service)
    assert seen[0] in (1, 2)
    assert opened(service) <= 2


def test_no_more_than_the_window_of_a_share(held):
    service, seen = held(connections=1)
    Uploader(service.client, service.pool, V4Upload).share(2).upload(Target(BUCKET, "/x"), MemorySource(DATA))
    assert seen[0] in (1, 2)
    assert opened(service) <= 2


def test_idle_connections_count(held):
    service, seen = held()
    for _ in range(2):
        service.client.open_connection()
    assert service.client.missing_connections(4) == 2
    upload(service)
    upload(service)
    assert all(count in (3, 4) for count in seen)
    assert opened(service) <= 4


def test_none_for_what_one_request_uploads(held):
    service, _ = held("upload", 1)
    upload(service, DATA[:1000])
    assert opened(service) == 1


def test_a_writer_that_knows_the_size(held, monkeypatch):
    # this one is fast, however busy the machine is
    monkeypatch.setattr(writing, "_IN_FLIGHT", 1000.0)
    service, seen = held()
    writer = ObjectWriter(Uploader(service.client, service.pool, V4Upload), Target(BUCKET, "/x"), len(DATA), MIB // 2)
    writer.write(memoryview(DATA))
    writer.finish()
    assert seen[0] in (3, 4)
    assert opened(service) <= 4


def test_none_for_a_slow_writer(held, monkeypatch):
    """What it writes while a piece is in flight is less than another piece."""
    monkeypatch.setattr(writing, "_IN_FLIGHT", 0)
    service, seen = held(connections=1)
    writer = ObjectWriter(Uploader(service.client, service.pool, V4Upload), Target(BUCKET, "/x"), len(DATA), MIB // 2)
    writer.write(memoryview(DATA)[: MIB // 2])
    assert seen == [1]
    writer.abort()


def test_parts_of_coffers(make_coffers):
    service = make_coffers(options={"max_concurrency": 3, "slice_size": MIB, "single_upload_limit": MIB})
    seen = []
    service.fault(Do(lambda: seen.append(wait_until(service, lambda count: count >= 2))), op="InitiateMultipartUpload")
    upload(service, kind=CofferUpload, bucket=COFFER)
    assert seen[0] in (2, 3)
    assert opened(service) <= 3


def test_one_connection_where_slices_go_one_after_another(make_service):
    service = make_service(options=OPTIONS, kind=CosV3Client)
    upload(service, kind=V3Upload)
    assert opened(service) == 1


def test_a_server_that_wants_slices_one_after_another_is_learned(make_service):
    service = make_service(options=OPTIONS, serial_upload=True)
    upload(service)
    assert service.client.quirks.serial_upload
    assert "serial_upload = True (slices are sent one after another)" in service.client.quirks.learned()
    service.client.close()
    assert none_is_left(service)
    upload(service)
    assert opened(service) == 1


def test_connections_that_the_server_has_closed(make_service):
    service = make_service(options=OPTIONS)
    for _ in range(4):
        service.client.open_connection()
    with service.emulator.unreachable():
        assert none_is_left(service)
    upload(service)
    assert service.read("/x") == DATA
    assert service.client.retries == 0


def test_a_refused_upload_leaves_no_thread_that_connects(held):
    service, _ = held()
    service.fault(faults.Refuse(-71), times=None)
    with pytest.raises(OSError, match="too many requests"):
        upload(service)
    service.client.close()
    assert none_is_left(service)
    assert service.pool.window.permits == {}


def test_where_no_thread_starts_none_is_opened(held, monkeypatch):
    """Opened one after another by the thread that uploads, they would only delay it."""
    monkeypatch.setattr("cosv4fs.concurrency.threads.start_thread", lambda thread: False)
    service, seen = held(connections=1)
    upload(service)
    assert seen == [1]
    assert opened(service) == 1


def test_a_failure_is_silent_and_nothing_is_kept(make_service):
    service = make_service()
    with service.emulator.unreachable():
        service.client.open_connection()
    assert service.client.missing_connections(3) == 2
    assert opened(service) == 0


def test_nothing_is_kept_after_close(make_service):
    service = make_service()
    service.client.open_connection()
    assert wait_until(service, bool) == 1
    service.client.close()
    assert none_is_left(service)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_none_of_them(make_service):
    service = make_service()
    for _ in range(2):
        service.client.open_connection()
    child = os.fork()
    if not child:
        os._exit(service.client.missing_connections(9))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
    assert service.client.missing_connections(9) == 7


def test_a_pool_that_is_full_of_requests_opens_none(held):
    service, seen = held(connections=1)
    pool = Pool(4, "busy")
    permits = [pool.window.acquire() for _ in range(4)]
    kind = V4Upload(service.client, pool, Target(BUCKET, "/x"), MIB // 2, len(DATA))
    kind.open_for(6)
    assert seen == [1]
    assert len(permits) == 4
    kind.abort()
