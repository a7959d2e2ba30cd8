"""``python -m tests.faults``: every fault in every operation, at every moment that makes a difference.

The exit code is 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults.cells import Cell, column
from tests.faults.judge import Verdict
from tests.faults.operations import PROTOCOLS
from tests.faults.stage import FAULTS
from tests.faults.table import markdown, summary


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    add = parser.add_argument
    add("--protocol", choices=[*PROTOCOLS], default="cosv4", help="of the filesystem (default: %(default)s)")
    add("--only", nargs="+", metavar="TEXT", help="only operations with one of these in their name")
    add("--fault", nargs="+", metavar="TEXT", help="only faults with one of these in their name")
    add("--part", default="1/1", type=_part, metavar="K/N", help="only every Nth cell, beginning with the Kth")
    add("--jobs", type=int, default=2, metavar="N", help="processes at once (default: %(default)s)")
    add("--out", type=Path, metavar="FILE.md", help="where the table goes")
    add("--list", action="store_true", help="show the names of operations and faults")
    return parser


def _part(text: str) -> tuple[int, int]:
    which, parts = map(int, text.split("/"))
    if not 1 <= which <= parts:
        raise ValueError(text)
    return which, parts


def _chosen(names: list[str], texts: list[str] | None) -> list[str]:
    return [name for name in names if texts is None or any(text in name for text in texts)]


def main() -> int:
    """Run what the arguments say."""
    options = _parser().parse_args()
    operations, chosen = (
        _chosen([*PROTOCOLS[options.protocol]], options.only),
        _chosen([*FAULTS[options.protocol]], options.fault),
    )
    if options.list:
        print("operations:", *operations, "faults:", *chosen, sep="\n  ")
        return 0
    began, found = time.monotonic(), dict[str, list[Cell]]()
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(column, options.protocol, name, chosen, options.part): name for name in operations}
        for done in as_completed(running):
            cells = found[running[done]] = done.result()
            print(f"{running[done]:<22} {summary(cells)}, {sum(cell.seconds for cell in cells):.0f} s", flush=True)
            for cell in cells:
                if cell.verdict is Verdict.LOST:
                    print(f"  LOST {cell.fault} / {cell.moment}: {cell.detail}", flush=True)
    cells = [cell for name in operations for cell in found.get(name, [])]
    print(
        f"{options.protocol}, {len(operations)} operations x {len(chosen)} faults: {summary(cells)}, "
        f"{time.monotonic() - began:.0f} s"
    )
    if options.out:
        options.out.write_text(markdown(cells), "utf-8")
    return int(any(cell.verdict is Verdict.LOST for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
