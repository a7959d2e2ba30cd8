"""The results of a run, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from typing_extensions import Self

from tests.benchmarks.clients import RANGE, SLICE

DISTURBED = 0.20
"""Cores that the rest of the machine may use during a sample; beyond that the sample does not count."""


@dataclass(frozen=True)
class Figure:
    """The medians of the samples of one variant."""

    group: str
    title: str
    variant: str
    client: str
    operation: str
    size: int
    count: int
    threads: int
    buffer: bool
    rtt_ms: float
    rate_mbps: float
    # slices or ranges, where the scenario sets their number
    in_flight: int
    wall: float
    cpu: float
    # most bytes of memory above those before the first large operation, over all samples
    growth: int
    # what the server counted, of one sample; -1 where it does not count
    requests: int
    connections: int
    # cores that the rest of the machine used
    foreign: float
    walls: tuple[float, ...]
    # in a later run than the figures beside it, because it was disturbed
    repeated: bool = False

    @property
    def volume(self) -> int:
        """Bytes of a sample."""
        return self.size * self.count

    @property
    def rate(self) -> float:
        """MB (10**6 bytes) per second."""
        return self.volume / 1e6 / self.wall

    @property
    def per_second(self) -> float:
        """Objects per second."""
        return self.count / self.wall

    @property
    def cpu_per_gb(self) -> float:
        """Seconds of processor time of the client per 10**9 bytes."""
        return self.cpu * 1e9 / self.volume

    @property
    def spread(self) -> tuple[float, float]:
        """Rates of the slowest and of the fastest sample, as multiples of the median."""
        return self.wall / max(self.walls), self.wall / min(self.walls)

    @property
    def is_disturbed(self) -> bool:
        """Whether others used the machine during the measurement."""
        return self.foreign > DISTURBED

    @property
    def share_of_line(self) -> float:
        """Rate as a share of what the slices or ranges in flight can carry: n × size / (RTT + size / rate)."""
        piece = piece_size(self.operation) / 1e6
        return self.rate / (self.in_flight * piece / (self.rtt_ms / 1000 + piece / self.rate_mbps))


def piece_size(operation: str) -> int:
    """Return the bytes of a slice or range of an operation."""
    return RANGE if operation in ("get_file", "cat_file", "read", "ranges") else SLICE


@dataclass(frozen=True)
class Missing:
    """A variant that is not measured, and why."""

    group: str
    title: str
    variant: str
    reason: str


_DERIVED = ("rate", "per_second", "cpu_per_gb", "is_disturbed")
"""Properties of figures that the file has, too."""
_Row = TypeVar("_Row", Figure, Missing)


@dataclass
class Results:
    """Figures of one machine; `quick` ones are of the small scale."""

    machine: str
    quick: bool
    figures: list[Figure] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file of a run."""
        content = json.loads(path.read_text("utf-8"))
        known = [{name: value for name, value in it.items() if name not in _DERIVED} for it in content["figures"]]
        figures = [Figure(**{**it, "walls": tuple(it["walls"])}) for it in known]
        return cls(content["machine"], content["quick"], figures, [Missing(**it) for it in content["missing"]])

    def save(self, path: Path) -> None:
        """Write the file; beside each figure it has the values that follow from it, for readers of the file."""
        figures = [{**asdict(it), **{name: getattr(it, name) for name in _DERIVED}} for it in self.figures]
        head = {"machine": self.machine, "quick": self.quick}
        lists = {"figures": figures, "missing": [asdict(it) for it in self.missing]}
        # one line for each figure
        parts = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()]
        for name, rows in lists.items():
            lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
            parts.append(f"{json.dumps(name)}: [\n  {lines}\n ]")
        path.write_text("{\n " + ",\n ".join(parts) + "\n}\n", "utf-8")

    def put(self, figures: Iterable[Figure], missing: Iterable[Missing] = ()) -> None:
        """Add figures, in place of those of the same variant of the same scenario."""
        _put(self.figures, figures)
        _put(self.missing, missing)

    def improve(self, figures: Iterable[Figure]) -> None:
        """Replace figures by those of the same variants that were disturbed less."""
        known = {(it.title, it.variant): it for it in self.figures}
        self.put(it for it in figures if it.foreign < known[it.title, it.variant].foreign)

    def disturbed(self) -> dict[str, set[str]]:
        """Return the variants that were measured on a disturbed machine, by the title of their scenario."""
        found: dict[str, set[str]] = {}
        for it in self.figures:
            if it.is_disturbed:
                found.setdefault(it.title, set()).add(it.variant)
        return found

    def select(self, group: str, operation: str | None = None, **fields: object) -> Iterator[Figure]:
        """Return the figures of a group, of one operation or all, with these values in their fields."""
        wanted = {"group": group, **({} if operation is None else {"operation": operation}), **fields}
        return (it for it in self.figures if all(getattr(it, name) == value for name, value in wanted.items()))

    def beside(self, figure: Figure, variant: str) -> Figure | None:
        """Return the figure of another variant of the same scenario."""
        return next((it for it in self.figures if (it.title, it.variant) == (figure.title, variant)), None)


def _put(rows: list[_Row], new: Iterable[_Row]) -> None:
    places = {(it.title, it.variant): place for place, it in enumerate(rows)}
    for it in new:
        place = places.get((it.title, it.variant))
        if place is None:
            rows.append(it)
        else:
            rows[place] = it
