"""Links, special files and unreadable directories in a local source: the rest is copied, and what is not is counted."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import harvest, plant, stored
from tests.migrate.test_local_trees import unprivileged

PROTOCOLS = ("cosv4",)
COPYING = ["cp", "sync", "migrate"]


@pytest.fixture
def source(here):
    plant(here / "in", a="1", dir__b="2")
    (here / "in/to_file").symlink_to("a")
    (here / "in/to_dir").symlink_to("dir")
    return here / "in"


def command(name, *options, source="in/", target="cosv4://data/out"):
    return [name, *(["-r"] if name == "cp" else []), *options, source, target]


@pytest.mark.parametrize("name", COPYING)
def test_links_to_directories_are_refused_and_the_rest_is_copied(run, source, fs, name):
    os.mkfifo(source / "pipe")
    (source / "broken").symlink_to("nowhere")
    done = run(*command(name))
    assert done.code == 1
    for each in ("to_dir: links to directories are not followed", "pipe: pipes", "broken: it is a broken link"):
        assert each in done.err
    assert stored(fs, "data/out") == {"a": "1", "dir/b": "2", "to_file": "1"}
    # what is excluded is no failure
    assert run(*command(name, "--exclude", "{pipe,broken}", "--exclude", "to_dir/")).code == 0


@pytest.mark.parametrize("name", COPYING)
def test_skipped_links_are_counted(run, source, fs, name):
    (source / "broken").symlink_to("nowhere")
    done = run(*command(name, "--skip-links"))
    assert done.code == 0
    assert "3 links skipped" in done.out + done.err
    assert stored(fs, "data/out") == {"a": "1", "dir/b": "2"}


@pytest.mark.parametrize("name", COPYING)
def test_followed_links(run, source, fs, name):
    (source / "dir/up").symlink_to("..")
    done = run(*command(name, "--follow-links"))
    assert done.code == 1
    for each in ("dir/up", "to_dir/up"):
        assert re.search(f"[/ ]{each}/?: it leads to a directory above it", done.err)
    assert stored(fs, "data/out") == {"a": "1", "dir/b": "2", "to_dir/b": "2", "to_file": "1"}


def test_delete_leaves_the_copies_of_skipped_links(run, source, fs):
    fs.pipe({"data/out/to_file": b"1", "data/out/to_dir/b": b"2", "data/out/gone": b"3"})
    assert run(*command("sync", "--skip-links", "--delete")).code == 0
    assert stored(fs, "data/out") == {"a": "1", "dir/b": "2", "to_dir/b": "2", "to_file": "1"}


@pytest.fixture
def public():
    """A directory that every user can change, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.fixture
def imported(run, source):
    """Have commands import what they need: without the rights of root, Python's own files may be out of reach."""
    (source / "broken").symlink_to("nowhere")
    for name in COPYING:
        assert run(*command(name, target=f"{name} before")).code == 1
    assert run("rm", "-r", "--exclude", "x", "in").code == 0


@pytest.mark.parametrize("name", COPYING)
def test_an_unreadable_directory_does_not_end_everything(run, imported, public, name):
    plant(public / "in", a="1", dir__b="2", lost__c="3")
    plant(public / "out", lost__c="3", gone="4")
    options = {"sync": ["--delete"], "migrate": ["--manifest", str(public / "manifest")]}.get(name, [])
    for folder in (public, *public.rglob("*")):
        folder.chmod(0o777)
    (public / "in/lost").chmod(0o000)
    with unprivileged():
        done = run(*command(name, *options, source=f"{public}/in/", target=str(public / "out")))
    assert done.code == 1
    assert re.search(r"lost/?: it cannot be listed: Permission denied", done.err)
    # --delete removes nothing after a failure
    assert harvest(public / "out") == {"a": "1", "dir/b": "2", "lost/c": "3", "gone": "4"}


def test_rm_counts_what_cannot_be_removed(run, imported, public):
    plant(public / "in", a="1", dir__b="2")
    for folder in (public, *public.rglob("*")):
        folder.chmod(0o777)
    (public / "in/dir").chmod(0o555)
    with unprivileged():
        done = run("rm", "-r", "--json", "--exclude", "x", str(public / "in"))
    assert done.code == 1
    assert done.json[0] == {"url": str(public / "in/a")}
    assert [row["path"] for row in done.json[1:]] == [str(public / "in/dir/b")]
    assert harvest(public / "in") == {"dir/b": "2"}


@pytest.mark.parametrize("name", ["cp", "sync"])
def test_names_that_are_not_utf8(run, here, fs, name):
    plant(here / "in", a="1")
    (here / os.fsdecode(b"in/bad\xff")).write_text("2")
    for options in (["-n"], []):
        done = run(*command(name, *options))
        assert (done.code, done.err.count("in/bad\\udcff: its name is not valid UTF-8")) == (1, 2)
    assert stored(fs, "data/out") == {"a": "1"}
    assert run(*command(name, target="out")).code == 0
    assert sorted(os.listdir("out")) == ["a", "bad\udcff"]


@pytest.mark.parametrize("target", ["out", "cosv4://data/out"])
def test_mv_moves_no_links_that_are_skipped(run, source, fs, target):
    done = run("mv", "-r", "--skip-links", "in", target)
    assert (done.code, "2 links skipped" in done.out + done.err) == (0, True)
    assert sorted(path.name for path in source.iterdir()) == ["to_dir", "to_file"]
    assert (stored(fs, "data/out") if "data" in target else harvest(Path("out"))) == {"a": "1", "dir/b": "2"}
    # it would remove files outside of the source
    assert run("mv", "-r", "--follow-links", "in", target).code == 2
    (source / "to_dir").unlink()
    (source / "new").write_text("1")
    assert "of 1 file, 1 link skipped" in run("mv", "-r", "--skip-links", "in/", target).err
