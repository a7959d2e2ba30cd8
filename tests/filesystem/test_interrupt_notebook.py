"""Interrupting a cell of a notebook: the cell ends, nothing goes on behind it, and the next cell works."""

import os
import tempfile
import threading

import pytest

from cosv4fs.emulator.faults import Stall
from tests.kernels import TIMEOUT, Kernel

BUCKET = "test-1250000000"
MIB = 1024 * 1024

BEGIN = """
import os, threading, fsspec
from fsspec.callbacks import TqdmCallback
os.chdir({folder!r})
path, MIB = "test-1250000000/dir/object", 1024 * 1024
fs = fsspec.filesystem("cosv4", **{options!r})
"""
# a thread releases its permit a moment after its task has ended, while every request of another stalls on
NOTHING_RUNS = """
import time
end = time.monotonic() + 30
while fs.runtime.uploader.pool.window.permits and time.monotonic() < end:
    time.sleep(0.01)
from cosv4fs.concurrency import cancellation
assert not cancellation._threads().owners, cancellation._threads().owners
assert not fs.runtime.uploader.pool.window.permits, fs.runtime.uploader.pool.window.permits
"""
NEXT = """
fs.pipe_file(path, bytes(9_000_000))
assert fs.cat_file(path) == bytes(9_000_000)
"""

# what stalls, and the cell that is interrupted
CELLS = {
    "put_file": ("upload_slice_data", "fs.put_file('local', path, resume=False)"),
    "put_file with a bar": (
        "upload_slice_data",
        "with TqdmCallback() as bar:\n    fs.put_file('local', path, resume=False, callback=bar)",
    ),
    "put": ("upload_slice_data", "fs.put(['local'] * 4, [f'{path}{n}' for n in range(4)], resume=False)"),
    "get_file": ("download", "fs.get_file('test-1250000000/large', 'back')"),
    "get": ("download", "fs.get(['test-1250000000/large'] * 2, ['back', 'back2'])"),
    "cat": ("download", "fs.cat('test-1250000000/large')"),
    "read": ("download", "with fs.open('test-1250000000/large') as file:\n    file.read()"),
    "write": (
        "upload_slice_data",
        "with fs.open(path, 'wb') as file:\n    for _ in range(30):\n        file.write(b'x' * MIB)",
    ),
    "write of known size": (
        "upload_slice_data",
        "with fs.open(path, 'wb', size=9 * MIB) as file:\n    for _ in range(9):\n        file.write(b'x' * MIB)",
    ),
}


@pytest.fixture(scope="module")
def kernel():
    # a socket's path must be short
    with tempfile.TemporaryDirectory() as folder:
        running = Kernel(folder)
        yield running
        running.stop()


@pytest.mark.parametrize("what", list(CELLS))
def test_interrupt_ends_the_cell(kernel, fs, emulator, tmp_path, what):
    local = tmp_path / "local"
    local.write_bytes(os.urandom(9 * MIB))
    fs.put_file(local, f"{BUCKET}/large", resume=False)
    options = {**emulator.storage_options, "slice_size": MIB, "range_size": MIB, "journal_dir": str(tmp_path / "j")}
    kernel.run(BEGIN.format(folder=str(tmp_path), options=options))
    operation, code = CELLS[what]
    release = threading.Event()
    stall = Stall(release, timeout=3 * TIMEOUT)
    emulator.faults.add(op=operation, nth=2, times=1000, action=stall)
    try:
        cell = kernel.start(code)
        assert stall.entered.wait(TIMEOUT)
        kernel.manager.interrupt_kernel()
        # all of this happens while every request stalls: nothing could end by itself
        assert kernel.finish(cell)[0] == "KeyboardInterrupt"
        kernel.run(NOTHING_RUNS)
    finally:
        release.set()
        emulator.faults.clear()
    assert list(tmp_path.glob("*.cosv4fs-part")) == []
    kernel.run(NEXT)
    assert fs.cat_file(f"{BUCKET}/dir/object") == bytes(9_000_000)
    if what != "put":
        # of many, one may be cut off while its session is being opened: then the session is nobody's, and invisible
        assert fs.uploads(BUCKET) == []
