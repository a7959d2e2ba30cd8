"""What runs on the workers of a dask cluster: the check of a worker, and the migration of a batch of files.

A task is an expression, and its arguments are a pickle that only the task itself reads: the scheduler and the workers
unpickle nothing that they may not have. A worker without the package answers with an ImportError, and the scheduler
needs neither the package nor the filesystems.
"""

from __future__ import annotations

import io
import math
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from cosv4fs._version import __version__
from cosv4fs.concurrency import cancellation
from cosv4fs.migrate.copying import ByteProgress
from cosv4fs.migrate.locations import Location, open_location
from cosv4fs.migrate.manifest import File, Outcome
from cosv4fs.migrate.metadata import CONTENT_ONLY, MetadataOptions
from cosv4fs.migrate.migrator import FileMigrator, describe
from cosv4fs.migrate.trees import fresh_info, modification_time

TOPIC = "cosv4fs-migrate"
"""The topic of dask's events with which tasks report their progress. One for all runs: schedulers keep every topic."""

EXPRESSION = f"__import__({__name__!r}, fromlist=['call']).call(version, name, arguments)"

_MAX_BATCH_SECONDS = 5.0
"""Seconds after which a task returns what is done; the rest becomes another task."""

_REPORT_EVERY = 1.0
"""Seconds between the reports of a task, which also notice that it was cancelled."""

_MAX_MIGRATORS = 2
_MTIME_TOLERANCE = 2.0


@dataclass(frozen=True)
class BatchSettings:
    """The arguments of `migrate` that every task needs. Options may contain secrets, so the repr leaves them out."""

    source: str
    target: str
    options: dict[str, Any] = field(repr=False)
    verify: bool
    overwrite: bool
    metadata: MetadataOptions = CONTENT_ONLY
    run: str = field(default_factory=lambda: uuid4().hex)
    """Distinguishes the tasks of this run from those of others on the same cluster."""

    def locations(self) -> tuple[Location, Location]:
        """Open source and target."""
        return open_location(self.source, self.options), open_location(self.target, self.options)


def task(name: str, *arguments: Any) -> tuple[str, dict[str, Any]]:
    """Return the arguments of `eval` that call ``check`` or ``migrate`` on a worker.

    A worker logs the arguments of a task that fails: a stream hides what is in it, such as secrets.
    """
    cloudpickle: Any = import_module("cloudpickle")
    return EXPRESSION, {"version": __version__, "name": name, "arguments": io.BytesIO(cloudpickle.dumps(arguments))}


DONE, LACKING, ERROR = "done", "lacking", "error"


def call(version: str, name: str, arguments: io.BytesIO) -> tuple[str, Any]:
    """Call a function for a client of the same version of the package, whose classes are in the arguments.

    Returns
    -------
    kind : str
        ``DONE``, ``LACKING`` (a package) or ``ERROR``.
    result : object
        What the function returned, or a text that says what is missing or has failed. An exception would not do: where
        dask cannot pickle or unpickle it, the client would wait for ever.
    """
    functions: dict[str, Callable[..., Any]] = {"check": check, "migrate": migrate_batch}
    try:
        if version != __version__:
            return LACKING, f"it has cosv4fs {__version__} instead of {version}"
        return DONE, functions[name](*pickle.loads(arguments.getvalue()))  # noqa: S301 - from the client, who may do all
    except ImportError as error:
        return LACKING, str(error)
    except Exception as error:  # noqa: BLE001 - of any kind
        return ERROR, f"{type(error).__name__}: {describe(error)}"


def check(settings: BatchSettings, samples: Sequence[File], witness: str) -> str:
    """Return why this worker cannot migrate files, or an empty string if it can.

    Parameters
    ----------
    samples : sequence of File
        Some files of the source: one of them, at least, must be there.
    witness : str
        The path of a file that the client has created for a local target; empty for other targets.
    """
    try:
        source, target = settings.locations()
        if samples and not any(_has(source, file) for file in samples):
            return f"{source.url} does not contain the same files there{_advice(source)}"
        if witness and not Path(witness).exists():
            return f"{target.url} is another directory there{_advice(target)}"
        if not target.has_directories:
            bucket = target.at(target.path.partition("/")[0])
            if not target.fs.exists(bucket.path):
                return f"{bucket.url} does not exist there, or access to it is denied"
        elif not target.is_local:
            target.fs.exists(target.path)
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 - the reason may be of any kind; the client may not have its class
        return describe(error)
    return ""


def _has(source: Location, file: File) -> bool:
    try:
        info = fresh_info(source.join(file.path))
    except FileNotFoundError:
        return False
    time_there = modification_time(info) if source.is_local else None
    if time_there is not None and file.mtime is not None and abs(time_there - file.mtime) > _MTIME_TOLERANCE:
        return False
    return int(info.get("size") or 0) == file.size


def _advice(location: Location) -> str:
    if location.is_local:
        return ": all workers need the same directory, such as a network drive; else migrate without --scheduler"
    return ": check the endpoint and the credentials on the workers, or pass them as options"


def migrate_batch(settings: BatchSettings, files: list[File]) -> tuple[list[Outcome], int]:
    """Migrate files in sequence for a few seconds after the first one.

    Returns
    -------
    outcomes : list of Outcome
        Those of the files that were migrated, in any order.
    moved : int
        Bytes that were copied, or found at the target.
    """
    migrator, deadline = migrator_of(settings), math.inf
    outcomes: list[Outcome] = []
    reporter = _Reporter(settings.run)
    with reporter.reporting():
        for outcome in migrator.migrate(files, lambda: ByteProgress(reporter.advance)):
            # the first one may come late, after comparisons that another task would repeat
            deadline = min(deadline, time.monotonic() + _MAX_BATCH_SECONDS)
            outcomes.append(outcome)
            cancellation.check()
            if time.monotonic() >= deadline:
                break
    return outcomes, reporter.moved


_migrators: dict[str, FileMigrator] = {}
"""Those of the last runs: a migrator lists a directory of the target once for all its batches."""

_mutex = threading.Lock()


def migrator_of(settings: BatchSettings) -> FileMigrator:
    """Return the migrator of a run in this process."""
    with _mutex:
        if settings.run not in _migrators:
            source, target = settings.locations()
            migrator = FileMigrator(
                source, target, verify=settings.verify, overwrite=settings.overwrite, metadata=settings.metadata
            )
            while len(_migrators) >= _MAX_MIGRATORS:
                del _migrators[next(iter(_migrators))]
            _migrators[settings.run] = migrator
        return _migrators[settings.run]


class _Reporter:
    """Reports the bytes of a task to the client, and cancels the task's thread when nobody wants its result.

    The scheduler cancels a task when the client has cancelled it, has closed its connection, or has died.
    """

    def __init__(self, run: str) -> None:
        self._worker: Any = import_module("distributed").get_worker()
        self._run, self._key = run, self._worker.get_current_task()
        self.moved, self._mutex = 0, threading.Lock()
        self._ended = threading.Event()

    def advance(self, count: int) -> None:
        """Note that `count` more bytes were moved; some filesystems call from threads of their own."""
        with self._mutex:
            self.moved += count

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report during a block; EINTR ends what it does when the task is cancelled."""
        thread = threading.Thread(target=self._report, name="cosv4fs-report", daemon=True)
        with cancellation.working_for(self):
            thread.start()
            try:
                yield
            finally:
                self._ended.set()
                thread.join()

    def _report(self) -> None:
        reported = 0
        while not self._ended.wait(_REPORT_EVERY):
            if not self._is_wanted():
                cancellation.cancel(self)
            elif (moved := self.moved) != reported:
                reported = moved
                self._worker.log_event(TOPIC, {"run": self._run, "key": self._key, "moved": moved})

    def _is_wanted(self) -> bool:
        known = self._worker.state.tasks.get(self._key)
        is_closing = self._worker.status.name in ("closing", "closed", "failed")
        return known is not None and known.state != "cancelled" and not is_closing
