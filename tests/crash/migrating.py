"""The command ``cosv4fs`` in a process that is to be killed: ``python -m tests.crash.migrating MOMENT ARGUMENTS…``.

MOMENT is JSON: what is counted, which of them, and whether the process stands still there (``before`` or ``after`` it)
or goes on (``seen``). Lines of JSON go to standard output: ``reached`` at the moment, ``code`` at the end.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from cosv4fs.cli import main as command
from cosv4fs.migrate import migration
from cosv4fs.migrate.copying import BLOCK
from cosv4fs.migrate.manifest import Manifest

PLACES: dict[str, tuple[type[Any], str, Callable[..., bool]]] = {
    "page": (Manifest, "list_page", lambda *_, **__: True),
    "listed": (Manifest, "end_listing", lambda *_, **__: True),
    "begin": (Manifest, "begin", lambda *_, **__: True),
    "record": (Manifest, "record", lambda *_, **__: True),
    # whole blocks are those of large files
    "block": (migration.ByteProgress, "relative_update", lambda _self, size=1: size == BLOCK),
}
"""What can be counted: calls of methods, where their arguments fit."""


def watch(kind: str, nth: int, how: str, say: Callable[..., None]) -> None:
    """Have the nth call tell of itself, and stand still unless it is only to be seen."""
    owner, name, fits = PLACES[kind]
    original, calls = getattr(owner, name), itertools.count(1)

    def reached() -> None:
        say(reached=True)
        if how != "seen":
            threading.Event().wait()

    def method(*args: Any, **kwargs: Any) -> Any:
        is_it = fits(*args, **kwargs) and next(calls) == nth
        if is_it and how == "before":
            reached()
        result = original(*args, **kwargs)
        if is_it:
            reached()
        return result

    setattr(owner, name, method)


def main() -> None:
    """Run the command."""
    events = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(**message: Any) -> None:
        os.write(events, (json.dumps(message) + "\n").encode())

    moment = json.loads(sys.argv[1])
    if moment:
        watch(*moment, say)
    say(code=command(sys.argv[2:]))


if __name__ == "__main__":
    main()
