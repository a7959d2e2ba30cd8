"""What notebooks show of filesystems, listings and transfers."""

import pickle
import time

import fsspec
import pytest

from cosv4fs.display import Listing, human_size
from cosv4fs.emulator import Emulator


@pytest.fixture
def options():
    with Emulator(buckets=("shown",)) as emulator:
        yield emulator.storage_options


@pytest.fixture
def fs(options):
    return fsspec.filesystem("cosv4", **options)


def test_a_filesystem_tells_where_it_goes_and_no_secret(options):
    fs = fsspec.filesystem("cosv4", **options, proxies={"https": "http://user:hidden@proxy:3128"}, slice_size=1024**2)
    html = fs._repr_html_()
    assert options["endpoint"] in html
    assert options["appid"] in html
    assert "slice_size" in html
    for secret in (options["secret_id"], options["secret_key"], "hidden"):
        assert secret not in html


def test_a_listing_is_a_list_and_a_table(fs):
    fs.pipe({"shown/dir/a<b>.csv": b"x" * 1536, "shown/dir/sub/c": b""})
    found = fs.ls("shown/dir")
    assert isinstance(found, list)
    assert pickle.loads(pickle.dumps(found)) == found
    html = found._repr_html_()
    assert "shown/dir/sub/<" in html
    assert "a&lt;b&gt;.csv" in html
    assert "1.5 KiB" in html
    assert fs.ls("shown/dir", detail=False) == [info["name"] for info in found]
    names = fs.ls("shown/dir", detail=False)._repr_html_()
    assert "shown/dir/sub" in names
    assert names.count("<th ") == 1


def test_a_listing_has_the_times_of_the_zone_that_it_names(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of this system cannot be set")
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        html = Listing([{"name": "b/a", "type": "file", "size": 1, "mtime": 1_700_000_000.0}])._repr_html_()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "changed (XYZ)" in html
    assert "2023-11-15 03:13:20" in html


def test_a_long_listing_is_cut():
    html = Listing([{"name": f"b/{number}", "type": "file", "size": 1} for number in range(60)])._repr_html_()
    assert "b/49" in html
    assert "b/50" not in html
    assert "10 more" in html


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**30, "3.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes(count, text):
    assert human_size(count) == text
