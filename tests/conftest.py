"""What holds for all tests."""

import signal

import pytest
from hypothesis import settings

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem

# how long an example takes says more about the machine than about what is tested
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# shells have what runs in their background ignore Ctrl-C, and so would all processes that tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_filesystem_outlives_its_test():
    """Let fsspec forget the instances of a test: with them go their threads, connections and caches."""
    yield
    for kind in (CosV4FileSystem, CosV3FileSystem, CofferFileSystem):
        kind.clear_instance_cache()
