"""find: paths that match, on any filesystem, as they are listed."""

import os

import pytest

from tests.cli.conftest import plant

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def files(fs):
    fs.pipe({"data/in/a.csv": b"12345", "data/in/b.txt": b"", "data/in/sub/c.csv": bytes(2048)})
    fs.mkdir("data/in/empty.csv")


def found(done):
    return sorted(line.removeprefix("cosv4://data/in/") for line in done.out.splitlines())


def test_all_paths(run, files):
    assert found(run("find", "cosv4://data/in")) == ["a.csv", "b.txt", "empty.csv/", "sub/", "sub/c.csv"]
    assert found(run("find", "cosv4://data/in/sub", "cosv4://data/in/a.csv")) == ["a.csv", "sub/c.csv"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--name", "*.csv"], ["a.csv", "empty.csv/", "sub/c.csv"]),
        (["--name", "*.csv", "--type", "f"], ["a.csv", "sub/c.csv"]),
        (["--type", "d"], ["empty.csv/", "sub/"]),
        (["--include", "*.csv"], ["a.csv", "sub/c.csv"]),
        (["--name", "?.csv", "--min-size", "1k"], ["sub/c.csv"]),
        (["--exclude", "sub/"], ["a.csv", "b.txt"]),
    ],
)
def test_what_matches(run, files, options, expected):
    assert found(run("find", "cosv4://data/in", *options)) == expected


def test_json_of_paths(run, files):
    rows = run("find", "--json", "cosv4://data/in", "--name", "a.*").json
    assert [row | {"modified": 0} for row in rows] == [
        {"url": "cosv4://data/in/a.csv", "type": "file", "size": 5, "modified": 0}
    ]
    assert run("find", "--json", "cosv4://data/in", "--name", "none").json == []


def test_errors_after_the_first_row_are_rows(run, files):
    done = run("find", "--json", "cosv4://data/in/sub", "cosv4://data/none")
    assert done.code == 3
    assert [row.get("errno") for row in done.json] == [None, "ENOENT"]
    done = run("find", "--json", "cosv4://data/none")
    assert (done.code, done.json["errno"]) == (3, "ENOENT")
    assert run("find", "cosv4://data/in", "--type", "d", "--min-size", "1").code == 2


@pytest.mark.protocol("cosv4")
def test_directories_that_cannot_be_listed(run, here, monkeypatch):
    plant(here, d__a="", d__closed__b="")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    # permissions do not stop root
    monkeypatch.setattr(os, "scandir", refuse)
    done = run("find", "--json", "d", "--type", "f")
    assert done.code == 1
    assert [(os.path.basename(row["url"]), "error" in row) for row in done.json] == [("a", False), ("closed", True)]
    assert done.err == f"cosv4fs find: {here}/d/closed: it cannot be listed: Permission denied\n"
