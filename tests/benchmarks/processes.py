"""The processes of a run: the sink and one worker per client, and the folder for local files."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import Task
from tests.processes import Child


class SinkProcess(Child):
    """The sink in a process of its own."""

    def __init__(self) -> None:
        super().__init__("tests.benchmarks.sink")
        port = int(self.line())
        self.endpoint = f"http://127.0.0.1:{port}"
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def stop(self) -> int:
        """End it, and its control connection."""
        self._connection.close()
        return super().stop()

    def set_network(self, rtt_ms: float, rate_mbps: float) -> None:
        """Change the simulated network."""
        self._ask(f"rtt_ms={rtt_ms}&rate_mbps={rate_mbps}")

    def reset(self) -> None:
        """Set the counters to zero."""
        self._ask("reset=1")

    def counts(self) -> dict[str, Any]:
        """Return the connections and requests since the last reset."""
        return self._ask("")

    def _ask(self, query: str) -> dict[str, Any]:
        self._connection.request("GET", f"/_control?{query}")
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer


class Worker(Child):
    """A client in a process of its own; `client` is a name in `CLIENTS`."""

    def __init__(self, client: str, endpoint: str, folder: Path, options: dict[str, Any]) -> None:
        super().__init__("tests.benchmarks.worker")
        self.tell(client=client, endpoint=endpoint, folder=str(folder), options=options)

    def run(self, task: Task, *, fresh: bool = False) -> dict[str, Any]:
        """Do a task and return what it cost; a `fresh` client has no connections yet."""
        self.tell(task=vars(task), fresh=fresh)
        line = self.line()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process has ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


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
