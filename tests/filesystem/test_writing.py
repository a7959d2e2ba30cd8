"""Writing: whole or not at all, whatever happens on the way."""

import errno
import gc
import gzip
import io
import os
import subprocess
import sys

import fsspec
import fsspec.core
import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.errors import CosError
from tests.filesystem.conftest import EVERY, unfinished
from tests.support import wait_for_background

BUCKET = "test-1250000000"
PROTOCOLS = ("cosv4", "cosv3")

PATH = f"{BUCKET}/dir/object"
KIB = 1024


def content_of(size):
    return os.urandom(size)


SIZES = [0, 1, 100, 512 * KIB - 1, 512 * KIB, 512 * KIB + 1, 1024 * KIB, 1536 * KIB + 7, 3000 * KIB]


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("way", ["wb", "wb sized", "xb", "pipe", "put", "cp", "transaction"])
def test_every_size_is_stored_by_every_way_of_writing(small_fs, second, tmp_path, way):
    for size in SIZES:
        path, content = f"{BUCKET}/dir/{size}", content_of(size)
        if way == "pipe":
            small_fs.pipe_file(path, content)
        elif way == "put":
            (tmp_path / "local").write_bytes(content)
            small_fs.put_file(str(tmp_path / "local"), path)
        elif way == "cp":
            small_fs.pipe_file(f"{path}.source", content)
            small_fs.cp_file(f"{path}.source", path)
        elif way == "transaction":
            with small_fs.transaction:
                with small_fs.open(path, "wb") as file:
                    file.write(content)
                assert not second.exists(path)
        else:
            options = {"size": size} if "sized" in way else {}
            with small_fs.open(path, way.split()[0], **options) as file:
                for start in range(0, size, 100_000):
                    file.write(content[start : start + 100_000])
        assert second.cat_file(path) == content
        assert second.info(path)["size"] == size


@pytest.mark.parametrize("size", [10, 2000 * KIB])
def test_an_existing_object_is_replaced_and_readable_until_the_end(small_fs, second, size):
    small_fs.pipe_file(PATH, b"old")
    new = content_of(size)
    with small_fs.open(PATH, "wb") as file:
        file.write(new)
        assert second.cat_file(PATH) == b"old"
    assert second.cat_file(PATH) == new
    assert unfinished(second, f"{BUCKET}/dir") == []


class _BoomError(Exception):
    pass


def write_and_fail(fs, way, size):
    """Write a file, and leave its block with an exception."""
    options = {"size": size + 1} if way == "sized" else {"compression": "gzip"} if "gzip" in way else {}
    mode = "w" if way == "text" else "wb"
    if way.startswith("fsspec.open"):
        opened = fsspec.open(f"{fs.protocol}://{PATH}", mode, **fs.storage_options, **options)
    else:
        opened = fs.open(PATH, mode, **options)
    data = content_of(size)
    with pytest.raises(_BoomError), opened as file:
        file.write(data.hex() if way == "text" else data)
        raise _BoomError


WAYS_TO_FAIL = ["plain", "sized", "text", "gzip", "fsspec.open", "fsspec.open gzip"]


SIZES_TO_FAIL = [10, 700 * KIB, 3000 * KIB]


@pytest.mark.parametrize("way", WAYS_TO_FAIL)
def test_an_exception_leaves_the_old_object(small_fs, second, way):
    small_fs.pipe_file(PATH, b"old")
    for size in SIZES_TO_FAIL:
        write_and_fail(small_fs, way, size)
        assert second.cat_file(PATH) == b"old"
        assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("way", WAYS_TO_FAIL)
def test_an_exception_leaves_nothing(small_fs, second, way):
    for size in SIZES_TO_FAIL:
        write_and_fail(small_fs, way, size)
        assert not second.exists(PATH)
        assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("size", [None, 3000 * KIB])
def test_an_unclosed_file_is_discarded_with_a_warning(small_fs, second, size, protocol):
    old = [] if protocol == "cdcs" else [PATH]
    small_fs.pipe(dict.fromkeys(old, b"old"))
    file = small_fs.open(PATH, "wb", size=size)
    file.write(content_of(1500 * KIB))
    with pytest.warns(RuntimeWarning, match="never closed"):
        del file
        gc.collect()
        # another thread warns: the collector may run inside any lock
        wait_for_background()
    assert {path: second.cat_file(path) for path in second.find(BUCKET)} == dict.fromkeys(old, b"old")
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
def test_a_file_closed_in_a_handler_of_its_own_exception_is_published(fs):
    try:
        raise _BoomError
    except _BoomError:
        with fs.open(PATH, "wb") as file:
            file.write(b"written while handling")
    assert fs.cat_file(PATH) == b"written while handling"


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "infer"])
def test_compressed_files_are_complete(fs, compression):
    path = PATH + ".gz" if compression == "infer" else PATH
    with fs.open(path, "wb", compression=compression) as file:
        file.write(b"hello " * 1000)
    with fs.open(path, "rb", compression=compression) as file:
        assert file.read() == b"hello " * 1000
    assert len(fs.cat_file(path)) < 1000


def test_text_files(fs):
    with fs.open(PATH, "w", encoding="utf-8-sig", newline="\r\n") as file:
        file.write("grüße\n中文\n")
    with fs.open(PATH, "r", encoding="utf-8-sig") as file:
        assert file.read() == "grüße\n中文\n"
    fs.write_text(PATH, "plain")
    assert fs.read_text(PATH) == "plain"


@pytest.mark.protocol(*EVERY)
def test_closed_files_refuse(fs):
    file = fs.open(PATH, "wb")
    file.write(b"x")
    assert file.tell() == 1
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"y")
    assert fs.cat_file(PATH) == b"x"


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("announced", [3, 8])
def test_another_size_than_announced_publishes_nothing(small_fs, announced):
    file = small_fs.open(PATH, "wb", size=announced)
    with pytest.raises(OSError, match="announced"):
        file.write(b"12345")
        file.close()
    with pytest.raises(OSError, match="earlier write failed") if not file.closed else pytest.raises(ValueError):
        file.close() if not file.closed else file.write(b"")
    assert not small_fs.exists(PATH)


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("announced", [2000 * KIB, 2200 * KIB])
def test_another_size_than_announced_leaves_no_session(small_fs, second, announced):
    with pytest.raises(OSError, match="announced"), small_fs.open(PATH, "wb", size=announced) as file:
        file.write(content_of(2100 * KIB))
    assert not second.exists(PATH)
    assert unfinished(second, f"{BUCKET}/dir") == []


def test_create_never_replaces(small_fs, second):
    for content in (b"", b"small", content_of(1500 * KIB)):
        small_fs.pipe_file(PATH, content, mode="create")
        with pytest.raises(FileExistsError):
            small_fs.pipe_file(PATH, b"other" + content, mode="create")
        with pytest.raises(FileExistsError):
            small_fs.open(PATH, "xb")
        assert second.cat_file(PATH) == content
        small_fs.rm(PATH)


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("size", [0, 5, 1500 * KIB])
def test_create_is_decided_by_the_server(small_fs, second, size):
    file = small_fs.open(PATH, "xb")
    second.pipe_file(PATH, b"faster")
    # some hear it while they write
    with pytest.raises(FileExistsError), file:
        file.write(content_of(size))
    assert second.cat_file(PATH) == b"faster"


def test_nothing_can_be_updated(fs):
    fs.pipe_file(PATH, b"x")
    for mode in ("r+b", "w+b", "r+", "a+"):
        with pytest.raises(NotImplementedError, match="whole objects"):
            fs.open(PATH, mode)
    assert fs.cat_file(PATH) == b"x"


def test_a_directory_is_not_replaced_by_a_file(small_fs):
    small_fs.mkdir(PATH)
    for content in (b"x", content_of(1500 * KIB)):
        with pytest.raises(IsADirectoryError):
            small_fs.pipe_file(PATH, content)
    assert small_fs.isdir(PATH)


def test_a_full_disk_in_the_spool_is_told_and_loses_nothing(emulator, second):
    second.pipe_file(PATH, b"old")
    script = f"""
import resource, fsspec, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fs = fsspec.filesystem({second.protocol!r}, **{emulator.storage_options!r}, spool_memory=0, single_upload_limit=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    with fs.open({PATH!r}, "wb") as file:
        for _ in range(3):
            file.write(bytes(2**20))
except OSError as error:
    print(type(error).__name__, error.errno, error.filename, error.strerror)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "27 test-1250000000/dir/object" in result.stdout
    assert "spool_dir=" in result.stdout
    assert second.cat_file(PATH) == b"old"
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("mode", ["wb", "xb", "w"])
def test_a_folder_that_cannot_hold_temporary_files_is_told_before_anything_is_written(emulator, second, tmp_path, mode):
    (tmp_path / "file").touch()
    for name, number in (("none", errno.ENOENT), ("file", errno.ENOTDIR)):
        fs = fsspec.filesystem(second.protocol, **emulator.storage_options, spool_dir=tmp_path / name)
        with pytest.raises(OSError, match="set spool_dir= to another folder") as caught:
            fs.open(PATH, mode)
        # it is not the object that is missing
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / name))
        assert not isinstance(caught.value, CosError)
        fs.pipe_file(f"{BUCKET}/{name}/{mode}", b"needs none")


@pytest.mark.protocol(*EVERY)
def test_local_folders_may_begin_with_the_home_folder(emulator, second, tmp_path, monkeypatch):
    # the second on Windows
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    fs = fsspec.filesystem(second.protocol, **emulator.storage_options, spool_dir="~", journal_dir="~/journal")
    assert (fs.config.spool_dir, fs.config.journal_dir) == (str(tmp_path), os.path.join(tmp_path, "journal"))


def test_the_content_type_is_guessed_kept_and_settable(small_fs, emulator):
    url = small_fs.sign

    def served(path):
        return small_fs.client.head(*path.split("/", 1)[0:1], "/" + path.split("/", 1)[1])[1]["Content-Type"]

    for size in (10, 1500 * KIB):
        small_fs.pipe_file(f"{BUCKET}/t.csv", content_of(size))
        assert served(f"{BUCKET}/t.csv") == "text/csv"
        small_fs.pipe_file(f"{BUCKET}/t.bin", content_of(size), content_type="application/x-mine")
        assert served(f"{BUCKET}/t.bin") == "application/x-mine"
        with small_fs.open(f"{BUCKET}/t.html", "wb", content_type="text/plain") as file:
            file.write(content_of(size))
        assert served(f"{BUCKET}/t.html") == "text/plain"
    assert url(f"{BUCKET}/t.csv").startswith(emulator.endpoint)


@pytest.mark.parametrize("dialect", [Dialect(part_content_type="ignore")])
@pytest.mark.protocol("cosv4")
def test_an_explicit_content_type_needs_no_goodwill(small_fs):
    for size in (10, 1500 * KIB):
        small_fs.pipe_file(PATH, content_of(size), content_type="text/x-mine")
        assert small_fs.attributes(PATH)["content_type"] == "text/x-mine"


@pytest.mark.protocol(*EVERY)
def test_writers_take_any_buffer(fs):
    from array import array

    numbers = array("I", range(1000))
    with fs.open(PATH, "wb") as file:
        assert file.write(numbers) == numbers.itemsize * 1000
        file.write(memoryview(b"ab")[::2])
        file.writelines([b"cd", bytearray(b"ef")])
    assert fs.cat_file(PATH) == numbers.tobytes() + b"acdef"


def test_put_file_refuses_a_file_that_shrinks(small_fs, second, emulator, tmp_path, monkeypatch, wire):
    local = tmp_path / "local"
    local.write_bytes(content_of(2000 * KIB))
    original = getattr(small_fs.client, wire.opens)

    def shrink(*args, **kwargs):
        os.truncate(local, 600 * KIB)
        return original(*args, **kwargs)

    monkeypatch.setattr(small_fs.client, wire.opens, shrink)
    with pytest.raises(OSError, match="shorter"):
        small_fs.put_file(local, PATH)
    assert not second.exists(PATH)
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
def test_buffers_wrap_writers(fs):
    with io.BufferedWriter(fs.open(PATH, "wb"), 16) as file:
        file.write(b"hello " * 10)
    assert fs.cat_file(PATH) == b"hello " * 10


def test_the_compression_is_told_by_the_path_without_what_is_around_it(fs):
    for number, path in enumerate((f"{BUCKET}/0.gz/", fsspec.core.OpenFile(fs, f"{BUCKET}/1.gz"))):
        with fs.open(path, "wb", compression="infer") as file:
            file.write(b"content")
        assert gzip.decompress(fs.cat_file(f"{BUCKET}/{number}.gz")) == b"content"
