"""What the package wants to reach, and whether a run has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.benchmarks.runner import Figure
from tests.benchmarks.scenarios import MIB, RANGE, SLICE, UNCHECKED, UNVERIFIED

_OURS = "cosv4fs"
_VARIANTS = ((_OURS, ""), (UNCHECKED, " without checksum"), (UNVERIFIED, " unverified"))
_ACCOUNT_LARGE = 256 * MIB
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
        """Whether the target is reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def outcomes(figures: list[Figure]) -> list[Outcome]:
    """Return all targets for which the run has figures; where several sizes count, the worst one does."""
    book = _Book(figures)
    return [*_large(book), *_vendor(book), *_raw(book), *_costs(book), *_wan(book), *_small(book), *_far_small(book)]


def formula(figure: Figure) -> float:
    """Return the MB/s that a window of slices or ranges can reach: window x slice / (RTT + slice / rate)."""
    window = int(figure.variant.rpartition(" ")[2])
    piece = SLICE if figure.operation in ("put_file", "write") else RANGE
    return window * piece / 1e6 / (figure.rtt_ms / 1000 + piece / 1e6 / figure.rate_mbps)


class _Book:
    """Finds figures."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = list(figures)

    def where(self, test: Callable[[Figure], bool]) -> list[Figure]:
        return [figure for figure in self._figures if test(figure)]

    def ratios(self, ours: list[Figure], peer: str, value: Callable[[Figure], float]) -> list[float]:
        """Return our values divided by the peer's in the same scenario."""
        found = []
        for figure in ours:
            theirs = self.where(lambda other, title=figure.title: other.title == title and other.variant == peer)  # type: ignore[misc]
            found += [value(figure) / value(other) for other in theirs]
        return found


def _least(name: str, wanted: float, values: list[float]) -> list[Outcome]:
    return [Outcome(name, wanted, min(values))] if values else []


def _most(name: str, wanted: float, values: list[float]) -> list[Outcome]:
    return [Outcome(name, wanted, max(values), at_most=True)] if values else []


def _rate(figure: Figure) -> float:
    return figure.rate


def _large(book: _Book) -> list[Outcome]:
    wanted = {
        "put_file": (5.0, 1.5),
        "write": (6.0, 1.0),
        "get_file": (2.4, 2.0),
        "cat_file": (2.7, 1.4),
        "read": (1.5, 1.1),
    }
    found = []
    for operation, bounds in wanted.items():
        for variant, note in _VARIANTS:
            ours = _ours_large(book, operation, variant)
            for peer, bound in zip(("s3fs", "obstore.fsspec"), bounds, strict=True):
                found += _least(f"{operation}{note}, large, against {peer}", bound, book.ratios(ours, peer, _rate))
    return found


def _ours_large(book: _Book, operation: str, variant: str = _OURS) -> list[Figure]:
    return book.where(
        lambda it: (
            (it.scenario, it.variant, it.operation) == ("peers", variant, operation) and it.size >= _ACCOUNT_LARGE
        )
    )


def _vendor(book: _Book) -> list[Outcome]:
    ours = book.where(lambda it: it.scenario == "vendor" and it.variant != "qcloud_cos_py3")
    found = []
    for figure in ours:
        note = " without checksum" if figure.variant == UNCHECKED else ""
        name = f"{figure.operation}{note} against qcloud_cos_py3"
        found += _least(name, 2.0, book.ratios([figure], "qcloud_cos_py3", _rate))
    return found


def _raw(book: _Book) -> list[Outcome]:
    found = []
    for operation, bound in (("slices", 0.6), ("ranges", 0.8)):
        ours = book.where(
            lambda it, op=operation: (it.scenario, it.variant, it.operation) == ("raw", _OURS, op) and it.threads >= 4  # type: ignore[misc]
        )
        name = f"{operation}, 4 and 8 threads, against http.client"
        found += _least(name, bound, book.ratios(ours, "http.client", _rate))
    return found


def _costs(book: _Book) -> list[Outcome]:
    found = []
    for operation, bound in (("put_file", 0.8), ("write", 0.8), ("get_file", 1.3), ("cat_file", 1.3), ("read", 1.3)):
        for variant, note in _VARIANTS:
            figures = _ours_large(book, operation, variant)
            found += _most(f"{operation}{note}: CPU seconds per GB", bound, [it.cpu_per_gb for it in figures])
    for operation in ("put_file", "write", "get_file", "read"):
        figures = [it for it in _ours_large(book, operation) if it.size >= 1024 * MIB]
        found += _most(f"{operation} 1 GiB: MiB of memory", 64.0, [it.growth / MIB for it in figures])
    return found


def _wan(book: _Book) -> list[Outcome]:
    found = []
    far = book.where(lambda it: it.scenario == "wan" and it.rtt_ms == 30.0)
    ours = [it for it in far if it.variant.startswith(_OURS)]
    for operation in ("put_file", "write", "get_file"):
        for variant, note in _VARIANTS:
            for window in (12, 16):
                chosen = [it for it in ours if (it.operation, it.variant) == (operation, f"{variant}, {window}")]
                shares = [it.rate / formula(it) for it in chosen]
                found += _least(f"{operation}{note}, 30 ms, {window} in flight: share of the formula", 0.92, shares)
    reading = [it for it in ours if (it.operation, it.variant) == ("read", f"{_OURS}, 12")]
    for peer in ("s3fs", "obstore.fsspec"):
        found += _least(f"read, 30 ms, against {peer}", 5.0, book.ratios(reading, peer, _rate))
    return found


def _small(book: _Book) -> list[Outcome]:
    against = {
        "s3fs": {"put_many": 2.0, "get_many": 2.5, "cat_many": 4.0, "info_many": 4.0},
        "obstore.fsspec": {"get_many": 1.2, "cat_many": 1.2, "info_many": 1.2},
    }
    found = []
    for peer, bounds in against.items():
        for operation, bound in bounds.items():
            ours = _ours_small(book, "small", operation)
            found += _least(f"{operation}, 4 KiB, against {peer}", bound, book.ratios(ours, peer, _per_second))
    for operation in ("put_many", "get_many", "cat_many"):
        ours = _ours_small(book, "small", operation)
        found += _most(f"{operation}: requests per file", 1.0, [it.requests / it.count for it in ours])
    return found


def _per_second(figure: Figure) -> float:
    return figure.per_second


def _ours_small(book: _Book, scenario: str, operation: str) -> list[Figure]:
    return book.where(lambda it: (it.scenario, it.variant, it.operation) == (scenario, _OURS, operation))


def _far_small(book: _Book) -> list[Outcome]:
    found = []
    for operation in ("put_many", "get_many", "cat_many"):
        ours = _ours_small(book, "wan-small", operation)
        shares = [it.per_second / (_IN_FLIGHT / (it.rtt_ms / 1000)) for it in ours]
        found += _least(f"{operation}, 30 ms: share of {_IN_FLIGHT} / RTT", 0.75, shares)
    return found
