"""mv to other filesystems, and with filters: nothing is lost, whatever happens."""

import signal
import uuid

import fsspec
import pytest

from cosv4fs.cli import move
from cosv4fs.emulator import faults
from cosv4fs.migrate import moving
from tests.cli.conftest import harvest, plant, stored

PROTOCOLS = ("cosv4",)

TREE = {"a": "1", "sub/b": "22", "sub/deep/c": "333"}


@pytest.fixture
def tree(here):
    plant(here / "d", **{name.replace("/", "__"): text for name, text in TREE.items()})
    (here / "d/empty").mkdir()
    return here / "d"


def test_a_file(run, here, fs):
    plant(here, f="text")
    done = run("mv", "f", "cosv4://data/g")
    assert (done.code, done.out) == (0, "")
    assert (fs.cat_file("data/g"), (here / "f").exists()) == (b"text", False)
    assert run("mv", "cosv4://data/g", ".").code == 0
    assert ((here / "g").read_text(), fs.exists("data/g")) == ("text", False)
    row = run("mv", "--json", "g", "cosv4://data/").json["files"]
    assert row == [{"source": f"{here}/g", "target": "cosv4://data/g", "size": 4, "error": None}]


def test_a_tree(run, here, fs, tree):
    done = run("mv", "d", "cosv4://data/t")
    assert (done.code, "move it with -r" in done.err or "with -r" in done.err) == (1, True)
    assert run("mv", "-r", "d", "cosv4://data/t").code == 0
    assert (stored(fs, "data/t"), tree.exists()) == (TREE, False)
    assert fs.isdir("data/t/empty")
    assert run("mv", "-r", "cosv4://data/t", "back").code == 0
    assert (harvest(here / "back"), fs.exists("data/t")) == (TREE, False)
    assert (here / "back/empty").is_dir()


def test_to_s3(run, here, s3_options, tree):
    s3 = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
    bucket = f"b{uuid.uuid4().hex[:16]}"
    s3.mkdir(bucket)
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    assert run(*settings, "mv", "-r", "d", f"s3://{bucket}/t").code == 0
    assert (stored(s3, f"{bucket}/t"), tree.exists()) == (TREE, False)
    assert run(*settings, "mv", "-r", f"s3://{bucket}/t", "back").code == 0
    assert (harvest(here / "back"), s3.find(bucket)) == (TREE, [])


def test_filters_hold(run, here, fs, tree):
    assert run("mv", "-r", "d/", "cosv4://data/t", "--include", "c").code == 0
    assert (stored(fs, "data/t"), sorted(harvest(tree))) == ({"sub/deep/c": "333"}, ["a", "sub/b"])
    assert (tree / "empty").is_dir()
    # also within one filesystem
    fs.pipe({"data/t/new": b"n"})
    assert run("mv", "-r", "cosv4://data/t/", "cosv4://data/u", "--exclude", "new").code == 0
    assert (stored(fs, "data/t"), stored(fs, "data/u")) == ({"new": "n"}, {"sub/deep/c": "333"})


def test_what_fails_stays(run, here, fs, tree, emulator):
    emulator.faults.add(op="upload", path="/t/sub/b", action=faults.Refuse(-97), times=100)
    done = run("mv", "-r", "d", "cosv4://data/t")
    assert (done.code, done.err.splitlines()[-1].startswith("cosv4fs mv: moved 2 of 3 files, 1 failed")) == (4, True)
    assert harvest(tree) == {"sub/b": "22"}
    assert (tree / "empty").is_dir()
    emulator.faults.clear()
    assert run("mv", "-r", "d/", "cosv4://data/t/").code == 0
    assert (stored(fs, "data/t"), tree.exists()) == (TREE, False)


def test_a_copy_that_differs_keeps_its_source(run, here, fs, monkeypatch):
    plant(here, f="text")
    monkeypatch.setattr(moving, "copy_file", lambda *_, **__: fs.pipe_file("data/f", b"TEXT"))
    done = run("mv", "f", "cosv4://data/f")
    assert (done.code, (here / "f").read_text()) == (1, "text")
    assert "the content of the copy differs: the source was not removed" in done.err


def test_one_file_by_two_names_is_not_removed(run, fs, emulator, monkeypatch):
    """The service has the same files for both versions of the API."""
    for name, value in emulator.storage_options.items():
        monkeypatch.setenv(f"COSV3_{name.upper()}", value)
    fs.pipe_file("data/f", b"text")
    done = run("mv", "cosv4://data/f", "cosv3://data/f")
    assert (done.code, fs.cat_file("data/f")) == (1, b"text")
    assert "source and target are the same file" in done.err
    assert fs.ls("data", detail=False) == ["data/f"]


def test_an_equal_file_at_the_target_is_no_obstacle(run, here, fs):
    plant(here, f="text")
    fs.pipe_file("data/f", b"text")
    assert run("mv", "f", "cosv4://data/f").code == 0
    assert (fs.ls("data", detail=False), (here / "f").exists()) == (["data/f"], False)


def test_an_interrupt_loses_nothing(run, here, fs, tree, monkeypatch):
    move_file, begun = move.move_file, []

    def interrupted(source, *args, **keywords):
        begun.append(source.path)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)
        move_file(source, *args, **keywords)

    monkeypatch.setattr(move, "move_file", interrupted)
    done = run("mv", "-r", "--transfers", "1", "d", "cosv4://data/t")
    assert done.code == 130
    assert {**harvest(tree), **stored(fs, "data/t")} == TREE
    assert f"to continue: cosv4fs mv -r {here}/d/ cosv4://data/t/" in done.err
    monkeypatch.setattr(move, "move_file", move_file)
    assert run("mv", "-r", f"{here}/d/", "cosv4://data/t/").code == 0
    assert (stored(fs, "data/t"), tree.exists()) == (TREE, False)


def test_what_cannot_be_moved(run, here, fs, tree):
    assert "a bucket cannot be moved" in run("mv", "-r", "cosv4://data", "x").err
    fs.pipe_file("data/f", b"x")
    assert run("mv", "cosv4://data/none", "x").code == 3
    (tree / "link").symlink_to(here)
    done = run("mv", "-r", "d", "cosv4://data/t")
    assert (done.code, "links to directories are not followed" in done.err) == (1, True)
    assert (tree / "link").is_symlink()


def test_failures_within_one_filesystem_are_rows(run, fs, emulator):
    fs.pipe({"data/a": b"a", "data/b": b"b"})
    emulator.faults.add(op="move", path="/b", action=faults.Refuse(-97), times=100)
    done = run("mv", "--json", "cosv4://data/a", "cosv4://data/b", "cosv4://data/into/")
    assert done.code == 4
    assert [(row["source"], row["error"] is None) for row in done.json["files"]] == [
        ("cosv4://data/a", True),
        ("cosv4://data/b", False),
    ]
    assert done.json["failed"] == 1
