"""What is written to standard error: lines that untrusted names cannot break, and that a log file gets, too."""

from __future__ import annotations

import logging
import sys

import click

from cosv4fs.cli.output import printable

log = logging.getLogger("cosv4fs.command")
"""Has what the command prints on standard error; only log files show its records."""

# logging would print records that no handler takes, before there is one
log.addHandler(logging.NullHandler())


def print_message(text: str) -> None:
    """Print a line on standard error, above the progress bar if there is one."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
    else:
        click.echo(text, err=True)


def print_error(text: str) -> None:
    """Print an error, prefixed with the name of the command."""
    context = click.get_current_context(silent=True)
    line = f"{context.command_path if context else 'cosv4fs'}: {printable(text)}"
    log.error("%s", line)
    print_message(line)
