"""cp, mv, rm, sync: what they change, what they refuse, and what they leave alone."""

import gc
import io
import os
import re
import signal
import subprocess
import tarfile
import threading
import time
import uuid
import zipfile

import fsspec
import pytest

from cosv4fs.emulator import faults
from tests.cli.conftest import harvest, plant, stored
from tests.filesystem.conftest import WIRES
from tests.support import MIB, content

PROTOCOLS = ("cosv4", "cosv3")

STRANGE = "sp ace/q*?[x]'\"# 中文.txt"


@pytest.fixture
def tree(here):
    """A folder with files, strange names, an empty file and an empty folder."""
    plant(here / "d", **{"a.txt": "hello", "zero": "", STRANGE: "?", "sub__s": "s"})
    (here / "d" / "empty").mkdir()
    return harvest(here / "d")


def test_cp_of_a_file(run, here, fs):
    plant(here, **{"a.txt": "hello"})
    told = run("cp", "a.txt", "cosv4://data/one").err
    assert told == f"copied {here}/a.txt to cosv4://data/one (5 B)\ncopied 1 of 1 file, 5 B\n"
    run("cp", "a.txt", "cosv4://data/into/")
    run("cp", "a.txt", "cosv4://data/into")
    run("cp", "cosv4://data/one", "cosv4://other/two")
    run("cp", "cosv4://data/one", "cosv4://data/deep/three")
    assert (stored(fs, "data"), stored(fs, "other")) == (
        {"one": "hello", "into/a.txt": "hello", "deep/three": "hello"},
        {"two": "hello"},
    )
    run("cp", "cosv4://data/one", "cosv4://data/into/a.txt", "back")
    run("cp", "cosv4://data/one", ".")
    run("cp", "a.txt", "local")
    assert harvest(here) == dict.fromkeys(["a.txt", "back/a.txt", "back/one", "local", "one"], "hello")


def test_cp_of_a_directory_by_the_rules_of_cp(run, here, fs, tree):
    inside = {f"d/{name}": text for name, text in tree.items()}
    run("cp", "-r", "d", "cosv4://data/new")
    assert stored(fs, "data/new") == tree
    run("cp", "-r", "d", "cosv4://data/new")
    assert stored(fs, "data/new") == tree | inside
    run("cp", "-r", "d/", "cosv4://data/what")
    run("cp", "-r", "d/", "cosv4://data/what/")
    assert stored(fs, "data/what") == tree
    run("cp", "-r", "d", "cosv4://other/")
    assert stored(fs, "other") == inside
    for source, target, expected in (
        ("cosv4://data/what", "back", tree),
        ("cosv4://data/what", "back2/", {f"what/{name}": text for name, text in tree.items()}),
        ("cosv4://data/what/", "back3/", tree),
    ):
        assert run("cp", "-r", source, target).code == 0
        assert harvest(here / target) == expected
    assert (here / "back" / "empty").is_dir()
    for target in ("cosv4://data/copy", "cosv4://other/copy"):
        run("cp", "-r", "cosv4://data/what", target)
        assert stored(fs, target[8:]) == tree
        assert fs.isdir(f"{target[8:]}/empty")


def test_cp_of_an_empty_directory(run, here, fs):
    (here / "empty").mkdir()
    assert run("cp", "-r", "empty", "cosv4://data/x").err == "copied 0 of 0 files, 0 B\n"
    assert fs.isdir("data/x")
    run("cp", "-r", "cosv4://data/x", "back")
    assert (here / "back").is_dir()
    assert run("cp", "-rn", "cosv4://data/x", "other").code == 0
    assert not (here / "other").exists()


def test_directories_that_cannot_be_created(run, here, fs):
    plant(here / "d", a="1")
    (here / "d" / "x:y").mkdir()
    (here / "d" / "x:y" / "f").write_text("2")
    assert run("cp", "-r", "d", "cosv4://data/cp").code == run("sync", "d", "cosv4://data/sync").code == 0
    assert stored(fs, "data") == {
        f"{top}/{name}": text for top in ("cp", "sync") for name, text in (("a", "1"), ("x:y/f", "2"))
    }
    (here / "d" / "x:y" / "empty").mkdir()
    done = run("cp", "-r", "d/", "cosv4://data/again")
    assert done.code == 1
    assert "cosv4://data/again/x:y/empty: an empty directory of this name cannot be created" in done.err
    assert stored(fs, "data/again") == {"a": "1", "x:y/f": "2"}


def test_cp_of_patterns_and_of_names_like_patterns(run, here, fs, tree):
    run("cp", "-r", "d/", "cosv4://data/d")
    run("cp", "cosv4://data/d/*.txt", "out/")
    assert harvest(here / "out") == {"a.txt": "hello"}
    run("cp", f"cosv4://data/d/{STRANGE}", "strange")
    assert (here / "strange").read_text() == "?"
    done = run("cp", "cosv4://data/d/*.none", "out/")
    assert (done.code, done.err) == (3, "cosv4fs cp: cosv4://data/d/*.none: the pattern has no match\n")


def test_cp_with_other_filesystems(run, here, fs, tree):
    memory = fsspec.filesystem("memory")
    try:
        run("cp", "-r", "d", "memory://cp-test/x")
        assert memory.cat_file("/cp-test/x/a.txt") == b"hello"
        assert run("cat", "memory://cp-test/x/sub/s").out == "s"
        run("cp", "-r", "memory://cp-test/x", "cosv4://data/x")
        assert stored(fs, "data/x") == tree
        assert run("sync", "memory://cp-test/x", "cosv4://data/x").err.endswith("copied 0, deleted 0, 4 unchanged\n")
    finally:
        memory.rm("/cp-test", recursive=True)


def test_cp_of_standard_input(run, here, fs):
    text = content(5 * MIB)
    assert run("cp", "-", "cosv4://data/in", data=text).err == "copied 5.0 MiB\n"
    assert fs.cat_file("data/in") == text
    assert run("--json", "cp", "-", "local", data=b"x").json["files"][0]["target"] == f"{here}/local"
    assert (here / "local").read_bytes() == b"x"
    assert run("cp", "-", "cosv4://data/dir/").code == 1
    assert run("cp", "-", "-", "cosv4://data/x").code == 2
    assert run("cp", "-n", "-", "cosv4://data/x", data=b"x").out == "would copy standard input to cosv4://data/x\n"
    assert not fs.exists("data/x")


def test_cp_of_a_pipe(run, here, fs):
    os.mkfifo(here / "pipe")
    writer = threading.Thread(target=(here / "pipe").write_bytes, args=(b"through",), daemon=True)
    writer.start()
    assert run("cp", "pipe", "cosv4://data/x").code == 0
    writer.join(30)
    assert fs.cat_file("data/x") == b"through"


def test_cp_says_what_it_would_do(run, here, fs):
    plant(here / "d", a="12", b="3")
    done = run("cp", "-rn", "d", "cosv4://data/d")
    assert done.out == f"would copy {here}/d/a to cosv4://data/d/a\nwould copy {here}/d/b to cosv4://data/d/b\n"
    assert done.err == "would copy 2 of 2 files, 3 B\n"
    assert run("--json", "cp", "-rn", "d", "cosv4://data/d").json["dry_run"] is True
    assert fs.find("data") == []


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cp", "d", "cosv4://data/x"], 1, "/d: it is a directory: copy it with -r"),
        (["cp", "none", "cosv4://data/x"], 3, "/none: No such file"),
        (["cp", "cosv4://data/none", "x"], 3, "cosv4://data/none: no such file"),
        (["cp", "d/a", "cosv4://nobucket/x"], 3, "cosv4://nobucket"),
        (["cp", "d/a", ""], 2, "the path is empty"),
        (["cp", "d/a", "d/a"], 1, "/d/a: source and target are the same file"),
        (["cp", "d/a", "d"], 1, "/d/a: source and target are the same file"),
        (["cp", "d/a", "link"], 1, "/d/a: source and target are the same file"),
        (["cp", "-r", "d/", "d"], 1, "are the same file"),
        (["cp", "-r", "d", "d/sub"], 1, "/d: a directory cannot be copied into itself, as "),
        (["cp", "cosv4://data/f", "cosv4://data/f"], 1, "cosv4://data/f: source and target are the same file"),
        (["cp", "-r", "cosv4://data/in", "cosv4://data/in/y"], 1, "a directory cannot be copied into itself"),
        (["cp", "d/a", "d/b", "cosv4://data/f"], 1, "cosv4://data/f: the target must be a directory, but is a file"),
        (["cp", "-r", "d", "cosv4://data/f"], 1, "cosv4://data/f: the target must be a directory, but is a file"),
        (["cp", "-r", "cosv4://data/in", "d/a"], 1, "/d/a: the target must be a directory, but is a file"),
        (["cp", "d/a", "d/sub/a", "cosv4://data/x"], 1, "/d/sub/a would both be copied to this path"),
        (["cp", "d/?", "d/sub/?", "cosv4://data/x"], 1, "/d/sub/a would both be copied to this path"),
        (["cp", "cosv4://data/in/x", "cosv4://data/full/in/x", "cosv4://data/full/in"], 1, "would both be copied to"),
        (["cp", "cosv4://data/f", "circle"], 1, "/circle: Too many levels of symbolic links"),
        (["mv", "d", "cosv4://data/x"], 1, "/d: it is a directory"),
        (["mv", "cosv4://data/in", "cosv4://data/x"], 1, "cosv4://data/in: it is a directory: move it with -r"),
        (["mv", "cosv4://data/none", "cosv4://data/x"], 3, "cosv4://data/none: no such file"),
        (["mv", "cosv4://data/f", "cosv4://data/f"], 1, "cosv4://data/f: source and target are the same"),
        (["mv", "-r", "cosv4://data/in", "cosv4://data/in/x"], 1, "a directory cannot be moved into itself"),
        (["mv", "-r", "cosv4://data/in", "cosv4://data/f"], 1, "cosv4://data/f: it is a file"),
        (["mv", "-r", "cosv4://data/in", "cosv4://data/full"], 1, "data/full/in: a directory with this name exists"),
        (["mv", "cosv4://data/full/in/in", "cosv4://data/full/in/in"], 1, "are the same"),
        (["mv", "-r", "cosv4://data", "cosv4://other/x"], 2, "cosv4://data: a bucket cannot be moved or removed"),
        (
            ["mv", "cosv4://data/", "cosv4://data/in/"],
            2,
            "its content: cosv4fs mv -r 'cosv4://data/*' cosv4://data/in/",
        ),
        (["rm", "cosv4://data"], 2, "to empty it: cosv4fs rm -r 'cosv4://data/*'"),
        (["rm", "-rf", "cosv4://data/"], 2, "to empty it: cosv4fs rm -r 'cosv4://data/*'"),
        (["rm", "-rn", "cosv4://data"], 2, "a bucket cannot be moved or removed"),
        (["rm", "-r", "cosv4://"], 2, "a bucket cannot be moved or removed"),
        (["rm", "-rn", "/"], 2, "the root directory"),
        (["rm", "-r", ""], 2, "the path is empty"),
        (["rm", "cosv4://data/in"], 1, "cosv4://data/in: it is a directory: remove it with -r"),
        (["rm", "cosv4://data/none"], 3, "cosv4://data/none: no such file"),
        (["sync", "d/a", "cosv4://data/in"], 1, "/d/a: sync compares directories"),
        (["sync", "--delete", "d/none", "cosv4://data/in"], 3, "/d/none: No such file"),
        (["sync", "--delete", "d", "d"], 1, "source and target are the same directory"),
        (["sync", "--delete", "d", "d/sub"], 1, "the target is inside the source"),
        (["sync", "--delete", "cosv4://data/in", "cosv4://data"], 1, "the source is inside the target"),
        (["sync", "--delete", "cosv4://data/in", "cosv4://data/in/"], 1, "the same directory"),
        (
            ["sync", "--delete", "cosv4://data/in", "cosv4://data/f"],
            1,
            "cosv4://data/f: the target must be a directory",
        ),
        (["sync", "--size-only", "--checksum", "d", "cosv4://data/in"], 2, "contradict"),
    ],
)
def test_what_is_refused_changes_nothing(run, here, fs, arguments, code, said):
    plant(here / "d", a="1", b="2", sub__a="3")
    (here / "link").symlink_to("d/a")
    (here / "circle").symlink_to("circle")
    fs.pipe({"data/in/x": b"x", "data/f": b"f", "data/full/in/in": b"y", "data/full/in/x": b"z"})

    def everything():
        """Local files, and objects with their checksums and times."""
        return harvest(here), fs.find("data", detail=True), fs.find("other")

    before = everything()
    done = run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert everything() == before


def test_one_failure_does_not_keep_the_others_from_being_copied(run, here, fs):
    plant(here / "d", a="1", b="22", c="3")
    (here / "d" / "broken").symlink_to("nowhere")
    (here / "d" / "folder").symlink_to(here)
    os.mkfifo(here / "d" / "pipe")
    done = run("cp", "-r", "d", "cosv4://data/d")
    assert done.code == 1
    assert stored(fs, "data/d") == {"a": "1", "b": "22", "c": "3"}
    lines = sorted(line for line in done.err.splitlines()[:-1] if line.startswith("cosv4fs"))
    assert [line.partition("/d/")[2].partition(":")[0] for line in lines] == ["broken", "folder", "pipe"]
    assert "links to directories are not followed" in lines[1]
    assert done.err.splitlines()[-1].startswith("cosv4fs cp: copied 3 of 6 files, 4 B, 3 failed; the first: ")
    found = run("--json", "cp", "-r", "d", "cosv4://data/d").json
    assert found["failed"] == 3
    assert {os.path.basename(row["source"]) for row in found["files"] if row["error"]} == {"broken", "folder", "pipe"}


def test_mv(run, fs):
    fs.pipe({"data/a": b"a", "data/b.txt": b"b", "data/c.txt": b"c", "data/d/x/y": b"y"})
    fs.mkdir("data/into")
    assert run("--json", "mv", "cosv4://data/a", "cosv4://data/into").json == {
        "files": [{"source": "cosv4://data/a", "target": "cosv4://data/into/a", "error": None}],
        "failed": 0,
        "dry_run": False,
    }
    assert run("mv", "cosv4://data/*.txt", "cosv4://data/new/").code == 0
    assert run("mv", "-r", "cosv4://data/d", "cosv4://data/into").code == 0
    assert run("mv", "-r", "cosv4://data/into/d/x", "cosv4://data/z").code == 0
    assert run("mv", "cosv4://data/into/a", "cosv4://other/a").code == 0
    assert stored(fs, "data") == {"new/b.txt": "b", "new/c.txt": "c", "z/y": "y"}
    assert stored(fs, "other") == {"a": "a"}
    assert run("mv", "cosv4://other/a", "cosv4://data/new/b.txt").code == 0
    assert fs.cat_file("data/new/b.txt") == b"a"


@pytest.mark.parametrize("arguments", [["cosv4://data/*/report"], ["-r", "cosv4://data/a/log", "cosv4://data/b/log"]])
def test_mv_of_two_things_to_one_path_moves_nothing(run, fs, arguments):
    before = {"a/report": "a", "b/report": "b", "a/log/1": "a", "b/log/1": "b"}
    fs.pipe({f"data/{name}": text.encode() for name, text in before.items()})
    done = run("mv", *arguments, "cosv4://data/all/")
    assert (done.code, "would both be moved to this path" in done.err) == (1, True)
    assert stored(fs, "data") == before


@pytest.fixture
def memory():
    """What other filesystems are like: their `rm` and `mv` take names for patterns."""
    fs = fsspec.filesystem("memory")
    top = f"/{uuid.uuid4().hex}"
    fs.pipe({f"{top}/{name}": name.encode() for name in ("r[1].csv", "r1.csv", "a*", "a1", "d[1]/x", "d1/x")})
    yield top
    fs.rm(top, recursive=True)


@pytest.mark.protocol("cosv4")
def test_names_like_patterns_mean_themselves_on_other_filesystems(run, memory):
    fs = fsspec.filesystem("memory")
    assert run("rm", f"memory:/{memory}/r[1].csv", f"memory:/{memory}/a*").code == 0
    assert fs.find(memory) == [f"{memory}/{name}" for name in ("a1", "d1/x", "d[1]/x", "r1.csv")]
    fs.pipe_file(f"{memory}/r[1].csv", b"again")
    assert run("mv", f"memory:/{memory}/r[1].csv", f"memory:/{memory}/new").code == 0
    assert (fs.cat_file(f"{memory}/new"), fs.cat_file(f"{memory}/r1.csv")) == (b"again", b"r1.csv")
    # the others are moved and removed
    assert run("rm", "-r", f"memory:/{memory}/d[1]", f"memory:/{memory}/a1").code == 2
    assert not fs.exists(f"{memory}/a1")
    for command in (["rm", "-r"], ["mv", "-r"]):
        target = [f"memory:/{memory}/e"] if "mv" in command else []
        done = run(*command, f"memory:/{memory}/d[1]", *target)
        assert (done.code, "treats the name as a pattern" in done.err) == (2, True)
    assert run("mv", "-r", f"memory:/{memory}/d1", f"memory:/{memory}/e").code == 0
    assert fs.exists(f"{memory}/e/x")


@pytest.mark.protocol("cosv4")
def test_mv_leaves_what_changed_while_it_was_copied(run, memory, monkeypatch):
    fs = fsspec.filesystem("memory")
    copy = fs.cp_file

    def copy_slowly(*paths):
        copy(*paths)
        fs.pipe_file(f"{memory}/r[1].csv", b"new")

    monkeypatch.setattr(fs, "cp_file", copy_slowly)
    done = run("mv", f"memory:/{memory}/r[1].csv", f"memory:/{memory}/moved")
    assert (done.code, "changed while it was copied" in done.err) == (1, True)
    assert (fs.cat_file(f"{memory}/r[1].csv"), fs.cat_file(f"{memory}/moved")) == (b"new", b"r[1].csv")


def test_mv_of_what_is_named_twice(run, fs):
    fs.pipe({"data/a": b"a", "data/b": b"b"})
    assert run("mv", "cosv4://data/a", "cosv4://data/*", "cosv4://data/into/").code == 0
    assert stored(fs, "data") == {"into/a": "a", "into/b": "b"}


@pytest.mark.protocol("cosv4")
def test_mv_uses_a_rename_that_takes_no_options(run, memory, monkeypatch):
    """As that of SFTP does."""
    fs = fsspec.filesystem("memory")
    moved = []
    monkeypatch.setattr(fs, "mv", lambda old, new: moved.append((old, new)))
    assert run("mv", f"memory:/{memory}/r1.csv", f"memory:/{memory}/b").code == 0
    assert moved == [(f"{memory}/r1.csv", f"{memory}/b")]


@pytest.mark.protocol("cosv4")
def test_mv_of_local_files(run, here):
    plant(here, a="1", d__x="2")
    assert run("mv", "a", "b").code == 0
    assert run("mv", "-r", "d", "e").code == 0
    assert harvest(here) == {"b": "1", "e/x": "2"}


def test_a_dry_run_of_rm_tells_a_total(run, fs):
    fs.pipe({"data/a": b"1", "data/d/x": b"22", "data/d/sub/y": b"333"})
    fs.mkdir("data/d/empty")
    assert run("rm", "-rn", "cosv4://data/d", "cosv4://data/a").err == "would remove 3 files, 6 B\n"
    assert run("rm", "-rn", "cosv4://data/d", "--include", "y").err == "would remove 1 file, 3 B\n"
    assert run("rm", "-n", "cosv4://data/a", "--min-size", "1").err == "would remove 1 file, 1 B\n"
    assert run("-q", "rm", "-rn", "cosv4://data/d").err == ""
    assert run("--json", "rm", "-rn", "cosv4://data/d").err == ""
    done = run("rm", "-n", "cosv4://data/none", "cosv4://data/a")
    assert (done.code, done.err.splitlines()[-1]) == (3, "would remove 1 file, 1 B")


def test_rm(run, fs):
    fs.pipe({"data/a": b"", "data/b.tmp": b"", "data/c.tmp": b"", "data/d/x": b"", "data/k": b""})
    assert run("rm", "-n", "cosv4://data/*.tmp").out == (
        "would remove cosv4://data/b.tmp\nwould remove cosv4://data/c.tmp\n"
    )
    assert run("rm", "-rn", "cosv4://data/d").out.splitlines() == [
        f"would remove {url}" for url in (*sorted(f"cosv4://{name}" for name in fs.find("data/d")), "cosv4://data/d")
    ]
    assert run("rm", "cosv4://data/none", "cosv4://data/a").code == 3
    assert run("rm", "-f", "cosv4://data/none").err == ""
    assert run("--json", "rm", "-r", "cosv4://data/*.tmp", "cosv4://data/d").json == [
        {"url": "cosv4://data/b.tmp"},
        {"url": "cosv4://data/c.tmp"},
        {"url": "cosv4://data/d"},
    ]
    assert stored(fs, "data") == {"k": ""}
    assert run("rm", "-r", "cosv4://data/*").code == 0
    assert fs.ls("data") == []


def test_rm_goes_on_after_what_cannot_be_removed_or_has_gone(run, fs):
    fs.pipe({f"data/{name}": b"" for name in ("a.tmp", "b.tmp/f", "c.tmp", "p/x1/x2", "p/x9", "p/y")})
    done = run("rm", "cosv4://data/*.tmp")
    assert (done.code, done.err.count("\n"), "b.tmp: it is a directory" in done.err) == (1, 1, True)
    assert run("rm", "-r", "cosv4://data/p/**/x*").err == ""
    assert stored(fs, "data") == {"b.tmp/f": "", "p/y": ""}


def test_cp_of_what_is_named_twice(run, here, fs):
    plant(here / "d", a="a", b="b")
    done = run("cp", "d/a", "d/*", "cosv4://data/new")
    assert (done.code, done.err.splitlines()[-1]) == (0, "copied 2 of 2 files, 2 B")
    assert stored(fs, "data/new") == {"a": "a", "b": "b"}


def test_cp_writes_through_a_link_that_is_named(run, here, fs):
    fs.pipe({"data/f": b"new", "data/d/f": b"newer"})
    plant(here, old="old", victim="victim")
    (here / "d").mkdir()
    for link, goal in (("link", "old"), ("dangling", "made"), ("d/f", "../victim")):
        (here / link).symlink_to(goal)
    for source in ("cosv4://data/f", "local"):
        plant(here, local="new", old="old")
        for link in ("link", "dangling"):
            assert run("cp", source, link).code == 0
            assert (here / link).is_symlink()
            assert (here / link).read_text() == "new"
    assert (here / "old").read_text() == (here / "made").read_text() == "new"
    # in a directory, the service would choose the link
    for arguments in (
        ["cp", "-r", "cosv4://data/d", "."],
        ["cp", "cosv4://data/d/f", "d"],
        ["sync", "cosv4://data/d", "d"],
    ):
        assert run(*arguments).code == 0
        assert not (here / "d/f").is_symlink()
        assert (here / "d/f").read_text() == "newer"
        (here / "d/f").unlink()
        (here / "d/f").symlink_to("../victim")
    assert (here / "victim").read_text() == "victim"


@pytest.mark.protocol("cosv4")
def test_other_filesystems_get_the_directories_that_they_need(run, here, fs, monkeypatch):
    """As SFTP does, which has files only where directories are."""
    other = fsspec.filesystem("memory")
    made, top = [], uuid.uuid4().hex
    monkeypatch.setattr(other, "makedirs", lambda path, exist_ok=False: made.append((path, exist_ok)))
    fs.pipe_file("data/d/sub/a", b"a")
    assert run("cp", "-r", "cosv4://data/d", f"memory://{top}").code == 0
    assert made == [(f"/{top}/sub", True)]
    other.rm(f"/{top}", recursive=True)


def test_dry_runs_tell_what_will_be_refused(run, here):
    plant(here / "d", a="1", sub__b="2")
    (here / "d" / "link").symlink_to("sub")
    for command in (["cp", "-rn", "d/"], ["sync", "-n", "d"]):
        done = run(*command, "cosv4://data/t")
        assert (done.code, "link" in done.out, "links to directories are not followed" in done.err) == (1, False, True)


def test_sync_says_where_only_sizes_could_be_compared(run, here, monkeypatch):
    plant(here / "d", a="1")
    run("sync", "d", "cosv4://data/t")
    monkeypatch.setattr("cosv4fs.migrate.infos.modification_time", lambda _info: None)
    assert "compared 1 by size only" in run("sync", "d", "cosv4://data/t").err
    assert run("--json", "sync", "d", "cosv4://data/t").json["undated"] == 1
    assert run("sync", "--size-only", "d", "cosv4://data/t").err.count("\n") == 1


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_an_archive_is_written_by_one_thread(run, here, jobs):
    """Every instance that writes it would begin it anew."""
    names = {f"f{number}": chr(97 + number) * 200_000 for number in range(6)}
    plant(here / "d", **names)
    assert run("-o", "zip.mode=w", "cp", "-r", "-j", jobs, "d/", f"zip://::{here}/o.zip").code == 0
    gc.collect()
    with zipfile.ZipFile(here / "o.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == names
    done = run("-o", "zip.mode=w", "migrate", "d", f"zip://::{here}/other.zip")
    assert (done.code, "copy to it with cp -r" in done.err) == (2, True)


@pytest.mark.protocol("cosv4")
def test_many_threads_read_one_archive(run, here, fs):
    """Archives are for one thread at a time: shared, they would mix up contents."""
    with tarfile.open(here / "a.tar", "w") as file:
        for number in range(16):
            info = tarfile.TarInfo(f"d/f{number:02}")
            info.size = 300_000
            file.addfile(info, io.BytesIO(bytes([number]) * info.size))
    assert run("cp", "-r", f"tar://d::{here}/a.tar", "cosv4://data/t").code == 0
    assert {name: fs.cat_file(name) for name in fs.find("data/t")} == {
        f"data/t/f{number:02}": bytes([number]) * 300_000 for number in range(16)
    }


@pytest.mark.parametrize("target", ["cosv4://data/s", "there"])
def test_sync_twice_and_both_ways_copies_nothing_more(run, here, fs, tree, target):
    for name in ("a.txt", "zero"):
        os.utime(here / "d" / name, (1_500_000_000, 1_500_000_000))
    done = run("sync", "d", target)
    assert done.code == 0
    *copied, last = done.err.splitlines()
    assert last == "copied 4 (7 B), deleted 0, 0 unchanged"
    assert min(copied) == f"copied {here}/d/a.txt to {target if ':' in target else here / target}/a.txt (new, 5 B)"
    for source, goal in (("d", target), (target, "d"), ("d", target), (target, "d")):
        again = run("sync", "--delete", source, goal)
        assert (again.out, again.err) == ("", "copied 0, deleted 0, 4 unchanged\n")
    assert harvest(here / "d") == tree


def test_sync_copies_what_changed_afterwards(run, here, fs):
    plant(here / "d", same="1", longer="1", changed="1", touched="1")
    run("sync", "d", "cosv4://data/d")
    plant(here / "d", longer="22", changed="2")
    later = time.time() + 100
    for name in ("changed", "touched"):
        os.utime(here / "d" / name, (later, later))
    rows = run("--json", "sync", "-n", "d", "cosv4://data/d").json
    assert {os.path.basename(row["source"]): row["reason"] for row in rows["copies"]} == {
        "changed": "newer",
        "longer": "size",
    }
    assert (rows["same"], rows["dry_run"]) == (2, True)
    assert fs.cat_file("data/d/longer") == b"1"
    only = run("--json", "sync", "-n", "--size-only", "d", "cosv4://data/d").json["copies"]
    assert [row["reason"] for row in only] == ["size"]
    os.utime(here / "d" / "changed", (0, 0))
    sums = run("--json", "sync", "--checksum", "d", "cosv4://data/d").json["copies"]
    assert sorted(row["reason"] for row in sums) == ["content", "size"]
    assert stored(fs, "data/d") == harvest(here / "d")


def test_sync_gives_local_copies_the_time_of_their_source(run, here, fs):
    fs.pipe_file("data/d/a", b"new")
    plant(here / "d", a="old")
    os.utime(here / "d" / "a", (0, 0))
    assert "(newer, 3 B)" in run("sync", "cosv4://data/d", "d").err
    assert (here / "d" / "a").read_text() == "new"
    assert (here / "d" / "a").stat().st_mtime == fs.info("data/d/a")["mtime"]


def test_sync_deletes_when_told(run, here, fs):
    plant(here / "d", a="1")
    fs.pipe({"data/d/a": b"1", "data/d/gone": b"", "data/d/sub/gone": b""})
    assert run("sync", "d", "cosv4://data/d").code == 0
    assert len(fs.find("data/d")) == 3
    would = run("sync", "--delete", "-n", "d", "cosv4://data/d")
    assert would.out == "would delete cosv4://data/d/gone\nwould delete cosv4://data/d/sub/gone\n"
    assert len(fs.find("data/d")) == 3
    done = run("--json", "sync", "--delete", "d", "cosv4://data/d").json
    assert sorted(done["deletions"]) == ["cosv4://data/d/gone", "cosv4://data/d/sub/gone"]
    assert stored(fs, "data/d") == {"a": "1"}


@pytest.mark.parametrize("as_json", [False, True])
def test_sync_deletes_nothing_when_a_copy_failed(run, here, fs, emulator, as_json):
    plant(here / "d", a="1", b="2")
    fs.pipe_file("data/d/only-copy", b"")
    emulator.faults.add(op="upload", path="/d/a", action=faults.Refuse(-97), times=100)
    done = run(*(["--json"] if as_json else []), "sync", "--delete", "d", "cosv4://data/d")
    assert done.code == 4
    assert done.err.splitlines()[-1].startswith(
        "cosv4fs sync: nothing was deleted, because not everything was copied, 1 failed; the first: cosv4://data/d/a: "
    )
    assert "only-copy" not in done.out
    if as_json:
        assert (done.json["deletions"], done.json["failed"]) == ([], 1)
    assert stored(fs, "data/d") == {"b": "2", "only-copy": ""}


def test_sync_deletes_nothing_when_the_source_cannot_be_listed(run, here, fs, monkeypatch):
    plant(here / "d", sub__a="1")
    fs.pipe({"data/d/sub/a": b"1", "data/d/b": b""})
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("/sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = run("sync", "--delete", "d", "cosv4://data/d")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"cosv4fs sync: {here}/d/sub/: it cannot be listed: Permission denied\n")
    assert "nothing was deleted, because not everything was copied" in done.err
    assert len(fs.find("data/d")) == 2


def test_sync_of_a_file_that_vanishes_deletes_nothing(run, here, fs, emulator):
    plant(here / "d", a="1", b="2")
    fs.pipe_file("data/d/only-copy", b"")
    emulator.faults.add(
        op="list",
        action=faults.Action(),
        match=lambda _call: (here / "d" / "a").unlink(missing_ok=True) and False,
        times=100,
    )
    done = run("sync", "-j", "1", "--delete", "d", "cosv4://data/d")
    assert done.code == 3
    assert fs.exists("data/d/only-copy")


def await_hits(fault, count, process):
    for _ in range(3000):
        if fault.hits >= count or process.poll() is not None:
            break
        threading.Event().wait(0.02)
    assert fault.hits >= count, process.stderr.read() if process.poll() is not None else fault


def await_answers(wire, emulator, count):
    """Wait until so many slices were stored, and told so: those before the first that stalls."""
    for _ in range(3000):
        if sum(request.code == 0 for request in wire.slices(emulator)) >= count:
            return
        threading.Event().wait(0.02)
    raise AssertionError(wire.slices(emulator))


def interrupted(process, number=signal.SIGINT):
    process.send_signal(number)
    # what is in flight stalls until the end of the test: it could not end by itself
    try:
        out, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        # faulthandler tells where it hangs
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err.decode()
    assert out == b""
    return err.decode()


@pytest.fixture
def stall():
    release = threading.Event()
    yield faults.Stall(release)
    release.set()


def test_control_c_and_the_rest_of_the_upload(start, run, here, fs, emulator, stall, protocol):
    (here / "big").write_bytes(content(20 * MIB))
    wire = WIRES[protocol]
    fault = emulator.faults.add(op=wire.slice, nth=3 + wire.before, times=1000, action=stall)
    process = start("cp", "big", "cosv4://data/big")
    # v3's slices go one after another
    await_hits(fault, 1 if wire.before else 2, process)
    await_answers(wire, emulator, 2)
    err = interrupted(process).splitlines()
    hint = f"to resume, repeat the command or run cosv4fs uploads resume {protocol}://"
    assert re.fullmatch(rf"copied 0 of 1 file, [0-9.]+ MiB of 20.0 MiB before the interrupt; {hint}", err[0])
    assert err[1:] == ["cosv4fs cp: interrupted"]
    came = {request.offset for request in wire.slices(emulator) if request.code == 0}
    # now: what stalls is stored when it is let go, and an upload with all its slices looks complete
    assert not fs.exists("data/big")
    emulator.clear_requests()
    stall.release.set()
    emulator.faults.clear()
    assert run("uploads", "resume", "cosv4://").out == f"uploaded {here}/big to cosv4://data/big\n"
    assert fs.cat_file("data/big") == content(20 * MIB)
    # those that had come are not sent again
    again = {request.offset for request in wire.slices(emulator)}
    assert len(came) == 2
    assert not came & again


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize(
    ("command", "direction", "number"),
    [
        ("cp -r", "up", signal.SIGINT),
        ("cp -r", "down", signal.SIGINT),
        ("sync", "down", signal.SIGHUP),
        ("migrate", "down", signal.SIGTERM),
    ],
)
def test_signals_end_many_copies(start, here, fs, emulator, stall, command, direction, number):
    data = content(5 * MIB)
    if direction == "up":
        (here / "d").mkdir()
        for name in "0123":
            (here / "d" / name).write_bytes(data)
        operation, source, target = "upload_slice_data", "d", "cosv4://data/new"
    else:
        fs.pipe({f"data/d/{name}": data for name in "0123"})
        operation, source, target = "download", "cosv4://data/d", "new"
    fault = emulator.faults.add(op=operation, nth=2, times=1000, action=stall)
    process = start(*command.split(), source, target, named_parts=True)
    await_hits(fault, 2, process)
    reason = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert interrupted(process, number).splitlines()[-1] == f"cosv4fs {command.split()[0]}: {reason}"
    assert not list((here / "new").rglob("*.cosv4fs-part"))


@pytest.mark.protocol("cosv4")
def test_an_upload_that_a_signal_ended_is_resumed(start, run, here, fs, emulator, stall):
    (here / "big").write_bytes(content(20 * MIB))
    fault = emulator.faults.add(op="upload_slice_data", nth=3, times=1000, action=stall)
    process = start("cp", "big", "cosv4://data/big")
    await_hits(fault, 2, process)
    err = interrupted(process, signal.SIGTERM).splitlines()
    assert "before the interrupt; to resume, repeat the command" in err[0]
    emulator.faults.clear()
    stall.release.set()
    assert run("uploads", "resume", "cosv4://").out == f"uploaded {here}/big to cosv4://data/big\n"
    assert fs.cat_file("data/big") == content(20 * MIB)


@pytest.mark.protocol("cosv4")
def test_signals_that_are_ignored_stay_ignored(start, here, fs, emulator, stall):
    fs.pipe("data/f", b"x")
    fault = emulator.faults.add(op="download", nth=1, action=stall)
    process = start("cp", "cosv4://data/f", "f", ignored=[signal.SIGHUP])
    await_hits(fault, 1, process)
    process.send_signal(signal.SIGHUP)
    stall.release.set()
    assert process.wait(30) == 0
    assert (here / "f").read_bytes() == b"x"


def test_patterns_do_not_match_files_that_are_still_written(run, here, fs):
    plant(here / "d", a="a")
    name = f".a.{'0' * 16}.cosv4fs-part"
    plant(here / "d", **{name: "half"})
    fs.pipe("data/f", b"f")
    assert run("cp", f"{here}/d/*", "cosv4://data/new/").code == 0
    assert run("cp", f"{here}/d/.*", "cosv4://data/new/").code == 3
    fs.put(f"{here}/d/*", "data/put/")
    fs.put(f"{here}/d/.*", "data/put/")
    assert fs.find("data") == ["data/f", "data/new/a", "data/put/a"]
    # one that is named in full is a file like others
    assert run("cp", here / "d" / name, "cosv4://data/named").code == 0
    assert fs.cat_file("data/named") == b"half"


@pytest.mark.protocol("cosv4")
class TestStandardOutput:
    @pytest.fixture(autouse=True)
    def files(self, here, fs):
        fs.pipe({"data/d/big": content(5 * MIB), "data/d/f": b"\xff\n", "data/e[1]": b"", "data/x.csv": b"x"})
        (here / "local").write_bytes(b"local")

    def test_it_gets_the_file_and_nothing_else(self, start):
        process = start("--progress", "cp", "cosv4://data/d/big", "-")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, content(5 * MIB))
        assert err.decode().splitlines()[-1] == "copied 5.0 MiB"

    @pytest.mark.parametrize(
        ("source", "expected"), [("cosv4://data/e[1]", ""), ("cosv4://data/*.csv", "x"), ("local", "local")]
    )
    def test_files_of_any_name(self, run, source, expected):
        done = run("--progress", "cp", source, "-")
        assert (done.code, done.out) == (0, expected)
        assert done.err.splitlines()[-1] == f"copied {len(expected)} B"

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["cp", "cosv4://data/d/f", "cosv4://data/x.csv", "-"], 2, "use cosv4fs cat for several"),
            (["cp", "cosv4://data/d/*", "-"], 2, "use cosv4fs cat for several"),
            (["cp", "-r", "cosv4://data/d", "-"], 2, "use cosv4fs cat for several"),
            (["cp", "cosv4://data/d", "-"], 1, "cosv4://data/d: it is a directory"),
            (["cp", "cosv4://data/none", "-"], 3, "cosv4://data/none: no such file"),
            (["cp", "-", "-"], 2, "name a file on one side"),
        ],
    )
    def test_what_it_cannot_get(self, run, here, arguments, code, said):
        done = run(*arguments)
        assert (done.code, done.out, said in done.err) == (code, "", True), done.err
        assert os.listdir(here) == ["local"]

    def test_a_dry_run_only_tells(self, run):
        assert run("cp", "-n", "cosv4://data/d/f", "-").out == "would copy cosv4://data/d/f to standard output\n"

    @pytest.mark.parametrize("target", ["-", "/dev/stdout"])
    def test_a_reader_that_goes_away_is_no_failure(self, start, target):
        process = start("cp", "cosv4://data/d/big", target)
        assert process.stdout.read(1) == content(5 * MIB)[:1]
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such file here")
    def test_errors_name_what_is_written_to(self, run, start):
        assert run("cp", "cosv4://data/d/f", "/dev/full").err == "cosv4fs cp: /dev/full: No space left on device\n"
        for command in (["cp", "cosv4://data/d/big", "-"], ["cat", "cosv4://data/d/f"], ["ls", "cosv4://data/d"]):
            with open("/dev/full", "wb") as full:
                process = start(*command, stdout=full)
                assert process.wait(60) == 1
            said = process.stderr.read().decode()
            assert said == f"cosv4fs {command[0]}: standard output: No space left on device\n"

    def test_another_content_than_the_service_has_stored_is_a_failure(self, start, emulator):
        emulator.faults.add(op="download", times=10, action=faults.Corrupt(100))
        process = start("cp", "cosv4://data/d/big", "-")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "cosv4://data/d/big" in err.decode()
        assert "SHA-1" in err.decode()

    @pytest.mark.parametrize(("source", "target"), [("cosv4://data/d/f", "link"), ("copy", "/dev/stdout")])
    def test_its_file_is_written_into(self, start, here, source, target):
        (here / "copy").write_bytes(b"\xff\n")
        (here / "link").symlink_to("/dev/fd/1")
        with open(here / "out", "wb", buffering=0) as out:
            out.write(b"before ")
            assert start("cp", source, target, stdout=out).wait(60) == 0
            out.write(b"after")
        assert (here / "out").read_bytes() == b"before \xff\nafter"
        assert (here / "link").is_symlink()


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize(
    ("closed", "arguments", "code", "said"),
    [
        (1, ["--json", "cp", "local", "cosv4://data/new"], 1, "cosv4fs cp: standard output: it is closed"),
        (1, ["-q", "cp", "local", "cosv4://data/new"], 0, ""),
        (1, ["cp", "cosv4://data/f", "/dev/stdout"], 1, "cosv4fs cp: /dev/stdout: it is not open for writing"),
        (0, ["cp", "-", "cosv4://data/new"], 1, "cosv4fs cp: standard input is closed"),
        (0, ["cp", "/dev/stdin", "cosv4://data/new"], 1, "cosv4fs cp: /dev/stdin: No such device or address"),
        (2, ["--progress", "cp", "local", "cosv4://data/new"], 0, ""),
        (2, ["-vv", "cp", "cosv4://data/none", "x"], 3, ""),
    ],
)
def test_standard_streams_that_are_closed(start, here, fs, closed, arguments, code, said):
    (here / "local").write_bytes(b"local")
    fs.pipe("data/f", b"f")
    process = start(*arguments, closed=closed)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.decode().strip()) == (code, b"", said)
    if code == 0:
        assert fs.cat_file("data/new") == b"local"
    assert sorted(os.listdir(here)) == ["local"]


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize(
    "arguments",
    [
        ["cp", "cosv4://data/f", "-"],
        ["cat", "cosv4://data/f"],
        ["ls", "cosv4://data"],
        ["ls", "--json", "."],
        ["stat", "cosv4://data/f", "cosv4://data"],
    ],
    ids=" ".join,
)
def test_what_only_writes_to_standard_output(run, fs, monkeypatch, arguments):
    fs.pipe("data/f", b"f")
    # as Python has it in a process where it is closed
    monkeypatch.setattr("sys.stdout", None)
    done = run(*arguments)
    assert (done.code, done.err) == (1, f"cosv4fs {arguments[0]}: standard output: it is closed\n")


@pytest.mark.protocol("cosv4")
def test_s3(run, here, fs, s3_options):
    """Another object store as the other side, with options of its own."""
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    plant(here / "d", a="1", sub__b="2")
    name = "command-line"
    fsspec.filesystem("s3", **s3_options).mkdir(name)
    assert run(*settings, "cp", "-r", "d", f"s3://{name}/d").code == 0
    assert run(*settings, "sync", f"s3://{name}/d", "cosv4://data/d").code == 0
    assert stored(fs, "data/d") == {"a": "1", "sub/b": "2"}
    assert run(*settings, "sync", f"s3://{name}/d", "cosv4://data/d").err == "copied 0, deleted 0, 2 unchanged\n"
    assert run(*settings, "ls", "-R", f"s3://{name}/d").out.splitlines()[0] == f"s3://{name}/d/a"
    assert run(*settings, "cp", f"s3://{name}/none", "x").code == 3
    assert run(*settings, "-vv", "cat", f"s3://{name}/d/a").out == "1"
