"""dask's workers as processes of their own: what they get is a pickle, and their connections are their own."""

import operator
import os

import fsspec
import pytest

from cosv4fs import MissingCredentialsError
from tests.consumers.registry import Tool, consumer

dd = Tool("dask.dataframe")
da = Tool("dask.array")
db = Tool("dask.bag")
zarr = Tool("zarr", "3")
distributed = Tool("distributed")

# what dask, pandas and their parts say of each other
pytestmark = pytest.mark.filterwarnings("ignore")

WAIT = 120
"""Seconds that any one result may take."""


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=WAIT)
        yield client


def everywhere(client, function, *arguments):
    """Call in every worker and return the results."""
    workers = client.scheduler_info()["workers"]
    assert len(workers) == 2
    return results(client.submit(function, *arguments, workers=[worker], pure=False) for worker in workers)


def results(futures):
    """Wait for tasks, but not for ever."""
    return [future.result(WAIT) for future in list(futures)]


def finish(client, work):
    """Compute something delayed in the workers and return the result."""
    (future,) = client.compute([work])
    return future.result(WAIT)


@consumer("distributed", "filesystems as arguments of tasks: equal in every process, one token")
def test_instances_travel(client, fs, options):
    tokenize = Tool("dask.base").tokenize
    fs.pipe_file("lab/x", b"from here")
    assert everywhere(client, operator.methodcaller("cat_file", "lab/x"), fs) == [b"from here"] * 2
    assert everywhere(client, tokenize, fs) == [tokenize(fs)] * 2
    assert client.submit(lambda given: given, fs).result(WAIT) == fs


@consumer("distributed", "open files as arguments of tasks")
def test_open_files_travel(client, url, fs, options):
    fs.pipe({f"lab/f/{number}": bytes([number]) * 1000 for number in range(6)})
    files = fsspec.open_files(f"{url}/f/*", **options)

    def length(file):
        with file as opened:
            return len(opened.read())

    assert results(client.map(length, files)) == [1000] * 6
    with fs.open("lab/f/3") as file:
        file.seek(990)
        assert client.submit(lambda given: given.read(), file).result(WAIT) == b"\x03" * 10


@consumer("distributed", "workers go on when the service was away and came back")
def test_workers_reconnect(client, fs, emulator):
    fs.pipe_file("lab/x", b"here")
    look = operator.methodcaller("cat_file", "lab/x")
    assert everywhere(client, look, fs) == [b"here"] * 2
    emulator.restart()
    assert everywhere(client, look, fs) == [b"here"] * 2


@consumer("distributed", "a job: write 16 partitions, read, `groupby`, shuffle, write")
def test_job(client, url, options, frame):
    finish(
        client, dd.from_pandas(frame, npartitions=16).to_parquet(f"{url}/in", storage_options=options, compute=False)
    )
    table = dd.read_parquet(f"{url}/in", storage_options=options)
    assert table.npartitions == 16
    means = finish(client, table.groupby("city")["value"].mean())
    assert means.to_dict() == frame.groupby("city")["value"].mean().to_dict()
    table["rest"] = table["number"] % 7
    shuffled = table.shuffle("rest", npartitions=5)
    finish(client, shuffled.to_parquet(f"{url}/out", storage_options=options, write_index=False, compute=False))
    read = dd.read_parquet(f"{url}/out", storage_options=options)
    assert sorted(finish(client, read["number"])) == frame["number"].tolist()


@consumer("distributed", "arrays: `to_zarr`, `from_zarr`; bags: `to_textfiles`, `read_text`")
def test_arrays_and_bags(client, url, options):
    bag = db.from_sequence(map(str, range(100)), npartitions=4)
    finish(client, bag.to_textfiles(f"{url}/lines/*.txt", storage_options=options, compute=False))
    lines = finish(client, db.read_text(f"{url}/lines/*.txt", storage_options=options))
    assert [int(line) for line in lines] == list(range(100))
    zarr.open  # noqa: B018  skips where it is not installed
    finish(client, da.arange(4096, chunks=256).to_zarr(f"{url}/a.zarr", storage_options=options, compute=False))
    assert finish(client, da.from_zarr(f"{url}/a.zarr", storage_options=options).sum()) == 4096 * 4095 // 2


@consumer("distributed", "credentials from the environment, which workers need too")
def test_environment(client, url, environment, frame):
    account = {name: value for name, value in os.environ.items() if name.startswith("COSV4_")}
    assert account

    def learn(values):
        os.environ.update(values)

    def unlearn(names):
        for name in names:
            del os.environ[name]

    frame.to_csv(f"{url}/t.csv", index=False)
    everywhere(client, learn, account)
    try:
        table = dd.read_csv(f"{url}/t.csv", blocksize=20_000)
        assert finish(client, table["number"].sum()) == frame["number"].sum()
    finally:
        everywhere(client, unlearn, list(account))


@consumer("distributed", "an error in a worker is that error here; missing credentials end no worker")
def test_errors(client, fs, url, environment, frame, monkeypatch):
    with pytest.raises(FileNotFoundError, match="lab/none"):
        client.submit(operator.methodcaller("cat_file", "lab/none"), fs).result(WAIT)
    # of no other test: the cluster keeps what is known by the same name while its error is kept
    frame.to_csv(f"{url}/none.csv", index=False)
    with pytest.raises(MissingCredentialsError, match="COSV4_APPID"):
        # the workers have no such environment
        finish(client, dd.read_csv(f"{url}/none.csv", blocksize=20_000)["number"].sum())
    assert everywhere(client, operator.methodcaller("exists", "lab/none.csv"), fs) == [True] * 2
