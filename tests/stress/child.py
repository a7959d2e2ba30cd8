"""One process of a scenario: ``python -m tests.stress.child NAME JSON``. Its last line says what was done."""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
import time
from collections import Counter
from typing import Any


class Life:
    """What a process was told, how long it still has, and the watch over it.

    `given`: ``seed``, ``seconds``, ``threads``, ``patience`` and ``options`` of the filesystem.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.seed, self.threads, self.patience = given["seed"], given["threads"], given["patience"]
        self.options = {**given["options"], "skip_instance_cache": True}
        self.counts: Counter[str] = Counter()
        self._end = time.monotonic() + given["seconds"]

    def progress(self) -> None:
        """Say that something was done: the process ends when it says so no more."""
        # a thread in C watches, which needs nothing of the interpreter
        faulthandler.dump_traceback_later(self.patience, exit=True)

    @property
    def goes_on(self) -> bool:
        """Whether there is time left, or nothing was done yet: on a busy machine the start may take all of it."""
        return not self.counts or time.monotonic() < self._end


def main() -> int:
    """Live one scenario; return 1 when something was wrong."""
    name, given = sys.argv[1:]
    life = Life(json.loads(given))
    life.progress()
    importlib.import_module(f"tests.stress.{name}").run(life)
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(life.counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
