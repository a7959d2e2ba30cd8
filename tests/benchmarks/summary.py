"""``python -m tests.benchmarks.summary FILE.json README.md``: a run's figures as the tables of the README."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.report import markdown_table, outcome_rows
from tests.benchmarks.runner import Figure
from tests.benchmarks.scenarios import MIB, UNCHECKED, UNVERIFIED
from tests.benchmarks.targets import formula, outcomes

_MARKS = ("<!-- benchmarks: made by python -m tests.benchmarks.summary -->", "<!-- end of benchmarks -->")
_VARIANTS = {"cosv4fs": "", UNCHECKED: ", `checksum=False`", UNVERIFIED: ", `verify_downloads='never'`"}
_NAMES = {
    "put_file": "`put_file`",
    "write": '`open("wb", size=n)`',
    "get_file": "`get_file`",
    "cat_file": "`cat_file`",
    "read": '`open("rb")`',
    "put_many": "`put`",
    "get_many": "`get`",
    "cat_many": "`cat`",
    "info_many": "`info`",
}


_AGAINST = ("× s3fs", "× obstore.fsspec")


def summary(figures: Sequence[Figure], machine: str) -> str:
    """Return tables of large objects, far ones, small ones, and of the targets that were missed."""
    costs = ("CPU s/GB", "memory", "s3fs memory")
    tables = [
        (("256 MiB, no latency", "MB/s", *_AGAINST, *costs), _large(figures, 256 * MIB)),
        (("1 GiB, no latency", "MB/s", *_AGAINST, *costs), _large(figures, 1024 * MIB)),
        (("30 ms, 20 MB/s per connection", "MB/s", "of what 12 connections can", *_AGAINST), _far(figures)),
        (("1,000 objects of 4 KiB", "per second", *_AGAINST, "over 30 ms"), _small(figures)),
    ]
    filled = [(headings, rows) for headings, found in tables if (rows := list(found))]
    return "\n\n".join([f"Measured on {machine}.", *(markdown_table(*table) for table in filled), _reached(figures)])


def _large(figures: Sequence[Figure], size: int) -> Iterable[Sequence[str]]:
    for operation in ("put_file", "write", "get_file", "cat_file", "read"):
        group = _by_variant(figures, "peers", operation, size)
        for variant, note in _VARIANTS.items():
            ours = group.get(variant)
            if ours is None:
                continue
            memory = f"{group['s3fs'].growth / MIB:.0f} MiB" if "s3fs" in group else ""
            ratios = [_ratio(ours.rate, group.get(peer)) for peer in ("s3fs", "obstore.fsspec")]
            cells = (f"{ours.rate:.0f}", *ratios, f"{ours.cpu_per_gb:.2f}", f"{ours.growth / MIB:.0f} MiB", memory)
            yield (_NAMES[operation] + note, *cells)


def _far(figures: Sequence[Figure]) -> Iterable[Sequence[str]]:
    for operation in ("put_file", "write", "get_file", "read"):
        group = {it.variant: it for it in figures if (it.scenario, it.rtt_ms, it.operation) == ("wan", 30.0, operation)}
        for variant, note in _VARIANTS.items():
            ours = group.get(f"{variant}, 12")
            if ours is not None:
                ratios = [_ratio(ours.rate, group.get(peer)) for peer in ("s3fs", "obstore.fsspec")]
                yield (_NAMES[operation] + note, f"{ours.rate:.0f}", f"{ours.rate / formula(ours):.2f}", *ratios)


def _small(figures: Sequence[Figure]) -> Iterable[Sequence[str]]:
    for operation in ("put_many", "get_many", "cat_many", "info_many"):
        group = {it.variant: it for it in figures if (it.scenario, it.operation) == ("small", operation)}
        far = {it.variant: it for it in figures if (it.scenario, it.operation) == ("wan-small", operation)}
        ours = group.get("cosv4fs")
        if ours is not None:
            ratios = [
                f"{ours.per_second / group[peer].per_second:.1f}" if peer in group else ""
                for peer in ("s3fs", "obstore.fsspec")
            ]
            away = f"{far['cosv4fs'].per_second:.0f}" if "cosv4fs" in far else ""
            yield (_NAMES[operation], f"{ours.per_second:.0f}", *ratios, away)


def _by_variant(figures: Sequence[Figure], scenario: str, operation: str, size: int) -> dict[str, Figure]:
    wanted = (scenario, operation, size)
    return {it.variant: it for it in figures if (it.scenario, it.operation, it.size) == wanted}


def _ratio(rate: float, peer: Figure | None) -> str:
    return f"{rate / peer.rate:.1f}" if peer is not None else ""


def _reached(figures: Sequence[Figure]) -> str:
    rows = outcome_rows(outcomes(list(figures)))
    missed = [row[:3] for row in rows if row[3] != "yes"]
    told = f"Of {len(rows)} targets {len(rows) - len(missed)} were reached"
    return f"{told}; missed:\n\n{markdown_table(('target', 'wanted', 'measured'), missed)}" if missed else f"{told}."


def main() -> None:
    """Write what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.summary", description=__doc__)
    parser.add_argument("figures", type=Path, help="FILE.json of a run")
    parser.add_argument("page", type=Path, help="the page with the two marks between which the tables stand")
    options = parser.parse_args()
    content = json.loads(options.figures.read_text("utf-8"))
    text = summary([Figure(**figure) for figure in content["figures"]], content["machine"])
    begin, end = _MARKS
    page, count = re.subn(
        re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n\n{text}\n\n{end}",
        options.page.read_text("utf-8"), flags=re.DOTALL,
    )  # fmt: skip
    if count != 1:
        parser.error(f"{options.page} has no place for them: {begin} … {end}")
    options.page.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
