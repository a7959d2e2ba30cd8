"""The process that one client lives in: takes tasks as JSON lines, does them, answers with what they cost."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import CLIENTS, Client, Task

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """Seconds of wall-clock, of this process, and of all processors of the machine."""

    wall: float
    cpu: float
    busy: float


class Clock:
    """Measures from its making to `stop`."""

    def __init__(self) -> None:
        self._busy = busy_seconds()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def stop(self) -> Usage:
        """Return what has passed."""
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        return Usage(wall, cpu, busy_seconds() - self._busy)


def busy_seconds() -> float:
    """Return the seconds that all processors together have worked since the machine started."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) / _TICK


def process_seconds(pid: int) -> float:
    """Return the processor time of another process so far, user and system."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def resident_memory() -> int:
    """Return the bytes of memory that this process holds."""
    return _status("VmRSS")


def peak_memory() -> int:
    """Return the most bytes that it has held since `reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Forget earlier peaks."""
    Path("/proc/self/clear_refs").write_text("5")


def _sample(client: Client, task: Task, baseline: int) -> dict[str, Any]:
    client.clean()
    action = client.prepare(task)
    gc.collect()
    held = resident_memory()
    reset_peak()
    clock = Clock()
    action()
    usage = clock.stop()
    peak = peak_memory()
    del action
    client.clean()
    return {**vars(usage), "growth": peak - (baseline or held)}


def main() -> None:
    """Serve until the input ends. The first line says which client; an error is an answer, too."""
    setup = json.loads(sys.stdin.readline())
    client = CLIENTS[setup["client"]](setup["endpoint"], setup["folder"], setup["options"])
    client.clean()
    baseline = 0
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = _sample(client, Task(**command["task"]), baseline)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        # what a first small operation leaves behind is the library, not the transfer
        baseline = baseline or resident_memory()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
