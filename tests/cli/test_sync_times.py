"""What sync notices of edits that change neither the size nor, as far as clocks show, the time."""

import os
import time
import uuid

import fsspec
import pytest

from tests.cli.conftest import harvest, plant, stored

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def s3_url(run, s3_options):
    name = f"b{uuid.uuid4().hex[:16]}"
    fsspec.filesystem("s3", **s3_options).mkdir(name)
    return f"s3://{name}/d"


@pytest.fixture
def sync(run, s3_options):
    settings = [part for name, value in s3_options.items() for part in ("-o", f"s3.{name}={value}")]
    return lambda *arguments: run(*settings, "sync", *arguments)


@pytest.mark.parametrize("target", ["cosv4://data/d", "s3", "there"])
def test_an_edit_in_the_second_of_the_copy(sync, here, fs, s3_url, s3_options, target):
    s3 = fsspec.filesystem("s3", **s3_options, use_listings_cache=False)
    url = s3_url if target == "s3" else target
    plant(here / "d", f="one", g="one")
    assert "copied 2 (6 B)," in sync("d", url).err
    plant(here / "d", f="two")
    first, _ = sync("d", url).err.splitlines()
    assert first == f"copied {here}/d/f to {here / url if url == 'there' else url}/f (newer, 3 B)"
    assert {
        "cosv4://data/d": lambda: stored(fs, "data/d"),
        "s3": lambda: stored(s3, s3_url.removeprefix("s3://")),
        "there": lambda: harvest(here / "there"),
    }[target]() == {"f": "two", "g": "one"}
    assert sync("d", url).err == "copied 0, deleted 0, 2 unchanged\n"
    # the other way, there is nothing to do
    assert sync(url, "d").err == "copied 0, deleted 0, 2 unchanged\n"


@pytest.mark.parametrize("source", ["cosv4://data/d", "s3"])
@pytest.mark.parametrize("target", ["there", "cosv4://data/copy"])
def test_an_edit_of_the_source_in_the_second_of_the_copy(sync, here, fs, s3_url, s3_options, source, target):
    url = s3_url if source == "s3" else source
    remote = fsspec.filesystem("s3", **s3_options, use_listings_cache=False) if source == "s3" else fs
    path = url.partition("://")[2]
    remote.pipe({f"{path}/f": b"one", f"{path}/g": b"one"})
    assert "copied 2 (6 B)," in sync(url, target).err
    remote.pipe_file(f"{path}/f", b"two")
    assert "/f (newer, 3 B)" in sync(url, target).err
    assert sync(url, target).err == "copied 0, deleted 0, 2 unchanged\n"
    found = harvest(here / "there") if target == "there" else stored(fs, "data/copy")
    assert found == {"f": "two", "g": "one"}


@pytest.mark.parametrize("target", ["cosv4://data/d", "there"])
def test_an_older_file_that_takes_the_place_of_a_newer_one(sync, here, target):
    """As after mv, cp -p or a restored backup."""
    for name, age in (("d/f", 1000), ("d/g", 1000), ("old/f", 2000)):
        plant(here / name.partition("/")[0], **{name[-1]: "old" if name[0] == "o" else "new"})
        os.utime(here / name, (time.time() - age, time.time() - age))
    sync("d", target)
    (here / "old/f").replace(here / "d/f")
    assert sync("d", target).err.endswith("\ncopied 1 (3 B), deleted 0, 1 unchanged\n")
    assert sync("d", target).err == "copied 0, deleted 0, 2 unchanged\n"


@pytest.mark.parametrize("ahead", [7200, -7200])
def test_a_service_with_another_clock(sync, here, fs, emulator, ahead):
    emulator.clock_offset = ahead
    plant(here / "d", new="one", old="one")
    os.utime(here / "d/old", (time.time() - 600, time.time() - 600))
    sync("d", "cosv4://data/d")
    assert abs(fs.info("data/d/old")["mtime"] - time.time() - ahead) < 300
    assert sync("d", "cosv4://data/d").err == "copied 0, deleted 0, 2 unchanged\n"
    # an edit that is later than the copy by this machine's clock
    plant(here / "d", old="two")
    os.utime(here / "d/old", (time.time() + 60, time.time() + 60))
    assert "/old (newer, 3 B)" in sync("d", "cosv4://data/d").err
    # and one of the service's file that is later than the copy here
    sync("cosv4://data/d", "there")
    fs.pipe_file("data/d/new", b"two")
    assert "/new (newer, 3 B)" in sync("cosv4://data/d", "there").err
    assert harvest(here / "there") == {"new": "two", "old": "two"}


def test_a_clock_that_cannot_be_read(sync, here, emulator, monkeypatch):
    monkeypatch.setattr("cosv4fs.migrate.locations.Location.clock_difference", lambda _self: None)
    emulator.clock_offset = 60
    plant(here / "d", f="one")
    sync("d", "cosv4://data/d")
    assert "compared 1 by times of a clock that cannot be read, and may be wrong: see --checksum" in (
        sync("d", "cosv4://data/d").err
    )
    assert sync("--checksum", "d", "cosv4://data/d").err == "copied 0, deleted 0, 1 unchanged\n"
