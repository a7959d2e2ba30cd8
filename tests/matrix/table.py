"""The matrix as a table: dialects down, groups across, and the results of the tests in each cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

GROUPS = (
    "abstract", "round_trips", "overwrite", "resume", "rearranging", "listing", "caches", "attributes",
    "transactions", "uploads",
)  # fmt: skip
"""The groups of the matrix: ``test_GROUP.py`` each."""

CORE_GROUPS = GROUPS[1:]
"""The groups that the core has tests of."""

_SIGNS = {"passed": "", "impossible": " i", "failed": " FAILED"}


class Table:
    """Counts of outcomes by dialect and group."""

    def __init__(self, labels: Iterable[str], groups: Iterable[str] = GROUPS) -> None:
        self._labels, self._groups = list(labels), list(groups)
        self._cells: dict[tuple[str, str], Counter[str]] = {}
        self.failures: list[dict[str, str]] = []

    def read(self, path: Path) -> None:
        """Add the outcomes of a report that pytest wrote (``--junitxml``), where there is one."""
        for test in ET.parse(path).iter("testcase") if path.exists() else ():
            if test.find("skipped") is not None:
                continue
            said = {prop.get("name"): prop.get("value") for prop in test.iter("property")}
            wrong = next((found for kind in ("failure", "error") if (found := test.find(kind)) is not None), None)
            self.add({
                "dialect": said.get("dialect", "?"),
                # a file that cannot be collected has no class name
                "group": re.findall(r"\btest_(\w+)", f"{test.get('classname')} {test.get('name')}")[0],
                "test": test.get("name", ""),
                "outcome": "failed" if wrong is not None else "impossible" if "impossible" in said else "passed",
                "detail": (wrong.get("message", "") if wrong is not None else said.get("impossible", ""))[:300],
            })  # fmt: skip

    def add(self, line: dict[str, str]) -> None:
        """Add one outcome."""
        self._cells.setdefault((line["dialect"], line["group"]), Counter())[line["outcome"]] += 1
        if line["outcome"] == "failed":
            self.failures.append(line)

    def missing(self) -> list[str]:
        """Return the cells in which nothing ran, as texts."""
        return [
            f"{label} × {group}"
            for label in self._labels
            for group in self._groups
            if (label, group) not in self._cells
        ]

    def summary(self) -> str:
        """Return one line: dialects, cells, tests and their results."""
        total: Counter[str] = sum(self._cells.values(), Counter())
        cells = len(self._labels) * len(self._groups)
        return (
            f"{len(self._labels)} dialects × {len(self._groups)} groups = {cells} cells, {total.total()} tests: "
            f"{total['passed']} passed, {total['impossible']} impossible as declared, {total['failed']} failed; "
            f"{len(self.missing())} cells did not run"
        )

    def markdown(self) -> str:
        """Return the table, its summary, and the failures, as Markdown."""
        lines = [
            "# The dialect matrix",
            "",
            self.summary() + ".",
            "",
            "A cell: tests passed; `i`: impossible under that dialect and refused as declared.",
            "",
            "| dialect | " + " | ".join(self._groups) + " |",
            "|---|" + "---|" * len(self._groups),
        ]
        lines += [
            f"| {_shown(number, label)} | " + " | ".join(self._cell(label, group) for group in self._groups) + " |"
            for number, label in enumerate(self._labels)
        ]
        long = [(number, label) for number, label in enumerate(self._labels) if _is_long(label)]
        if long:
            lines += ["", "## Dialects of several switches", ""]
            lines += [f"* {_shown(number, label)}: `{label}`" for number, label in long]
        if self.failures:
            lines += ["", "## Failures", ""]
            lines += [f"* `{one['dialect']}` {one['group']} `{one['test']}`: {one['detail']}" for one in self.failures]
        return "\n".join(lines) + "\n"

    def _cell(self, label: str, group: str) -> str:
        counts = self._cells.get((label, group))
        if counts is None:
            return "did not run"
        return " ".join(f"{counts[name]}{sign}" for name, sign in _SIGNS.items() if counts[name])


def _is_long(label: str) -> bool:
    return label.count(",") > 0


def _shown(number: int, label: str) -> str:
    return f"combination {number}" if _is_long(label) else f"`{label}`"
