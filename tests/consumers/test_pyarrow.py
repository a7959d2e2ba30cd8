"""pyarrow, with fsspec's filesystem handed over as it is, and wrapped."""

import pytest

from tests.consumers.registry import Tool, consumer

pa = Tool("pyarrow")
arrow_fs = Tool("pyarrow.fs")
dataset = Tool("pyarrow.dataset")
parquet = Tool("pyarrow.parquet")


@pytest.fixture
def table(columns):
    return pa.table(columns)


@pytest.fixture
def wrapped(fs):
    return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fs))


@consumer("pyarrow", "`parquet.read_table`, `write_table`, `ParquetFile`, `ParquetWriter` with `filesystem=fs`")
def test_parquet(fs, table):
    parquet.write_table(table, "lab/t.parquet", filesystem=fs, row_group_size=1000)
    assert parquet.read_table("lab/t.parquet", filesystem=fs).equals(table)
    with fs.open("lab/t.parquet") as file:
        assert parquet.ParquetFile(file).read_row_group(2, columns=["number"])["number"][0].as_py() == 2000
    with parquet.ParquetWriter("lab/w.parquet", table.schema, filesystem=fs) as writer:
        writer.write_table(table.slice(0, 10))
        writer.write_table(table.slice(10, 10))
    assert parquet.read_metadata("lab/w.parquet", filesystem=fs).num_rows == 20


@consumer("pyarrow", "`dataset.dataset` (8 files: 13 requests), `write_dataset` with Hive partitions, filters")
@pytest.mark.parametrize("given", ["fs", "wrapped"])
def test_dataset(request, table, given, requests_of):
    filesystem = request.getfixturevalue(given)
    for number in range(8):
        parquet.write_table(table, f"lab/eight/{number}.parquet", filesystem=filesystem)
    read, requests = requests_of(lambda: dataset.dataset("lab/eight", filesystem=filesystem).to_table())
    assert read.num_rows == 8 * 4000
    assert requests <= 13
    layout = {"partitioning": ["city"], "partitioning_flavor": "hive"}
    dataset.write_dataset(table, "lab/hive", filesystem=filesystem, format="parquet", **layout)
    hive = dataset.dataset("lab/hive", filesystem=filesystem, partitioning="hive")
    assert len(hive.files) == 4
    found = hive.to_table(filter=(dataset.field("city") == "São Paulo") & (dataset.field("number") < 100))
    assert found["number"].to_pylist() == list(range(3, 100, 4))


@consumer("pyarrow", "`write_dataset(existing_data_behavior=)`")
@pytest.mark.parametrize(("behavior", "rows"), [("overwrite_or_ignore", 10), ("delete_matching", 10)])
def test_writing_again(fs, table, behavior, rows):
    for count in (20, 10):
        dataset.write_dataset(
            table.slice(0, count), "lab/again", filesystem=fs, format="feather", existing_data_behavior=behavior
        )
    assert dataset.dataset("lab/again", filesystem=fs, format="feather").count_rows() == rows
    with pytest.raises(pa.ArrowInvalid, match="directory is not empty"):
        dataset.write_dataset(table, "lab/again", filesystem=fs, format="feather")


@consumer("pyarrow", "csv, feather, orc and JSON through `PyFileSystem(FSSpecHandler(fs))`")
def test_other_formats(wrapped, table):
    with wrapped.open_output_stream("lab/t.csv") as sink:
        Tool("pyarrow.csv").write_csv(table, sink)
    with wrapped.open_input_stream("lab/t.csv") as source:
        assert Tool("pyarrow.csv").read_csv(source).equals(table)
    Tool("pyarrow.feather").write_feather(table, sink := wrapped.open_output_stream("lab/t.feather"))
    sink.close()
    with wrapped.open_input_file("lab/t.feather") as source:
        assert Tool("pyarrow.feather").read_table(source).equals(table)
    with wrapped.open_output_stream("lab/t.json") as sink:
        sink.write(b'{"a": 1}\n{"a": 2}\n')
    assert dataset.dataset("lab/t.json", filesystem=wrapped, format="json").to_table()["a"].to_pylist() == [1, 2]


@consumer("pyarrow", "`get_file_info`, `create_dir`, `copy_file`, `move`, `delete_file`, `delete_dir`, `copy_files`")
def test_files(wrapped, tmp_path):
    with wrapped.open_output_stream("lab/d/a.bin") as sink:
        sink.write(b"0123456789")
    wrapped.copy_file("lab/d/a.bin", "lab/d/b.bin")
    wrapped.move("lab/d/b.bin", "lab/d/c.bin")
    wrapped.create_dir("lab/d/empty")
    found = wrapped.get_file_info(arrow_fs.FileSelector("lab/d", recursive=True))
    assert {(info.base_name, info.type, info.size) for info in found} == {
        ("a.bin", arrow_fs.FileType.File, 10),
        ("c.bin", arrow_fs.FileType.File, 10),
        ("empty", arrow_fs.FileType.Directory, None),
    }
    assert all(info.mtime is not None for info in found if info.is_file)
    assert wrapped.get_file_info("lab/none").type == arrow_fs.FileType.NotFound
    (tmp_path / "got").mkdir()
    arrow_fs.copy_files("lab/d", str(tmp_path / "got"), wrapped, arrow_fs.LocalFileSystem())
    assert (tmp_path / "got" / "c.bin").read_bytes() == b"0123456789"
    wrapped.delete_file("lab/d/a.bin")
    wrapped.delete_dir("lab/d")
    assert wrapped.get_file_info("lab/d").type == arrow_fs.FileType.NotFound


@consumer("pyarrow", '`FileSystem.from_uri("fsspec+cosv4://…")`, credentials from the environment')
def test_uri(environment, fs, url, table):
    filesystem, path = arrow_fs.FileSystem.from_uri(f"fsspec+{url}/d/t.parquet")
    parquet.write_table(table, path, filesystem=filesystem)
    assert parquet.read_table(f"fsspec+{url}/d/t.parquet").equals(table)
    assert fs.isfile("lab/d/t.parquet")


@consumer(
    "pyarrow", '`FileSystem.from_uri("cosv4://…")`',
    impossible="it knows only its own URLs; `fsspec+cosv4://…`, or `filesystem=fs`",
)  # fmt: skip
def test_plain_uri(environment, url):
    with pytest.raises(pa.ArrowInvalid, match=r"(?i)unrecognized filesystem type"):
        arrow_fs.FileSystem.from_uri(f"{url}/d/t.parquet")


@consumer("pyarrow", "`open_append_stream`")
def test_append(wrapped):
    for data in (b"one\n", b"two\n"):
        with wrapped.open_append_stream("lab/x") as sink:
            sink.write(data)
    with wrapped.open_input_stream("lab/x") as source:
        assert source.read() == b"one\ntwo\n"
