"""The scenarios: which operation of which clients is measured, with which objects, over which network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tests.benchmarks.clients import MIB, RANGE, SLICE, Task

KIB = 1024
FAR_RATE = 20.0
"""Megabytes per second and connection of the simulated far links, except for the cold starts."""
COLD_RATE, COLD_WINDOW = 10.0, 8

OPERATIONS = {
    "put_file": "put_file",
    "write_sized": 'open("wb", size=n)',
    "write": 'open("wb")',
    "write_streaming": 'open("wb"), bucket that streams',
    "get_file": "get_file",
    "cat_file": "cat_file",
    "read": 'open("rb")',
    "put_many": "put",
    "get_many": "get",
    "cat_many": "cat",
    "info_many": "info",
}
"""How tables name the operations."""

OURS = "cosv4fs"
PEERS = ("s3fs", "obstore.fsspec")
UNCHECKED = "cosv4fs, checksum=False"
"""Without the SHA-1 of a file; the other clients do not take it either."""
UNVERIFIED = "cosv4fs, verify_downloads='never'"
"""Without comparing downloads with their SHA-1, which the other clients do not do either."""
SIZED, STREAMED = "cosv4fs, size=n", "cosv4fs, bucket that streams"
PLAIN = "http.client"


@dataclass(frozen=True)
class Scale:
    """How much is measured: bytes of large objects, number of small ones, samples of each figure.

    `repeats` has the number of operations of a sample by the size of the object, where that is not one.
    """

    sizes: tuple[int, ...]
    repeats: dict[int, int]
    far: int
    line: int
    cold: int
    small: int
    samples: int
    emulator: int

    @classmethod
    def full(cls) -> Scale:
        """The figures that are published."""
        sizes = (4 * KIB, MIB, 32 * MIB, 256 * MIB, 1024 * MIB)
        repeats = {4 * KIB: 200, MIB: 64, 32 * MIB: 8}
        return cls(sizes, repeats, 256 * MIB, 768 * MIB, 96 * MIB, 1000, 5, 256 * MIB)

    @classmethod
    def quick(cls) -> Scale:
        """A try-out in some minutes; its ratios are not the published ones."""
        return cls((4 * KIB, MIB, 32 * MIB), {4 * KIB: 50, MIB: 16}, 32 * MIB, 96 * MIB, 48 * MIB, 100, 2, 32 * MIB)

    @property
    def main(self) -> int:
        """The size of the object that most tables show."""
        return min(256 * MIB, self.sizes[-1])


@dataclass(frozen=True)
class Variant:
    """One client doing one task. A `fresh` one has no connections at the beginning of a sample."""

    client: str
    task: Task
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    fresh: bool = False

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.label or self.client


@dataclass(frozen=True)
class Scenario:
    """Variants that are measured in turn, over one network; `missing` says why others are not measured."""

    group: str
    title: str
    variants: tuple[Variant, ...]
    rtt_ms: float = 0.0
    rate_mbps: float = 0.0
    # against the package's local service instead of the sink
    on_emulator: bool = False
    missing: dict[str, str] = field(default_factory=dict)


def named_size(number: int) -> str:
    """Return a number of bytes in words."""
    for unit, name in ((1024 * MIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if number >= unit:
            return f"{number // unit} {name}"
    return f"{number} B"


def _ours(task: Task, label: str = "", **options: Any) -> Variant:
    return Variant(OURS, task, options, label)


# -- what Python itself can do -----------------------------------------------------------------------------------------


def _raw(scale: Scale) -> Iterator[Scenario]:
    volume = 2 * scale.main
    yield Scenario("raw", "SHA-1 of one stream", (Variant(PLAIN, Task("sha1", volume), label="hashlib"),))
    yield Scenario("raw", "a temporary file, written", (Variant(PLAIN, Task("spool", volume), label="file"),))
    for operation, sizes in (("slices", (MIB, SLICE)), ("ranges", (MIB, RANGE))):
        for size, threads in ((sizes[0], 1), *((sizes[1], threads) for threads in (1, 4, 8))):
            task = Task(operation, size, volume // size + threads, threads)
            title = f"{operation} of {named_size(size)}, {threads} thread{'s' * (threads > 1)}"
            yield Scenario("raw", title, (Variant(PLAIN, task), _ours(task)))
        small = Task(operation, 4 * KIB, 2 * scale.small, 8)
        yield Scenario("raw", f"{operation} of 4 KiB, 8 threads", (Variant(PLAIN, small), _ours(small)))


# -- one object --------------------------------------------------------------------------------------------------------


def _peers(scale: Scale) -> Iterator[Scenario]:
    for size in scale.sizes:
        for operation in ("put_file", "write", "get_file", "cat_file", "read"):
            if operation == "cat_file" and size > scale.main:
                continue  # it would only show the memory of the object itself
            yield _object(Task(operation, size, scale.repeats.get(size, 1)), with_plain=size == scale.main)
    yield _object(Task("write", scale.main, buffer=True), with_plain=False)


def _object(task: Task, *, with_plain: bool) -> Scenario:
    peers = [Variant(client, task) for client in (*PEERS, "obstore")]
    if with_plain and task.operation in ("put_file", "get_file"):
        peers.append(Variant(PLAIN, replace(task, threads=8)))
    count = f"{task.count} × " if task.count > 1 else ""
    note = ", from a buffer that is filled again" if task.buffer else ""
    title = f"{OPERATIONS[task.operation]} {count}{named_size(task.size)}{note}"
    return Scenario("peers", title, (*_all_of_ours(task), *peers))


def _all_of_ours(task: Task) -> list[Variant]:
    """Return the default of an operation, and what else cosv4fs has for it."""
    found = [_ours(task)]
    if task.operation == "put_file":
        found.append(_ours(task, UNCHECKED, checksum=False))
    if task.operation == "read":
        found.append(_ours(task, UNVERIFIED, verify_downloads="never"))
    if task.operation == "write":
        found.append(_ours(replace(task, operation="write_streaming"), STREAMED))
        found.append(_ours(replace(task, operation="write_sized"), SIZED))
    return found


# -- many objects ------------------------------------------------------------------------------------------------------


def _many(scale: Scale, rtt: float = 0.0) -> Iterator[Scenario]:
    for operation in ("put_many", "get_many", "cat_many", "info_many"):
        if operation == "info_many" and rtt:
            continue  # one after another: only the round trip would be measured
        task = Task(operation, 4 * KIB, scale.small)
        variants = tuple(Variant(client, task) for client in (OURS, *PEERS))
        title = f"{OPERATIONS[operation]} {scale.small:,} × 4 KiB" + (f", {rtt:.0f} ms" if rtt else "")
        yield Scenario("far-small" if rtt else "small", title, variants, rtt, FAR_RATE if rtt else 0.0)


# -- far links ---------------------------------------------------------------------------------------------------------


def _far(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_file", "write", "get_file", "cat_file", "read"):
        task = Task(operation, scale.far)
        variants = (*_all_of_ours(task), *(Variant(client, task) for client in PEERS))
        yield Scenario("far", f"{OPERATIONS[operation]} {named_size(scale.far)}, 30 ms", variants, 30.0, FAR_RATE)


def _line(scale: Scale) -> Iterator[Scenario]:
    for rtt in (30.0, 80.0):
        for operation in ("put_file", "write_sized", "get_file", "read") if rtt == 30.0 else ("put_file", "get_file"):
            task = Task(operation, scale.line)
            variants = [
                _ours(task, f"{OURS}, {number} in flight", max_concurrency=number)
                for number in ((12, 16) if rtt == 30.0 else (12,))
            ]
            reason = "compared in the group far"
            if rtt != 30.0:
                reason = "compared at 30 ms, in the group far"
            title = f"{OPERATIONS[operation]} {named_size(scale.line)}, share of the line, {rtt:.0f} ms"
            yield Scenario("line", title, tuple(variants), rtt, FAR_RATE, missing=dict.fromkeys(PEERS, reason))


def _cold(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_file", "write_sized", "get_file"):
        task = Task(operation, scale.cold)
        piece = ("ranges", RANGE) if operation == "get_file" else ("slices", SLICE)
        plain = Task(*piece, scale.cold // piece[1], COLD_WINDOW)
        peer = replace(task, operation="write") if operation == "write_sized" else task
        variants = (
            Variant(PLAIN, plain, label=f"{PLAIN}, {COLD_WINDOW} warm connections"),
            Variant(OURS, task, {"max_concurrency": COLD_WINDOW}, fresh=True),
            Variant("s3fs", peer, {"max_concurrency": COLD_WINDOW}, fresh=True),
            Variant("obstore.fsspec", peer, label="obstore.fsspec, connections of its choice", fresh=True),
        )
        title = f"{OPERATIONS[operation]} {named_size(scale.cold)}, cold, 30 ms, {COLD_RATE:.0f} MB/s per connection"
        yield Scenario("cold", title, variants, 30.0, COLD_RATE)


# -- others ------------------------------------------------------------------------------------------------------------


def _concurrency(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_file", "get_file"):
        task = Task(operation, scale.main)
        variants = tuple(
            _ours(task, f"{number} in flight", max_concurrency=number) for number in (1, 2, 4, 8, 12, 16, 32)
        )
        yield Scenario("concurrency", f"{operation} {named_size(task.size)} by max_concurrency", variants)


def _vendor(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_file", "get_file", "cat_file"):
        task = Task(operation, scale.emulator)
        variants = [Variant("cosv4fs (emulator)", task, label=OURS), Variant("qcloud_cos_py3", task)]
        if operation == "put_file":
            variants.append(Variant("cosv4fs (emulator)", task, {"checksum": False}, UNCHECKED))
        title = f"{operation} {named_size(task.size)} on the local service"
        yield Scenario("vendor", title, tuple(variants), on_emulator=True)


GROUPS: dict[str, Callable[[Scale], Iterator[Scenario]]] = {
    "raw": _raw,
    "peers": _peers,
    "small": _many,
    "far": _far,
    "far-small": partial(_many, rtt=30.0),
    "line": _line,
    "cold": _cold,
    "concurrency": _concurrency,
    "vendor": _vendor,
}
"""Groups of scenarios, which ``--only`` can name."""
