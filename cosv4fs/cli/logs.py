"""How much the command logs, and where: ``--verbose``, ``--quiet`` and ``--log-file``.

The log has the records of the library and what the command prints on stderr. It is shown on stderr, or with
``--log-file`` appended to that file; then stderr has its warnings and errors only.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from copy import copy
from functools import partial
from typing import IO, Any

import click

from cosv4fs.cli.output import log, print_message, printable
from cosv4fs.portability import open_private

QUIET, NORMAL, VERBOSE, DEBUG = -1, 0, 1, 2
"""How much is told: errors; warnings and results; retries and resumed uploads, too; every request, too."""

_LEVELS = {QUIET: logging.ERROR, NORMAL: logging.WARNING, VERBOSE: logging.INFO}

_SECRET = re.compile(
    r"([?&][^=&\s\"]*(?:sign|sig|token|key|secret|credential|auth)[^=&\s\"]*=)[^&\s\"]+", re.IGNORECASE
)
"""Credentials in the query of a URL."""

_library = logging.getLogger("cosv4fs")


def start_log(context: click.Context, verbosity: int, file: str | None) -> None:
    """Log on stderr, or in a file, while the command runs.

    Of other packages only warnings are logged, because some log headers with signatures.

    Raises
    ------
    OSError
        The file cannot be opened for appending.
    """
    level = _LEVELS.get(verbosity, logging.DEBUG)
    shown = _Stderr()
    shown.setFormatter(_OneLine("%(name)s: %(message)s"))
    shown.setLevel(level if file is None else max(level, logging.WARNING))
    # printed anyway
    shown.addFilter(lambda record: record.name != log.name)
    handlers: list[logging.Handler] = [shown]
    if file is not None:
        level = min(level, logging.INFO)
        handlers.append(_file_handler(context, file, level))
    context.call_on_close(partial(_library.setLevel, _library.level))
    _library.setLevel(level)
    root = logging.getLogger()
    for handler in handlers:
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith(_library.name))
        root.addHandler(handler)
        context.call_on_close(partial(root.removeHandler, handler))


def _file_handler(context: click.Context, file: str, level: int) -> logging.Handler:
    try:
        stream = open(file, "a", encoding="utf-8", errors="backslashreplace", opener=open_private)  # noqa: SIM115
    except OSError as error:
        raise type(error)(error.errno, f"the log file cannot be written: {error.strerror}", file) from None
    context.call_on_close(partial(_close, stream))
    handler = _LogFile(stream)
    handler.setLevel(level)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _close(stream: IO[str]) -> None:
    # on a full disk, what is left in the buffer fails again
    with suppress(OSError):
        stream.close()


class _LogFile(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 takes no argument
    """Appends records to a file, and says once, on stderr, that it cannot."""

    _has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            print_message(f"cosv4fs: {self.stream.name}: the log file cannot be written: {error.strerror}")


class _Stderr(logging.Handler):
    """Prints records on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        print_message(self.format(record))


class _OneLine(logging.Formatter):
    """Formats a record as one line, and a traceback as indented lines, without control characters and signatures.

    File names and server messages are untrusted: they could otherwise forge records.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
        # the text that the formatter of another handler has cached is not escaped
        record.exc_text = None
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(_SECRET.sub(r"\1…", super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))
