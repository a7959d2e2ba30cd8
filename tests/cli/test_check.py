"""check: finds exactly what differs, and says what equality was found by."""

import io
import os
import re
import uuid

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from tests.cli.conftest import plant

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def trees(here, run):
    """A directory and its copy in a bucket."""
    plant(here / "d", a="one", b="two", sub__c="three", zero="")
    assert run("cp", "-r", "d/", "cosv4://data/d").code == 0
    return here / "d"


def test_equal_trees(run, trees):
    done = run("check", "d", "cosv4://data/d")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "4 equal (3 by SHA-1, 1 by being empty), 0 different, 0 only in the source, 0 only in the target\n"
    )
    (trees / "hollow").mkdir()
    os.utime(trees / "a", (0, 0))
    assert run("check", "cosv4://data/d", "d").code == 0


def test_exactly_what_differs_is_found(run, here, trees, fs):
    plant(here / "d", b="tow", **{"new (size)": "x"}, longer="22")
    fs.pipe({"data/d/longer": b"1", "data/d/extra": b"", "data/d/sub/d": b"x"})
    done = run("check", "d", "cosv4://data/d")
    assert done.code == 5
    assert sorted(done.out.splitlines()) == [
        "* b (content)", "* longer (size)", "+ new (size)", "- extra", "- sub/d"
    ]  # fmt: skip
    assert done.err.startswith("3 equal (2 by SHA-1, 1 by being empty), 2 different, 1 only in the source, 2 only in")
    only = run("--json", "check", "--one-way", "--size-only", "d", "cosv4://data/d")
    rows = {row["path"]: (row["mark"], row["reason"]) for row in only.json["differences"]}
    assert (only.code, rows) == (5, {"longer": ("*", "size"), "new (size)": ("+", None)})
    assert (only.json["equal"], only.json["only_target"]) == (4, 0)
    row = next(row for row in only.json["differences"] if row["path"] == "longer")
    assert (row["source"], row["target"].partition("://")[2]) == (f"{here}/d/longer", "data/d/longer")
    assert run("check", "--one-way", "--include", "a", "d", "cosv4://data/d").code == 0
    assert run("check", "--size-only", "--download", "d", "cosv4://data/d").code == 2


def test_two_files(run, trees, fs):
    assert run("check", "d/a", "cosv4://data/d/a").err.startswith("1 equal (1 by SHA-1)")
    assert run("check", "d/a", "cosv4://data/d/sub/c").out == "* a (size)\n"
    done = run("check", "d/a", "cosv4://data/d")
    assert (done.code, "one is a directory, but not the other" in done.err) == (1, True)
    assert run("check", "d", "cosv4://data/none").code == 3
    assert run("check", "none", "cosv4://data/d").code == 3


def test_metadata(run, trees, fs, protocol):
    assert run("cp", "-r", "cosv4://data/d/", "cosv4://other/d").code == 0
    changed = "content_type" if protocol == "cosv4" else "biz_attr"
    fs.setxattrs("other/d/sub/c", **{changed: "text/x-changed"})
    done = run("check", "cosv4://data/d", "cosv4://other/d")
    assert (done.code, done.out) == (5, f"* sub/c (metadata: {changed})\n")
    assert run("check", "--no-metadata", "cosv4://data/d", "cosv4://other/d").code == 0
    assert run("check", "--size-only", "cosv4://data/d", "cosv4://other/d").out == done.out


def test_times(run, trees, fs):
    """Those of copies that have the time of their source; of the others, the summary says how many."""
    assert run("cp", "-r", "cosv4://data/d/", "back").code == 0
    assert run("check", "--times", "cosv4://data/d", "back").err.count("\n") == 1
    os.utime("back/a", (5, 5))
    os.utime("back/zero", (5, 5))
    assert run("check", "cosv4://data/d", "back").code == 0
    for more in ([], ["--size-only"]):
        done = run("check", "--times", *more, "cosv4://data/d", "back")
        assert (done.code, sorted(done.out.splitlines())) == (5, ["* a (time)", "* zero (time)"])
    fs.pipe("data/d/b", b"tow")
    fs.rm("data/d/zero")
    done = run("check", "--times", "d", "cosv4://data/d")
    assert sorted(done.out.splitlines()) == ["* b (content)", "+ zero"]
    assert done.err.splitlines()[1] == "cosv4fs: 2 not compared by time: the copies have only the time of their upload"
    assert run("--json", "check", "--times", "d", "cosv4://data/d").json["undated"] == 2
    assert run("--json", "check", "d", "cosv4://data/d").json["undated"] == 0


def test_what_cannot_be_compared(run, trees, here, fs, monkeypatch):
    """It is no difference: the result would be wrong as soon as it can be read."""
    (trees / "link").symlink_to(here)
    fs.pipe("data/d/link/x", b"")
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("/sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        done = run("check", "d", "cosv4://data/d")
        assert (done.code, sorted(done.out.splitlines())) == (1, ["! link", "! sub/"])
        assert "/d/sub/: it cannot be listed: Permission denied" in done.err
        assert "not everything was compared, 2 failed" in done.err
        back = run("--json", "check", "cosv4://data/d", "d")
        assert back.code == 1
        marks = {row["path"]: row["mark"] for row in back.json["differences"]}
        assert marks == {"sub/": "!", "sub/c": "!", "link/x": "+", "link": "-"}

    def fail(location, *_):
        raise OSError(5, "Input/output error", location.path)

    monkeypatch.setattr("cosv4fs.migrate.checksums.read_sha1", fail)
    done = run("check", "d", "cosv4://data/d", "--include", "/[ab]")
    assert (done.code, sorted(done.out.splitlines())) == (1, ["! a", "! b"])


@pytest.mark.protocol("cosv4")
def test_a_reader_that_goes_away_ends_it(start, run, here, fs):
    plant(here / "d", **{f"f{number}": "x" for number in range(20)})
    (here / "e").mkdir()
    process = start("check", "d", "e")
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""


@pytest.mark.protocol("cosv4")
class TestS3:
    @pytest.fixture
    def s3(self, s3_options):
        fs = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
        fs.name = f"b{uuid.uuid4().hex[:16]}"
        fs.mkdir(fs.name)
        return fs

    @pytest.fixture
    def run_s3(self, run, s3_options):
        settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
        return lambda *arguments: run(*settings, *arguments)

    def test_etags(self, run_s3, s3, trees, fs):
        url = f"s3://{s3.name}/d"
        run_s3("cp", "-r", "d/", url)
        assert run_s3("check", "d", url).err.startswith("4 equal (3 by MD5, 1 by being empty)")
        s3.pipe_file(f"{s3.name}/d/a", b"eno")
        assert run_s3("check", "d", url).out == "* a (content)\n"
        # nothing in common with the service, and both are remote
        done = run_s3("check", "--no-metadata", "cosv4://data/d", url)
        assert (done.code, done.out) == (0, "")
        assert done.err.splitlines()[1].startswith("cosv4fs: 3 have no checksum in common, and were compared by size")
        assert run_s3("check", "--no-metadata", "--download", "cosv4://data/d", url).out == "* a (content)\n"

    def test_an_etag_that_is_no_md5(self, run_s3, s3, trees, monkeypatch):
        """As with keys of KMS: contents decide."""
        url = f"s3://{s3.name}/d"
        run_s3("cp", "-r", "d/", url)
        monkeypatch.setattr("cosv4fs.migrate.s3_trees.recorded_md5", lambda _location, _info: "0" * 32)
        assert run_s3("check", "d", url).err.startswith("4 equal (3 by SHA-1, 1 by being empty)")

    def test_a_changed_header(self, run_s3, s3, trees, fs):
        url = f"s3://{s3.name}/d"
        fs.setxattrs("data/d/a", cache_control="no-cache")
        run_s3("cp", "-r", "cosv4://data/d/", url)
        assert run_s3("check", "cosv4://data/d", url).code == 0
        fs.setxattrs("data/d/a", cache_control="no-store")
        assert run_s3("check", "cosv4://data/d", url).out == "* a (metadata: cache_control)\n"

    def test_times(self, run_s3, s3, trees, fs):
        url = f"s3://{s3.name}/d"
        os.utime("d/a", (9, 9))
        run_s3("cp", "-r", "d/", url)
        assert run_s3("check", "--times", "d", url).err.count("\n") == 1
        assert run_s3("check", "--times", url, "d").code == 0
        s3.pipe_file(f"{s3.name}/d/b", b"two", ContentType="text/x-new")
        os.utime("d/a", (5, 5))
        done = run_s3("check", "--times", "d", url)
        assert (done.code, done.out) == (5, "* a (time)\n")
        assert "cosv4fs: 1 not compared by time" in done.err
        fs.setxattrs("data/d/a", content_type="text/x-new")
        done = run_s3("check", "--times", "--include", "[ab]", "cosv4://data/d", url)
        assert sorted(done.out.splitlines()) == [
            "* a (time; metadata: content_type)", "* b (metadata: content_type)"
        ]  # fmt: skip
        assert "cosv4fs: 1 not compared by time" in done.err


@pytest.mark.protocol("cosv4")
def test_etags_that_look_like_an_md5_outside_object_stores(run):
    """Web servers make them of the time and the size."""

    class Web(AbstractFileSystem):
        protocol = "webtest"

        def info(self, path, **_):
            return {"name": path, "type": "file", "size": 3, "ETag": "0" * 32}

        def _open(self, path, *_, **__):
            return io.BytesIO({"a": b"one", "b": b"two"}[path])

    fsspec.register_implementation("webtest", Web, clobber=True)
    done = run("check", "webtest://a", "webtest://b")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("1 equal (1 by size only)")
    assert run("check", "--download", "webtest://a", "webtest://b").code == 5


@pytest.mark.protocol("cosv4")
def test_what_differs_in_metadata_is_copied_again_by_its_names(run, here, fs):
    """As the reference says, since migrate does not compare metadata."""
    fs.pipe({"data/d/a b.css": b"1", "data/d/s/c (x)": b"2", "data/d/same": b"3"})
    assert run("migrate", "cosv4://data/d", "cosv4://other/d").code == 0
    fs.setxattrs("data/d/a b.css", cache_control="no-cache")
    fs.setxattrs("other/d/s/c (x)", content_language="de")
    assert run("migrate", "--reverify", "cosv4://data/d", "cosv4://other/d").code == 0
    found = run("check", "-q", "cosv4://data/d", "cosv4://other/d")
    names = re.findall(r"^\* (.*) \(metadata: .*\)$", found.out, re.MULTILINE)
    assert (found.code, sorted(names)) == (5, ["a b.css", "s/c (x)"])
    (here / "names.txt").write_text("".join(f"{name}\n" for name in names))
    done = run("--json", "cp", "-r", "--files-from", "names.txt", "cosv4://data/d/", "cosv4://other/d/")
    assert (done.code, len(done.json["files"])) == (0, 2)
    assert run("check", "cosv4://data/d", "cosv4://other/d").code == 0
