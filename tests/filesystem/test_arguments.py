"""Arguments and options: invalid ones are refused before anything is sent."""

import pytest

from cosv4fs import CosV4FileSystem

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
    assert fs.cat_ranges([PATH, PATH], (0, 5), (2, 7)) == [b"01", b"56"]
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
