"""``python -m tests.benchmarks.plot FILE.json FILE.png``: the figures of a run as one picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

MIB = 1024 * 1024
_CLIENTS = ("cosv4fs", "obstore.fsspec", "s3fs")
_COLOURS = dict(zip(_CLIENTS, ("#0b6e99", "#e0a03c", "#9aa3ab"), strict=True))
_LABELS = {
    "put_file": "put_file",
    "write": "open('wb')",
    "get_file": "get_file",
    "cat_file": "cat_file",
    "read": "open('rb')",
    "put_many": "put",
    "get_many": "get",
    "cat_many": "cat",
    "info_many": "info",
}
Figures = list[dict[str, Any]]


def draw(figures: Figures, target: Path, machine: str) -> None:
    """Write the picture: large objects, far ones, small ones, and throughput by size."""
    picture, axes = plt.subplots(2, 2, figsize=(12, 8.4))
    large = max((it["size"] for it in figures if it["scenario"] == "peers" and it["size"] <= 256 * MIB), default=0)
    operations = ("put_file", "write", "get_file", "cat_file", "read")
    _bars(
        axes[0][0],
        [it for it in figures if it["scenario"] == "peers" and it["size"] == large],
        operations,
        "rate",
        f"{large // MIB} MiB, no latency [MB/s]",
    )
    far = [it for it in figures if it["scenario"] == "wan" and it["rtt_ms"] == 30 and not it["variant"].endswith("16")]
    _bars(axes[0][1], far, operations, "rate", "30 ms, 20 MB/s per connection, 12 in flight [MB/s]")
    small = [it for it in figures if it["scenario"] == "small"]
    _bars(axes[1][0], small, tuple(_LABELS)[5:], "per_second", "4 KiB objects, no latency [objects/s]")
    _by_size(axes[1][1], [it for it in figures if it["scenario"] == "peers"])
    handles = [Patch(color=_COLOURS[client]) for client in _CLIENTS]
    picture.legend(handles, _CLIENTS, loc="upper center", ncols=3, frameon=False, fontsize=11)
    picture.text(0.5, 0.01, machine, ha="center", fontsize=6.5, color="#555555")
    picture.tight_layout(rect=(0, 0.025, 1, 0.96))
    picture.savefig(target, dpi=110)


def _bars(axes: Axes, figures: Figures, operations: Sequence[str], value: str, title: str) -> None:
    shown = [name for name in operations if any(it["operation"] == name for it in figures)]
    if not shown:
        axes.set_axis_off()
        return
    width = 0.8 / len(_CLIENTS)
    for number, client in enumerate(_CLIENTS):
        values = [_value(figures, client, name, value) for name in shown]
        places = [place + (number - 1) * width for place in range(len(shown))]
        bars = axes.bar(places, values, width, color=_COLOURS[client])
        axes.bar_label(bars, [f"{it:.0f}" if it else "" for it in values], fontsize=7.5, padding=1)
    axes.set_xticks(range(len(shown)), [_LABELS[name] for name in shown])
    _tidy(axes, title)


def _value(figures: Figures, client: str, operation: str, value: str) -> float:
    found = [
        it[value]
        for it in figures
        if it["operation"] == operation and it["variant"].partition(",")[0] == client and " (" not in it["variant"]
    ]
    return float(found[0]) if found else 0.0


def _by_size(axes: Axes, figures: Figures) -> None:
    if not figures:
        axes.set_axis_off()
        return
    for client in _CLIENTS:
        for operation, style in (("put_file", "-o"), ("get_file", "--s")):
            chosen = [it for it in figures if it["variant"] == client and it["operation"] == operation]
            chosen.sort(key=lambda it: it["size"])
            sizes, rates = [it["size"] / MIB for it in chosen], [it["rate"] for it in chosen]
            axes.plot(sizes, rates, style, color=_COLOURS[client], markersize=4, linewidth=1.4)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = [size / MIB for size in sorted({it["size"] for it in figures})]
    axes.set_xticks(ticks, [_size(tick) for tick in ticks])
    axes.plot([], [], "k-o", markersize=4, label="put_file")
    axes.plot([], [], "k--s", markersize=4, label="get_file")
    axes.legend(frameon=False, fontsize=9)
    _tidy(axes, "one object by its size, no latency [MB/s, logarithmic]")


def _size(mebibytes: float) -> str:
    if mebibytes < 1:
        return f"{mebibytes * 1024:.0f} KiB"
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.0f} GiB"


def _tidy(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10.5, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def main() -> None:
    """Draw what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plot", description=__doc__)
    parser.add_argument("figures", type=Path, help="FILE.json of a run")
    parser.add_argument("picture", type=Path, help="FILE.png to write")
    options = parser.parse_args()
    content = json.loads(options.figures.read_text())
    draw(content["figures"], options.picture, content["machine"])


if __name__ == "__main__":
    main()
