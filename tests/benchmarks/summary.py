"""``python -m tests.benchmarks.summary FILE.json``: the figures of a run as the tables of two pages.

README.md gets a few figures over a link with latency; the README.md of this folder gets all figures and goals.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.clients import MIB
from tests.benchmarks.report import GOAL_HEADINGS, disturbed, goal_rows, markdown, markdown_table, rate, speed
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.scenarios import OURS, SIZED, STREAMED, UNCHECKED, UNVERIFIED, named_size
from tests.benchmarks.targets import OBSTORE, S3FS, goals
from tests.processes import REPOSITORY

_BEGIN, _END = "<!-- made by python -m tests.benchmarks.summary -->", "<!-- end -->"
_ROWS = (
    ("`put_file`", "put_file", OURS),
    ("`put_file`, `checksum=False`", "put_file", UNCHECKED),
    ('`open("wb")`', "write", OURS),
    ('`open("wb")`, bucket that streams', "write_streaming", STREAMED),
    ('`open("wb", size=n)`', "write_sized", SIZED),
    ("`get_file`", "get_file", OURS),
    ("`cat_file`", "cat_file", OURS),
    ('`open("rb")`', "read", OURS),
    ("`open(\"rb\")`, `verify_downloads='never'`", "read", UNVERIFIED),
)
"""Names, operations and variants in the order of the table."""
_MANY = (("`put`", "put_many"), ("`get`", "get_many"), ("`cat`", "cat_many"), ("`info`", "info_many"))
_HEADLINES = (
    ("`put_file`", "far", "put_file", OURS),
    ('`open("wb")`', "far", "write", OURS),
    ('`open("wb", size=n)`', "far", "write_sized", SIZED),
    ("`get_file`", "far", "get_file", OURS),
    ('`open("rb")`', "far", "read", OURS),
    ("`put`", "far-small", "put_many", OURS),
    ("`get`", "far-small", "get_many", OURS),
)
"""Names, groups, operations and variants of the table of the main README."""
_NOT_MEASURED = "not measured"


def headlines(results: Results) -> str:
    """Return the table of the main README: the usual operations over a link with latency."""
    rows = []
    for name, group, operation, variant in _HEADLINES:
        ours = next(results.select(group, operation, variant=variant, buffer=False), None)
        if ours is not None:
            what = named_size(ours.size) if ours.count == 1 else f"{ours.count:,} × {named_size(ours.size)}"
            others = (_times(results, ours, peer) for peer in (S3FS, OBSTORE))
            rows.append([f"{name}, {what}", rate(ours), *others])
    return markdown_table(["", "cosv4fs", "× s3fs", "× obstore.fsspec"], rows)


def short(results: Results) -> str:
    """Return what users decide by: a few tables, and where another client is faster."""
    main = max((it.size for it in results.select("peers") if it.size <= 256 * MIB), default=0)
    far = max((it.size for it in results.select("far")), default=0)
    columns = [it for it in (("peers", main, ""), ("far", far, ", 30 ms"), ("peers", MIB, "")) if it[1]]
    headings = ["", *(named_size(size) + note for _, size, note in columns)]
    one = [[name, *(_cell(results, group, operation, variant, size) for group, size, _ in columns)]
           for name, operation, variant in _ROWS]  # fmt: skip
    small = next(iter(results.select("small")), None)
    count = f"{small.count:,} × {named_size(small.size)}" if small else ""
    many = [[name, *(_cell(results, group, operation) for group in ("small", "far-small"))]
            for name, operation in _MANY]  # fmt: skip
    return "\n\n".join([
        "Rate · × s3fs · × obstore.fsspec:",
        markdown_table(headings, one),
        markdown_table(["", count, f"{count}, 30 ms"], many),
        losses(results),
    ])  # fmt: skip


def _cell(results: Results, group: str, operation: str, variant: str = OURS, size: int | None = None) -> str:
    fields = {"variant": variant, "buffer": False, **({} if size is None else {"size": size})}
    ours = next(results.select(group, operation, **fields), None)
    if ours is None:
        return f"{_NOT_MEASURED}: one round trip each" if operation == "info_many" else _NOT_MEASURED
    return " · ".join([rate(ours), *(_times(results, ours, peer) for peer in (S3FS, OBSTORE))])


def _times(results: Results, ours: Figure, peer: str) -> str:
    other = results.beside(ours, peer)
    if other is None:
        return _NOT_MEASURED
    ratio = speed(ours) / speed(other)
    return f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}"


def losses(results: Results) -> str:
    """Return a sentence that names the defaults that are slower than those of another client."""
    found = {peer: list(_slower(results, peer)) for peer in (S3FS, OBSTORE)}
    parts = [f"slower than {peer}: {', '.join(names)}" for peer, names in found.items() if names]
    return (
        f"With its defaults cosv4fs is {'; '.join(parts)}." if parts else "No default is slower than another client's."
    )


def _slower(results: Results, peer: str) -> Iterator[str]:
    for group in ("peers", "far", "small", "far-small"):
        for it in results.select(group, variant=OURS, buffer=False):
            other = results.beside(it, peer)
            if other is not None and speed(it) < 0.95 * speed(other):
                yield f"`{it.title}` ({speed(it) / speed(other):.2f})"


def everything(results: Results) -> str:
    """Return all goals and all figures."""
    every = goals(results)
    return "\n\n".join([
        f"Measured on {results.machine}{_try_out(results)}.",
        disturbed(results),
        "## In short",
        short(results),
        "## Goals",
        f"{sum(it.is_reached for it in every)} of {len(every)} are reached.",
        markdown_table(GOAL_HEADINGS, goal_rows(every)),
        "## Figures",
        markdown(results),
    ])  # fmt: skip


def _try_out(results: Results) -> str:
    return ", as a try-out with `--quick`" if results.quick else ""


def insert(page: str, text: str) -> str:
    """Return a page with the text between its two marks; a ValueError if it has none."""
    pattern = f"{re.escape(_BEGIN)}.*?{re.escape(_END)}"
    changed, count = re.subn(pattern, lambda _: f"{_BEGIN}\n\n{text}\n\n{_END}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page needs the marks {_BEGIN} and {_END} once")
    return changed


def pages(results: Results) -> dict[Path, str]:
    """Return the pages as they should be."""
    texts = {REPOSITORY / "README.md": headlines(results), Path(__file__).with_name("README.md"): everything(results)}
    return {page: insert(page.read_text("utf-8"), text) for page, text in texts.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both pages."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.summary", description=__doc__)
    parser.add_argument("figures", type=Path, help="FILE.json of a run")
    results = Results.load(parser.parse_args(arguments).figures)
    for page, text in pages(results).items():
        page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
