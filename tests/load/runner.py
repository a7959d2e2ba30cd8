"""One run: a service, many threads, a look at both processes every few seconds, and the questions at the end."""

from __future__ import annotations

import gc
import hashlib
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from cosv4fs import CosV4FileSystem
from tests.catalogue import Content
from tests.load.client import BUCKETS, CONFIGURATIONS, LARGEST, MOST_BYTES, SHARED, Client, filesystem
from tests.load.complaints import Complaints
from tests.load.sampling import (
    ALLOWED,
    PLAIN_MEMORY,
    REST_ALLOWED,
    Held,
    Sample,
    count_files,
    growth,
    held_by,
    stored_bytes,
    trim_memory,
)
from tests.load.verify import verified_elsewhere
from tests.processes import EmulatorCommand
from tests.support import wait_for_background

MIB = 1024 * 1024
_SHARED_SIZES = (0, 1, 1000, 65536, 300_000, 512 * 1024 + 1, 2 * MIB, 5 * MIB + 7)
_TIMEOUT = 300.0
"""Seconds that the last operations, and what ends by itself, may take."""

_LEAST_JUDGED = 180.0
"""Seconds of a run of which the first quarter is enough for all pools and caches to fill."""

_WARM = 3 * MIB + MIB // 2
"""Bytes of the largest body for which the service keeps a connection's memory."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    threads: int
    seed: int
    # how long; None: until every thread has done `operations`
    seconds: float | None
    # how many operations each thread does; None: until the time is over
    operations: int | None = None
    # how often all threads ask at once, per configuration, before the time begins
    rounds: int = 3
    every: float = 2.0
    # seconds after which what was closed has to be let go of
    patience: float = 30.0
    say: Callable[[str], None] = print


@dataclass
class Outcome:
    """What a run came to; see `tests.load.__main__.table`."""

    complaints: Complaints
    clients: list[Client] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    baseline: Sample | None = None
    closed: Sample | None = None
    seconds: float = 0.0
    verified: int = 0
    verified_bytes: int = 0
    judged: bool = False

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.complaints.count)


class Run:
    """One run in an empty folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._folder = plan, folder
        self._complaints = Complaints()
        self._out = Outcome(self._complaints)
        self._over = threading.Event()
        self._local = folder / "client"
        self._watched = [self._local / name for name in ("tmp", "spool", "journal")]
        self._service, self._root = folder / "service", folder / "service" / "root"
        for place in (*self._watched, self._service):
            place.mkdir(parents=True)

    def go(self) -> Outcome:
        """Run it; what is wrong is in the outcome's complaints."""
        before, tempfile.tempdir = tempfile.tempdir, str(self._watched[0])
        gc.collect()  # what others left is not this run's
        try:
            with self._complaints.listening(), (self._service / "said").open("wb") as said:
                options = ("--bucket", *BUCKETS, "--no-fsync")
                more = {**PLAIN_MEMORY, "TMPDIR": str(self._service)}
                with EmulatorCommand(self._root, *options, stderr=said, **more) as service:
                    self._with(service)
                    code = service.stop()
            complaints = (self._service / "said").read_text("utf-8", "replace")
            if code or complaints:
                self._complaints.add(f"the service ended with {code} and said: {complaints[-4000:]}")
        finally:
            tempfile.tempdir = before
        return self._out

    def _with(self, service: EmulatorCommand) -> None:
        untouched = self._look(service, 0.0)
        shared = self._share(service)
        self._close()
        # the service may need a moment to notice that its connections are closed
        self._out.baseline = replace(self._look(service, 0.0), service=untouched.service)
        began = self._work(service, shared)
        self._out.seconds = time.monotonic() - began
        self._verify(service, shared)
        self._close()
        self._out.closed = self._settled(service)
        self._judge()

    def _share(self, service: EmulatorCommand) -> dict[str, Content]:
        """Write what all threads read; and touch every configuration once, so that all modules are loaded."""
        shared = {
            f"{SHARED}/s{number}": Content(self._plan.seed * 100 + number, size)
            for number, size in enumerate(_SHARED_SIZES)
        }
        for configuration in CONFIGURATIONS:
            fs = filesystem(configuration, service.storage_options, self._local)
            for path, content in shared.items():
                fs.pipe_file(path, content.data)
                with fs.open(path) as file:
                    file.read(1)
            with fs.open(f"{SHARED}/extra", "wb") as file:
                file.write(bytes(LARGEST))
            fs.rm(f"{SHARED}/extra")
        return shared

    def _work(self, service: EmulatorCommand, shared: dict[str, Content]) -> float:
        """Let all threads work; return when they began."""
        plan, everybody = self._plan, threading.Barrier(self._plan.threads + 1)
        self._out.clients = [
            Client(index, plan.seed, service.storage_options, self._local, shared) for index in range(plan.threads)
        ]
        threads = [
            threading.Thread(target=self._live, args=(client, everybody), name=f"load-{client.index}", daemon=True)
            for client in self._out.clients
        ]
        for thread in threads:
            thread.start()
        with suppress(threading.BrokenBarrierError):
            for _ in range(plan.rounds * len(CONFIGURATIONS) + 1):
                everybody.wait(_TIMEOUT)
        began = time.monotonic()
        self._watch(service, threads, began)
        self._over.set()
        end = time.monotonic() + _TIMEOUT
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        for thread in threads:
            if thread.is_alive():
                frame = sys._current_frames().get(thread.ident or 0)
                self._complaints.add(f"{thread.name} stands still:\n" + "".join(traceback.format_stack(frame)))
        return began

    def _watch(self, service: EmulatorCommand, threads: list[threading.Thread], began: float) -> None:
        """Look until the time is over, or all threads have ended; say something each half minute."""
        plan, said = self._plan, began
        limit = plan.seconds if plan.seconds is not None else 2 * _TIMEOUT
        while (left := began + limit - time.monotonic()) > 0 and any(thread.is_alive() for thread in threads):
            # any that still works: all of them do until the time is over, unless one fails
            next((thread for thread in threads if thread.is_alive()), threads[0]).join(min(left, plan.every))
            sample = self._look(service, time.monotonic() - began)
            self._out.samples.append(sample)
            if time.monotonic() - said >= 30:
                said = time.monotonic()
                plan.say(self._progress(sample))

    def _progress(self, sample: Sample) -> str:
        done = sum(client.done.total() for client in self._out.clients)
        both = (f"{held.rss / MIB:.0f} MiB {held.fds} fds {held.threads} threads" for held in _both(sample))
        text = f"{sample.seconds:6.0f} s  {done:9,} operations  {self._complaints.count} errors"
        return f"{text}  client {next(both)}  service {next(both)}  disk {sample.disk / MIB:.0f} MiB"

    def _warm_up(self, client: Client, everybody: threading.Barrier) -> None:
        """Open as many connections as there are threads, in every configuration, and send a large body through each.

        What both processes keep for a connection is then there from the beginning, and whatever grows later leaks.
        """
        path = f"{client.home}/warm"
        for configuration in CONFIGURATIONS:
            fs = client.fs_of(configuration)
            data = bytes(min(fs.config.single_upload_limit, _WARM))
            for _ in range(self._plan.rounds):
                everybody.wait(_TIMEOUT)
                fs.pipe_file(path, data)
            fs.rm_file(path)
        everybody.wait(_TIMEOUT)

    def _live(self, client: Client, everybody: threading.Barrier) -> None:
        """Run one client. The first error ends it: what its files hold is not known any more."""
        try:
            self._warm_up(client, everybody)
        except BaseException as error:
            everybody.abort()
            self._complaints.add_error(f"thread {client.index}, warming up", error)
            return
        most = self._plan.operations
        count = 0
        while not self._over.is_set() and (most is None or count < most):
            try:
                client.done[client.work()] += 1
            except BaseException as error:
                self._complaints.add_error(f"thread {client.index}, operation {count}", error)
                return
            count += 1

    def _look(self, service: EmulatorCommand, seconds: float) -> Sample:
        # those of Python: other libraries in this process start and end threads of their own
        own = replace(held_by(_own_pid()), threads=threading.active_count())
        other = held_by(service.process.pid)
        return Sample(seconds, own, other, count_files(*self._watched), *stored_bytes(self._root))

    def _verify(self, service: EmulatorCommand, shared: dict[str, Content]) -> None:
        wait_for_background()
        files = dict(shared)
        for client in self._out.clients:
            files |= client.files
        answer = verified_elsewhere(
            self._folder,
            {
                "options": service.storage_options,
                "buckets": BUCKETS,
                "files": {
                    path: (content.size, hashlib.sha1(content.data).hexdigest()) for path, content in files.items()
                },
            },
        )
        self._out.verified, self._out.verified_bytes = answer["files"], answer["bytes"]
        for failure in answer["failures"]:
            self._complaints.add(failure)
        contents = sum(1 for _ in (self._root / "blobs").iterdir())
        if contents != len(files):
            self._complaints.add(f"the service keeps {contents} contents for {len(files)} objects")

    def _close(self) -> None:
        """Close every filesystem of this process."""
        CosV4FileSystem.clear_instance_cache()
        gc.collect()
        wait_for_background()
        trim_memory()

    def _settled(self, service: EmulatorCommand) -> Sample:
        """Wait until both processes hold no more than at the beginning, or say what they keep."""
        assert self._out.baseline is not None
        end = time.monotonic() + self._plan.patience
        while True:
            sample = self._look(service, self._out.seconds)
            kept = _kept(self._out.baseline, sample)
            if not kept:
                return sample
            if time.monotonic() > end:
                self._complaints.add(f"not let go of: {'; '.join(kept)}; threads {_names()}")
                return sample
            gc.collect()
            time.sleep(0.05)

    def _judge(self) -> None:
        """Say what grew, and what was left on the local disk."""
        plan, out = self._plan, self._out
        most = plan.threads * (MOST_BYTES + 3 * LARGEST) + 64 * MIB
        peak = max((sample.disk for sample in out.samples), default=0)
        if peak > most:
            self._complaints.add(f"the service used {peak:,} bytes of disk, {most:,} are the most there can be")
        left = [str(path) for path in self._local.rglob("*") if path.is_file()]
        if left:
            self._complaints.add(f"left on the local disk: {left[:10]}")
        if len(out.samples) < 24 or out.seconds < _LEAST_JUDGED:
            return
        out.judged = True
        for process in ("client", "service"):
            for name, allowed in ALLOWED.items():
                found = growth([getattr(getattr(sample, process), name) for sample in out.samples], allowed)
                if found:
                    self._complaints.add(f"{name} of the {process} grows {found}")
            self._judge_rest(process)

    def _judge_rest(self, process: str) -> None:
        """Say what memory a process keeps when everything is closed."""
        assert self._out.baseline is not None
        assert self._out.closed is not None
        before, after = (getattr(sample, process).rss for sample in (self._out.baseline, self._out.closed))
        if after - before > REST_ALLOWED:
            self._complaints.add(f"the {process} keeps {after:,} bytes of memory, at the beginning {before:,}")


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


def _both(sample: Sample) -> tuple[Held, Held]:
    return sample.client, sample.service


def _kept(before: Sample, now: Sample) -> list[str]:
    """Say what is held that was not; memory is not given back in full by any allocator, so it does not count."""
    kept = [f"{now.files} files"] if now.files else []
    for whose, old, new in zip(("client", "service"), _both(before), _both(now), strict=True):
        old, new = replace(old, rss=0), replace(new, rss=0)
        if new.threads > old.threads or new.fds > old.fds or new.sockets > old.sockets:
            kept.append(f"{whose} {new}, at the beginning {old}")
    return kept


def _names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())[:40]
