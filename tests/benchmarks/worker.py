"""The process that one client lives in: takes tasks as JSON lines, does them, answers with what they cost."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

from tests.benchmarks.clients import CLIENTS, Client, Task
from tests.benchmarks.measure import Clock, peak_memory, reset_peak, resident_memory


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
