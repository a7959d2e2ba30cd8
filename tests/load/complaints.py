"""Everything that is reported besides the results: warnings, errors in finalizers and threads, log records."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MOST = 20
"""Of so many failures the text is kept."""


class Complaints(logging.Handler):
    """Collects what went wrong, from any thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.failures: list[str] = []
        self.count = 0
        self.abandoned = 0
        self._guard = threading.Lock()

    def add(self, text: str) -> None:
        """Note a failure."""
        with self._guard:
            self.count += 1
            if len(self.failures) < _MOST:
                self.failures.append(text)

    def add_error(self, what: str, error: BaseException) -> None:
        """Note an exception with its traceback."""
        self.add(f"{what}: " + "".join(traceback.format_exception(error)))

    def emit(self, record: logging.LogRecord) -> None:
        """Note a log record: nothing that a user should be warned of happens in a run."""
        self.add(f"logged by {record.name}: {record.getMessage()}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the whole process for the time of the block."""
        before = sys.unraisablehook, threading.excepthook, warnings.showwarning
        sys.unraisablehook = lambda fault: self.add(f"in a finalizer: {fault.exc_value!r} of {fault.object!r}")
        threading.excepthook = lambda fault: self.add(f"in thread {fault.thread}: {fault.exc_value!r}")
        logging.getLogger().addHandler(self)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.showwarning = self._warned
                yield
        finally:
            logging.getLogger().removeHandler(self)
            sys.unraisablehook, threading.excepthook, warnings.showwarning = before

    def _warned(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if "was never closed, and was not written" in str(message):
            # what `abandon` is about
            with self._guard:
                self.abandoned += 1
            return
        self.add(f"warning: {category.__name__}: {message}")
