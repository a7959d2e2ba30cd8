"""The same work on a dask cluster, and every way in which a cluster can fail."""

import asyncio
import io
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace

import pytest

from cosv4fs._version import __version__
from cosv4fs.emulator import faults
from cosv4fs.migrate import cluster, dispatcher, migrator, workers
from cosv4fs.migrate.manifest import File
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.migration import Watcher, migrate
from cosv4fs.migrate.migrator import FileMigrator
from tests.processes import Listened
from tests.support import content

pytestmark = pytest.mark.filterwarnings("ignore")  # what dask and its parts say

MIB = 1024 * 1024
TIMEOUT = 60.0
"""Seconds to wait for what happens in one."""

SETTINGS = partial(workers.BatchSettings, verify=False, overwrite=True)


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path / "dask"))


@pytest.fixture(autouse=True)
def _bounded():
    """Fail where a run does not end."""

    def fail(_number, _frame):
        pytest.fail("the run hangs")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 2 * TIMEOUT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    """Look and report often."""
    for module, name in (
        (dispatcher, "_ASK_EVERY"), (dispatcher, "_WAKE_EVERY"), (workers, "_REPORT_EVERY")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0.05)


@pytest.fixture
def here(request):
    """The address of a cluster in this process, with one worker of one thread unless others are asked for."""
    distributed = pytest.importorskip("distributed")
    count, threads = getattr(request, "param", (1, 1))
    given = {"n_workers": count, "threads_per_worker": threads, "processes": False}
    with distributed.LocalCluster(**given, protocol="tcp", host="127.0.0.1", dashboard_address=None) as running:
        yield running.scheduler_address


@pytest.fixture
def run(fs, options, tmp_path):
    """A migration of 120 small files to a local directory."""
    fs.pipe({f"data/in/f{number:03}": content(100 + number, number) for number in range(120)})
    return partial(migrate, "cosv4://data/in", str(tmp_path / "out"), options=options, manifest=tmp_path / "m")


def test_batches_are_bounded_in_files_and_bytes():
    files = [File(f"{number:03}", 1) for number in range(120)]
    files += [File(f"x{number}", migrator._MAX_BATCH_BYTES - 1) for number in range(2)]
    sizes = [len(batch) for batch in migrator.batches(iter(files), 50)]
    assert sizes == [50, 50, 20, 1, 1]
    assert [file for batch in migrator.batches(iter(files), 50) for file in batch] == files


def test_secrets_are_not_shown():
    work = SETTINGS("a", "b", {"s3": {"secret": "hush"}})
    assert "hush" not in repr(work)
    assert "hush" not in repr(workers.task("migrate", work, []))


def test_what_tasks_are_given_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(workers, "migrate_batch", lambda *given: arrived.append(given))
    metadata = MetadataOptions(content_type="text/css", times="listed")
    work = SETTINGS(
        "a", "b", {"cosv4": {"credentials": content, "retries": 3, "n": {"x": [None, b"1"]}}}, metadata=metadata
    )
    files = [File("\udcff", 1), File("x", 2, 3.5, "sha", "", "copied", "found", "content", is_written=True)]
    expression, given = workers.task("migrate", work, files)
    assert eval(expression, given) == ("done", None)
    assert arrived == [(work, files)]
    assert arrived[0][0].options["cosv4"]["credentials"] is content


def test_without_distributed_the_error_says_what_to_install(monkeypatch, fs, options, tmp_path):
    fs.pipe_file("data/in/x", b"1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match="pip install distributed"):
        migrate("cosv4://data/in", str(tmp_path / "out"), options=options, manifest=tmp_path / "m", scheduler="local")


def test_without_files_no_cluster_is_needed(run):
    assert run().copied == 120
    assert run(scheduler="tcp://127.0.0.1:1").before == 120


def test_a_local_cluster_moves_files_and_notes_failures(fs, s3, bucket, options, tmp_path, monkeypatch, capfd):
    """The next run, in this process, goes on with what the workers have told; Ctrl-C reaches only this process."""
    monkeypatch.setattr(cluster, "_MAX_BATCH_FILES", 10)
    # one process is enough
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def interrupt(_outcome):
        for child in multiprocessing.active_children():
            if "Dask" in child.name:
                interrupted.add(child.pid)
                os.kill(child.pid, signal.SIGINT)

    interrupted = set()
    files = {f"d{number % 4}/f{number:03}": content(1000 + number, number) for number in range(25)}
    fs.pipe({f"data/in/{path}": value for path, value in files.items()})
    fs.pipe_file("data/in/" + "/".join(["x" * 200] * 6), b"a name that is too long")
    run = partial(migrate, "cosv4://data/in", f"s3://{bucket}/out", options=options, manifest=tmp_path / "m", jobs=2)
    first = run(scheduler="local", verify=True, watcher=Observer(done=interrupt))
    assert len(interrupted) == 1
    assert (first.copied, first.verified, first.failed) == (25, 25, 1)
    assert "1024 bytes" in first.failures[0][1]
    second = run(verify=True)
    assert (second.copied, second.before, second.failed) == (0, 25, 1)
    assert {name: s3.cat_file(name) for name in s3.find(bucket)} == {
        f"{bucket}/out/{path}": value for path, value in files.items()
    }
    told = f"{first}{second}{capfd.readouterr()}"
    assert "Interrupt" not in told
    for secret in (options["cosv4"]["secret_key"], options["s3"]["secret"] + "'"):
        assert secret not in told


def test_a_local_cluster_that_is_starting_is_closed_after_ctrl_c(monkeypatch):
    go_on, closed, real, calls = threading.Event(), [], cluster.wait, []

    class Starting:
        def __init__(self, **_):
            assert go_on.wait(TIMEOUT)

        def close(self):
            closed.append(True)

    def wait(*given):
        calls.append(given)
        if len(calls) == 1:
            raise KeyboardInterrupt
        go_on.set()
        return real(*given)

    monkeypatch.setattr(cluster, "wait", wait)
    with pytest.raises(KeyboardInterrupt), ExitStack() as stack:
        cluster._local_cluster(SimpleNamespace(LocalCluster=Starting), 1, stack)
    assert closed == [True]


def test_a_local_cluster_that_does_not_start_is_an_error(monkeypatch):
    started = threading.Event()
    monkeypatch.setattr(cluster, "_START_TIMEOUT", 0.05)
    with pytest.raises(TimeoutError, match="does not start"), ExitStack() as stack:
        cluster._local_cluster(SimpleNamespace(LocalCluster=lambda **_: started.wait(TIMEOUT)), 1, stack)
    started.set()


@pytest.mark.parametrize(
    ("address", "limit", "kind", "text"),
    [
        ("localhost", "", ValueError, "localhost: not the address of a dask scheduler, such as tcp://host:8786"),
        ("tcp://127.0.0.1:1", "_CONNECT_TIMEOUT", TimeoutError, "the dask scheduler cannot be reached: Timed out"),
        ("{endpoint}", "", OSError, "this is not a dask scheduler"),
        ("{silent}", "_HANG_TIMEOUT", TimeoutError, "this is not a dask scheduler, or it hangs"),
    ],
)
def test_a_wrong_address_is_named(emulator, run, monkeypatch, address, limit, kind, text):
    # what is never answered; all else comes by itself
    if limit:
        monkeypatch.setattr(cluster, limit, 0.5)
    monkeypatch.setattr(cluster, "_CLOSE_TIMEOUT", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    address = address.format(
        endpoint=emulator.endpoint.removeprefix("http://"), silent=f"127.0.0.1:{silent.getsockname()[1]}"
    )
    with silent, pytest.raises(kind, match=text) as caught:
        run(scheduler=address)
    assert address in str(caught.value)


@pytest.mark.parametrize("here", [(0, 1)], indirect=True)
def test_a_cluster_without_workers_is_an_error(here, run, monkeypatch):
    monkeypatch.setattr(dispatcher, "_SILENCE", 1.0)
    with pytest.raises(TimeoutError, match="has had no worker for 1 seconds: start workers") as caught:
        run(scheduler=here)
    assert caught.value.filename == here


def test_a_target_in_memory_is_refused(fs, options, tmp_path):
    fs.pipe_file("data/in/x", b"1")
    with pytest.raises(ValueError, match="do not share this process's memory"):
        migrate("cosv4://data/in", "memory://out", options=options, manifest=tmp_path / "m", scheduler="local")


def test_a_worker_says_why_it_cannot_migrate(fs, emulator, options, tmp_path):
    fs.pipe_file("data/in/x", b"123")
    out = str(tmp_path / "out")
    local = tmp_path / "source"
    local.mkdir()
    (local / "x").write_bytes(b"123")
    status = (local / "x").stat()
    check, good = workers.check, SETTINGS("cosv4://data/in", out, options)
    assert check(good, [File("gone", 3), File("x", 3)], str(tmp_path)) == ""
    assert "cosv4://data/in does not contain the same files" in check(good, [File("x", 4), File("y", 3)], "")
    assert f"{out} is another directory there" in check(good, [File("x", 3)], str(tmp_path / "witness"))
    from_disk = SETTINGS(str(local), "cosv4://data/out", options)
    assert check(from_disk, [File("x", 3, status.st_mtime)], "") == ""
    assert "same directory" in check(from_disk, [File("x", 3, status.st_mtime - 60)], "")
    denied = SETTINGS("cosv4://data/in", out, {"cosv4": {**options["cosv4"], "secret_key": "wrong"}})
    assert "cosv4://data/in" in check(denied, [File("x", 3)], "") or "data/in" in check(denied, [File("x", 3)], "")
    no_bucket = SETTINGS(str(local), "s3://no-such-bucket/x", {"s3": {**options["s3"]}})
    assert "s3://no-such-bucket does not exist there" in check(no_bucket, [], "")


def test_a_task_never_raises_an_error_that_the_client_may_not_understand():
    text = f"it has cosv4fs {__version__} instead of 0.0"
    assert workers.call("0.0", "check", io.BytesIO(), []) == ("lacking", text)
    assert workers.call(__version__, "check", io.BytesIO(b"junk"), [])[0] == "error"
    no_package = workers.task("check", SETTINGS("gs://a", "nosuch://b", {}), [], "")[1]
    assert workers.call(**no_package)[0] in ("lacking", "done")


class Observer(Watcher):
    """Calls functions with what is reported."""

    def __init__(self, moved=lambda _size: None, done=lambda _outcome: None):
        self.moved, self.done = moved, done


def test_bytes_are_reported_while_a_file_is_copied(here, run, monkeypatch):
    reported, real, sizes = threading.Event(), FileMigrator.examine, []

    def slow(self, file, callback):
        if file.path == "f000":
            callback.relative_update(7)
            assert reported.wait(TIMEOUT)
            callback.relative_update(-7)
        return real(self, file, callback)

    def moved(size):
        sizes.append(size)
        reported.set()

    monkeypatch.setattr(FileMigrator, "examine", slow)
    assert run(scheduler=here, watcher=Observer(moved)).copied == 120
    assert sizes[0] == 7
    assert sum(sizes) == sum(100 + number for number in range(120))


def test_a_task_returns_after_some_seconds_and_the_rest_is_another(here, run, monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "_MAX_BATCH_SECONDS", 0.0)
    results, real = [], workers.migrate_batch
    monkeypatch.setattr(workers, "migrate_batch", lambda *given: results.append(real(*given)) or results[-1])
    monkeypatch.setattr(cluster, "_MAX_BATCH_FILES", 60)
    assert run(scheduler=here).copied == 120
    assert [len(outcomes) for outcomes, _ in results] == [1] * 120
    # nothing is left of the file that shows the directory to the workers
    assert sorted(os.listdir(tmp_path / "out")) == [f"f{number:03}" for number in range(120)]
    assert not [name for name in os.listdir(tmp_path) if name.endswith("-part")]


def test_after_ctrl_c_nothing_runs_on_the_cluster(here, run, monkeypatch):
    ended, stop = threading.Event(), threading.Event()

    def endless(self, file, callback):
        try:
            while not stop.is_set():
                callback.relative_update(1)
                time.sleep(0.01)
        except InterruptedError:
            ended.set()
            raise

    def interrupt(_size):
        raise KeyboardInterrupt

    monkeypatch.setattr(FileMigrator, "examine", endless)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(scheduler=here, watcher=Observer(interrupt))
        assert ended.wait(TIMEOUT)
    finally:
        stop.set()
    monkeypatch.undo()
    # the cluster can be used again
    assert run(scheduler=here).copied == 120


def test_a_task_whose_end_is_never_told_is_tried_again(here, run, monkeypatch):
    distributed = pytest.importorskip("distributed")
    real, calls = distributed.Future.add_done_callback, []

    def deaf(self, action):
        calls.append(self.key)
        # the second task, after the check
        if len(calls) != 2:
            real(self, action)

    monkeypatch.setattr(distributed.Future, "add_done_callback", deaf)
    monkeypatch.setattr(dispatcher, "_COMPARE_EVERY", 0.2)
    report = run(scheduler=here)
    assert (report.copied + report.found, report.failed) == (120, 0)
    assert len(calls) > 50


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_that_dies_or_hangs_is_an_error_and_the_next_run_goes_on(run, monkeypatch, number):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_CLOSE_TIMEOUT", 0.2)
    # one file at a time, so that some are left
    monkeypatch.setattr(cluster, "_MAX_BATCH_FILES", 1)
    with Listened("tests.migrate.cluster_process", "cluster") as process:
        assert process.wait_for(lambda: bool(process.events))
        address = process.events[0]["address"]
        with monkeypatch.context() as other:
            other.setattr(distributed, "__version__", "2020.1.0")
            with pytest.raises(ImportError, match=r"instead of 2020\.1\.0.*pip install distributed==2020"):
                run(scheduler=address)

        def end(outcome):
            if outcome.path == "f002":
                os.kill(process.process.pid, number)
                if number == signal.SIGSTOP:
                    # not before: a busy scheduler may be slow
                    monkeypatch.setattr(dispatcher, "_TIMEOUT", 1.0)
                    monkeypatch.setattr(dispatcher, "_SILENCE", 3.0)

        kind = ConnectionAbortedError if number == signal.SIGKILL else TimeoutError
        with pytest.raises(kind, match="repeat the command to continue") as caught:
            run(scheduler=address, watcher=Observer(done=end))
    assert caught.value.filename == address
    report = run()
    assert (report.before >= 3, report.before + report.copied + report.found) == (True, 120)


def test_the_files_of_a_frozen_worker_are_migrated_by_others(here, run, monkeypatch):
    # its heartbeats come twice in a second
    monkeypatch.setattr(dispatcher, "_HEARTBEAT_TIMEOUT", 3.0)
    monkeypatch.setattr(cluster, "_MAX_BATCH_FILES", 1)
    with Listened("tests.migrate.cluster_process", "worker", here, "", "12") as process:
        assert process.wait_for(lambda: bool(process.events))
        sent, real, address = [], dispatcher.Dispatcher._submit, process.events[0]["address"]

        def submit(self, worker, batch):
            if worker == address and batch is not None:
                os.kill(process.process.pid, signal.SIGSTOP)
                sent.extend(batch.files)
            real(self, worker, batch)

        monkeypatch.setattr(dispatcher.Dispatcher, "_submit", submit)
        report = run(scheduler=here)
    assert (report.copied, report.failed, len(sent)) == (120, 0, 12)


@pytest.mark.parametrize("here", [(1, 2)], indirect=True)
def test_lost_files_have_a_worker_of_their_own(here, run, monkeypatch):
    real, mutex, lost, running, most = workers.migrate_batch, threading.Lock(), [], [], []

    def migrate_batch(settings, files):
        with mutex:
            if files[0].path == "f000" and not lost:
                lost.extend(files)
                raise RuntimeError("lost")
            running.append(files)
            if files[0] in lost:
                most.append(len(running))
        try:
            return real(settings, files)
        finally:
            with mutex:
                running.remove(files)

    monkeypatch.setattr(workers, "migrate_batch", migrate_batch)
    report = run(scheduler=here)
    assert (report.copied, report.failed, len(lost)) == (120, 0, 50)
    assert most == [1] * 50


def test_a_worker_that_answers_late_is_used(here, run, monkeypatch):
    real, asked = dispatcher.Dispatcher._call, []

    def call(self, operation, *given, **more):
        if operation == "broadcast":
            asked.append(operation)
            if len(asked) == 1:
                raise asyncio.TimeoutError
        return real(self, operation, *given, **more)

    monkeypatch.setattr(dispatcher.Dispatcher, "_call", call)
    assert run(scheduler=here).copied == 120
    assert len(asked) == 2


@pytest.mark.parametrize("is_silent", [False, True])
def test_no_worker_is_lost_because_the_scheduler_is_silent(monkeypatch, is_silent):
    now, replies = [0.0], []

    def call(_self, operation, *_, **__):
        if operation == "identity" and replies.pop(0):
            return {"workers": {"tcp://worker": {"last_seen": 1.0, "nthreads": 1}}}
        if operation == "processing":
            return {}
        raise asyncio.TimeoutError

    monkeypatch.setattr(dispatcher, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(dispatcher.Dispatcher, "_call", call)
    asking = dispatcher.Dispatcher(
        SimpleNamespace(status="running"), "", SETTINGS("a", "b", {}), version="", samples=[], witness="", packages="",
        recorder=None,
    )  # fmt: skip
    for moment, reply in (0.0, True), (9.0, not is_silent), (19.0, True), (28.0, True):
        now[0] = moment
        replies.append(reply)
        asking._ask()
    assert list(asking._workers) == ["tcp://worker"] * is_silent


def test_workers_that_lose_every_task_are_an_error(here, run, monkeypatch):
    def broken(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(workers, "migrate_batch", broken)
    with pytest.raises(ConnectionAbortedError, match=r"lost 10 times in a row, the last on tcp.*: no memory; see"):
        run(scheduler=here)


def test_a_file_that_kills_workers_fails_alone_and_workers_without_the_package_live(run, caplog, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(dispatcher, "_MAX_LOSSES", 2)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp", host="127.0.0.1",
                                 dashboard_address=None) as running,
        Listened("tests.migrate.cluster_process", "bare", running.scheduler_address) as bare,
    ):  # fmt: skip
        address = running.scheduler_address
        assert bare.wait_for(lambda: bool(bare.events))
        with pytest.raises(ImportError, match=f"No module named 'cosv4fs'; install cosv4fs {__version__} there"):
            run(scheduler=address)
        poisoned = [Listened("tests.migrate.cluster_process", "worker", address, "f077") for _ in range(3)]
        try:
            assert all(each.wait_for(lambda each=each: bool(each.events)) for each in poisoned)
            report = run(scheduler=address)
            # one worker is left, which is not asked to copy the file
            assert len(running.scheduler.workers) == 2
            assert bare.events[0]["address"] in running.scheduler.workers
        finally:
            for each in poisoned:
                each.kill()
        assert (report.copied + report.found, report.failed) == (119, 1)
        assert report.failures[0][0] == "f077"
        assert re.search("lost 2 times .* alone on tcp://.*: the worker died", report.failures[0][1])
        assert "is not used: No module named 'cosv4fs'" in caplog.text
        assert not bare.ended


@pytest.mark.parametrize("here", [(0, 1)], indirect=True)
@pytest.mark.parametrize("workers_left", [0, 1])
def test_what_killed_workers_leave_on_s3_is_aborted(
    here, emulator, fs, s3, bucket, options, tmp_path, monkeypatch, workers_left
):
    """By another worker that tries the file again, or by the next run of the manifest."""
    fs.pipe_file("data/in/big", content(20 * MIB, 7))
    # the last range, whenever it is asked for: those before it are more than a part for S3
    stall, last = faults.Stall(), f"-{20 * MIB - 1}"
    is_last = lambda call: call.head.headers.get("range", "").endswith(last)  # noqa: E731
    emulator.faults.add(op="download", path="/in/big", action=stall, match=is_last)
    run = partial(migrate, "cosv4://data/in", f"s3://{bucket}/to", options=options, manifest=tmp_path / "m")
    started = [Listened("tests.migrate.cluster_process", "worker", here, "") for _ in range(1 + workers_left)]
    left = []

    def kill():
        stall.entered.wait(TIMEOUT)
        until = time.monotonic() + TIMEOUT
        while not left and time.monotonic() < until:
            left.extend(s3.list_multipart_uploads(bucket))
        if not workers_left:
            # not before: workers may be slow to begin
            monkeypatch.setattr(dispatcher, "_SILENCE", 3.0)
        killed.kill()
        stall.release.set()

    def submit(self, worker, batch):
        nonlocal killed
        if batch is not None and killed is None:
            killed = next(each for each in started if each.events[0]["address"] == worker)
            threading.Thread(target=kill).start()
        real(self, worker, batch)

    killed, real = None, dispatcher.Dispatcher._submit
    monkeypatch.setattr(dispatcher.Dispatcher, "_submit", submit)
    try:
        assert all(each.wait_for(lambda each=each: bool(each.events)) for each in started)
        if not workers_left:
            with pytest.raises(TimeoutError, match="repeat the command to continue"):
                run(scheduler=here)
        assert run(scheduler=here if workers_left else None).copied == 1
    finally:
        for each in started:
            each.kill()
    assert [each["Key"] for each in left] == ["to/big"]
    assert s3.list_multipart_uploads(bucket) == []
    assert s3.cat_file(f"{bucket}/to/big") == content(20 * MIB, 7)
