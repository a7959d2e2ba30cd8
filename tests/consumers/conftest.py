"""One service per test, and a table of data that every consumer can hold."""

import fsspec
import pytest

from cosv4fs.emulator import Emulator

BUCKET = "lab"
CITIES = ("Shenzhen", "Chengdu", "北京", "São Paulo")
ROWS = 4000


@pytest.fixture
def emulator():
    with Emulator(buckets=(BUCKET,)) as running:
        yield running


@pytest.fixture
def options(emulator):
    """The account, as ``storage_options``."""
    return emulator.storage_options


@pytest.fixture
def fs(options):
    return fsspec.filesystem("cosv4", **options)


@pytest.fixture
def environment(options, monkeypatch):
    """Put the account into the environment, for libraries that take no options."""
    for name, value in options.items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(value))


@pytest.fixture
def url():
    return f"cosv4://{BUCKET}"


@pytest.fixture
def columns():
    """Three columns: whole numbers, text of four values, fractions that binary numbers hold exactly."""
    return {
        "number": list(range(ROWS)),
        "city": [CITIES[row % len(CITIES)] for row in range(ROWS)],
        "value": [row / 4 for row in range(ROWS)],
    }


@pytest.fixture
def frame(columns):
    """The columns as a table of pandas."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(columns)


@pytest.fixture
def requests_of(emulator, fs):
    """Return a function that calls another with cold caches, and returns its result and the number of requests."""

    def count(action):
        fs.invalidate_cache()
        emulator.clear_requests()
        result = action()
        return result, sum(emulator.count().values())

    return count
