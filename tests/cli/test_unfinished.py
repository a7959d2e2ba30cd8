"""uploads: what was never finished is seen, continued, given up, removed."""

import pytest

from tests.filesystem.conftest import WIRES
from tests.support import MIB, content

PROTOCOLS = ("cosv4", "cosv3")

KEY = "/half/file"


@pytest.fixture
def half(fs, protocol):
    """An upload of which one of two slices has come."""
    fs.makedirs("data/half")
    WIRES[protocol].leave(fs, KEY, 2 * MIB, MIB, content(MIB), bucket="data")
    return "cosv4://data/half/file"


def test_they_are_listed(run, half):
    assert run("uploads", "ls", "cosv4://data").out == f"{half}  1.0 MiB of 2.0 MiB\n"
    (row,) = run("--json", "uploads", "ls", half).json
    assert (row["name"], row["stored"], row["size"]) == ("data/half/file", MIB, 2 * MIB)
    assert run("--json", "uploads", "ls", "cosv4://other").json == []


def test_one_is_given_up(run, half, fs):
    fs.pipe_file("data/half/complete", b"x")
    assert run("uploads", "abort", half).out == f"aborted {half}\n"
    done = run("uploads", "abort", "cosv4://data/half/complete", half)
    assert done.code == 3
    assert done.err.splitlines()[-1] == f"cosv4fs uploads abort: {half}: there is no unfinished upload of this file"
    assert fs.cat_file("data/half/complete") == b"x"
    (row,) = run("--json", "uploads", "abort", half).json
    assert (row["url"], row["errno"]) == (half, "ENOENT")
    assert run("uploads", "abort", "cosv4://data").code == 2


def test_old_ones_are_removed(run, half, emulator, fs):
    assert run("uploads", "clean", "cosv4://data").out == ""
    assert run("uploads", "clean", "--older-than", "0s", "cosv4://data").out.startswith(f"removed {half}  ")
    assert fs.uploads("data") == []
    done = run("uploads", "clean", "--older-than", "3600", "cosv4://data")
    assert (done.code, "'3600' is not a duration such as 30m, 36h" in done.err) == (2, True)


def test_nothing_to_continue(run):
    done = run("uploads", "resume", "cosv4://")
    assert (done.code, done.out, done.err) == (0, "", "there is nothing to resume\n")
    assert run("--json", "uploads", "resume", "cosv4://data").json == []


@pytest.mark.protocol("cosv4")
def test_nothing_to_continue_anywhere(run):
    assert run("uploads", "resume").err == "there is nothing to resume\n"


@pytest.mark.protocol("cosv4")
def test_other_urls(run):
    done = run("uploads", "ls", "memory://x")
    assert done.code == 2
    assert "this command works on cosv4://, cosv3:// and cdcs:// URLs only" in done.err
