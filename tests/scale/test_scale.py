"""Memory does not grow with the number of objects."""

import gc
import tracemalloc
from itertools import chain

import fsspec
import pytest

from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.trees import scan
from tests.scale.service import Service


@pytest.fixture(scope="module")
def fs():
    with Service() as service:
        yield fsspec.filesystem("cosv4", **service.options, page_size=200)


def listed_by_scan(fs, path):
    return sum(not entry.is_directory for entry in chain.from_iterable(scan(Location(fs, path), jobs=2)))


def listed_by_scandir(fs, path):
    return sum(info["type"] == "file" for info in fs.scandir(path, recursive=True))


@pytest.mark.parametrize("count_files", [listed_by_scan, listed_by_scandir])
@pytest.mark.parametrize("shape", ["flat", "deep"])
def test_many_times_as_many_objects_need_no_more_memory(fs, shape, count_files, monkeypatch):
    # several pages, and so all that may wait, also of the smaller tree
    monkeypatch.setattr("cosv4fs.migrate.trees._PAGE", 100)
    peaks = []
    for count in (1_000, 1_000, 8_000):
        gc.collect()
        tracemalloc.start()
        try:
            assert count_files(fs, f"{shape}-{count}/in") == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # the first one also has what is made once; to hold all entries would take eight times as much
    assert peaks[2] < 2 * peaks[1] + 200_000, peaks
