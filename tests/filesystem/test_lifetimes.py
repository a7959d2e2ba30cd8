"""What is lost ends by itself: without a lock, without the collector, and in a forked child without the parent."""

import gc
import gzip
import io
import json
import os
import threading
import weakref

import fsspec
import pytest
from fsspec.caching import caches

from cosv4fs.concurrency import cancellation
from cosv4fs.emulator.faults import Refuse, Stall
from tests.filesystem.programs import Program
from tests.support import MIB, wait_for_background

pytestmark = pytest.mark.usefixtures("few_objects")

PROTOCOLS = ("cosv4", "cdcs")
BUCKET = "test-1250000000"
SMALL, LARGE = f"{BUCKET}/small", f"{BUCKET}/large"
PATH = f"{BUCKET}/dir/object"
BLOCK = MIB // 4


class Recorder:
    """Makes locks that note which thread took them."""

    def __init__(self):
        self.taken = []
        self.make = {"Lock": threading.Lock, "RLock": threading.RLock}

    def lock(self, kind="Lock"):
        return Recorded(self.make[kind](), self.taken)


class Recorded:
    """A lock that notes who takes it; else it is what it stands for."""

    def __init__(self, lock, taken):
        self._lock, self._taken = lock, taken

    def acquire(self, *args, **options):
        self._taken.append(threading.get_ident())
        return self._lock.acquire(*args, **options)

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self._lock.release()

    def __getattr__(self, name):
        if name in ("_release_save", "_acquire_restore", "_is_owned") and not hasattr(self._lock, name):
            raise AttributeError(name)
        return getattr(self._lock, name)


@pytest.fixture
def recorder(monkeypatch):
    """From here on every lock that Python code makes notes who takes it: this package's, and those it stands on."""
    made = Recorder()
    monkeypatch.setattr(threading, "Lock", made.lock)
    monkeypatch.setattr(threading, "RLock", lambda: made.lock("RLock"))
    return made


@pytest.fixture
def fresh(recorder, emulator, protocol):
    """A filesystem whose locks are recorded, with a small and a large file."""
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, skip_instance_cache=True, slice_size=MIB, single_upload_limit=MIB,
        spool_memory=MIB, range_size=MIB,
    )  # fmt: skip
    fs.pipe({SMALL: b"[1, 2]", f"{SMALL}.gz": gzip.compress(b"[1, 2]"), LARGE: bytes(5 * MIB)})
    yield fs
    wait_for_background()


def reading(fs, **options):
    file = fs.open(LARGE, **options)
    file.read(10)
    return file


def writing(fs, count, mode="wb", **options):
    file = fs.open(f"{BUCKET}/new", mode, **options)
    file.write(("x" if "b" not in mode else b"x") * count)
    return file


LOST = {
    "reader": reading,
    "reader of a small file": lambda fs: fs.open(SMALL),
    "text": lambda fs: reading(fs, mode="r", encoding="latin-1"),
    "buffered": lambda fs: io.BufferedReader(reading(fs)),
    "compressed": lambda fs: fs.open(f"{SMALL}.gz", compression="gzip"),
    "fsspec.open": lambda fs: fsspec.core.OpenFile(fs, LARGE, "r", encoding="latin-1").open(),
    "filesystem": lambda fs: type(fs)(*fs.storage_args, **fs.storage_options, max_retries=1, skip_instance_cache=True),
    "writer": lambda fs: writing(fs, 10),
    "writer of much": lambda fs: writing(fs, 3 * MIB),
    "writer of a known size": lambda fs: writing(fs, 3 * MIB, size=4 * MIB),
    "text writer": lambda fs: writing(fs, 10, "w"),
    "compressed writer": lambda fs: writing(fs, 2 * MIB, compression="gzip"),
    "compressed text writer": lambda fs: writing(fs, 2 * MIB, "w", compression="gzip"),
    "writer of fsspec.open": lambda fs: fsspec.core.OpenFile(fs, f"{BUCKET}/new", "w", "gzip").open(),
}


@pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", list(LOST))
def test_the_collector_takes_no_lock(fresh, recorder, what):
    gc.collect()
    gc.disable()
    try:
        lost = [LOST[what](fresh)]
        lost.append(lost)
        del lost
        recorder.taken.clear()
        gc.collect()
        taken = recorder.taken.count(threading.get_ident())
    finally:
        gc.enable()
    assert taken == 0


@pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning")
def test_a_compressor_that_is_lost_first_writes_to_nobody(fresh, recorder):
    """What it still holds comes in its finalizer, which may run before that of the file below it."""
    file = writing(fresh, 2 * MIB, compression="gzip")
    recorder.taken.clear()
    file._outer.__del__()
    assert recorder.taken.count(threading.get_ident()) == 0
    del file
    wait_for_background()
    assert not fresh.exists(f"{BUCKET}/new", refresh=True)


def test_a_reader_may_be_lost_inside_any_lock(fs):
    """In another thread, which nobody waits for when it hangs."""
    fs.pipe_file(SMALL, b"[1, 2]")
    locks = [cancellation._threads().lock, fs.runtime.uploader.pool.window._lock, fs.namespace.cache._lock]
    done = threading.Event()

    def lose():
        for lock in locks:
            ring = [fs.open(SMALL)]
            ring[0].read()
            ring.append(ring)
            del ring
            with lock:
                gc.collect()
        done.set()

    threading.Thread(target=lose, daemon=True).start()
    assert done.wait(30)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


KINDS = [kind for kind in caches if kind not in (None, "parts")] + ["parallel"]


# fsspec's own cache in a mapped file lets go of it in this way
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("how", ["lost", "closed", "failed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_ends_without_the_collector(small_fs, emulator, wire, no_collector, kind, how):
    small_fs.pipe_file(LARGE, os.urandom(5 * BLOCK))
    file = small_fs.open(LARGE, cache_type=kind, block_size=BLOCK)
    file.read(10)
    if (kind, how) == ("adaptive", "failed"):
        pytest.skip("fsspec's own prefetching keeps an error and its frames in a cycle")
    ended = [threading.Event() for _ in range(50)]
    parts = [file, file.cache, *getattr(file.cache, "_ranges", ())]
    things = [weakref.ref(part, lambda _, end=end: end.set()) for part, end in zip(parts, ended, strict=False)]
    del parts
    if how == "closed":
        file.close()
    if how == "failed":
        _fail(file, emulator, wire.download, "AuthFailed" if wire.download == "GetObject" else -61)
    del file
    # a thread that has just run a request may still hold it for a moment, and the reader with its error
    assert all(end.wait(30) for end in ended[: len(things)])


def _fail(file, emulator, operation, code):
    # every range that was not in flight yet is refused
    emulator.faults.add(op=operation, action=Refuse(code), times=1000)
    failed = False
    try:
        file.seek(4 * BLOCK)
        file.read()
    except OSError:
        failed = True
    assert failed or file.cache.name in ("all", "parallel")
    emulator.faults.clear()


def test_json_load_leaves_nothing(fs, no_collector):
    fs.pipe_file(SMALL, b"[1, 2]")
    before = sum(type(thing).__name__ == "CosReader" for thing in gc.get_objects())
    for _ in range(20):
        assert json.load(fs.open(SMALL)) == [1, 2]
    # one of an earlier test may end meanwhile
    assert sum(type(thing).__name__ == "CosReader" for thing in gc.get_objects()) <= before


FORK = """
import gc, os, signal, sys, threading, warnings, fsspec
from cosv4fs import forking
warnings.simplefilter("ignore")
protocol, bucket, options, local = sys.argv[1], sys.argv[2], eval(sys.argv[3]), sys.argv[4]
fs = fsspec.filesystem(protocol, **options)
fs.pipe({f"{bucket}/{name}": bytes(3_000_000) for name in "abc"})
reader = fs.open(f"{bucket}/a", cache_type=sys.argv[5], block_size=1 << 20)
reader.read(10)
client, runtime = fs.client, fs.runtime
kinds = type(threading.Lock()), type(threading.RLock())
def locks():
    things = [value() for value in forking._renewable if isinstance(value, forking.PerProcess)]
    things += [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith(("cosv4fs", "urllib3"))]
    for thing in things:
        held = [thing, *getattr(thing, "__dict__", {}).values()]
        yield from (lock for lock in held if isinstance(lock, kinds))
held, go = threading.Event(), threading.Event()
def hold():
    for lock in list(locks()):
        lock.acquire(blocking=False)
    held.set()
    go.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    try:
        assert reader.read() == bytes(3_000_000 - 10)
        with fs.open(f"{bucket}/w", "wb") as file:
            file.write(bytes(3_000_000))
        with fs.open(f"{bucket}/w", "rb") as file:
            assert file.read() == bytes(3_000_000)
        assert len(fs.ls(bucket)) >= 4
        fs.put(local, f"{bucket}/put")
        assert fs.cat([f"{bucket}/put", f"{bucket}/a"])[f"{bucket}/put"] == open(local, "rb").read()
        client.clock_difference(bucket)
        for more in ({}, {"max_retries": 1}):
            other = fsspec.filesystem(protocol, **options, **more, skip_instance_cache=True)
            other.pipe({f"{bucket}/{name}": b"x" for name in "xyz"} if protocol != "cdcs" or not more else {})
            assert other.cat_file(f"{bucket}/a") == bytes(3_000_000)
            assert other.runtime is not runtime
        assert fs.runtime is not runtime
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["parallel", "background"])
def test_a_child_needs_none_of_its_parents_locks_and_threads(emulator, wire, protocol, tmp_path, kind):
    local = tmp_path / "local"
    local.write_bytes(bytes(2_000_000))
    given = [protocol, BUCKET, repr({**emulator.storage_options, "slice_size": MIB}), str(local), kind]
    stall = Stall()
    # a thread of the parent waits for the second range, which the child has to fetch itself
    second = f"bytes={MIB}-"
    emulator.faults.add(
        op=wire.download, action=stall, match=lambda call: call.head.headers.get("range", "").startswith(second)
    )
    assert Program(FORK, *given).text() == "0\n"
    assert stall.entered.is_set()
    stall.release.set()


@pytest.mark.parametrize("block_size", [MIB, 8 * MIB])
def test_closing_beside_a_read_ends_both(fs, emulator, wire, block_size):
    fs.pipe_file(LARGE, bytes(5 * MIB))
    file = fs.open(LARGE, block_size=block_size)
    stall, told = Stall(), []
    emulator.faults.add(op=wire.download, action=stall, times=1000)

    def read():
        try:
            file.read()
        except ValueError as error:
            told.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    assert stall.entered.wait(30)
    file.close()
    reader.join(30)
    stall.release.set()
    assert told == ["I/O operation on closed file."]
    assert file.closed


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_file_that_another_thread_has_closed_gives_nothing_any_more(fs, monkeypatch, error):
    fs.pipe_file(SMALL, b"one\ntwo\n")
    file = fs.open(SMALL)
    fetch = file.cache._fetch

    def fetch_while_another_closes(start, stop):
        data = fetch(start, stop)
        file.close()
        if error:
            raise error
        return data

    monkeypatch.setattr(file.cache, "_fetch", fetch_while_another_closes)
    with pytest.raises(error or ValueError):
        file.readline()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


WRITER_FORK = """
import os, signal, sys, fsspec
protocol, path, how = sys.argv[1], sys.argv[2], sys.argv[3]
fs = fsspec.filesystem(protocol, **eval(sys.argv[4]))
with fs.open(path, "wb", size=9 << 20) as file:
    file.write(bytes(4 << 20))
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        if how == "leave":
            sys.exit(0)
        try:
            file.close() if how == "close" else file.write(b"x")
        except OSError as error:
            os._exit(7 if "before a fork" in str(error) else 8)
        os._exit(9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    file.write(bytes(5 << 20))
sys.exit(code)
"""


@pytest.mark.protocol("cosv4", "cosv3", "cdcs")
@pytest.mark.parametrize(("how", "code"), [("leave", 0), ("close", 7), ("write", 7)])
def test_a_forked_child_cannot_end_its_parents_file(emulator, second, protocol, how, code):
    arguments = [protocol, PATH, how, repr(emulator.storage_options)]
    process = Program(WRITER_FORK, *arguments)
    assert (process.text(), process.code) == ("", code)
    assert second.cat_file(PATH) == bytes(9 * MIB)
