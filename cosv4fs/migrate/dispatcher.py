"""Give batches of files to the workers of a dask cluster that can migrate them, and watch that the cluster lives.

Every task is bound to one worker, and a worker has as many tasks as threads. So it is known which files were on a
worker that died, and none waits behind a large one while other workers are idle. Files of a lost task are tried again
after all others, each on a worker without other tasks, since they may be what kills workers.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from uuid import uuid4

from cosv4fs._version import __version__
from cosv4fs.migrate.manifest import FAILED, File, Outcome
from cosv4fs.migrate.workers import ERROR, LACKING, TOPIC, BatchSettings, task

_log = logging.getLogger("cosv4fs")

_SILENCE = 30.0
"""Seconds to wait for a scheduler that does not answer, and for a worker that can migrate."""

_ASK_EVERY = 2.0
"""Seconds between questions for the workers, which are also how a lost one is noticed."""

_COMPARE_EVERY = 10.0
"""Seconds between comparisons of the tasks in flight with those of the scheduler."""

_TIMEOUT = 10.0
"""Seconds to wait for one reply of the scheduler."""

_HEARTBEAT_TIMEOUT = 20.0
"""Seconds after which a worker that the scheduler does not hear is lost, as if it had died."""

_WORKER_TIMEOUT = 3.0
_WAKE_EVERY = 0.5
_MAX_LOSSES_IN_A_ROW = 10
_MAX_LOSSES = 3
"""The number of losses after which a file has failed."""

_FAILURES = (OSError, asyncio.TimeoutError)
"""Errors of a request to the scheduler; the second is no `OSError` before Python 3.11."""

_MOST_NAMED = 5
"""Workers named in an error."""


class Recorder(Protocol):
    """Receives outcomes and progress, always in the thread of the dispatcher."""

    def record(self, outcomes: Iterable[Outcome], *, begun: bool = True) -> None:
        """Record the outcomes of files."""

    def begun(self, paths: Iterable[str]) -> None:
        """Record that the files are being written at the target."""

    def moved(self, size: int) -> None:
        """Handle that `size` more bytes were copied, or found at the target."""


@dataclass
class _Batch:
    files: list[File]
    losses: int = 0


@dataclass
class _Task:
    worker: str
    future: Any
    batch: _Batch | None
    """None for the check of a worker."""
    moved: int = 0
    begun: set[str] = field(default_factory=set)
    """The paths of files that it is writing, or has written."""
    is_missed: bool = False
    """Whether the scheduler did not know it, or did not give it to its worker, when it was asked the last time."""


@dataclass
class _Worker:
    threads: int
    is_ready: bool = False
    refusal: str = ""
    is_lacking: bool = False
    """Whether it refused because of a package that it does not have."""
    tasks: set[str] = field(default_factory=set)


class Dispatcher:
    """Migrates batches of files on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    address : str
        The scheduler, as errors name it.
    settings : BatchSettings
        What the tasks need.
    version : str
        That of ``distributed`` here.
    samples, witness
        What the check of a worker needs; see `check`.
    packages : str
        The arguments of ``pip install`` for a worker that lacks a package, without this one: it may come from a clone.
    recorder : Recorder
        Receives the results.
    """

    def __init__(
        self,
        client: Any,
        address: str,
        settings: BatchSettings,
        *,
        version: str,
        samples: Sequence[File],
        witness: str,
        packages: str,
        recorder: Recorder,
    ) -> None:
        self._client, self._address, self._settings, self._recorder = client, address, settings, recorder
        self._check = task("check", settings, samples, witness)
        self._version, self._packages = version, packages
        # by address, and by key
        self._workers: dict[str, _Worker] = {}
        self._tasks: dict[str, _Task] = {}
        self._inbox: SimpleQueue[tuple[str, dict[str, Any] | None]] = SimpleQueue()
        # the last heartbeat by worker, as the scheduler tells it, and when it was new
        self._heartbeats: dict[str, tuple[float, float]] = {}
        # what is left of batches, and files of lost tasks
        self._left: deque[_Batch] = deque()
        self._lost: deque[_Batch] = deque()
        self._losses_in_a_row = 0
        now = time.monotonic()
        self._asked, self._answered, self._compared, self._ready = now - _ASK_EVERY, now, now, now
        self._was_ready = False
        self._unsaid: list[str] = []

    def progress(self, event: Any) -> None:
        """Receive an event of a task; called from dask's own thread."""
        message = event[1] if isinstance(event, (tuple, list)) else event
        if message.get("run") == self._settings.run:
            self._inbox.put((message["key"], message))

    def run(self, batches: Iterator[list[File]]) -> None:
        """Migrate all batches.

        Raises
        ------
        ImportError
            All workers lack a package, or have another version of this one.
        OSError
            No worker can migrate, the scheduler is lost (ECONNABORTED) or does not answer (ETIMEDOUT).
        """
        while self._has_work(batches):
            self._watch()
            self._dispatch(batches)
            with suppress(Empty):
                self._handle(*self._inbox.get(timeout=_WAKE_EVERY))
                while True:
                    self._handle(*self._inbox.get_nowait())

    def _has_work(self, batches: Iterator[list[File]]) -> bool:
        """Return whether something waits or is in flight, other than checks; take a batch if none waits."""
        if not self._left and (files := next(batches, None)):
            self._left.append(_Batch(files))
        in_flight = (each.batch for each in self._tasks.values())
        return any((self._left, self._lost, any(in_flight)))

    def _dispatch(self, batches: Iterator[list[File]]) -> None:
        """Give work to every worker that has a free thread, those with the most first."""
        while self._has_work(batches) and (free := self._free_threads()):
            address = max(free, key=lambda each: free[each])
            if self._left:
                self._submit(address, self._left.popleft())
            elif self._lost and (idle := [each for each in free if not self._workers[each].tasks]):
                self._submit(idle[0], self._lost.popleft())
            else:
                return

    def _free_threads(self) -> dict[str, int]:
        """Return the number of threads that may get a task, by worker."""
        return {
            address: worker.threads - len(worker.tasks)
            for address, worker in self._workers.items()
            if worker.is_ready and len(worker.tasks) < worker.threads
        }

    def _submit(self, address: str, batch: _Batch | None) -> None:
        key = f"{TOPIC}-{uuid4().hex}"
        given = self._check if batch is None else task("migrate", self._settings, batch.files)
        try:
            future = self._client.submit(
                eval, *given, key=key, workers=[address], allow_other_workers=False, pure=False,
                priority=1 if batch is None else 0,
            )  # fmt: skip
        except Exception as error:
            if self._client.status != "running":
                raise self._lost_scheduler() from error
            raise
        self._tasks[key] = _Task(address, future, batch)
        self._workers[address].tasks.add(key)
        future.add_done_callback(lambda future: self._inbox.put((future.key, None)))

    def _handle(self, key: str, message: dict[str, Any] | None) -> None:
        """Handle the progress of a task, or its end."""
        known = self._tasks.get(key)
        if known is None:
            return
        if message is not None:
            self._follow(known, message)
            return
        self._forget(key)
        if known.future.status == "cancelled":
            raise self._lost_scheduler()
        kind, result = _result(known.future)
        if kind == LACKING:
            self._refuse(known.worker, result, is_lacking=True)
            if known.batch is not None:
                self._left.append(known.batch)
        elif kind == ERROR:
            self._lose(known, result)
            self._count_loss(known.worker, result)
        elif known.batch is not None:
            self._accept(known, known.batch, *result)
        elif result:
            self._refuse(known.worker, result)
        elif known.worker in self._workers:
            self._workers[known.worker].is_ready = True

    def _follow(self, known: _Task, message: dict[str, Any]) -> None:
        """Handle the files that a task has begun to write, or the bytes that it has moved so far."""
        if begun := message.get("begun"):
            self._recorder.begun(begun)
            known.begun.update(begun)
        else:
            moved = max(message["moved"], known.moved)
            self._recorder.moved(moved - known.moved)
            known.moved = moved

    def _accept(self, done: _Task, batch: _Batch, outcomes: list[Outcome], moved: int) -> None:
        self._losses_in_a_row = 0
        self._recorder.moved(moved - done.moved)
        self._recorder.record(outcomes, begun=False)
        done_paths = {outcome.path for outcome in outcomes}
        if rest := [file for file in batch.files if file.path not in done_paths]:
            self._left.append(_Batch(rest))

    def _forget(self, key: str) -> None:
        known = self._tasks.pop(key)
        if known.worker in self._workers:
            self._workers[known.worker].tasks.discard(key)

    def _refuse(self, address: str, reason: str, *, is_lacking: bool = False) -> None:
        worker = self._workers.get(address)
        if worker is not None and not worker.refusal:
            worker.is_ready, worker.refusal, worker.is_lacking = False, reason, is_lacking
            self._unsaid.append(f"{self._address}: the worker {address} is not used: {reason}")

    def _lose(self, lost: _Task, reason: str) -> None:
        """Keep the files of a lost task for another attempt, or record the failure of the last one."""
        if lost.batch is None:
            self._refuse(lost.worker, reason)
            return
        if lost.batch.losses + 1 >= _MAX_LOSSES:
            text = f"lost {_MAX_LOSSES} times on the cluster, the last time alone on {lost.worker}: {reason}"
            self._recorder.record([Outcome(file.path, FAILED, error=text) for file in lost.batch.files], begun=False)
            return
        self._lost.extend(
            _Batch([replace(file, is_written=file.is_written or file.path in lost.begun)], lost.batch.losses + 1)
            for file in lost.batch.files
        )

    def _count_loss(self, worker: str, reason: str) -> None:
        self._losses_in_a_row += 1
        if self._losses_in_a_row >= _MAX_LOSSES_IN_A_ROW:
            text = f"tasks were lost {self._losses_in_a_row} times in a row, the last on {worker}: {reason}"
            raise self._error(errno.ECONNABORTED, f"{text}; see the logs of the workers")

    def _watch(self) -> None:
        """Look regularly whether the cluster lives and which workers there are; raise if it cannot go on."""
        if self._client.status != "running":
            raise self._lost_scheduler()
        now = time.monotonic()
        if now - self._asked >= _ASK_EVERY:
            self._ask()
            self._asked = now = time.monotonic()
        if any(worker.is_ready for worker in self._workers.values()):
            self._ready, self._was_ready = now, True
            while self._unsaid:
                _log.warning(self._unsaid.pop(0))
            return
        is_refused = self._workers and all(worker.refusal for worker in self._workers.values())
        if now - self._ready >= _SILENCE or (is_refused and not self._was_ready):
            raise self._no_worker()

    def _ask(self) -> None:
        """Ask the scheduler for its workers, and sometimes for its tasks; tolerate some silence."""
        is_due = time.monotonic() - self._compared >= _COMPARE_EVERY
        try:
            workers = self._call("identity", _TIMEOUT)["workers"]
            processing = self._call("processing", _TIMEOUT) if is_due else None
        except _FAILURES as error:
            if self._client.status != "running":
                raise self._lost_scheduler() from error
            silence = time.monotonic() - self._answered
            if silence >= _SILENCE - _TIMEOUT:
                text = f"the dask scheduler has not answered for {silence:.0f} seconds; {_RESUME}"
                raise self._error(errno.ETIMEDOUT, text) from error
            # it hears no workers, either
            self._heartbeats.clear()
            return
        self._answered = time.monotonic()
        present = self._heard({address: info["last_seen"] for address, info in workers.items()})
        if gone := self._workers.keys() - present:
            self._leave(gone)
        if processing is not None:
            self._compared = self._answered
            self._compare({key for keys in processing.values() for key in keys})
        for address in present:
            worker = self._workers.setdefault(address, _Worker(max(1, workers[address]["nthreads"])))
            if not (worker.is_ready or worker.refusal or worker.tasks):
                self._examine(address)

    def _heard(self, heartbeats: dict[str, float]) -> set[str]:
        """Return the workers that the scheduler hears: others are frozen, or out of reach."""
        before = self._heartbeats
        self._heartbeats = {
            address: before[address] if before.get(address, (None,))[0] == heartbeat else (heartbeat, self._answered)
            for address, heartbeat in heartbeats.items()
        }
        oldest = self._answered - _HEARTBEAT_TIMEOUT
        return {address for address in heartbeats if self._heartbeats[address][1] > oldest}

    def _compare(self, known: set[str]) -> None:
        """Lose the tasks that the scheduler twice did not know: their end did not arrive, or was not understood."""
        for key in self._tasks.keys() - known:
            lost = self._tasks[key]
            if lost.is_missed:
                self._forget(key)
                lost.future.cancel()
                self._lose(lost, "the scheduler has lost the task")
                self._count_loss(lost.worker, "the scheduler has lost the task")
            lost.is_missed = True

    def _examine(self, address: str) -> None:
        """Check a new worker; one with another version of dask is not even asked, as a task might end it."""
        try:
            known = self._call("broadcast", _WORKER_TIMEOUT, msg={"op": "versions"}, workers=[address])[address]
            version = str(known["packages"]["distributed"])
        except (*_FAILURES, LookupError):
            # it is asked again
            return
        if _month(version) == _month(self._version):
            self._submit(address, None)
        else:
            reason = f"it has distributed {version} instead of {self._version}"
            self._refuse(address, reason, is_lacking=True)

    def _call(self, operation: str, timeout: float, **arguments: Any) -> Any:
        """Ask the scheduler; dask itself would wait forever."""
        return self._client.sync(getattr(self._client.scheduler, operation), callback_timeout=timeout, **arguments)

    def _leave(self, gone: AbstractSet[str]) -> None:
        """Lose the tasks of workers; all of them are one loss, however many threads these had."""
        lost = [self._tasks.pop(key) for address in gone for key in self._workers.pop(address).tasks]
        reason = "the worker died, hangs or left the cluster"
        for each in lost:
            each.future.cancel()
            self._lose(each, reason)
        if any(each.batch for each in lost):
            self._count_loss(lost[-1].worker, reason)

    def _lost_scheduler(self) -> OSError:
        text = f"the connection to the dask scheduler was lost, or the tasks were cancelled; {_RESUME}"
        return self._error(errno.ECONNABORTED, text)

    def _no_worker(self) -> Exception:
        """Return the error that says why there is no worker that can migrate."""
        reasons = {
            address: worker.refusal
            or "has not begun or finished its check: it is busy, or cannot reach "
            f"{self._settings.source} or {self._settings.target}"
            for address, worker in self._workers.items()
        }
        named = "; ".join(f"{address}: {reasons[address]}" for address in sorted(reasons)[:_MOST_NAMED])
        if not reasons:
            text = f"the cluster has had no worker for {_SILENCE:.0f} seconds: start workers"
            return self._error(errno.ETIMEDOUT, f"{text}; {_RESUME}" if self._was_ready else text)
        text = f"no worker can migrate: {named}"
        if len(reasons) > _MOST_NAMED:
            text += f"; and {len(reasons) - _MOST_NAMED} more"
        if all(worker.is_lacking for worker in self._workers.values()):
            advice = (
                f"install cosv4fs {__version__} there, as it was installed here; and run pip install {self._packages}"
            )
            return ImportError(f"{self._address}: {text}; {advice}")
        return self._error(errno.ECONNABORTED, text)

    def _error(self, code: int, text: str) -> OSError:
        return OSError(code, text, self._address)


_RESUME = "what was copied is recorded: repeat the command to continue"


def _month(version: str) -> list[str]:
    """Return year and month of a version of dask: others do not understand each other."""
    return version.split(".")[:2]


def _result(future: Any) -> tuple[str, Any]:
    """Return the kind and the result of a task that has ended; see `call`."""
    try:
        kind, result = future.result(timeout=_TIMEOUT)
    except ImportError as error:
        # of this package itself
        return LACKING, str(error)
    except Exception as error:  # noqa: BLE001 - the worker may have died since; dask has many errors for that
        return ERROR, f"{type(error).__name__}: {error}".rstrip(": ")
    return kind, result
