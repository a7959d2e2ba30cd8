"""A pytest plugin that writes what became of every cell's tests: ``-p tests.matrix.outcomes --outcomes FILE``.

One line of JSON per test, written as soon as it ends, so that a run that is cut off has told what it saw.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

GROUPS = (
    "abstract",
    "round_trips",
    "overwrite",
    "resume",
    "rearranging",
    "listing",
    "caches",
    "attributes",
    "transactions",
    "uploads",
)
"""The groups of the matrix: ``test_GROUP.py`` each."""

CORE_GROUPS = tuple(group for group in GROUPS if group != "abstract")
"""The groups of which a core is run every day."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--outcomes``."""
    parser.addoption("--outcomes", metavar="FILE", help="append a line of JSON for every test of the dialect matrix")


class Outcomes:
    """Writes the file.

    Parameters
    ----------
    path : Path
        Is appended to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the dialect of every test."""
        from tests.matrix import dialects

        for item in items:
            spec = getattr(item, "callspec", None)
            if spec is not None and "dialect" in spec.params:
                self._labels[item.nodeid] = dialects.label(spec.params["dialect"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the line of a test, or of its setup or teardown when that failed."""
        if report.when != "call" and report.passed:
            return
        dialect = self._labels.get(report.nodeid)
        if dialect is None:
            return
        impossible = dict(report.user_properties).get("impossible")
        outcome = "impossible" if impossible and report.passed else "passed" if report.passed else "failed"
        group = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
        lines = str(report.longrepr or "").splitlines()
        message = next((line for line in lines if line.startswith("E ")), lines[-1] if lines else "")
        line = {
            "dialect": dialect,
            "group": group,
            "test": report.nodeid.partition("::")[2],
            "outcome": outcome,
            "detail": impossible or message[:300],
            "seconds": round(report.duration, 3),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write when a file is named."""
    path = config.getoption("--outcomes", default=None)
    if path is not None:
        config.pluginmanager.register(Outcomes(Path(path)))
