"""The log that ``--debug`` prints."""

from __future__ import annotations

import logging
import re
import sys
from functools import partial
from typing import Any

import click

from cosv4fs.cli.output import printable

_SECRET = re.compile(
    r"([?&][^=&\s\"]*(?:sign|sig|token|key|secret|credential|auth)[^=&\s\"]*=)[^&\s\"]+", re.IGNORECASE
)
"""Credentials in the query of a URL."""


class _OneLine(logging.Formatter):
    """Formats a record as one line, and a traceback as indented lines, without control characters and signatures.

    File names and server messages are untrusted: they could otherwise forge records.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(_SECRET.sub(r"\1…", super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


def log_requests(context: click.Context) -> None:
    """Log requests and the messages of this package on stderr while the command runs.

    Loggers of other filesystem packages stay off, because some log headers with signatures.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(name)s: %(message)s"))
    for name in ("urllib3.connectionpool", "cosv4fs"):
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        context.call_on_close(partial(logger.setLevel, before))
        context.call_on_close(partial(logger.removeHandler, handler))
