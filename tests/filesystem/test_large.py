"""An object nearly three times as large as the memory that is allowed, through every way of writing and reading."""

import hashlib
import subprocess
import sys

import fsspec
import pytest

from cosv4fs.emulator import CofferEmulator

COFFER = "examplecoffer-1250000000"
MIB = 1024 * 1024
SIZE = 128 * MIB
SMALL = {"slice_size": MIB, "range_size": MIB, "spool_memory": MIB}

COMMON = """
import hashlib, io, os, sys, fsspec
options, path, size, local = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
fs = fsspec.filesystem(options.pop("protocol", "cosv4"), **options)
block = hashlib.sha512(b"seed").digest() * 16384


def chunks():
    for number in range(size // len(block)):
        yield number.to_bytes(8, "big") + block[8:]


def digest(parts):
    total = hashlib.sha1()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def reset():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


warm_path = f"{path}-warm-{os.getpid()}"
fs.pipe_file(warm_path, bytes(9_000_000))
fs.cat_file(warm_path)
with fs.open(warm_path) as warm:
    warm.read()
reset()
before = peak()
"""

WRITE = {
    "open with size": """
with fs.open(path, "wb", size=size) as file:
    for chunk in chunks():
        file.write(chunk)
""",
    "open": """
with fs.open(path, "wb") as file:
    for chunk in chunks():
        file.write(chunk)
""",
    "put_file": """
fs.put_file(local, path)
""",
    "pipe_file": """
import mmap
with open(local, "rb") as file:
    content = bytes(size)
    memory = memoryview(bytearray(size))
    file.readinto(memory)
del content
reset()
before = peak()
fs.pipe_file(path, memory)
""",
}

READ = {
    "open": """
file = fs.open(path, "rb")
found = digest(iter(lambda: file.read(1000_003), b""))
""",
    "get_file": """
fs.get_file(path, local + ".back")
with open(local + ".back", "rb") as file:
    found = digest(iter(lambda: file.read(1 << 20), b""))
os.unlink(local + ".back")
""",
    "cat_ranges": """
part = 16 << 20
found = digest(data for start in range(0, size, part) for data in fs.cat_ranges(
    [path] * 4, [start + n * part // 4 for n in range(4)], [start + (n + 1) * part // 4 for n in range(4)]))
""",
}

TELL = """
print(found if "found" in globals() else "-", peak() - before)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    root = tmp_path_factory.mktemp("service")
    command = [sys.executable, "-m", "cosv4fs.emulator", "--root", str(root), "--port", "0", "--bucket", "large"]
    secrets = ["--appid", "1250000000", "--secret-id", "id", "--secret-key", "key", "--no-fsync"]
    process = subprocess.Popen([*command, *secrets], stdout=subprocess.PIPE, text=True)
    endpoint = process.stdout.readline().split()[-1]
    yield {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "region": "gz", "endpoint": endpoint, **SMALL}
    process.terminate()
    process.wait(30)
    process.stdout.close()


def _run(script, service, local, size=SIZE, path="large/object"):
    command = [sys.executable, "-c", COMMON + script + TELL, repr(service), path, str(size), str(local)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found, grown = result.stdout.split()
    return found, int(grown)


def chunks(size):
    """Yield the content that all scripts write."""
    block = hashlib.sha512(b"seed").digest() * 16384
    for number in range(size // len(block)):
        yield number.to_bytes(8, "big") + block[8:]


def digest_of(size):
    total = hashlib.sha1()
    for chunk in chunks(size):
        total.update(chunk)
    return total.hexdigest()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A local file with the content that all scripts write, and its SHA-1."""
    path = tmp_path_factory.mktemp("local") / "large"
    with path.open("wb") as file:
        file.writelines(chunks(SIZE))
    yield path, digest_of(SIZE)
    path.unlink()


# slice_size x (concurrency + 2) + spool_memory + 32 MiB
BOUND = (14 + 1 + 32) * MIB


@pytest.mark.parametrize("way", list(WRITE))
def test_a_large_object_is_written_whole_in_bounded_memory(service, local, way):
    path, digest = local
    _, grown = _run(WRITE[way], service, path)
    fs = fsspec.filesystem("cosv4", **service)
    info = fs.info("large/object", refresh=True)
    assert info["size"] == SIZE
    assert info["sha"] == digest
    assert grown < BOUND


@pytest.mark.parametrize("way", list(READ))
def test_a_large_object_is_read_whole_in_bounded_memory(service, local, way):
    path, digest = local
    fs = fsspec.filesystem("cosv4", **service)
    if not fs.exists("large/object"):
        fs.put_file(str(path), "large/object")
    found, grown = _run(READ[way], service, path)
    assert found == digest
    # cat_ranges returns what it reads: two batches of 16 MiB may be alive at once
    assert grown < BOUND + (32 * MIB if way == "cat_ranges" else 0)


@pytest.mark.parametrize("way", ["open", "open with size"])
def test_a_large_object_by_v3(service, tmp_path, way):
    options = {"protocol": "cosv3", **service}
    _, grown = _run(WRITE[way], options, tmp_path)
    assert grown < BOUND
    found, grown = _run(READ["open"], options, tmp_path)
    assert found == digest_of(SIZE)
    assert grown < BOUND
    fs = fsspec.filesystem("cosv3", **service)
    assert fs.info("large/object", refresh=True)["sha"] == found
    fs.rm_file("large/object")


DOUBLE = """
from cosv4fs.transfer import plan
plan._DOUBLE_AFTER = 100
"""


# 100 parts of the first size, then twice as large ones; and more than may be in memory at the default
@pytest.mark.parametrize(("slice_size", "size", "parts"), [(MIB, 104 * MIB, 100 + 2), (8 * MIB, 192 * MIB, 24)])
def test_a_large_object_in_a_coffer(tmp_path, slice_size, size, parts):
    path = f"{COFFER}/large"
    with CofferEmulator(tmp_path / "service", coffers=(COFFER,), fsync=False) as emulator:
        options = {**emulator.storage_options, "slice_size": slice_size, "range_size": MIB, "spool_memory": MIB}
        options["protocol"] = "cdcs"
        _, written = _run(DOUBLE + WRITE["open"], options, tmp_path, size, path)
        found, read = _run(READ["open"], options, tmp_path, size, path)
        sent = [request for request in emulator.requests if request.op == "UploadPart" and request.path == "/large"]
    assert found == digest_of(size)
    assert len(sent) == parts
    # slice_size x (concurrency + 2) + spool_memory + 32 MiB
    assert written < 14 * slice_size + 33 * MIB
    # range_size takes the part of slice_size
    assert read < 14 * MIB + 33 * MIB
