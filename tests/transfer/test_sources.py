"""Sources: the same bytes at any offset, as often as wanted, from any thread."""

import hashlib
import os
import threading
import time
from types import SimpleNamespace

import pytest

from cosv4fs.concurrency import Buffers, Pool, cancellation
from cosv4fs.transfer import sources
from cosv4fs.transfer.sources import FileSource, MemorySource, _is_settled
from cosv4fs.transfer.spool import Spool
from tests.support import KIB, content

BUFFERS = Buffers(3)
DATA = content(100 * KIB)


def read(source, offset, length):
    with source.lend(offset, length, BUFFERS) as view:
        return bytes(view)


@pytest.fixture(params=["memory", "file", "spool in memory", "spool on disk"])
def source(request, tmp_path):
    if request.param == "memory":
        yield MemorySource(DATA)
    elif request.param == "file":
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            yield source
    else:
        memory = len(DATA) if "memory" in request.param else 10 * KIB
        spool = Spool(memory, str(tmp_path), "b/x", Pool(2, "test"), 30 * KIB)
        for start in range(0, len(DATA), 7 * KIB):
            spool.append(memoryview(DATA)[start : start + 7 * KIB])
        spool.complete()
        yield spool
        spool.close()


class TestAny:
    def test_size_and_sha(self, source):
        assert source.size == len(DATA)
        assert source.sha1() == hashlib.sha1(DATA).hexdigest()
        assert source.sha1() == hashlib.sha1(DATA).hexdigest()

    def test_slices(self, source):
        for offset, length in (
            (0, 10),
            (50 * KIB, 50 * KIB),
            (3, 70 * KIB),
            (0, len(DATA)),
            (len(DATA) - 1, 1),
            (5, 0),
        ):
            assert read(source, offset, length) == DATA[offset : offset + length]

    def test_from_many_threads(self, source):
        wrong = []

        def look(seed):
            for step in range(20):
                offset = (seed * 977 + step * 1013) % 90_000
                if read(source, offset, 9000) != DATA[offset : offset + 9000]:
                    wrong.append((seed, step))

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_wide_memory():
    source = MemorySource(memoryview(bytes(range(16))).cast("I"))
    assert source.size == 16
    assert read(source, 4, 3) == b"\x04\x05\x06"


def test_memory_is_not_copied():
    data = bytearray(DATA)
    with MemorySource(data).lend(0, 10, BUFFERS) as view:
        data[0] ^= 0xFF
        assert view[0] == data[0]


class TestFile:
    def test_that_became_shorter(self, tmp_path):
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            (tmp_path / "x").write_bytes(DATA[:1000])
            assert read(source, 0, 1000) == DATA[:1000]
            with pytest.raises(OSError, match="shorter") as caught:
                read(source, 500, 1000)
        assert caught.value.filename == str(tmp_path / "x")

    def test_that_became_longer(self, tmp_path):
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            (tmp_path / "x").write_bytes(DATA + b"more")
            assert source.sha1() == hashlib.sha1(DATA).hexdigest()

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            FileSource(tmp_path / "x")
        with pytest.raises(IsADirectoryError):
            FileSource(tmp_path)

    def test_empty(self, tmp_path):
        (tmp_path / "x").touch()
        with FileSource(tmp_path / "x") as source:
            assert (source.size, read(source, 0, 0)) == (0, b"")
            assert source.sha1() == hashlib.sha1(b"").hexdigest()

    @pytest.mark.parametrize(
        ("modified", "changed", "now", "settled"),
        [
            (5.123, 1007.123, 1007.125, False),
            (5.123, 1007.123, 1007.143, True),
            (1007.123, 5.123, 1007.125, False),
            # a clock that was set back, or that of another machine
            (5.123, 1007.123, 1000.0, False),
            # whole seconds, maybe even ones
            (1006.0, 1006.0, 1007.999, False),
            (1006.0, 1006.0, 1008.1, True),
            # a time that somebody gave it
            (1006.0, 1006.123, 1006.2, True),
        ],
    )
    def test_whether_its_next_change_has_new_times(self, modified, changed, now, settled):
        stamps = SimpleNamespace(st_mtime_ns=round(modified * 1000) * 10**6, st_ctime_ns=round(changed * 1000) * 10**6)
        assert _is_settled(stamps, round(now * 1000) * 10**6) is settled

    def test_may_change_unnoticed_right_after_it_was_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sources, "_is_settled", _is_settled)
        (tmp_path / "x").write_bytes(DATA)
        written = os.stat(tmp_path / "x").st_mtime_ns
        for age, expected in ((0, True), (10**10, False)):
            monkeypatch.setattr(time, "time_ns", lambda now=written + age: now)
            with FileSource(tmp_path / "x") as source:
                assert source.may_change_unnoticed is expected

    def test_hashing_ends_when_the_thread_is_cancelled(self, tmp_path):
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source, cancellation.working_for("owner"):
            cancellation.cancel("owner")
            with pytest.raises(InterruptedError):
                source.sha1()
