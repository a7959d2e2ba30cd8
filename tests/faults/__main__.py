"""``python -m tests.faults``: every fault in every operation, at every moment that makes a difference.

Among them are other clients that act between a request and its retry (``--fault client``).

The exit code is 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.catalogue.cases import CASES
from tests.faults.bench import FAULTS
from tests.faults.cells import Cell, markdown, summary
from tests.faults.judge import Verdict
from tests.faults.others import ROWS, column, pairs
from tests.faults.races import RACES

_PAIRS = "two other clients"
"""The name of the random cells."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    add = parser.add_argument
    add("--protocol", choices=[*CASES], default="cosv4", help="of the filesystem (default: %(default)s)")
    add("--only", nargs="+", metavar="TEXT", help="only operations with one of these in their name")
    add("--fault", nargs="+", metavar="TEXT", help="only faults with one of these in their name")
    add("--pairs", default=0, type=int, metavar="N", help="N cells more, in which two other clients act")
    add("--seed", default=1, type=int, help="draws those; the same seed draws the same ones (default: %(default)s)")
    add("--jobs", type=int, default=2, metavar="N", help="processes at once (default: %(default)s)")
    add("--out", type=Path, metavar="FILE.md", help="where the table goes")
    add("--list", action="store_true", help="show the names of operations and faults")
    return parser


def _chosen(names: list[str], texts: list[str] | None) -> list[str]:
    return [name for name in names if texts is None or any(text in name for text in texts)]


def main() -> int:
    """Run what the arguments say."""
    options = _parser().parse_args()
    protocol = options.protocol
    operations = _chosen([*dict.fromkeys([*CASES[protocol], *RACES[protocol]])], options.only)
    chosen = _chosen([*FAULTS[protocol], *ROWS], options.fault)
    if options.list:
        print("operations:", *operations, "faults:", *chosen, sep="\n  ")
        return 0
    began, found = time.monotonic(), dict[str, list[Cell]]()
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(column, protocol, name, chosen): name for name in operations}
        if options.pairs:
            running[pool.submit(pairs, protocol, options.seed, options.pairs, operations)] = _PAIRS
        for done in as_completed(running):
            played = found[running[done]] = done.result()
            if not played:
                continue
            print(f"{running[done]:<27} {summary(played)}, {sum(cell.seconds for cell in played):.0f} s", flush=True)
            for cell in played:
                if cell.verdict is Verdict.LOST:
                    operation = f"{cell.operation}: " if running[done] == _PAIRS else ""
                    print(f"  LOST {operation}{cell.fault} / {cell.moment}: {cell.detail}", flush=True)
    everything = [cell for name in [*operations, _PAIRS] for cell in found.get(name, [])]
    print(
        f"{protocol}, {len(operations)} operations x {len(chosen)} faults: {summary(everything)}, "
        f"{time.monotonic() - began:.0f} s"
    )
    if options.out:
        options.out.write_text(markdown(everything), "utf-8")
    return int(any(cell.verdict is Verdict.LOST for cell in everything))


if __name__ == "__main__":
    sys.exit(main())
