"""Random trees, with everything in the way that may be: a dry run tells what the run does, and a second run nothing."""

import os
import random
import shutil
from contextlib import suppress

import pytest

from tests.cli.conftest import stored

NAMES = ("a", "b", "ab", "a.txt", "B", "é", "e\u0301", "😀", "-n", "x y ", "new\nline", "a\\b", "100%", "[1]", "#?&+")
COMMANDS = (
    ["sync"], ["sync", "--delete"], ["sync", "--delete", "--max-delete", "3"], ["sync", "--checksum"], ["cp", "-r"],
    ["migrate"], ["migrate", "--no-overwrite"],
)  # fmt: skip
FILTERS = ([], [], [], ["--exclude", "a*"], ["--include", "*b*"], ["--min-size", "2"], ["--exclude", "b/"])
LINKS = ([], [], ["--skip-links"], ["--follow-links"])


def grow(draw, folder, *, links, depth=3):
    """Make files, directories and links in a directory."""
    os.makedirs(folder, exist_ok=True)
    for name in draw.sample(NAMES, draw.randrange(5)):
        path, kind = os.path.join(folder, name), draw.random()
        if kind < 0.35 and depth:
            grow(draw, path, links=links, depth=depth - 1)
        elif kind < 0.45 and links:
            os.symlink(draw.choice(("nowhere", ".", "..", "a", "b")), path)
        else:
            with open(path, "w") as file:
                file.write(draw.choice(("", "1", "22", "333")))


def upload(fs, folder, target):
    """Put what is in a directory into a bucket, as far as it may have such names."""
    for top, folders, files in os.walk(folder):
        place = target + top[len(folder) :]
        for name in folders:
            with suppress(OSError):
                fs.makedirs(f"{place}/{name}")
        fs.pipe({f"{place}/{name}": data for name in files if (data := content(os.path.join(top, name)))})


def content(path):
    with open(path, "rb") as file:
        return file.read()


def tree(folder):
    """Return what is in a directory, without following links."""
    found = {}
    for top, folders, files in os.walk(folder):
        paths = [os.path.join(top, name) for name in (*folders, *files)]
        for path in paths:
            is_link = os.path.islink(path)
            found[path] = os.readlink(path) if is_link else None if os.path.isdir(path) else content(path)
    return found


def result(done):
    """Return what a run says it does, without the texts of errors, which dry runs cannot know."""
    if "error" in done.json:
        return done.code, done.json["error"]
    report = done.json
    if "reasons" in report:
        failed = sorted(row["path"] for row in report["failures"])
        return done.code, failed, sum(each["files"] for each in report["reasons"].values()), report["skipped_links"]
    rows = report["files"] if "files" in report else report["copies"]
    copies = sorted((row["source"].rstrip("/"), row["target"], row["error"] is None) for row in rows)
    return done.code, copies, sorted(report.get("deletions", ())), report["failed"], report["skipped_links"]


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("seed", [*range(10), 141])
def test_a_dry_run_tells_what_the_run_does(run, here, fs, seed):
    draw = random.Random(seed)
    target = draw.choice(("target", "cosv4://data/target"))
    grow(draw, str(here / "source"), links=True)
    grow(draw, str(here / "target"), links=target == "target" and draw.random() < 0.3)
    if target != "target":
        upload(fs, str(here / "target"), "data/target")
        shutil.rmtree(here / "target")
    name, *options = [*draw.choice(COMMANDS), *draw.choice(FILTERS), *draw.choice(LINKS), "source/", target]
    before = tree(str(here)), stored(fs, "data")
    would = run("--json", name, "-n", *options)
    assert (tree(str(here)), stored(fs, "data")) == before
    done = run("--json", name, *options)
    assert result(would) == result(done), (name, options)
    assert tree(str(here / "source")) == {p: d for p, d in before[0].items() if p.startswith(f"{here}/source/")}
    if done.code == 0 and name != "cp":
        again = run("--json", name, "-n", *options).json
        assert not again.get("deletions")
        assert not again.get("reasons")
        assert not {row["reason"] for row in again.get("copies", ())} & {"new", "size"}
