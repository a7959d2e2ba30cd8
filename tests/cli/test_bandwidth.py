"""``--bwlimit``: the bytes per second of all transfers, and ``--transfers``."""

import fsspec
import pytest

from cosv4fs.concurrency.limits import receiving, sending
from tests.cli.conftest import plant
from tests.filesystem.test_bandwidth import received, sent

__all__ = ["received", "sent"]

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def memory():
    """Remove what the process keeps."""
    yield
    fs = fsspec.filesystem("memory")
    if fs.exists("/bandwidth"):
        fs.rm("/bandwidth", recursive=True)


@pytest.fixture
def file(here):
    plant(here, a="x" * MIB)


def seconds(*limits):
    return [round(limit.seconds * 4) / 4 for limit in limits]


def test_of_our_filesystems(run, here, file, sent, received):
    assert run("--bwlimit", "512k", "cp", "a", "cosv4://data/a").code == 0
    assert seconds(sent, received) == [2, 0]
    assert run("cp", "--bwlimit", "2M", "cosv4://data/a", "b").code == 0
    assert seconds(sent, received) == [2, 0.5]
    assert not sending.is_limited
    assert not receiving.is_limited


def test_of_other_filesystems(run, here, file, sent, received):
    """Their bytes are counted while they are copied; those of the local disk never are."""
    assert run("--bwlimit", "512k", "cp", "a", "memory://bandwidth/a").code == 0
    assert seconds(sent, received) == [2, 0]
    assert run("--bwlimit", "512k", "cp", "memory://bandwidth/a", "b").code == 0
    assert seconds(sent, received) == [2, 2]
    assert run("--bwlimit", "512k", "cp", "memory://bandwidth/a", "memory://bandwidth/b").code == 0
    assert run("--bwlimit", "512k", "cp", "a", "c").code == 0
    assert seconds(sent, received) == [2, 2]
    assert run("--bwlimit", "512k", "cp", "memory://bandwidth/a", "cosv4://data/a").code == 0
    assert seconds(sent, received) == [4, 4]
    assert run("--bwlimit", "512k", "cp", "-", "memory://bandwidth/c", data=b"x" * MIB).code == 0
    assert seconds(sent, received) == [6, 4]
    assert [(here / name).read_text() for name in "bc"] == ["x" * MIB] * 2


def test_of_migrations(run, here, file, sent, received):
    plant(here / "d", a="x" * MIB)
    assert run("--bwlimit", "512k", "migrate", "d", "memory://bandwidth").code == 0
    assert seconds(sent, received) == [2, 0]
    done = run("--bwlimit", "512k", "migrate", "d", "memory://bandwidth", "--scheduler", "local")
    assert (done.code, "cannot be used with --scheduler" in done.err) == (2, True)


@pytest.mark.parametrize("value", ["0", "fast", "-1", "10X"])
def test_wrong_rates(run, value):
    done = run("ls", f"--bwlimit={value}", "cosv4://data")
    assert (done.code, f"{value!r}" in done.err) == (2, True)


@pytest.mark.parametrize("command", ["cp", "sync", "migrate"])
@pytest.mark.parametrize("option", ["-j", "--transfers"])
def test_files_in_parallel(run, here, fs, command, option):
    plant(here / "d", a="1", b="2")
    assert run(command, *(["-r"] if command == "cp" else []), option, "1", "d", "cosv4://data/x").code == 0
    assert run(command, option, "0", "d", "cosv4://data/x").code == 2
    assert len(fs.find("data")) == 2
