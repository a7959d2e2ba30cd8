"""Where steps happen: a filesystem, a second one that shares nothing with it, and the model of one directory."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path
from typing import Any

import fsspec

from cosv4fs.api.retry import RetryPolicy
from cosv4fs.errors import CosFileNotFoundError, CosIsADirectoryError
from tests.model.state import Content, State
from tests.support import elsewhere

__all__ = ["BEYOND", "BUCKET", "OPTIONS", "World", "hurry", "look_in_from_outside"]

BUCKET, BEYOND = "model", "beyond"
KIB = 1024

OPTIONS = {
    "slice_size": 512 * KIB,
    "single_upload_limit": 64 * KIB,
    "range_size": 64 * KIB,
    "spool_memory": 128 * KIB,
    "max_concurrency": 4,
    "max_requests": 4,
    "max_retries": 3,
    "read_timeout": 30.0,
}
"""Small limits, so that small contents travel in every way there is."""


def hurry(fs: Any) -> Any:
    """Let the filesystem's runtime of this process wait for nothing between attempts; return the filesystem."""
    config = fs.config
    fs.client._policy = RetryPolicy(config.max_retries, config.retry_deadline, sleep=lambda seconds: None)
    return fs


def look_in_from_outside(storage_options: dict[str, Any]) -> Any:
    """Return a filesystem that remembers nothing and has a runtime of its own."""
    return hurry(fsspec.filesystem("cosv4", **elsewhere(storage_options), use_listings_cache=False, max_requests=2))


class World:
    """One directory of a bucket, the two filesystems that look at it, and what should be in it.

    Parameters
    ----------
    fs, second : CosV4FileSystem
        The one that is tested, and the one that looks whether it was right.
    root : str
        ``bucket/dir``: nobody else writes below it.
    scratch : Path
        A local folder.
    exact_folders : bool
        False where the service forgets empty directories by itself.
    emulator : Emulator, optional
        The service, for steps that order faults themselves; not in another process.

    Attributes
    ----------
    disturbed : bool
        Whether the latest step met a fault.
    is_lost : bool
        Whether something was found: then there is nothing to compare any more.
    latest : deque
        The latest steps and what went wrong with them, for messages.
    """

    def __init__(
        self, fs: Any, second: Any, root: str, scratch: Path, *, exact_folders: bool = True, emulator: Any = None
    ) -> None:
        self.fs, self.second, self.root, self.scratch = fs, second, root, scratch
        self.exact_folders, self.emulator = exact_folders, emulator
        self.state = State()
        self.disturbed = self.is_lost = False
        self.latest: deque[tuple[Any, Any]] = deque(maxlen=6)
        self._numbers = 0
        scratch.mkdir(parents=True, exist_ok=True)
        fs.makedirs(root, exist_ok=True)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def name(self, path: str) -> str:
        """Return the name of a path below the root."""
        assert path == self.root or path.startswith(self.root + "/"), path
        return path[len(self.root) + 1 :]

    def beyond(self) -> str:
        """Return a path in the other bucket that nothing stands at."""
        self._numbers += 1
        return f"{BEYOND}/{self.root.partition('/')[2]}/{self._numbers}"

    def local(self) -> Path:
        """Return a local path that nothing stands at."""
        self._numbers += 1
        return self.scratch / str(self._numbers)

    def local_file(self, content: Content) -> Path:
        """Return a local file of that content: each time the same one, so that an upload of it can be continued."""
        path = self.scratch / f"{content.seed}-{content.size}"
        if not path.exists():
            path.write_bytes(content.data)
        return path

    def seen(self, instance: Any) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Return infos of files and names of directories as one of the filesystems finds them."""
        found = instance.find(self.root, withdirs=True, detail=True)
        files = {self.name(path): info for path, info in found.items() if info["type"] == "file"}
        return files, {self.name(path) for path, info in found.items() if info["type"] == "directory"} - {""}

    def bytes_of(self, name: str, instance: Any = None) -> bytes | None:
        """Return the content of the file at a name, None where there is none."""
        try:
            data: bytes = (instance or self.second).cat_file(self.path(name))
        except (CosFileNotFoundError, CosIsADirectoryError):
            return None
        return data

    def hidden(self, folder: str = "") -> set[str]:
        """Return names with unfinished uploads, or hidden files of dead ones, below a directory."""
        try:
            return {self.name(upload["name"]) for upload in self.second.uploads(self.path(folder))}
        except CosFileNotFoundError:
            return set()

    def compare(self, instance: Any, *, thoroughly: bool = False) -> None:
        """Assert that a filesystem shows the state of the model, contents included when asked."""
        files, folders = self.seen(instance)
        state = self.state
        shown = {(name, info["size"]) for name, info in files.items()}
        expected = {(name, len(data)) for name, data in state.files.items()}
        who = "the first" if instance is self.fs else "the second"
        assert shown == expected, f"{who} lists {shown - expected} and not {expected - shown}"
        if self.exact_folders:
            surplus, missing = folders - state.folders, state.folders - folders
            assert not surplus | missing, f"{who} lists directories {surplus} and not {missing}"
        for name, info in files.items():
            data = state.files[name]
            digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            assert info["sha"] in (None, digest) or not data, f"another content at {name}"
            if thoroughly or info["sha"] is None:
                assert self.bytes_of(name, instance) == data, f"another content at {name}"
