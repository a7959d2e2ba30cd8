"""Runs scenarios: variants take turns, disturbed samples are repeated, and the least disturbed ones count."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import MIB, Task
from tests.benchmarks.processes import SinkProcess, Worker
from tests.benchmarks.results import DISTURBED, Figure
from tests.benchmarks.scenarios import Scenario, Variant
from tests.benchmarks.worker import RESOLUTION, process_seconds
from tests.processes import ACCOUNT, EmulatorCommand

_EXTRA = 2
"""Disturbed samples that are repeated at most, per planned sample."""
_MOST_SECONDS, _FEWEST = 30.0, 2
"""Seconds that the samples of a figure take in all, and the samples that are taken even if they take longer.

Slow ones spend their time in the simulated network, which varies little.
"""
_WARM_UP = 48 * MIB

Sample = dict[str, Any]


class Run:
    """Measures scenarios, on servers that are started once."""

    def __init__(self, folder: Path, samples: int) -> None:
        self._folder, self._samples = folder, samples
        self.sink = SinkProcess()
        self._emulator: EmulatorCommand | None = None

    def close(self) -> None:
        """Stop the servers."""
        self.sink.stop()
        if self._emulator is not None:
            self._emulator.stop()

    def figures(self, scenario: Scenario, only: AbstractSet[str] | None = None) -> list[Figure]:
        """Measure a scenario, or only the variants of these names."""
        chosen = [it for it in scenario.variants if only is None or it.name in only]
        with self._workers(scenario, chosen) as workers:
            taken: list[list[Sample]] = [[] for _ in workers]
            for _ in range(self._samples * (1 + _EXTRA)):
                todo = [place for place, samples in enumerate(taken) if self._lacks(samples)]
                for place in todo:
                    taken[place].append(self._sample(scenario, chosen[place], workers[place]))
        return [
            _figure(scenario, variant, samples, self._wanted(samples), repeated=only is not None)
            for variant, samples in zip(chosen, taken, strict=True)
        ]

    def _wanted(self, samples: Sequence[Sample]) -> int:
        return samples_to_take(self._samples, samples[0]["wall"]) if samples else self._samples

    def _lacks(self, samples: Sequence[Sample]) -> bool:
        wanted = self._wanted(samples)
        undisturbed = sum(sample["foreign"] <= DISTURBED for sample in samples)
        return undisturbed < wanted and len(samples) < wanted * (1 + _EXTRA)

    @contextlib.contextmanager
    def _workers(self, scenario: Scenario, variants: Sequence[Variant]) -> Iterator[list[Worker]]:
        with contextlib.ExitStack() as stack:
            self.sink.set_network(0, 0)
            workers = []
            for number, variant in enumerate(variants):
                worker = self._start(scenario, variant, number)
                stack.callback(worker.stop)
                _warm_up(worker, variant.task)
                workers.append(worker)
            self.sink.set_network(scenario.rtt_ms, scenario.rate_mbps)
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

    def _sample(self, scenario: Scenario, variant: Variant, worker: Worker) -> Sample:
        server = self._server(scenario)
        self.sink.reset()
        before = process_seconds(server.process.pid)
        sample = worker.run(variant.task, fresh=variant.fresh)
        served = process_seconds(server.process.pid) - before
        counts = {} if scenario.on_emulator else self.sink.counts()
        others = sample["busy"] - sample["cpu"] - served - RESOLUTION
        sample["foreign"] = max(0.0, others / sample["wall"])
        sample["requests"] = counts.get("requests", -1)
        sample["connections"] = counts.get("connections", -1)
        return sample


def samples_to_take(most: int, wall: float) -> int:
    """Return how many samples a figure has whose first one took `wall` seconds."""
    return min(most, max(_FEWEST, int(_MOST_SECONDS / wall)))


def _warm_up(worker: Worker, task: Task) -> None:
    """Import everything and open the connections that the task will use; this is not measured."""
    tiny = 4096
    worker.run(dataclasses.replace(task, size=min(task.size, tiny), count=min(task.count, 1), threads=1))
    worker.run(dataclasses.replace(task, size=min(task.size, _WARM_UP), count=min(task.count, 200)))


def _figure(scenario: Scenario, variant: Variant, samples: Sequence[Sample], wanted: int, *, repeated: bool) -> Figure:
    # chosen by what the rest of the machine did, never by the result
    chosen = sorted(samples, key=lambda sample: float(sample["foreign"]))[:wanted]
    median = {name: statistics.median(sample[name] for sample in chosen) for name in ("wall", "cpu", "foreign")}
    return Figure(
        group=scenario.group,
        title=scenario.title,
        variant=variant.name,
        client=variant.client,
        **vars(variant.task),
        rtt_ms=scenario.rtt_ms,
        rate_mbps=scenario.rate_mbps,
        in_flight=variant.options.get("max_concurrency", 0),
        **median,
        growth=max(sample["growth"] for sample in samples),
        requests=chosen[0]["requests"],
        connections=chosen[0]["connections"],
        walls=tuple(sample["wall"] for sample in chosen),
        repeated=repeated,
    )
