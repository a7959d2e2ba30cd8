"""Keys that are both a file and a directory, and keys that are no paths: each is copied, or named as a failure."""

import io
import tarfile
import uuid
import zipfile

import fsspec
import pytest
from s3fs import S3FileSystem

from cosv4fs.migrate import removing, s3_trees
from tests.cli.conftest import harvest, plant, stored

GOOD = {"report": "1", "report/2024.csv": "22", "report/sub": "3", "report/sub/x": "4", "a/b": "5", "mark/y": "6"}
BOTH = ("report", "report/sub")
BAD = ("full/", "p//q", "/lead", "dot/./w", "up/../v")
COMMANDS = (["sync"], ["cp", "-r"], ["migrate", "-j", "1"])


@pytest.fixture
def s3(s3_options):
    """S3 with two buckets; the second is empty."""
    fs = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
    fs.names = [f"b{uuid.uuid4().hex[:16]}" for _ in range(2)]
    for name in fs.names:
        fs.mkdir(name)
    for key, text in [*GOOD.items(), ("mark/", ""), *((key, "x") for key in BAD)]:
        fs.call_s3("put_object", Bucket=fs.names[0], Key=key, Body=text.encode())
    return fs


@pytest.fixture
def run_s3(run, s3_options):
    """Run the command with the options of S3."""
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    return lambda *arguments: run(*settings, *arguments)


def refusals(done):
    """Return the lines that name failures, without the summary."""
    return [line for line in done.err.splitlines()[:-1] if "cannot" in line]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("target", ["out", "s3://{}/out", "cosv4://data/out"])
def test_every_key_is_copied_or_named(run_s3, s3, here, fs, command, target):
    source, target = f"s3://{s3.names[0]}/", target.format(s3.names[1])
    refused = () if target.startswith("s3") else BOTH
    expected = {key: text for key, text in GOOD.items() if key not in refused}
    trees = {
        "out": lambda: harvest(here / "out"),
        "s3:": lambda: stored(s3, f"{s3.names[1]}/out"),
        "cos": lambda: stored(fs, "data/out"),
    }
    would = None if command[0] == "migrate" else run_s3(*command, "-n", source, target)
    for _ in range(2):
        done = run_s3(*command, source, target)
        assert (done.code, trees[target[:3]]()) == (1, expected)
        # migrate names the directory that it cannot list
        said = (done.out + done.err).replace("p/:", "p//q:").replace("failed: /:", "failed: /lead:")
        for key in (*BAD, *refused):
            assert f"/{key}: " in said or f"failed: {key}: " in said, key
        if would is not None:
            assert (would.code, sorted(refusals(would))) == (1, sorted(refusals(done)))
            would = None
    if refused and command[0] != "migrate":
        assert f"{source}report: the target cannot hold both this file and a directory of its name" in done.err


def test_a_source_that_is_both(run_s3, s3, here):
    """With -r both are copied, with a slash at the end the directory, and else the file."""
    url, inside = f"s3://{s3.names[0]}/report", {"2024.csv": "22", "sub": "3", "sub/x": "4"}
    assert run_s3("cp", url, "single").code == 0
    assert (here / "single").read_text() == "1"
    for source, copy in ((url, "all"), (f"{url}/", "contents"), (f"s3://{s3.names[0]}/rep*", "pattern")):
        assert run_s3("cp", "-r", source, f"s3://{s3.names[1]}/{copy}").code == 0
        assert stored(s3, f"{s3.names[1]}/{copy}") == inside
        assert s3.isfile(f"{s3.names[1]}/{copy}") == (copy != "contents")
    done = run_s3("cp", "-r", url, "local")
    assert (done.code, harvest(here / "local")) == (1, {"2024.csv": "22", "sub/x": "4"})
    assert len(refusals(done)) == 2
    for command in ("sync", "migrate"):
        done = run_s3(command, url, f"s3://{s3.names[1]}/{command}")
        assert (done.code, stored(s3, f"{s3.names[1]}/{command}")) == (0, inside)
    assert run_s3("tree", url).out.count("sub") == 2
    assert run_s3("ls", "-R", url).out.splitlines() == [
        f"{url}/2024.csv", f"{url}/sub", f"{url}/sub/", f"{url}/sub/x"
    ]  # fmt: skip


def test_moving_and_removing_what_is_both(run_s3, s3):
    """Without -r it is the file; no part is lost, and none stays without a word."""
    name = s3.names[0]
    inside = {f"{name}/report/{key}" for key in ("2024.csv", "sub", "sub/x")}
    found = lambda: {key for key in s3.find(name) if "report" in key or "moved" in key}  # noqa: E731
    assert run_s3("mv", f"s3://{name}/report", f"s3://{name}/moved").code == 0
    assert found() == inside | {f"{name}/moved"}
    assert run_s3("mv", f"s3://{name}/moved", f"s3://{name}/report/").code == 0
    s3.pipe_file(f"{name}/report", b"1")
    inside |= {f"{name}/report/moved"}
    done = run_s3("mv", "-r", f"s3://{name}/report", f"s3://{name}/elsewhere")
    assert (done.code, found()) == (1, inside | {f"{name}/report"})
    assert "it is both a file and a directory: copy it with cp -r" in done.err
    assert run_s3("rm", f"s3://{name}/report").code == 0
    assert found() == inside
    s3.pipe_file(f"{name}/report", b"1")
    assert run_s3("rm", "-r", f"s3://{name}/report").code == 0
    assert found() == set()


@pytest.mark.protocol("cosv4")
def test_every_key_of_a_directory_is_removed(run_s3, s3, monkeypatch):
    """Also those that are no paths, and without taking a name for a pattern."""
    name = s3.names[0]
    keys = [f"d[1]/{key}" for key in (*GOOD, *BAD, "mark/")]
    for key in (*keys, "d[1]", "d1/stays", "d[1]x"):
        s3.call_s3("put_object", Bucket=name, Key=key, Body=b"")
    pages, requests = s3_trees.s3_pages, []
    monkeypatch.setattr(removing, "s3_pages", lambda *place, **more: pages(*place, **{"MaxKeys": 3} | more))
    assert run_s3("rm", "-r", f"s3://{name}/d[1]").code == 0
    listed = s3.call_s3("list_objects_v2", Bucket=name, Prefix="d")["Contents"]
    assert [found["Key"] for found in listed] == ["d1/stays", "d[1]x", "dot/./w"]
    assert run_s3("rm", "-r", f"s3://{name}/none").code == 3
    s3.pipe({f"{name}/e/x": b"", f"{name}/e-x": b""})
    assert run_s3("rm", "-r", f"s3://{name}/e").code == 0
    assert s3.find(name, prefix="e") == [f"{name}/e-x"]
    call = S3FileSystem.call_s3

    def refuse(self, method, **more):
        if method != "delete_objects":
            return call(self, method, **more)
        requests.append(more)
        return {"Errors": [{"Key": "report", "Code": "AccessDenied", "Message": "no"}, {"Key": "x"}]}

    monkeypatch.setattr(S3FileSystem, "call_s3", refuse)
    done = run_s3("rm", "-r", f"s3://{name}/report")
    assert (done.code, f"s3://{name}/report: it could not be removed: no (and 1 more)" in done.err) == (4, True)
    assert len(requests) == 2


@pytest.mark.protocol("cosv4")
def test_a_directory_that_a_file_hides(run, here):
    """The listing of fsspec's memory filesystem shows such a file instead of its directory."""
    memory = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4().hex}"
    memory.pipe_file(f"{root}/report/2024.csv", b"22")
    memory.pipe_file(f"{root}/report", b"1")
    for command in COMMANDS:
        done = run(*command, f"memory:/{root}", f"out-{command[0]}")
        assert done.code == 1
        assert all(f"report{rest}: " in done.out + done.err for rest in ("", "/2024.csv")) or "2 failed" in done.err
        done = run(*command, f"memory:/{root}/report", "never")
        assert (done.code, "is both a file and a directory" in done.err) == (1, True)


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_members_of_an_archive(run_s3, s3, here, command, kind):
    with zipfile.ZipFile("a.zip", "w") as zipped, tarfile.open("a.tar", "w") as tarred:
        for name in ("d/report/2024.csv", "d/report", "d/a"):
            zipped.writestr(name, name)
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tarred.addfile(member, io.BytesIO(name.encode()))
    url, target = f"{kind}://d::{here}/a.{kind}", f"{s3.names[1]}/out"
    assert run_s3(*command, url, f"s3://{target}").code == 0
    assert stored(s3, target) == {name: f"d/{name}" for name in ("a", "report", "report/2024.csv")}
    done = run_s3(*command, url, "out")
    assert (done.code, "report: the target cannot hold both" in done.out + done.err) == (1, True)
    assert harvest(here / "out") == {name: f"d/{name}" for name in ("a", "report/2024.csv")}


@pytest.mark.parametrize("to", ["there", "cosv4://data/there"])
def test_files_and_directories_that_have_changed_places(run, here, fs, to):
    """A directory in which only directories are is replaced; others, and files, are reported as the dry run does."""
    plant(here / "old", a__b__c="1", d__e="2", f="3")
    assert run("sync", "old", to).code == 0
    plant(here / "new", a="4", d="5", f__g="6")
    would = run("sync", "-n", "--delete", "new", to)
    done = run("sync", "--delete", "new", to)
    assert (would.code, refused(would)) == (done.code, refused(done)) == (1, ["a", "d", "f/g"])
    assert "would delete" not in would.out
    for name in ("a/b/c", "d/e", "f"):
        run("rm", f"{to}/{name}")
    done = run("sync", "--delete", "new", to)
    assert (done.code, done.err.splitlines()[-1]) == (0, "copied 3 (3 B), deleted 0, 0 unchanged")
    assert (harvest(here / to) if to == "there" else stored(fs, "data/there")) == {"a": "4", "d": "5", "f/g": "6"}


def refused(done):
    """Return the names of the refused files of ``new``."""
    return [line.split("/new/")[1].split(":")[0] for line in done.err.splitlines()[:-1] if "has the name of" in line]
