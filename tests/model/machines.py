"""What hypothesis drives: one filesystem alone, or eight threads on one."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from typing_extensions import Self

from cosv4fs.emulator import Dialect, Emulator
from tests.catalogue import Step
from tests.model.runner import Disturbance, Tally, disturbances, run, run_all, settle
from tests.model.world import BEYOND, BUCKET, OPTIONS, WHOLE, World, outside_filesystem, steps, without_pauses

_EXAMPLE_SECONDS = 120


class Bench:
    """A local service, a local folder, and the count of what was done there; directories in it are used once.

    `settings` are switches of the service's dialect, as NAME=VALUE.
    """

    def __init__(self, *settings: str, protocol: str = "cosv4") -> None:
        self.protocol = protocol
        self.dialect = Dialect.parse(list(settings))
        self.emulator = Emulator(buckets=(BUCKET, BEYOND, WHOLE), dialect=self.dialect)
        self.tally = Tally()
        self.folder = Path(tempfile.mkdtemp(prefix="cosv4fs-model-"))
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.emulator.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def options(self) -> dict[str, Any]:
        """What the tested filesystem is made of."""
        return {**self._access, **OPTIONS, "journal_dir": str(self.folder / "journal")}

    @property
    def _tells_sha1(self) -> bool:
        return self.dialect.slice_sha != "other"

    @property
    def _access(self) -> dict[str, Any]:
        """How the service is used: where it tells a wrong SHA-1, only readers who do not compare it get the bytes."""
        options: dict[str, Any] = self.emulator.storage_options
        return options if self._tells_sha1 else {**options, "verify_downloads": "never"}

    def filesystem(self) -> Any:
        return without_pauses(fsspec.filesystem(self.protocol, **self.options, skip_instance_cache=True))

    def second(self) -> Any:
        return outside_filesystem(self._access)

    def world(self, fs: Any = None, *, whole: bool = False) -> World:
        """Return a directory that was never used; or, to one caller at a time, a bucket."""
        self.emulator.faults.clear()
        number = next(self._numbers)
        return World(
            fs or self.filesystem(),
            self.second(),
            WHOLE if whole else f"{BUCKET}/{number}",
            self.folder / str(number),
            exact_folders=self.dialect.parents != "virtual",
            tells_sha1=self._tells_sha1,
            emulator=self.emulator,
        )


def machine(bench: Bench) -> type[RuleBasedStateMachine]:
    """Return a state machine whose examples take place at a bench."""

    class Model(RuleBasedStateMachine):
        """Steps one after another, each perhaps with a fault."""

        @initialize(whole=st.booleans())
        def begin(self, whole: bool) -> None:
            self.world = bench.world(whole=whole)

        @rule(step=steps(bench.protocol), disturbance=disturbances(), look=st.booleans())
        def do(self, step: Step, disturbance: Disturbance, look: bool) -> None:
            run(self.world, step, disturbance, bench.tally, look=look)

        def teardown(self) -> None:
            bench.emulator.faults.clear()
            if not self.world.is_lost:
                settle(self.world)
            shutil.rmtree(self.world.scratch, ignore_errors=True)

    return Model


Program = list[tuple[Step, Disturbance]]


def programs(length: int) -> st.SearchStrategy[Program]:
    """Return a strategy for steps with faults that threads may do beside each other, on one instance."""
    return st.lists(st.tuples(steps(alone=False), disturbances(shared=True)), min_size=length, max_size=length)


def run_together(bench: Bench, work: list[Program]) -> None:
    """Let threads do one program each, on one instance and in one bucket, every thread in its own directory."""
    fs = bench.filesystem()
    worlds = [bench.world(fs) for _ in work]
    tallies = [Tally() for _ in work]
    start = threading.Barrier(len(work))

    def thread(number: int) -> None:
        start.wait(_EXAMPLE_SECONDS)
        run_all(worlds[number], work[number], tallies[number])

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(thread, number) for number in range(len(work))]
    for tally in tallies:
        bench.tally.add(tally)
    for future in futures:
        future.result(_EXAMPLE_SECONDS)
