"""``python -m tests.benchmarks.plot FILE.json FILE.png``: the main figures of a run as one picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from tests.benchmarks.clients import MIB
from tests.benchmarks.report import counts_objects, speed
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.scenarios import OURS, SIZED, named_size
from tests.benchmarks.targets import OBSTORE, S3FS

_COLOURS = {OURS: "#0072b2", OBSTORE: "#e69f00", S3FS: "#8c8c8c"}
"""Colours that remain distinct for colour-blind readers (Okabe and Ito), and in print."""
_ONE = (
    ("put_file", "put_file", OURS),
    ("open('wb')", "write", OURS),
    ("open('wb', size=n)", "write_sized", SIZED),
    ("get_file", "get_file", OURS),
    ("open('rb')", "read", OURS),
)
"""Label, operation and variant of each group of bars."""
_MANY = (("put", "put_many", OURS), ("get", "get_many", OURS), ("cat", "cat_many", OURS))
_WIDTH, _BAR = 8.0, 0.21
"""Inches: of the picture, which phones show at a quarter of the size, and of the height of a bar."""


@dataclass(frozen=True)
class Bars:
    """A group of bars: what each client reaches at one operation; None where it was not measured."""

    label: str
    figures: dict[str, Figure | None]

    @property
    def is_won(self) -> bool:
        """Whether cosv4fs is faster than every other client; False if no other was measured."""
        ours = self.figures[OURS]
        others = [it for client, it in self.figures.items() if it and client != OURS]
        return ours is not None and bool(others) and all(speed(ours) > speed(it) for it in others)


def groups(
    results: Results, group: str, operations: Sequence[tuple[str, str, str]], size: int, note: str = ""
) -> list[Bars]:
    """Return the groups of bars of some operations on objects of one size; `note` is added to their labels."""
    every = [_bars(results, group, label + note, operation, variant, size) for label, operation, variant in operations]
    return [it for it in every if it.figures[OURS]]


def _bars(results: Results, group: str, label: str, operation: str, variant: str, size: int) -> Bars:
    ours = next(results.select(group, operation, variant=variant, size=size, buffer=False), None)
    peers = {peer: results.beside(ours, peer) if ours else None for peer in (OBSTORE, S3FS)}
    return Bars(label, {OURS: ours, **peers})


def finding(bars: Sequence[Bars]) -> str:
    """Return how often cosv4fs is the fastest, in words."""
    return f"cosv4fs is fastest in {sum(it.is_won for it in bars)} of {len(bars)}"


def draw(results: Results, target: Path) -> None:
    """Write the picture: one column, with letters that can be read on the screen of a phone.

    Raises
    ------
    ValueError
        None of the groups that are drawn was measured.
    """
    main = max((it.size for it in results.select("peers") if it.size <= 256 * MIB), default=0)
    far = max((it.size for it in results.select("far")), default=0)
    small = next((it.size for it in results.select("small")), 0)
    many = next((it.count for it in results.select("small")), 0)
    panels = {
        f"{named_size(far)}, latency of 30 ms": groups(results, "far", _ONE, far),
        f"{named_size(main)}, no latency": groups(results, "peers", _ONE, main),
        f"{many:,} objects of {named_size(small)}": groups(results, "small", _MANY, small)
        + groups(results, "far-small", _MANY, small, ", 30 ms"),
    }
    panels = {title: bars for title, bars in panels.items() if bars}
    if not panels:
        raise ValueError("none of the groups peers, far, small and far-small was measured")
    heights = [len(_COLOURS) * len(bars) * _BAR for bars in panels.values()]
    picture, places = plt.subplots(
        len(panels), figsize=(_WIDTH, sum(heights) + 1.15 * len(panels) + 0.9), height_ratios=heights,
        squeeze=False, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.12), facecolor="white",
    )  # fmt: skip
    for place, (title, bars) in zip(places.flat, panels.items(), strict=True):
        _draw(place, f"{title}: {finding(bars)}", bars)
    handles, labels = places[0][0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=14)
    picture.savefig(target, dpi=150)


def _draw(axes: Axes, title: str, bars: Sequence[Bars]) -> None:
    height = 0.84 / len(_COLOURS)
    shown = [it for group in bars for it in group.figures.values() if it]
    for number, (client, colour) in enumerate(_COLOURS.items()):
        found = [(place + (number - 1) * height, it.figures[client]) for place, it in enumerate(bars)]
        known = [(place, it) for place, it in found if it]
        spread = zip(*(_spread(it) for _, it in known), strict=True)
        axes.barh([place for place, _ in known], [speed(it) for _, it in known], height, color=colour, label=client,
                  xerr=list(spread), error_kw={"lw": 1, "ecolor": "#333333"})  # fmt: skip
        for place, it in known:
            axes.annotate(f"{speed(it):,.0f}", (speed(it) + _spread(it)[1], place), (3, 0),
                          textcoords="offset points", va="center", fontsize=12)  # fmt: skip
    unit = "objects per second" if all(map(counts_objects, shown)) else "MB per second"
    axes.set_xlabel(f"{unit} (higher is better)", fontsize=13)
    axes.set_yticks(range(len(bars)), [it.label for it in bars], fontsize=13)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
    axes.set_title(title, fontsize=14, loc="right", fontweight="bold")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="x", labelsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)


def _spread(figure: Figure) -> tuple[float, float]:
    slowest, fastest = figure.spread
    return speed(figure) * (1 - slowest), speed(figure) * (fastest - 1)


def main() -> None:
    """Draw what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plot", description=__doc__)
    parser.add_argument("figures", type=Path, help="FILE.json of a run")
    parser.add_argument("picture", type=Path, help="FILE.png to write")
    options = parser.parse_args()
    draw(Results.load(options.figures), options.picture)


if __name__ == "__main__":
    main()
