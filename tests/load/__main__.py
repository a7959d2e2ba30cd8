"""``python -m tests.load --threads 64 --minutes 10 --seed 1``: exit code 1 when anything is wrong."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.load.report import table
from tests.load.runner import Plan, Run
from tests.load.sampling import use_plain_memory


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Many threads against one service.")
    add = parser.add_argument
    add("--threads", type=int, default=64, help="clients (default: %(default)s)")
    add("--minutes", type=float, default=10.0, help="how long (default: %(default)s)")
    add("--operations", type=int, help="do so many per thread, however long that takes")
    add("--seed", type=int, default=1, help="the same seed gives the same contents and choices (default: %(default)s)")
    add("--folder", metavar="DIR", help="where all files go (default: the system's choice)")
    given = parser.parse_args()
    seconds = None if given.operations else given.minutes * 60
    plan = Plan(given.threads, given.seed, seconds, given.operations, say=lambda line: print(line, flush=True))
    use_plain_memory()
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="cosv4fs-load-", dir=given.folder) as folder:
        outcome = Run(plan, Path(folder)).go()
    print(table(plan, outcome))
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
