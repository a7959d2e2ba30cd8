"""``python -m tests.crash uploads --seed 1 --moments 30 --size 300``: exit code 1 when anything is wrong."""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
import tempfile
from pathlib import Path

from tests.crash import uploads
from tests.crash.scenarios import SCENARIOS, Plan

MODULES = (uploads,)
"""Importing them registers the scenarios."""

MIB = 1024 * 1024


def main() -> int:
    """Run what the arguments say."""
    text = "; ".join(
        f"{name}: {(inspect.getdoc(function) or '').partition('.')[0]}" for name, function in SCENARIOS.items()
    )
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=f"Scenarios: {text}.")
    add = parser.add_argument
    add("scenario", choices=list(SCENARIOS))
    add("--seed", type=int, default=1, help="the same seed gives the same moments (default: %(default)s)")
    add("--moments", type=int, default=30, help="how many (default: %(default)s)")
    add("--size", type=int, default=300, metavar="MIB", help="of a large object (default: %(default)s)")
    add("--folder", metavar="DIR", help="where all files go (default: the system's choice)")
    given = parser.parse_args()
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="cosv4fs-crash-", dir=given.folder) as folder:
        plan = Plan(
            Path(folder),
            given.seed,
            given.moments,
            given.size * MIB,
            fsync=True,
            say=lambda line: print(line, flush=True),
        )
        summary = SCENARIOS[given.scenario](plan)
    print(f"{given.scenario}, seed {given.seed}, {given.size} MiB: {summary.line()}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
