"""What the logger ``cosv4fs`` tells at which level."""

import logging
import re

import fsspec
import pytest

from cosv4fs.api.retry import RetryPolicy
from cosv4fs.api.transport import _Hosts
from cosv4fs.concurrency.limits import Pace
from cosv4fs.emulator import Dialect, faults
from tests.filesystem.conftest import WIRES
from tests.support import MIB, Clock, content

BUCKET = "test-1250000000"
PIECE = MIB


@pytest.fixture
def info(caplog):
    """Return the messages so far at INFO."""
    caplog.set_level(logging.INFO, "cosv4fs")
    return lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]


@pytest.fixture
def clock(fs):
    clock = Clock()
    fs.client._policy = RetryPolicy(None, 120.0, clock, clock.sleep, max)
    fs.client._transport._hosts = _Hosts(0.0, clock)
    return clock


@pytest.fixture
def sliced(emulator, tmp_path, protocol):
    """A filesystem that uploads in slices, one after another, and that tries once."""
    options = {"slice_size": PIECE, "single_upload_limit": MIB, "max_concurrency": 1, "max_retries": 0}
    options |= {} if protocol == "cdcs" else {"spool_memory": MIB}
    return fsspec.filesystem(protocol, **emulator.storage_options, **options, journal_dir=str(tmp_path / "journal"))


def test_retries_name_path_cause_number_and_pause(fs, emulator, clock, info):
    fs.pipe_file(f"{BUCKET}/a\x1b", b"x")
    before = fs.client.retries
    emulator.faults.add(op="download", times=2, action=faults.HttpError(500))
    assert fs.cat_file(f"{BUCKET}/a\x1b") == b"x"
    first, second, *_ = info()
    assert re.fullmatch(rf"'{BUCKET}/a\\x1b': retry 1 in 0.2 seconds: the service is failing .*HTTP 500.*", first)
    assert "retry 2 in 0.4 seconds" in second
    assert fs.client.retries - before == len(clock.slept) == 2


def test_a_host_that_answers_again(fs, emulator, clock, info):
    emulator.faults.add(times=3, action=faults.HttpError(502))
    fs.ls(BUCKET)
    assert re.fullmatch(r"127.0.0.1:\d+ answers again after 1.4 seconds", info()[-1])


def test_throttling_says_how_many_transfers_are_left(fs, emulator, clock, info):
    emulator.faults.add(op="upload", times=1, action=faults.Refuse(-71))
    fs.pipe_file(f"{BUCKET}/a", b"x")
    most, others = fs.config.max_concurrency, fs.config.max_requests
    text = f"at most {most // 2} of {most} transfers and {others // 2} of {others} other requests in parallel"
    assert f"the service asks for fewer requests: {text}" in info()


def test_a_lost_reply_whose_request_succeeded(fs, emulator, clock, info):
    fs.pipe_file(f"{BUCKET}/a", b"x")
    emulator.faults.add(op="delete", action=faults.DropReply())
    fs.rm_file(f"{BUCKET}/a")
    assert info()[-1] == f"'{BUCKET}/a': the reply was lost, but the request had succeeded"


@pytest.mark.protocol("cosv4", "cosv3", "cdcs")
def test_resumed_uploads_say_what_is_reused(sliced, emulator, tmp_path, info, protocol):
    local = tmp_path / "local"
    local.write_bytes(content(4 * PIECE))
    emulator.faults.add(op=WIRES[protocol].slice, nth=3, times=99, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        sliced.put_file(local, f"{BUCKET}/a")
    emulator.faults.clear()
    assert not any("resumed" in text for text in info())
    sliced.put_file(local, f"{BUCKET}/a")
    resumed = [text for text in info() if "resumed" in text]
    # the first request of v3 is no slice
    stored = (1 if protocol == "cosv3" else 2) * PIECE
    assert resumed == [f"'{BUCKET}/a': resumed the upload, {stored} of {4 * PIECE} bytes are stored"]


def test_an_upload_that_cannot_be_resumed(sliced, emulator, tmp_path, info):
    local = tmp_path / "local"
    local.write_bytes(content(4 * PIECE))
    emulator.faults.add(op="upload_slice_data", nth=2, times=99, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        sliced.put_file(local, f"{BUCKET}/a")
    emulator.faults.clear()
    local.write_bytes(content(4 * PIECE, 1))
    sliced.put_file(local, f"{BUCKET}/a")
    assert f"'{BUCKET}/a': the interrupted upload cannot be resumed, and starts again" in info()


@pytest.mark.parametrize(
    ("dialect", "answer"), [(Dialect(finish_size="any"), "yes"), (Dialect(finish_size="declared"), "no")]
)
def test_the_probe_for_streaming(sliced, emulator, info, dialect, answer):
    with sliced.open(f"{BUCKET}/a", "wb") as file:
        file.write(content(3 * MIB))
    assert f"can files of unknown size be sent to bucket '{BUCKET}' while they are written? {answer}" in info()


@pytest.mark.protocol("cosv4", "cdcs")
def test_every_request_is_a_line_at_debug(fs, emulator, caplog, downloads, protocol):
    fs.pipe_file(f"{BUCKET}/a", b"hello")
    emulator.clear_requests()
    caplog.set_level(logging.DEBUG, "cosv4fs")
    assert fs.cat_file(f"{BUCKET}/a") == b"hello"
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{BUCKET}/none")
    host = fs.client.config.api_root.partition("//")[2]
    lines = [text for text in caplog.messages if host in text]
    assert len(lines) == len(emulator.requests)
    assert any(
        re.fullmatch(
            rf"GET {host} {downloads} '{BUCKET}/a': HTTP 20[06] after \d+ ms, 0 bytes sent, "
            r"5 bytes to receive, request id \S+",
            text,
        )
        for text in lines
    )
    failed = [text for text in caplog.messages if text.startswith(f"'{BUCKET}/none': failed: no such")]
    assert failed
    assert protocol != "cosv4" or "code 6101" in failed[0]


def test_a_request_without_a_reply_is_a_line_at_debug(fs, emulator, clock, caplog):
    caplog.set_level(logging.DEBUG, "cosv4fs")
    emulator.faults.add(op="list", action=faults.DropReply())
    fs.ls(BUCKET)
    assert any(" no reply after " in text for text in caplog.messages)


def test_nothing_is_logged_unless_it_is_wanted(fs, emulator, clock, caplog):
    caplog.set_level(logging.WARNING, "cosv4fs")
    emulator.faults.add(op="upload", action=faults.HttpError(500))
    fs.pipe_file(f"{BUCKET}/a", b"hello")
    assert caplog.messages == []


def test_an_upload_that_no_journal_records(emulator, tmp_path, info):
    (tmp_path / "file").write_bytes(content(2 * PIECE))
    options = {"slice_size": PIECE, "single_upload_limit": MIB, "journal_dir": str(tmp_path / "file" / "journal")}
    fs = fsspec.filesystem("cosv4", **emulator.storage_options, **options)
    fs.put_file(tmp_path / "file", f"{BUCKET}/a")
    assert any(text.startswith("no journal, so this upload cannot be resumed: ") for text in info())


def test_an_upload_that_the_service_has_lost(sliced, emulator, tmp_path, info):
    (tmp_path / "file").write_bytes(content(4 * PIECE))
    emulator.faults.add(op="upload_slice_data", nth=2, times=1, action=faults.Refuse(-4013))
    sliced.put_file(tmp_path / "file", f"{BUCKET}/a")
    assert f"'{BUCKET}/a': the upload starts again" in info()


def test_what_is_kept_in_a_temporary_file(sliced, caplog):
    caplog.set_level(logging.DEBUG, "cosv4fs")
    with sliced.open(f"{BUCKET}/a", "wb") as file:
        file.write(content(3 * MIB))
    assert caplog.messages.count(f"'{BUCKET}/a': kept in a temporary file until it is complete") == 1


def test_the_pace_of_small_calls(caplog):
    caplog.set_level(logging.DEBUG, "cosv4fs")
    pace = Pace(32)
    for _ in range(200):
        pace.note(1.0, 1.0)
    assert caplog.messages[-1] == "small calls use 1 threads at most"
    for _ in range(200):
        pace.note(1.0, 0.1)
    assert len(caplog.messages) < 20
    assert caplog.messages[-1] in {f"small calls use {count} threads at most" for count in (6, 7)}
