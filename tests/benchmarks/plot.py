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

from tests.benchmarks.clients import MIB
from tests.benchmarks.report import counts_objects, speed
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.scenarios import OURS, SIZED, STREAMED, named_size
from tests.benchmarks.targets import OBSTORE, S3FS

_COLOURS = {OURS: "#0072b2", OBSTORE: "#e69f00", S3FS: "#8c8c8c"}
"""Colours that remain distinct for colour-blind readers (Okabe and Ito), and in print."""
_ONE = (
    ("put_file", "put_file", OURS),
    ("open('wb')", "write", OURS),
    ("open('wb'),\nbucket streams", "write_streaming", STREAMED),
    ("open('wb',\nsize=n)", "write_sized", SIZED),
    ("get_file", "get_file", OURS),
    ("cat_file", "cat_file", OURS),
    ("open('rb')", "read", OURS),
)
"""Label, operation and variant of each group of bars."""
_MANY = (("put", "put_many", OURS), ("get", "get_many", OURS), ("cat", "cat_many", OURS))


@dataclass(frozen=True)
class Bars:
    """A group of bars: what each client reaches at one operation; None where it was not measured."""

    label: str
    figures: dict[str, Figure | None]

    def wins(self, peer: str) -> bool | None:
        """Return whether cosv4fs is faster than a peer; None if one was not measured."""
        ours, other = self.figures[OURS], self.figures[peer]
        return None if ours is None or other is None else speed(ours) > speed(other)


def groups(
    results: Results, group: str, operations: Sequence[tuple[str, str, str]], size: int, note: str
) -> list[Bars]:
    """Return the groups of bars of some operations on objects of one size; `note` is added to their labels."""
    return [_bars(results, group, label + note, operation, variant, size) for label, operation, variant in operations]


def _bars(results: Results, group: str, label: str, operation: str, variant: str, size: int) -> Bars:
    ours = next(results.select(group, operation, variant=variant, size=size, buffer=False), None)
    peers = {peer: results.beside(ours, peer) if ours else None for peer in (OBSTORE, S3FS)}
    return Bars(label, {OURS: ours, **peers})


def finding(bars: Sequence[Bars]) -> str:
    """Return how often cosv4fs is faster, in words."""
    parts = []
    for peer in (OBSTORE, S3FS):
        known = [won for it in bars if (won := it.wins(peer)) is not None]
        if known:
            parts.append(f"than {peer} in {sum(known)} of {len(known)}")
    return f"cosv4fs is faster {', '.join(parts)}" if parts else "not measured"


def draw(results: Results, target: Path) -> None:
    """Write the picture."""
    main = max((it.size for it in results.select("peers") if it.size <= 256 * MIB), default=0)
    far = max((it.size for it in results.select("far")), default=0)
    small = next((it.size for it in results.select("small")), 0)
    many = next((it.count for it in results.select("small")), 0)
    near_many = [*_MANY, ("info", "info_many", OURS)]
    panels = (
        (f"{named_size(main)}, no latency", groups(results, "peers", _ONE, main, "")),
        (f"{named_size(far)}, 30 ms, 20 MB/s per connection", groups(results, "far", _ONE, far, "")),
        ("1 MiB, no latency, one after another", groups(results, "peers", [_ONE[0], _ONE[1], *_ONE[4:]], MIB, "")),
        (
            f"{many:,} objects of {named_size(small)}",
            groups(results, "small", near_many, small, "") + groups(results, "far-small", _MANY, small, ",\n30 ms"),
        ),
    )
    picture, axes = plt.subplots(2, 2, figsize=(14, 9.2))
    for place, (title, bars) in zip(axes.flat, panels, strict=True):
        _draw(place, title, bars)
    handles, labels = axes[0][0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="upper center", ncols=3, frameon=False, fontsize=11)
    picture.text(0.5, 0.01, results.machine, ha="center", fontsize=7, color="#555555")
    picture.tight_layout(rect=(0, 0.025, 1, 0.965), h_pad=2)
    picture.savefig(target, dpi=100)


def _draw(axes: Axes, title: str, bars: Sequence[Bars]) -> None:
    width = 0.8 / len(_COLOURS)
    for number, (client, colour) in enumerate(_COLOURS.items()):
        places = [place + (number - 1) * width for place in range(len(bars))]
        found = [it.figures[client] for it in bars]
        values = [speed(it) if it else 0.0 for it in found]
        spread = [_spread(it) for it in found]
        axes.bar(places, values, width, color=colour, label=client, yerr=list(zip(*spread, strict=True)),
                 error_kw={"lw": 0.8, "ecolor": "#333333"})  # fmt: skip
        for place, value, (_, above), it in zip(places, values, spread, found, strict=True):
            if it is None:
                axes.text(place, 0, " not measured", rotation=90, ha="center", va="bottom", fontsize=7, color="#555555")
            else:
                axes.annotate(f"{value:,.0f}", (place, value + above), (0, 2), textcoords="offset points", ha="center",
                              fontsize=6.5)  # fmt: skip
    shown = [it for group in bars for it in group.figures.values() if it]
    unit = "objects per second" if shown and all(map(counts_objects, shown)) else "MB per second"
    axes.set_ylabel(f"{unit} (higher is better)", fontsize=9)
    axes.set_xticks(range(len(bars)), [it.label for it in bars])
    axes.set_title(f"{finding(bars)}\n{title}", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _spread(figure: Figure | None) -> tuple[float, float]:
    if figure is None:
        return 0.0, 0.0
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
