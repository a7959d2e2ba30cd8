"""``python -m tests.consumers``: try every consumer and write the table of README.md beside this file.

Further arguments go to pytest. With them, or when a test was skipped, the table is printed and not written. The exit
code is 1 when a test failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.consumers.registry import load
from tests.consumers.table import PASSED, README, between, render


class Outcomes:
    """A plug-in of pytest that remembers the outcome of each test function, the worst over its parameters."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, _, function = report.nodeid.partition("::")
        key = f"{Path(path).stem}::{function.partition('[')[0]}"
        if report.failed:
            self.found[key] = "failed"
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.found.setdefault(key, f"not tried: {reason.removeprefix('Skipped: ')}")
        elif report.when == "call":
            self.found.setdefault(key, PASSED)


def main(arguments: Sequence[str]) -> int:
    """Run the tests, write the table, return the exit code."""
    outcomes, folder = Outcomes(), str(Path(__file__).parent)
    # the table's own test would compare it with what is about to be written
    chosen = [folder, "-n", "2", f"--ignore={folder}/test_table.py", *arguments]
    code = pytest.main(chosen, plugins=[outcomes])
    table = render(load(), outcomes.found)
    print(table)
    if arguments or any(result.startswith("not tried") for result in outcomes.found.values()):
        print("README.md is as it was: not everything was tried")
    else:
        before, _, after = between(README.read_text("utf-8"))
        README.write_text(f"{before}\n{table}\n{after}", "utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
