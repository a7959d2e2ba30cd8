"""What is kept beside the content: type, headers, permission, the free text, times."""

import datetime as dt

import pytest

from tests.matrix.ways import BUCKET
from tests.support import MIB, content

BASE = f"{BUCKET}/dir"
PATH = f"{BASE}/object"


def served(fs, path):
    """Return the Content-Type of a download."""
    bucket, _, key = path.partition("/")
    return fs.client.fetch(bucket, "/" + key, lambda length, _: memoryview(bytearray(length))).headers["Content-Type"]


@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "transaction"])
def test_attributes_are_stored_and_served(bench, fs, kept, way, protocol, dialect):
    options = {"content_type": "text/x-mine; charset=utf-8", "biz_attr": "mine"}
    if protocol == "cosv4":
        options |= {"cache_control": "no-store", "metadata": {"a": "1"}, "authority": "private"}
    for size in (0, MIB + 7, 10, MIB + 8):
        data = content(size)
        if way == "pipe file":
            fs.pipe_file(PATH, data, **options)
        elif way == "put file":
            fs.put_file(bench.local(data), PATH, **options)
        elif way == "transaction":
            with fs.transaction, fs.open(PATH, "wb", **options) as file:
                file.write(data)
        else:
            with fs.open(PATH, "wb", size=size if "sized" in way else None, **options) as file:
                file.write(data)
        # v3 is told with the bytes, or never: what it ignores then nobody can say again
        lost = protocol == "cosv3" and dialect.part_content_type == "ignore"
        assert served(fs, PATH) == ("application/octet-stream" if lost else options["content_type"])
        # v3's status shows no headers
        assert fs.attributes(PATH) == (options if protocol == "cosv4" else {"biz_attr": "mine"})
        assert fs.cat_file(PATH) == data


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_a_guessed_content_type_is_sent_along(fs, kept, dialect, size):
    fs.pipe_file(f"{BASE}/t.csv", content(size))
    # it is told in a way that the service may ignore
    guess = "text/csv" if dialect.part_content_type == "keep" else "application/octet-stream"
    assert served(fs, f"{BASE}/t.csv") == guess


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_changing_one_leaves_the_others(fs, second, kept, size, protocol):
    kept.put(PATH, content(size))
    steps = [
        ({"biz_attr": "mine"}, {"biz_attr": "mine"}),
        ({"authority": "public-read"}, {"authority": "public-read"}),
        ({"cache_control": "no-store"}, {"cache_control": "no-store"}),
        ({"a": "1", "content_type": "text/x"}, {"metadata": {"a": "1"}, "content_type": "text/x"}),
        ({"metadata": {"b": "2"}}, {"metadata": {"a": "1", "b": "2"}}),
        ({"biz_attr": ""}, {"biz_attr": ""}),
    ]
    expected = fs.attributes(PATH)
    for change, result in steps:
        if protocol == "cosv3" and change.keys() != {"biz_attr"}:
            # v3 documents no other attribute, and shows none
            with pytest.raises(NotImplementedError, match="biz_attr only"):
                fs.setxattrs(PATH, **change)
            continue
        fs.setxattrs(PATH, **change)
        expected |= result
        assert second.attributes(PATH) == expected
    assert second.cat_file(PATH) == content(size)


def kept_by(protocol, dialect):
    """Return the free text and the type that go with a file, whether the service copies it or this machine does."""
    lost = protocol == "cosv3" and dialect.part_content_type == "ignore"
    return "mine", "application/octet-stream" if lost else "text/x-mine"


@pytest.mark.parametrize("action", ["cp_file", "mv"])
def test_they_go_with_the_file(fs, second, kept, action, protocol, dialect):
    fs.pipe_file(PATH, b"x", content_type="text/x-mine")
    fs.setxattrs(PATH, biz_attr="mine")
    getattr(fs, action)(PATH, f"{BASE}/target")
    target = f"{BASE}/target"
    assert (second.attributes(target)["biz_attr"], served(second, target)) == kept_by(protocol, dialect)


@pytest.mark.parametrize("action", ["cp_file", "mv"])
def test_they_go_with_the_file_to_another_directory(fs, second, kept, action, protocol, dialect):
    fs.pipe_file(PATH, b"x", content_type="text/x-mine")
    fs.setxattrs(PATH, biz_attr="mine")
    target = f"{BUCKET}/elsewhere/target"
    getattr(fs, action)(PATH, target)
    assert (second.attributes(target)["biz_attr"], served(second, target)) == kept_by(protocol, dialect)


def test_directories(fs, second, kept):
    fs.mkdir(f"{BASE}/folder")
    fs.setxattrs(f"{BASE}/folder", biz_attr="mine")
    assert second.attributes(f"{BASE}/folder")["biz_attr"] == "mine"


def test_wrong_ones_are_refused(fs, kept):
    for wrong in ({"authority": "everybody"}, {"custom_headers": {"Set-Cookie": "x"}}):
        with pytest.raises(OSError) as caught:
            fs.client.update(BUCKET, "/dir/bystander", **wrong)
        assert caught.value.filename == f"{BASE}/bystander"
    kept.check_alone()


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_times(fs, emulator, dialect, kept, size):
    before = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    fs.pipe_file(PATH, content(size))
    after = dt.datetime.now(dt.timezone.utc)
    if dialect.missing_mtime:
        assert "mtime" not in fs.ls(PATH)[0]
        assert "mtime" not in fs.info(PATH)
        with pytest.raises(OSError, match="does not report when"):
            fs.modified(PATH)
        return
    for time in (fs.modified(PATH), fs.created(PATH)):
        assert before <= time <= after
    assert fs.ls(PATH)[0]["mtime"] == fs.info(PATH)["mtime"]
    emulator.clock_offset = 30
    fs.pipe_file(PATH, content(size))
    assert fs.modified(PATH) > after


def test_signed_urls(fs, kept):
    import urllib.request

    fs.pipe_file(PATH, b"for you")
    with urllib.request.urlopen(fs.sign(PATH), timeout=30) as reply:
        assert reply.read() == b"for you"
