"""Failures leave nothing for the garbage collector: a cycle would keep threads, buffers and files until its next run.

An error refers to the frames that it left, with all their variables. None of them may refer to the error.
"""

import gc
import os
import threading
from contextlib import suppress

import fsspec
import pytest

from cosv4fs.concurrency import cancellation
from cosv4fs.emulator.faults import DropReply, Refuse, Stall
from tests.filesystem.conftest import EVERY
from tests.support import wait_for_background

PROTOCOLS = EVERY

BUCKET = "test-1250000000"
MIB = 1024 * 1024


class Place:
    """A new directory of a bucket, with a few files, and a local directory."""

    def __init__(self, fs, path, local):
        self.fs, self.path, self.local = fs, path, local
        self.small, self.large, self.other = (f"{path}/{name}" for name in ("small", "large", "other"))
        self.new, self.missing = f"{path}/new", f"{path}/missing"
        fs.pipe({self.small: b"1", self.other: b"2", self.large: bytes(3 * MIB)})
        fs.invalidate_cache()

    def write(self, mode="wb", **options):
        with self.fs.open(self.new, mode, **options) as file:
            for _ in range(3):
                file.write(bytes(MIB))

    def write_in_transaction(self):
        with self.fs.transaction:
            self.write()

    def read(self, **options):
        with self.fs.open(self.large, **options) as file:
            file.seek(2 * MIB)
            file.read(10)
            file.seek(0)
            file.read()


OPERATIONS = {
    "ls": lambda at: at.fs.ls(at.path, refresh=True),
    "info": lambda at: at.fs.info(at.missing, refresh=True),
    "find": lambda at: at.fs.find(at.path),
    "walk": lambda at: list(at.fs.walk(at.path)),
    "glob": lambda at: at.fs.glob(f"{at.path}/*"),
    "scandir": lambda at: list(at.fs.scandir(at.path)),
    "cat": lambda at: at.fs.cat_file(at.large),
    "cat of nothing": lambda at: at.fs.cat_file(at.missing),
    "cat of many": lambda at: at.fs.cat([at.small, at.other, at.missing], on_error="return"),
    "cat_ranges": lambda at: at.fs.cat_ranges([at.large, at.missing], [0, 0], [10, 10]),
    "get_file": lambda at: at.fs.get_file(at.large, at.local / "got"),
    "get": lambda at: at.fs.get(at.path, str(at.local / "tree"), recursive=True),
    "read": Place.read,
    "read ahead": lambda at: at.read(cache_type="parallel"),
    "pipe": lambda at: at.fs.pipe_file(at.new, b"1"),
    "pipe of much": lambda at: at.fs.pipe_file(at.new, bytes(3 * MIB)),
    "pipe of many": lambda at: at.fs.pipe({f"{at.path}/n{n}": b"1" for n in range(4)}),
    "pipe to a taken path": lambda at: at.fs.pipe_file(at.small, b"1", mode="create"),
    "put_file": lambda at: at.fs.put_file(at.local / "large", at.new),
    "put": lambda at: at.fs.put(str(at.local / "folder"), at.new, recursive=True),
    "write": Place.write,
    "write of a known size": lambda at: at.write(size=3 * MIB),
    "append": lambda at: at.write("ab"),
    "transaction": Place.write_in_transaction,
    "cp_file": lambda at: at.fs.cp_file(at.large, at.new),
    "mv": lambda at: at.fs.mv(at.other, at.new),
    "makedirs": lambda at: at.fs.makedirs(f"{at.path}/made/below", exist_ok=True),
    "setxattr": lambda at: at.fs.setxattr(at.missing, a="1"),
    "rm": lambda at: at.fs.rm(at.path, recursive=True),
}


@pytest.fixture
def places(emulator, protocol, tmp_path):
    """Make a place for each attempt: what is in a coffer stays."""
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, skip_instance_cache=True, max_retries=1, journal_dir=str(tmp_path / "j"),
        slice_size=MIB, single_upload_limit=MIB, range_size=MIB, spool_memory=MIB,
    )  # fmt: skip
    (tmp_path / "large").write_bytes(os.urandom(3 * MIB))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").touch()
    return (Place(fs, f"{BUCKET}/{number}", tmp_path) for number in range(100))


def attempt(operation, place):
    with suppress(OSError, NotImplementedError):
        OPERATIONS[operation](place)


def cancel(operation, place, stall):
    """Cancel an operation, as Ctrl-C does, at a request that stalls."""
    owner = object()

    def work():
        with cancellation.working_for(owner):
            attempt(operation, place)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        if stall.entered.wait(0.01):
            cancellation.cancel(owner)
        thread.join(0.01)
    stall.release.set()


def kept_by_cycles():
    """Return what only the garbage collector frees: objects of this package, and frames of its functions."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(0)
    found = [repr(thing) for thing in gc.garbage if type(thing).__module__.startswith("cosv4fs")]
    found += [
        repr(thing) for thing in gc.garbage if "/cosv4fs/" in getattr(getattr(thing, "f_code", None), "co_filename", "")
    ]
    gc.garbage.clear()
    return found


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_failures_leave_no_cycles(places, emulator, protocol, operation, monkeypatch):
    # what cleans up stalls, too
    monkeypatch.setattr(cancellation, "_CLEAN_UP_SECONDS", 0.02)
    refusal = Refuse("AuthFailed" if protocol == "cdcs" else -61)
    gc.collect()
    gc.disable()
    try:
        for action, nth in ((None, 1), (refusal, 1), (refusal, 2), (DropReply(), 1), (Stall(), 1), (Stall(), 2)):
            place = next(places)
            if action is not None:
                emulator.faults.add(action=action, nth=nth, times=None)
            if isinstance(action, Stall):
                cancel(operation, place, action)
            else:
                attempt(operation, place)
            emulator.faults.clear()
        wait_for_background()
        assert kept_by_cycles() == []
    finally:
        gc.enable()
