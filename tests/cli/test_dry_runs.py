"""A dry run tells exactly what the run does, and what it fails at."""

import os
import uuid
from pathlib import Path

import fsspec
import pytest

from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.migrate import s3_trees
from tests.cli.conftest import harvest, plant, stored

PROTOCOLS = ("cosv4", "cosv3")


def outcomes(done):
    """Return the exit code, and by the name of each target whether it was, or would be, copied."""
    rows = done.json.get("files", done.json.get("copies"))
    copied = {row["target"].rpartition("/")[2]: row["error"] is None for row in rows}
    return done.code, copied, done.json.get("deletions"), done.json["failed"]


@pytest.fixture
def both(run, here, fs):
    """Run a command dry and then not; return what both said, and check that the first changed nothing."""

    def both(*arguments):
        before = harvest(here), stored(fs, "data")
        would = run("--json", arguments[0], "-n", *arguments[1:])
        assert (harvest(here), stored(fs, "data")) == before
        done = run("--json", *arguments)
        assert outcomes(would) == outcomes(done)
        return outcomes(done)

    return both


COMMANDS = pytest.mark.parametrize("command", [["cp", "-r"], ["sync"]], ids=["cp", "sync"])


@COMMANDS
@pytest.mark.parametrize("target", ["cosv4://data/t", "t"])
def test_directories_and_files_in_the_way(both, here, fs, command, target):
    """An empty directory gives way to a file in sync alone."""
    plant(here / "d", a="1", file="2", held="3", way__b="4")
    (here / "t" / "empty").mkdir(parents=True)
    (here / "d" / "empty").write_text("5")
    plant(here / "t", held__x="x", way="w")
    fs.pipe({"data/t/held/x": b"x", "data/t/way": b"w"})
    fs.makedirs("data/t/empty")
    code, copied, *_ = both(*command, "d/", target)
    assert code == 1
    assert copied == {"a": True, "file": True, "held": False, "b": False, "empty": command == ["sync"]}


@pytest.mark.parametrize("target", ["cosv4://data/t", "t"])
def test_files_in_the_way_of_empty_directories(both, here, fs, target):
    plant(here / "d", a="1")
    (here / "d" / "x" / "y").mkdir(parents=True)
    (here / "d" / "z" / "y").mkdir(parents=True)
    plant(here / "t", x="1", z__y="2")
    fs.pipe({"data/t/x": b"1", "data/t/z/y": b"2"})
    assert both("cp", "-r", "d/", target) == (1, {"a": True, "y": False}, None, 2)


@pytest.mark.parametrize("target", ["cosv4://data/t", "t"])
def test_directories_with_files_that_a_filter_hides(both, here, fs, target):
    plant(here / "d", ab="1")
    plant(here / "t", ab__c="2")
    fs.pipe_file("data/t/ab/c", b"2")
    assert both("sync", "--include", "*b*", "d/", target) == (1, {"ab": False}, [], 1)
    assert (fs.cat_file("data/t/ab/c"), (here / "t/ab/c").read_text()) == (b"2", "2")


@COMMANDS
def test_local_files_that_cannot_be_read(both, here, monkeypatch, command):
    plant(here / "d", a="1", closed="2")
    (here / "d" / "broken").symlink_to("nowhere")
    real = os.access
    # root reads everything
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and real(path, mode))
    opened = Path.open

    def refuse(path, mode="r", **settings):
        if (path.name, mode) == ("closed", "rb"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, **settings)

    def upload(self, local, remote, **kwargs):
        refuse(Path(local), "rb").close()
        return put(self, local, remote, **kwargs)

    put = ObjectFileSystem.put_file
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(ObjectFileSystem, "put_file", upload)
    assert both(*command, "d/", "cosv4://data/t")[:2] == (1, {"a": True, "closed": False, "broken": False})


@COMMANDS
def test_a_bucket_that_does_not_exist(run, here, command):
    plant(here / "d", a="1", b="2")
    would, done = (run(*command, *dry, "d", "cosv4://nobucket/t") for dry in (["-n"], []))
    assert (would.code, would.err) == (done.code, done.err)
    assert done.code == 3
    assert "cosv4://nobucket: the bucket does not exist" in done.err


def test_empty_directories_that_cannot_be_created(both, here):
    plant(here / "d", a="1")
    (here / "d" / "x:y").mkdir()
    assert both("cp", "-r", "d/", "cosv4://data/t") == (1, {"a": True, "x:y": False}, None, 1)


def test_deletions(both, here, fs):
    plant(here / "d", a="1")
    fs.pipe({"data/t/a": b"1", "data/t/b": b"2"})
    assert both("sync", "--delete", "d", "cosv4://data/t")[2] == ["cosv4://data/t/b"]
    (here / "d" / "link").symlink_to(here)
    fs.pipe_file("data/t/b", b"2")
    assert both("sync", "--delete", "d", "cosv4://data/t") == (1, {"link": False}, [], 1)


def migrated(done):
    """Return the exit code and the failures, and how many files were, or would be, copied."""
    report = done.json
    return done.code, report["failures"], sum(reason["files"] for reason in report["reasons"].values())


@pytest.mark.parametrize("extra", [(), ("--no-overwrite",)])
@pytest.mark.parametrize("target", ["cosv4://data/t", "t"])
def test_what_a_migration_would_do(run, here, fs, monkeypatch, target, extra):
    plant(here / "d", a="1", held="2", way__b="3", way__c__d="4", same="5", other="6", closed="7")
    plant(here / "t", held__x="x", way="w", same="5", other="x")
    fs.pipe({f"data/t/{name}": text.encode() for name, text in harvest(here / "t").items()})
    before = harvest(here), stored(fs, "data")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and real(path, mode))
    opened = Path.open

    def refuse(path, *arguments, **settings):
        # root reads everything
        if path.name == "closed" and arguments == ("rb",):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", refuse)
    would = run("--json", "migrate", "-n", *extra, "d", target)
    assert (harvest(here), stored(fs, "data")) == before
    assert migrated(would) == migrated(run("--json", "migrate", *extra, "d", target))
    failed = ["closed", "held", *["other"] * bool(extra), "way/b", "way/c/d"]
    assert [failure["path"] for failure in would.json["failures"]] == failed


def test_a_migration_to_a_file(run, here, fs):
    plant(here / "d", a="1")
    (here / "t").write_text("precious")
    fs.pipe_file("data/t", b"precious")
    for target in ("t", "cosv4://data/t"):
        for dry in (("-n",), ()):
            done = run("migrate", *dry, "d", target)
            assert (done.code, "but is a file" in done.err) == (1, True)


@pytest.mark.protocol("cosv4")
def test_a_target_that_refuses_nothing_is_not_listed(run, here, s3_options, monkeypatch):
    """Buckets of S3 replace files, and have no directories."""
    s3 = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
    name = f"b{uuid.uuid4().hex[:16]}"
    s3.mkdir(name)
    s3.pipe_file(f"{name}/d/a/b", b"")
    plant(here / "d", a="one")
    listed, pages = [], s3_trees.s3_pages

    def recorded(location, bucket, prefix, **options):
        listed.append(prefix)
        return pages(location, bucket, prefix, **options)

    monkeypatch.setattr(s3_trees, "s3_pages", recorded)
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    done = run(*settings, "cp", "-r", "-n", "d/", f"s3://{name}/d/")
    assert (done.code, done.out) == (0, f"would copy {here}/d/a to s3://{name}/d/a\n")
    assert listed == []
    run(*settings, "cp", "-r", "-n", f"s3://{name}/d/", "e")
    assert listed == ["d/"]


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_only_directories_that_the_source_has_are_listed(run, emulator, fs, here, command):
    plant(here / "d", a__b__x="1", a__way="2", held="3", new__y="4")
    fs.pipe({f"data/{name}": b"old" for name in ("a/b/x", "a/way/file", "held/deep/file", "others/file", "a/others/z")})
    emulator.clear_requests()
    done = run("--json", command, "-r", "-n", "d/", "cosv4://data/")
    assert (done.code, sum(row["error"] is None for row in done.json["files"])) == (1, 2)
    assert {each.path for each in emulator.requests if each.op == "list"} == {"/", "/a/", "/a/b/"}


@pytest.mark.parametrize("target", ["cosv4://data/t", "cosv4://other/t", "t"])
@pytest.mark.parametrize("arguments", [["-r", "cosv4://data/d"], ["cosv4://data/d/*"], ["-r", "--include", "*", "d"]])
def test_moves(run, here, fs, arguments, target):
    fs.pipe({"data/d/a": b"1", "data/d/b": b"22"})
    plant(here / "d", a="1", b="22")
    before = harvest(here), stored(fs, "data"), stored(fs, "other")
    would = run("--json", "mv", "-n", *arguments, target)
    lines = run("mv", "-n", *arguments, target)
    assert (harvest(here), stored(fs, "data"), stored(fs, "other")) == before
    done = run("--json", "mv", *arguments, target)
    assert (would.code, lines.code, done.code) == (0, 0, 0)
    assert (would.json["dry_run"], done.json["dry_run"]) == (True, False)
    moves = [sorted((row["source"], row["target"]) for row in each.json["files"]) for each in (would, done)]
    assert moves[0] == moves[1]
    assert lines.out.splitlines() == [f"would move {source} to {goal}" for source, goal in moves[0]]


def test_moves_that_are_refused(run, here, fs):
    fs.pipe({"data/d/a": b"1", "data/t/d/b": b"2"})
    fs.makedirs("data/t/a")
    for arguments in (["-r", "cosv4://data/d", "cosv4://data/t"], ["cosv4://data/d", "x"], ["cosv4://data/no", "x"]):
        would, done = run("mv", "-n", *arguments), run("mv", *arguments)
        assert (would.code, would.err.splitlines()[0].partition(" (")[0]) == (
            done.code,
            done.err.splitlines()[0].partition(" (")[0],
        )
        assert would.code > 0
