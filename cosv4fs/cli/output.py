"""What is written to standard output, as lines or JSON, and to standard error, which a log file gets, too."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
from codecs import lookup
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
def printing() -> Iterator[Callable[[str], object]]:
    """Yield the function that writes text into the buffer of standard output, and flush it at the end."""
    with standard_output():
        yield sys.stdout.write
        sys.stdout.flush()


class JsonWriter:
    """Prints one JSON document member by member, each on a line of its own; lists and objects may be nested.

    After an interrupt, the document can still be completed: what is known changes right before a text is in the buffer,
    and the time is spent before that, or flushing.

    Parameters
    ----------
    printing : callable
        Returns a context manager as `printing` does.
    """

    def __init__(self, printing: Callable[[], AbstractContextManager[Callable[[str], object]]] = printing) -> None:
        self._printing = printing
        # what ends the lists and objects that are open
        self._ends: tuple[str, ...] = ()
        self._is_first = True

    @property
    def is_open(self) -> bool:
        """Whether the document was begun and is not complete."""
        return bool(self._ends)

    @property
    def is_complete(self) -> bool:
        """Whether the document has ended."""
        return not (self._ends or self._is_first)

    def add(self, value: Any, name: str | None = None) -> None:
        """Print a member, in an object with its name."""
        self._next(json_text(value), name)

    def begin(self, opening: str, end: str, name: str | None = None) -> None:
        """Print the opening of a list or object, whose members follow until `end` is printed; see `close`."""
        self._next(opening, name, end)

    def close(self, depth: int = 0) -> None:
        """End what is open below a depth: 0 is the document, and 1 its members."""
        while len(self._ends) > depth:
            *rest, end = self._ends
            before = "" if self._is_first else _new_line(len(rest))
            self._print(before + end + ("" if rest else "\n"), tuple(rest), is_first=False)

    def _next(self, text: str, name: str | None, end: str | None = None) -> None:
        before = "" if self._is_first else ","
        if self._ends:
            before += _new_line(len(self._ends))
        if name is not None:
            before += f"{json_text(name)}: "
        ends = self._ends if end is None else (*self._ends, end)
        self._print(before + text, ends, is_first=end is not None)

    def _print(self, text: str, ends: tuple[str, ...], *, is_first: bool) -> None:
        with self._printing() as put:
            # nothing is called in between: that is where Python handles signals
            self._ends, self._is_first = ends, is_first
            put(text)


def _new_line(depth: int) -> str:
    return "\n" + "  " * depth


def json_document(value: dict[str, Any] | list[Any]) -> str:
    """Return a list or an object as a JSON document, to be printed at once: no interrupt leaves a part of it."""
    parts: list[str] = []
    writer = JsonWriter(lambda: nullcontext(parts.append))
    if isinstance(value, dict):
        writer.begin("{", "}")
        for name, member in value.items():
            writer.add(member, name)
    else:
        writer.begin("[", "]")
        for member in value:
            writer.add(member)
    writer.close()
    return "".join(parts)


@contextmanager
def printing_json_list(row_of_error: Callable[[BaseException], dict[str, Any]]) -> Iterator[JsonWriter]:
    """Print a JSON list, to whose writer the block adds the rows; an exception of the block becomes the last one."""
    writer = JsonWriter()
    try:
        writer.begin("[", "]")
        yield writer
        writer.close()
    except (Exception, KeyboardInterrupt) as error:
        if not (writer.is_complete or is_about_output(error)):
            if not writer.is_open:
                writer.begin("[", "]")
            writer.close(1)
            writer.add(row_of_error(error))
            writer.close()
        raise


def json_text(value: Any) -> str:
    r"""Return a value as JSON; control characters, and what is not in an encoding, are written as ``\uXXXX``.

    JSON is exchanged in UTF-8. With any other encoding of standard output, all characters beyond ASCII are escaped, so
    that the document is the same in both.
    """
    # there is no standard output if it was closed, which only the attempt to print reports
    is_utf8 = lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"

    def escaped(found: re.Match[str]) -> str:
        char = found[0]
        return char if is_utf8 and not _is_hidden(char) else json.dumps(char)[1:-1]

    return _NOT_ASCII.sub(escaped, json.dumps(value, ensure_ascii=False, default=str))


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
