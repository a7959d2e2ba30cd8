"""Every fault at every operation: what is stored is whole, what is said to be stored is, and names stay free."""

import random

import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferEmulator, faults

COFFER = "examplecoffer-1250000000"
PATH = f"{COFFER}/dir/object"
MIB = 1024 * 1024
DATA = random.Random(1).randbytes(2 * MIB + 5)
SMALL = DATA[:1000]

# a connection that comes has no operation yet
FAULTS = [name for name in faults.COFFER if name != "connection reset at once"]
WRITES = ["PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
READS = ["HeadObject", "GetObject", "GetCoffer"]

NAMELESS = {"JSON that is HTML", "JSON array", "JSON without data", "JSON of wrong types"}
"""Replies of success that name no upload: it is there, and nobody knows whose."""

UNSEEN = {"first byte corrupted", "last byte corrupted"}
"""What damages a content in a way that nothing tells: no checksum holds for all objects of a coffer."""


@pytest.fixture
def vault():
    with CofferEmulator(coffers=(COFFER,), fsync=False) as running:
        yield running


@pytest.fixture
def fs(vault):
    sizes = {"slice_size": MIB, "single_upload_limit": MIB, "range_size": MIB}
    return CofferFileSystem(**vault.storage_options, **sizes, read_timeout=5.0, retry_deadline=10.0)


@pytest.fixture
def onlooker(vault):
    return CofferFileSystem(**vault.storage_options, use_listings_cache=False)


def add(vault, op, name):
    return vault.faults.add(op=op, nth=2 if op == "UploadPart" else 1, times=1, action=faults.COFFER[name])


def end(vault):
    vault.faults.clear()
    vault.clock_offset = 0


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("op", WRITES)
def test_writing(fs, onlooker, vault, op, name):
    data = SMALL if op == "PutObject" else DATA
    fault = add(vault, op, name)
    try:
        with fs.open(PATH, "wb") as file:
            file.write(data)
    except OSError as error:
        failure = error
    else:
        failure = None
    end(vault)
    assert fault.hits == 1
    stored = onlooker.exists(PATH)
    if stored:
        assert onlooker.cat_file(PATH) == data
    if failure is None:
        assert stored
    else:
        assert (failure.errno is not None, failure.filename) == (True, PATH)
        # what became of it is unknown when the reply to the last request is no reply
        assert not stored or (op == "CompleteMultipartUpload" and name in NAMELESS)
    assert onlooker.uploads(COFFER) == [] or (op == "InitiateMultipartUpload" and name in NAMELESS)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("op", READS)
def test_reading(fs, onlooker, vault, op, name):
    onlooker.pipe_file(PATH, SMALL)
    fault = add(vault, op, name)
    try:
        found = fs.find(COFFER) if op == "GetCoffer" else fs.cat_file(PATH)
    except OSError as error:
        found, failure = None, error
    else:
        failure = None
    end(vault)
    assert fault.hits == 1
    assert failure is None or failure.errno is not None
    assert not isinstance(failure, FileNotFoundError)
    if found is not None and not (op == "GetObject" and name in UNSEEN):
        assert found == ([PATH] if op == "GetCoffer" else SMALL)
    assert onlooker.cat_file(PATH) == SMALL
