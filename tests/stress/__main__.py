"""``python -m tests.stress --minutes 5 --seed 1``: exit code 1 when anything hung, or was wrong."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.stress.runner import SCENARIOS, Plan, run, table


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress", description="Threads, forks, garbage collection and interrupts."
    )
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help=f"some of {', '.join(SCENARIOS)} (default: all)")
    add("--minutes", type=float, default=5.0, help="how long each scenario runs (default: %(default)s)")
    add("--seed", type=int, default=1, help="the same seed makes the same choices (default: %(default)s)")
    add("--threads", type=int, default=8, help="threads in each process (default: %(default)s)")
    add("--patience", type=float, default=60.0, help="seconds without progress that are a hang (default: %(default)s)")
    given = parser.parse_args()
    unknown = set(given.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    # an ordered end, so that no process stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = Plan(given.minutes * 60, given.seed, given.threads, given.patience, say=lambda line: print(line, flush=True))
    outcomes = [run(name, plan) for name in given.scenarios or SCENARIOS]
    print(table(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
