"""ls, tree, du, stat, cat, sign: what they show, and what they say when they cannot."""

import re
import time

import pytest
import requests

from cosv4fs.cli.output import printable
from cosv4fs.emulator.faults import Refuse
from tests.cli.conftest import plant
from tests.support import MIB

PROTOCOLS = ("cosv4", "cosv3")

STRANGE = "q*?[x]'\"# 中文.txt"


@pytest.fixture
def files(fs):
    contents = {"data/in/a.csv": b"12345", "data/in/b.txt": b"", "data/in/sub/c.csv": bytes(2048)}
    fs.pipe({**contents, f"data/in/{STRANGE}": b"?"})
    fs.mkdir("data/in/empty")
    return contents


def test_ls(run, files):
    assert run("ls", "cosv4://data/in").out.splitlines() == [
        "cosv4://data/in/a.csv",
        "cosv4://data/in/b.txt",
        "cosv4://data/in/empty/",
        f"cosv4://data/in/{STRANGE}",
        "cosv4://data/in/sub/",
    ]
    assert run("ls", "cosv4://data/in/").out == run("ls", "cosv4://data/in").out
    assert run("ls", "-d", "cosv4://data/in").out == "cosv4://data/in/\n"
    assert run("ls", "cosv4://data/in/a.csv", "cosv4://data/in/*.txt").out.splitlines() == [
        "cosv4://data/in/a.csv",
        "cosv4://data/in/b.txt",
        f"cosv4://data/in/{STRANGE}",
    ]
    assert run("ls", f"cosv4://data/in/{STRANGE}").out == f"cosv4://data/in/{STRANGE}\n"
    assert "cosv4://data/in/sub/c.csv" in run("ls", "-R", "cosv4://data").out.splitlines()
    assert run("ls", "cosv4://data/in/empty").out == ""


def test_ls_with_sizes_and_times(run, files):
    long = {
        line.split()[-1]: line for line in run("ls", "-l", "cosv4://data/in/sub", "cosv4://data/in").out.splitlines()
    }
    assert re.fullmatch(r" +2048  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  cosv4://.*c.csv", long["cosv4://data/in/sub/c.csv"])
    assert re.match(r" +-  ", long["cosv4://data/in/sub/"])
    assert "       2.0 KiB  " in run("ls", "-lh", "cosv4://data/in/sub").out


def test_times_are_those_of_the_zone(run, files, monkeypatch):
    def hours(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        day, clock = run("ls", "-l", "cosv4://data/in/a.csv").out.split()[1:3]
        return time.mktime(time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S")), clock

    try:
        here, clock = hours("UTC0")
        there, other = hours("XST-5:30")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert here == there
    assert clock != other


@pytest.mark.protocol("cosv4")
def test_local_files_are_sorted(run, here):
    plant(here, b="", a="", c__d="")
    assert run("ls", ".").out.splitlines() == [f"{here}/a", f"{here}/b", f"{here}/c/"]


def test_json_of_listings(run, files):
    rows = run("--json", "ls", "cosv4://data/in").json
    assert [set(row) for row in rows] == [{"url", "type", "size", "modified"}] * 5
    assert rows[0] | {"modified": 0} == {"url": "cosv4://data/in/a.csv", "type": "file", "size": 5, "modified": 0}
    assert run("--json", "ls", "cosv4://data/in/empty").json == []
    (row,) = (row for row in run("--json", "tree", "cosv4://data/in").json if row["name"] == "sub")
    assert [child["name"] for child in row["children"]] == ["c.csv"]
    assert "children" not in run("--json", "tree", "-L", "1", "cosv4://data").json[0]
    assert run("--json", "du", "-s", "cosv4://data/in").json == [{"url": "cosv4://data/in", "size": 2054, "files": 4}]
    (info,) = run("--json", "stat", "cosv4://data/in/a.csv").json
    assert (info["url"], info["size"], type(info["mtime"])) == ("cosv4://data/in/a.csv", 5, float)


def test_tree(run, fs):
    fs.pipe({"data/t/a": b"", "data/t/b/c": b"", "data/t/d/e": b""})
    assert run("tree", "cosv4://data/t").out == (
        "cosv4://data/t\n├── a\n├── b\n│   └── c\n└── d\n    └── e\n\n2 directories, 3 files\n"
    )
    assert run("tree", "-L", "1", "cosv4://data/t").out.endswith("├── a\n├── b\n└── d\n\n2 directories, 1 file\n")


def test_du(run, files):
    lines = [line.split() for line in run("du", "cosv4://data/in").out.splitlines()]
    assert lines == [["2054", "4", "files", "cosv4://data/in"], ["2048", "1", "file", "cosv4://data/in/sub"]]
    assert run("du", "-hs", "cosv4://data").out.split()[:3] == ["2.0", "KiB", "4"]
    assert run("du", "cosv4://data/in/empty").out.split()[:2] == ["0", "0"]


@pytest.mark.parametrize(("depth", "expected"), [(0, {"": 10}), (1, {"": 10, "/a": 7, "/b": 2}), (9, None)])
def test_du_shows_as_many_levels_as_asked_for(run, fs, depth, expected):
    fs.pipe({"data/t/x": b"1", "data/t/a/y": b"22", "data/t/a/b/c/z": b"55555", "data/t/b/z": b"22"})
    rows = run("--json", "du", "-d", depth, "cosv4://data/t").json
    found = {row["url"].removeprefix("cosv4://data/t"): row["size"] for row in rows}
    assert found == (expected or {"": 10, "/a": 7, "/a/b": 5, "/a/b/c": 5, "/b": 2})
    assert run("du", "-s", "-d", "1", "cosv4://data/t").code == 2


def test_stat(run, files, fs):
    done = run("stat", "cosv4://data/in/a.csv", "cosv4://data/in")
    first, second = done.out.split("\n\n")
    assert f"sha: {fs.info('data/in/a.csv')['sha']}" in first
    assert re.search(r"^mtime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d$", first, re.MULTILINE)
    assert "type: directory\n" in second


def test_cat(run, files):
    assert run("cat", "cosv4://data/in/a.csv", "cosv4://data/in/b.txt", f"cosv4://data/in/{STRANGE}").out == "12345?"
    for span, expected in (("1:3", "23"), ("-2:", "45"), (":2", "12"), ("100:200", "")):
        assert run("cat", f"--range={span}", "cosv4://data/in/a.csv").out == expected
    assert run("cat", "--range", "x", "cosv4://data/in/a.csv").code == 2


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("command", [["cat"], ["--json", "ls", "-R"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_failure(start, fs, command):
    """More is written than a pipe holds."""
    if "ls" in command:
        fs.pipe({f"data/x/{'n' * 200}/{'n' * 200}/{'n' * 200}{number}": b"" for number in range(150)})
    else:
        fs.pipe_file("data/x", bytes(5 * MIB))
    process = start(*command, "cosv4://data/x")
    process.stdout.read(1)
    process.stdout.close()
    error = process.stderr.read().decode()
    assert (process.wait(60), error) == (0, "")


def test_a_signed_url_reads_the_file(run, files):
    url = run("sign", "cosv4://data/in/a.csv").out.strip()
    assert requests.get(url, timeout=30).content == b"12345"
    signed = run("--json", "sign", "--expires", 60, "cosv4://data/in/a.csv").json
    assert (signed["url"], signed["expires"]) == ("cosv4://data/in/a.csv", 60)
    assert requests.get(signed["signed"], timeout=30).content == b"12345"


@pytest.mark.parametrize("command", ["ls", "tree", "du", "stat", "cat", "sign"])
@pytest.mark.parametrize("path", ["data/none", "nobucket/x"])
def test_what_is_not_there(run, command, path):
    done = run(command, f"cosv4://{path}")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"cosv4fs {command}: cosv4://{path}: no such ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cat", "cosv4://data/in"], 1, "this is a directory"),
        (["cat", "cosv4://data"], 1, "cosv4://data: a bucket is not a file"),
        (["sign", "cosv4://data/in"], 1, "only files can be signed"),
        (["tree", "cosv4://data/in/a.csv"], 1, "it is a file"),
        (["ls", "cosv4://data/in/*.none"], 3, "the pattern has no match"),
        (["ls", "cosv4://"], 2, "the JSON API cannot list buckets"),
        (["ls", ""], 2, "the path is empty"),
        (["ls", "nosuch://x"], 2, "nosuch"),
        (["sign", "memory://x"], 3, "x"),
        (["cat", "nofile"], 3, "/nofile: No such file"),
    ],
)
def test_failures_name_path_and_cause(run, files, arguments, code, said):
    done = run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.splitlines()[-1].startswith(f"cosv4fs {arguments[0]}: ")


@pytest.mark.protocol("cosv4")
def test_what_cannot_be_signed(run, here):
    plant(here, a="")
    done = run("sign", "a")
    assert done.code == 2
    assert "Error: a: this filesystem does not support signed URLs" in done.err


def test_names_cannot_command_a_terminal():
    assert printable("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\u202ec\\nd"
    assert printable(f"{STRANGE}\u3000é") == f"{STRANGE}\u3000é"


@pytest.fixture
def deep(fs):
    """A tree in which an order by whole paths would part a directory and what is in it."""
    fs.pipe(
        {f"data/t/{name}": b"1" * size for size, name in enumerate(("d/b/c", "d/a", "d-x/y", "d.txt", "e/f/g/h"), 1)}
    )
    fs.mkdir("data/t/d/empty")


def test_what_is_in_a_directory_comes_right_behind_it(run, deep):
    names = [line.removeprefix("cosv4://data/t/") for line in run("ls", "-R", "cosv4://data/t").out.splitlines()]
    assert names == [
        "d/", "d/a", "d/b/", "d/b/c", "d/empty/", "d-x/", "d-x/y", "d.txt", "e/", "e/f/", "e/f/g/", "e/f/g/h"
    ]  # fmt: skip
    assert [row["size"] for row in run("--json", "ls", "-R", "cosv4://data/t/e").json] == [0, 0, 5]
    assert run("tree", "cosv4://data/t").out.splitlines()[1:] == [
        "├── d",
        "│   ├── a",
        "│   ├── b",
        "│   │   └── c",
        "│   └── empty",
        "├── d-x",
        "│   └── y",
        "├── d.txt",
        "└── e",
        "    └── f",
        "        └── g",
        "            └── h",
        "",
        "7 directories, 5 files",
    ]


def test_a_tree_as_json(run, deep):
    def names(rows):
        assert all(row["url"].endswith(f"/{row['name']}") for row in rows)
        return {row["name"]: names(row["children"]) if "children" in row else row["size"] for row in rows}

    whole = {"d": {"a": 2, "b": {"c": 1}, "empty": {}}, "d-x": {"y": 3}, "d.txt": 4, "e": {"f": {"g": {"h": 5}}}}
    assert names(run("--json", "tree", "cosv4://data/t").json) == whole
    assert names(run("--json", "tree", "-L", "2", "cosv4://data/t").json) == {
        "d": {"a": 2, "b": 0, "empty": 0}, "d-x": {"y": 3}, "d.txt": 4, "e": {"f": 0}
    }  # fmt: skip
    assert run("--json", "tree", "cosv4://data/t/d/empty").json == []
    done = run("tree", "cosv4://data/t/d.txt")
    assert (done.code, "it is a file: use ls or stat" in done.err) == (1, True)


def test_sums_of_directories_in_directories(run, deep):
    sums = {
        row["url"].removeprefix("cosv4://data/t"): row["size"] for row in run("--json", "du", "cosv4://data/t").json
    }
    assert sums == {"": 15, "/d": 3, "/d/b": 1, "/d-x": 3, "/e": 5, "/e/f": 5, "/e/f/g": 5}
    assert run("du", "cosv4://data/t/d.txt").out.split() == ["4", "1", "file", "cosv4://data/t/d.txt"]


def test_only_what_is_shown_is_listed(run, deep, emulator):
    emulator.clear_requests()
    run("tree", "-L", "1", "cosv4://data/t")
    run("ls", "cosv4://data/t")
    assert {request.path for request in emulator.requests} == {"/t/"}


@pytest.mark.parametrize("command", [["ls", "-R"], ["du"], ["tree"]], ids=lambda command: command[0])
def test_a_directory_that_cannot_be_listed_does_not_hide_the_others(run, deep, emulator, command):
    emulator.faults.add(op="list", path="/t/d/b/", action=Refuse(-96), times=None)
    done = run(*command, "cosv4://data/t")
    assert (done.code, "cosv4://data/t/d/b: it cannot be listed" in done.err) == (1, True)
    assert "e/f" in done.out or "└── h" in done.out


def test_filters_of_listings(run, deep):
    assert run("ls", "-R", "--include", "[ac]", "cosv4://data/t").out.split() == [
        "cosv4://data/t/d/a", "cosv4://data/t/d/b/c"
    ]  # fmt: skip
    assert run("ls", "--min-size", "4", "cosv4://data/t").out == "cosv4://data/t/d.txt\n"
    assert run("--json", "du", "-s", "--exclude", "d/", "cosv4://data/t").json[0]["size"] == 12
    assert run("tree", "--include", "h", "cosv4://data/t").out.splitlines()[1:] == [
        "└── e", "    └── f", "        └── g", "            └── h", "", "3 directories, 1 file"
    ]  # fmt: skip
