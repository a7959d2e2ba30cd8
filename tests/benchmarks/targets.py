"""What the package wants to reach, and whether a run has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.runner import Figure
from tests.benchmarks.scenarios import MIB, RANGE, SLICE, UNCHECKED, UNVERIFIED

_OURS = "cosv4fs"
_VARIANTS = ((_OURS, ""), (UNCHECKED, " without checksum"), (UNVERIFIED, " unverified"))
_LARGE = {
    "put_file": (5.0, 1.5),
    "write": (6.0, 1.0),
    "get_file": (2.4, 2.0),
    "cat_file": (2.7, 1.4),
    "read": (1.5, 1.1),
}
"""By operation: how many times as fast as s3fs and obstore.fsspec, for objects of 256 MiB and more."""
_SMALL = {
    "s3fs": {"put_many": 2.0, "get_many": 2.5, "cat_many": 4.0, "info_many": 4.0},
    "obstore.fsspec": {"get_many": 1.2, "cat_many": 1.2, "info_many": 1.2},
}
"""The same for many small objects, by peer."""
_IN_FLIGHT = 32


@dataclass(frozen=True)
class Outcome:
    """One target: the bound, the worst figure that counts for it, and whether that is good enough."""

    name: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def outcomes(figures: Sequence[Figure]) -> list[Outcome]:
    """Return all targets for which the run has figures; where several sizes count, the worst one does."""
    parts = (_large, _vendor, _raw, _costs, _wan, _small, _far_small)
    return [
        Outcome(name, wanted, max(values) if at_most else min(values), at_most)
        for part in parts
        for name, wanted, values, at_most in part(figures)
        if values
    ]


def formula(figure: Figure) -> float:
    """Return the MB/s that a window of slices or ranges can reach: window x slice / (RTT + slice / rate)."""
    window = int(figure.variant.rpartition(" ")[2])
    piece = SLICE if figure.operation in ("put_file", "write") else RANGE
    return window * piece / 1e6 / (figure.rtt_ms / 1000 + piece / 1e6 / figure.rate_mbps)


_Row = tuple[str, float, list[float], bool]
"""A target's name, its bound, the values that count, and whether they may be at most so large."""


def _of(figures: Sequence[Figure], scenario: str, operation: str, variant: str = _OURS) -> list[Figure]:
    wanted = (scenario, operation, variant)
    return [it for it in figures if (it.scenario, it.operation, it.variant) == wanted]


def _large_ones(figures: Sequence[Figure], operation: str, variant: str = _OURS) -> list[Figure]:
    return [it for it in _of(figures, "peers", operation, variant) if it.size >= 256 * MIB]


def _rate(figure: Figure) -> float:
    return figure.rate


def _ratios(
    figures: Sequence[Figure], ours: Sequence[Figure], peer: str, value: Callable[[Figure], float] = _rate
) -> list[float]:
    """Return our values divided by the peer's in the same scenario."""
    return [
        value(it) / value(other)
        for it in ours
        for other in figures
        if other.title == it.title and other.variant == peer
    ]


def _large(figures: Sequence[Figure]) -> Iterator[_Row]:
    for operation, bounds in _LARGE.items():
        for variant, note in _VARIANTS:
            ours = _large_ones(figures, operation, variant)
            for peer, bound in zip(("s3fs", "obstore.fsspec"), bounds, strict=True):
                yield f"{operation}{note}, large, against {peer}", bound, _ratios(figures, ours, peer), False


def _vendor(figures: Sequence[Figure]) -> Iterator[_Row]:
    peer = "qcloud_cos_py3"
    for it in figures:
        if it.scenario == "vendor" and it.variant != peer:
            note = " without checksum" if it.variant == UNCHECKED else ""
            yield f"{it.operation}{note} against {peer}", 2.0, _ratios(figures, [it], peer), False


def _raw(figures: Sequence[Figure]) -> Iterator[_Row]:
    for operation, bound in (("slices", 0.6), ("ranges", 0.8)):
        ours = [it for it in _of(figures, "raw", operation) if it.threads >= 4]
        name = f"{operation}, 4 and 8 threads, against http.client"
        yield name, bound, _ratios(figures, ours, "http.client"), False


def _costs(figures: Sequence[Figure]) -> Iterator[_Row]:
    for operation in _LARGE:
        bound = 0.8 if operation in ("put_file", "write") else 1.3
        for variant, note in _VARIANTS:
            values = [it.cpu_per_gb for it in _large_ones(figures, operation, variant)]
            yield f"{operation}{note}: CPU seconds per GB", bound, values, True
    for operation in ("put_file", "write", "get_file", "read"):
        values = [it.growth / MIB for it in _large_ones(figures, operation) if it.size >= 1024 * MIB]
        yield f"{operation} 1 GiB: MiB of memory", 64.0, values, True


def _wan(figures: Sequence[Figure]) -> Iterator[_Row]:
    far = [it for it in figures if it.rtt_ms == 30.0]
    for operation in ("put_file", "write", "get_file"):
        for variant, note in _VARIANTS:
            for window in (12, 16):
                shares = [it.rate / formula(it) for it in _of(far, "wan", operation, f"{variant}, {window}")]
                yield f"{operation}{note}, 30 ms, {window} in flight: share of the formula", 0.92, shares, False
    for peer in ("s3fs", "obstore.fsspec"):
        values = _ratios(far, _of(far, "wan", "read", f"{_OURS}, 12"), peer)
        yield f"read, 30 ms, against {peer}", 5.0, values, False


def _small(figures: Sequence[Figure]) -> Iterator[_Row]:
    for peer, bounds in _SMALL.items():
        for operation, bound in bounds.items():
            values = _ratios(figures, _of(figures, "small", operation), peer, lambda it: it.per_second)
            yield f"{operation}, 4 KiB, against {peer}", bound, values, False
    for operation in ("put_many", "get_many", "cat_many"):
        values = [it.requests / it.count for it in _of(figures, "small", operation)]
        yield f"{operation}: requests per file", 1.0, values, True


def _far_small(figures: Sequence[Figure]) -> Iterator[_Row]:
    for operation in ("put_many", "get_many", "cat_many"):
        shares = [it.per_second / (_IN_FLIGHT / (it.rtt_ms / 1000)) for it in _of(figures, "wan-small", operation)]
        yield f"{operation}, 30 ms: share of {_IN_FLIGHT} / RTT", 0.75, shares, False
