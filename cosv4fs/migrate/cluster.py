"""The copying of a migration on a dask cluster: batches of files as tasks, their outcomes noted here only."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from cosv4fs.migrate.manifest import FAILED, Job, Outcome
from cosv4fs.migrate.moving import Mover
from cosv4fs.migrate.places import open_place

__all__ = ["LOCAL", "Work", "batches", "move_batch", "on_cluster"]

LOCAL = "local"
"""The address that stands for a cluster on this machine, for as long as the migration takes."""

_MOST_FILES = 50
_MOST_BYTES = 64 * 1024 * 1024
_PATIENCE = 60
"""Seconds to wait for the scheduler, and for a first worker."""


@dataclass(frozen=True)
class Work:
    """What a worker has to know. Options may be secrets: they travel, but no log shows them.

    Parameters
    ----------
    source, target : str
        URLs of directories.
    options : dict
        Options of filesystems by protocol.
    verify, overwrite : bool
        As for `cosv4fs.migrate.migration.migrate`.
    """

    source: str
    target: str
    options: dict[str, Any] = field(repr=False)
    verify: bool
    overwrite: bool


def move_batch(work: Work, jobs: list[Job]) -> list[Outcome]:
    """Move some files, one after another; runs on a worker."""
    source, target = open_place(work.source, work.options), open_place(work.target, work.options)
    mover = Mover(source, target, verify=work.verify, overwrite=work.overwrite)
    return [mover.move(job, DEFAULT_CALLBACK) for job in jobs]


def batches(jobs: Iterator[Job]) -> Iterator[list[Job]]:
    """Yield jobs together that are small enough to be one task."""
    batch: list[Job] = []
    size = 0
    for job in jobs:
        if batch and (len(batch) >= _MOST_FILES or size + job.size > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += job.size
    if batch:
        yield batch


def on_cluster(address: str, work: Work, jobs: Iterator[Job], count: int, note: Callable[..., None]) -> None:
    """Move files on the workers of a cluster.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``; `LOCAL` for a cluster of this machine.
    work : Work
        What the workers have to know.
    jobs : iterator of Job
        The files.
    count : int
        Threads of a local cluster.
    note : callable
        Takes lists of outcomes.

    Raises
    ------
    ImportError
        ``distributed`` is not installed.
    OSError
        The scheduler cannot be reached, or has no workers.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ImportError("distributed is not installed; pip install 'cosv4fs[migrate]' brings it") from error
    with ExitStack() as stack:
        client = _client(distributed, address, count, stack)
        _wait_for_workers(client, address)
        todo = batches(jobs)
        futures = distributed.as_completed(loop=client.loop)
        held: dict[str, list[Job]] = {}

        def feed() -> None:
            most = 2 * max(1, sum(client.nthreads().values()))
            while len(held) < most and (batch := next(todo, None)) is not None:
                future = client.submit(move_batch, work, batch, pure=False, key=f"cosv4fs-migrate-{uuid.uuid4().hex}")
                held[future.key] = batch
                futures.add(future)

        feed()
        while held:
            future = next(futures)
            note(_outcomes(future, held.pop(future.key)), began=False)
            feed()


def _outcomes(future: Any, batch: list[Job]) -> list[Outcome]:
    """Return the outcomes of a task; when it was lost as a whole, that is the failure of its files."""
    if future.status == "finished":
        found: list[Outcome] = future.result()
        return found
    error = future.exception() if future.status == "error" else None
    reason = type(error).__name__ if error is not None else future.status
    if isinstance(error, ImportError):
        reason = f"{error} on the worker; cosv4fs and the packages of both filesystems have to be there, too"
    return [Outcome(job.path, FAILED, error=f"the task on the cluster was lost: {reason}") for job in batch]


def _client(distributed: Any, address: str, count: int, stack: ExitStack) -> Any:
    if address == LOCAL:
        processes = max(1, min(count, os.cpu_count() or 1))
        cluster = distributed.LocalCluster(
            n_workers=processes,
            threads_per_worker=-(-count // processes),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        return stack.enter_context(distributed.Client(stack.enter_context(cluster), set_as_default=False))
    return stack.enter_context(distributed.Client(address, timeout=_PATIENCE, set_as_default=False))


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        raise TimeoutError(110, f"the cluster has no worker after {_PATIENCE} seconds", address) from error
