"""Reading: whole, in parts, many at once; never a mixture, never a part of a local file."""

import copy
import errno
import io
import itertools
import os
import pickle

import pytest
from fsspec.caching import BaseCache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import Corrupt, CutReply, HttpError
from tests.filesystem.conftest import EVERY

BUCKET = "test-1250000000"
PROTOCOLS = EVERY
COS = ("cosv4", "cosv3")
PATH = f"{BUCKET}/dir/object"
KIB = 1024
CONTENT = os.urandom(1300 * KIB + 11)


@pytest.fixture
def stored(small_fs):
    small_fs.pipe_file(PATH, CONTENT)
    return small_fs


bounds = st.none() | st.integers(-len(CONTENT) - 10, len(CONTENT) + 10)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=bounds, end=bounds)
def test_any_part_equals_the_slice(stored, start, end):
    assert stored.cat_file(PATH, start, end) == CONTENT[start:end]


steps = st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(0, 600 * KIB)), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, block_size=st.sampled_from([None, 64 * KIB, 4096 * KIB]))
def test_any_seeks_and_reads_equal_a_local_file(stored, steps, block_size):
    local = io.BytesIO(CONTENT)
    with stored.open(PATH, "rb", block_size=block_size) as file:
        for position, count in steps:
            assert file.seek(position) == local.seek(position)
            assert file.read(count) == local.read(count)
            assert file.tell() == local.tell()


@pytest.mark.parametrize("cache_type", ["parallel", "none", "readahead", "bytes", "blockcache", "all"])
def test_every_cache_reads_the_same(stored, cache_type):
    with stored.open(PATH, "rb", cache_type=cache_type, block_size=100 * KIB) as file:
        assert file.read(1000) == CONTENT[:1000]
        file.seek(-1000, 2)
        assert file.read() == CONTENT[-1000:]
        file.seek(700 * KIB)
        assert file.read(300 * KIB) == CONTENT[700 * KIB : 1000 * KIB]


def test_iterating_lines(fs):
    lines = [b"line %d\n" % number for number in range(1000)]
    fs.pipe_file(PATH, b"".join(lines))
    with fs.open(PATH, "rb") as file:
        assert list(file) == lines
    with fs.open(PATH, "r") as file:
        assert next(file) == "line 0\n"


@pytest.mark.protocol(*COS)
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(ranges="ignore"), Dialect(download_headers="bare")])
@pytest.mark.parametrize("size", [0, 1, 200 * KIB, len(CONTENT)])
def test_files_arrive_on_disk_and_in_sinks(small_fs, tmp_path, size):
    small_fs.pipe_file(PATH, CONTENT[:size])
    small_fs.get_file(PATH, tmp_path / "deep" / "local")
    assert (tmp_path / "deep" / "local").read_bytes() == CONTENT[:size]
    sink = io.BytesIO()
    small_fs.get_file(PATH, sink)
    assert sink.getvalue() == CONTENT[:size]
    outfile = io.BytesIO()
    small_fs.get_file(PATH, outfile=outfile)
    assert outfile.getvalue() == CONTENT[:size]


def test_a_failed_download_leaves_the_local_file_alone(stored, emulator, tmp_path, downloads):
    local = tmp_path / "local"
    local.write_bytes(b"precious")
    emulator.faults.add(op=downloads, nth=3, times=100, action=HttpError(403))
    with pytest.raises(PermissionError):
        stored.get_file(PATH, local)
    assert local.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["local"]


def test_a_broken_body_continues_where_it_broke(stored, emulator, downloads):
    emulator.faults.add(op=downloads, nth=1, times=5, action=CutReply(100 * KIB))
    emulator.clear_requests()
    assert stored.cat_file(PATH) == CONTENT
    ranges = [request.range for request in emulator.requests]
    assert f"bytes={100 * KIB}-{256 * KIB - 1}" in ranges


@pytest.mark.protocol(*COS)
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(download_headers="bare")])
def test_versions_are_never_mixed(stored, second):
    file = stored.open(PATH, "rb", block_size=256 * KIB)
    assert file.read(10) == CONTENT[:10]
    second.pipe_file(PATH, bytes(len(CONTENT)))
    with pytest.raises(OSError, match="replaced"):
        file.seek(1200 * KIB)
        file.read()


@pytest.mark.protocol(*COS)
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(download_headers="bare")])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_versions_are_never_mixed_by_a_copy(stored, second, size):
    with stored.open(PATH, size=size, block_size=256 * KIB) as file:
        assert file.read(10) == CONTENT[:10]
        copied = pickle.dumps(file)
    with pickle.loads(copied) as copy:
        assert copy.read() == CONTENT[10:]
    second.pipe_file(PATH, bytes(len(CONTENT)))
    with pickle.loads(copied) as copy, pytest.raises(OSError, match="replaced") as caught:
        copy.read()
    assert caught.value.errno == errno.ESTALE


@pytest.mark.protocol(*COS)
@pytest.mark.parametrize("made_by", [copy.copy, copy.deepcopy, lambda file: pickle.loads(pickle.dumps(file))])
def test_copies_hash_what_they_read_each_alone(stored, emulator, wire, made_by):
    with stored.open(PATH, block_size=256 * KIB) as file, made_by(file) as other:
        emulator.faults.add(op=wire.download, action=Corrupt(), times=1)
        file.read(256 * KIB)
        emulator.faults.clear()
        assert other.read(10) == CONTENT[:10]
        with pytest.raises(OSError, match="SHA-1 mismatch"):
            file.read()
        assert other.read() == CONTENT[10:]


@pytest.mark.protocol(*COS)
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(download_headers="bare")])
def test_a_download_notices_a_replacement(stored, second, dialect, monkeypatch):
    original, calls = stored.client.fetch, itertools.count()

    def fetch(*args, **kwargs):
        if next(calls) == 1:
            second.pipe_file(PATH, bytes(len(CONTENT)))
        return original(*args, **kwargs)

    monkeypatch.setattr(stored.client, "fetch", fetch)
    with pytest.raises(OSError, match="replaced"):
        stored.cat_file(PATH)


def test_many_at_once(fs, tmp_path):
    contents = {f"{BUCKET}/many/{number}": b"%d" % number for number in range(30)}
    fs.pipe(contents)
    assert fs.cat(f"{BUCKET}/many", recursive=True) == contents
    assert fs.cat(list(contents)) == contents
    assert fs.cat(f"{BUCKET}/many/1?") == {
        name: data for name, data in contents.items() if len(data) == 2 and data[:1] == b"1"
    }
    assert fs.cat([f"{BUCKET}/many/3"]) == {f"{BUCKET}/many/3": b"3"}
    fs.get(f"{BUCKET}/many", tmp_path, recursive=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "many").iterdir()} == {
        name.rpartition("/")[2]: data for name, data in contents.items()
    }


def test_errors_among_many(fs):
    fs.pipe_file(PATH, b"x")
    missing = PATH + "-missing"
    with pytest.raises(FileNotFoundError) as caught:
        fs.cat([PATH, missing])
    assert caught.value.filename == missing
    assert fs.cat([PATH, missing], on_error="omit") == {PATH: b"x"}
    assert isinstance(fs.cat([PATH, missing], on_error="return")[missing], FileNotFoundError)
    returned = fs.cat_ranges([PATH, missing], 0, 1)
    assert returned[0] == b"x"
    assert isinstance(returned[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([PATH, missing], 0, 1, on_error="raise")


@pytest.mark.parametrize("max_gap", [None, 0, 1000, 10**9])
def test_ranges_merged_or_not_are_the_same(stored, emulator, max_gap, downloads):
    # the last one is empty, and ends before others
    starts, ends = [0, 100, 900, 500_000, 2100], [50, 200, 2000, 500_100, 150]
    emulator.clear_requests()
    found = stored.cat_ranges([PATH] * 5, starts, ends, max_gap=max_gap)
    assert found == [CONTENT[start:end] for start, end in zip(starts, ends, strict=True)]
    assert (emulator.count()[downloads] < 4) is (max_gap in (1000, 10**9))


def test_a_directory_is_not_a_file(fs, tmp_path, protocol):
    fs.pipe_file(PATH, b"x")
    actions = [
        lambda: fs.cat_file(f"{BUCKET}/dir"),
        lambda: fs.open(f"{BUCKET}/dir", "rb"),
        lambda: fs.head(f"{BUCKET}/dir"),
        lambda: fs.cat_file(BUCKET),
        lambda: fs.cat_file(f"{BUCKET}/dir", None, -1),
        lambda: fs.cat_file(f"{BUCKET}/dir", 5, 5),
    ]
    removals = [] if protocol == "cdcs" else [lambda: fs.rm_file(f"{BUCKET}/dir"), lambda: fs.rm(f"{BUCKET}/dir")]
    for action in actions + removals:
        with pytest.raises(IsADirectoryError):
            action()
    fs.get_file(f"{BUCKET}/dir", tmp_path / "made")
    assert (tmp_path / "made").is_dir()
    assert fs.cat_file(PATH) == b"x"


@pytest.mark.parametrize(("start", "end"), [(None, None), (3, 5), (-3, None), (None, -1), (0, 0), (-2, 5)])
def test_what_is_not_there_has_no_parts_either(fs, start, end):
    with pytest.raises(FileNotFoundError) as caught:
        fs.cat_file(PATH, start, end)
    assert caught.value.filename == PATH


@pytest.mark.parametrize("block_size", [None, "default", 100_000])
def test_any_block_size_that_fsspec_knows(fs, block_size):
    with fs.open(PATH, "wb", block_size=block_size) as file:
        file.write(CONTENT)
    with fs.open(PATH, "rb", block_size=block_size) as file:
        assert file.read() == CONTENT


@pytest.mark.protocol(*COS)
class TestReplacedBeforeTheFirstRead:
    """Another process writes between a cached status and the first read."""

    @pytest.fixture(params=[b"longer than before", b"", b"s", CONTENT * 4], ids=len)
    def new(self, request, fs, second):
        fs.pipe_file(PATH, b"as before")
        assert fs.info(PATH)["size"] == 9
        second.pipe_file(PATH, request.param)
        return request.param

    def test_the_file_is_that_of_now(self, fs, new):
        with fs.open(PATH) as file:
            assert b"".join(iter(lambda: file.read(100_000), b"")) == new
            assert file.size == file.details["size"] == len(new)
        assert fs.info(PATH)["size"] == len(new)
        with fs.open(PATH, "r", encoding="latin-1", newline="") as file:
            assert file.read() == new.decode("latin-1")

    def test_another_cache_may_have_the_place_of_the_own(self, fs, new):
        with fs.open(PATH) as file:
            file.cache = BaseCache(0, file.cache.fetcher, len(b"as before"))
            assert file.read() == new

    @pytest.mark.parametrize("new", [b"", b"longer than before"], ids=len, indirect=True)
    @pytest.mark.parametrize(
        "ask",
        [
            lambda file: file.size,
            lambda file: file.details,
            lambda file: file.seek(0),
            lambda file: file.seek(file.seek(0, 2) - 5),
        ],
        ids=["size", "details", "place", "end"],
    )
    def test_who_was_told_the_old_size_is_told_of_the_change(self, fs, new, ask):
        with fs.open(PATH) as file:
            ask(file)
            # no other call before it: `seek` alone makes the file keep to its version
            with pytest.raises(OSError, match="replaced") as caught:
                file.read(5)
            assert caught.value.errno == errno.ESTALE
        with fs.open(PATH) as file:
            assert file.read() == new

    def test_copies_by_pickle_are_told_of_the_change(self, fs, new):
        with fs.open(PATH) as file, pickle.loads(pickle.dumps(file)) as copy:
            # the file is of the same version as its copies
            for reader in (copy, file):
                with pytest.raises(OSError, match="replaced") as caught:
                    reader.read()
                assert caught.value.errno == errno.ESTALE

    def test_who_has_had_a_byte_is_told_of_the_change(self, small_fs, second):
        small_fs.pipe_file(PATH, bytes(3_000_000))
        with small_fs.open(PATH, cache_type="none") as file:
            assert file.read(5) == bytes(5)
            second.pipe_file(PATH, b"new")
            with pytest.raises(OSError, match="replaced"):
                file.read(5)

    def test_a_file_that_is_gone(self, fs, second):
        fs.pipe_file(PATH, b"as before")
        fs.info(PATH)
        second.rm(PATH)
        with fs.open(PATH) as file, pytest.raises(FileNotFoundError):
            file.read()


def test_lines(fs):
    fs.pipe_file(PATH, b"one\ntwo\nthree")
    with fs.open(PATH) as file:
        assert file.readlines() == [b"one\n", b"two\n", b"three"]
        assert file.readlines() == []
        file.seek(0)
        assert file.readlines(5) == [b"one\n", b"two\n"]
