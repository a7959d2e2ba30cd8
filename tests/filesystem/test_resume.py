"""Uploads of local files that a later process continues, and those that nobody does."""

import json
import os
import threading
import time
from functools import partial

import fsspec
import pytest

from cosv4fs.emulator import CofferEmulator, Dialect, Emulator
from cosv4fs.emulator.faults import BrokenJson, DropBefore, DropReply, Refuse, Stall
from tests.crash.moments import FINISH, INIT, LIST, SLICE, Moment, on_the_way
from tests.crash.scenarios import Plan
from tests.crash.uploads import uploads
from tests.filesystem.conftest import WIRES
from tests.support import MIB, Do, content, taken

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
PROTOCOLS = ("cosv4", "cosv3")
PIECE = MIB // 2
SIZE = 4 * MIB + 5
OFFSETS = range(0, SIZE, PIECE)


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(content(SIZE))
    return path


@pytest.fixture
def options(emulator, tmp_path):
    return {
        **emulator.storage_options,
        "slice_size": PIECE,
        "single_upload_limit": MIB,
        "max_concurrency": 3,
        "journal_dir": str(tmp_path / "journal"),
        "max_retries": 0,
    }


@pytest.fixture
def resumer(options, protocol):
    return fsspec.filesystem(protocol, **options)


def nothing_is_left(fs, tmp_path):
    fs.invalidate_cache()
    return fs.uploads(BUCKET) == [] and list((tmp_path / "journal").glob("*")) == []


@pytest.mark.parametrize("old", [None, b"old"])
def test_only_what_is_missing_is_sent(resumer, second, emulator, local, tmp_path, wire, old):
    if old is not None:
        resumer.pipe_file(PATH, old)
    emulator.faults.add(op=wire.slice, nth=5 + wire.before, times=1000, action=DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    assert second.exists(PATH) is (old is not None)
    [unfinished] = resumer.uploads(BUCKET)
    assert unfinished["name"] == PATH
    assert 0 < unfinished["stored"] < unfinished["size"] == local.stat().st_size
    acknowledged = {r.offset for r in wire.slices(emulator) if r.status == 200}
    emulator.faults.clear()
    emulator.clear_requests()
    resumer.put_file(local, PATH)
    sent = [r.offset for r in wire.slices(emulator)]
    assert acknowledged.isdisjoint(sent)
    assert len(sent) + len(acknowledged) == len(OFFSETS)
    assert "upload_slice_init" not in emulator.count()
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.parametrize("broken", [("slice",), ("move", "delete")], ids=" ".join)
def test_an_upload_that_has_other_attributes_is_not_continued(
    resumer, second, emulator, local, tmp_path, wire, broken, protocol
):
    v4 = protocol == "cosv4"
    first = {"biz_attr": "first", **({"metadata": {"first": "1"}} if v4 else {})}
    then = {"biz_attr": "then", **({"metadata": {"then": "1"}} if v4 else {})}
    for attributes in (then, {}):
        for operation in broken:
            op, nth = (wire.slice, 5 + wire.before) if operation == "slice" else (operation, 1)
            emulator.faults.add(op=op, nth=nth, times=1000, action=DropBefore())
        with pytest.raises(ConnectionError):
            resumer.put_file(local, PATH, **first)
        assert len(resumer.interrupted_uploads()) == 1
        emulator.faults.clear()
        resumer.put_file(local, PATH, **attributes)
        assert second.cat_file(PATH) == local.read_bytes()
        assert second.attributes(PATH)["biz_attr"] == attributes.get("biz_attr", "")
        assert second.metadata(PATH) == attributes.get("metadata", {})
        assert nothing_is_left(resumer, tmp_path)
        second.rm_file(PATH)


@pytest.mark.parametrize("dialect", [Dialect(listparts="string"), Dialect(reinit="matching")])
@pytest.mark.protocol("cosv4")
def test_resuming_under_other_dialects(resumer, second, emulator, local, tmp_path, wire):
    test_only_what_is_missing_is_sent(resumer, second, emulator, local, tmp_path, wire, None)


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(v1_reply_offset="echo"),
        Dialect(v1_order="any"),
        Dialect(v1_again="refuse"),
        Dialect(v1_stat="filelen"),
        Dialect(v1_reinit="matching"),
        Dialect(slice_size=MIB),
    ],
)
@pytest.mark.protocol("cosv3")
def test_resuming_by_v3_under_other_dialects(resumer, second, emulator, local, tmp_path, wire):
    offsets = range(0, SIZE, emulator.dialect.slice_size or PIECE)
    broken = 2 * MIB
    emulator.faults.add(
        op=wire.slice, times=1000, action=DropBefore(), match=lambda call: call.text("offset") == str(broken)
    )
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    acknowledged = {r.offset for r in wire.slices(emulator) if r.status == 200}
    reached = next(offset for offset in offsets if offset not in acknowledged)
    emulator.faults.clear()
    emulator.clear_requests()
    resumer.put_file(local, PATH)
    assert reached == broken
    # the service tells only how far it has the content without a gap: what it took behind one goes out again
    assert sorted(r.offset for r in wire.slices(emulator)) == [offset for offset in offsets if offset >= reached]
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(v1_again="refuse"), Dialect(v1_stat="filelen")])
@pytest.mark.parametrize("nth", [1, 2, 5, 1 + len(OFFSETS)])
@pytest.mark.protocol("cosv3")
def test_a_lost_reply_of_v3_costs_no_more_than_a_question(emulator, second, local, tmp_path, nth):
    sizes = {"slice_size": PIECE, "single_upload_limit": MIB}
    fs = fsspec.filesystem("cosv3", **emulator.storage_options, **sizes, journal_dir=str(tmp_path / "journal"))
    lost = emulator.faults.add(op="upload_slice", nth=nth, action=DropReply())
    fs.put_file(local, PATH)
    assert lost.hits == 1
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(fs, tmp_path)


@pytest.mark.parametrize("operation", ["last", "move"])
@pytest.mark.parametrize("action", [DropBefore(), DropReply()])
def test_the_last_steps_are_taken_up(resumer, second, emulator, local, tmp_path, wire, operation, action):
    resumer.pipe_file(PATH, b"old")
    if operation == "last" and wire.before:
        emulator.faults.add(op=wire.slice, nth=1 + len(OFFSETS), times=1, action=action)
    else:
        emulator.faults.add(op=operation.replace("last", "upload_slice_finish"), times=1, action=action)
    try:
        resumer.put_file(local, PATH)
    except ConnectionError:
        emulator.clear_requests()
        resumer.put_file(local, PATH)
        assert len(wire.slices(emulator)) <= (wire.before and action.__class__ is DropBefore) or operation == "move"
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_a_changed_file_is_not_continued(resumer, second, emulator, local, tmp_path, wire):
    emulator.faults.add(op=wire.slice, nth=5, times=1000, action=DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    emulator.faults.clear()
    local.write_bytes(content(SIZE, 1))
    resumer.put_file(local, PATH)
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def interrupt(fs, emulator, wire, local):
    """Let an upload fail at a slice, so that a later call could continue it."""
    emulator.faults.add(op=wire.slice, nth=5, times=1000, action=DropBefore())
    with pytest.raises(ConnectionError):
        fs.put_file(local, PATH)
    emulator.faults.clear()


def change_without_trace(local, content):
    """Give a file other content with the same size and modification time, as `rsync -t` or `tar x` do."""
    times = local.stat()
    local.write_bytes(content)
    os.utime(local, ns=(times.st_atime_ns, times.st_mtime_ns))


def believe(journal, local):
    """Have the journal take a file for the recorded one, as on a system that provides neither inode nor ctime."""
    [file] = journal.glob("*.json")
    record = json.loads(file.read_text())
    record["identity"] |= {"changed": local.stat().st_ctime_ns, "inode": local.stat().st_ino}
    file.write_text(json.dumps(record))


@pytest.mark.parametrize("checksum", [True, False])
def test_new_content_with_the_old_size_and_time_is_not_continued(
    options, second, emulator, local, tmp_path, wire, protocol, checksum
):
    fs = fsspec.filesystem(protocol, **options, **taken(protocol, {"checksum": checksum}))
    interrupt(fs, emulator, wire, local)
    assert len(fs.interrupted_uploads()) == 1
    change_without_trace(local, bytes(local.stat().st_size))
    assert fs.interrupted_uploads() == []
    fs.put_file(local, PATH)
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(fs, tmp_path)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(slice_sha="absent")], ids=["sha", "no sha"])
@pytest.mark.parametrize("checksum", [True, False])
def test_what_is_continued_is_proven_where_nothing_tells_of_the_change(
    options, second, emulator, local, tmp_path, wire, protocol, checksum
):
    fs = fsspec.filesystem(protocol, **options, **taken(protocol, {"checksum": checksum}))
    interrupt(fs, emulator, wire, local)
    change_without_trace(local, bytes(local.stat().st_size))
    believe(tmp_path / "journal", local)
    assert len(fs.interrupted_uploads()) == 1
    fs.put_file(local, PATH)
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(fs, tmp_path)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(slice_sha="absent")], ids=["sha", "no sha"])
@pytest.mark.parametrize("checksum", [True, False])
def test_what_lacks_only_its_end_is_proven_too(options, second, emulator, local, tmp_path, wire, protocol, checksum):
    fs = fsspec.filesystem(protocol, **options, **taken(protocol, {"checksum": checksum}))
    emulator.faults.add(op="move", times=1, action=DropBefore())
    with pytest.raises(ConnectionError):
        fs.put_file(local, PATH)
    change_without_trace(local, bytes(local.stat().st_size))
    believe(tmp_path / "journal", local)
    fs.put_file(local, PATH)
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(fs, tmp_path)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(slice_sha="absent")], ids=["sha", "no sha"])
@pytest.mark.protocol("cosv4")
def test_without_checksum_the_same_content_is_continued(options, second, emulator, local, tmp_path, wire):
    fs = fsspec.filesystem("cosv4", **options, checksum=False)
    interrupt(fs, emulator, wire, local)
    acknowledged = {r.offset for r in wire.slices(emulator) if r.status == 200}
    emulator.clear_requests()
    fs.put_file(local, PATH)
    assert acknowledged.isdisjoint(r.offset for r in wire.slices(emulator))
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(fs, tmp_path)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(slice_sha="absent")], ids=["sha", "no sha"])
@pytest.mark.protocol("cosv4")
def test_a_change_while_it_is_sent_that_leaves_size_and_time_is_noticed(options, second, emulator, local, wire):
    """Without a checksum the first slices are those of the old content, the others of the new."""
    fs = fsspec.filesystem("cosv4", **options | {"max_concurrency": 1}, checksum=False)
    change = Do(lambda: change_without_trace(local, bytes(local.stat().st_size)))
    emulator.faults.add(op=wire.slice, nth=5, times=1, action=change)
    fs.put_file(local, PATH)
    assert second.cat_file(PATH) == bytes(local.stat().st_size)
    assert fs.uploads(BUCKET) == []


@pytest.mark.protocol("cosv4")
def test_an_upload_that_only_looks_complete_can_be_seen_and_given_up(fs, second, wire):
    """Another client has sent all slices and has died: listings and statuses cannot tell that from an object."""
    size = wire.leave(second, "/dir/object", 2 * MIB, MIB, whole_slices=2) * 2
    [found] = fs.uploads(PATH)
    assert (found["name"], found["place"], found["stored"]) == (PATH, PATH, size)
    fs.abort_upload(PATH)
    assert not second.exists(PATH)
    assert fs.uploads(PATH) == []
    with fs.open(PATH, "xb") as file:
        file.write(b"new")
    assert fs.uploads(PATH) == []
    with pytest.raises(FileNotFoundError):
        fs.abort_upload(PATH)
    assert second.cat_file(PATH) == b"new"


def test_an_upload_of_another_client_is_left_alone_until_the_end(resumer, second, local, tmp_path, wire):
    wire.leave(second, "/dir/object", local.stat().st_size, MIB, bytes(MIB))
    resumer.put_file(local, PATH)
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.protocol("cosv4")
def test_two_threads_share_no_journal_entry(options, second, emulator, local, tmp_path, wire):
    """The second upload of the same file must not continue the first as if that were a dead process's."""
    # only the journal could make one continue the other's: nothing tells that the content is the same
    one, other = (fsspec.filesystem("cosv4", **{**options, "max_concurrency": n}, checksum=False) for n in (1, 2))
    stall, told = Stall(), []
    emulator.faults.add(op=wire.slice, nth=3, action=stall)

    def upload():
        try:
            told.append(one.put_file(local, PATH))
        except OSError as error:
            told.append(error)

    first = threading.Thread(target=upload)
    first.start()
    assert stall.entered.wait(30)
    emulator.clear_requests()
    other.put_file(local, PATH)
    sent = sorted(request.offset for request in wire.slices(emulator))
    stall.release.set()
    first.join(60)
    # it has sent everything, also what the first had sent already
    assert sent == list(OFFSETS)
    assert len(told) == 1
    assert second.cat_file(PATH) == local.read_bytes()


@pytest.mark.parametrize("kind", ["truncated", "empty"])
def test_an_upload_whose_replies_are_all_damaged_is_continued(resumer, second, emulator, local, tmp_path, wire, kind):
    emulator.faults.add(op=wire.slice, nth=5 + wire.before, times=1000, action=BrokenJson(kind))
    with pytest.raises(OSError, match="HTTP 200"):
        resumer.put_file(local, PATH)
    assert len(resumer.uploads(BUCKET)) == 1
    emulator.faults.clear()
    emulator.clear_requests()
    resumer.put_file(local, PATH)
    assert len(wire.slices(emulator)) < 7
    assert second.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(second, tmp_path)


def test_permanent_failures_leave_nothing(resumer, second, emulator, local, tmp_path, wire):
    emulator.faults.add(op=wire.slice, nth=5, action=Refuse(-180))
    with pytest.raises(OSError, match="not allowed"):
        resumer.put_file(local, PATH)
    assert nothing_is_left(resumer, tmp_path)


def test_without_resume_nothing_stays(resumer, emulator, local, tmp_path, wire):
    emulator.faults.add(op=wire.slice, nth=5, times=3, action=DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH, resume=False)
    assert nothing_is_left(resumer, tmp_path)


def test_an_unwritable_journal_is_no_obstacle(emulator, local, tmp_path, protocol):
    (tmp_path / "file").write_bytes(b"")
    options = {"single_upload_limit": MIB, "journal_dir": str(tmp_path / "file" / "x")}
    fs = fsspec.filesystem(protocol, **emulator.storage_options, **options)
    fs.put_file(local, PATH)
    assert fs.cat_file(PATH) == local.read_bytes()


def test_the_journal_is_private(resumer, emulator, local, tmp_path, wire):
    emulator.faults.add(op=wire.slice, nth=2, times=1000, action=DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    [record] = (tmp_path / "journal").iterdir()
    assert record.stat().st_mode & 0o077 == 0
    assert record.parent.stat().st_mode & 0o077 == 0
    assert emulator.storage_options["secret_key"] not in record.read_text()


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(missing_mtime=True)])
def test_seeing_and_removing_uploads(fs, second, wire):
    second.pipe_file(f"{BUCKET}/dir/taken", b"whole")
    for key in ("/dir/half", "/dir/sub/other", "/dir/.taken.cosv4-0123456789abcdef"):
        wire.leave(second, key, 5 * MIB, MIB)
    assert [(found["name"], found["stored"]) for found in fs.uploads(BUCKET)] == [
        (f"{BUCKET}/dir/taken", 0),
        (f"{BUCKET}/dir/half", 0),
        (f"{BUCKET}/dir/sub/other", 0),
    ]
    assert [found["name"] for found in fs.uploads(f"{BUCKET}/dir/half")] == [f"{BUCKET}/dir/half"]
    assert fs.uploads(f"{BUCKET}/none/x") == []
    fs.abort_upload(f"{BUCKET}/dir/taken")
    assert second.cat_file(f"{BUCKET}/dir/taken") == b"whole"
    with pytest.raises(FileNotFoundError):
        fs.abort_upload(f"{BUCKET}/dir/taken")
    assert fs.clean_uploads(BUCKET, older_than=3600) == []
    assert len(fs.clean_uploads(BUCKET, older_than=-5)) == 2
    assert fs.uploads(BUCKET) == []
    assert second.find(BUCKET) == [f"{BUCKET}/dir/taken"]


def crash(folder, *, seed=1, moments=1, old=None, protocol="cosv4"):
    """Return the plan of a small crash."""
    said = []
    return Plan(folder, seed, moments, SIZE, PIECE, old=old, say=said.append, protocol=protocol)


# seeds by which at least one process is held when it is killed: one that is not may be done before
@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_killed_process_is_continued(tmp_path, protocol, seed, old):
    summary = uploads(
        crash(tmp_path, seed=seed, moments=3, old=old, protocol=protocol), spread=on_the_way_only, again=near_the_end
    )
    assert summary.failures == []
    assert summary.moments == 3
    assert summary.kills >= 1


def on_the_way_only(chance, count, slices):
    half = slices // 2
    return [on_the_way(chance, chance.randint(1, half), half) for _ in range(count)]


def near_the_end(chance, missing):
    return Moment(chance.choice((LIST, FINISH)), 1, chance.choice(("held", "acted")))


@pytest.mark.parametrize(
    ("moment", "old"),
    [
        (Moment("", 1, "called"), None),
        (Moment("", 1, "replace"), None),
        (Moment(INIT, 1, "held"), None),
        (Moment(INIT, 1, "acted"), b"old"),
        (Moment(SLICE, 1, "held"), None),
        (Moment(SLICE, 5, "acted"), b"old"),
        (Moment(SLICE, len(OFFSETS), "held"), None),
        (Moment(SLICE, len(OFFSETS), "acted"), b"old"),
        (Moment("move", 1, "held"), b"old"),
        (Moment("move", 1, "acted"), b"old"),
        (Moment("", 1, "unlink"), None),
    ],
    ids=str,
)
def test_a_process_of_v3_killed_at_a_certain_moment_is_continued(tmp_path, moment, old):
    plan = crash(tmp_path, old=old, protocol="cosv3")
    summary = uploads(plan, spread=lambda *_: [moment], again=lambda *_: None)
    assert summary.failures == []
    assert summary.kills == 1


@pytest.mark.parametrize(
    ("moment", "old"),
    [
        (Moment("", 1, "called"), None),
        (Moment("", 1, "replace"), None),
        (Moment(INIT, 1, "held"), None),
        (Moment(INIT, 1, "held", late=INIT), None),
        (Moment(INIT, 1, "acted"), b"old"),
        (Moment("", 2, "replace"), b"old"),
        (Moment(SLICE, 5, "held", frozen=True, late=FINISH), None),
        (Moment(FINISH, 1, "held"), None),
        (Moment(FINISH, 1, "acted"), b"old"),
        (Moment(FINISH, 1, "held", late=FINISH), None),
        (Moment(FINISH, 1, "held", late=FINISH), b"old"),
        (Moment("move", 1, "held"), b"old"),
        (Moment("move", 1, "acted"), b"old"),
        (Moment("move", 1, "held", late="move"), b"old"),
        (Moment("", 1, "unlink"), None),
    ],
    ids=str,
)
def test_a_process_killed_at_a_certain_moment_is_continued(tmp_path, moment, old):
    summary = uploads(crash(tmp_path, old=old), spread=lambda *_: [moment], again=lambda *_: None)
    assert summary.failures == []
    assert summary.kills == 1


@pytest.mark.parametrize("ahead", [7200.0, -7200.0])
@pytest.mark.protocol("cosv4", "cosv3", "cdcs")
def test_what_is_stale_is_told_by_the_clock_of_the_service(protocol, tmp_path, ahead):
    """A machine whose clock is two hours ahead must not remove what others are sending."""
    coffers = protocol == "cdcs"
    with CofferEmulator(coffers=("test-1250000000",)) if coffers else Emulator(buckets=("test",)) as service:
        bucket, clock = ("test-1250000000", time.time()) if coffers else ("test", time.time())
        service.clock_offset = ahead
        fs = fsspec.filesystem(protocol, **service.storage_options)
        if coffers:
            fs.client.initiate(bucket, "/dir/object")
        else:
            WIRES[protocol].leave(fs, "/dir/object", 5 * MIB, MIB, bucket=bucket)
        assert abs(fs.uploads(bucket)[0]["mtime"] - clock - ahead) < 60
        assert fs.clean_uploads(bucket, older_than=3600) == []
        service.clock_offset = ahead + 3700
        assert len(fs.clean_uploads(bucket, older_than=3600)) == 1


@pytest.mark.protocol("cosv4")
def test_what_cannot_be_continued_leaves_nothing(resumer, second, emulator, local, tmp_path, wire):
    interrupt(resumer, emulator, wire, local)
    emulator.faults.add(op="upload_slice_list", times=1, action=Refuse(-180))
    with pytest.raises(OSError, match="not allowed"):
        resumer.put_file(local, PATH)
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.protocol("cosv4")
def test_cleaning_everywhere_is_refused_like_listing_everywhere(fs):
    with pytest.raises(NotImplementedError, match="cannot list buckets"):
        fs.clean_uploads("")


@pytest.mark.protocol("cosv4")
def test_a_touched_path_that_an_upload_holds_is_no_existing_file(fs, second, wire):
    wire.leave(second, "/dir/object", 5 * MIB, MIB)
    with pytest.raises(FileExistsError):
        fs.touch(PATH, truncate=False)
    fs.touch(PATH)
    with pytest.raises(NotImplementedError, match="time of an existing file"):
        fs.touch(PATH, truncate=False)


@pytest.mark.protocol("cosv4")
def test_a_directory_whose_name_an_upload_holds_is_refused_for_that_reason(fs, second, wire):
    wire.leave(second, "/dir/object", 5 * MIB, MIB)
    for make in (fs.mkdir, partial(fs.makedirs, exist_ok=True)):
        with pytest.raises(FileExistsError, match="unfinished upload blocks this name") as caught:
            make(PATH)
        assert caught.value.filename == PATH
    fs.abort_upload(PATH)
    fs.mkdir(PATH)
    assert fs.isdir(PATH)
