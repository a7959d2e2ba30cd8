"""mkdir and touch."""

import fsspec
import pytest

from tests.cli.conftest import plant

PROTOCOLS = ("cosv4", "cosv3")


def test_mkdir(run, fs):
    assert run("mkdir", "cosv4://data/d").code == 0
    assert fs.isdir("data/d")
    done = run("mkdir", "cosv4://data/d", "cosv4://data/none/sub")
    assert (done.code, fs.exists("data/none")) == (3, False)
    assert [line.split(": ")[1] for line in done.err.splitlines()] == ["cosv4://data/d", "cosv4://data/none/sub"]
    assert run("mkdir", "-p", "cosv4://data/d", "cosv4://data/none/sub").code == 0
    assert fs.isdir("data/none/sub")
    assert run("--json", "mkdir", "cosv4://data/e").json == [{"url": "cosv4://data/e"}]


@pytest.mark.protocol("cosv4")
def test_mkdir_elsewhere(run, here, s3_options):
    assert run("mkdir", "a", "-p", "b/c").code == 0
    assert (here / "b/c").is_dir()
    done = run("mkdir", "a")
    assert (done.code, done.err) == (1, f"cosv4fs mkdir: {here}/a: File exists\n")
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    done = run(*settings, "mkdir", "-p", "s3://bucket/dir")
    assert (done.code, "no directories of their own" in done.err) == (2, True)
    missing = ("s3://missing-one/a", "s3://missing-two/b")
    for command in ("touch", "stat"):
        lines = run(*settings, command, *missing).err.splitlines()
        assert [line.split(": ")[1] for line in lines] == list(missing)


def test_touch(run, fs):
    fs.pipe_file("data/full", b"x")
    done = run("touch", "cosv4://data/new", "cosv4://data/full")
    assert (done.code, fs.cat_file("data/new"), fs.cat_file("data/full")) == (2, b"", b"x")
    assert done.err == "cosv4fs touch: cosv4://data/full: the file exists, and its time cannot be set\n"
    assert run("--json", "touch", "cosv4://data/other").json == [{"url": "cosv4://data/other"}]


@pytest.mark.protocol("cosv4")
def test_touch_local_files(run, here, s3_options):
    import os

    plant(here, old="content")
    os.utime(here / "old", (1, 1))
    assert run("touch", "old", "new").code == 0
    assert ((here / "old").read_text(), (here / "new").read_text()) == ("content", "")
    assert (here / "old").stat().st_mtime > 1
    fsspec.filesystem("memory").pipe_file("/full", b"x")
    assert run("touch", "memory://full").code == 2
    assert fsspec.filesystem("memory").cat_file("/full") == b"x"
