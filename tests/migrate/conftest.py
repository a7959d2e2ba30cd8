"""Both sides of a migration: the local COS service, and moto's S3 service in a process of its own."""

import uuid

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.processes import Listened


@pytest.fixture
def emulator():
    with Emulator(buckets=("data",)) as running:
        yield running


@pytest.fixture
def fs(emulator):
    return fsspec.filesystem("cosv4", **emulator.storage_options)


@pytest.fixture(scope="session")
def s3_port():
    """The S3 service's port; the process ends with the session."""
    with Listened("tests.migrate.bucket_server") as process:
        assert process.wait_for(lambda: bool(process.events))
        yield process.events[0]["port"]


@pytest.fixture
def s3_options(s3_port):
    return {"key": "key", "secret": "secret", "endpoint_url": f"http://127.0.0.1:{s3_port}"}


@pytest.fixture
def s3(s3_options):
    return fsspec.filesystem("s3", **s3_options, use_listings_cache=False)


@pytest.fixture
def bucket(s3):
    """A bucket of the test's own."""
    name = f"b{uuid.uuid4().hex[:16]}"
    s3.mkdir(name)
    return name


@pytest.fixture
def options(emulator, s3_options):
    return {"cosv4": emulator.storage_options, "s3": s3_options}
