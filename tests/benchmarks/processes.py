"""Starting and stopping the processes of a run: the sink, the emulator, one worker per client."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar

from tests.benchmarks.clients import Task
from tests.benchmarks.measure import process_seconds


class _Python:
    """A Python process that is ended with the run."""

    def __init__(self, *arguments: str, **pipes: Any) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        command = [sys.executable, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **pipes)

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return process_seconds(self.process.pid)

    def first_line(self) -> str:
        """Return what it says when it is ready."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        """End it."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class SinkProcess(_Python):
    """The sink, and what can be asked of it."""

    def __init__(self) -> None:
        super().__init__("-m", "tests.benchmarks.sink")
        self.port = int(self.first_line())
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._connection = HTTPConnection("127.0.0.1", self.port, timeout=30)

    def set_network(self, rtt_ms: float, rate_mbps: float) -> None:
        """Change the pretended network."""
        self._ask(f"rtt_ms={rtt_ms}&rate_mbps={rate_mbps}")

    def reset(self) -> None:
        """Begin counting at nothing."""
        self._ask("reset=1")

    def counts(self) -> dict[str, Any]:
        """Return what it has seen since the last reset."""
        return self._ask("")

    def _ask(self, query: str) -> dict[str, Any]:
        self._connection.request("GET", f"/_control?{query}")
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer


class EmulatorProcess(_Python):
    """The package's local COS service."""

    account: ClassVar[dict[str, str]] = {
        "appid": "1250000000",
        "secret_id": "benchmark",
        "secret_key": "benchmark",
        "region": "gz",
    }

    def __init__(self, folder: Path) -> None:
        keys = ("--secret-id", "benchmark", "--secret-key", "benchmark")
        options = ("--root", str(folder), "--bucket", "data", "--public-bucket", "open", *keys, "--quiet")
        super().__init__("-m", "cosv4fs.emulator", *options)
        self.endpoint = self.first_line().rpartition(" ")[2]


class Worker(_Python):
    """One client in a process of its own.

    Parameters
    ----------
    client, endpoint : str
        A key of `CLIENTS`; where it shall send its requests.
    folder : Path
        For its local files.
    options : dict
        For its library.
    """

    def __init__(self, client: str, endpoint: str, folder: Path, options: dict[str, Any]) -> None:
        super().__init__("-m", "tests.benchmarks.worker", stdin=subprocess.PIPE)
        setup = {"client": client, "endpoint": endpoint, "folder": str(folder), "options": options}
        self._say(setup)

    def run(self, task: Task) -> dict[str, Any]:
        """Do a task and return what it cost.

        Raises
        ------
        RuntimeError
            It failed.
        """
        self._say({"task": vars(task)})
        line = self.first_line()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process has ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def scratch_folder(parent: str | None) -> Iterator[Path]:
    """Lend a folder for local files: in memory where there is room, so that no disk is measured."""
    memory = Path("/dev/shm")
    if parent is None and memory.is_dir() and shutil.disk_usage(memory).free > 12 * 1024**3:
        parent = str(memory)
    folder = Path(tempfile.mkdtemp(prefix="cosv4fs-benchmarks-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
