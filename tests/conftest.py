"""Settings and fixtures of all tests."""

import gc
import os
import signal
import socket

import pytest
from hypothesis import settings

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem

# how long an example takes says more about the machine than about what is tested; and the examples are always the same:
# no run fails by chance (`pytest --hypothesis-profile default` tries others)
settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")

# no test reads the profiles of whoever runs it
os.environ["COSV4_PROFILES"] = os.devnull

# shells have what runs in their background ignore Ctrl-C, and so would all processes that tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Begin with the notebooks, each of which takes long: at the end, the other workers would wait for the last one."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


def pytest_collection_finish():
    """Spare every later collection of garbage the modules and the thousands of tests, which stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def few_objects():
    """Keep the garbage collector from visiting what other tests have imported, for a module that runs it often."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def nowhere():
    """The address of a port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def named_parts(monkeypatch):
    """Give unfinished local files a name from the beginning, as on disks that have no unnamed files."""
    monkeypatch.setattr("cosv4fs.localfiles._open_unnamed", lambda part, mode: None)


@pytest.fixture(scope="session", autouse=True)
def what_tests_write_is_settled():
    """Upload local files as if they had been there for a while: the age decides about the requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cosv4fs.transfer.sources._is_settled", lambda status, now: True)
        yield


@pytest.fixture(autouse=True)
def no_filesystem_outlives_its_test():
    """Drop the instances of a test from fsspec's cache: with them go their threads, connections and caches."""
    yield
    for kind in (CosV4FileSystem, CosV3FileSystem, CofferFileSystem):
        kind.clear_instance_cache()
