"""What ends when nobody uses it any more."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

from cosv4fs import CosV4FileSystem, paths
from cosv4fs.emulator import Emulator
from cosv4fs.emulator.__main__ import _emulator, _parser
from cosv4fs.emulator.faults import Refuse
from cosv4fs.transfer.target import discard_sibling
from tests.support import Do

BUCKET = "data"


@pytest.fixture
def options():
    with Emulator(buckets=(BUCKET,)) as emulator:
        yield {**emulator.storage_options, "skip_instance_cache": True}


def test_a_runtime_ends_with_its_last_filesystem(options):
    fs = CosV4FileSystem(**options)
    fs.pipe({f"{BUCKET}/{number}": b"x" for number in range(20)})
    fs.pipe_file(f"{BUCKET}/large", bytes(5_000_000))
    threads = [*fs.pool.threads.started, *fs.runtime.uploader.pool.threads.started]
    assert {thread.name.rpartition("_")[0] for thread in threads} == {"cosv4fs-transfer", "cosv4fs-request"}
    gone = threading.Event()
    weakref.finalize(fs.runtime, gone.set)
    del fs
    gc.collect()
    # a thread lets go of its last task only after it has told of its end
    assert gone.wait(30)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_runtime_is_shared_while_there_is_one(options):
    first, second = CosV4FileSystem(**options), CosV4FileSystem(**options)
    assert first.runtime is second.runtime
    configuration = weakref.ref(first.runtime)
    del first
    gc.collect()
    assert second.runtime is configuration()
    assert CosV4FileSystem(**options).runtime is configuration()


def test_an_open_file_outlives_its_filesystem(options):
    CosV4FileSystem(**options).pipe_file(f"{BUCKET}/a", bytes(9_000_000))
    with CosV4FileSystem(**options).open(f"{BUCKET}/a", "rb") as file:
        gc.collect()
        assert file.read() == bytes(9_000_000)
    writer = CosV4FileSystem(**options).open(f"{BUCKET}/b", "wb", size=9_000_000)
    gc.collect()
    with writer:
        writer.write(bytes(9_000_000))
    assert CosV4FileSystem(**options).info(f"{BUCKET}/b")["size"] == 9_000_000


def exists_after(emulator):
    fs = fsspec.filesystem("cosv4", **emulator.storage_options)
    for number in range(3):
        assert not fs.exists(f"{BUCKET}/{number}")


def test_a_service_keeps_as_many_requests_as_it_is_told():
    with Emulator(buckets=(BUCKET,), keep_requests=2) as emulator:
        exists_after(emulator)
        assert len(emulator.requests) == 2


def test_the_command_keeps_no_requests(tmp_path):
    with _emulator(_parser("emulator").parse_args(["--root", str(tmp_path), "--no-fsync"])) as emulator:
        exists_after(emulator)
        assert emulator.requests == []


def test_connections_of_many_threads_are_kept(caplog):
    threads = 100
    everybody = threading.Barrier(threads)
    with Emulator(buckets=(BUCKET,)) as emulator, ThreadPoolExecutor(threads) as pool:
        fs = CosV4FileSystem(**emulator.storage_options, use_listings_cache=False, skip_instance_cache=True)
        # the service answers when all have asked, so that as many connections are open at once
        emulator.faults.add(action=Do(lambda: everybody.wait(60)), op="stat", times=2 * threads)
        for _ in range(2):
            # a file and a directory are asked for
            assert not any(pool.map(fs.exists, [f"{BUCKET}/{number}" for number in range(threads)]))
        assert len({record.connection for record in emulator.requests}) == threads
    assert "pool is full" not in caplog.text


def test_what_a_clean_up_has_removed_is_no_reason_for_a_warning(caplog):
    with Emulator(buckets=(BUCKET,)) as emulator:
        fs = CosV4FileSystem(**emulator.storage_options)
        discard_sibling(fs.client, BUCKET, paths.sibling("/a"))
        assert caplog.text == ""
        emulator.faults.add(op="delete", action=Refuse(-180))
        discard_sibling(fs.client, BUCKET, paths.sibling("/a"))
        assert "could not be removed" in caplog.text
