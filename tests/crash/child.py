"""The process that is killed: ``python -m tests.crash.child OPTIONS`` does with a filesystem what it is told.

It reads one task per line from standard input, says ``ready``, waits for a further line, says ``began``, and tells at
last what the result was. All lines are JSON.
"""

from __future__ import annotations

import errno
import json
import pickle
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import fsspec

from tests.catalogue import CATALOGUE, Place
from tests.catalogue.writing import WAYS

CHUNK = 300_000
"""Bytes per `write`: no divisor of a slice."""


WRITING = {"write": "open", "write sized": "open sized", "pipe_file": "pipe_file"}
"""Ways of the catalogue to write the bytes of a local file, by the name of the action."""


def _write(way: str, fs: Any, local: str, path: str, mode: str) -> None:
    name, *more = WRITING[way].split()
    chosen = " ".join([name, *["create"] * (mode in ("xb", "create")), *more])
    WAYS[chosen].write(Place(fs, "", Path(local).parent), path, Path(local).read_bytes(), CHUNK)


def _act(fs: Any, action: str, arguments: list[Any], keywords: dict[str, Any]) -> None:
    """Carry out a step of the catalogue, write a local file, or call a method of the filesystem."""
    if action == "step":
        root, scratch, step = arguments
        CATALOGUE.call(Place(fs, root, Path(scratch)), pickle.loads(bytes.fromhex(step)))
    elif action in WRITING:
        _write(action, fs, *arguments)
    else:
        getattr(fs, action)(*arguments, **keywords)


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
    """Do a task and return its result."""
    try:
        _act(fs, task["action"], task["arguments"], task["keywords"])
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
