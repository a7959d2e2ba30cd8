"""Tables for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from tests.benchmarks.runner import Figure
from tests.benchmarks.targets import Outcome, formula

HEADINGS = ("client", "MB/s", "op/s", "of best", "CPU", "memory", "requests", "foreign")
_OUTCOME_HEADINGS = ("target", "wanted", "measured", "reached")


def figure_row(figure: Figure, best: float) -> tuple[str, ...]:
    """Return the cells of one figure; `best` is the shortest wall-clock beside it, for the same volume."""
    volume = figure.size * figure.count
    many = figure.count > 1 and figure.size < 1024 * 1024
    cost = f"{figure.cpu * 1e6 / figure.count:.0f} us/op" if volume < 4e7 else f"{figure.cpu_per_gb:.2f} s/GB"
    return (
        figure.variant,
        "" if many else f"{figure.rate:.0f}",
        f"{figure.per_second:.0f}" if volume < 4e7 else "",
        f"{100 * figure.rate / best:.0f} %",
        cost,
        f"{figure.growth / 2**20:+.0f} MiB",
        str(figure.requests) if figure.requests >= 0 else "",
        f"{figure.foreign:.2f}",
    )


def table(figures: Sequence[Figure]) -> str:
    """Return the figures of one scenario for a terminal, at most 110 columns wide."""
    best = max(figure.rate for figure in figures)
    rows = [HEADINGS, *(figure_row(figure, best) for figure in figures)]
    widths = (34, 7, 7, 7, 11, 10, 8, 7)
    lines = [f"{figures[0].title}"]
    for row in rows:
        cells = [cell.ljust(widths[0]) if not place else cell.rjust(widths[place]) for place, cell in enumerate(row)]
        lines.append("  " + "  ".join(cells).rstrip())
    shares = [it for it in figures if it.scenario == "wan" and it.variant.startswith("cosv4fs")]
    lines += [f"  {it.variant}: {it.rate / formula(it):.2f} of window x piece / (RTT + piece / rate)" for it in shares]
    return "\n".join(lines) + "\n"


def outcome_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, str]]:
    """Return the cells of the table of targets."""
    return [
        (it.name, f"{'<=' if it.at_most else '>='} {it.wanted:g}", f"{it.measured:.2f}", "yes" if it.reached else "NO")
        for it in outcomes
    ]


def outcome_table(outcomes: Sequence[Outcome]) -> str:
    """Return the table of targets for a terminal."""
    rows = [_OUTCOME_HEADINGS, *outcome_rows(outcomes)]
    return "\n".join(f"{name:64} {wanted:>8} {measured:>9}   {reached}" for name, wanted, measured, reached in rows)


def markdown(figures: Sequence[Figure], outcomes: Sequence[Outcome]) -> str:
    """Return all figures and targets as Markdown."""
    parts = []
    for title, group in groupby(figures, key=lambda figure: figure.title):
        beside = list(group)
        best = max(figure.rate for figure in beside)
        parts.append(f"**{title}**\n\n{markdown_table(HEADINGS, [figure_row(figure, best) for figure in beside])}")
    if outcomes:
        parts.append(f"**Targets**\n\n{markdown_table(_OUTCOME_HEADINGS, outcome_rows(outcomes))}")
    return "\n\n".join(parts) + "\n"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
