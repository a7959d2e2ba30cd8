"""Appending: the new object begins with the bytes of the old one, and replaces no other."""

import csv
import errno
import io
import logging
import random
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

import pytest

from cosv4fs import CosV4FileSystem, appending
from cosv4fs.emulator import Dialect
from tests.filesystem.conftest import unfinished
from tests.support import elsewhere

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object.txt"
PROTOCOLS = ("cosv4", "cosv3")
KIB = 1024


def content_of(size):
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("old", [None, 0, 5, 700 * KIB])
@pytest.mark.parametrize("new", [0, 7, 900 * KIB])
def test_bytes_follow_those_of_the_old_object(small_fs, second, old, new):
    if old is not None:
        small_fs.pipe_file(PATH, content_of(old))
    before = content_of(old or 0)
    with small_fs.open(PATH, "ab") as file:
        assert file.tell() == file.size == len(before)
        file.write(content_of(new)[:3])
        # what is written goes to the end: a library that goes back would damage its file
        assert file.seek(0, 2) == file.tell() == file.size
        for refused in (lambda: file.seek(file.size), lambda: file.seek(-1, 2), lambda: file.seek(0, 1), file.read):
            with pytest.raises(io.UnsupportedOperation, match="written to the end"):
                refused()
        file.write(content_of(new)[3:])
        assert second.exists(PATH) == (old is not None)
    assert second.cat_file(PATH) == before + content_of(new)
    assert unfinished(second, f"{BUCKET}/dir") == []


def test_requests_of_a_small_object(fs, emulator):
    fs.pipe_file(PATH, b"old")
    for path, status, downloads in ((PATH, 3, 1), (f"{PATH}-new", 4, 0)):
        emulator.clear_requests()
        with fs.open(path, "ab") as file:
            file.write(b"new")
        count = emulator.count()
        # no attributes, which cost an update and a move; and the SHA-1 saves reading the object again
        assert (count["stat"], count["upload"], count.get("download", 0)) == (status, 1, downloads)
        assert not {"update", "move"} & count.keys()


def test_an_announced_size_is_that_of_the_new_bytes(small_fs, second):
    small_fs.pipe_file(PATH, b"old")
    with small_fs.open(PATH, "ab", size=3) as file:
        file.write(b"new")
    with pytest.raises(OSError, match="announced"), small_fs.open(PATH, "ab", size=3) as file:
        file.write(b"more")
    assert second.cat_file(PATH) == b"oldnew"


def test_attributes_stay(small_fs, protocol):
    # also a text that is the default of another attribute
    stored = {"biz_attr": "eInvalid"}
    if protocol == "cosv4":
        stored |= {"content_type": "text/x-mine", "metadata": {"who": "me"}, "authority": "eWPrivateRPublic"}
    small_fs.pipe_file(PATH, b"old", **stored)
    before = small_fs.attributes(PATH)
    with small_fs.open(PATH, "a") as file:
        file.write("new")
    assert small_fs.attributes(PATH) == before
    with small_fs.open(PATH, "ab", biz_attr="other") as file:
        file.write(b"!")
    assert small_fs.attributes(PATH) == {**before, "biz_attr": "other"}
    assert small_fs.cat_file(PATH) == b"oldnew!"


@pytest.mark.parametrize("size", [5, 700 * KIB])
@pytest.mark.parametrize("how", ["replaced", "replaced by its equal in size", "removed", "created"])
def test_no_change_by_others_is_lost(small_fs, second, how, size):
    others = b"by another" if how == "replaced" else bytes(size)
    if how != "created":
        small_fs.pipe_file(PATH, content_of(size))
    # with a size, large files are sent while they are written
    file = small_fs.open(PATH, "ab", size=3)
    file.write(b"new")
    second.rm(PATH) if how == "removed" else second.pipe_file(PATH, others)
    with pytest.raises(OSError, match="exist" if how == "created" else "changed or removed") as caught:
        file.close()
    assert caught.value.errno == (errno.EEXIST if how == "created" else errno.ESTALE)
    assert caught.value.filename == PATH
    assert second.exists(PATH) == (how != "removed")
    assert how == "removed" or second.cat_file(PATH) == others
    assert unfinished(second, f"{BUCKET}/dir") == []


def test_threads_that_append_lose_nothing_of_each_other(fs, emulator, second):
    """Each of them publishes on top of what the others have published, or nothing."""

    def append(number):
        told = []
        for item in (b"<%d.%d>" % (number, turn) for turn in range(3)):
            barrier.wait()
            with suppress(OSError):
                with instances[number % 2].open(PATH, "ab") as file:
                    file.write(item)
                told.append(item)
        return told

    fs.pipe_file(PATH, b"")
    instances = (fs, type(fs)(**emulator.storage_options, use_listings_cache=False))
    barrier = threading.Barrier(4, timeout=30)
    with ThreadPoolExecutor(4) as threads:
        appended = sorted(chain.from_iterable(threads.map(append, range(4))))
    assert appended
    assert sorted(second.cat_file(PATH).replace(b"><", b"> <").split()) == appended


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("dialect", [Dialect(slice_sha="absent", missing_mtime=True)])
def test_a_change_is_noticed_where_the_status_does_not_show_it(emulator, second):
    options = {"checksum": False, "slice_size": 512 * KIB, "single_upload_limit": 512 * KIB}
    fs = CosV4FileSystem(**emulator.storage_options, **options)
    other = CosV4FileSystem(**elsewhere(emulator.storage_options), **options)
    fs.pipe_file(PATH, content_of(700 * KIB))
    assert fs.info(PATH)["sha"] is None
    with pytest.raises(OSError, match="changed or removed"), fs.open(PATH, "ab") as file:
        file.write(b"more")
        other.pipe_file(PATH, bytes(700 * KIB))
    assert second.cat_file(PATH) == bytes(700 * KIB)
    with fs.open(PATH, "ab") as file:
        file.write(b"more")
    assert second.cat_file(PATH) == bytes(700 * KIB) + b"more"


def test_a_change_before_the_commit_is_noticed_too(small_fs, second):
    small_fs.pipe_file(PATH, b"old")
    with pytest.raises(OSError, match="changed or removed"), small_fs.transaction:
        with small_fs.open(PATH, "ab") as file:
            file.write(b"new")
        assert second.cat_file(PATH) == b"old"
        second.pipe_file(PATH, b"by another")
    assert second.cat_file(PATH) == b"by another"
    with small_fs.transaction, small_fs.open(PATH, "ab") as file:
        file.write(b" and me")
    assert second.cat_file(PATH) == b"by another and me"


def test_bytes_go_to_the_end_that_truncate_sets(small_fs):
    small_fs.pipe_file(PATH, b"12345")
    with small_fs.open(PATH, "ab") as file:
        assert file.truncate(3) == 3
        file.write(b"new")
    assert small_fs.cat_file(PATH) == b"123new"


def test_a_failure_leaves_the_old_object(small_fs, second):
    small_fs.pipe_file(PATH, b"old")
    with pytest.raises(LookupError), small_fs.open(PATH, "ab") as file:
        file.write(b"new")
        raise LookupError
    assert second.cat_file(PATH) == b"old"


def test_what_cannot_be_continued(small_fs, emulator, monkeypatch, downloads):
    small_fs.pipe_file(PATH, b"12345")
    monkeypatch.setattr(appending, "APPEND_LIMIT", 4)
    emulator.clear_requests()
    with pytest.raises(OSError, match=r"5 bytes, and at most 4.*another object") as caught:
        small_fs.open(PATH, "ab")
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, PATH)
    assert emulator.count().get(downloads, 0) == 0
    with pytest.raises(IsADirectoryError):
        small_fs.open(f"{BUCKET}/dir", "ab")
    for mode, options in (("r+b", {}), ("a+b", {}), ("ab", {"compression": "zip"})):
        with pytest.raises(NotImplementedError, match="is not supported"):
            small_fs.open(PATH, mode, **options)
    assert small_fs.cat_file(PATH) == b"12345"


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz"])
def test_text_has_no_second_byte_order_mark(fs, encoding, compression):
    for line in ("né\n", "zwei\n", "三\n"):
        with fs.open(PATH, "a", encoding=encoding, compression=compression) as file:
            file.write(line)
    with fs.open(PATH, compression=compression) as file:
        assert file.read() == "né\nzwei\n三\n".encode(encoding)


def test_archives_behind_something_else(fs):
    fs.pipe_file(PATH, b"#! /bin/sh\n")
    with fs.open(PATH, "ab") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", b"content")
    assert fs.cat_file(PATH).startswith(b"#! /bin/sh\n")
    with fs.open(PATH) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.read("x") == b"content"


def test_rows_and_records(fs):
    for row in (["a", "b"], ["1", "2"]):
        with fs.open(PATH, "a", newline="") as file:
            csv.writer(file).writerow(row)
    assert fs.cat_file(PATH) == b"a,b\r\n1,2\r\n"
    handler = logging.StreamHandler(fs.open(PATH, "a"))
    handler.emit(logging.makeLogRecord({"msg": "said"}))
    handler.stream.close()
    assert fs.cat_file(PATH).endswith(b"2\r\nsaid\n")
