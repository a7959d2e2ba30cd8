"""The goals of the package, and whether a run reaches them.

A missed goal is printed with what limits it: a step of plain Python that was measured in the same run. Where that step
misses the goal, too, the goal is out of reach on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.clients import MIB, RANGE, SLICE
from tests.benchmarks.results import Figure, Results, piece_size
from tests.benchmarks.scenarios import OPERATIONS, OURS, PLAIN, SIZED, STREAMED, named_size

S3FS, OBSTORE = "s3fs", "obstore.fsspec"
_GIB = 1024 * MIB
_FURTHER_ROUND_TRIPS = {"put_file": 4, "write_sized": 3, "get_file": 1, "read": 1}
"""Round trips of a transfer before and after its slices or ranges: open, finish, stat and move; stat."""

Limit = tuple[str, float]
"""What bounds a figure, and the value that it allows."""


@dataclass(frozen=True)
class Goal:
    """One goal: what is measured, the bound, the result, and what limits it."""

    subject: str
    unit: str
    bound: float
    measured: float
    limits: tuple[Limit, ...] = ()
    at_most: bool = False
    cause: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the figure is good enough."""
        return self._is_enough(self.measured, self.bound)

    @property
    def outcome(self) -> str:
        """``reached``, or whether plain Python reaches it, by the tightest limit that the figure does not exceed."""
        if self.is_reached:
            return "reached"
        limits = [it for it in self.limits if self._is_enough(it[1], self.measured)]
        cause = f": {self.cause}" if self.cause else ""
        if not limits:
            return f"missed{cause}"
        name, value = (max if self.at_most else min)(limits, key=lambda it: it[1])
        verdict = "missed" if self._is_enough(value, self.bound) else "out of reach here"
        return f"{verdict} ({name}: {value:.2f}){cause}"

    def _is_enough(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def goals(results: Results) -> list[Goal]:
    """Return the goals for which there are figures, in the order of the tables."""
    parts = (_large, _unsized, _reading, _middle, _small, _line, _cold, _costs, _overhead)
    run = _Run(results)
    return [goal for part in parts for goal in part(run)]


class _Run:
    """The figures of a run, as goals need them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        sizes = {it.size for it in results.select("peers") if it.size <= 256 * MIB}
        self.main = max(sizes, default=0)

    def object(self, operation: str, size: int, variant: str = OURS) -> Figure | None:
        """Return the figure of objects of one size, written from ``bytes``."""
        return next(self.results.select("peers", operation, size=size, variant=variant, buffer=False), None)

    def raw(self, operation: str, size: int = 0, threads: int = 1) -> Figure | None:
        """Return the figure of a step of plain Python."""
        fields = {"size": size, "threads": threads} if size else {}
        return next(self.results.select("raw", operation, client=PLAIN, **fields), None)

    def against(
        self,
        peer: str,
        bound: float,
        ours: Figure | None,
        *plain: tuple[str, float | None],
        value: Callable[[Figure], float] = lambda it: it.rate,
        unit: str = "",
        at_most: bool = False,
    ) -> Iterator[Goal]:
        """Yield the goal for a value of ours divided by the peer's; `plain` are the values of limits."""
        other = None if ours is None else self.results.beside(ours, peer)
        if ours is not None and other is not None:
            limits = tuple((name, known / value(other)) for name, known in plain if known is not None)
            measured = value(ours) / value(other)
            cause = "" if unit else _cpu_of(ours, other)
            yield Goal(subject(ours), f"{unit}× {peer}", bound, measured, limits, at_most, cause)


def _cpu_of(ours: Figure, other: Figure) -> str:
    """Return the cause where a client is slow: the processor time of each, per object or per GB."""
    if ours.count == 1:
        costs = [f"{it.variant} {it.cpu_per_gb:.2f}" for it in (ours, other)]
        return f"CPU s/GB: {', '.join(costs)}"
    costs = [f"{it.variant} {it.cpu * 1e6 / it.count:,.0f}" for it in (ours, other)]
    return f"µs of CPU per object: {', '.join(costs)}"


def subject(figure: Figure) -> str:
    """Return what was measured, in words."""
    many = f"{figure.count:,} × " if figure.count > 1 else ""
    far = f", {figure.rtt_ms:.0f} ms" if figure.rtt_ms else ""
    window = f", {figure.in_flight} in flight" if figure.in_flight else ""
    return f"{OPERATIONS[figure.operation]}, {many}{named_size(figure.size)}{far}{window}"


def _rate(figure: Figure | None) -> float | None:
    return None if figure is None else figure.rate


def _in_turn(*rates: float | None) -> float | None:
    """Return the rate of steps of which each begins when the one before has ended."""
    known = [rate for rate in rates if rate is not None]
    return 1 / sum(1 / rate for rate in known) if len(known) == len(rates) else None


# -- one object --------------------------------------------------------------------------------------------------------


def _large(run: _Run) -> Iterator[Goal]:
    ours = run.object("put_file", run.main)
    limits = (
        ("SHA-1 of one stream", _rate(run.raw("sha1"))),
        ("http.client, the SHA-1 taken by the thread that reads", _rate(run.object("put_file", run.main, PLAIN))),
    )
    yield from run.against(OBSTORE, 1.2, ours, *limits)
    yield from run.against(S3FS, 3.5, ours, *limits)


def _unsized(run: _Run) -> Iterator[Goal]:
    spool = _rate(run.raw("spool"))
    for size in (run.main, _GIB):
        sized = _rate(run.object("write_sized", size, SIZED))
        limit = ("a temporary file, then open(size=)", _in_turn(spool, sized))
        yield from run.against(OBSTORE, 0.5, run.object("write", size), limit)
    for size in (run.main, _GIB):
        limit = ("SHA-1 of one stream", _rate(run.raw("sha1")))
        yield from run.against(OBSTORE, 0.9, run.object("write_streaming", size, STREAMED), limit)


def _reading(run: _Run) -> Iterator[Goal]:
    """Yield the goals for reading, and for what is to be kept."""
    slices, ranges = _rate(run.raw("slices", SLICE, 8)), _rate(run.raw("ranges", RANGE, 8))
    get, plain = run.object("get_file", run.main), _rate(run.object("get_file", run.main, PLAIN))
    sized = run.object("write_sized", run.main, SIZED)
    yield from run.against(OBSTORE, 1.18, sized, ("http.client with 8 threads", slices))
    yield from run.against(OBSTORE, 2.9, get, ("http.client with 8 threads", plain))
    yield from run.against(S3FS, 2.4, get, ("http.client with 8 threads", plain))
    yield from run.against(OBSTORE, 1.8, run.object("cat_file", run.main), ("http.client with 8 threads", ranges))
    limits = (("SHA-1 of one stream", _rate(run.raw("sha1"))), ("http.client with 8 threads", ranges))
    yield from run.against(OBSTORE, 1.7, run.object("read", run.main), *limits)


def _middle(run: _Run) -> Iterator[Goal]:
    sha1 = _rate(run.raw("sha1"))
    sent, fetched = _rate(run.raw("slices", MIB)), _rate(run.raw("ranges", MIB))
    limits = {
        "put_file": ("SHA-1, then http.client", _in_turn(sha1, sent)),
        "write": ("SHA-1, then http.client", _in_turn(sha1, sent)),
        "get_file": ("http.client", fetched),
        "cat_file": ("http.client", fetched),
        "read": ("http.client, then SHA-1", _in_turn(sha1, fetched)),
    }
    for operation, limit in limits.items():
        yield from run.against(OBSTORE, 1.0, run.object(operation, MIB), limit)


# -- many objects ------------------------------------------------------------------------------------------------------


def _small(run: _Run) -> Iterator[Goal]:
    bounds = {
        "small": {"put_many": 0.75, "get_many": 1.4, "cat_many": 1.9},
        "far-small": {"put_many": 1.0, "get_many": 1.0, "cat_many": 1.0},
    }
    for group, wanted in bounds.items():
        for operation, bound in wanted.items():
            ours = next(run.results.select(group, operation, variant=OURS), None)
            plain = run.raw("slices" if operation == "put_many" else "ranges", 4096, 8)
            limit = ("http.client with 8 threads, no latency", plain.per_second if plain else None)
            yield from run.against(OBSTORE, bound, ours, limit, value=lambda it: it.per_second)


# -- far links ---------------------------------------------------------------------------------------------------------


def _line(run: _Run) -> Iterator[Goal]:
    for it in run.results.select("line", rtt_ms=30.0):
        limit = ("whole waves and the other round trips", best_share(it))
        yield Goal(subject(it), "of the line", 0.94, it.share_of_line, (limit,))


def best_share(figure: Figure) -> float:
    """Return the share of the line that is left by incomplete waves and by the round trips before and after them."""
    piece = piece_size(figure.operation)
    rtt = figure.rtt_ms / 1000
    wave = rtt + piece / 1e6 / figure.rate_mbps
    count = figure.size / piece
    # in the last wave some connections are idle
    waves = math.ceil(math.ceil(count) / figure.in_flight)
    return (count / figure.in_flight * wave) / (waves * wave + _FURTHER_ROUND_TRIPS[figure.operation] * rtt)


def _cold(run: _Run) -> Iterator[Goal]:
    for operation, bound in {"put_file": 0.90, "write_sized": 0.90, "get_file": 0.93}.items():
        ours = next(run.results.select("cold", operation, client=OURS), None)
        plain = next((it for it in run.results.select("cold", client=PLAIN) if ours and it.title == ours.title), None)
        if ours is not None and plain is not None:
            trips = (_FURTHER_ROUND_TRIPS[operation] + 1) * ours.rtt_ms / 1000
            limit = ("http.client with the other round trips", plain.wall / (plain.wall + trips))
            yield Goal(f"{subject(ours)}, cold", f"× warm {PLAIN}", bound, plain.wall / ours.wall, (limit,))


# -- costs -------------------------------------------------------------------------------------------------------------


def _costs(run: _Run) -> Iterator[Goal]:
    sha1, ranges = run.raw("sha1"), run.raw("ranges", RANGE, 8)
    put, get = (run.object(operation, run.main, PLAIN) for operation in ("put_file", "get_file"))
    read = ranges.cpu_per_gb + sha1.cpu_per_gb if ranges and sha1 else None
    limits = {
        "put_file": (0.8, ("http.client and the SHA-1", put.cpu_per_gb if put else None)),
        "get_file": (0.46, ("http.client", get.cpu_per_gb if get else None)),
        "read": (1.0, ("http.client and the SHA-1", read)),
    }
    for operation, (bound, limit) in limits.items():
        ours = run.object(operation, run.main)
        yield from run.against(
            OBSTORE, bound, ours, limit, value=lambda it: it.cpu_per_gb, unit="CPU seconds per GB, ", at_most=True
        )
    for operation in ("put_file", "write_sized", "write", "write_streaming", "get_file", "read"):
        for it in run.results.select("peers", operation, size=_GIB, client=OURS):
            if it.variant in (OURS, SIZED, STREAMED):
                yield Goal(subject(it), "MiB of memory", 64.0, it.growth / MIB, at_most=True)


def _overhead(run: _Run) -> Iterator[Goal]:
    """Yield what the layers above `http.client` may cost, and the requests of small objects."""
    for operation, bound in (("slices", 0.6), ("ranges", 0.8)):
        for it in run.results.select("raw", operation, client=OURS):
            plain = run.raw(operation, it.size, it.threads)
            if plain is not None and it.threads >= 4 and it.size >= MIB:
                yield Goal(it.title, f"× {PLAIN}", bound, it.rate / plain.rate)
    for operation in ("put_many", "get_many", "cat_many"):
        for it in run.results.select("small", operation, client=OURS):
            yield Goal(subject(it), "requests per object", 1.0, it.requests / it.count, at_most=True)
