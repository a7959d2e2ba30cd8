"""What is kept beside the content: type, headers, permission, the free text, times."""

import datetime as dt

import pytest

from tests.matrix.ways import BUCKET, MIB, content

BASE = f"{BUCKET}/dir"
PATH = f"{BASE}/object"


def served(fs, path):
    """Return the Content-Type of a download."""
    bucket, _, key = path.partition("/")
    return fs.client.fetch(bucket, "/" + key, lambda length, _: memoryview(bytearray(length))).content_type


@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "transaction"])
def test_a_named_content_type_is_served(bench, fs, kept, way):
    options = {"content_type": "text/x-mine; charset=utf-8"}
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
        assert served(fs, PATH) == options["content_type"]
        assert fs.attributes(PATH)["custom_headers"]["Content-Type"] == options["content_type"]
        assert fs.cat_file(PATH) == data


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_a_guessed_content_type_is_sent_along(fs, kept, dialect, size):
    fs.pipe_file(f"{BASE}/t.csv", content(size))
    # it is told in a way that the service may ignore
    guess = "text/csv" if dialect.part_content_type == "keep" else "application/octet-stream"
    assert served(fs, f"{BASE}/t.csv") == guess


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_changing_one_leaves_the_others(fs, second, kept, size):
    fs.pipe_file(PATH, content(size))
    steps = [
        ({"biz_attr": "mine"}, {"biz_attr": "mine"}),
        ({"authority": "eWPrivateRPublic"}, {"authority": "eWPrivateRPublic"}),
        ({"custom_headers": {"Cache-Control": "no-store"}}, {"custom_headers": {"Cache-Control": "no-store"}}),
        (
            {"custom_headers": {"x-cos-meta-a": "1", "Content-Type": "text/x"}},
            {"custom_headers": {"Cache-Control": "no-store", "x-cos-meta-a": "1", "Content-Type": "text/x"}},
        ),
        ({"biz_attr": ""}, {"biz_attr": ""}),
    ]
    expected = fs.attributes(PATH)
    for change, result in steps:
        fs.update_attributes(PATH, **change)
        expected |= result
        assert second.attributes(PATH) == expected
    assert second.cat_file(PATH) == content(size)


@pytest.mark.parametrize("action", ["cp_file", "mv"])
def test_they_go_with_the_file(fs, second, kept, action):
    fs.pipe_file(PATH, b"x", content_type="text/x-mine")
    fs.update_attributes(PATH, biz_attr="mine")
    getattr(fs, action)(PATH, f"{BASE}/target")
    assert second.attributes(f"{BASE}/target")["biz_attr"] == "mine"
    assert served(second, f"{BASE}/target") == "text/x-mine"


@pytest.mark.parametrize("action", ["cp_file", "mv"])
def test_they_go_with_the_file_to_another_directory(fs, second, kept, action):
    fs.pipe_file(PATH, b"x", content_type="text/x-mine")
    fs.update_attributes(PATH, biz_attr="mine")
    getattr(fs, action)(PATH, f"{BUCKET}/elsewhere/target")
    assert second.attributes(f"{BUCKET}/elsewhere/target")["biz_attr"] == "mine"
    assert served(second, f"{BUCKET}/elsewhere/target") == "text/x-mine"


def test_directories(fs, second, kept):
    fs.mkdir(f"{BASE}/folder")
    fs.update_attributes(f"{BASE}/folder", biz_attr="mine")
    assert second.attributes(f"{BASE}/folder")["biz_attr"] == "mine"


def test_wrong_ones_are_refused(fs, kept):
    for wrong in ({"authority": "everybody"}, {"custom_headers": {"Set-Cookie": "x"}}):
        with pytest.raises(OSError) as caught:
            fs.update_attributes(f"{BASE}/bystander", **wrong)
        assert caught.value.filename == f"{BASE}/bystander"
    kept.check_alone()


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_times(fs, emulator, kept, size):
    before = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    fs.pipe_file(PATH, content(size))
    after = dt.datetime.now(dt.timezone.utc)
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
