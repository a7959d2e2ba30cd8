"""Ctrl-C: what is in flight ends at once, and nothing is left running."""

import os
import threading

import pytest

from cosv4fs.emulator.faults import Stall
from tests.filesystem.conftest import EVERY
from tests.filesystem.programs import Program

PROTOCOLS = EVERY

BUCKET = "test-1250000000"
MIB = 1024 * 1024

SCRIPT = """
import sys, fsspec
from cosv4fs.concurrency import cancellation
if len(sys.argv) > 5:
    cancellation._CLEAN_UP_SECONDS = float(sys.argv[5])
fs = fsspec.filesystem(sys.argv[4], **eval(sys.argv[1]))
path, local = "test-1250000000/dir/object", sys.argv[2]
def write(**options):
    with fs.open(path, "wb", **options) as file:
        for _ in range(9):
            file.write(bytes(1_000_000))
def read():
    with fs.open("test-1250000000/large") as file:
        while file.read(1_000_000):
            pass
actions = {
    "put_file": lambda: fs.put_file(local, path, resume=False),
    "put resumable": lambda: fs.put_file(local, path),
    "put many": lambda: fs.put([local] * 4, [f"{path}{n}" for n in range(4)], resume=False),
    "pipe many": lambda: fs.pipe({f"{path}{n}": b"x" for n in range(50)}),
    "write": lambda: write(size=9_000_000),
    "write of unknown size": write,
    "read": read,
    "get_file": lambda: fs.get_file("test-1250000000/large", local + ".back"),
    "cat": lambda: fs.cat_file("test-1250000000/large"),
}
try:
    actions[sys.argv[3]]()
except KeyboardInterrupt:
    print("interrupted", list(cancellation._threads().owners))
"""

# what stalls, from which on, and how many requests do so before nothing more can happen; small items begin with eight
# threads
STALLED = {
    "put_file": ("slice", 2, 8),
    "put resumable": ("slice", 2, 8),
    "put many": ("slice", 2, 11),
    "pipe many": ("upload", 1, 8),
    "write": ("slice", 2, 7),
    # the first read asks for two ranges, the second for three more, in any order; how many follow is chance
    "read": ("download", 3, 3),
    "get_file": ("download", 2, 8),
    "cat": ("download", 2, 8),
}


@pytest.mark.parametrize("what", list(STALLED))
def test_control_c_ends_what_is_under_way(fs, emulator, tmp_path, what, wire, protocol):
    local = tmp_path / "local"
    local.write_bytes(os.urandom(9 * MIB))
    if STALLED[what][0] == "download":
        fs.put_file(local, f"{BUCKET}/large")
    options = {**emulator.storage_options, "slice_size": MIB, "range_size": MIB, "journal_dir": str(tmp_path / "j")}
    release = threading.Event()
    stall = Stall(release)
    operation, first, count = STALLED[what]
    if operation == "slice" and wire.before:
        # one slice after another: one of each file waits, of many the first file's, and the other files' openings
        first, count = first + wire.before, 1
    operation = getattr(wire, operation)
    fault = emulator.faults.add(op=operation, nth=first, times=1000, action=stall)
    process = Program(SCRIPT, repr(options), str(local), what, protocol)
    process.wait_for(fault, count)
    process.interrupt()
    # every request stalls until the end of this test: the process could not end by itself
    text = process.text(timeout=45)
    release.set()
    assert process.code == 0
    # of many, one may be cut off while its session is being opened: a busy service may refuse to remove that
    assert text == "interrupted []\n" or ("many" in what and text.endswith("interrupted []\n"))
    assert fault.hits >= count
    assert list(tmp_path.glob("*.cosv4fs-part")) == []
    emulator.faults.clear()
    if "many" not in what and what != "put resumable":
        # of many, one may be cut off while its session is being opened: then the session is nobody's, and invisible
        assert fs.uploads(BUCKET) == []
        assert not fs.exists(f"{BUCKET}/dir/object")


class Hung:
    """A process at work against a service that has stopped answering."""

    def __init__(self, emulator, options, local, what, protocol, hurry):
        self.release = threading.Event()
        self._emulator = emulator
        self.stall = Stall(self.release, timeout=300)
        self.fault = None
        self._arguments = [SCRIPT, repr(options), str(local), what, protocol, str(hurry)]

    def start(self, **rule):
        self.fault = self._emulator.faults.add(times=1000, action=self.stall, **rule)
        self.process = Program(*self._arguments)

    def wait_for(self, hits, fault=None):
        self.process.wait_for(fault or self.fault, hits)
        assert (fault or self.fault).hits >= hits

    def interrupt(self):
        self.process.interrupt()

    def end(self):
        try:
            # a clean-up that tries as often, and as long, as other requests takes more than a hundred seconds
            text = self.process.text(timeout=60)
        finally:
            self.release.set()
        assert text.splitlines()[-1].startswith("interrupted ")


@pytest.fixture
def hung(emulator, tmp_path, protocol):
    """Return a function that starts something, all of whose requests hang from the first slice on."""
    local = tmp_path / "local"
    local.write_bytes(os.urandom(9 * MIB))
    options = {**emulator.storage_options, "slice_size": MIB, "journal_dir": str(tmp_path / "j"), "use_ssl": False}
    running = []

    def make(what, hurry=1.0):
        running.append(Hung(emulator, options, local, what, protocol, hurry))
        return running[-1]

    yield make
    for one in running:
        one.release.set()
    emulator.faults.clear()


@pytest.mark.parametrize("what", ["put_file", "put many", "write", "write of unknown size"])
def test_control_c_ends_against_a_service_that_hangs(hung, emulator, wire, what):
    process = hung(what)
    seen = []

    def hangs(call):
        # the requests that open something still pass, so that there is something to clean up
        seen.append(call)
        return len(seen) > {"put many": 10}.get(what, 3) + wire.before

    process.start(match=hangs)
    process.wait_for(2 if wire.before == 0 else 1)
    process.interrupt()
    process.end()


def test_another_control_c_ends_the_clean_up(hung, emulator, wire):
    # the first alone would wait for longer than this test
    process = hung("write", hurry=1000.0)
    asks = emulator.faults.add(match=lambda call: call.op in ("delete", "AbortMultipartUpload"), action=process.stall)
    process.start(op=wire.slice, nth=2 + wire.before)
    process.wait_for(1)
    process.interrupt()
    # not before: the process would take two at once for one
    process.wait_for(1, asks)
    process.interrupt()
    process.end()
