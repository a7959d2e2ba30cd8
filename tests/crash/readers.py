"""What readers see while others write or have died: every object whole, and nothing that is hidden."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable
from typing import Any

import fsspec
from typing_extensions import Self

from cosv4fs import paths
from cosv4fs.api import CofferClient
from tests.crash.operations import CHANGING, Operation
from tests.crash.processes import Server
from tests.processes import TIMEOUT

_PATIENT = 100
"""How often a read is begun anew because the object was replaced meanwhile."""


def fresh(server: Server, **options: Any) -> Any:
    """Return a filesystem that knows nothing yet, and reads large objects in several ranges."""
    given = {"range_size": 256 * 1024, "use_listings_cache": False, **options}
    return fsspec.filesystem(server.protocol, **server.options, **given, skip_instance_cache=True)


def read(fs: Any, path: str) -> bytes | None:
    """Return the whole content of a file, None where there is none."""
    for turn in range(_PATIENT):
        try:
            if turn % 2:
                with fs.open(path, "rb") as file:
                    content: bytes = file.read()
                return content
            whole: bytes = fs.cat_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        else:
            return whole
    raise AssertionError(f"{path} never stands still")


def look(fs: Any, operation: Operation) -> list[str]:
    """Read all paths, and list everything; return what no reader may see."""
    wrong = []
    for source, target in operation.moves.items():
        # in this order: who finds nothing at the source comes after the move
        if read(fs, source) is None and read(fs, target) != operation.after[target]:
            wrong.append(f"{source} is neither there nor at {target}")
    for path in operation.paths:
        content = read(fs, path)
        if content not in operation.allowed(path):
            wrong.append(f"a reader of {path} got {_shape(content)}, not {_shapes(operation.allowed(path))}")
    sizes = listed(fs, operation)
    for path, size in sizes.items():
        if size not in [len(content) for content in operation.allowed(path) if content is not None]:
            wrong.append(f"{path} is listed, with {size} bytes")
    always = operation.before.keys() & operation.after.keys()
    return wrong + [f"{path} is not listed" for path in sorted(always - sizes.keys())]


def listed(fs: Any, operation: Operation) -> dict[str, int]:
    """Return the size of every file that `find`, `ls` or `glob` shows below an operation's folder, by path."""
    folder = operation.folder
    infos: list[dict[str, Any]] = list(fs.find(folder, detail=True).values())
    infos += fs.glob(f"{folder}/**", detail=True).values()
    for parent in {path.rpartition("/")[0] for path in operation.paths}:
        try:
            infos += fs.ls(parent)
        except FileNotFoundError:
            continue
    return {info["name"]: info["size"] for info in infos if info["type"] == "file"}


def everything(fs: Any, folder: str) -> dict[str, Any]:
    """Return all that the service lists below a directory, hidden things too: entries by path."""
    bucket, key = paths.directory_key(folder)
    found: dict[str, Any] = {}
    if isinstance(fs.client, CofferClient):
        # what is unfinished is not listed here
        return {f"{bucket}{entry.key}": entry for entry in fs.client.list(bucket, key)}
    try:
        entries = list(fs.client.list(bucket, key))
    except FileNotFoundError:
        return found
    for entry in entries:
        path = f"{folder}/{entry.name}"
        if entry.is_directory:
            found |= everything(fs, path)
        else:
            found[path] = entry
    return found


def _shape(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes {content[:4].hex()}…"


def _shapes(contents: Iterable[bytes | None]) -> str:
    return " or ".join(_shape(content) for content in contents)


class Reader:
    """A reader in a thread: it reads everything again after each request that changes something.

    The server's log tells when to look. `looks` counts how often everything was seen, `interrupted` how often the
    service was gone meanwhile; `failures` are what no reader may see.
    """

    def __init__(self, server: Server, operation: Operation) -> None:
        self._server, self._operation = server, operation
        self._stop = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.looks = self.interrupted = 0
        self.failures: list[str] = []

    def _changes(self) -> int:
        return sum(event.get("op") in CHANGING for event in self._server.events)

    def _watch(self) -> None:
        changed, seen = self._server.changed, -1
        while True:
            with changed:
                changed.wait_for(lambda known=seen: self._stop or self._changes() != known)  # type: ignore[misc]
                if self._stop:
                    return
                seen = self._changes()
            try:
                # a service that is gone or stands still is what the others wait for: nobody waits for this reader
                self.failures += look(fresh(self._server, max_retries=0, read_timeout=5.0), self._operation)
                self.looks += 1
            except (ConnectionError, TimeoutError):
                self.interrupted += 1
            except Exception as error:
                self.failures.append(f"a reader got {type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._server.changed:
            self._stop = True
            self._server.changed.notify_all()
        self._thread.join(TIMEOUT)
        if self._thread.is_alive():
            self.failures.append("a reader hangs")
