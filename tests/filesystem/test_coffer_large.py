"""Hundreds of mebibytes to a coffer and back, of a size that nobody told, in bounded memory."""

import subprocess
import sys

import pytest

from cosv4fs.emulator import CofferEmulator

COFFER = "examplecoffer-1250000000"
MIB = 1024 * 1024
TIMEOUT = 300

PROGRAM = """
import hashlib, sys
from cosv4fs import CofferFileSystem
options, path, size = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fs = CofferFileSystem(**options)
block = hashlib.sha512(b"seed").digest() * 16384


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


with fs.open(path + "-warm", "wb") as warm:
    warm.write(bytes(3_000_000))
fs.cat_file(path + "-warm")
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before, written = peak(), hashlib.sha1()
with fs.open(path, "wb") as file:
    for number in range(size // len(block)):
        chunk = number.to_bytes(8, "big") + block[8:]
        written.update(chunk)
        file.write(chunk)
write = peak() - before
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before, read = peak(), hashlib.sha1()
with fs.open(path, "rb") as file:
    while data := file.read(1_000_003):
        read.update(data)
print(written.hexdigest() == read.hexdigest(), write, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
# 500 parts of the first size, then twice as large ones; and at the default, far more than is allowed in memory
@pytest.mark.parametrize(("slice_size", "size", "parts"), [(MIB, 540 * MIB, 500 + 20), (8 * MIB, 384 * MIB, 48)])
def test_a_stream_of_unknown_size_in_bounded_memory(tmp_path, slice_size, size, parts):
    with CofferEmulator(tmp_path, coffers=(COFFER,), fsync=False) as emulator:
        options = {**emulator.storage_options, "slice_size": slice_size, "spool_memory": MIB}
        command = [sys.executable, "-c", PROGRAM, repr(options), f"{COFFER}/large", str(size)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
        assert result.returncode == 0, result.stderr
        assert emulator.count()["UploadPart"] == parts
    same, write, read = result.stdout.split()
    assert same == "True"
    # slice_size x (concurrency + 2) + spool_memory + 32 MiB
    assert int(write) < 14 * slice_size + 33 * MIB
    # range_size takes the part of slice_size
    assert int(read) < 14 * 4 * MIB + 33 * MIB
