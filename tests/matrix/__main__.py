"""``python -m tests.matrix``: every group of tests under every dialect, as a table; exit code 1 on any failure.

By default the dialects are the default one, each switch at each of its other values, and a set in which any two values
of any two switches meet.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosv4fs.emulator import Dialect
from tests.matrix import dialects
from tests.matrix.table import CORE_GROUPS, GROUPS, Table
from tests.processes import REPOSITORY

BATCH = 4
"""Dialects per process: starting one costs a second or two."""

LIMIT = 900.0
"""Seconds that one dialect may take before its process is ended."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=(__doc__ or "").partition(":")[2])
    add = parser.add_argument
    add("--protocol", choices=dialects.PROTOCOLS, default="cosv4", help="the protocol (default: %(default)s)")
    add("--only", action="append", choices=GROUPS, metavar="GROUP", help=f"this group ({', '.join(GROUPS)})")
    add("--dialect", action="append", nargs="+", metavar="NAME=VALUE", help="this dialect, instead of all; or: default")
    add("--set", action="append", choices=list(SETS), dest="sets", help="only these of the dialects")
    add("--core", action="store_true", help="only the core, which pytest runs by itself")
    add("--jobs", type=int, default=2, help="processes at a time (default: %(default)s)")
    add("--out", metavar="FILE.md", type=Path, help="write the table as Markdown")
    given = parser.parse_args(arguments)
    for settings in given.dialect or []:
        try:
            dialects.chosen(",".join(settings))
        except ValueError as error:
            parser.error(str(error))
    return given


SETS = {"default": lambda _protocol: [Dialect()], "pairwise": dialects.pairwise, "single": dialects.singles}
"""Where dialects come from, in order."""


def labels(given: argparse.Namespace) -> list[str]:
    """Return the dialects to run, each once."""
    if given.dialect:
        chosen = [dialects.chosen(",".join(settings)) for settings in given.dialect]
    else:
        chosen = [dialect for name in given.sets or SETS for dialect in SETS[name](given.protocol)]
    return list(dict.fromkeys(map(dialects.label, chosen)))


def run(batch: Sequence[str], groups: Sequence[str], report: Path, given: argparse.Namespace) -> None:
    """Run groups, or the core of them, under some dialects in one process, which writes `report`."""
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider", "--tb=short"]
    # a folder of its own: those that pytest chooses are cleaned up by other runs of pytest
    command += ["-o", "tmp_path_retention_policy=none", f"--basetemp={report.with_suffix('.tmp')}"]
    command += [f"--protocol={given.protocol}", *["--core"] * given.core, *(f"--dialect={label}" for label in batch)]
    command += [f"tests/matrix/test_{group}.py" for group in groups]
    log = report.with_suffix(".log")
    with log.open("wb") as file:
        try:
            subprocess.run(
                command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False,
                timeout=LIMIT * len(batch),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            print(f"ended after {LIMIT * len(batch):.0f} s: {batch}", flush=True)
    if not report.exists():
        print(log.read_text("utf-8", "replace")[-3000:], flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say and return the exit code."""
    given = parse(arguments)
    every = CORE_GROUPS if given.core else GROUPS
    wanted, groups = labels(given), [group for group in every if group in (given.only or every)]
    # few dialects are spread over all processes, many come in batches
    size = max(1, min(BATCH, -(-len(wanted) // given.jobs)))
    batches = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    table = Table(wanted, groups)
    with tempfile.TemporaryDirectory(prefix="cosv4fs-matrix-") as name:

        def one(number: int) -> None:
            report = Path(name) / f"{number}.xml"
            run(batches[number], groups, report, given)
            table.read(report)
            print(f"{number + 1}/{len(batches)}: {table.summary()}", flush=True)

        with ThreadPoolExecutor(given.jobs) as pool:
            for done in [pool.submit(one, number) for number in range(len(batches))]:
                done.result()
    print(table.markdown())
    if given.out is not None:
        given.out.write_text(table.markdown(), "utf-8")
    return 1 if table.failures or table.missing() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
