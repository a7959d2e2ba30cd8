"""``--bwlimit``: the bytes per second of all transfers, and ``--transfers``."""

import fsspec
import pytest
from fsspec.callbacks import Callback

from cosv4fs.concurrency.limits import receiving, sending
from cosv4fs.migrate.copying import BLOCK, copy_file
from cosv4fs.migrate.locations import Location, open_location
from tests.cli.conftest import plant
from tests.filesystem.test_bandwidth import received, sent
from tests.support import Clock

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


@pytest.mark.parametrize("effort", [0.0, 0.9], ids=["at once", "slow"])
def test_both_directions_at_once(monkeypatch, effort):
    """A block may be received while another is sent, and the limit adds nothing to what takes as long by itself."""
    clock = Clock(1000.0)
    for limit in (sending, receiving):
        for name, value in (("_clock", clock), ("_wait", clock.sleep), ("_free", 0.0), ("_rate", BLOCK)):
            monkeypatch.setattr(limit, name, value)

    class Moving(Callback):
        def relative_update(self, inc=1):
            clock.now += effort * inc / BLOCK

    fs = fsspec.filesystem("memory")
    fs.pipe_file("/bandwidth/a", bytes(4 * BLOCK))
    copy_file(Location(fs, "/bandwidth/a"), open_location("dir://b::memory://bandwidth"), Moving())
    assert fs.cat_file("/bandwidth/b") == bytes(4 * BLOCK)
    assert clock.now - 1000.0 == pytest.approx(4.0, abs=0.3)


def test_a_file_of_one_block_in_both_directions(monkeypatch, fs):
    """While it is received, nothing else is sent."""
    fs.pipe_file("data/a", bytes(MIB))
    clock = Clock(1000.0)
    for limit in (sending, receiving):
        for name, value in (("_clock", clock), ("_wait", clock.sleep), ("_free", 0.0), ("_rate", MIB)):
            monkeypatch.setattr(limit, name, value)
    copy_file(Location(fs, "data/a"), open_location("dir://b::memory://bandwidth"))
    assert clock.now - 1000.0 == pytest.approx(1.0, abs=0.3)


def test_little_is_read_ahead_at_a_low_rate(fs, file, run, received, monkeypatch):
    """What is fetched ahead shares the rate: sending would begin when all of it has come."""
    opened, real = [], type(fs).open
    monkeypatch.setattr(
        type(fs), "open", lambda self, *given, **more: opened.append(more) or real(self, *given, **more)
    )
    fs.pipe_file("data/a", bytes(MIB))
    for rate, most in ((100 * MIB, 4), (MIB, 1)):
        monkeypatch.setattr(receiving, "_rate", rate)
        copy_file(Location(fs, "data/a"), open_location("memory://bandwidth/a"))
        assert opened.pop()["cache_options"] == {"most": most}


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
