"""One emulator per test, and a filesystem on it, by either generation of the API where a module says so."""

from dataclasses import dataclass

import fsspec
import pytest

from cosv4fs.emulator import Dialect, Emulator

BUCKET = "test-bucket"


def pytest_generate_tests(metafunc):
    """Run the tests of modules that have `GENERATIONS` once for each, unless a test is for one of them."""
    if "generation" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("generation")
        chosen = marked.args if marked else getattr(metafunc.module, "GENERATIONS", ("cosv4",))
        metafunc.parametrize("generation", chosen, scope="class")


@pytest.fixture
def dialect():
    """The service's readings of disputed points; tests override it."""
    return Dialect()


@pytest.fixture
def emulator(dialect):
    with Emulator(buckets=(BUCKET, "other"), dialect=dialect) as running:
        yield running


@pytest.fixture
def fs(emulator, generation):
    return fsspec.filesystem(generation, **emulator.storage_options)


@pytest.fixture
def second(emulator, generation):
    """A filesystem that shares nothing with `fs`: what another process would see."""
    return fsspec.filesystem(generation, **emulator.storage_options, use_listings_cache=False)


@dataclass(frozen=True)
class Wire:
    """What tests have to know of a generation's slices: names of operations in the request log, and of methods.

    Parameters
    ----------
    slice : str
        The operation that carries slices.
    before : int
        How many requests of that operation come before the first slice.
    opens : str
        The client's method that opens an upload.
    """

    slice: str
    before: int
    opens: str

    def slices(self, emulator):
        """Return the requests that carried a slice."""
        return [request for request in emulator.requests if request.op == self.slice and request.offset is not None]

    def leave(self, fs, key, size, slice_size, data=b"", bucket=BUCKET, whole_slices=0):
        """Leave an unfinished upload in a bucket, with a first slice, or some that are zeros; return their size."""
        client = fs.client
        if self.before:
            session = client.open_slices(bucket, key, filesize=size, slice_size=slice_size, sha="1" * 40)
            send = client.send_slice
        else:
            session = client.upload_slice_init(bucket, key, filesize=size, slice_size=slice_size)
            send = client.upload_slice_data
        if data:
            send(bucket, key, session.session, 0, memoryview(data))
        for number in range(whole_slices):
            piece = memoryview(bytes(session.slice_size))
            send(bucket, key, session.session, number * session.slice_size, piece)
        return session.slice_size


WIRES = {
    "cosv4": Wire("upload_slice_data", 0, "upload_slice_init"),
    "cosv3": Wire("upload_slice", 1, "open_slices"),
}


@pytest.fixture
def wire(generation):
    return WIRES[generation]


@pytest.fixture
def small_fs(emulator, generation):
    """A filesystem whose objects are sliced from 512 KiB on, and spooled to disk beyond 1 MiB."""
    return fsspec.filesystem(
        generation,
        **emulator.storage_options,
        slice_size=512 * 1024,
        single_upload_limit=512 * 1024,
        spool_memory=1024 * 1024,
        range_size=256 * 1024,
    )
