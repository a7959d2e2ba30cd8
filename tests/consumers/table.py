"""The table of consumers, and its place in the README of this folder."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from tests.consumers.registry import Row

__all__ = ["BEGIN", "END", "PASSED", "README", "between", "render", "version"]

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- consumers: begin (written by python -m tests.consumers) -->", "<!-- consumers: end -->"
PASSED = "passed"


def version(distribution: str) -> str:
    """Return the installed version; Python's for the empty name."""
    try:
        return metadata.version(distribution) if distribution else platform.python_version()
    except metadata.PackageNotFoundError:
        return "not installed"


def render(rows: Mapping[str, Row], outcomes: Mapping[str, str], *, versions: bool = True) -> str:
    """Return the table by tools: what went well in one line each, everything else in lines of its own.

    Parameters
    ----------
    rows : dict of Row
        The registry.
    outcomes : dict of str
        ``passed`` or what happened instead, by the same keys.
    versions : bool
        Show versions; without them the table depends on nothing that is installed.
    """
    lines: dict[tuple[str, str, str], list[str]] = {}
    for key, row in rows.items():
        outcome = outcomes.get(key, "not tried")
        result = f"not possible: {row.impossible}" if row.impossible and outcome == PASSED else outcome
        lines.setdefault((row.tool, row.distribution, result), []).append(row.what)
    shown = sorted(lines.items(), key=lambda item: (item[0][0].casefold(), item[0][2] != PASSED, item[0][2]))
    body = [
        f"| {tool} | {version(distribution) if versions else ''} | {'; '.join(whats)} | {result} |"
        for (tool, distribution, result), whats in shown
    ]
    return "\n".join(["| tool | version | what was tried | result |", "|---|---|---|---|", *body])


def between(text: str) -> tuple[str, str, str]:
    """Return a page's text before, between and after the two markers.

    Raises
    ------
    ValueError
        A marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page needs the lines {BEGIN} and {END}")
    return before + begin, inside, end + after
