"""Run a migration on a dask cluster: each task migrates a batch of files, and this process records the outcomes."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fsspec.callbacks import Callback

from cosv4fs.migrate.locations import open_location
from cosv4fs.migrate.manifest import FAILED, File, Outcome
from cosv4fs.migrate.metadata import CONTENT_ONLY, MetadataOptions
from cosv4fs.migrate.migrator import FileMigrator, batches

_MAX_BATCH_FILES = 50
_CONNECT_TIMEOUT = 60
"""Seconds to wait for the scheduler and for the first worker."""


@dataclass(frozen=True)
class BatchSettings:
    """The arguments of `migrate` that every task needs. Options may contain secrets, so the repr leaves them out."""

    source: str
    target: str
    options: dict[str, Any] = field(repr=False)
    verify: bool
    overwrite: bool
    metadata: MetadataOptions = CONTENT_ONLY


def migrate_batch(settings: BatchSettings, files: list[File]) -> list[Outcome]:
    """Migrate a batch of files in sequence; runs on a worker."""
    source, target = (open_location(url, settings.options) for url in (settings.source, settings.target))
    migrator = FileMigrator(
        source, target, verify=settings.verify, overwrite=settings.overwrite, metadata=settings.metadata
    )
    return list(migrator.migrate(files, Callback))


def run_on_cluster(
    address: str, settings: BatchSettings, files: Iterator[File], threads: int, record: Callable[..., None]
) -> None:
    """Migrate files on the workers of a dask cluster.

    `address` is the scheduler's, or ``local`` for a cluster on this machine with `threads` worker threads. `record` is
    called with a list of outcomes after each task. A scheduler without workers is a TimeoutError.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ImportError("distributed is not installed; run pip install 'cosv4fs[migrate]'") from error
    with ExitStack() as stack:
        client = _client(distributed, address, threads, stack)
        _wait_for_workers(client, address)
        queue = batches(files, _MAX_BATCH_FILES)
        futures = distributed.as_completed(loop=client.loop)
        in_flight: dict[str, list[File]] = {}

        def submit() -> None:
            limit = 2 * max(1, sum(client.nthreads().values()))
            while len(in_flight) < limit and (batch := next(queue, None)) is not None:
                key = f"cosv4fs-migrate-{uuid.uuid4().hex}"
                future = client.submit(migrate_batch, settings, batch, pure=False, key=key)
                in_flight[future.key] = batch
                futures.add(future)

        submit()
        while in_flight:
            future = next(futures)
            record(_outcomes(future, in_flight.pop(future.key)), begun=False)
            submit()


def _outcomes(future: Any, batch: list[File]) -> list[Outcome]:
    """Return the outcomes of a task; when the task itself failed, all its files failed."""
    if future.status == "finished":
        outcomes: list[Outcome] = future.result()
        return outcomes
    error = future.exception() if future.status == "error" else None
    reason = type(error).__name__ if error is not None else future.status
    if isinstance(error, ImportError):
        reason = f"{error} on the worker; install cosv4fs and the packages of both filesystems there"
    return [Outcome(file.path, FAILED, error=f"the task on the cluster was lost: {reason}") for file in batch]


def _client(distributed: Any, address: str, threads: int, stack: ExitStack) -> Any:
    if address == "local":
        processes = max(1, min(threads, os.cpu_count() or 1))
        cluster = distributed.LocalCluster(
            n_workers=processes,
            threads_per_worker=-(-threads // processes),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        return stack.enter_context(distributed.Client(stack.enter_context(cluster), set_as_default=False))
    return stack.enter_context(distributed.Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False))


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT)
    except TimeoutError as error:
        text = f"no dask worker joined within {_CONNECT_TIMEOUT} seconds"
        raise TimeoutError(errno.ETIMEDOUT, text, address) from error
