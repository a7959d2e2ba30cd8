"""Uploads of local files to coffers that a later process continues: a killed one, and one whose network failed."""

import errno
import os
import queue
import signal

import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, faults
from tests.filesystem.programs import Program
from tests.support import MIB, Do, content

COFFER = "examplecoffer-1250000000"
PATH = f"{COFFER}/dir/object"
PARTS = 6
TIMEOUT = 120

CHILD = """
import sys
from cosv4fs import CofferFileSystem
options, local, path = eval(sys.argv[1]), sys.argv[2], sys.argv[3]
CofferFileSystem(**options).put_file(local, path)
"""


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(content((PARTS - 1) * MIB + 5))
    return path


@pytest.fixture
def options(vault, tmp_path):
    return {
        **vault.storage_options,
        "slice_size": MIB,
        "single_upload_limit": MIB,
        "max_concurrency": 2,
        "max_retries": 0,
        "journal_dir": str(tmp_path / "journal"),
    }


@pytest.fixture
def resumer(options):
    return CofferFileSystem(**options)


def interrupt(fs, vault, local, nth):
    """Let an upload fail at its nth part, for a reason that may pass."""
    vault.faults.add(op="UploadPart", nth=nth, times=1000, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        fs.put_file(local, PATH)
    return settle(vault)


def settle(vault):
    """End what a process that gave up or died still has in flight, none of the next one's; return the parts stored."""
    vault.faults.clear()
    vault.restart()
    done = sum(record.op == "UploadPart" and record.status == 200 for record in vault.requests)
    vault.clear_requests()
    return done


def nothing_is_left(fs, tmp_path):
    return fs.uploads(COFFER) == [] and list((tmp_path / "journal").glob("*")) == []


@pytest.mark.parametrize("nth", [1, 5, PARTS])
def test_only_what_is_missing_is_sent(resumer, onlooker, vault, local, tmp_path, nth):
    done = interrupt(resumer, vault, local, nth)
    [unfinished] = resumer.uploads(COFFER)
    assert (unfinished["name"], unfinished["stored"] > 0) == (PATH, done > 0)
    assert resumer.interrupted_uploads(COFFER) == [{"source": str(local), "name": PATH, "size": local.stat().st_size}]
    vault.clear_requests()
    resumer.put_file(local, PATH)
    sent = vault.count()
    assert sent["ListParts"] == sent["CompleteMultipartUpload"] == 1
    assert "InitiateMultipartUpload" not in sent
    assert sent["UploadPart"] == PARTS - done
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(part_etag=kind) for kind in ("sha1", "encrypted")])
def test_parts_that_cannot_be_compared_are_sent_again(resumer, onlooker, vault, local, tmp_path):
    assert interrupt(resumer, vault, local, 5) > 0
    resumer.put_file(local, PATH)
    assert vault.count()["UploadPart"] == PARTS
    assert "InitiateMultipartUpload" not in vault.count()
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_parts_that_somebody_else_sent_are_not_trusted(resumer, onlooker, options, vault, local):
    # one part after another: the first two are among those that were stored
    done = interrupt(CofferFileSystem(**options | {"max_concurrency": 1}), vault, local, 5)
    [unfinished] = resumer.uploads(COFFER)
    client = onlooker.client
    client.upload_part(COFFER, "/dir/object", unfinished["upload_id"], 1, memoryview(bytes(MIB)))
    client.upload_part(COFFER, "/dir/object", unfinished["upload_id"], 2, memoryview(bytes(MIB + 1)))
    vault.clear_requests()
    resumer.put_file(local, PATH)
    assert vault.count()["UploadPart"] == PARTS - done + 2
    assert onlooker.cat_file(PATH) == local.read_bytes()


def test_another_part_size_now_is_no_obstacle(resumer, onlooker, options, vault, local, tmp_path):
    done = interrupt(resumer, vault, local, 5)
    CofferFileSystem(**options | {"slice_size": 4 * MIB}).put_file(local, PATH)
    assert vault.count()["UploadPart"] == PARTS - done
    assert onlooker.cat_file(PATH) == local.read_bytes()


def test_an_upload_that_was_given_up_begins_again(resumer, onlooker, vault, local, tmp_path):
    interrupt(resumer, vault, local, 5)
    onlooker.abort_upload(PATH)
    vault.clear_requests()
    resumer.put_file(local, PATH)
    assert vault.count()["UploadPart"] == PARTS
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.parametrize("old_times", [False, True])
def test_a_changed_file_is_not_continued_and_its_own_upload_is_no_obstacle(
    resumer, onlooker, vault, local, tmp_path, old_times
):
    interrupt(resumer, vault, local, 5)
    times = local.stat()
    local.write_bytes(content((PARTS - 1) * MIB + 5, 1))
    if old_times:
        os.utime(local, ns=(times.st_atime_ns, times.st_mtime_ns))
    resumer.put_file(local, PATH)
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_a_change_while_it_is_sent_that_leaves_size_and_time_is_an_error(options, onlooker, vault, local):
    """Each part is verified by itself; nothing else tells that they are of two contents."""

    def change():
        times = local.stat()
        local.write_bytes(bytes(times.st_size))
        os.utime(local, ns=(times.st_atime_ns, times.st_mtime_ns))

    fs = CofferFileSystem(**options | {"max_concurrency": 1})
    vault.faults.add(action=Do(change), op="UploadPart", nth=3, times=1)
    with pytest.raises(OSError, match="was changed, or renamed") as caught:
        fs.put_file(local, PATH)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, PATH)
    assert not onlooker.exists(PATH)
    fs.put_file(local, PATH)
    assert onlooker.cat_file(PATH) == local.read_bytes()


def test_an_upload_that_was_lost_while_it_ran_begins_again(options, onlooker, vault, local):
    fs = CofferFileSystem(**options | {"max_concurrency": 1})

    vault.faults.add(action=Do(lambda: onlooker.abort_upload(PATH)), op="UploadPart", nth=3, times=1)
    fs.put_file(local, PATH)
    assert onlooker.cat_file(PATH) == local.read_bytes()


@pytest.mark.parametrize("action", [faults.DropBefore(), faults.DropReply()], ids=str)
def test_the_first_step_fails(resumer, onlooker, vault, local, tmp_path, action):
    vault.faults.add(op="InitiateMultipartUpload", times=1, action=action)
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    assert resumer.uploads(PATH) == []
    vault.clear_requests()
    resumer.put_file(local, PATH)
    assert vault.count()["UploadPart"] == PARTS
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_the_last_step_fails(resumer, onlooker, vault, local, tmp_path):
    vault.faults.add(op="CompleteMultipartUpload", times=1, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH)
    vault.clear_requests()
    resumer.put_file(local, PATH)
    assert "UploadPart" not in vault.count()
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_the_last_step_was_taken(resumer, onlooker, vault, local, tmp_path):
    vault.faults.add(op="CompleteMultipartUpload", times=1, action=faults.DropReply())
    resumer.put_file(local, PATH)
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)


def test_what_somebody_else_has_stored_meanwhile_is_not_taken_for_ours(resumer, onlooker, vault, local):
    interrupt(resumer, vault, local, 5)
    onlooker.abort_upload(PATH)
    other = bytearray(local.read_bytes())
    other[-1] ^= 1
    onlooker.pipe_file(PATH, bytes(other))
    with pytest.raises(FileExistsError, match="write-once"):
        resumer.put_file(local, PATH)
    assert onlooker.cat_file(PATH) == other


def test_permanent_failures_leave_nothing(resumer, vault, local, tmp_path):
    vault.faults.add(op="UploadPart", nth=5, action=faults.HttpError(403))
    with pytest.raises(PermissionError):
        resumer.put_file(local, PATH)
    vault.faults.clear()
    assert nothing_is_left(resumer, tmp_path)


def test_without_resume_nothing_stays(resumer, vault, local, tmp_path):
    vault.faults.add(op="UploadPart", nth=5, times=3, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        resumer.put_file(local, PATH, resume=False)
    vault.faults.clear()
    assert nothing_is_left(resumer, tmp_path)


@pytest.mark.parametrize(("op", "nth"), [("UploadPart", 1), ("UploadPart", 4), ("CompleteMultipartUpload", 1)])
def test_a_killed_process_is_continued(resumer, onlooker, options, vault, local, tmp_path, op, nth):
    children = queue.Queue()
    fault = vault.faults.add(action=Do(lambda: children.get(timeout=TIMEOUT).kill()), op=op, nth=nth, times=1)
    child = Program(CHILD, repr(options), str(local), PATH)
    children.put(child)
    assert (child.text(), child.code, fault.hits) == ("", -signal.SIGKILL, 1)
    done = settle(vault)
    assert onlooker.exists(PATH) is (op == "CompleteMultipartUpload")
    resumer.put_file(local, PATH)
    assert vault.count().get("UploadPart", 0) <= PARTS - done
    assert "InitiateMultipartUpload" not in vault.count()
    assert onlooker.cat_file(PATH) == local.read_bytes()
    assert nothing_is_left(resumer, tmp_path)
