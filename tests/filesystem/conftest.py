"""One emulator per test, and a filesystem on it, for each protocol of the module's `PROTOCOLS`.

`BUCKET` is also a valid name of a coffer.
"""

from dataclasses import dataclass

import fsspec
import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator
from tests.support import elsewhere

EVERY = ("cosv4", "cosv3", "cdcs")
"""All protocols, for ``PROTOCOLS = EVERY`` or ``@pytest.mark.protocol(*EVERY)``."""

BUCKET = "test-1250000000"
COFFER = "examplecoffer-1250000000"


def pytest_generate_tests(metafunc):
    """Run a test for each of the module's `PROTOCOLS` (default: v4); a marker ``protocol`` overrides them."""
    if "protocol" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("protocol")
        chosen = marked.args if marked else getattr(metafunc.module, "PROTOCOLS", ("cosv4",))
        metafunc.parametrize("protocol", chosen, scope="class")


@pytest.fixture
def dialect(protocol):
    """The variant of the service; tests override it. Coffers accept empty objects."""
    return CofferDialect(empty_objects="accept") if protocol == "cdcs" else Dialect()


@pytest.fixture
def emulator(dialect, protocol):
    made = (
        CofferEmulator(coffers=(BUCKET,), dialect=dialect)
        if protocol == "cdcs"
        else Emulator(buckets=(BUCKET, "other"), dialect=dialect)
    )
    with made as running:
        yield running


@pytest.fixture
def downloads(protocol):
    """The name of the operation that reads, in the request log."""
    return WIRES[protocol].download


@pytest.fixture
def fs(emulator, protocol):
    return fsspec.filesystem(protocol, **emulator.storage_options)


@pytest.fixture
def second(emulator, protocol):
    """A filesystem that shares nothing with `fs`: like one of another process."""
    return fsspec.filesystem(protocol, **elsewhere(emulator.storage_options), use_listings_cache=False)


@dataclass(frozen=True)
class Wire:
    """The names that a protocol has for slices: of operations in the request log, and of methods of the client.

    Parameters
    ----------
    slice : str
        The operation that carries slices.
    before : int
        How many requests of that operation come before the first slice.
    opens : str
        The client's method that opens an upload.
    upload, download : str
        The operations that upload a small object, and that read.
    """

    slice: str
    before: int
    opens: str
    upload: str = "upload"
    download: str = "download"

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
    "cdcs": Wire("UploadPart", 0, "initiate", "PutObject", "GetObject"),
}


def unfinished(fs, folder):
    """Return what a directory holds that is not visible."""
    if fs.protocol == "cdcs":
        return fs.uploads(folder)
    try:
        entries = fs.namespace.everything(folder)
    except FileNotFoundError:
        return []
    visible = {info["name"].rpartition("/")[2] for info in fs.ls(folder, refresh=True)}
    return [entry.name for entry in entries if entry.name not in visible]


@pytest.fixture
def wire(protocol):
    return WIRES[protocol]


@pytest.fixture
def small_fs(emulator, protocol):
    """A filesystem whose objects are sliced from 512 KiB on, or cut into parts, and spooled to disk beyond 1 MiB."""
    return fsspec.filesystem(
        protocol,
        **emulator.storage_options,
        slice_size=(1024 if protocol == "cdcs" else 512) * 1024,
        single_upload_limit=512 * 1024,
        spool_memory=1024 * 1024,
        range_size=256 * 1024,
    )


@pytest.fixture
def coffer_dialect():
    """The variant of the coffers; tests override it."""
    return CofferDialect()


@pytest.fixture
def vault(coffer_dialect):
    """A service of coffers."""
    with CofferEmulator(coffers=(COFFER, "other-1250000000"), dialect=coffer_dialect) as running:
        yield running


@pytest.fixture
def coffers(vault, tmp_path):
    """A filesystem on it, whose objects are sent in parts from 1 MiB on."""
    return CofferFileSystem(
        **vault.storage_options,
        slice_size=1024 * 1024,
        single_upload_limit=1024 * 1024,
        range_size=256 * 1024,
        journal_dir=str(tmp_path / "journal"),
    )


@pytest.fixture
def onlooker(vault):
    """A filesystem that shares nothing with `coffers`: like one of another process."""
    return CofferFileSystem(**elsewhere(vault.storage_options), use_listings_cache=False)
