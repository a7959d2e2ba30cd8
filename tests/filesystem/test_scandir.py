"""Listings as streams: everything once, fresh, page by page, and nothing in the cache."""

import errno
from itertools import islice

import fsspec
import pytest

from cosv4fs.emulator import CofferDialect, Dialect
from cosv4fs.emulator.faults import Refuse
from tests.filesystem.conftest import BUCKET, EVERY

PROTOCOLS = EVERY
FILES = ("top", "a/one", "a/two", "a/b/three", "a-b/x", "a.b/x", "c/four.csv")
FOLDERS = {"a", "a/b", "a-b", "a.b", "c"}


@pytest.fixture
def tree(emulator, fs, second):
    second.pipe({f"{BUCKET}/{name}": name.encode() for name in FILES})
    return fsspec.filesystem(fs.protocol, **emulator.storage_options, page_size=2)


def below(folder):
    return [name for name in (*FILES, *sorted(FOLDERS)) if name.startswith(folder and f"{folder}/")]


@pytest.mark.parametrize("folder", ["", "a", "a/b", "a-b"])
def test_what_a_directory_holds(tree, folder):
    path, level = f"{BUCKET}/{folder}".rstrip("/"), folder.count("/") + bool(folder)
    direct, everything = list(tree.scandir(path)), list(tree.scandir(f"{tree.protocol}://{path}/", recursive=True))
    listed = {name: tree.info(name) for name in (f"{BUCKET}/{found}" for found in below(folder))}
    for found, depth in ((direct, level), (everything, 9)):
        expected = {name for name in below(folder) if name.count("/") <= depth}
        assert sorted(info["name"] for info in found) == sorted(f"{BUCKET}/{name}" for name in expected)
    # what ls tells, but for the type of content
    tree.invalidate_cache()
    assert sorted(direct, key=lambda info: info["name"]) == tree.ls(path)
    assert {info["name"]: info["type"] for info in everything} == {n: i["type"] for n, i in listed.items()}


def test_nothing_is_cached_or_from_the_cache(tree, second):
    tree.find(BUCKET)
    second.pipe_file(f"{BUCKET}/a/new", b"x")
    assert f"{BUCKET}/a/new" in {info["name"] for info in tree.scandir(BUCKET, recursive=True)}
    tree.invalidate_cache()
    for recursive in (False, True):
        list(tree.scandir(f"{BUCKET}/a", recursive=recursive))
        assert tree.namespace.cache.listing(f"{BUCKET}/a") is None
        assert tree.namespace.cache.info(f"{BUCKET}/a/one") is None


def test_pages_are_requested_when_they_are_needed(tree, emulator):
    emulator.clear_requests()
    found = tree.scandir(BUCKET)
    assert not emulator.requests
    assert len(list(islice(found, 2))) == 2
    asked = len(emulator.requests)
    assert len(list(found)) == 3
    assert len(emulator.requests) > asked


def test_what_is_no_directory(tree):
    for path, kind, code in (
        (f"{BUCKET}/top", NotADirectoryError, errno.ENOTDIR),
        (f"{BUCKET}/none", FileNotFoundError, errno.ENOENT),
        (f"{BUCKET}/top/x", FileNotFoundError, errno.ENOENT),
        ("none-1250000000", FileNotFoundError, errno.ENOENT),
    ):
        for recursive in (False, True):
            with pytest.raises(kind) as caught:
                next(tree.scandir(path, recursive=recursive))
            assert caught.value.errno == code
    assert list(tree.scandir("other" if tree.protocol != "cdcs" else BUCKET)) == [] or tree.protocol == "cdcs"


@pytest.mark.protocol("cosv4")
def test_some_servers_list_a_missing_directory_as_empty(tree, monkeypatch):
    monkeypatch.setattr(tree.client, "list", lambda *_: iter(()))
    assert list(tree.scandir(f"{BUCKET}/a")) == []
    with pytest.raises(FileNotFoundError):
        next(tree.scandir(f"{BUCKET}/none"))
    with pytest.raises(NotADirectoryError):
        next(tree.scandir(f"{BUCKET}/top"))


@pytest.mark.protocol("cosv4", "cosv3")
def test_unfinished_uploads_and_empty_directories(tree, wire):
    wire.leave(tree, "/a/half", 1024 * 1024, 512 * 1024)
    tree.mkdir(f"{BUCKET}/empty")
    assert f"{BUCKET}/a/half" not in {info["name"] for info in tree.scandir(f"{BUCKET}/a")}
    assert list(tree.scandir(f"{BUCKET}/empty")) == []
    with pytest.raises(NotImplementedError, match="list buckets"):
        next(tree.scandir(""))


@pytest.mark.protocol("cosv4")
def test_a_page_that_fails_is_an_error(tree, emulator):
    fault = emulator.faults.add(op="list", path="/a/b/", action=Refuse(-96), times=None)
    with pytest.raises(OSError):
        list(tree.scandir(BUCKET, recursive=True))
    assert fault.hits


@pytest.mark.protocol("cosv4")
def test_a_directory_removed_meanwhile_is_skipped(tree, second):
    found = tree.scandir(BUCKET, recursive=True)
    first = next(found)
    assert first["type"] == "directory"
    second.rm(f"{BUCKET}/a", recursive=True)
    assert {info["name"] for info in found} >= {f"{BUCKET}/a-b/x", f"{BUCKET}/top"}


@pytest.mark.protocol("cdcs")
class TestCoffers:
    @pytest.fixture
    def dialect(self):
        return CofferDialect(empty_objects="accept", listing_lag=100)

    def test_late_listings_hide_nothing_that_was_written_here(self, emulator):
        fs = fsspec.filesystem("cdcs", **emulator.storage_options, page_size=2)
        fs.pipe({f"{BUCKET}/{name}": b"1" for name in FILES[:4]})
        emulator.settle()
        fs.pipe({f"{BUCKET}/{name}": b"1" for name in (*FILES[4:], "zz")})
        found = [info["name"] for info in fs.scandir(BUCKET, recursive=True)]
        assert sorted(found) == sorted(f"{BUCKET}/{name}" for name in (*below(""), "zz"))

    def test_all_coffers_and_paths_that_are_both(self, emulator, second):
        second.pipe({f"{BUCKET}/r": b"1", f"{BUCKET}/r/x": b"2"})
        for key in ("/p//q", "/up/../v", "/full/"):
            second.client.put_object(BUCKET, key, memoryview(b"x"))
        emulator.settle()
        found = [(info["name"], info["type"]) for info in second.scandir("", recursive=True)]
        assert sorted(found) == [
            (BUCKET, "directory"), (f"{BUCKET}/full", "directory"), (f"{BUCKET}/p", "directory"),
            (f"{BUCKET}/r", "directory"), (f"{BUCKET}/r", "file"), (f"{BUCKET}/r/x", "file"),
            (f"{BUCKET}/up", "directory"),
        ]  # fmt: skip


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("dialect", [Dialect(listover="more"), Dialect(last_context="next", dir_slash=True)])
def test_variants(tree):
    assert len(list(tree.scandir(BUCKET, recursive=True))) == len(below(""))


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("dialect", [Dialect(context="position")])
def test_what_others_add_to_earlier_pages_doubles_nothing(tree, second):
    found = tree.scandir(BUCKET)
    first = next(found)
    # it moves the last entry of the first page to the second
    second.pipe_file(f"{BUCKET}/a-a", b"x")
    names = [first["name"], *(info["name"] for info in found)]
    assert len(names) == len(set(names))
    assert len(names) >= 5
