"""polars: its own reader of URLs knows only its own; what it opens through fsspec or is given open works."""

import pytest

from tests.consumers.registry import Tool, consumer

pl = Tool("polars", "2")
same = Tool("polars.testing")

# what it says of its ways through pyarrow
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

FORMS = ("csv", "parquet", "ndjson", "ipc")


@pytest.fixture
def table(columns):
    return pl.DataFrame(columns)


@consumer(
    "polars",
    "`read_…` (2 requests) and `write_…` of csv, parquet, NDJSON, IPC, JSON, avro with `fs.open(…)`",
)
@pytest.mark.parametrize("form", [*FORMS, "json", "avro"])
def test_open_files(fs, table, form, requests_of):
    with fs.open(f"lab/t.{form}", "wb") as file:
        getattr(table, f"write_{form}")(file)

    def read():
        with fs.open(f"lab/t.{form}") as file:
            return getattr(pl, f"read_{form}")(file)

    found, requests = requests_of(read)
    same.assert_frame_equal(found, table)
    assert requests <= 2


@consumer("polars", "`scan_…` and `sink_…` with `fs.open(…)`, a list of open files too")
@pytest.mark.parametrize("form", FORMS)
def test_lazily(fs, table, form):
    for number in range(2):
        with fs.open(f"lab/{number}.{form}", "wb") as file:
            getattr(table.lazy().filter(pl.col("number") % 2 == number), f"sink_{form}")(file)
    scan = getattr(pl, f"scan_{form}")
    with fs.open(f"lab/0.{form}") as file:
        one = scan(file).filter(pl.col("number") < 10).collect()
    with fs.open(f"lab/0.{form}") as first, fs.open(f"lab/1.{form}") as second:
        both = scan([first, second]).select("number").collect()
    assert one["number"].to_list() == [0, 2, 4, 6, 8]
    assert sorted(both["number"].to_list()) == table["number"].to_list()


@consumer("polars", "`read_parquet` and `read_ipc` by URL with `use_pyarrow=True, storage_options=`")
@pytest.mark.parametrize("form", ["parquet", "ipc"])
def test_through_pyarrow(fs, url, options, table, form):
    with fs.open(f"lab/t.{form}", "wb") as file:
        getattr(table, f"write_{form}")(file)
    read = getattr(pl, f"read_{form}")(f"{url}/t.{form}", use_pyarrow=True, storage_options=options)
    same.assert_frame_equal(read, table)


@consumer(
    "polars",
    "`scan_pyarrow_dataset`; `write_parquet(use_pyarrow=True, pyarrow_options=…)`, partitioned too",
)
def test_datasets(fs, table):
    arguments = {"use_pyarrow": True, "pyarrow_options": {"filesystem": fs, "partition_cols": ["city"]}}
    table.write_parquet("lab/d", **arguments)
    files = Tool("pyarrow.dataset").dataset("lab/d", filesystem=fs, partitioning="hive")
    assert len(files.files) == 4
    scan = pl.scan_pyarrow_dataset(files)
    found = scan.filter((pl.col("city") == "北京") & (pl.col("number") < 20)).select("number").collect()
    assert found["number"].to_list() == [2, 6, 10, 14, 18]


@consumer(
    "polars", '`read_…("cosv4://…")`, `scan_…`, `write_…`, `sink_…` by URL',
    impossible="its own reader takes a URL it does not know for a local path; hand over `fs.open(…)`, "
    "or read parquet with `use_pyarrow=True`",
)  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_by_url(fs, url, environment, table, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with fs.open(f"lab/t.{form}", "wb") as file:
        getattr(table, f"write_{form}")(file)
    for reads in (getattr(pl, f"read_{form}"), lambda name: getattr(pl, f"scan_{form}")(name).collect()):
        with pytest.raises(FileNotFoundError, match="cosv4"):
            reads(f"{url}/t.{form}")
    for writes in (getattr(table, f"write_{form}"), getattr(table.lazy(), f"sink_{form}")):
        with pytest.raises(FileNotFoundError, match="cosv4"):
            writes(f"{url}/new.{form}")
    assert not list(tmp_path.iterdir())
