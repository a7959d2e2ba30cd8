"""The ways to write an object, and the sizes that make a difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

from cosv4fs.emulator import Emulator
from tests.catalogue import Place
from tests.catalogue import writing as catalogue
from tests.support import KIB, MIB, taken

BUCKET = "box"
PIECE = 100_000
"""Bytes per call of ``write``."""

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


class Bench:
    """Where a test works: an emulator, a folder of its own, and filesystems with the options of `OPTIONS`."""

    def __init__(self, emulator: Emulator, folder: Path, protocol: str = "cosv4") -> None:
        self.protocol = protocol
        self.emulator, self.folder = emulator, folder
        self.journal = folder / "journal"

    def options(self, **more: Any) -> dict[str, Any]:
        """Return what makes a filesystem, changed by `more`."""
        # a wrong SHA-1 is reported for slices that were sent without one
        mode = {"verify_downloads": "never"} if self.emulator.dialect.slice_sha == "other" else {}
        return {**self.emulator.storage_options, **OPTIONS, "journal_dir": str(self.journal), **mode, **more}

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


def _way(name: str, **options: Any) -> Way:
    """Return a way of the catalogue, on a filesystem with these options."""

    def write(bench: Bench, path: str, data: bytes) -> None:
        catalogue.WAYS[name].write(Place(bench.fs(**options), "", bench.folder), path, data, PIECE)

    return write


WAYS: dict[str, Way] = {
    "pipe file": _way("pipe_file"),
    "pipe": _way("pipe"),
    "put file": _way("put_file"),
    "put": _way("put"),
    "open": _way("open"),
    "open sized": _way("open sized"),
    "open as text": _way("open text"),
    "open by URL": _way("open by URL"),
    "spool": _way("open", streaming="never"),
    "stream": _way("open", streaming="always"),
    "one by one": _way("open sized", max_concurrency=1),
    "no checksum": _way("pipe_file", checksum=False),
    "instant": _way("pipe_file", instant_upload=True),
}
"""Every way to write an object that replaces an existing one."""

CREATING: dict[str, Way] = {
    "pipe file": _way("pipe_file create"),
    "put file": _way("put_file create"),
    "open": _way("open create"),
    "open sized": _way("open create sized"),
    "instant": _way("pipe_file create", instant_upload=True),
}
"""Every way to write an object only where none exists."""
