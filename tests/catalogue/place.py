"""Where an operation is carried out: a filesystem, one directory of a bucket, and a local folder."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Place:
    """A filesystem and the directory in which it works."""

    fs: Any
    # `bucket/dir`: all names are relative to it
    root: str
    scratch: Path
    # a directory in another bucket
    beyond: str = ""
    # a folder in `scratch` for what the current call fetches; empty: `scratch` itself
    turn: str = ""
    # called at the end of a transaction, before it publishes anything
    before_commit: Callable[[], None] = lambda: None

    def __truediv__(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    @property
    def protocol(self) -> str:
        """The protocol of the filesystem."""
        protocol = self.fs.protocol
        return protocol if isinstance(protocol, str) else str(protocol[0])

    @property
    def bucket(self) -> str:
        """The bucket, or the full name of the coffer."""
        return self.root.partition("/")[0]

    @property
    def beyond_path(self) -> str:
        """A path in the other bucket, which only the current call uses."""
        return f"{self.beyond}/{self.turn or 'x'}"

    def name(self, path: str) -> str:
        """Return the name of a path below the root."""
        assert path == self.root or path.startswith(self.root + "/"), path
        return path[len(self.root) + 1 :]

    def names(self, paths: Any) -> list[str]:
        """Return the names of several paths, in their order."""
        return [self.name(path) for path in paths]

    def local(self, name: str) -> Path:
        """Return a path in the local folder, whose parents exist."""
        path = self.scratch / self.turn / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def local_file(self, data: bytes) -> Path:
        """Return a local file with these bytes: the same one each time, so that an upload of it can be continued."""
        path = self.scratch / f"source-{len(data)}-{zlib.crc32(data):08x}"
        if not path.exists():
            self.scratch.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path
