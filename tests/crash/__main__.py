"""``python -m tests.crash uploads --seed 1 --moments 30 --size 300``: exit code 1 when anything is wrong."""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
import tempfile
from pathlib import Path

from tests.crash.kills import client, emulator
from tests.crash.migration import migration
from tests.crash.scenarios import Plan
from tests.crash.uploads import uploads

SCENARIOS = {"uploads": uploads, "migration": migration, "client": client, "emulator": emulator}

MIB = 1024 * 1024
SIZES = {"client": 3, "emulator": 3}
"""MiB of a large object, where it is not 300."""


def main() -> int:
    """Run what the arguments say."""
    text = "; ".join(
        f"{name}: {(inspect.getdoc(function) or '').partition('.')[0]}" for name, function in SCENARIOS.items()
    )
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=f"Scenarios: {text}.")
    add = parser.add_argument
    add("scenario", choices=list(SCENARIOS))
    add("--protocol", choices=("cosv4", "cosv3", "cdcs"), default="cosv4", help="of the clients (default: %(default)s)")
    add("--seed", type=int, default=1, help="the same seed gives the same moments (default: %(default)s)")
    add("--moments", type=int, default=30, help="how many (default: %(default)s)")
    add(
        "--size",
        type=int,
        metavar="MIB",
        help="of a large object (default: 300, of coffers, which keep all, 30; of client and emulator 3)",
    )
    add("--folder", metavar="DIR", help="where all files go (default: the system's choice)")
    given = parser.parse_args()
    if given.protocol == "cdcs" and given.scenario == "migration":
        parser.error("there are no migrations into coffers: name uploads, client or emulator")
    size = given.size or SIZES.get(given.scenario, 30 if given.protocol == "cdcs" else 300)
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="cosv4fs-crash-", dir=given.folder) as folder:
        plan = Plan(
            Path(folder),
            given.seed,
            given.moments,
            size * MIB,
            fsync=True,
            say=lambda line: print(line, flush=True),
            protocol=given.protocol,
        )
        summary = SCENARIOS[given.scenario](plan)
    print(f"{given.scenario} by {given.protocol}, seed {given.seed}, {size} MiB: {summary.line()}")
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
