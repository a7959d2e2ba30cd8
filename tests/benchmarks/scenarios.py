"""What is measured: which operation of which clients, at which size, over which network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.clients import Task

KIB = 1024
MIB = 1024 * KIB
SLICE, RANGE = 3 * MIB, 4 * MIB
WAN_RATE = 20.0
"""Megabytes per second and connection on the pretended far links."""


@dataclass(frozen=True)
class Scale:
    """How much is done: bytes of large objects, numbers of small ones, samples of each figure.

    `wan_slow` is for those who read a far object one piece after the other, which takes its time.
    """

    large: tuple[int, ...]
    wan: int
    wan_slow: int
    small: int
    samples: int
    emulator: int
    memory: int

    @classmethod
    def full(cls) -> Scale:
        """The figures that are published."""
        sizes = (4 * KIB, MIB, 32 * MIB, 256 * MIB, 1024 * MIB)
        return cls(sizes, 768 * MIB, 150 * MIB, 1000, 5, 256 * MIB, 1024 * MIB)

    @classmethod
    def quick(cls) -> Scale:
        """A try-out in about two minutes; its ratios are not the published ones."""
        return cls((4 * KIB, 32 * MIB), 96 * MIB, 60 * MIB, 200, 3, 32 * MIB, 32 * MIB)


@dataclass(frozen=True)
class Variant:
    """One client doing one task; the warm-up opens its connections."""

    client: str
    task: Task
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.label or self.client


@dataclass(frozen=True)
class Scenario:
    """Variants that are measured in turn, over one network."""

    name: str
    title: str
    variants: tuple[Variant, ...]
    rtt_ms: float = 0.0
    rate_mbps: float = 0.0
    # against the package's local service instead of the sink
    on_emulator: bool = False
    # how often; 0: as the scale says
    samples: int = 0


UNCHECKED = "cosv4fs (checksum=False)"
"""Without hashing a file before it is sent; the other clients do not hash it as a whole either."""
UNVERIFIED = "cosv4fs (verify_downloads='never')"
"""Without comparing what was read with its SHA-1, as the other clients do."""
_PEERS = ("cosv4fs", "s3fs", "obstore.fsspec")
_BARE = ("put_file", "write", "get_file", "cat_file")
_LARGE = ("put_file", "write", "get_file", "cat_file", "read")
_SMALL = ("put_many", "get_many", "cat_many", "info_many")


def _size(number: int) -> str:
    for unit, name in ((1024 * MIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if number >= unit:
            return f"{number // unit} {name}"
    return f"{number} B"


def _raw(scale: Scale) -> Iterator[Scenario]:
    for operation, size in (("slices", SLICE), ("ranges", RANGE)):
        for threads in (1, 4, 8):
            task = Task(operation, size, scale.memory // size // 2 + threads, threads)
            variants = tuple(Variant(client, task) for client in ("http.client", "cosv4fs"))
            title = f"{operation} of {_size(size)}, {threads} thread{'s' * (threads > 1)}"
            yield Scenario("raw", title, variants, samples=2 * scale.samples)


def _vendor(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_file", "get_file", "cat_file"):
        task = Task(operation, scale.emulator)
        variants = [Variant(client, task) for client in ("cosv4fs (emulator)", "qcloud_cos_py3")]
        if operation == "put_file":
            variants.append(Variant("cosv4fs (emulator)", task, {"checksum": False}, UNCHECKED))
        title = f"{operation} {_size(scale.emulator)} on the local service"
        yield Scenario("vendor", title, tuple(variants), on_emulator=True)


def _peers(scale: Scale) -> Iterator[Scenario]:
    for size in scale.large:
        for operation in _LARGE:
            task = Task(operation, size)
            variants = [Variant(client, task) for client in _PEERS]
            if operation in _BARE:
                variants.append(Variant("obstore", task))
            if operation == "put_file":
                variants.append(Variant("cosv4fs", task, {"checksum": False}, UNCHECKED))
            if operation == "read":
                variants.append(Variant("cosv4fs", task, {"verify_downloads": "never"}, UNVERIFIED))
            if operation == "write":
                unsized = Task("write_unsized", size)
                variants.append(Variant("cosv4fs", unsized, label="cosv4fs (no size=)"))
                streaming = Task("write_streaming", size)
                variants.append(Variant("cosv4fs", streaming, label="cosv4fs (no size=, streaming)"))
            samples = max(3, scale.samples - 1) if size > 512 * MIB else 0
            yield Scenario("peers", f"{operation} {_size(size)}", tuple(variants), samples=samples)


def _small(scale: Scale) -> Iterator[Scenario]:
    for operation in _SMALL:
        task = Task(operation, 4 * KIB, scale.small)
        variants = tuple(Variant(client, task) for client in _PEERS)
        yield Scenario("small", f"{operation} {scale.small} x 4 KiB", variants)


def _concurrency(scale: Scale) -> Iterator[Scenario]:
    size = min(256 * MIB, scale.memory)
    for operation in ("put_file", "get_file"):
        variants = tuple(
            Variant("cosv4fs", Task(operation, size), {"max_concurrency": number}, f"concurrency {number}")
            for number in (1, 2, 4, 8, 12, 16, 32)
        )
        yield Scenario("concurrency", f"{operation} {_size(size)} by concurrency", variants)


def _wan(scale: Scale) -> Iterator[Scenario]:
    for rtt in (10.0, 30.0, 80.0):
        for operation in ("put_file", "write", "get_file", "read") if rtt == 30.0 else ("put_file", "get_file"):
            variants = [
                Variant("cosv4fs", Task(operation, scale.wan), {"max_concurrency": number}, f"cosv4fs, {number}")
                for number in (12, 16)
            ]
            if operation == "put_file":
                variants += [
                    Variant(
                        "cosv4fs", it.task, {**it.options, "checksum": False}, it.name.replace("cosv4fs", UNCHECKED)
                    )
                    for it in variants
                ]
            if rtt == 30.0:
                # the peers read one piece after the other: their rate does not depend on the size
                size = scale.wan_slow if operation == "read" else scale.wan
                variants += [Variant(client, Task(operation, size)) for client in _PEERS[1:]]
            title = f"{operation} {_size(scale.wan)}, {rtt:.0f} ms"
            yield Scenario("wan", title, tuple(variants), rtt, WAN_RATE, samples=max(2, scale.samples - 1))


def _wan_small(scale: Scale) -> Iterator[Scenario]:
    for operation in ("put_many", "get_many", "cat_many"):
        task = Task(operation, 4 * KIB, scale.small)
        variants = tuple(Variant(client, task) for client in (_PEERS if operation == "put_many" else _PEERS[:2]))
        title = f"{operation} {scale.small} x 4 KiB, 30 ms"
        yield Scenario("wan-small", title, variants, 30.0, WAN_RATE, samples=max(2, scale.samples - 1))


SCENARIOS: dict[str, Callable[[Scale], Iterator[Scenario]]] = {
    "raw": _raw,
    "vendor": _vendor,
    "peers": _peers,
    "small": _small,
    "concurrency": _concurrency,
    "wan": _wan,
    "wan-small": _wan_small,
}
"""What ``--only`` can name."""
