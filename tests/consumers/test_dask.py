"""dask's collections, computed in this process; other processes are in `test_distributed`."""

import pytest

from tests.consumers.registry import Tool, consumer

dd = Tool("dask.dataframe")
db = Tool("dask.bag")
da = Tool("dask.array")
pd = Tool("pandas")

# what dask, pandas and their parts say of each other
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@consumer("dask", "dataframe: `read_csv` (8 files: 10 requests), `to_csv`")
def test_csv(url, options, frame, requests_of):
    dd.from_pandas(frame, npartitions=8).to_csv(f"{url}/d/*.csv", index=False, storage_options=options)
    read = lambda: dd.read_csv(f"{url}/d/*.csv", storage_options=options).compute(scheduler="threads")  # noqa: E731
    table, requests = requests_of(read)
    assert table["number"].tolist() == frame["number"].tolist()
    assert table["city"].tolist() == frame["city"].tolist()
    assert requests <= 10


@consumer("dask", "`read_csv(blocksize=)` of one large file")
def test_blocks(url, options, frame):
    frame.to_csv(f"{url}/t.csv", index=False, storage_options=options)
    table = dd.read_csv(f"{url}/t.csv", blocksize=10_000, storage_options=options)
    assert table.npartitions > 3
    assert table["value"].sum().compute(scheduler="threads") == frame["value"].sum()


@consumer("dask", "`read_parquet` (8 parts: 20 requests), `to_parquet` (10), `filters=`")
def test_parquet(url, options, frame, requests_of):
    table = dd.from_pandas(frame, npartitions=8)
    _, requests = requests_of(lambda: table.to_parquet(f"{url}/d", storage_options=options, overwrite=False))
    assert requests <= 9 + 1
    read, requests = requests_of(lambda: dd.read_parquet(f"{url}/d", storage_options=options).compute())
    # dask turns text into another type of text
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)
    assert requests <= 20
    few = dd.read_parquet(f"{url}/d", storage_options=options, columns=["number"], filters=[("number", ">", 3500)])
    assert few.compute()["number"].tolist() == frame["number"].tolist()[3501:]
    assert len(dd.read_parquet(f"{url}/d", storage_options=options)) == len(frame)


@consumer("dask", "`to_parquet(overwrite=True, partition_on=)`, `append=True`")
def test_parquet_again(url, options, frame):
    table = dd.from_pandas(frame, npartitions=2)
    for _ in range(2):
        table.to_parquet(f"{url}/d", storage_options=options, overwrite=True, partition_on=["city"])
    more = dd.from_pandas(frame.set_index(frame.index + len(frame)), npartitions=1)
    more.to_parquet(f"{url}/d", storage_options=options, append=True, partition_on=["city"], ignore_divisions=True)
    counts = dd.read_parquet(f"{url}/d", storage_options=options).groupby("city", observed=True)["number"].count()
    assert counts.compute().to_dict() == dict.fromkeys(frame["city"].unique(), 2000)


@consumer("dask", '`to_parquet("cosv4://bucket", overwrite=True)`: the bucket itself')
def test_parquet_at_the_root_of_a_bucket(fs, url, options, frame):
    table = dd.from_pandas(frame, npartitions=2)
    fs.pipe_file("lab/old.parquet", b"old")
    for _ in range(2):
        table.to_parquet(url, storage_options=options, overwrite=True)
        assert len(dd.read_parquet(url, storage_options=options)) == len(frame)
    assert not fs.exists("lab/old.parquet")


@consumer("dask", "`read_json`, `to_json`")
def test_json(url, options, frame):
    dd.from_pandas(frame, npartitions=3).to_json(f"{url}/d/*.json", storage_options=options)
    read = dd.read_json(f"{url}/d/*.json", storage_options=options)
    assert read["number"].compute().tolist() == frame["number"].tolist()


@consumer("dask", "`read_parquet(filesystem=fs)`, `filesystem=PyFileSystem(FSSpecHandler(fs))`")
def test_given_filesystems(fs, url, options, frame):
    arrow = Tool("pyarrow.fs")
    dd.from_pandas(frame, npartitions=2).to_parquet(f"{url}/d", storage_options=options)
    for given in (fs, arrow.PyFileSystem(arrow.FSSpecHandler(fs))):
        read = dd.read_parquet("lab/d", filesystem=given)
        assert read["number"].compute().tolist() == frame["number"].tolist()


@consumer(
    "dask", '`read_parquet("cosv4://…", filesystem="arrow")`',
    impossible="it asks pyarrow for the URL, which knows only its own; leave `filesystem=` out, or hand over "
    "`PyFileSystem(FSSpecHandler(fs))`",
)  # fmt: skip
def test_arrow_by_url(url, options, frame):
    dd.from_pandas(frame, npartitions=2).to_parquet(f"{url}/d", storage_options=options)
    with pytest.raises(Exception, match=r"(?i)unrecognized filesystem type|cosv4"):
        dd.read_parquet(f"{url}/d", filesystem="arrow").compute()


@consumer("dask", "bag: `read_text`, `to_textfiles`, compressed")
def test_bag(url, options):
    lines = [f"line {number} 北京" for number in range(100)]
    bag = db.from_sequence(lines, npartitions=4)
    bag.to_textfiles(f"{url}/lines/*.txt.gz", storage_options=options, compute_kwargs={"scheduler": "sync"})
    read = db.read_text(f"{url}/lines/*.txt.gz", storage_options=options, include_path=True).compute(scheduler="sync")
    assert [line.rstrip() for line, _ in read] == lines
    assert len({path for _, path in read}) == 4


@consumer("dask", "dataframe: `to_csv(single_file=True)`, which uploads the object again for every partition")
def test_single_csv(url, options, frame):
    table = dd.from_pandas(frame, npartitions=4)
    table.to_csv(f"{url}/t.csv", single_file=True, index=False, storage_options=options)
    assert pd.read_csv(f"{url}/t.csv", storage_options=options)["number"].tolist() == frame["number"].tolist()


@consumer("dask", "array: `to_zarr`, `from_zarr`")
def test_array(url, options):
    Tool("zarr", "3").open  # noqa: B018  skips where it is not installed
    array = da.arange(10_000, chunks=1250).reshape(100, 100)
    array.to_zarr(f"{url}/a.zarr", storage_options=options)
    read = da.from_zarr(f"{url}/a.zarr", storage_options=options)
    assert (read == array).all().compute(scheduler="threads")


@consumer(
    "dask", "array: `to_npy_stack`",
    impossible="it knows only local folders; `to_zarr`, or `numpy.save` into `fs.open(…)` block by block",
)  # fmt: skip
def test_npy_stack(fs, url, tmp_path, monkeypatch):
    np = Tool("numpy")
    monkeypatch.chdir(tmp_path)
    array = da.arange(100, chunks=25)
    with pytest.raises(FileNotFoundError, match="cosv4"):
        da.to_npy_stack(f"{url}/stack", array)
    for number, block in enumerate(array.to_delayed()):
        with fs.open(f"lab/blocks/{number}.npy", "wb") as file:
            np.save(file, block.compute(scheduler="sync"))
    with fs.open("lab/blocks/3.npy") as file:
        assert np.load(file).tolist() == list(range(75, 100))
