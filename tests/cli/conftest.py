"""The command with an account in its environment, in a folder of its own."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import fsspec
import pytest
from fsspec.callbacks import Callback

from cosv4fs.cli import main
from cosv4fs.emulator import Emulator
from cosv4fs.migrate import cluster
from cosv4fs.migrate.migrator import batches
from tests.filesystem.conftest import pytest_generate_tests
from tests.migrate.conftest import s3_options, s3_port
from tests.support import elsewhere

__all__ = ["pytest_generate_tests", "s3_options", "s3_port"]

COMMAND = [sys.executable, "-m", "cosv4fs"]
NAMED_PARTS = """
import sys
from cosv4fs import cli, localfiles
localfiles._open_unnamed = lambda part, mode: None
sys.exit(cli.main())
"""
"""The command where unfinished local files have a name from the beginning."""


@dataclass
class Done:
    """How a run of the command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def emulator(monkeypatch, tmp_path, protocol):
    with Emulator(buckets=("data", "other")) as running:
        for name, value in running.storage_options.items():
            monkeypatch.setenv(f"{protocol.upper()}_{name.upper()}", value)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield running


@pytest.fixture
def fs(emulator, protocol):
    """A filesystem that shares no cache with the command."""
    return fsspec.filesystem(protocol, **elsewhere(emulator.storage_options), use_listings_cache=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(emulator, here, capsys, monkeypatch, protocol):
    """Run the command in this process; tests name cosv4, and where they run by the other, that is what it reads."""

    def run(*arguments, data=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = main([str(argument).replace("cosv4://", f"{protocol}://") for argument in arguments])
        captured = capsys.readouterr()
        assert protocol == "cosv4" or "cosv4://" not in captured.out + captured.err
        return Done(code, *(text.replace(f"{protocol}://", "cosv4://") for text in captured))

    return run


@pytest.fixture
def start(emulator, here, protocol):
    """Start the command as a process; it ends with the test."""
    started = []

    def start(*arguments, stdout=subprocess.PIPE, closed=None, ignored=(), named_parts=False, **environment):
        command = [sys.executable, "-c", NAMED_PARTS] if named_parts else COMMAND
        shell = [f"trap '' {number}; " for number in map(int, ignored)]
        shell += ['exec "$@"', "" if closed is None else f" {closed}>&-"]
        process = subprocess.Popen(
            ["sh", "-c", "".join(shell), "sh", *command]
            + [argument.replace("cosv4://", f"{protocol}://") for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(30)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def worker(monkeypatch):
    """Let this process be a cluster's worker, which has no account in its environment; return what it is told."""
    told = []

    def run_on_cluster(_address, work, jobs, _count, recorder):
        told.append(work)
        for name in list(os.environ):
            if name.startswith(("COSV", "CDCS")):
                monkeypatch.delenv(name)
        for batch in batches(jobs, 50):
            recorder.record(work.migrator().migrate(batch, Callback), begun=False)

    monkeypatch.setattr(cluster, "run_on_cluster", run_on_cluster)
    return told


def plant(folder, **files):
    """Write files below a folder; `__` in a name is a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def harvest(folder):
    """Return the texts of all files below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def stored(fs, path):
    """Return the texts of all objects below a path, by relative path."""
    return {name[len(path) + 1 :]: fs.cat_file(name).decode() for name in fs.find(path)}
