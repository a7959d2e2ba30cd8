"""Runs scenarios: variants in turn, disturbed samples again, medians of the least disturbed."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import Task
from tests.benchmarks.processes import SinkProcess, Worker
from tests.benchmarks.scenarios import Scenario, Variant
from tests.benchmarks.worker import process_seconds
from tests.processes import ACCOUNT, EmulatorCommand

MIB = 1024 * 1024
_DISTURBED = 0.20
"""Cores that others may use during a sample before it is repeated."""
_EXTRA = 2
"""How many samples per figure are repeated at most, per planned sample."""
_WARM_UP = 48 * MIB


@dataclass
class Figure:
    """The median of the samples of one variant."""

    scenario: str
    title: str
    variant: str
    operation: str
    size: int
    count: int
    threads: int
    rtt_ms: float
    rate_mbps: float
    samples: int
    wall: float
    cpu: float
    # MB (10**6 bytes) per second
    rate: float
    per_second: float
    cpu_per_gb: float
    # most bytes of memory above those before the first large operation, over all samples
    growth: int
    # what the server counted, of one sample; -1 where it does not count
    requests: int
    connections: int
    # cores that the rest of the machine used
    foreign: float
    walls: list[float]


class Run:
    """One run of some scenarios."""

    def __init__(self, folder: Path, samples: int) -> None:
        self._folder, self._samples = folder, samples
        self.sink = SinkProcess()
        self._emulator: EmulatorCommand | None = None

    def close(self) -> None:
        """End all servers."""
        self.sink.stop()
        if self._emulator is not None:
            self._emulator.stop()

    def figures(self, scenario: Scenario) -> list[Figure]:
        """Measure a scenario."""
        wanted = scenario.samples or self._samples
        with self._workers(scenario) as workers:
            raw: list[list[dict[str, Any]]] = [[] for _ in workers]
            for _ in range(wanted * (1 + _EXTRA)):
                todo = [place for place, samples in enumerate(raw) if _undisturbed(samples) < wanted]
                if not todo:
                    break
                for place in todo:
                    raw[place].append(self._sample(scenario, scenario.variants[place], workers[place]))
        pairs = zip(scenario.variants, raw, strict=True)
        return [_figure(scenario, variant, samples, wanted) for variant, samples in pairs]

    @contextlib.contextmanager
    def _workers(self, scenario: Scenario) -> Iterator[list[Worker]]:
        with contextlib.ExitStack() as stack:
            self.sink.set_network(0, 0)
            workers = []
            for number, variant in enumerate(scenario.variants):
                worker = self._start(scenario, variant, number)
                stack.callback(worker.stop)
                _warm_up(worker, variant.task)
                workers.append(worker)
            self.sink.set_network(scenario.rtt_ms, scenario.rate_mbps)
            stack.callback(self.sink.set_network, 0, 0)
            yield workers

    def _start(self, scenario: Scenario, variant: Variant, number: int) -> Worker:
        folder = self._folder / f"client-{number}"
        folder.mkdir(exist_ok=True)
        server = self._server(scenario)
        account = ACCOUNT if isinstance(server, EmulatorCommand) else {}
        return Worker(variant.client, server.endpoint, folder, {**account, **variant.options})

    def _server(self, scenario: Scenario) -> SinkProcess | EmulatorCommand:
        if not scenario.on_emulator:
            return self.sink
        if self._emulator is None:
            self._emulator = EmulatorCommand(self._folder / "emulator", "--bucket", "data", "--public-bucket", "open")
        return self._emulator

    def _sample(self, scenario: Scenario, variant: Variant, worker: Worker) -> dict[str, Any]:
        server = self._server(scenario)
        self.sink.reset()
        before = process_seconds(server.process.pid)
        sample = worker.run(variant.task)
        served = process_seconds(server.process.pid) - before
        counts = {} if scenario.on_emulator else self.sink.counts()
        sample["foreign"] = max(0.0, (sample["busy"] - sample["cpu"] - served) / sample["wall"])
        sample["requests"] = counts.get("requests", -1)
        sample["connections"] = counts.get("connections", -1)
        return sample


def _warm_up(worker: Worker, task: Task) -> None:
    """Import everything, then open the connections that the task will use; nothing of it is measured."""
    tiny = 4096
    worker.run(dataclasses.replace(task, size=min(task.size, tiny), count=min(task.count, 1), threads=1))
    worker.run(dataclasses.replace(task, size=min(task.size, _WARM_UP), count=min(task.count, 200)))


def _undisturbed(samples: list[dict[str, Any]]) -> int:
    return sum(sample["foreign"] <= _DISTURBED for sample in samples)


def _figure(scenario: Scenario, variant: Variant, samples: list[dict[str, Any]], wanted: int) -> Figure:
    # chosen by what the rest of the machine did, never by the result
    chosen = sorted(samples, key=lambda sample: sample["foreign"])[:wanted]
    median = {name: statistics.median(sample[name] for sample in chosen) for name in ("wall", "cpu", "foreign")}
    task = variant.task
    volume = task.size * task.count
    if median["foreign"] > _DISTURBED:
        print(f"  disturbed: {variant.name}, {median['foreign']:.1f} cores used by others", file=sys.stderr)
    return Figure(
        scenario=scenario.name,
        title=scenario.title,
        variant=variant.name,
        **vars(task),
        rtt_ms=scenario.rtt_ms,
        rate_mbps=scenario.rate_mbps,
        samples=len(chosen),
        wall=median["wall"],
        cpu=median["cpu"],
        rate=volume / 1e6 / median["wall"],
        per_second=task.count / median["wall"],
        cpu_per_gb=median["cpu"] * 1e9 / volume,
        growth=max(sample["growth"] for sample in samples),
        requests=chosen[0]["requests"],
        connections=chosen[0]["connections"],
        foreign=median["foreign"],
        walls=[sample["wall"] for sample in chosen],
    )
