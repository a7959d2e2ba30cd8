"""One emulator per test, and a filesystem on it."""

import fsspec
import pytest

from cosv4fs.emulator import Dialect, Emulator

BUCKET = "test-bucket"


@pytest.fixture
def dialect():
    """The service's readings of disputed points; tests override it."""
    return Dialect()


@pytest.fixture
def emulator(dialect):
    with Emulator(buckets=(BUCKET, "other"), dialect=dialect) as running:
        yield running


@pytest.fixture
def fs(emulator):
    return fsspec.filesystem("cosv4", **emulator.storage_options)


@pytest.fixture
def second(emulator):
    """A filesystem that shares nothing with `fs`: what another process would see."""
    return fsspec.filesystem("cosv4", **emulator.storage_options, use_listings_cache=False)


@pytest.fixture
def small_fs(emulator):
    """A filesystem whose objects are sliced from 512 KiB on, and spooled to disk beyond 1 MiB."""
    return fsspec.filesystem(
        "cosv4",
        **emulator.storage_options,
        slice_size=512 * 1024,
        single_upload_limit=512 * 1024,
        spool_memory=1024 * 1024,
        range_size=256 * 1024,
    )
