"""Arguments and options: invalid ones are refused before anything is sent."""

from pathlib import Path

import numpy as np
import pytest

from cosv4fs import CosV4FileSystem
from tests.filesystem.conftest import EVERY

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"mode": "q"}, ValueError),
        ({"mode": None}, ValueError),
        ({"mode": "rw"}, ValueError),
        ({"mode": "wb", "size": "5"}, TypeError),
        ({"mode": "wb", "size": -1}, ValueError),
        ({"block_size": "1MB"}, TypeError),
        ({"block_size": -3}, ValueError),
        ({"cache_type": "bogus"}, ValueError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_invalid_arguments_of_open(fs, emulator, options, kind):
    fs.pipe_file(PATH, b"x")
    emulator.clear_requests()
    with pytest.raises(kind, match="|".join(options)):
        fs.open(PATH, **options)
    assert emulator.count() == {}


def test_a_wrong_size_is_not_a_replaced_object(fs):
    fs.pipe_file(PATH, b"0123456789")
    with pytest.raises(OSError, match="has 10 bytes, not the announced 5"), fs.open(PATH, size=5) as file:
        file.read()


@pytest.mark.parametrize(
    "wrong",
    [
        {"proxies": ["x"]},
        {"proxies": "http://u:p@h"},
        {"verify": ["a"]},
        {"read_timeout": float("nan")},
        {"max_concurrency": True},
        {"region": "evil.example/"},
        {"endpoint": "http://user:password@127.0.0.1:1"},
    ],
)
def test_invalid_options(emulator, wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as caught:
        CosV4FileSystem(**{**emulator.storage_options, **wrong})
    assert "password@" not in str(caught.value)


def test_little_things(fs, emulator):
    assert fs.cat_ranges([], [], [], max_gap=5) == []
    fs.pipe_file(PATH, b"0123456789")
    with pytest.raises(ValueError, match="on_error"):
        fs.cat_ranges([PATH], 0, 1, on_error="omit")
    emulator.clear_requests()
    fs.setxattrs(PATH)
    assert emulator.count() == {"stat": 1}
    with pytest.raises(FileNotFoundError):
        fs.attributes("")
    options = emulator.storage_options
    account = [options[name] for name in ("appid", "secret_id", "secret_key", "region", "endpoint")]
    described = CosV4FileSystem(*account).to_dict(include_password=False)
    assert [described[name] for name in ("args", "appid", "region", "endpoint")] == [[], account[0], *account[3:]]


class Five:
    """An integer of another library."""

    def __index__(self):
        return 5


@pytest.mark.protocol(*EVERY)
def test_integers_of_any_kind(fs):
    data = bytes(range(100))
    fs.pipe_file(PATH, data)
    for two in (2, np.int64(2), np.uint8(2), np.array(2)):
        assert fs.cat_file(PATH, two, Five()) == data[2:5]
        assert fs.cat_ranges([PATH], two, Five(), max_gap=two) == [data[2:5]]
        assert fs.head(PATH, two) == data[:2]
        assert fs.tail(PATH, two) == data[-2:]
        assert fs.read_block(PATH, two, np.int64(5)) == data[2:7]
        assert fs.cat([PATH, PATH], start=-int(two)) == {PATH: data[-2:]}
        with fs.open(PATH, block_size=two, size=np.int32(100)) as file:
            assert file.read(Five()) == data[:5]
    for starts, ends in (((0, 5), [2, None]), (np.array([0, 5]), (np.int8(2), None)), (range(0, 10, 5), [2, 100])):
        for names in ([PATH] * 2, (PATH, PATH), np.array([PATH] * 2)):
            assert fs.cat_ranges(names, starts, ends) == [data[0:2], data[5:]]
    merged = fs.cat_ranges((PATH, PATH), np.array([0, 50]), np.array([2, 52]), max_gap=np.int64(100))
    assert merged == [data[:2], data[50:52]]
    assert (fs.head(PATH, -1), fs.tail(PATH, -1), fs.tail(PATH, 0)) == (data, b"", b"")


MISUSE = {
    "a float": lambda fs, on_error: fs.cat_ranges([PATH], 0.0, 5, on_error=on_error),
    "an array of floats": lambda fs, on_error: fs.cat_ranges([PATH], np.array([0.0]), 5, on_error=on_error),
    "a text": lambda fs, on_error: fs.cat_ranges([PATH], "0", 5, on_error=on_error),
    "a truth value": lambda fs, on_error: fs.cat_ranges([PATH], [False], 5, on_error=on_error),
    "too few": lambda fs, on_error: fs.cat_ranges([PATH, PATH], [1], [2, 3], on_error=on_error),
    "too many": lambda fs, on_error: fs.cat_ranges([PATH], [1], np.array([2, 3]), on_error=on_error),
    "one path": lambda fs, on_error: fs.cat_ranges(PATH, 0, 5, on_error=on_error),
    "one path object": lambda fs, on_error: fs.cat_ranges(Path(PATH), 0, 5, on_error=on_error),
    "no path": lambda fs, on_error: fs.cat_ranges([PATH, None], 0, 5, on_error=on_error),
    "a gap": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, max_gap=1.5, on_error=on_error),
    "a negative gap": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, max_gap=-1, on_error=on_error),
    "an unknown keyword": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, on_eror=on_error),
    "cat: a float": lambda fs, on_error: fs.cat([PATH, PATH + "2"], start=1.0, on_error=on_error),
    "cat: an unknown keyword": lambda fs, on_error: fs.cat([PATH, PATH + "2"], strat=1, on_error=on_error),
    "cat: nothing to read": lambda fs, on_error: fs.cat([PATH], on_error="ignore"),
    "head": lambda fs, on_error: fs.head(PATH, 1.0),
    "tail": lambda fs, on_error: fs.tail(PATH, "1"),
    "cat_file": lambda fs, on_error: fs.cat_file(PATH, 0, 1.0),
    "open": lambda fs, on_error: fs.open(PATH, block_size=1.0),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_never_a_result(fs, emulator, case):
    for on_error in ("return", "omit" if "cat:" in case else "return"):
        with pytest.raises((TypeError, ValueError)):
            MISUSE[case](fs, on_error)
    assert "download" not in emulator.count()
