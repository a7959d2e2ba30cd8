"""Listings of several pages, and everything that is made of listings."""

import os
import shutil

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.matrix.ways import BUCKET
from tests.support import MIB

MANY = 1020
NESTED = {
    f"{BUCKET}/nest/{year}/{month}/{day}.csv": b"x" * month
    for year in (2001, 2002, 2010)
    for month in (1, 2, 3)
    for day in (1, 2)
}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The folder of a service: ``many`` has `MANY` entries, 20 of them directories, and ``nest`` holds `NESTED`."""
    root = tmp_path_factory.mktemp("library")
    with Emulator(root, buckets=(BUCKET, "other")) as emulator:
        fs = fsspec.filesystem("cosv4", **emulator.storage_options)
        fs.pipe({f"{BUCKET}/many/{number:04}": b"" for number in range(MANY - 20)})
        fs.pool.map(fs.mkdir, [f"{BUCKET}/many/folder{number:02}" for number in range(20)])
        fs.pipe(NESTED)
        fs.mkdir(f"{BUCKET}/nest/empty")
        # unfinished uploads are no entries
        fs.client.upload_slice_init(BUCKET, "/many/0500half", filesize=10, slice_size=MIB)
    return root


@pytest.fixture(scope="module")
def emulator(library, protocol, dialect, tmp_path_factory):
    """A service on a copy of the library, for all tests of a protocol and a dialect here.

    Contents never change in place, so links will do.
    """
    root = tmp_path_factory.mktemp("listing") / "service"
    shutil.copytree(library, root, copy_function=lambda a, b: os.link(a, b) if "blobs" in a else shutil.copy(a, b))
    with Emulator(root, buckets=(BUCKET, "other"), dialect=dialect) as running:
        # what expires has expired
        running.clock_offset = 120.0 if dialect.session_ttl else 0.0
        yield running


NAMES = sorted([f"{number:04}" for number in range(MANY - 20)] + [f"folder{number:02}" for number in range(20)])


@pytest.mark.parametrize("page_size", [1000, 999, 250, 199, 100])
def test_many_entries(bench, page_size):
    fs = bench.fs(page_size=page_size)
    for _ in range(3):
        # what was learnt of the service's pages changes how the next listing ends
        infos = fs.ls(f"{BUCKET}/many", refresh=True)
        assert [info["name"].rpartition("/")[2] for info in infos] == NAMES
        assert sum(info["type"] == "directory" for info in infos) == 20


@pytest.mark.parametrize("count", [0, 1, 2, 99, 100, 101, 198, 199, 200, 201])
def test_directories_around_the_size_of_a_page(bench, count):
    fs = bench.fs(page_size=100)
    page = f"{BUCKET}/page{count}"
    fs.makedirs(page)
    names = [f"{page}/{number:03}" for number in range(count)]
    fs.pipe(dict.fromkeys(names, b""))
    for _ in range(3):
        assert fs.ls(page, detail=False, refresh=True) == names
        fs.invalidate_cache()
        # asks for a first page only
        assert fs.isdir(page)
        assert fs.find(page) == names
        fs.invalidate_cache()


def test_find_and_du(fs, second):
    for instance in (fs, second):
        assert len(instance.find(f"{BUCKET}/many")) == MANY - 20
        assert set(NESTED) < set(instance.find(BUCKET))
        assert instance.find(f"{BUCKET}/nest") == sorted(NESTED)
        assert instance.find(f"{BUCKET}/nest", maxdepth=2) == []
        folders = set(instance.find(f"{BUCKET}/nest", maxdepth=2, withdirs=True))
        assert {f"{BUCKET}/nest/empty", f"{BUCKET}/nest/2001", f"{BUCKET}/nest/2001/1"} <= folders
        assert instance.du(f"{BUCKET}/nest") == sum(map(len, NESTED.values()))
        assert instance.du(f"{BUCKET}/nest", total=False) == {name: len(data) for name, data in NESTED.items()}


def test_walk(fs):
    found = {path: (sorted(folders), sorted(files)) for path, folders, files in fs.walk(f"{BUCKET}/nest")}
    assert found[f"{BUCKET}/nest"] == (["2001", "2002", "2010", "empty"], [])
    assert found[f"{BUCKET}/nest/2002/3"] == ([], ["1.csv", "2.csv"])
    assert len(found) == 1 + 1 + 3 + 9
    _, folders, files = next(fs.walk(f"{BUCKET}/many"))
    assert (len(folders), len(files)) == (20, MANY - 20)


def test_glob(fs, second):
    for instance in (fs, second):
        assert instance.glob(f"{BUCKET}/nest/200*/1/*.csv") == [
            f"{BUCKET}/nest/{year}/1/{day}.csv" for year in (2001, 2002) for day in (1, 2)
        ]
        assert instance.glob(f"{BUCKET}/nest/**/2.csv") == sorted(name for name in NESTED if name.endswith("/2.csv"))
        assert instance.glob(f"{BUCKET}/many/0?99") == [f"{BUCKET}/many/0{digit}99" for digit in range(10)]
        assert instance.glob(f"{BUCKET}/many/folder0*/") == [f"{BUCKET}/many/folder0{digit}" for digit in range(10)]
        assert instance.glob(f"{BUCKET}/none/*") == []
        assert len(instance.glob(f"{BUCKET}/many/0*")) == 1000


def test_what_is_there(fs, second, dialect):
    for instance in (fs, second):
        assert instance.exists(f"{BUCKET}/many/0999")
        assert instance.isfile(f"{BUCKET}/many/0999")
        assert instance.isdir(f"{BUCKET}/many/folder19")
        assert not instance.isdir(f"{BUCKET}/many/0999")
        assert not instance.isfile(f"{BUCKET}/many")
        assert instance.isdir(BUCKET)
        for none in ("many/1000", "many/0500half", "man", "many/folder190", "none/none"):
            assert not instance.exists(f"{BUCKET}/{none}")
            assert not instance.isdir(f"{BUCKET}/{none}")
            assert not instance.isfile(f"{BUCKET}/{none}")
            with pytest.raises(FileNotFoundError):
                instance.ls(f"{BUCKET}/{none}")
        assert instance.ls(f"{BUCKET}/many/0001", detail=False) == [f"{BUCKET}/many/0001"]
        unfinished = [] if dialect.session_ttl else [f"{BUCKET}/many/0500half"]
        assert [upload["name"] for upload in instance.uploads(BUCKET)] == unfinished
