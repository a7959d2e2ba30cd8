"""What was written is seen at once by who wrote it, and by others when they ask anew."""

import pytest

from tests.matrix.ways import BUCKET, CREATING, WAYS
from tests.support import MIB, content

OWN = {name: WAYS[name] for name in ("pipe file", "pipe", "put file", "put", "open", "open sized", "open by URL")}
"""The ways that write with the options of the fixture `fs`; others have caches of their own."""

BASE = f"{BUCKET}/dir"
PATH = f"{BASE}/object"


def warm(fs):
    """Fill the cache with everything that it can hold."""
    fs.ls(BUCKET)
    fs.ls(BASE)
    fs.find(BUCKET)
    fs.exists(PATH)
    fs.isdir(PATH)
    fs.isdir(BASE)


def sees(fs, path, size):
    """Every question about a file has the same answer."""
    assert fs.exists(path)
    assert fs.isfile(path)
    assert not fs.isdir(path)
    assert fs.info(path)["size"] == fs.size(path) == size
    folder = path.rpartition("/")[0]
    assert {info["name"]: info["size"] for info in fs.ls(folder)}[path] == size
    assert path in fs.find(BUCKET)
    assert path in fs.glob(f"{folder}/*")


def misses(fs, path):
    """Every question about what is not there has the same answer."""
    assert not fs.exists(path)
    assert not fs.isfile(path)
    assert not fs.isdir(path)
    folder = path.rpartition("/")[0]
    assert not fs.exists(folder) or path not in fs.ls(folder, detail=False)
    assert path not in fs.find(BUCKET)
    with pytest.raises(FileNotFoundError):
        fs.info(path)
    with pytest.raises(FileNotFoundError):
        fs.cat_file(path)


@pytest.mark.parametrize("way", list(OWN))
def test_the_writer_sees_what_it_wrote(bench, fs, second, kept, way):
    for size in (0, 1000, MIB + 7, 1):
        data = content(size, seed=size)
        warm(fs)
        OWN[way](bench, PATH, data)
        for instance in (fs, second):
            sees(instance, PATH, size)
            assert instance.cat_file(PATH) == data


@pytest.mark.parametrize("way", [way for way in CREATING if way in OWN])
def test_who_creates_sees_it(bench, fs, kept, way):
    warm(fs)
    CREATING[way](bench, PATH, b"new")
    sees(fs, PATH, 3)


def test_removing_copying_moving(fs, second, kept):
    fs.pipe_file(PATH, b"12345")
    warm(fs)
    fs.cp_file(PATH, f"{BASE}/new/copy")
    sees(fs, f"{BASE}/new/copy", 5)
    warm(fs)
    fs.mv(PATH, f"{BASE}/moved")
    misses(fs, PATH)
    sees(fs, f"{BASE}/moved", 5)
    warm(fs)
    fs.rm_file(f"{BASE}/moved")
    misses(fs, f"{BASE}/moved")
    warm(fs)
    fs.rm(f"{BASE}/new", recursive=True)
    misses(fs, f"{BASE}/new/copy")
    misses(fs, f"{BASE}/new")
    misses(second, f"{BASE}/new")


def test_directories(fs, second, kept):
    warm(fs)
    fs.makedirs(f"{BASE}/one/two")
    for instance in (fs, second):
        assert instance.isdir(f"{BASE}/one/two")
        assert instance.ls(f"{BASE}/one", detail=False) == [f"{BASE}/one/two"]
        assert instance.ls(f"{BASE}/one/two") == []
    warm(fs)
    fs.rmdir(f"{BASE}/one/two")
    misses(fs, f"{BASE}/one/two")


@pytest.mark.parametrize("size", [10, MIB + 7])
def test_what_another_writes_is_seen_when_asked_anew(fs, second, kept, size):
    warm(fs)
    second.pipe_file(PATH, content(size))
    assert fs.info(PATH, refresh=True)["size"] == size
    sees(fs, PATH, size)
    # contents are never cached
    second.pipe_file(PATH, content(size + 1))
    assert fs.cat_file(PATH) == content(size + 1)
    fs.ls(BASE, refresh=True)
    sees(fs, PATH, size + 1)
    second.rm_file(PATH)
    fs.invalidate_cache(BASE)
    misses(fs, PATH)


def test_keys_change_with_contents(fs, kept):
    keys = set()
    for data in (b"one", b"three", content(MIB + 7), content(MIB + 8)):
        fs.pipe_file(PATH, data)
        keys |= {fs.ukey(PATH), fs.checksum(PATH)}
        assert fs.ukey(PATH) in keys
    assert len(keys) == 8
