"""Run a migration on a dask cluster: each task migrates a batch of files, and this process records the outcomes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import chain
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cosv4fs.localfiles import witness
from cosv4fs.migrate.dispatcher import Dispatcher, Recorder
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.manifest import File
from cosv4fs.migrate.migrator import batches
from cosv4fs.migrate.workers import TOPIC, BatchSettings
from cosv4fs.missing_packages import missing_package

_MAX_BATCH_FILES = 50
_CONNECT_TIMEOUT = 20.0
"""Seconds that dask waits for the scheduler."""

_HANG_TIMEOUT = 30.0
"""Seconds after which an address is given up at which something listens that is no scheduler: dask waits forever."""

_START_TIMEOUT = 50.0
"""Seconds to wait for a local cluster."""

_IGNORING = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""What workers on Windows run first: Ctrl-C reaches all processes of a console, and no thread can block it for them."""

_CLOSE_TIMEOUT = 3.0
_SAMPLES = 5
"""Files of the source that a worker looks for, since some may have been removed after the listing."""


def run_on_cluster(
    address: str, settings: BatchSettings, files: Iterator[File], threads: int, recorder: Recorder
) -> None:
    """Migrate files on the workers of a dask cluster; without files, nothing is connected.

    Parameters
    ----------
    address : str
        The scheduler's, or ``local`` for a cluster on this machine with `threads` worker threads.
    recorder : Recorder
        Receives the outcomes after each task, and the progress.

    Raises
    ------
    ValueError
        The address is invalid, or a location exists in the memory of this process only.
    ImportError
        ``distributed`` is not installed here, or the package on none of the workers.
    OSError
        The scheduler cannot be reached or is lost, or no worker can migrate. What was recorded is complete.
    """
    queue = batches(files, _MAX_BATCH_FILES)
    first = next(queue, None)
    if first is None:
        return
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise missing_package(error) from error
    locations = settings.locations()
    for location in locations:
        _check_shareable(location)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        seen = stack.enter_context(_witnessed(locations[1]))
        client = _connected(distributed, address, threads, stack)
        dispatcher = Dispatcher(
            client, address, settings, version=distributed.__version__, samples=first[:_SAMPLES], witness=seen,
            packages=_packages(distributed, locations), recorder=recorder,
        )  # fmt: skip
        client.subscribe_topic(TOPIC, dispatcher.progress)
        dispatcher.run(chain([first], queue))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from printing tracebacks and warnings of what is raised here as one error."""
    loggers = [
        logging.getLogger(name) for name in ("distributed.client", "distributed.nanny", "distributed.deploy.spec")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_shareable(location: Location) -> None:
    is_private = isinstance(_unwrapped(location).fs, MemoryFileSystem)
    if is_private:
        raise ValueError(f"{location.url}: workers of a cluster do not share this process's memory")


def _unwrapped(location: Location) -> Location:
    """Return a location on the filesystem that ``dir://`` wraps, or the location itself."""
    while isinstance(location.fs, DirFileSystem):
        location = Location(location.fs.fs, location.fs._join(location.path))
    return location


@contextmanager
def _witnessed(target: Location) -> Iterator[str]:
    """Create, for a local target, a file that workers must see; yield its path, or an empty string."""
    target = _unwrapped(target)
    if not target.is_local:
        yield ""
        return
    path = Path(target.path)
    folder = next(each for each in (path, *path.parents) if each.is_dir())
    with witness(folder) as file:
        yield str(file)


def _packages(distributed: Any, locations: tuple[Location, ...]) -> str:
    """Return the arguments of ``pip install`` for a worker that has this package: dask's version, and filesystems."""
    modules = {type(location.fs).__module__.partition(".")[0] for location in locations} - {"cosv4fs", "fsspec"}
    known = packages_distributions()
    others = sorted({known.get(name, [name])[0] for name in modules})
    return " ".join([f"distributed=={distributed.__version__}", *others])


def _connected(distributed: Any, address: str, threads: int, stack: ExitStack) -> Any:
    """Return a connected client, which is closed with `stack`."""
    where = _local_cluster(distributed, threads, stack) if address == "local" else address
    kind = _client_class(distributed)
    client = _client(lambda: kind(where, timeout=_CONNECT_TIMEOUT, set_as_default=False), address)
    stack.callback(client.close)
    return client


def _local_cluster(distributed: Any, threads: int, stack: ExitStack) -> Any:
    """Return a running cluster of processes on this machine, which are ended with `stack`."""
    processes = max(1, min(threads, os.cpu_count() or 1))
    if hasattr(signal, "pthread_sigmask"):
        # else it would be started by the thread below, and unblock the signal there; Windows has neither
        resource_tracker.ensure_running()
    starting = _in_thread(
        lambda: distributed.LocalCluster(
            n_workers=processes,
            threads_per_worker=-(-threads // processes),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
            **({} if hasattr(signal, "pthread_sigmask") else {"preload": [_IGNORING]}),
        )
    )

    def close() -> None:
        # one that is half started, as after Ctrl-C, cannot be closed
        wait([starting], _START_TIMEOUT)
        if starting.done() and starting.exception() is None:
            starting.result().close()

    stack.callback(close)
    if not wait([starting], _START_TIMEOUT).done:
        raise OSError(errno.ETIMEDOUT, "the local cluster does not start", "local")
    return starting.result()


def _client_class(distributed: Any) -> Any:
    """Return a class of clients that close in bounded time, also when they are collected after a failure."""

    class PromptClient(distributed.Client):  # type: ignore[misc]
        def close(self, timeout: float = _CLOSE_TIMEOUT) -> None:
            """Close the connection; a scheduler that does not answer must not delay the end."""
            try:
                super().close(timeout=timeout)
            except Exception:  # noqa: BLE001 - nothing can be done for the scheduler
                # otherwise the finalizer would wait again, and longer
                self.status = "closed"

    return PromptClient


def _client(connect: Callable[[], Any], address: str) -> Any:
    """Return what `connect` returns, a client, or raise an error that says what is wrong with the address."""
    connecting = _in_thread(connect)
    if not wait([connecting], _HANG_TIMEOUT).done:
        text = "this is not a dask scheduler, or it hangs: use its own port, usually 8786"
        raise OSError(errno.ETIMEDOUT, text, address)
    try:
        return connecting.result()
    except ValueError as error:
        raise ValueError(f"{address}: not the address of a dask scheduler, such as tcp://host:8786: {error}") from error
    except ImportError:
        raise
    except OSError as error:
        reasons = ": ".join(text for each in (error, error.__cause__) if (text := str(each or "")))
        raise OSError(errno.ETIMEDOUT, f"the dask scheduler cannot be reached: {reasons}", address) from error
    except Exception as error:
        text = f"this is not a dask scheduler, or one with another version of distributed than here: {error}"
        raise OSError(errno.EPROTO, text, address) from error


def _in_thread(action: Callable[[], Any]) -> Future[Any]:
    """Call a function in a thread that Ctrl-C does not interrupt, nor the processes that it starts.

    A terminal sends SIGINT to all of them; this process ends the others in order.
    """
    future: Future[Any] = Future()

    def run() -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            future.set_result(action())
        except Exception as error:  # noqa: BLE001 - raised where the result is needed
            future.set_exception(error)

    threading.Thread(target=run, name="cosv4fs-cluster", daemon=True).start()
    return future
