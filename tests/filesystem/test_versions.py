"""Versions are never mixed, though a file is replaced within the second by one of equal size."""

import errno
import io
import threading
import time
from types import SimpleNamespace

import fsspec
import pytest

from cosv4fs.concurrency import cancellation
from cosv4fs.emulator import Dialect, Emulator, faults
from tests.support import BUCKET, KIB, Do, content, elsewhere

OLD, NEW = content(900 * KIB), content(900 * KIB, 1)
PATH = f"{BUCKET}/x"
RANGE = 128 * KIB


class FrozenClock:
    """The service's clock, which goes on only when a client waits, and never within a replacement.

    Otherwise the new object could be stored in the same second as the old one and take its place in a later second:
    nothing in a reply shows such a replacement.
    """

    def __init__(self):
        self.now = float(int(time.time()))
        self.waited = []
        self.replacing = threading.Lock()

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        with self.replacing:
            self.waited.append(seconds)
            self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = FrozenClock()
    monkeypatch.setattr(cancellation, "sleep", clock.sleep)
    # the reader's clock is the service's: a busy machine may take seconds of which that knows nothing
    for module in ("reader", "transfer.versions"):
        monkeypatch.setattr(f"cosv4fs.{module}.time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def make_emulator(clock):
    running = []

    def make(**dialect):
        running.append(Emulator(buckets=(BUCKET,), dialect=Dialect(**dialect), clock=clock))
        running[-1].start()
        return running[-1]

    yield make
    for emulator in running:
        emulator.close()


def filesystem(emulator, **options):
    options = {**emulator.storage_options, "range_size": RANGE, "slice_size": 512 * KIB, **options}
    return fsspec.filesystem("cosv4", **options, skip_instance_cache=True)


def other_client(emulator, **options):
    """Return another client's filesystem; its files have a SHA-1 that the service does not tell, with ``slice_sha``."""
    options = {"single_upload_limit": 0, "checksum": False, "max_concurrency": 2, **options}
    return filesystem(emulator, **elsewhere({**emulator.storage_options, **options}))


def in_steps(fs):
    with fs.open(PATH, "rb") as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def with_known_size(fs):
    with fs.open(PATH, "rb", size=len(OLD), cache_type="readahead", block_size=RANGE) as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def to_sink(fs):
    sink = io.BytesIO()
    fs.get_file(PATH, sink)
    return sink.getvalue()


def to_disk(fs, tmp_path):
    fs.get_file(PATH, str(tmp_path / "x"))
    return (tmp_path / "x").read_bytes()


WAYS = {"cat": lambda fs, _: fs.cat_file(PATH), "open": lambda fs, _: in_steps(fs), "disk": to_disk}
WAYS |= {"sink": lambda fs, _: to_sink(fs), "size": lambda fs, _: with_known_size(fs)}


@pytest.fixture(params=WAYS)
def read(request, tmp_path):
    return lambda fs: WAYS[request.param](fs, tmp_path)


@pytest.fixture
def nth(request, told, slice_sha):
    """At which request the file is replaced: over all ways to tell a version, each way to read meets each."""
    chosen = ["full", "weak", "modified", "bare"].index(told) + 2 * (slice_sha == "real")
    return 1 + (chosen + list(WAYS).index(request.node.callspec.params["read"])) % 3


def whatever_comes(read, fs):
    """Return what is read; None when that is refused because the file was replaced."""
    try:
        return read(fs)
    except OSError as error:
        if error.errno != errno.ESTALE or error.filename != PATH:
            raise
        return None


@pytest.mark.parametrize("told", ["full", "weak", "modified", "bare"])
@pytest.mark.parametrize("slice_sha", ["real", "absent"])
class TestReplacedWithinTheSecond:
    @pytest.fixture
    def emulator(self, make_emulator, told, slice_sha):
        return make_emulator(download_headers=told, slice_sha=slice_sha)

    def test_what_is_read_is_one_version(self, emulator, read, nth, clock):
        other = other_client(emulator)
        other.pipe_file(PATH, OLD)
        replaced = []

        def replace():
            with clock.replacing:
                if not replaced:
                    replaced.append(other.pipe_file(PATH, NEW))

        emulator.faults.add(op="download", nth=nth, action=Do(replace))
        data = whatever_comes(read, filesystem(emulator))
        assert data in (None, OLD, NEW)
        assert len(replaced) == 1

    def test_it_is_read_where_nobody_replaces_it(self, emulator, read, clock, told, slice_sha):
        other_client(emulator).pipe_file(PATH, OLD)
        assert read(filesystem(emulator)) == OLD
        assert bool(clock.waited) == (told != "full" and slice_sha == "absent")
        # an old file without waiting
        clock.waited.clear()
        clock.now += 120
        assert read(filesystem(emulator)) == OLD
        assert clock.waited == []


@pytest.mark.parametrize("told", ["weak", "modified", "bare"])
def test_a_file_that_comes_in_one_reply_needs_no_further_request(make_emulator, told, tmp_path):
    emulator = make_emulator(download_headers=told)
    other_client(emulator).pipe_file(PATH, OLD)
    for name, way in WAYS.items():
        fs = filesystem(emulator, range_size=len(OLD))
        emulator.clear_requests()
        if name != "size":
            assert way(fs, tmp_path) == OLD
            assert emulator.count() == {"download": 1, **({"stat": 1} if name == "open" else {})}


@pytest.mark.parametrize("told", ["weak", "modified", "bare"])
def test_a_broken_reply_is_not_continued_with_another_version(make_emulator, told):
    emulator = make_emulator(download_headers=told)
    other = other_client(emulator)
    other.pipe_file(PATH, OLD)
    fs = filesystem(emulator, range_size=len(OLD))
    emulator.faults.add(op="download", action=faults.CutReply(300 * KIB))
    emulator.faults.add(op="download", nth=2, action=Do(lambda: other.pipe_file(PATH, NEW)))
    assert fs.cat_file(PATH) == NEW
