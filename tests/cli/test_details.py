"""stat, attrs and sha1sum: what is known about single paths, on any filesystem."""

import hashlib
import subprocess
import uuid

import fsspec
import pytest

from tests.cli.conftest import plant
from tests.filesystem.conftest import WIRES
from tests.support import MIB, content

PROTOCOLS = ("cosv4", "cosv3")


def sha1(data):
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def s3_url(s3_options, monkeypatch):
    """A file on S3, and the options as they are given to the command."""
    fs = fsspec.filesystem("s3", **s3_options)
    bucket = f"b{uuid.uuid4().hex[:16]}"
    fs.mkdir(bucket)
    fs.call_s3("put_object", Bucket=bucket, Key="d/f", Body=b"s3", ContentType="text/x-own", Metadata={"owner": "me"})
    return f"s3://{bucket}/d/f", [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]


@pytest.fixture
def half(fs, protocol):
    fs.makedirs("data/half")
    WIRES[protocol].leave(fs, "/half/file", 2 * MIB, MIB, content(MIB), bucket="data")


@pytest.mark.protocol("cosv4")
def test_stat_shows_attributes_and_account(run, fs):
    fs.pipe_file("data/d/f", b"x", content_type="text/x-own", metadata={"owner": "me"}, authority="public-read")
    fs.setxattrs("data/d", biz_attr="of the directory")
    (row,) = run("--json", "stat", "cosv4://data/d/f").json
    assert row["attributes"] == {
        "metadata": {"owner": "me"}, "content_type": "text/x-own", "biz_attr": "", "authority": "public-read"
    }  # fmt: skip
    assert row["address"] == fs.address.lower()
    assert (row["size"], row["sha"]) == (1, sha1(b"x"))
    lines = run("stat", "cosv4://data/d/f").out.splitlines()
    assert {"metadata owner: me", "content_type: text/x-own", f"address: {fs.address.lower()}"} <= {*lines}
    assert "biz_attr: of the directory" in run("stat", "cosv4://data/d").out
    assert run("stat", "cosv4://data").code == 0


@pytest.mark.protocol("cosv4")
def test_stat_of_public_files_needs_no_keys(run, fs):
    fs.pipe_file("data/d/f", b"x", authority="public-read")
    (row,) = run("--json", "-o", "anon=true", "stat", "cosv4://data/d/f").json
    assert row["size"] == 1
    assert not {"attributes", "uploads"} & set(row)


def test_stat_shows_an_unfinished_upload(run, fs, half):
    (row,) = run("--json", "stat", "cosv4://data/half/file").json
    assert (row["type"], row["uploads"][0]["stored"]) == ("unfinished upload", MIB)
    done = run("stat", "cosv4://data/half/file", "cosv4://data/half/none")
    assert "unfinished upload: 1.0 MiB of 2.0 MiB, 20" in done.out
    assert (done.code, done.err) == (3, done.err)
    assert done.err.startswith("cosv4fs stat: cosv4://data/half/none: no such file")


@pytest.mark.protocol("cosv4")
def test_stat_of_other_filesystems(run, here, s3_url):
    url, options = s3_url
    (row,) = run(*options, "--json", "stat", url).json
    assert (row["size"], row["attributes"]["ContentType"], row["attributes"]["Metadata"]) == (
        2,
        "text/x-own",
        {"owner": "me"},
    )
    assert row["endpoint"].startswith("http://127.0.0.1:")
    shown = run(*options, "stat", url).out
    assert ("metadata owner: me\n" in shown, shown.count("ContentType: ")) == (True, 1)
    (row,) = run(*options, "--json", "stat", url.rpartition("/")[0]).json
    assert row["type"] == "directory"
    plant(here, f="local").joinpath("f").chmod(0o640)
    assert "mode: -rw-r-----\n" in run("stat", "f").out


def test_errors_are_rows(run, fs):
    fs.pipe_file("data/f", b"x")
    done = run("--json", "stat", "cosv4://data/f", "cosv4://data/none", "cosv4://data/*.none")
    first, second, third = done.json
    assert (first["url"], second["url"], second["code"], second["exit"]) == (
        "cosv4://data/f", "cosv4://data/none", -197, 3,
    )  # fmt: skip
    assert (third["url"], third["code"]) == ("cosv4://data/*.none", "ENOENT")
    assert done.code == 3


@pytest.mark.protocol("cosv4")
def test_attributes_are_changed(run, fs):
    fs.pipe_file("data/f", b"x", metadata={"owner": "me"})
    done = run("attrs", "cosv4://data/f", "cache_control=no-cache", "color=a=b", "owner=you")
    assert (done.code, {"cache_control: no-cache", "metadata color: a=b"} <= set(done.out.splitlines())) == (0, True)
    assert fs.metadata("data/f") == {"owner": "you", "color": "a=b"}
    found = run("--json", "attrs", "cosv4://data/f").json
    assert found == {"url": "cosv4://data/f", "attributes": {**fs.attributes("data/f")}}
    run("attrs", "cosv4://data/f", "biz_attr=b")
    assert run("attrs", "cosv4://data/f", "--remove", "biz_attr").code == 0
    assert fs.attributes("data/f")["biz_attr"] == ""


@pytest.mark.protocol("cosv4")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-equals-sign"], "'no-equals-sign' is not NAME=VALUE"),
        (["a=1", "--remove", "a"], "a is given twice"),
        (["Content-Type=text/plain"], "use content_type"),
        (["authority=nonsense"], "a permission must be one of"),
    ],
)
def test_invalid_attributes(run, fs, arguments, said):
    fs.pipe_file("data/f", b"x")
    done = run("attrs", "cosv4://data/f", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.protocol("cosv4")
def test_attributes_that_cannot_be_changed(run, fs, here, s3_url):
    url, options = s3_url
    plant(here, f="")
    for each in (url, "f"):
        done = run(*options, "attrs", each, "content_type=text/plain")
        assert (done.code, "cannot change the attributes of an existing file" in done.err) == (2, True)
    assert "ContentType: text/x-own\n" in run(*options, "attrs", url).out


def test_sha1sum(run, fs, here, s3_url):
    url, options = s3_url
    fs.pipe({"data/d/a": b"12345", "data/d/b": b"x"})
    plant(here, **{"l\\1\nx": "local"})
    done = run(*options, "sha1sum", "cosv4://data/d/*", url, "l\\1\nx")
    escaped = f"\\{sha1(b'local')}  {here}/l\\\\1\\nx".replace("\\1", "\\1")
    assert done.out.splitlines() == [
        f"{sha1(b'12345')}  cosv4://data/d/a", f"{sha1(b'x')}  cosv4://data/d/b", f"{sha1(b's3')}  {url}", escaped
    ]  # fmt: skip
    assert run("--json", "sha1sum", "cosv4://data/d/a").json == [{"url": "cosv4://data/d/a", "sha1": sha1(b"12345")}]
    done = run("sha1sum", "cosv4://data/d", "cosv4://data/none")
    assert (done.code, done.out) == (3, "")
    assert "cosv4://data/d: it is a directory: name files" in done.err


@pytest.mark.protocol("cosv4")
def test_sums_are_those_of_the_usual_tool(run, here):
    plant(here, a="1", **{"l\\1\nx": "local"})
    files = [str(path) for path in sorted(here.iterdir())]
    assert run("sha1sum", *files).out == subprocess.run(["sha1sum", *files], capture_output=True, text=True).stdout


def test_stored_sums_are_not_computed(run, fs, emulator):
    fs.pipe_file("data/f", b"12345")
    before = emulator.count().get("download", 0)
    assert run("sha1sum", "cosv4://data/f").code == 0
    assert emulator.count().get("download", 0) == before


def test_sums_are_checked(run, fs, here):
    fs.pipe({"data/d/a": b"12345", "data/d/b": b"x"})
    plant(here, **{"l\\1\nx": "local"})
    (here / "sums").write_text(
        run("sha1sum", "cosv4://data/d/*", "l\\1\nx").out.replace("cosv4://", f"{fs.protocol}://")
    )
    done = run("sha1sum", "-c", "sums")
    assert (done.code, done.out.count(": OK\n")) == (0, 3)
    (here / "sums").write_text((here / "sums").read_text().replace(sha1(b"x"), sha1(b"y")))
    done = run("sha1sum", "--json", "-c", "sums")
    assert (done.code, [row["same"] for row in done.json]) == (5, [True, False, True])
    done = run("sha1sum", "-c", "-", data=b"nonsense")
    assert (done.code, "-, line 1: this is not a line of sha1sum" in done.err) == (2, True)
