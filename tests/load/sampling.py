"""What two processes hold, looked at from outside through /proc, and whether it grows."""

from __future__ import annotations

import ctypes
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024

REST_ALLOWED = 48 * MIB
"""Bytes of memory that a process may keep, beyond those of the beginning, when everything is closed."""


@dataclass(frozen=True)
class Held:
    """What one process holds."""

    rss: int
    # open descriptors, those of them that are sockets, and threads
    fds: int
    sockets: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """One look at everything."""

    seconds: float
    client: Held
    service: Held
    # files in the client's folders for temporary files, spools and the journal
    files: int
    # bytes on disk below the service's folder, and those of its database
    disk: int
    database: int


ALLOWED = {"rss": (24 * MIB, 0.10), "fds": (24, 0.10), "sockets": (24, 0.10), "threads": (24, 0.10)}
"""Growth that is taken for flat: at least so much, or this part of what was there."""

_MALLOPT = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 128 * 1024),
    "MALLOC_MMAP_THRESHOLD_": (-3, 128 * 1024),
    "MALLOC_ARENA_MAX": (-8, 2),
}
"""By the name in the environment: the number for mallopt, and the value."""

PLAIN_MEMORY = {name: str(value) for name, (_, value) in _MALLOPT.items()}
"""The environment of a process whose RSS tells what it uses: see `use_plain_memory`."""


def held_by(pid: int) -> Held:
    """Look at a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kinds = []
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            try:
                kinds.append(os.readlink(entry.path))
            except FileNotFoundError:
                # closed meanwhile
                continue
    # the descriptor of this very look is among one's own
    count = len(kinds) - any(kind.startswith("/proc/") and kind.endswith("/fd") for kind in kinds)
    sockets = sum(kind.startswith("socket:") for kind in kinds)
    return Held(int(status["VmRSS"].split()[0]) * 1024, count, sockets, int(status["Threads"]))


def growth(values: Sequence[float], allowed: tuple[float, float]) -> str | None:
    """Say how a series grows from its second to its last quarter; None when it is flat.

    The first quarter is warm-up. Medians do not care about single peaks.

    `allowed`: how much more the last quarter may have: so much, or this part of the second quarter, whichever is more.
    Fewer than eight values say nothing.
    """
    if len(values) < 8:
        raise ValueError("eight values at least")
    quarter = len(values) // 4
    early, late = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
    limit = max(allowed[0], early * allowed[1])
    return None if late - early <= limit else f"from {early:,.0f} to {late:,.0f}, allowed are {limit:,.0f} more"


def count_files(*folders: Path) -> int:
    """Return how many files there are below some folders."""
    return sum(len(names) for folder in folders for _, _, names in os.walk(folder))


def stored_bytes(root: Path) -> tuple[int, int]:
    """Return the bytes on disk below the service's folder, hard links counted once, and those of its database."""
    sizes: dict[int, int] = {}
    database = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                status = (Path(folder) / name).stat()
            except FileNotFoundError:
                # removed meanwhile
                continue
            sizes[status.st_ino] = status.st_blocks * 512
            if name.startswith("emulator.sqlite"):
                database += status.st_size
    return sum(sizes.values()), database


def use_plain_memory() -> None:
    """Have the allocator of this process (glibc) give large memory back at once, so that RSS tells what is used."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        for name, value in _MALLOPT.values():
            adjust(name, value)


def trim_memory() -> None:
    """Have the allocator give back what nobody uses, where it can (glibc): what then remains is used."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
