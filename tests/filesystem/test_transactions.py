"""Transactions: all files are published at the end, or none."""

import os

import pytest

from tests.filesystem.conftest import EVERY, unfinished

PROTOCOLS = ("cosv4", "cosv3")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
KIB = 1024


@pytest.mark.protocol(*EVERY)
def test_transactions_publish_at_the_end_or_never(small_fs, second, protocol):
    replaces = protocol != "cdcs"
    names = [f"{BUCKET}/dir/{name}" for name in ("small", "large")]
    sizes = [10, 1500 * KIB]
    contents = dict(zip(names, map(os.urandom, sizes), strict=True))
    old = {names[0]: b"old"} if replaces else {}
    small_fs.pipe(old)
    with small_fs.transaction:
        for name in names:
            with small_fs.open(name, "wb") as file:
                file.write(contents[name])
        assert {name: second.cat_file(name) for name in second.find(BUCKET)} == old
    assert {name: second.cat_file(name) for name in second.find(BUCKET)} == contents
    with pytest.raises(ZeroDivisionError), small_fs.transaction:
        for name in names:
            with small_fs.open(name if replaces else f"{name}2", "wb") as file:
                file.write(contents[name][::-1])
        raise ZeroDivisionError
    assert {name: second.cat_file(name) for name in second.find(BUCKET)} == contents
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol(*EVERY)
def test_a_text_that_was_not_closed_is_whole(fs, second):
    with fs.transaction:
        file = fs.open(PATH, "w")
        file.write("hello world")
    assert second.cat_file(PATH) == b"hello world"
    assert file.closed


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_compressed_file_that_was_not_closed_is_whole(fs, second, mode):
    text = b"hello " * 100 if mode == "wb" else "hello " * 100
    with fs.transaction:
        file = fs.open(f"{PATH}.gz", mode, compression="gzip")
        file.write(text)
    with second.open(f"{PATH}.gz", mode.replace("w", "r"), compression="gzip") as found:
        assert found.read() == text


def test_moves_between_buckets_do_not_wait_for_a_transaction(fs, second):
    fs.pipe_file(f"{BUCKET}/source", b"precious")
    with pytest.raises(ZeroDivisionError), fs.transaction:
        fs.mv(f"{BUCKET}/source", "other/target")
        raise ZeroDivisionError
    assert second.cat_file("other/target") == b"precious"


def test_a_failed_open_leaves_nothing_for_a_transaction(fs, second):
    second.pipe_file(PATH, b"old")
    with fs.transaction, pytest.raises(ValueError, match="bogus"):
        fs.open(PATH, "wb", compression="bogus")
    assert second.cat_file(PATH) == b"old"
