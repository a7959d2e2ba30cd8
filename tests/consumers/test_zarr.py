"""zarr 3, which is asynchronous: a synchronous filesystem goes into its stores inside fsspec's wrapper."""

from pathlib import Path

import pytest
from packaging.version import Version

from tests.consumers.registry import Tool, consumer
from tests.processes import run_module

SUITES = Path(__file__).with_name("suites")

np = Tool("numpy")
zarr = Tool("zarr", "3")
storage = Tool("zarr.storage", None)
wrapper = Tool("fsspec.implementations.asyn_wrapper")


@pytest.fixture
def data():
    return np.arange(64 * 64, dtype="int32").reshape(64, 64)


def check(group, data):
    """Read and change an array of a group."""
    array = group["a"]
    assert (array[:] == data).all()
    assert array[10:20, 3].tolist() == data[10:20, 3].tolist()
    array[:8, :8] = -1
    assert (array[:9, :9] == -1).sum() == 64
    assert array.attrs["unit"] == "m"


def fill(group, data):
    array = group.create_array("a", shape=data.shape, chunks=(16, 16), dtype=data.dtype, attributes={"unit": "m"})
    array[:] = data


@consumer("zarr", '`open_group("cosv4://…", storage_options=)`')
def test_by_url(fs, url, options, data):
    fill(zarr.open_group(f"{url}/z", mode="w", storage_options=options), data)
    assert fs.isfile("lab/z/zarr.json")
    assert len(fs.find("lab/z/a/c")) == 16
    check(zarr.open_group(f"{url}/z", storage_options=options), data)


@consumer("zarr", '`open_group("cosv4://bucket", mode="w")`: the bucket itself')
def test_at_the_root_of_a_bucket(fs, url, options, data):
    for _ in range(2):
        fill(zarr.open_group(url, mode="w", storage_options=options), data)
        check(zarr.open_group(url, storage_options=options), data)
    zarr.open_group(url, mode="w", storage_options=options)
    assert fs.find("lab") == ["lab/zarr.json"]


@consumer("zarr", "`FsspecStore.from_url`, `from_mapper`, `FsspecStore(AsyncFileSystemWrapper(fs, asynchronous=True))`")
@pytest.mark.parametrize("way", ["from_url", "from_mapper", "wrapped"])
def test_stores(fs, url, options, data, way):
    if way == "from_url":
        store = storage.FsspecStore.from_url(f"{url}/z", storage_options=options)
    elif way == "from_mapper":
        store = storage.FsspecStore.from_mapper(fs.get_mapper("lab/z"))
    else:
        store = storage.FsspecStore(wrapper.AsyncFileSystemWrapper(fs, asynchronous=True), path="lab/z")
    fill(zarr.create_group(store, overwrite=True), data)
    check(zarr.open_group(store, mode="r+"), data)
    assert sorted(zarr.open_group(store, mode="r").array_keys()) == ["a"]
    zarr.open_group(store, mode="w")
    assert fs.find("lab/z") == ["lab/z/zarr.json"]


@consumer("zarr", "a filesystem made with `asynchronous=True`, as zarr asks for one")
def test_asynchronous(url, options, data):
    import fsspec

    given = fsspec.filesystem("cosv4", asynchronous=True, **options)
    fill(zarr.create_group(given.get_mapper("lab/z")), data)
    check(zarr.open_group(fsspec.filesystem("cosv4", **options).get_mapper("lab/z"), mode="r+"), data)


@consumer("zarr", "`fs.get_mapper(…)` as a store; format 2; consolidated metadata; shards; missing chunks")
def test_layouts(fs, data):
    fill(zarr.open_group(fs.get_mapper("lab/two"), mode="w", zarr_format=2), data)
    check(zarr.open_group(fs.get_mapper("lab/two"), zarr_format=2), data)
    zarr.consolidate_metadata(fs.get_mapper("lab/two"), zarr_format=2)
    assert zarr.open_consolidated(fs.get_mapper("lab/two"), zarr_format=2)["a"].shape == (64, 64)
    sharded = {"shape": data.shape, "chunks": (8, 8), "shards": (32, 32), "dtype": data.dtype, "fill_value": 7}
    array = zarr.create_array(fs.get_mapper("lab/shards"), **sharded)
    array[:32] = data[:32]
    assert len([name for name in fs.find("lab/shards") if "/c/" in name]) == 2
    again = zarr.open_array(fs.get_mapper("lab/shards"), mode="r")
    assert again[5:9, 30:40].tolist() == data[5:9, 30:40].tolist()
    assert (again[32:] == 7).all()


@consumer("zarr", "one request per chunk, to read and to write")
def test_requests(emulator, fs, url, options, data):
    fill(zarr.open_group(f"{url}/z", mode="w", storage_options=options), data)
    assert emulator.count()["upload"] <= 16 + 2 + 1
    array = zarr.open_array(f"{url}/z/a", mode="r", storage_options=options)
    fs.invalidate_cache()
    emulator.clear_requests()
    assert (array[:16] == data[:16]).all()
    assert emulator.count() == {"download": 4}


@consumer(
    "zarr", "`FsspecStore(fs)`",
    impossible="it takes asynchronous filesystems only; the URL, `fs.get_mapper(…)` or the wrapper above",
)  # fmt: skip
def test_bare_store(fs):
    with pytest.raises(TypeError, match="needs to support async"):
        storage.FsspecStore(fs, path="lab/z")


@consumer("zarr", "`FsspecStore.from_upath(…)` (from 3.4 on)")
@pytest.mark.filterwarnings("ignore:UPath:UserWarning")
def test_store_of_a_upath(url, options, data):
    path = Tool("upath").UPath(f"{url}/z", **options)
    if Version(zarr.__version__) < Version("3.4"):
        with pytest.raises(TypeError, match="needs to support async"):
            storage.FsspecStore.from_upath(path)
        return
    fill(zarr.create_group(storage.FsspecStore.from_upath(path)), data)
    check(zarr.open_group(f"{url}/z", storage_options=options), data)


@consumer("zarr", "zarr's own tests of stores and hierarchies (`zarr.testing`), in a bucket and in a directory")
def test_its_own_suite():
    zarr.__version__  # noqa: B018 - skips where zarr is not installed
    settings = ("-c", str(SUITES / "pytest.ini"), "--confcutdir", str(SUITES), "-q", "-p", "no:cacheprovider")
    run = run_module("pytest", *settings, str(SUITES / "zarr_store.py"), timeout=300)
    assert run.returncode == 0, run.stdout
