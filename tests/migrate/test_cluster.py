"""The same work on a dask cluster."""

import sys
from functools import partial

import pytest

from cosv4fs.migrate import cluster, migrator
from cosv4fs.migrate.manifest import File
from cosv4fs.migrate.migration import migrate
from tests.support import content


def test_batches_are_bounded_in_files_and_bytes():
    files = [File(f"{number:03}", 1) for number in range(120)]
    files += [File(f"x{number}", migrator._MAX_BATCH_BYTES - 1) for number in range(2)]
    sizes = [len(batch) for batch in migrator.batches(iter(files), 50)]
    assert sizes == [50, 50, 20, 1, 1]
    assert [file for batch in migrator.batches(iter(files), 50) for file in batch] == files


def test_secrets_are_not_shown():
    work = cluster.BatchSettings("a", "b", {"s3": {"secret": "hush"}}, verify=True, overwrite=True)
    assert "hush" not in repr(work)


def test_without_distributed_the_error_says_what_to_install(monkeypatch, fs, options, tmp_path):
    fs.pipe_file("data/in/x", b"1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"cosv4fs\[migrate\]"):
        migrate("cosv4://data/in", str(tmp_path / "out"), options=options, manifest=tmp_path / "m", scheduler="local")


@pytest.mark.filterwarnings("ignore")  # what dask and its parts say
def test_a_local_cluster_moves_files_and_notes_failures(fs, s3, bucket, options, tmp_path, monkeypatch, capfd):
    """The next run, in this process, goes on with what the workers have told."""
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(cluster, "_MAX_BATCH_FILES", 10)
    files = {f"d{number % 4}/f{number:03}": content(1000 + number, number) for number in range(25)}
    fs.pipe({f"data/in/{path}": value for path, value in files.items()})
    fs.pipe_file("data/in/" + "/".join(["x" * 200] * 6), b"a name that is too long")
    run = partial(migrate, "cosv4://data/in", f"s3://{bucket}/out", options=options, manifest=tmp_path / "m", jobs=2)
    first = run(scheduler="local", verify=True)
    assert (first.copied, first.verified, first.failed) == (25, 25, 1)
    assert "1024 bytes" in first.failures[0][1]
    second = run(verify=True)
    assert (second.copied, second.before, second.failed) == (0, 25, 1)
    assert {name: s3.cat_file(name) for name in s3.find(bucket)} == {
        f"{bucket}/out/{path}": value for path, value in files.items()
    }
    told = f"{first}{second}{capfd.readouterr()}"
    for secret in (options["cosv4"]["secret_key"], options["s3"]["secret"] + "'"):
        assert secret not in told
