"""A filesystem works until the end of its process, and where threads are refused; else the error says so."""

import contextlib
import json
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import fsspec
import pytest

from cosv4fs import forking
from cosv4fs.concurrency import tasks
from tests.filesystem.conftest import BUCKET, EVERY
from tests.processes import REPOSITORY, environment
from tests.support import MIB, content

PREAMBLE = """
import atexit, io, json, os, sys, threading, weakref
import tempfile
before = []
atexit.register(lambda: [work() for work in before])
import fsspec
from multiprocessing import get_context, util

protocol, bucket, options = json.loads(sys.argv[1])
fs = fsspec.filesystem(protocol, **options)
large = bytes(range(256)) * 4096 * 2
local = tempfile.mkdtemp()
os.mkdir(f"{local}/tree")
for index in range(9):
    with open(f"{local}/tree/{index}", "wb") as file:
        file.write(large[: 1000 * index])
"""

WORK = '''
class Work:
    """What is done at one moment, in a folder of its own; some of it begins before."""

    def __init__(self, moment):
        self.moment, self.root = moment, f"{bucket}/{moment}"
        fs.pipe({f"{self.root}/d/{index}": b"%d" % index for index in range(9)})
        fs.pipe_file(f"{self.root}/large", large)
        self.unknown = fs.open(f"{self.root}/unknown", "wb")
        self.unknown.write(large)
        self.known = fs.open(f"{self.root}/known", "wb", size=len(large))
        self.known.write(large[:1200000])
        self.reader = fs.open(f"{self.root}/large")
        self.begun = self.reader.read(1000)

    def do_a_read(self):
        assert fs.cat_file(f"{self.root}/large") == large
        assert len(fs.cat([f"{self.root}/d/{index}" for index in range(9)])) == 9
        assert fs.cat_ranges([f"{self.root}/large"] * 3, [0, 5, 9], [3, 7, 10]) == [large[0:3], large[5:7], large[9:10]]

    def do_b_go_on_reading(self):
        assert self.begun + self.reader.read() == large

    def do_b_read_ahead(self):
        with fs.open(f"{self.root}/large") as file:
            assert b"".join(iter(lambda: file.read(100000), b"")) == large

    def do_c_list(self):
        assert len(fs.find(f"{self.root}/d", refresh=True)) == len([*fs.walk(f"{self.root}/d")][0][2]) == 9
        fs.uploads(self.root)

    def do_d_close(self):
        self.unknown.close()
        self.known.write(large[1200000:])
        self.known.close()
        assert fs.cat_file(f"{self.root}/unknown") == fs.cat_file(f"{self.root}/known") == large

    def do_e_write(self):
        with fs.open(f"{self.root}/text.gz", "wt", compression="gzip") as file:
            file.write("text")
        with fs.open(f"{self.root}/new", "wb") as file:
            file.write(large)
        fs.pipe({f"{self.root}/p/{index}": large[:index] for index in range(1, 9)})
        assert len(fs.find(f"{self.root}/p")) == 8

    def do_f_transfer(self):
        fs.put(f"{local}/tree/", f"{self.root}/put/", recursive=True)
        fs.get(f"{self.root}/put/", f"{local}/{self.moment}/", recursive=True)
        assert len(os.listdir(f"{local}/{self.moment}")) == 9
        fs.put_file(f"{local}/tree/8", f"{self.root}/one")

    def do_g_rearrange(self):
        fs.cp(f"{self.root}/d/", f"{self.root}/copied/", recursive=True)
        if protocol != "cdcs":
            fs.mv(f"{self.root}/copied/", f"{self.root}/moved/", recursive=True)
            fs.rm(f"{self.root}/d", recursive=True)
            assert len(fs.find(f"{self.root}/moved")) == 9

    def __call__(self):
        failed = {}
        for name in [name for name in dir(self) if name.startswith("do_")]:
            try:
                getattr(self, name)()
            except BaseException as error:
                failed[name] = [isinstance(error, OSError), f"{type(error).__name__}: {error}"]
        # one write: others may be in the middle of one
        os.write(1, (json.dumps([self.moment, failed]) + "\\n").encode())
'''

ENDS = '''
def fork(moment):
    """Begin and end a child, at whose exit the work is done."""
    def child():
        util.Finalize(None, Work(moment), exitpriority=10)
    process = get_context("fork").Process(target=child)
    process.start()
    process.join()

def late(work):
    threading.main_thread().join()
    work()

class Thing:
    pass

if hasattr(os, "fork"):
    # first: the child would do what is registered for the end
    fork("forked")
thing = Thing()
weakref.finalize(thing, Work("finalizer"))
atexit.register(Work("after the import"))
before.append(Work("before the import"))
threading._register_atexit(Work("end of threads"))
threading.Thread(target=late, args=(Work("thread"),)).start()
return thing
'''

COLLECTED = """
class Lost:
    def __init__(self):
        self.work = Work("collected")

    def __del__(self):
        self.work()

return Lost()
"""


def small(protocol):
    """Return options by which two megabytes go in parts."""
    slice_size = MIB if protocol == "cdcs" else MIB // 2
    return {"slice_size": slice_size, "range_size": MIB // 2, "single_upload_limit": MIB // 4, "spool_memory": MIB}


def told_by(script, emulator, protocol):
    """Run a script to the end of its process, and return what failed by moment."""
    # in a function, because its names stay until the last object that uses them; globals do not
    body = textwrap.indent(PREAMBLE + WORK + script, "    ")
    given = json.dumps([protocol, BUCKET, {**emulator.storage_options, **small(protocol)}])
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", f"def main():\n{body}\nkept = main()\n", given]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=REPOSITORY, env=environment(), check=False
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.protocol("cosv4", "cdcs")
def test_every_moment_at_the_end(emulator, protocol):
    told = told_by(ENDS, emulator, protocol)
    assert told.keys() >= {"finalizer", "after the import", "before the import", "end of threads", "thread"}
    assert {moment: failed for moment, failed in told.items() if failed} == {}


@pytest.mark.protocol("cosv4", "cdcs")
def test_after_the_end(emulator, protocol):
    """The interpreter is shutting down: nothing hangs, and the errors say why."""
    [failed] = told_by(COLLECTED, emulator, protocol).values()
    assert failed
    for is_os_error, text in failed.values():
        assert "the interpreter is shutting down" in text or "closed file" in text
        assert is_os_error or text.startswith("ValueError")


def use(fs, root):
    """Use everything that works in several threads."""
    data = content(3 * MIB)
    fs.pipe({f"{root}/d/{index}": b"%d" % index for index in range(9)})
    fs.pipe_file(f"{root}/large", data)
    with fs.open(f"{root}/unknown", "wb") as file:
        file.write(data)
    with fs.open(f"{root}/large") as file:
        assert b"".join(iter(lambda: file.read(MIB // 4), b"")) == data
    assert fs.cat_file(f"{root}/unknown") == data
    assert len(fs.cat([f"{root}/d/{index}" for index in range(9)])) == 9
    assert len(fs.find(root, refresh=True)) == 11


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("started", [0, 1, 3])
def test_threads_are_refused(emulator, protocol, monkeypatch, started):
    """The system, or the interpreter after its main thread's end, starts no more than a few."""
    left = [tasks._thread.start_new_thread] * started

    def start_new_thread(*args):
        try:
            start = left.pop()
        except IndexError:
            raise RuntimeError("can't start new thread") from None
        return start(*args)

    monkeypatch.setattr(tasks, "_thread", SimpleNamespace(start_new_thread=start_new_thread))
    use(fsspec.filesystem(protocol, **emulator.storage_options, **small(protocol)), f"{BUCKET}/refused")


@pytest.mark.protocol(*EVERY)
def test_a_handler_in_the_middle_of_a_few_steps(small_fs):
    """A signal may come while its thread holds any of the locks that other threads need."""
    use(small_fs, f"{BUCKET}/before")
    errors = []

    def handle():
        try:
            with contextlib.ExitStack() as held:
                for known in [*forking._locks()._known]:
                    lock = known()
                    if lock is not None:
                        held.enter_context(lock)
                del lock
                assert forking.holds_lock()
                use(small_fs, f"{BUCKET}/handled")
            assert not forking.holds_lock()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=handle, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert errors == []
