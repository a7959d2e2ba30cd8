"""Uploads that were interrupted: continued with proof, begun again without, and never mixed."""

import shutil

import pytest

from cosv4fs.emulator.faults import DropBefore
from tests.filesystem.conftest import WIRES
from tests.matrix.ways import BUCKET, LIMIT, WAYS
from tests.support import MIB, Do, content

PATH = f"{BUCKET}/dir/object"
# below the limit for the size of an object that one of the dialects has
SIZE = 2 * MIB - 5
DATA = content(SIZE)
DAY = 86400.0


def interrupt(bench, emulator, local, **options):
    """Begin an upload that the connection fails for good after its first slice; return the offsets that arrived."""
    wire = WIRES[bench.protocol]
    emulator.faults.add(op=wire.slice, nth=2 + wire.before, times=None, action=DropBefore())
    with pytest.raises(ConnectionError):
        bench.fs(max_retries=0, max_concurrency=1, **options).put_file(local, PATH)
    emulator.faults.clear()
    arrived = offsets(emulator)
    assert arrived
    emulator.clear_requests()
    return arrived


def offsets(emulator):
    """Return where the slices begin that the service has acknowledged."""
    sent = [r for wire in WIRES.values() for r in wire.slices(emulator)]
    return {int(r.offset) for r in sent if r.status == 200 and not r.code}


def slices(emulator, dialect):
    size = dialect.slice_size or LIMIT
    return set(range(0, SIZE, size))


def nothing_is_left(bench, fs):
    return fs.uploads(BUCKET) == [] and list(bench.journal.glob("*")) == []


@pytest.mark.parametrize("old", ["free", "taken"])
def test_the_journal_continues(bench, emulator, second, kept, dialect, old):
    if old == "taken":
        second.pipe_file(PATH, b"old")
    local = bench.local(DATA)
    arrived = interrupt(bench, emulator, local)
    assert second.exists(PATH) is (old == "taken")
    assert [upload["name"] for upload in second.uploads(BUCKET)] == [PATH]
    # another timeout makes another runtime: what another process would be
    bench.fs(read_timeout=61.0).put_file(local, PATH)
    # without a SHA-1 to compare, everything is sent again, and verified by the service
    is_told = bench.protocol == "cosv3" or dialect.slice_sha in ("real", "suffixed")
    assert offsets(emulator) == slices(emulator, dialect) - (arrived if is_told else set())
    # v3 is asked once how far it has come
    opened = sum(
        request.op in ("upload_slice_init", "upload_slice") and request.offset is None for request in emulator.requests
    )
    assert opened == WIRES[bench.protocol].before + (not is_told)
    assert second.cat_file(PATH) == DATA
    assert nothing_is_left(bench, second)


def test_without_its_journal_nothing_is_continued(bench, emulator, second, kept, dialect):
    """An upload of the same content may be another client's, who can still finish it or give it up."""
    local = bench.local(DATA)
    interrupt(bench, emulator, local)
    shutil.rmtree(bench.journal)
    bench.fs(read_timeout=61.0).put_file(local, PATH)
    assert offsets(emulator) == slices(emulator, dialect)
    assert second.cat_file(PATH) == DATA
    assert len(second.clean_uploads(BUCKET, older_than=-5)) == 1
    assert nothing_is_left(bench, second)


def test_the_day_after(bench, emulator, second, kept):
    local = bench.local(DATA)
    interrupt(bench, emulator, local)
    emulator.clock_offset = DAY
    bench.fs(read_timeout=61.0).put_file(local, PATH)
    assert second.cat_file(PATH) == DATA
    assert nothing_is_left(bench, second)


@pytest.mark.parametrize("checksum", [True, False])
def test_a_changed_file_begins_again(bench, emulator, second, kept, checksum):
    local = bench.local(DATA)
    interrupt(bench, emulator, local, checksum=checksum)
    bench.local(DATA[::-1])
    bench.fs(checksum=checksum).put_file(local, PATH)
    assert second.cat_file(PATH) == DATA[::-1]
    assert nothing_is_left(bench, second)


@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "no checksum", "instant"])
def test_an_upload_of_another_client_is_not_continued(bench, second, kept, way):
    for data in (DATA, DATA[:1000]):
        not_continued(bench, second, way, data)


def not_continued(bench, second, way, data):
    WIRES[bench.protocol].leave(second, "/dir/object", SIZE, LIMIT, bucket=BUCKET, whole_slices=1)
    WAYS[way](bench, PATH, data)
    assert second.cat_file(PATH) == data
    assert nothing_is_left(bench, second)
    second.rm_file(PATH)


@pytest.mark.parametrize("old", ["free", "taken"])
@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "instant"])
def test_a_session_that_expires_on_the_way(bench, emulator, second, kept, way, old):
    if old == "taken":
        kept.put(PATH, b"old")

    def pass_time():
        emulator.clock_offset += 120

    wire = WIRES[bench.protocol]
    emulator.faults.add(op=wire.slice, nth=2 + wire.before, action=Do(pass_time))
    WAYS[way](bench, PATH, DATA)
    kept.note(PATH, DATA)
    assert nothing_is_left(bench, second)
