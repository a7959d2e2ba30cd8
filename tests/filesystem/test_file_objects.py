"""File objects have the interface of `io`, and cost what it costs."""

import csv
import errno
import gc
import gzip
import hashlib
import io
import random
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosv4fs import CosV4FileSystem
from cosv4fs.emulator.faults import HttpError
from tests.filesystem.conftest import EVERY
from tests.support import wait_for_background

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
KIB = 1024
LINES = [b"%d %s\n" % (number, b"x" * random.Random(number).choice([0, 3, 50, 3000])) for number in range(400)]
TEXT = b"".join(LINES) + b"the end"
CACHES = ["parallel", "none", "readahead", "bytes", "blockcache", "first", "background", "all"]
CLOSED = ("tell", "readable", "seekable", "writable", "flush", "isatty", "__enter__")
CLOSED_READER = ("read", "readline", "readlines", "read1", "peek", "readuntil", "__next__")


@pytest.fixture
def stored(small_fs):
    small_fs.pipe_file(PATH, TEXT)
    return small_fs


counts = st.sampled_from([None, -1, 0, 1, 7, 3000, 70 * KIB, 10**7]) | st.integers(0, 5000).map(np.int64)
places = st.tuples(st.integers(0, len(TEXT) + 9), st.just(0)) | st.tuples(st.integers(-9, 0), st.sampled_from([1, 2]))
steps = st.one_of(
    st.tuples(st.sampled_from(["read", "readline", "read1"]), counts.map(lambda count: (count,))),
    st.tuples(st.just("readlines"), st.sampled_from([(10,), (4000,), (np.int64(99),)])),
    st.tuples(st.sampled_from(["readinto", "readinto1"]), st.integers(0, 5000).map(lambda size: (size,))),
    st.tuples(st.just("seek"), places.map(lambda place: (np.int64(place[0]), np.int8(place[1])))),
    st.tuples(st.sampled_from(["peek", "__next__", "readline", "tell"]), st.just(())),
)


def done(file, name, arguments):
    """Return what a method does: its result, or that it failed. Files are free in how much `peek` and `read1` give."""
    try:
        if name == "peek":
            return file.peek()[:1]
        if name == "read1":
            return file.read1(0 if arguments[0] == 0 else 1)
        if name.startswith("readinto"):
            memory = bytearray(arguments[0])
            return file.readinto(memory), memory
        return getattr(file, name)(*arguments)
    except (OSError, ValueError, StopIteration) as error:
        return isinstance(error, StopIteration)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(steps, max_size=12), cache_type=st.sampled_from(CACHES))
def test_reading_is_that_of_a_local_file(stored, tmp_path, steps, cache_type):
    # in memory, a position below zero is zero
    (tmp_path / "local").write_bytes(TEXT)
    with (
        (tmp_path / "local").open("rb") as local,
        stored.open(PATH, cache_type=cache_type, block_size=50 * KIB) as file,
    ):
        for name, arguments in steps:
            assert done(file, name, arguments) == done(local, name, arguments)
            assert file.tell() == local.tell()


@pytest.mark.parametrize("cache_type", CACHES)
def test_read1_and_peek_give_what_follows(stored, cache_type):
    with stored.open(PATH, cache_type=cache_type, block_size=50 * KIB) as file:
        got = b""
        while ahead := file.peek(1):
            assert TEXT.startswith(got + ahead)
            piece = file.read1(random.Random(len(got)).choice([-1, 5, 100_000]))
            assert piece
            got += piece
        assert got == TEXT
        assert file.read1() == file.peek() == b""


@pytest.mark.parametrize("cache_type", CACHES)
def test_lines_by_every_way(stored, cache_type):
    def opened():
        return stored.open(PATH, cache_type=cache_type, block_size=50 * KIB)

    lines = [*LINES, b"the end"]
    assert list(opened()) == list(iter(opened().readline, b"")) == opened().readlines() == lines
    assert opened().readlines(None) == lines
    records = TEXT.replace(b"x\n", b"x\n\0").split(b"\0")
    file = opened()
    assert list(iter(lambda: file.readuntil(b"x\n"), b"")) == records
    assert opened().readuntil(b"the end", blocks=10) == TEXT
    assert [line.encode() for line in io.TextIOWrapper(opened(), newline="\n")] == lines
    assert list(io.BufferedReader(opened())) == lines


def test_lines_cost_no_copy_of_a_block(fs, monkeypatch):
    fs.pipe_file(PATH, b"a line of text\n" * 100_000)
    with fs.open(PATH) as file:
        fetch, fetched = file.cache._fetch, []

        def count(start, stop):
            fetched.append(stop - start)
            return fetch(start, stop)

        monkeypatch.setattr(file.cache, "_fetch", count)
        for _ in range(20_000):
            assert file.readline() == b"a line of text\n"
            assert next(file) == b"a line of text\n"
            assert file.read(15) == b"a line of text\n"
    assert sum(fetched) < 900_000 + 100_000
    assert len(fetched) < 100


@pytest.mark.protocol(*EVERY)
def test_closed_files_refuse_everything(fs):
    fs.pipe_file(PATH, b"content")
    for mode, names in (("rb", (*CLOSED, *CLOSED_READER)), ("wb", (*CLOSED, "read", "readline", "truncate"))):
        file = fs.open(PATH if mode == "rb" else f"{PATH}-new", mode)
        file.write(b"x") if mode == "wb" else None
        file.close()
        for refused in (*(getattr(file, name) for name in names), lambda file=file: file.seek(0)):
            with pytest.raises(ValueError, match="closed"):
                refused()


def test_what_a_reader_cannot_do(stored):
    with stored.open(PATH) as file:
        assert (file.readable(), file.seekable(), file.writable(), file.isatty()) == (True, True, False, False)
        for refused in (
            file.truncate,
            file.fileno,
            file.detach,
            lambda: file.write(b"x"),
            lambda: file.writelines([b"x"]),
        ):
            with pytest.raises(io.UnsupportedOperation):
                refused()
        # zipfile catches the error of local files, and what was written for fsspec's or for files in memory the other
        for caught_as in (OSError, ValueError):
            with pytest.raises(caught_as, match="negative") as caught:
                file.seek(-1)
            assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, PATH)
        for wrong in (3, -1):
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, wrong)
        for refused in (
            lambda: file.read(1.5), lambda: file.seek("1"), lambda: file.readline(b""), lambda: file.readinto(b"12"),
            lambda: file.readinto(np.zeros((2, 2), order="F")),
        ):  # fmt: skip
            with pytest.raises(TypeError):
                refused()
        assert file.readinto(np.zeros((0, 5))) == file.tell() == 0
        assert file.seek(10**15) == file.tell() == 10**15
        assert file.read() == file.readline() == file.read1(5) == b""


@pytest.mark.parametrize(("method", "nth"), [("read", 1), ("readline", 2), ("readuntil", 2), ("readlines", 2)])
def test_a_failed_read_can_be_repeated(small_fs, emulator, downloads, method, nth):
    content = b"zz\n" + b"z" * (300 * KIB) + b"\nmore"
    small_fs.pipe_file(PATH, content)
    with small_fs.open(PATH, cache_type="none", block_size=100 * KIB) as file:
        # some bytes are here already
        assert file.readline(1) == b"z"
        if method.endswith(("line", "until")):
            assert file.readline() == b"z\n"
        before = file.tell()
        emulator.faults.add(op=downloads, nth=nth, times=50, action=HttpError(403))
        with pytest.raises(PermissionError):
            getattr(file, method)()
        assert file.tell() == before
        emulator.faults.clear()
        got = getattr(file, method)()
        expected = content[before:] if method in ("read", "readlines") else content[before : 300 * KIB + 4]
        assert (b"".join(got) if method == "readlines" else got) == expected


@pytest.mark.parametrize("cache_type", ["parallel", "readahead", "bytes"])
def test_threads_share_a_reader(small_fs, cache_type):
    records = [b"%08d %s\n" % (number, b"r" * 5000) for number in range(300)]
    small_fs.pipe_file(PATH, b"".join(records))
    got, failures = [], []
    with small_fs.open(PATH, cache_type=cache_type, block_size=100 * KIB) as file:

        def take(read):
            try:
                while record := read():
                    got.append(record)
            except BaseException as error:
                failures.append(error)

        length = len(records[0])
        ways = [file.readline, lambda: file.read(length)] * 3
        threads = [threading.Thread(target=take, args=(way,)) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert sorted(got) == records


def test_readers_under_the_libraries_of_python(fs):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "x;y\n1;2\n")
        archive.writestr("b.bin", bytes(100_000))
    fs.pipe_file(f"{BUCKET}/a.zip", memory.getvalue())
    with fs.open(f"{BUCKET}/a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("b.bin") == bytes(100_000)
        with archive.open("a.csv") as member:
            assert list(csv.reader(io.TextIOWrapper(member), delimiter=";")) == [["x", "y"], ["1", "2"]]
    fs.pipe_file(PATH, b"no archive")
    assert not zipfile.is_zipfile(fs.open(PATH))
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    fs.pipe_file(f"{BUCKET}/a.tgz", memory.getvalue())
    with fs.open(f"{BUCKET}/a.tgz") as file, tarfile.open(fileobj=file) as archive:
        assert archive.getnames() == ["empty"]
    fs.pipe_file(f"{BUCKET}/a.gz", gzip.compress(TEXT))
    with fs.open(f"{BUCKET}/a.gz") as file, gzip.open(file, "rt", newline="\n") as text:
        assert [line.encode() for line in text] == [*LINES, b"the end"]
    with fs.open(f"{BUCKET}/a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["é", "1"], ["two\nlines", "2"]])
    with fs.open(f"{BUCKET}/a.csv", "r", newline="") as file:
        assert list(csv.reader(file)) == [["é", "1"], ["two\nlines", "2"]]
        place = file.seek(0)
        assert file.readline() == "é,1\r\n"
        file.seek(place)
        assert file.read(3) == "é,1"


changes = st.lists(
    st.tuples(st.just("write"), st.integers(1, 700 * KIB))
    | st.tuples(st.just("seek"), st.integers(0, 1500 * KIB))
    | st.tuples(st.sampled_from(["back", "end", "truncate", "read", "size"]), st.integers(0, 1000)),
    min_size=1,
    max_size=6,
)


def change(file, what, value):
    """Do the same with any file."""
    if what == "write":
        return file.write(random.Random(value).randbytes(value))
    if what in ("back", "end"):
        return file.seek(-min(value, file.tell()), 1) if what == "back" else file.seek(0, 2)
    if what == "truncate":
        return file.truncate() if value % 2 else file.truncate(value * KIB)
    if what == "size":
        return file.tell()
    return getattr(file, what)(value)


@pytest.mark.protocol(*EVERY)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=changes)
def test_writing_is_that_of_a_local_file(small_fs, tmp_path_factory, steps):
    path = f"{PATH}-{random.SystemRandom().getrandbits(64):x}"
    with small_fs.open(path, "wb") as file, (tmp_path_factory.mktemp("x") / "x").open("w+b") as local:
        # the first seek says that there may be others
        assert file.seek(0) == 0
        for what, value in [*steps, ("write", 5)]:
            assert change(file, what, value) == change(local, what, value)
        local.seek(0)
        content = local.read()
        assert file.size == len(content)
    assert small_fs.cat_file(path) == content


@pytest.mark.protocol("cosv4", "cosv3")
@pytest.mark.parametrize("size", [10, 800 * KIB, 2000 * KIB])
def test_the_checksum_is_that_of_the_bytes_in_the_end(small_fs, size):
    content = random.Random(size).randbytes(size)
    with small_fs.open(PATH, "wb") as file:
        file.write(b"later" + content[5:])
        file.seek(0)
        file.write(content[:5])
        memory = bytearray(1)
        assert (file.read1(2), file.readinto1(memory), memory) == (content[5:7], 1, content[7:8])
        file.seek(0, 2)
        file.write(b"more")
    content += b"more"
    assert small_fs.info(PATH, refresh=True)["sha"] == hashlib.sha1(content).hexdigest()
    assert small_fs.cat_file(PATH) == content


@pytest.mark.parametrize("fail", [lambda file: file.write(b"1234"), lambda file: file.truncate(70 * 1024 * KIB)])
def test_after_a_failure_nothing_can_be_changed_any_more(emulator, second, tmp_path, fail):
    folder = tmp_path / "spool"
    folder.mkdir()
    fs = CosV4FileSystem(**emulator.storage_options, spool_dir=str(folder))
    second.pipe_file(PATH, b"old")
    file = fs.open(PATH, "wb", size=3)
    folder.rmdir()
    with pytest.raises(OSError, match="negative") as caught:
        file.truncate(-1)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, PATH)
    with pytest.raises(OSError, match=r"announced|spool_dir"):
        fail(file)
    for refused in (lambda: file.seek(0), file.truncate, file.read, lambda: file.write(b"1"), file.close):
        with pytest.raises(OSError, match="an earlier write failed"):
            refused()
    assert second.cat_file(PATH) == b"old"


@pytest.mark.protocol("cdcs")
def test_what_was_sent_cannot_be_changed(small_fs):
    with small_fs.open(PATH, "wb") as file:
        file.write(b"x" * 100)
        assert file.seekable()
        file.write(bytes(600 * KIB))
        assert not file.seekable()
        for refused in (lambda: file.seek(0), file.truncate, file.read, lambda: file.seek(0, 1)):
            with pytest.raises(io.UnsupportedOperation, match=r"seek\(0\) right after opening") as caught:
                refused()
            assert (caught.value.errno, caught.value.filename) == (errno.ESPIPE, PATH)
        assert file.tell() == file.size == 600 * KIB + 100
    assert small_fs.cat_file(PATH) == b"x" * 100 + bytes(600 * KIB)


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize(("start", "size"), [(b"", None), (b"#! /bin/sh\n", None), (b"", 1200 * KIB + 100)])
def test_archives_are_written_by_a_library_that_goes_back(small_fs, start, size):
    """`ZipFile` finds out at the start whether it can; bytes that were sent before make it do without."""
    content = random.Random(1).randbytes(1200 * KIB)
    with small_fs.open(PATH, "wb", size=size) as file:
        file.write(start)
        file.write(bytes(600 * KIB) if start else b"")
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("x"), content)
    with small_fs.open(PATH) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("x") == content


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le"])
@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz"])
def test_text_begins_with_one_byte_order_mark(fs, encoding, compression):
    text = "né\n" * 9
    with fs.open(PATH, "w", encoding=encoding, compression=compression) as file:
        for line in text.splitlines(keepends=True):
            file.write(line)
            file.flush()
    with fs.open(PATH, compression=compression) as file:
        assert file.read() == text.encode(encoding)
    with fs.open(PATH, "r", encoding=encoding, compression=compression) as file:
        assert file.read() == text
    fs.write_text(f"{PATH}-text", text, encoding=encoding)
    assert fs.read_text(f"{PATH}-text", encoding=encoding) == text


def test_compressed_files_can_not_go_back(fs):
    with fs.open(PATH, "wb", compression="gzip") as file:
        # text that is written here may begin with a mark
        assert file.seekable()
        file.write(b"x")
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)


@pytest.mark.parametrize("compression", ["zip", "gzip", "bz2", "xz"])
@pytest.mark.parametrize(("mode", "how"), [("wb", "lose"), ("w", "raise"), ("wb", "discard")])
@pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning")
@pytest.mark.usefixtures("few_objects")
def test_a_failure_ends_every_compressor_without_a_word(fs, compression, mode, how, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    file = fs.open(PATH, mode, compression=compression)
    file.write(b"x" if mode == "wb" else "x")
    if how == "raise":
        with pytest.raises(LookupError), file:
            raise LookupError
    if how == "discard":
        file.discard()
    del file
    gc.collect()
    wait_for_background()
    gc.collect()
    assert [str(item.exc_value) for item in told] == []
    assert not fs.exists(PATH)
    with fs.open(PATH, mode, compression=compression) as file:
        file.write(b"x" if mode == "wb" else "x")
    with fs.open(PATH, compression=compression) as file:
        assert file.read() == b"x"


@pytest.mark.protocol(*EVERY)
def test_what_users_of_other_filesystems_ask_files(fs, protocol):
    file = fs.open(PATH, "wb")
    assert not hasattr(file, "details")
    with pytest.raises(ValueError, match="before the file is closed"):
        file.info()
    file.write(b"content")
    file.close()
    with fs.open(PATH) as reader:
        for one in (file, reader):
            assert (one.path, one.full_name, one.size) == (PATH, f"{protocol}://{PATH}", 7)
            assert one.info() == one.details == fs.info(PATH)
        assert (file.mode, reader.mode) == ("wb", "rb")
    assert reader.info()["size"] == 7


def test_text_can_be_replaced(fs):
    with fs.open(PATH, "w", encoding="utf-16") as file:
        file.write("first\n")
        place = file.tell()
        file.write("second\n")
        file.seek(place)
        file.write("third\n")
        file.truncate()
    assert fs.read_text(PATH, encoding="utf-16") == "first\nthird\n"
