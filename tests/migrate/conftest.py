"""Both sides of a migration: the local COS service, and moto's S3 service in a process of its own."""

import json
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import fsspec
import pytest

from cosv4fs.emulator import Emulator

REPOSITORY = Path(__file__).resolve().parent.parent.parent


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
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.migrate.bucket_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    port = json.loads(process.stdout.readline())["port"]
    # the pipe would fill
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    yield port
    process.stdin.close()
    process.wait(30)
    reader.join(30)
    process.stdout.close()


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
