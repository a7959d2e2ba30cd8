"""Bytes that changed in transit: whole objects are compared with the SHA-1 from a listing or status."""

import errno
import io
from functools import partial

import fsspec
import pytest

from cosv4fs.emulator import Dialect, faults
from cosv4fs.transfer.hashing import ReadHash
from tests.support import KIB, content

DATA = content(900 * KIB)
OTHER = content(900 * KIB, 1)
PATH = "test-1250000000/x"


def read_all(fs, path):
    with fs.open(path, "rb") as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def get_file(fs, path):
    sink = io.BytesIO()
    fs.get_file(path, sink)
    return sink.getvalue()


def get_to_disk(tmp_path, fs, path):
    fs.get_file(path, str(tmp_path / "target"))
    return (tmp_path / "target").read_bytes()


@pytest.fixture(params=["cat_file", "open", "sink", "disk"])
def read(request, tmp_path):
    ways = {"cat_file": lambda fs, path: fs.cat_file(path), "open": read_all, "sink": get_file}
    return ways.get(request.param, lambda fs, path: get_to_disk(tmp_path, fs, path))


@pytest.fixture
def make_fs(emulator):
    return lambda **options: fsspec.filesystem("cosv4", **emulator.storage_options, range_size=256 * KIB, **options)


def corrupt(emulator, **rule):
    return emulator.faults.add(action=faults.Corrupt(100), op="download", **rule)


@pytest.mark.parametrize("size", [1000, len(DATA)])
@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_changed_byte_is_an_error(emulator, make_fs, second, read, tmp_path, size, nth):
    second.pipe_file(PATH, DATA[:size])
    fs = make_fs()
    fs.info(PATH)
    fault = corrupt(emulator, nth=nth)
    if size == 1000 and nth > 1:
        assert read(fs, PATH) == DATA[:size]
        return
    with pytest.raises(OSError, match="SHA-1") as caught:
        read(fs, PATH)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, PATH)
    assert fault.hits == 1
    assert list(tmp_path.iterdir()) == []
    assert read(fs, PATH) == DATA[:size]


def test_what_a_read_gets_while_another_thread_closes_is_not_compared(make_fs, second, monkeypatch):
    second.pipe_file(PATH, DATA)
    file = make_fs().open(PATH)
    fetch = file.cache._fetch

    def fetch_while_another_closes(start, stop):
        data = fetch(start, stop)
        file.close()
        return bytes(len(data))

    monkeypatch.setattr(file.cache, "_fetch", fetch_while_another_closes)
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_difference_is_no_error_of_a_file_that_another_thread_closes(make_fs, second, monkeypatch):
    second.pipe_file(PATH, DATA)
    file = make_fs().open(PATH)

    def differ(stop):
        file.close()
        raise OSError(errno.EIO, "the memory was used again")

    monkeypatch.setattr(file._content, "check", differ)
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_tree_is_compared_with_its_listing(emulator, make_fs, second, tmp_path):
    second.pipe_file("test-1250000000/d/x", DATA[:1000])
    corrupt(emulator)
    with pytest.raises(OSError, match="SHA-1"):
        make_fs().get("test-1250000000/d", str(tmp_path / "d"), recursive=True)
    assert not (tmp_path / "d/x").exists()


def test_what_is_cached_may_be_older_than_what_is_read(make_fs, second, read):
    second.pipe_file(PATH, DATA)
    fs = make_fs()
    fs.info(PATH)
    second.pipe_file(PATH, OTHER)
    assert read(fs, PATH) == OTHER


def test_an_object_replaced_once_more_is_told_as_that(emulator, make_fs, second):
    second.pipe_file(PATH, DATA[:1000])
    fs = make_fs()
    fs.info(PATH)
    second.pipe_file(PATH, OTHER[:1000])
    corrupt(emulator)
    with pytest.raises(OSError, match="replaced") as caught:
        fs.cat_file(PATH)
    assert caught.value.errno == errno.ESTALE


class TestOption:
    def test_always_asks_where_nothing_is_known(self, emulator, make_fs, second):
        second.pipe_file(PATH, DATA[:1000])
        fs = make_fs(verify_downloads="always")
        corrupt(emulator)
        with pytest.raises(OSError, match="SHA-1"):
            fs.cat_file(PATH)
        assert fs.cat_file(PATH) == DATA[:1000]
        with pytest.raises(FileNotFoundError):
            fs.cat_file("test-1250000000/nothing")

    def test_known_costs_no_request(self, emulator, make_fs, second, read):
        second.pipe_file(PATH, DATA[:1000])
        fs = make_fs()
        fs.info(PATH)
        emulator.clear_requests()
        assert read(fs, PATH) == DATA[:1000]
        assert emulator.count() == {"download": 1}

    def test_never_takes_what_comes(self, emulator, make_fs, second, read):
        second.pipe_file(PATH, DATA[:1000])
        fs = make_fs(verify_downloads="never")
        fs.info(PATH)
        corrupt(emulator)
        assert len(read(fs, PATH)) == 1000

    def test_other_values_are_refused(self, make_fs):
        with pytest.raises(ValueError, match="verify_downloads"):
            make_fs(verify_downloads="sometimes")


class TestReader:
    @pytest.fixture
    def file(self, make_fs, second):
        second.pipe_file(PATH, DATA)
        with make_fs().open(PATH, "rb") as file:
            yield file

    def test_parts_are_read_as_they_come(self, emulator, file):
        corrupt(emulator, times=None)
        file.seek(500_000)
        assert len(file.read()) == len(DATA) - 500_000

    def test_going_back_does_not_disturb(self, emulator, file):
        def is_last(call):
            return call.head.headers.get("range", "").endswith(f"-{len(DATA) - 1}")

        # it may be read ahead at any moment
        emulator.faults.add(action=faults.Corrupt(-1), op="download", times=None, match=is_last)
        assert file.read(1000) == DATA[:1000]
        file.seek(500)
        assert file.read(300_000) == DATA[500:300_500]
        with pytest.raises(OSError, match="SHA-1"):
            file.read()

    @pytest.mark.parametrize("cache_type", ["parallel", "readahead"])
    @pytest.mark.parametrize("name", ["read", "readline"])
    def test_reading_on_after_the_error_raises_it_again(self, emulator, make_fs, second, cache_type, name):
        data = DATA.replace(b"\n", b"-")
        second.pipe_file(PATH, data)
        with make_fs().open(PATH, "rb", cache_type=cache_type, block_size=64 * KIB) as file:
            read = partial(getattr(file, name), 70_000)
            corrupt(emulator)
            with pytest.raises(OSError, match="SHA-1"):
                list(iter(read, b""))
            position = file.tell()
            assert 0 < position < len(data)
            file.seek(5)
            assert file.read(10) == data[5:15]
            for target in (position, position, position + 1, 5):
                file.seek(target)
                with pytest.raises(OSError, match="SHA-1"):
                    file.read()
                assert file.tell() == target
            file.seek(0)
            # what was fetched before is not used again
            assert b"".join(iter(read, b"")) == data

    def test_bytes_of_a_failed_read_are_not_kept_for_the_next(self, emulator, make_fs, second):
        second.pipe_file(PATH, DATA[:100_000])
        with make_fs().open(PATH, "rb", block_size=64 * KIB) as file:
            corrupt(emulator)
            file.read(1000)
            with pytest.raises(OSError, match="SHA-1"):
                file.read()
            file.seek(0)
            assert file.read() == DATA[:100_000]

    def test_an_interrupt_while_the_end_is_hashed_loses_nothing(self, make_fs, second, monkeypatch):
        second.pipe_file(PATH, DATA)
        with make_fs().open(PATH, "rb", block_size=64 * KIB) as file:
            head, cache = file.read(100_000), file.cache

            def interrupted(read_hash):
                raise InterruptedError(errno.EINTR, "interrupted")

            with monkeypatch.context() as patch, pytest.raises(InterruptedError):
                patch.setattr(ReadHash, "hexdigest", interrupted)
                file.read()
            assert file.cache is cache
            assert head + file.read() == DATA

    def test_from_the_beginning_once_more(self, file):
        file.seek(700_000)
        file.read()
        file.seek(0)
        assert file.read() == DATA


@pytest.mark.parametrize("slice_sha", ["suffixed", "absent", "zeros"])
class TestDialects:
    @pytest.fixture
    def dialect(self, slice_sha):
        return Dialect(slice_sha=slice_sha)

    def test_what_the_service_tells_is_understood(self, emulator, make_fs, read):
        writer = make_fs(checksum=False, single_upload_limit=0, slice_size=512 * KIB)
        writer.pipe_file(PATH, DATA)
        fs = make_fs()
        fs.info(PATH)
        assert read(fs, PATH) == DATA


@pytest.mark.parametrize("size", [1000, len(DATA)])
def test_a_download_is_compared_with_the_sha1_that_is_named(make_fs, second, tmp_path, size):
    second.pipe_file(PATH, DATA[:size])
    target = tmp_path / "target"
    target.write_bytes(b"old")
    fs = make_fs(verify_downloads="never")
    with pytest.raises(OSError) as caught:
        fs.get_file(PATH, target, sha1="0" * 40)
    assert caught.value.errno in (errno.EIO, errno.ESTALE)
    assert [path.read_bytes() for path in tmp_path.glob("*target*")] == [b"old"]
    fs.get_file(PATH, target, sha1=fs.info(PATH)["sha"].upper())
    assert target.read_bytes() == DATA[:size]
