"""Error messages and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unicodedata import category

import click

from cosv4fs.cli.process import TerminatedError, is_output_broken
from cosv4fs.errors import CosError, MissingCredentialsError

FAILED, USAGE, NOT_FOUND, REFUSED, DIFFERENT, HUNG_UP, INTERRUPTED, TERMINATED = 1, 2, 3, 4, 5, 129, 130, 143

EXIT_CODES = {
    0: "success",
    FAILED: "an operation failed; see the last line on stderr",
    USAGE: "invalid arguments, or a required package is not installed",
    NOT_FOUND: "a file, directory, bucket or coffer does not exist",
    REFUSED: "credentials were rejected, or those of Tencent are missing",
    DIFFERENT: "a comparison found a difference, or doctor found a problem",
    HUNG_UP: "ended by SIGHUP: the terminal was closed",
    INTERRUPTED: "interrupted by Ctrl-C",
    TERMINATED: "ended by SIGTERM",
}
"""Exit codes and their meanings."""

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
"""The exit codes as a section of the help text."""


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, TerminatedError):
        return error.code
    if type(error) is PermissionError and error.filename is not None:
        # a local file: credentials were not rejected
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
    """Return an error as one line: the path, the cause, the server's message."""
    if type(error) is KeyboardInterrupt:
        return "interrupted"
    if isinstance(error, MissingCredentialsError):
        return f"{str(error.strerror).partition(';')[0]}; or set them with -o NAME=VALUE before the subcommand"
    if isinstance(error, OSError) and error.strerror:
        name = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else error.filename
        # an absolute path is a local one: those of the service begin with a bucket
        if name and isinstance(error, CosError) and "://" not in str(name) and not Path(str(name)).is_absolute():
            name = _url(str(name))
        return printable(f"{name}: {error.strerror}" if name else error.strerror)
    return printable(" ".join(str(error).split()) or type(error).__name__)


def _url(path: str) -> str:
    """Return the URL of a path in a bucket, with the protocol used in the command."""
    context = click.get_current_context(silent=True)
    session = context.find_root().obj if context else None
    return f"cosv4://{path}" if session is None else str(session.url(path))


def printable(text: str) -> str:
    """Escape terminal control characters, which untrusted file names may contain."""
    hidden = ("C", "Zl", "Zp")
    return "".join(ascii(char)[1:-1] if category(char).startswith(hidden) else char for char in text)


class FailureLog:
    """Prints and collects the failures of single items, so that the command can process the others.

    `code` is the highest exit code so far; `entries` are the items that failed, with their error messages.
    """

    def __init__(self) -> None:
        self.code = 0
        # holding the items also keeps their ids from being reused
        self.entries: list[tuple[object, str]] = []
        self._reasons: dict[int, str] = {}

    @property
    def count(self) -> int:
        """Number of failed items."""
        return len(self.entries)

    def reason(self, item: object) -> str | None:
        """Return the error message of an item, or None if it did not fail."""
        return self._reasons.get(id(item))

    def record(self, error: Exception, item: object = None) -> None:
        """Print and record a failure; one to write to standard output, which ends the command, is raised."""
        if is_output_broken(error):
            raise error
        text = describe(error)
        url = getattr(getattr(item, "source", item), "url", None)
        if url and not (isinstance(error, OSError) and error.filename):
            # some filesystems raise errors that name no file
            text = f"{printable(url)}: {text}"
        _print(text)
        self.entries.append((item, text))
        self._reasons.setdefault(id(item), text)
        self.code = max(self.code, exit_code(error))

    @contextmanager
    def recording(self, item: object = None) -> Iterator[None]:
        """Record an exception of the block and continue; interrupts and bugs in this package propagate."""
        try:
            yield
        except InterruptedError:
            raise
        except Exception as error:
            if not _is_expected(error):
                raise
            self.record(error, item)

    def exit(self, summary: str = "") -> None:
        """Exit with the highest code if something failed; print `summary`, what was done, and the first failure."""
        if summary and self.entries:
            _print(f"{summary}, {self.count} failed; the first: {self.entries[0][1]}")
        if self.code:
            sys.exit(self.code)


def _print(text: str) -> None:
    """Print a line on stderr, prefixed with the name of the command."""
    context = click.get_current_context(silent=True)
    line = f"{context.command_path if context else 'cosv4fs'}: {text}"
    if "tqdm" in sys.modules:
        # a progress bar may occupy the current line
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        click.echo(line, err=True)


_EXPECTED = (OSError, ValueError, TypeError, ImportError, NotImplementedError, KeyboardInterrupt)
"""Builtin exceptions that are reported as one line."""

_PROPAGATED = ("builtins", "click")
"""Packages whose other exceptions propagate: bugs, which need a traceback, and those that click handles."""


def _is_expected(error: BaseException) -> bool:
    """Return whether an error is reported as one line; includes those of libraries, such as for a broken archive."""
    return isinstance(error, _EXPECTED) or type(error).__module__.partition(".")[0] not in _PROPAGATED


class Group(click.Group):
    """A group of commands that reports errors as one line; ``--debug`` adds the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn exceptions into an error message and an exit code."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if not _is_expected(error):
                raise
            if is_output_broken(error):
                sys.stdout = None
                sys.exit(0)
            if ctx.find_root().params.get("debug") and not isinstance(error, KeyboardInterrupt):
                traceback.print_exc()
            name = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip()
            text = describe(error)
            click.echo(f"{name}: {text}", err=True)
            sys.exit(exit_code(error))
