"""One process of a scenario: ``python -m tests.stress.child NAME JSON``. Its last line says what was done."""

from __future__ import annotations

import faulthandler
import importlib
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
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

    def work(self, unit: Callable[[int, random.Random], str], beside: Callable[[], None] | None = None) -> None:
        """Let threads repeat a unit of work, and this one another, until the time is over; raise their first error.

        A unit gets the thread's number and its own chance, and returns the name by which it is counted.
        """
        errors: list[BaseException] = []

        def repeat(number: int) -> None:
            choice = random.Random(f"{self.seed} {number}")
            try:
                while self.goes_on and not errors:
                    self.counts[unit(number, choice)] += 1
                    self.progress()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=repeat, args=(number,)) for number in range(self.threads)]
        for thread in threads:
            thread.start()
        try:
            while beside is not None and self.goes_on and not errors:
                beside()
                self.progress()
        except BaseException as error:
            errors.append(error)
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


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
