"""The process that is killed: ``python -m tests.crash.child OPTIONS`` does with a filesystem what it is told.

It reads one task per line from standard input, says ``ready``, waits for a further line, says ``began``, and tells at
last what became of it. All lines are JSON.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

CHUNK = 300_000
"""Bytes per `write`: no divisor of a slice."""


def _write(fs: Any, local: str, path: str, mode: str = "wb", size: int | None = None) -> None:
    content = memoryview(Path(local).read_bytes())
    with fs.open(path, mode, **({} if size is None else {"size": size})) as file:
        for start in range(0, len(content), CHUNK):
            file.write(content[start : start + CHUNK])


def _write_sized(fs: Any, local: str, path: str, mode: str = "wb") -> None:
    _write(fs, local, path, mode, Path(local).stat().st_size)


def _pipe_file(fs: Any, local: str, path: str, mode: str = "overwrite") -> None:
    fs.pipe_file(path, Path(local).read_bytes(), mode=mode)


def _transaction(fs: Any, tasks: list[tuple[str, str, bool]]) -> None:
    with fs.transaction:
        for local, path, sized in tasks:
            (_write_sized if sized else _write)(fs, local, path)


ACTIONS: dict[str, Callable[..., None]] = {
    "write": _write,
    "write sized": _write_sized,
    "pipe_file": _pipe_file,
    "transaction": _transaction,
}
"""What can be done beside the filesystem's own methods: called with the filesystem and the task's arguments."""


def say(**message: Any) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def halt_at(name: str, nth: int) -> None:
    """Make the process stand still, for ever, when a method of `Path` is about to be called for the nth time."""
    original, calls = getattr(Path, name), iter(range(1, sys.maxsize))

    def method(self: Path, *args: Any, **kwargs: Any) -> Any:
        if next(calls) == nth:
            say(halted=name)
            while True:
                signal.pause()
        return original(self, *args, **kwargs)

    setattr(Path, name, method)


def run(fs: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Do a task and return what became of it."""
    action = ACTIONS.get(task["action"])
    try:
        if action is not None:
            action(fs, *task["arguments"])
        else:
            getattr(fs, task["action"])(*task["arguments"], **task["keywords"])
    except Exception as error:
        number = errno.errorcode.get(getattr(error, "errno", 0) or 0)
        named = getattr(error, "filename", None)
        trace = traceback.format_exc()
        return {"error": type(error).__name__, "errno": number, "filename": named, "trace": trace}
    return {"error": None, "errno": None, "filename": None, "trace": ""}


def main() -> None:
    """Do tasks until standard input ends."""
    options = json.loads(sys.argv[1])
    fs = fsspec.filesystem(options.pop("protocol", "cosv4"), **options)
    for line in sys.stdin:
        task = json.loads(line)
        if task.get("halt"):
            halt_at(*task["halt"])
        say(ready=True)
        if not sys.stdin.readline():
            return
        say(began=True)
        say(outcome=run(fs, task))


if __name__ == "__main__":
    main()
