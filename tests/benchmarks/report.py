"""Tables of figures and goals, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.benchmarks.clients import MIB
from tests.benchmarks.results import Figure, Missing, Results
from tests.benchmarks.scenarios import OURS
from tests.benchmarks.targets import Goal

HEADINGS = ("client", "rate", "slowest–fastest", "cosv4fs is", "CPU", "memory", "requests", "samples", "foreign")
"""``cosv4fs is`` has the rate of our default as a multiple; ``foreign`` are the cores used by other processes."""
GOAL_HEADINGS = ("goal", "wanted", "measured", "outcome")
_WIDTHS = (38, 12, 17, 11, 12, 10, 9, 8, 8)


def rows(figures: Sequence[Figure], missing: Iterable[Missing] = ()) -> list[tuple[str, ...]]:
    """Return the rows of one scenario."""
    ours = next((it for it in figures if it.variant == OURS), None)
    blank = ("",) * (len(HEADINGS) - 2)
    return [
        *(_row(it, ours) for it in figures),
        *((it.variant, f"not measured: {it.reason}", *blank) for it in missing),
    ]


def _row(figure: Figure, ours: Figure | None) -> tuple[str, ...]:
    low, high = figure.spread
    cost = f"{figure.cpu * 1e6 / figure.count:.0f} µs" if figure.size < MIB else f"{figure.cpu_per_gb:.2f} s/GB"
    share = f", {figure.share_of_line:.2f} of the line" if figure.group == "line" else ""
    return (
        figure.variant
        + share
        + (" (repeated)" if figure.repeated else "")
        + (" (DISTURBED)" if figure.is_disturbed else ""),
        rate(figure),
        f"{speed(figure) * low:,.0f}–{speed(figure) * high:,.0f}",
        f"{speed(ours) / speed(figure):.2f} ×" if ours and figure is not ours else "",
        cost,
        f"{figure.growth / MIB:+.0f} MiB",
        f"{figure.requests:,}" if figure.requests >= 0 else "",
        str(len(figure.walls)),
        f"{figure.foreign:.2f}",
    )


def counts_objects(figure: Figure) -> bool:
    """Return whether objects per second are shown, and not MB/s."""
    return figure.count > 1 and figure.threads == 1 and figure.size <= MIB


def speed(figure: Figure) -> float:
    """Return MB/s, or objects per second where there are several."""
    return figure.per_second if counts_objects(figure) else figure.rate


def rate(figure: Figure) -> str:
    """Return the speed with its unit."""
    return f"{speed(figure):,.0f}{'/s' if counts_objects(figure) else ' MB/s'}"


def table(title: str, figures: Sequence[Figure], missing: Iterable[Missing] = ()) -> str:
    """Return the figures of one scenario for a terminal."""
    lines = [title]
    for row in (HEADINGS, *rows(figures, missing)):
        cells = [cell.ljust(_WIDTHS[0]) if not place else cell.rjust(_WIDTHS[place]) for place, cell in enumerate(row)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def goal_rows(goals: Iterable[Goal]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table of goals."""
    return [
        (f"{it.subject}: {it.unit}", f"{'≤' if it.at_most else '≥'} {it.bound:g}", f"{it.measured:.2f}", it.outcome)
        for it in goals
    ]


def goal_table(goals: Sequence[Goal]) -> str:
    """Return the table of goals for a terminal."""
    lines = [f"{name:74} {wanted:>8} {measured:>9}   {outcome}" for name, wanted, measured, outcome in
             (GOAL_HEADINGS, *goal_rows(goals))]  # fmt: skip
    return "\n".join([*lines, "", f"{sum(it.is_reached for it in goals)} of {len(goals)} goals are reached."])


def disturbed(results: Results) -> str:
    """Return which figures were measured while others used the machine, in words."""
    found = results.disturbed()
    if not found:
        return "No figure was measured while other processes used the machine."
    lines = [f"  {title}: {', '.join(sorted(variants))}" for title, variants in found.items()]
    return "\n".join(["DISTURBED, other processes used the machine (--repeat-disturbed measures these again):", *lines])


def markdown(results: Results) -> str:
    """Return the figures of all scenarios as Markdown."""
    parts = []
    titles = dict.fromkeys(it.title for it in results.figures)
    for title in titles:
        figures = [it for it in results.figures if it.title == title]
        missing = [it for it in results.missing if it.title == title]
        parts.append(f"**{title}**\n\n{markdown_table(HEADINGS, rows(figures, missing))}")
    return "\n\n".join(parts)


def markdown_table(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)])
