"""Starting processes, one after another, and counting how each ends."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cosv4fs.emulator import Emulator
from tests.processes import run_module

SCENARIOS = ("readers", "forks", "interrupts")
BUCKET = "data"

_LIFE = 20.0
"""Seconds that one process works: what happens only soon after a start shall happen often."""


@dataclass(frozen=True)
class Plan:
    """How long, and with which choices."""

    seconds: float
    seed: int = 1
    threads: int = 8
    # seconds without progress that count as a hang
    patience: float = 60.0
    # told of every process that did not end well
    say: Callable[[str], None] = print


@dataclass
class Outcome:
    """The result of a scenario: processes, hangs, failures, and what was done."""

    name: str
    processes: int = 0
    hangs: int = 0
    failures: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> bool:
        """Whether anything was wrong, or nothing was done."""
        return bool(self.hangs or self.failures) or not self.counts


def run(name: str, plan: Plan) -> Outcome:
    """Run a scenario for as long as the plan says."""
    outcome, end = Outcome(name), time.monotonic() + plan.seconds
    while not outcome.processes or time.monotonic() < end:
        # a service of its own for each process: what one leaves disturbs no other
        with Emulator(buckets=(BUCKET,), keep_requests=0, fsync=False) as emulator:
            life = max(1.0, min(_LIFE, end - time.monotonic()))
            seed = plan.seed * 1000 + outcome.processes
            _count(_process(name, plan, seed, life, emulator.storage_options), outcome, plan)
    return outcome


def _process(
    name: str, plan: Plan, seed: int, life: float, options: dict[str, object]
) -> subprocess.CompletedProcess[str]:
    given = json.dumps(
        {"seed": seed, "seconds": life, "threads": plan.threads, "patience": plan.patience, "options": options}
    )
    try:
        # the process ends itself when it hangs; this is for one that cannot even do that
        return run_module("tests.stress.child", name, given, timeout=life + 3 * plan.patience + 30)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(error.cmd, 1, "", "Timeout (the process had to be killed)")


def _count(done: subprocess.CompletedProcess[str], outcome: Outcome, plan: Plan) -> None:
    outcome.processes += 1
    if done.returncode == 0:
        outcome.counts += Counter(json.loads(done.stdout.splitlines()[-1]))
        return
    hung = "Timeout (" in done.stderr or "it hung" in done.stderr
    outcome.hangs += hung
    outcome.failures += not hung
    what = "hung" if hung else f"failed with exit code {done.returncode}"
    plan.say(f"{outcome.name}: process {outcome.processes} {what}\n{done.stdout[-2000:]}{done.stderr[-8000:]}")


def table(outcomes: list[Outcome]) -> str:
    """Return one line per scenario."""
    lines = [f"{'scenario':<12}{'processes':>10}{'hangs':>8}{'failures':>10}  what was done"]
    for one in outcomes:
        done = ", ".join(f"{count} {what}" for what, count in sorted(one.counts.items()))
        lines.append(f"{one.name:<12}{one.processes:>10}{one.hangs:>8}{one.failures:>10}  {done}")
    return "\n".join(lines)
