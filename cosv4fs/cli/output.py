"""What is written to standard output, as lines or JSON, and to standard error, which a log file gets, too."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
from codecs import lookup
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from textwrap import indent
from typing import Any
from unicodedata import category

import click

from cosv4fs.cli.process import is_about_output, standard_output

log = logging.getLogger("cosv4fs.command")
"""Has what the command prints on standard error; only log files show its records."""

# logging would print records that no handler takes, before there is one
log.addHandler(logging.NullHandler())

_NOT_ASCII = re.compile(r"[^\n -~]")
"""Characters of a JSON document that may need an escape; those below the space are escaped already."""


def printable(text: str) -> str:
    """Escape terminal control characters, which untrusted file names may contain."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if _is_hidden(char) else char for char in text)


def quoted(text: str) -> str:
    """Quote an argument of a printed command line for the shell; Windows' cmd knows double quotes only."""
    result = shlex.quote(text)
    return f'"{text}"' if os.name == "nt" and result != text else result


def print_line(text: str) -> None:
    """Print a line; on a terminal, without control characters."""
    with standard_output():
        click.echo(writable(printable(text) if sys.stdout.isatty() else text))


def print_json(value: Any) -> None:
    """Print a value as a JSON document; see `json_text`."""
    with standard_output():
        click.echo(json_text(value, indented=2))


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


@contextmanager
def printing_json_array() -> Iterator[Callable[[Any], None]]:
    """Print a JSON array, and yield the function that prints one row of it; it is complete when the block ends."""
    count = 0

    def add(row: Any) -> None:
        nonlocal count
        with standard_output():
            text = ("," if count else "[") + "\n" + indent(json_text(row, indented=2), "  ")
            # first: an interrupt comes while it is flushed
            count += 1
            click.echo(text, nl=False)

    try:
        yield add
    finally:
        with standard_output():
            click.echo("\n]" if count else "[]")


def print_json_tree(
    rows: Iterable[tuple[int, dict[str, Any]]], row_of_error: Callable[[BaseException], dict[str, Any]]
) -> None:
    """Print rows as a nested JSON array, one row per line, as they come.

    Each row comes with its level. The rows after one that has an empty list ``children`` are printed in that list, as
    long as their level is deeper. An error that ends the rows becomes the last row of the outer array.
    """
    open_lists, is_first = 0, True
    with standard_output():
        try:
            click.echo("[", nl=False)
            for level, row in rows:
                closed = max(0, open_lists - level)
                open_lists, is_first = open_lists - closed, is_first and not closed
                text = json_text(row)
                has_children = row.get("children") == []
                text = text[: text.rindex("]")] if has_children else text
                before = "]}" * closed + ("" if is_first else ",") + "\n" + "  " * (open_lists + 1)
                open_lists, is_first = open_lists + has_children, has_children
                click.echo(before + text, nl=False)
        except (Exception, KeyboardInterrupt) as error:
            if not is_about_output(error):
                comma = "" if is_first and not open_lists else ","
                click.echo("]}" * open_lists + f"{comma}\n  {json_text(row_of_error(error))}\n]")
            raise
        click.echo("]}" * open_lists + "\n]")


def json_text(value: Any, *, indented: int | None = None) -> str:
    r"""Return a value as JSON; control characters, and what is not in an encoding, are written as ``\uXXXX``.

    JSON is exchanged in UTF-8. With any other encoding of standard output, all characters beyond ASCII are escaped, so
    that the document is the same in both.
    """
    is_utf8 = lookup(sys.stdout.encoding or "utf-8").name == "utf-8"

    def escaped(found: re.Match[str]) -> str:
        char = found[0]
        return char if is_utf8 and not _is_hidden(char) else json.dumps(char)[1:-1]

    return _NOT_ASCII.sub(escaped, json.dumps(value, ensure_ascii=False, indent=indented, default=str))


def _is_hidden(char: str) -> bool:
    return category(char).startswith(("C", "Zl", "Zp"))


def is_writable(text: str) -> bool:
    """Return whether standard output can encode a text; pipes and files on Windows have few characters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict")
    except UnicodeEncodeError:
        return False
    return True


def writable(text: str) -> str:
    """Escape what standard output cannot encode, such as local file names that are not UTF-8."""
    encoding = sys.stdout.encoding or "utf-8"
    return text if is_writable(text) else text.encode(encoding, "backslashreplace").decode(encoding)
