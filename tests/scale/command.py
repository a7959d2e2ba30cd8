"""The command with a filesystem that discards what is written: ``python -m tests.scale.command ARGUMENTS``.

Its URLs begin with ``discard://``. Everything is a success, and nothing exists but what was written last.
"""

from __future__ import annotations

import errno
import io
import sys
import threading
from typing import Any

from fsspec import register_implementation
from fsspec.spec import AbstractFileSystem

from cosv4fs.cli import main

_mutex = threading.Lock()
"""For changes of what is kept, by files of all threads."""


class DiscardFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Keeps the sizes of the last files only."""

    protocol = "discard"
    root_marker = "/"
    _sizes: dict[str, int] = {}  # noqa: RUF012 - shared by the instances of all threads

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return nothing: a directory is empty."""
        if path.count("/") > 1:
            raise FileNotFoundError(errno.ENOENT, "discarded", path)
        return []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size of a file that was just written."""
        path = self._strip_protocol(path)
        if path in self._sizes:
            return {"name": path, "type": "file", "size": self._sizes[path]}
        if path.count("/") > 1:
            raise FileNotFoundError(errno.ENOENT, "discarded", path)
        return {"name": path, "type": "directory", "size": 0}

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing."""

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return _Discarded(self._sizes, path)


class _Discarded(io.BytesIO):
    """A file of which only the size is kept."""

    def __init__(self, sizes: dict[str, int], path: str) -> None:
        super().__init__()
        self._kept, self._path = sizes, path

    def close(self) -> None:
        """Keep the size."""
        if not self.closed:
            with _mutex:
                self._kept[self._path] = self.tell()
                while len(self._kept) > 1000:
                    del self._kept[next(iter(self._kept))]
        super().close()


register_implementation("discard", DiscardFileSystem)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
