"""The table as text: a row per fault, a column per operation, letters with counts, and sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.faults.cells import Cell
from tests.faults.judge import Verdict

_ORDER = (Verdict.LOST, Verdict.BLIND, Verdict.DONE, Verdict.REPORTED, Verdict.SURVIVED)
_LEGEND = (
    "s: survived, result and stored content are right. r: reported, one clear error, nothing damaged. "
    "d: reported although the service had done it. u: changed bytes that the service's record cannot show. "
    "L: lost. The number says at how many moments the fault struck; an empty field: it struck at none."
)


def summary(cells: Sequence[Cell]) -> str:
    """Return the sums in one line."""
    count = Counter(cell.verdict for cell in cells)
    fired = len(cells) - count[Verdict.NOT_HIT]
    reported = count[Verdict.REPORTED] + count[Verdict.DONE]
    return (
        f"injected {len(cells)}, fired {fired}, survived {count[Verdict.SURVIVED]}, reported {reported} "
        f"(done all the same {count[Verdict.DONE]}), undetectable {count[Verdict.BLIND]}, lost {count[Verdict.LOST]}"
    )


def markdown(cells: Sequence[Cell]) -> str:
    """Return the whole table, its sums, and every loss."""
    operations = list(dict.fromkeys(cell.operation for cell in cells))
    by_pair: dict[tuple[str, str], Counter[Verdict]] = {}
    for cell in cells:
        by_pair.setdefault((cell.fault, cell.operation), Counter())[cell.verdict] += 1
    lines = [summary(cells), "", _LEGEND, "", _row("fault", operations), _row("---", ["---"] * len(operations))]
    lines += [
        _row(fault, [_letters(by_pair.get((fault, name), Counter())) for name in operations])
        for fault in dict.fromkeys(cell.fault for cell in cells)
    ]
    totals = [Counter(cell.verdict for cell in cells if cell.operation == name) for name in operations]
    lines.append(_row("all", [_letters(total) for total in totals]))
    lost = [cell for cell in cells if cell.verdict is Verdict.LOST]
    lines += ["", *(f"* {cell.operation} / {cell.fault} / {cell.moment}: {cell.detail}" for cell in lost)]
    return "\n".join(lines).rstrip() + "\n"


def _row(head: str, fields: Iterable[str]) -> str:
    return f"| {' | '.join([head, *fields])} |"


def _letters(count: Counter[Verdict]) -> str:
    return " ".join(f"{count[verdict]}{verdict.value}" for verdict in _ORDER if count[verdict])
