"""The process of one client: reads tasks as lines of JSON, does them, and replies with what they cost."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import CLIENTS, Client, Task

_TICK = os.sysconf("SC_CLK_TCK")
RESOLUTION = 2 / _TICK
"""Seconds by which the difference of two of the kernel's counters of CPU time can be wrong."""


@dataclass
class Usage:
    """Seconds of wall-clock time, of CPU time of this process, and of CPU time of the machine."""

    wall: float
    cpu: float
    busy: float


class Clock:
    """Measures from its creation to `stop`."""

    def __init__(self) -> None:
        self._busy = busy_seconds()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def stop(self) -> Usage:
        """Return the usage since the creation."""
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        return Usage(wall, cpu, busy_seconds() - self._busy)


def busy_seconds() -> float:
    """Return the CPU seconds of all processors since the machine started."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) / _TICK


def process_seconds(pid: int) -> float:
    """Return the CPU seconds of another process so far, user and system."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def resident_memory() -> int:
    """Return the resident memory of this process in bytes."""
    return _status("VmRSS")


def peak_memory() -> int:
    """Return the peak of the resident memory since `reset_peak`, in bytes."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Start a new measurement of the peak."""
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
    """Serve until the input ends. The first line names the client; errors are replied to, too."""
    setup = json.loads(sys.stdin.readline())
    make = partial(CLIENTS[setup["client"]], setup["endpoint"], setup["folder"], setup["options"])
    client = make()
    client.clean()
    baseline = 0
    for number, line in enumerate(sys.stdin):
        command = json.loads(line)
        try:
            used = make(account=f"benchmark-{number}") if command["fresh"] else client
            answer = _sample(used, Task(**command["task"]), baseline)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        # what the first small operation leaves behind belongs to the library, not to the transfer
        baseline = baseline or resident_memory()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
