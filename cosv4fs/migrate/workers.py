"""What runs on the workers of a dask cluster: the check of a worker, and the migration of a batch of files.

A task is an expression, and its arguments are JSON: the scheduler and the workers import nothing that they may not
have. A worker without the package answers with an ImportError, and the scheduler needs neither the package nor the
filesystems.
"""

from __future__ import annotations

import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from cosv4fs._version import __version__
from cosv4fs.concurrency import cancellation
from cosv4fs.forking import PerProcess
from cosv4fs.migrate.copying import ByteProgress
from cosv4fs.migrate.infos import fresh_info, modification_time
from cosv4fs.migrate.locations import Location, open_location
from cosv4fs.migrate.manifest import File, Outcome
from cosv4fs.migrate.metadata import CONTENT_ONLY, MetadataOptions
from cosv4fs.migrate.migrator import FileMigrator, describe

TOPIC = "cosv4fs-migrate"
"""The topic of dask's events with which tasks report their progress. One for all runs: schedulers keep every topic."""

EXPRESSION = f"__import__({__name__!r}, fromlist=['call']).call(version, name, text, objects)"

_MAX_BATCH_SECONDS = 5.0
"""Seconds after which a task returns what is done; the rest becomes another task."""

_REPORT_EVERY = 1.0
"""Seconds between the reports of a task, which also notice that it was cancelled."""

_OBJECT = "cosv4fs-object"
"""The key of a value that JSON cannot hold: its number in a list."""

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

    def migrator(self) -> FileMigrator:
        """Return what migrates the files."""
        return FileMigrator(*self.locations(), verify=self.verify, overwrite=self.overwrite, metadata=self.metadata)


def task(name: str, settings: BatchSettings, files: Sequence[File], *others: str) -> tuple[str, dict[str, Any]]:
    """Return the arguments of `eval` that call ``check`` or ``migrate`` with the other arguments on a worker.

    A worker logs the arguments of a task that fails: a stream hides what is in it, such as secrets. Options that JSON
    cannot hold, such as functions, travel beside it, as in any other task of dask.
    """
    objects: list[object] = []

    def refer(value: object) -> dict[str, int]:
        objects.append(value)
        return {_OBJECT: len(objects) - 1}

    options = {protocol: dict(values) for protocol, values in settings.options.items()}
    given = {**vars(settings), "options": options, "metadata": vars(settings.metadata)}
    rows = [astuple(file) for file in files]
    text = io.BytesIO(json.dumps([given, rows, *others], default=refer).encode())
    return EXPRESSION, {"version": __version__, "name": name, "text": text, "objects": objects}


def _arguments(text: io.BytesIO, objects: list[object]) -> tuple[Any, ...]:
    """Return what was given to `task`."""
    given, rows, *others = json.loads(
        text.getvalue(), object_hook=lambda found: objects[found[_OBJECT]] if _OBJECT in found else found
    )
    settings = BatchSettings(**{**given, "metadata": MetadataOptions(**given["metadata"])})
    return settings, [File(*row) for row in rows], *others


DONE, LACKING, ERROR = "done", "lacking", "error"


def call(version: str, name: str, text: io.BytesIO, objects: list[object]) -> tuple[str, Any]:
    """Call a function for a client with the same version of the package; see `task`.

    Returns
    -------
    kind : str
        ``DONE``, ``LACKING`` (a package) or ``ERROR``.
    result : object
        What the function returned, or a text that says what is missing or has failed. An exception would not do: where
        dask cannot pickle or unpickle it, the client would wait forever.
    """
    functions: dict[str, Callable[..., Any]] = {"check": check, "migrate": migrate_batch}
    try:
        if version != __version__:
            return LACKING, f"it has cosv4fs {__version__} instead of {version}"
        return DONE, functions[name](*_arguments(text, objects))
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
    migrator, deadline = _migrators().get(settings), math.inf
    outcomes: list[Outcome] = []
    reporter = _Reporter(settings.run)
    with reporter.reporting():
        for outcome in migrator.migrate(files, lambda: ByteProgress(reporter.advance), reporter.begin):
            # the first one may come late, after comparisons that another task would repeat
            deadline = min(deadline, time.monotonic() + _MAX_BATCH_SECONDS)
            outcomes.append(outcome)
            cancellation.check()
            if time.monotonic() >= deadline:
                break
    return outcomes, reporter.moved


class _Migrators:
    """Those of the last runs: a migrator lists a directory of the target once for all its batches."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._by_run: dict[str, FileMigrator] = {}

    def get(self, settings: BatchSettings) -> FileMigrator:
        with self._mutex:
            if settings.run not in self._by_run:
                while len(self._by_run) >= _MAX_MIGRATORS:
                    del self._by_run[next(iter(self._by_run))]
                self._by_run[settings.run] = settings.migrator()
            return self._by_run[settings.run]


_migrators = PerProcess(_Migrators)


class _Reporter:
    """Reports the bytes and files of a task to the client, and cancels the task's thread when nobody wants its result.

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

    def begin(self, paths: list[str]) -> None:
        """Report at once that files are being written: a killed worker leaves what the next attempt must know of."""
        self._tell(begun=paths)

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
                self._tell(moved=moved)

    def _tell(self, **values: object) -> None:
        self._worker.log_event(TOPIC, {"run": self._run, "key": self._key, **values})

    def _is_wanted(self) -> bool:
        known = self._worker.state.tasks.get(self._key)
        is_closing = self._worker.status.name in ("closing", "closed", "failed")
        return known is not None and known.state != "cancelled" and not is_closing
