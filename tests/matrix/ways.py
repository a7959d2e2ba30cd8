"""The ways to write an object, and the sizes that make a difference."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec

from cosv4fs.emulator import Emulator
from tests.support import taken

__all__ = ["BUCKET", "CREATING", "LIMIT", "MIB", "OPTIONS", "SIZES", "WAYS", "Bench", "content"]

BUCKET = "box"
KIB, MIB = 1024, 1024 * 1024
LIMIT = 512 * KIB
"""Bytes that go up in one request at most, and in one slice unless the service decides otherwise."""

OPTIONS = {
    "slice_size": LIMIT,
    "single_upload_limit": LIMIT,
    "spool_memory": MIB,
    "range_size": 256 * KIB,
    "max_concurrency": 4,
    "max_requests": 8,
}
"""Options that make small objects behave like large ones."""

SIZES = {
    "one request": (0, 1, 1000, LIMIT - 1, LIMIT),
    "slices": (LIMIT + 1, MIB, MIB + LIMIT + 7),
    "large": (2 * MIB + LIMIT + 5,),
}
"""Sizes in bytes, by what is special about them."""


@lru_cache(64)
def content(size: int, seed: int = 0) -> bytes:
    """Return bytes that look like nothing else."""
    return random.Random(seed).randbytes(size)


class Bench:
    """Where a test works: an emulator, a folder of its own, and filesystems with the options of `OPTIONS`.

    Parameters
    ----------
    emulator : Emulator
        Running.
    folder : Path
        For local files and the journal.
    protocol : str
        Of the filesystems.
    """

    def __init__(self, emulator: Emulator, folder: Path, protocol: str = "cosv4") -> None:
        self.protocol = protocol
        self.emulator, self.folder = emulator, folder
        self.journal = folder / "journal"

    def options(self, **more: Any) -> dict[str, Any]:
        """Return what makes a filesystem, changed by `more`."""
        return {**self.emulator.storage_options, **OPTIONS, "journal_dir": str(self.journal), **more}

    def fs(self, **more: Any) -> Any:
        """Return a filesystem; other options make one with connections, threads and caches of its own.

        Options that the protocol refuses are left out: there it is the usual way.
        """
        return fsspec.filesystem(self.protocol, **self.options(**taken(self.protocol, more)))

    def local(self, data: bytes, name: str = "local") -> str:
        """Write a local file and return its path."""
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


Way = Callable[[Bench, str, bytes], object]


def _open(mode: str = "wb", sized: bool = False, **options: Any) -> Way:
    def write(bench: Bench, path: str, data: bytes) -> None:
        size = {"size": len(data)} if sized else {}
        with bench.fs(**options).open(path, mode, **size) as file:
            for start in range(0, len(data), 100_000):
                file.write(data[start : start + 100_000])

    return write


def _text(bench: Bench, path: str, data: bytes) -> None:
    with bench.fs().open(path, "w", encoding="latin-1", newline="") as file:
        file.write(data.decode("latin-1"))


def _by_url(bench: Bench, path: str, data: bytes) -> None:
    with fsspec.open(f"{bench.protocol}://{path}", "wb", **bench.options()) as file:
        file.write(data)


WAYS: dict[str, Way] = {
    "pipe file": lambda bench, path, data: bench.fs().pipe_file(path, data),
    "pipe": lambda bench, path, data: bench.fs().pipe({path: data}),
    "put file": lambda bench, path, data: bench.fs().put_file(bench.local(data), path),
    "put": lambda bench, path, data: bench.fs().put(bench.local(data), path),
    "open": _open(),
    "open sized": _open(sized=True),
    "open as text": _text,
    "open by URL": _by_url,
    "spool": _open(streaming="never"),
    "stream": _open(streaming="always"),
    "one by one": _open(sized=True, max_concurrency=1),
    "no checksum": lambda bench, path, data: bench.fs(checksum=False).pipe_file(path, data),
    "instant": lambda bench, path, data: bench.fs(instant_upload=True).pipe_file(path, data),
}
"""Every way to write an object that replaces one that is there."""

CREATING: dict[str, Way] = {
    "pipe file": lambda bench, path, data: bench.fs().pipe_file(path, data, mode="create"),
    "put file": lambda bench, path, data: bench.fs().put_file(bench.local(data), path, mode="create"),
    "open": _open("xb"),
    "open sized": _open("xb", sized=True),
    "instant": lambda bench, path, data: bench.fs(instant_upload=True).pipe_file(path, data, mode="create"),
}
"""Every way to write an object only where none is."""
