"""sync --delete: what it never removes, and what stops it."""

import os
from functools import partial

import pytest

from cosv4fs.cli.transfers import Copier
from cosv4fs.filesystem import ObjectFileSystem
from tests.cli.conftest import harvest, plant, stored

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def copy(fs):
    """A target with files that the source does not have."""
    fs.pipe({f"data/d/{name}": b"x" for name in ("a", "old1", "sub/old2")})
    return "cosv4://data/d"


def test_more_deletions_than_are_allowed_change_nothing(run, here, fs, copy):
    plant(here / "d", a="new", b="new")
    before = stored(fs, "data/d")
    for dry in ["-n"], []:
        done = run("sync", *dry, "--delete", "--max-delete", "1", "d", copy)
        assert (done.code, done.out) == (1, "")
        assert done.err.endswith(
            "cosv4://data/d: 2 files would be removed, but --max-delete allows 1: nothing was changed\n"
        )
        assert stored(fs, "data/d") == before
    assert run("sync", "--delete", "--max-delete", "2", "d", copy).code == 0
    assert stored(fs, "data/d") == {"a": "new", "b": "new"}
    assert run("sync", "--max-delete", "2", "d", copy).code == 2


@pytest.mark.parametrize("arguments", [[], ["--include", "old*"]])
def test_a_source_without_files_removes_nothing(run, here, fs, copy, arguments):
    (here / "d" / "empty").mkdir(parents=True)
    if arguments:
        plant(here / "d", a="x")
    before, count = stored(fs, "data/d"), 2 if arguments else 3
    for dry in ["-n"], []:
        done = run("sync", *dry, "--delete", *arguments, "d", copy)
        assert (done.code, stored(fs, "data/d")) == (1, before)
        assert f"no file is selected, and --delete would remove {count} at the target" in done.err
        assert done.err.endswith(f"if that is meant, add --max-delete {count}\n")
    assert run("sync", "--delete", *arguments, "--max-delete", "3", "d", copy).code == 0
    assert stored(fs, "data/d") == ({"a": "x"} if arguments else {})
    # where nothing would be removed, there is nothing to refuse
    assert run("sync", "--delete", *arguments, "d", copy).code == 0


def test_what_filters_leave_out_stays(run, here, fs):
    """A file that has become too large to be copied must not take its copy away."""
    plant(here / "d", a="1", large="12345", gone__x="")
    fs.pipe({"data/d/large": b"1", "data/d/old": b"1", "data/d/old.log": b"1", "data/d/long": b"12345"})
    done = run("sync", "--delete", "--max-size", "3", "--exclude", "*.log", "d", "cosv4://data/d")
    assert done.code == 0
    assert stored(fs, "data/d") == {"a": "1", "large": "1", "old.log": "1", "long": "12345", "gone/x": ""}


def test_skipped_links_protect_their_copies(run, here, fs):
    plant(here / "d", a="1")
    (here / "d" / "file").symlink_to("a")
    (here / "d" / "folder").symlink_to(here)
    fs.pipe({"data/d/file": b"1", "data/d/folder/x/y": b"1", "data/d/old": b"1"})
    done = run("sync", "--delete", "--skip-links", "d", "cosv4://data/d")
    assert (done.code, "2 links skipped" in done.err) == (0, True)
    assert stored(fs, "data/d") == {"a": "1", "file": "1", "folder/x/y": "1"}


def test_names_that_a_disk_does_not_distinguish(run, here, fs, monkeypatch):
    """The copy of README is the file readme: it must not be removed."""
    monkeypatch.setattr("cosv4fs.migrate.pairs.ignores_case", lambda _path: True)
    fs.pipe({"data/d/README": b"new", "data/d/a": b"1"})
    plant(here / "d", readme="older", extra="")
    would = run("--json", "sync", "-n", "--delete", "cosv4://data/d", "d").json
    assert [row["target"] for row in would["copies"]] == [f"{here}/d/a", f"{here}/d/README"]
    assert [row["reason"] for row in would["copies"]] == ["new", "size"]
    assert would["deletions"] == [f"{here}/d/extra"]
    fs.pipe_file("data/d/ReadMe", b"other")
    before = harvest(here)
    for command in (["sync", "--delete"], ["cp", "-r"]):
        done = run(*command, "cosv4://data/d", "d" if "sync" in command else "new")
        assert done.code == 1
        assert "would both be copied to this path" in done.err
        assert {name for name in ("README", "ReadMe") if f"cosv4://data/d/{name}" in done.err} == {"README", "ReadMe"}
        assert harvest(here) == before


def test_json_is_complete_after_an_interrupt(run, here, fs, monkeypatch):
    plant(here / "d", a="1", b="2", c="3")
    real = Copier._copy

    def interrupt(self, pair):
        if pair.source.name == "b":
            raise KeyboardInterrupt
        real(self, pair)

    monkeypatch.setattr(Copier, "_copy", interrupt)
    for command in (["sync"], ["cp", "-r"]):
        done = run("--json", *command, "-j", "1", "d", "cosv4://data/d")
        assert done.code == 130
        rows = done.json["copies" if "sync" in command else "files"]
        assert [os.path.basename(row["source"]) for row in rows] == ["a"]
        assert (done.json["error"], done.json["exit"]) == ("interrupted", 130)


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("arguments", [["sync"], ["cp", "-r"]])
def test_a_reader_that_goes_away_does_not_end_the_copies(start, here, fs, arguments):
    plant(here / "d", **{f"f{number:02}": "x" for number in range(20)})
    process = start("--json", *arguments, "d", "cosv4://data/d")
    process.stdout.close()
    assert process.wait(60) == 0
    assert len(fs.find("data/d")) == 20


@pytest.mark.parametrize("source", ["d", "cosv4://other/d"])
def test_directories_that_vanish_while_they_are_listed(run, here, fs, copy, monkeypatch, source):
    """The rest of a disk that was removed meanwhile is missing, too."""
    plant(here / "d", a="x", sub__old2="x")
    fs.pipe({"other/d/a": b"x", "other/d/sub/old2": b"x"})
    before = stored(fs, "data/d")
    scandir, ours = os.scandir, ObjectFileSystem.scandir

    def vanish(listing, arguments, path):
        if str(path).endswith("/sub"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return listing(*arguments)

    monkeypatch.setattr(os, "scandir", lambda path=".": vanish(scandir, (path,), path))
    monkeypatch.setattr(
        ObjectFileSystem, "scandir", lambda *given, **more: vanish(partial(ours, **more), given, given[1])
    )
    for dry in ["-n"], []:
        done = run("sync", *dry, "--delete", source, copy)
        assert (done.code, stored(fs, "data/d")) == (1, before)
        assert "sub/: it cannot be listed: No such file or directory" in done.err
