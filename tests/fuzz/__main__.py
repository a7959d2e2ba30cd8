"""``python -m tests.fuzz --examples 2000 --seed 1 [NAME…]``: exit code 1 when a target failed.

``--examples`` is the number of cases of the slowest targets; the faster ones get more, in proportion.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from tests.fuzz.targets import TARGETS, Target

MODULES = ("parsers", "requests", "signatures", "replies", "downloads", "folders")


def load() -> dict[str, Target]:
    """Return all targets by name."""
    for module in MODULES:
        importlib.import_module(f"tests.fuzz.{module}")
    return TARGETS


def main() -> int:
    """Run what the arguments say."""
    targets = load()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"targets, of {', '.join(targets)} (default: all)")
    parser.add_argument("--examples", type=int, default=500, help="cases of the slowest targets (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same cases (default: %(default)s)")
    given = parser.parse_args()
    unknown = set(given.names) - set(targets)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    total, failed = 0, []
    for name in given.names or targets:
        target, begin = targets[name], time.monotonic()
        try:
            count = target.run(given.examples * target.weight, given.seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            failed.append(name)
            print(f"{name:<24} FAILED", flush=True)
            continue
        total += count
        print(f"{name:<24}{count:>8} cases {time.monotonic() - begin:>8.1f} s", flush=True)
    print(f"{'all':<24}{total:>8} cases, seed {given.seed}, failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
