"""How failures leave the command: one line for people, a number for scripts."""

from __future__ import annotations

import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unicodedata import category

import click

from cosv4fs.errors import CosError, MissingCredentialsError

__all__ = ["DIFFERENT", "EPILOG", "EXIT_CODES", "FailureLog", "Group", "describe", "exit_code", "printable"]

FAILED, USAGE, NOT_FOUND, REFUSED, DIFFERENT, INTERRUPTED = 1, 2, 3, 4, 5, 130

EXIT_CODES = {
    0: "all went well",
    FAILED: "something failed; the last line on stderr says what",
    USAGE: "wrong arguments, or a package that is not installed",
    NOT_FOUND: "a file, directory, bucket or coffer does not exist",
    REFUSED: "credentials are missing, or were refused",
    DIFFERENT: "a comparison found a difference, or the doctor a problem",
    INTERRUPTED: "ended by Ctrl-C",
}
"""What each exit code means."""

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
"""The exit codes as a part of a help text."""


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if type(error) is PermissionError and error.filename is not None:
        # of this machine's files: no account was refused
        return FAILED
    kinds: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
        (KeyboardInterrupt, INTERRUPTED),
        (FileNotFoundError, NOT_FOUND),
        (PermissionError, REFUSED),
        (OSError, FAILED),
        ((ValueError, TypeError, ImportError, NotImplementedError), USAGE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), FAILED)


def describe(error: BaseException) -> str:
    """Return an error as one line: the path, the cause, what the server said."""
    if isinstance(error, MissingCredentialsError):
        return f"{str(error.strerror).partition(';')[0]}; -o NAME=VALUE before the subcommand sets an option, too"
    if isinstance(error, OSError) and error.strerror:
        name = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else error.filename
        if name and isinstance(error, CosError) and "://" not in str(name):
            name = _url(str(name))
        return printable(f"{name}: {error.strerror}" if name else error.strerror)
    return printable(" ".join(str(error).split()) or type(error).__name__)


def _url(path: str) -> str:
    """Return the URL of a path in a bucket, by the protocol that the command was given."""
    context = click.get_current_context(silent=True)
    session = context.find_root().obj if context else None
    return f"cosv4://{path}" if session is None else str(session.url(path))


def printable(text: str) -> str:
    """Return a text without characters that could command a terminal: names are anybody's."""
    hidden = ("C", "Zl", "Zp")
    return "".join(ascii(char)[1:-1] if category(char).startswith(hidden) else char for char in text)


class FailureLog:
    """Collects the failures of single items, so that the others go on; each is told at once.

    Attributes
    ----------
    code : int
        The exit code so far.
    entries : list of (object, str)
        The items that failed, and why.
    """

    def __init__(self) -> None:
        self.code = 0
        self.entries: list[tuple[object, str]] = []
        self._reasons: dict[int, str] = {}

    @property
    def count(self) -> int:
        """How many items failed."""
        return len(self.entries)

    def reason(self, item: object) -> str | None:
        """Return why an item failed, or None."""
        return self._reasons.get(id(item))

    def record(self, error: Exception, item: object = None) -> None:
        """Tell of a failure and go on."""
        text = describe(error)
        _tell(text)
        self.entries.append((item, text))
        self._reasons.setdefault(id(item), text)
        self.code = max(self.code, exit_code(error))

    @contextmanager
    def recording(self, item: object = None) -> Iterator[None]:
        """Note what fails in a block, and go on; Ctrl-C and mistakes in this package are passed on."""
        try:
            yield
        except InterruptedError:
            raise
        except Exception as error:
            if not _is_told(error):
                raise
            self.record(error, item)

    def exit(self, summary: str = "") -> None:
        """End the command if something failed, with the exit code of the worst failure.

        Parameters
        ----------
        summary : str
            What was done; told with the first failure as the last line.
        """
        if summary and self.entries:
            _tell(f"{summary}, {self.count} failed; the first: {self.entries[0][1]}")
        if self.code:
            sys.exit(self.code)


def _tell(text: str) -> None:
    """Print a line on stderr that begins with the command's name."""
    context = click.get_current_context(silent=True)
    line = f"{context.command_path if context else 'cosv4fs'}: {text}"
    if "tqdm" in sys.modules:
        # there may be a bar on the terminal's line, which has to make room
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        click.echo(line, err=True)


_TOLD = (OSError, ValueError, TypeError, ImportError, NotImplementedError, KeyboardInterrupt)
"""Errors of Python's own that are told in a line."""

_OWN = ("builtins", "click")
"""Whose other errors pass: mistakes in this package, which need their traceback, and those that click handles."""


def _is_told(error: BaseException) -> bool:
    """Return whether an error is told in a line, such as one that a library raises for a broken archive."""
    return isinstance(error, _TOLD) or type(error).__module__.partition(".")[0] not in _OWN


def _reader_has_gone() -> bool:
    """Return whether nobody reads standard output any more, as with ``| head``."""
    try:
        watch = select.poll()
        watch.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    except (AttributeError, OSError, ValueError):
        # where that cannot be asked, no other pipe is known that breaks
        return True


class Group(click.Group):
    """A group of commands whose failures are told in one line; ``--debug`` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises into a line and an exit code."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if not _is_told(error):
                raise
            if isinstance(error, BrokenPipeError) and not error.filename and _reader_has_gone():
                sys.stdout = None
                sys.exit(0)
            if ctx.find_root().params.get("debug") and not isinstance(error, KeyboardInterrupt):
                traceback.print_exc()
            name = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()
            text = "interrupted" if isinstance(error, KeyboardInterrupt) else describe(error)
            click.echo(f"{name}: {text}", err=True)
            sys.exit(exit_code(error))
