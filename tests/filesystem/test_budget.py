"""Requests per user operation, counted at the server with cold caches."""

import pytest

from tests.consumers.registry import Tool
from tests.filesystem.conftest import EVERY

dataset = Tool("pyarrow.dataset")
dd = Tool("dask.dataframe")
pd = Tool("pandas")

BUCKET = "test-1250000000"
MIB = 1024 * 1024
PROTOCOLS = EVERY
COS = ("cosv4", "cosv3")

STATUS = {"cosv4": 0, "cosv3": 1, "cdcs": 0}
"""Requests for the status of a file beyond one: v3's does not tell whether the file is complete."""

TAKEN = {"cosv4": 0, "cosv3": 0, "cdcs": 1}
"""Requests to learn that a file is not there before it is opened for writing: in a coffer that decides everything."""


class Counter:
    """Counts requests since the last call, from cold caches."""

    def __init__(self, emulator, fs):
        self._emulator, self._fs = emulator, fs

    def start(self):
        self._fs.invalidate_cache()
        self._emulator.clear_requests()

    def total(self):
        return sum(self._emulator.count().values())


@pytest.fixture
def counter(emulator, fs):
    return Counter(emulator, fs)


@pytest.fixture
def frame():
    return pd.DataFrame({"number": range(5000), "text": [f"row {n}" for n in range(5000)]})


def test_pandas_reads_csv_in_two(fs, emulator, counter, frame, protocol):
    fs.pipe(f"{BUCKET}/t.csv", frame.to_csv(index=False).encode())
    counter.start()
    assert len(pd.read_csv(f"{protocol}://{BUCKET}/t.csv", storage_options=emulator.storage_options)) == 5000
    assert counter.total() <= 2 + STATUS[protocol]


def test_pandas_writes_and_reads_parquet(emulator, counter, frame, protocol):
    url, options = f"{protocol}://{BUCKET}/t.parquet", emulator.storage_options
    counter.start()
    frame.to_parquet(url, storage_options=options)
    assert counter.total() <= 1 + TAKEN[protocol]
    counter.start()
    pd.testing.assert_frame_equal(pd.read_parquet(url, storage_options=options), frame)
    assert counter.total() <= 3 + STATUS[protocol]


def test_dask_reads_eight_csv_files_in_ten(fs, emulator, counter, frame, protocol):
    fs.pipe({f"{BUCKET}/d/{n}.csv": frame.to_csv(index=False).encode() for n in range(8)})
    counter.start()
    table = dd.read_csv(f"{protocol}://{BUCKET}/d/*.csv", storage_options=emulator.storage_options)
    assert len(table.compute(scheduler="sync")) == 40000
    assert counter.total() <= 10


@pytest.mark.filterwarnings("ignore")  # what dask and pandas say of each other
def test_dask_writes_and_reads_eight_parts(emulator, counter, frame, protocol):
    url, options = f"{protocol}://{BUCKET}/parts", emulator.storage_options
    table = dd.from_pandas(frame, npartitions=8)
    counter.start()
    table.to_parquet(url, storage_options=options, write_metadata_file=False, compute_kwargs={"scheduler": "sync"})
    assert counter.total() <= 9 + 1 + 9 * TAKEN[protocol]
    counter.start()
    assert len(dd.read_parquet(url, storage_options=options).compute(scheduler="sync")) == 5000
    # in a coffer a name may be an object's as well as a directory's: that is asked once
    assert counter.total() <= 20 + TAKEN[protocol]


def test_pyarrow_reads_a_dataset_of_eight_files_in_thirteen(fs, emulator, counter, frame, protocol):
    options = emulator.storage_options
    for number in range(8):
        frame.to_parquet(f"{protocol}://{BUCKET}/set/{number}.parquet", storage_options=options)
    counter.start()
    table = dataset.dataset(f"{BUCKET}/set", filesystem=fs).to_table()
    assert table.num_rows == 40000
    assert counter.total() <= 13


@pytest.mark.parametrize(("path", "most", "answer"), [("d/f", 1, True), ("d", 2, True), ("none", 2, False)])
def test_exists(fs, counter, protocol, path, most, answer):
    fs.pipe(f"{BUCKET}/d/f", b"x")
    counter.start()
    assert fs.exists(f"{BUCKET}/{path}") is answer
    assert counter.total() <= most + (STATUS[protocol] if path == "d/f" else 0)


@pytest.mark.protocol(*COS)
def test_exists_is_free_while_the_listing_is_fresh(fs, counter):
    fs.pipe(f"{BUCKET}/d/f", b"x")
    fs.ls(f"{BUCKET}/d")
    counter.start()
    fs.ls(f"{BUCKET}/d")
    before = counter.total()
    assert fs.exists(f"{BUCKET}/d/f")
    assert not fs.exists(f"{BUCKET}/d/none")
    assert fs.isfile(f"{BUCKET}/d/f")
    assert not fs.isdir(f"{BUCKET}/d/f")
    assert counter.total() == before


def test_trees_cost_one_request_per_directory(fs, counter):
    fs.pipe({f"{BUCKET}/d/{n}": b"x" for n in range(8)})
    for question in (
        lambda: fs.find(f"{BUCKET}/d"),
        lambda: fs.du(f"{BUCKET}/d"),
        lambda: fs.glob(f"{BUCKET}/d/*"),
        lambda: fs.ls(f"{BUCKET}/d"),
        lambda: list(fs.walk(f"{BUCKET}/d")),
    ):
        counter.start()
        question()
        assert counter.total() == 1


@pytest.mark.protocol(*COS)
def test_glob_lists_only_what_can_match(fs, emulator, counter):
    fs.pipe({f"{BUCKET}/{year}/{month}/data.csv": b"x" for year in range(2000, 2010) for month in range(3)})
    counter.start()
    assert fs.glob(f"{BUCKET}/200[12]/1/*.csv") == [f"{BUCKET}/{year}/1/data.csv" for year in (2001, 2002)]
    assert counter.total() == 1 + 2 + 2


@pytest.mark.protocol(*COS)
def test_single_files(fs, counter, protocol):
    fs.pipe(f"{BUCKET}/d/f", b"x")
    for action, most in (
        (lambda: fs.cat_file(f"{BUCKET}/d/f"), 1),
        (lambda: fs.cat(f"{BUCKET}/d/f"), 1),
        (lambda: fs.head(f"{BUCKET}/d/f", 1), 1),
        (lambda: fs.tail(f"{BUCKET}/d/f", 1), 1),
        (lambda: fs.pipe_file(f"{BUCKET}/d/new", b"y"), 1),
        # v3 cannot copy: what is read is written
        (lambda: fs.cp(f"{BUCKET}/d/f", f"{BUCKET}/d/g"), 3 if protocol == "cosv4" else 6),
        (lambda: fs.mv(f"{BUCKET}/d/g", f"{BUCKET}/d/h"), 2),
        # whether it is a file, or somebody's unfinished upload, is asked where no listing has told it
        (lambda: fs.rm(f"{BUCKET}/d/h"), 2 if protocol == "cosv4" else 3),
    ):
        counter.start()
        action()
        assert counter.total() <= most


@pytest.mark.protocol(*COS)
def test_explicit_lists_cost_one_request_per_file(fs, counter, tmp_path):
    remote = [f"{BUCKET}/d/{n}" for n in range(5)]
    local = [str(tmp_path / str(n)) for n in range(5)]
    for name in local:
        (tmp_path / name).write_bytes(b"x")
    counter.start()
    fs.put(local, remote)
    assert counter.total() == 5
    counter.start()
    assert fs.cat(remote) == dict.fromkeys(remote, b"x")
    assert counter.total() == 5
    counter.start()
    fs.get(remote, local)
    assert counter.total() == 5


@pytest.mark.protocol(*COS)
def test_removing_a_directory_of_eight(fs, counter):
    fs.pipe({f"{BUCKET}/d/{n}": b"x" for n in range(8)})
    counter.start()
    fs.rm(f"{BUCKET}/d", recursive=True)
    assert counter.total() <= 8 + 2


@pytest.mark.protocol("cosv3")
@pytest.mark.parametrize("way", ["pipe_file", "open", "open with size"])
def test_an_upload_of_n_slices_by_v3_costs_n_plus_one_and_a_move(fs, emulator, counter, way):
    content = b"0123456789abcdef" * (MIB // 2 + 100)
    counter.start()
    if way == "pipe_file":
        fs.pipe_file(f"{BUCKET}/big", content)
    else:
        with fs.open(f"{BUCKET}/big", "wb", size=len(content) if "size" in way else None) as file:
            file.write(content)
    assert emulator.count() == {"upload_slice": 1 + 3, "move": 1}
    assert [r.offset for r in emulator.requests] == [None, 0, 3 * MIB, 6 * MIB, None]
    assert fs.cat_file(f"{BUCKET}/big") == content


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("way", ["pipe_file", "open", "open with size", "put_file"])
def test_an_upload_of_n_slices_costs_n_plus_three_and_one_where_it_is_hashed(fs, emulator, counter, tmp_path, way):
    content = b"0123456789abcdef" * (MIB // 2 + 100)
    path = f"{BUCKET}/big"
    counter.start()
    if way == "pipe_file":
        fs.pipe_file(path, content)
    elif way == "put_file":
        (tmp_path / "big").write_bytes(content)
        fs.put_file(tmp_path / "big", path)
    else:
        with fs.open(path, "wb", size=len(content) if "size" in way else None) as file:
            file.write(content)
    look = [] if "size" in way else ["stat"]
    operations = [request.op for request in sorted(emulator.requests, key=lambda request: request.started)]
    assert operations[0] == "upload_slice_init"
    assert operations[1:4] == ["upload_slice_data"] * 3
    assert operations[4:] == ["upload_slice_finish", *look, "move"]
    assert fs.cat_file(path) == content
