"""Local files that are pipes, sinks, of no known size, or change while they are uploaded."""

import io
import os
import random
import threading

import fsspec
import fsspec.core
import pytest

from tests.filesystem.conftest import EVERY
from tests.support import MIB, Do, taken

PROTOCOLS = ("cosv4", "cosv3")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("size", [0, 300, 9 * MIB + 5])
def test_the_content_of_a_pipe_is_stored(fs, second, tmp_path, size):
    content, pipe = random.Random(size).randbytes(size), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    fs.put_file(pipe, PATH)
    writer.join()
    assert second.cat_file(PATH) == content


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="no such files here")
def test_a_file_without_a_size_is_stored(fs, second):
    assert os.stat("/proc/cpuinfo").st_size == 0
    fs.put_file("/proc/cpuinfo", PATH)
    assert second.cat_file(PATH).count(b"processor") > 0


def test_a_pipe_is_written_to_and_stays_one(fs, tmp_path):
    content, pipe, found = random.Random(1).randbytes(6 * MIB), tmp_path / "pipe", []
    fs.pipe_file(PATH, content)
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    fs.get_file(PATH, pipe)
    reader.join()
    assert found == [content]
    assert pipe.is_fifo()


def test_a_sink_that_takes_a_part_at_a_time(fs):
    class Slow(io.RawIOBase):
        taken = b""

        def writable(self):
            return True

        def write(self, data):
            self.taken += bytes(data[:1000])
            return min(1000, len(data))

    content, sink = random.Random(2).randbytes(5555), Slow()
    fs.pipe_file(PATH, content)
    fs.get_file(PATH, sink)
    assert sink.taken == content


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("checksum", [True, False])
def test_a_local_file_that_changes_during_its_upload_is_an_error(emulator, second, tmp_path, protocol, checksum):
    local = tmp_path / "local"
    local.write_bytes(b"a" * 9 * MIB)
    options = taken(protocol, {"checksum": checksum})
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, slice_size=MIB, single_upload_limit=MIB, max_concurrency=1, **options
    )
    op = {"cosv4": "upload_slice_data", "cosv3": "upload_slice", "cdcs": "UploadPart"}[protocol]
    emulator.faults.add(action=Do(lambda: local.write_bytes(b"b" * 9 * MIB)), op=op, nth=4, times=1)
    with pytest.raises(OSError):
        fs.put_file(local, PATH)
    assert not second.exists(PATH)
    assert second.uploads(BUCKET) == []


def test_threads_that_put_the_same_file_do_not_disturb_each_other(emulator, second, protocol, tmp_path):
    local, journal = tmp_path / "local", str(tmp_path / "journal")
    local.write_bytes(random.Random(3).randbytes(3 * MIB))
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, slice_size=MIB, single_upload_limit=MIB, journal_dir=journal
    )
    for number in range(5):
        fs.pool.map(lambda _, target=f"{PATH}{number}": fs.put_file(local, target), range(4))
        assert second.cat_file(f"{PATH}{number}") == local.read_bytes()
    assert list((tmp_path / "journal").glob("*")) == []
