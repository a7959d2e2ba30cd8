"""Objects of unknown size: streamed where the server allows it, spooled where it does not, right in both cases."""

import os

import fsspec
import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import HttpError, Refuse

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
KIB = 1024
CONTENT = os.urandom(3000 * KIB + 5)


def streamer(emulator, **options):
    sizes = {"slice_size": 512 * KIB, "single_upload_limit": 512 * KIB, "spool_memory": 1024 * KIB}
    return fsspec.filesystem("cosv4", **{**emulator.storage_options, **sizes, **options})


def write(fs, content=CONTENT, path=PATH, mode="wb"):
    with fs.open(path, mode) as file:
        for start in range(0, len(content), 300_000):
            file.write(content[start : start + 300_000])


def sent_before_the_end(fs, emulator):
    emulator.clear_requests()
    with fs.open(PATH, "wb") as file:
        for start in range(0, 2800 * KIB, 100 * KIB):
            file.write(CONTENT[start : start + 100 * KIB])
        early = emulator.count().get("upload_slice_data", 0)
        file.write(CONTENT[2800 * KIB :])
    return early


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("mode", ["auto", "never", "always"])
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(finish_size="any")])
def test_content_is_right_or_refused(emulator, second, dialect, mode, old):
    fs = streamer(emulator, streaming=mode)
    if old is not None:
        second.pipe_file(PATH, old)
    if mode == "always" and dialect.finish_size == "declared":
        with pytest.raises(OSError):
            write(fs)
        assert second.exists(PATH) is (old is not None)
    else:
        write(fs)
        assert second.cat_file(PATH) == CONTENT
    assert fs.uploads(BUCKET) == []
    assert [name.rpartition("/")[2] for name in second.find(BUCKET)] in (["object"], [])


@pytest.mark.parametrize(
    ("block_size", "slices"), [(None, 1), (1000, 6), (512 * KIB, 6), (1500 * KIB, 3), (3072 * KIB, 1), (10**12, 1)]
)
def test_the_slice_size_is_the_largest_valid_one_up_to_the_block_size(emulator, second, block_size, slices):
    fs = streamer(emulator, slice_size=3072 * KIB)
    with fs.open(PATH, "wb", block_size=block_size, size=len(CONTENT)) as file:
        file.write(CONTENT)
    assert emulator.count()["upload_slice_data"] == slices
    assert second.cat_file(PATH) == CONTENT


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(finish_size="any")])
def test_slices_travel_while_writing_where_they_can(emulator, second, dialect):
    # a window of one: a slice is only handed over when the one before has arrived
    fs = streamer(emulator, max_concurrency=1)
    early = sent_before_the_end(fs, emulator)
    assert second.cat_file(PATH) == CONTENT
    if dialect.finish_size == "any":
        assert early >= 4
    else:
        # the probe's own slice
        assert early == 1


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(finish_size="any")])
def test_the_bucket_is_asked_once(emulator, dialect):
    fs = streamer(emulator)
    write(fs)
    emulator.clear_requests()
    write(fs, path=f"{BUCKET}/new")
    slices = -(-len(CONTENT) // (512 * KIB))
    assert emulator.count()["upload_slice_data"] == slices
    # the beginning, the end, a look at what was stored, and the move
    assert sum(emulator.count().values()) == slices + 4


def test_a_passing_failure_is_not_an_answer(emulator, second):
    fs = streamer(emulator, max_retries=0)
    emulator.faults.add(op="upload_slice_init", times=1, action=HttpError(500))
    write(fs)
    assert second.cat_file(PATH) == CONTENT
    assert sent_before_the_end(fs, emulator) == 1


@pytest.mark.parametrize("dialect", [Dialect(finish_size="any")])
def test_create_exception_and_directory(emulator, second):
    fs = streamer(emulator)
    write(fs, mode="xb")
    with pytest.raises(FileExistsError):
        fs.open(PATH, "xb")
    file = fs.open(PATH + "2", "xb")
    file.write(CONTENT)
    second.pipe_file(PATH + "2", b"faster")
    with pytest.raises(FileExistsError):
        file.close()
    assert second.cat_file(PATH + "2") == b"faster"
    # that says nothing about sizes
    assert fs.client.quirks.finish_size == {BUCKET: "any"}
    with pytest.raises(ZeroDivisionError), fs.open(PATH, "wb") as file:
        file.write(CONTENT)
        raise ZeroDivisionError
    assert second.cat_file(PATH) == CONTENT
    second.mkdir(PATH + "3")
    with pytest.raises(IsADirectoryError):
        write(fs, path=PATH + "3")
    assert fs.uploads(BUCKET) == []


@pytest.mark.parametrize("dialect", [Dialect(finish_size="any"), Dialect(finish_size="any", slice_size=1024 * KIB)])
def test_transactions_stream_too(emulator, second):
    fs = streamer(emulator)
    with fs.transaction:
        write(fs)
        assert not second.exists(PATH)
    assert second.cat_file(PATH) == CONTENT


@pytest.mark.parametrize("dialect", [Dialect(finish_size="any")])
def test_what_the_server_stored_is_compared(emulator, second, monkeypatch):
    fs = streamer(emulator)
    write(fs)
    original = fs.client.upload_slice_data

    def damaged(bucket, key, session, offset, view, **options):
        sent = memoryview(bytes(sum(map(len, view)))) if offset else view
        return original(bucket, key, session, offset, sent, **options)

    monkeypatch.setattr(fs.client, "upload_slice_data", damaged)
    with pytest.raises(OSError, match="stored different content"):
        write(fs, CONTENT[::-1])
    assert second.cat_file(PATH) == CONTENT
    monkeypatch.undo()
    assert sent_before_the_end(fs, emulator) == 0


def test_refused_credentials_are_no_answer_either(emulator):
    fs = streamer(emulator)
    emulator.faults.add(times=1000, action=Refuse(-97))
    with pytest.raises(PermissionError):
        write(fs)
