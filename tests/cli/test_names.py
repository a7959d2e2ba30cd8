"""Names that mean something else to the filesystem of the source or target: refused, and nothing else is taken."""

import uuid

import fsspec
import pytest

from tests.cli.conftest import harvest, plant

VERSION = "x?versionId=1"


@pytest.fixture
def s3(s3_options):
    """S3, with a new bucket as ``s3.bucket``; tests look at its keys, whatever s3fs makes of them."""
    fs = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
    fs.bucket = f"b{uuid.uuid4().hex[:16]}"
    fs.mkdir(fs.bucket)
    return fs


def put(s3, **texts):
    for key, text in texts.items():
        s3.call_s3("put_object", Bucket=s3.bucket, Key=key, Body=text.encode())


def keys(s3):
    return [row["Key"] for row in s3.call_s3("list_objects_v2", Bucket=s3.bucket).get("Contents", ())]


@pytest.fixture
def run_s3(run, s3_options):
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    return lambda *arguments: run(*settings, *arguments)


@pytest.mark.parametrize("command", [["cp", "-r"], ["sync"], ["mv", "-r"], ["migrate"]], ids=lambda each: each[0])
def test_a_name_that_s3fs_takes_for_a_version(run_s3, s3, here, command):
    """Its content would be that of the other file, and replace that one."""
    put(s3, **{"d/x": "right", f"d/{VERSION}": "wrong"})
    plant(here / "up", **{"x": "right", VERSION: "wrong"})
    for source, target in ((f"s3://{s3.bucket}/d/", "down"), ("up/", f"s3://{s3.bucket}/e")):
        done = run_s3(*command, source, target)
        assert done.code == 1
        assert "s3fs would take it for a version of 'x'" in done.err
    assert harvest(here / "down") == {"x": "right"}
    assert s3.cat_file(f"{s3.bucket}/e/x") == b"right"
    assert {f"d/{VERSION}", "e/x"} <= set(keys(s3))
    assert (here / "up" / VERSION).exists()


def test_removing_a_name_that_s3fs_takes_for_a_version(run_s3, s3):
    put(s3, **{"d/x": "1", f"d/{VERSION}": "2"})
    assert run_s3("rm", "-r", "--include", "x[?]*", f"s3://{s3.bucket}/d").code == 1
    assert keys(s3) == ["d/x", f"d/{VERSION}"]
