"""Reading whole objects: in parallel, complete, and never a mixture of two versions."""

import errno
import hashlib
import io
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.emulator import faults
from cosv4fs.transfer.download import Download
from tests.support import BUCKET, KIB, MIB, Do, Service, content

DATA = content(5 * MIB + 11)
RANGE = 512 * KIB


def download(service, range_size=RANGE, key="/x", sha=None, **more):
    service.client.config = replace(service.client.config, range_size=range_size)
    return Download(service.client, service.pool, BUCKET + key, sha=sha, **more)


@pytest.fixture
def service(service):
    service.put("/x", DATA)
    return service


@pytest.fixture(params=["bytes", "file", "file in small steps", "sink"])
def way(request, tmp_path, monkeypatch):
    """One of the ways to read an object whole."""
    if request.param == "file in small steps":
        monkeypatch.setattr("cosv4fs.transfer.destinations._STEP", 100_000)

    def read(made):
        if request.param == "bytes":
            return made.to_bytes()
        if request.param.startswith("file"):
            made.to_file(tmp_path / "x")
            assert [path.name for path in tmp_path.iterdir()] == ["x"]
            return (tmp_path / "x").read_bytes()
        sink = io.BytesIO()
        made.to_sink(sink)
        return sink.getvalue()

    return read


@pytest.mark.parametrize(
    "dialect", [{}, {"download_headers": "bare"}, {"ranges": "ignore"}, {"bad_range": "200"}], ids=str
)
@pytest.mark.parametrize("size", [0, 1, RANGE - 1, RANGE, RANGE + 1, len(DATA)])
def test_any_size_any_way(make_service, way, dialect, size):
    service = make_service(**dialect)
    service.put("/x", DATA[:size])
    told, steps = [], []
    assert way(download(service, set_size=told.append, progress=steps.append)) == DATA[:size]
    assert told == [size]
    assert sum(steps) == size


@pytest.mark.parametrize("size", [0, 1, RANGE])
def test_a_small_object_is_one_request(make_service, way, size):
    service = make_service()
    service.put("/x", DATA[:size])
    service.emulator.clear_requests()
    way(download(service))
    assert service.ops() == ["download"]


@pytest.fixture(scope="module")
def shared():
    service = Service()
    service.put("/x", DATA)
    yield service
    service.close()


@given(
    st.none() | st.integers(-len(DATA) - 10, len(DATA) + 10),
    st.none() | st.integers(0, len(DATA) + 10),
    st.sampled_from([RANGE, 100 * KIB, 8 * MIB]),
)
@settings(max_examples=30, deadline=None)
def test_any_range_equals_the_slice(shared, start, stop, range_size):
    if start is not None and start < 0:
        stop = None
    assert download(shared, range_size).to_bytes(start, stop) == DATA[start:stop]


def test_missing(service, way):
    with pytest.raises(FileNotFoundError) as caught:
        way(download(service, key="/no"))
    assert caught.value.filename == f"{BUCKET}/no"


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_broken_bodies(service, way, nth):
    service.fault(faults.CutReply(1000), op="download", nth=nth, times=2)
    assert way(download(service)) == DATA


@pytest.mark.parametrize("headers", ["full", "weak", "modified", "bare"])
@pytest.mark.parametrize(
    "new", [DATA[::-1], DATA + b"x", DATA[:-1], b""], ids=["same size", "longer", "shorter", "empty"]
)
def test_replaced_in_between(make_service, way, headers, new):
    service = make_service(download_headers=headers)
    service.put("/x", DATA)
    done = []

    def replace():
        if not done:
            done.append(True)
            service.put("/x", new)

    service.fault(Do(replace), op="download", nth=3)
    with pytest.raises(OSError) as caught:
        way(download(service))
    assert caught.value.errno == errno.ESTALE
    assert caught.value.filename == f"{BUCKET}/x"


@pytest.mark.parametrize("nth", [2, 3])
def test_a_reply_that_tells_no_version_behind_one_that_did(service, way, nth):
    service.put("/x", DATA)
    service.fault(faults.WrongHeader("ETag"), op="download", nth=nth)
    with pytest.raises(OSError) as caught:
        way(download(service))
    assert caught.value.errno == errno.ESTALE


class TestToFile:
    @pytest.mark.parametrize("nth", [1, 2, 5])
    def test_a_failure_leaves_everything_as_it_was(self, service, tmp_path, nth):
        (tmp_path / "x").write_bytes(b"old")
        service.fault(faults.Refuse(-97), op="download", nth=nth, times=None)
        with pytest.raises(PermissionError):
            download(service).to_file(tmp_path / "x")
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
        assert (tmp_path / "x").read_bytes() == b"old"

    def test_replaces_only_when_complete(self, service, tmp_path):
        (tmp_path / "x").write_bytes(b"old")
        (tmp_path / "x").chmod(0o640)
        seen = []
        service.fault(Do(lambda: seen.append((tmp_path / "x").read_bytes())), op="download", times=None)
        download(service).to_file(tmp_path / "x")
        assert set(seen) == {b"old"}
        assert (tmp_path / "x").read_bytes() == DATA
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640

    def test_a_place_that_is_not_there(self, service, tmp_path):
        with pytest.raises(FileNotFoundError):
            download(service).to_file(tmp_path / "no" / "x")

    def test_a_long_name(self, service, tmp_path):
        name = "名" * 80
        download(service).to_file(tmp_path / name)
        assert (tmp_path / name).read_bytes() == DATA

    def test_a_full_disk(self, service, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            download(service).to_file(tmp_path / "x")
        assert list(tmp_path.iterdir()) == []


def test_a_sink_that_fails(service):
    class Sink:
        def write(self, data):
            raise OSError(errno.EPIPE, "gone")

    with pytest.raises(OSError, match="gone"):
        download(service).to_sink(Sink())


def test_a_sink_gets_everything_in_order_and_ranges_overlap(service):
    release, sink = threading.Event(), io.BytesIO()
    stalls = [faults.Stall(release) for _ in range(3)]
    for nth, stall in enumerate(stalls, 2):
        service.fault(stall, op="download", nth=nth)
    reading = threading.Thread(target=download(service).to_sink, args=(sink,))
    reading.start()
    try:
        assert all(stall.entered.wait(30) for stall in stalls)
        assert sink.getvalue() == DATA[:RANGE]
    finally:
        release.set()
        reading.join()
    assert sink.getvalue() == DATA


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_the_sha1_is_that_of_all_ranges_in_order(service, way, nth):
    sha = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()
    assert way(download(service, sha=sha, accepts_newer=False)) == DATA
    # the first byte: ranges arrive in any order, and the last one is short
    service.fault(faults.Corrupt(), op="download", nth=nth)
    with pytest.raises(OSError, match="SHA-1"):
        way(download(service, sha=sha, accepts_newer=False))


def test_ranges_overlap(service):
    made = download(service)
    assert made.to_bytes() == DATA
    ranges = [r.range for r in service.emulator.requests if r.op == "download"]
    assert ranges[0] == f"bytes=0-{RANGE - 1}"
    assert len(ranges) == len(set(ranges)) > 2
