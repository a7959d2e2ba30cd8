"""Error messages, as lines and as JSON, and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from cosv4fs.cli.output import json_document, print_error, printable, printing
from cosv4fs.cli.process import TerminatedError, is_about_output, is_output_broken
from cosv4fs.errors import CosError, MissingCredentialsError
from cosv4fs.migrate.access import AccessLostError, Refusals
from cosv4fs.migrate.locations import Location

FAILED, USAGE, NOT_FOUND, REFUSED, DIFFERENT, HUNG_UP, INTERRUPTED, TERMINATED = 1, 2, 3, 4, 5, 129, 130, 143

EXIT_CODES = {
    0: "success",
    FAILED: "failure",
    USAGE: "invalid arguments",
    NOT_FOUND: "not found",
    REFUSED: "access denied",
    DIFFERENT: "difference or problem",
    HUNG_UP: "SIGHUP",
    INTERRUPTED: "Ctrl-C",
    TERMINATED: "SIGTERM",
}
"""Exit codes and their meanings."""

_ERRNO_NAMES: dict[type[BaseException], str] = {
    FileNotFoundError: "ENOENT",
    FileExistsError: "EEXIST",
    IsADirectoryError: "EISDIR",
    NotADirectoryError: "ENOTDIR",
    PermissionError: "EACCES",
    TimeoutError: "ETIMEDOUT",
    NotImplementedError: "ENOTSUP",
    KeyboardInterrupt: "EINTR",
    click.UsageError: "EINVAL",
    ValueError: "EINVAL",
    TypeError: "EINVAL",
}
"""What exceptions without an errno stand for; many filesystems raise such."""

EPILOG = f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}."
"""The exit codes as a paragraph of the help text."""


class NoSubcommandError(click.UsageError):
    """A group was called without a subcommand; its help text is shown."""

    def __init__(self, context: click.Context) -> None:
        super().__init__(f"name a subcommand: see {context.command_path} --help", context)


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, TerminatedError):
        return error.code
    if type(error) is PermissionError and error.filename is not None and "://" not in str(error.filename):
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
    return _describe(error, _concerned_url(error))


def _describe(error: BaseException, url: str | None) -> str:
    """Return an error as one line, which begins with a URL if the error itself names no path."""
    if type(error) is KeyboardInterrupt:
        return "interrupted"
    if isinstance(error, MissingCredentialsError):
        return f"{str(error.strerror).partition(';')[0]}; or give -o NAME=VALUE, or write a profile: cosv4fs configure"
    if isinstance(error, OSError) and error.strerror:
        name = _path(error) or url
        return printable(f"{name}: {error.strerror}" if name else error.strerror)
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    name = _errno_name(error)
    if isinstance(error, OSError) and name and ("/" in text or " " not in text):
        # some filesystems raise errors whose only text is a path
        path = url if url and text and url.endswith(f"/{text}") else text
        return printable(f"{path}: {os.strerror(getattr(errno, name))}".removeprefix(": "))
    text = " ".join(text.split()) or type(error).__name__
    return printable(f"{url}: {text}" if url and url not in text else text)


def error_row(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON output shows it.

    Returns
    -------
    dict
        ``error`` (the line on stderr), ``path`` (a URL or local path, or None), ``code`` (that of the service, else the
        name of the errno, or None), ``errno`` (its name, or None) and ``exit`` (the exit code).
    """
    name = _errno_name(error)
    code = error.code if isinstance(error, CosError) and error.code is not None else name
    path = _path(error) or _concerned_url(error)
    return {"error": describe(error), "path": path, "code": code, "errno": name, "exit": exit_code(error)}


def _errno_name(error: BaseException) -> str | None:
    """Return the name of an error's errno; of one without, what its type stands for."""
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno)
    return next((name for kind, name in _ERRNO_NAMES.items() if isinstance(error, kind)), None)


def _path(error: BaseException) -> str | None:
    """Return the path that an error names, as a URL if it is one of the service."""
    name = error.filename if isinstance(error, OSError) else None
    if not name:
        return None
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    # an absolute path is a local one: those of the service begin with a bucket
    return _url(text) if isinstance(error, CosError) and "://" not in text and not Path(text).is_absolute() else text


def _concerned_url(error: BaseException) -> str | None:
    """Return the URL that an error of another package concerns, if it names no path; many do not."""
    names_path = isinstance(error, OSError) and bool(error.filename)
    session = _session()
    if session is None or names_path or isinstance(error, (CosError, click.ClickException, KeyboardInterrupt)):
        return None
    url: str | None = session.foreign_url
    return url


def _session() -> Any:
    """Return the session of the command; None before there is one."""
    context = click.get_current_context(silent=True)
    return context.find_root().obj if context else None


def _url(path: str) -> str:
    """Return the URL of a path in a bucket, with the protocol used in the command."""
    session = _session()
    return f"cosv4://{path}" if session is None else str(session.url(path))


class FailureLog:
    """Prints and counts the failures of single items, so that the command can process the others.

    `code` is the highest exit code so far, `count` the number of failures; `first` and `last` are error messages.
    `rows` are the failures as JSON output shows them, with ``url`` if it is known; none if `keeps_rows` is false, for
    commands that print any number of them as they come. `sides` are those of `Refusals`.
    """

    def __init__(self, *, keeps_rows: bool = True, sides: Iterable[Location] = ()) -> None:
        self.code = 0
        self.count = 0
        self.first = self.last = ""
        self.rows: list[dict[str, Any]] = []
        self._keeps_rows = keeps_rows
        self._refusals = Refusals(sides)

    def record(self, error: Exception, item: object = None) -> str:
        """Print and count a failure, and return its message; one to write to standard output ends the command."""
        if is_about_output(error):
            raise error
        url = getattr(getattr(item, "source", item), "url", None)
        text = _describe(error, url or _concerned_url(error))
        print_error(text)
        self.first, self.last = self.first or text, text
        self.count += 1
        if self._keeps_rows:
            self.rows.append({"url": url or _path(error)} | error_row(error) | {"error": text})
        self.code = max(self.code, exit_code(error))
        return text

    def end_item(self, error: Exception | None) -> None:
        """Note the end of an item, whose failure was recorded; `AccessLostError` if all others would fail, too."""
        self._refusals.note(failed=error is not None, refused=isinstance(error, PermissionError))

    @contextmanager
    def recording(self, item: object = None, failed: Callable[[str], object] = lambda _message: None) -> Iterator[None]:
        """Record an exception of the block, call `failed` with its message, and continue.

        Interrupts and bugs in this package propagate; also an `AccessLostError`, which may follow the block.
        """
        try:
            yield
        except (InterruptedError, AccessLostError):
            raise
        except Exception as error:
            if not _is_expected(error):
                raise
            failed(self.record(error, item))
            self.end_item(error)
        else:
            self.end_item(None)

    def exit(self, summary: str = "") -> None:
        """Exit with the highest code if something failed; print `summary`, what was done, and the first failure."""
        if summary and self.count:
            print_error(f"{summary}, {self.count} failed; the first: {self.first}")
        if self.code:
            sys.exit(self.code)


_EXPECTED = (OSError, ValueError, TypeError, ImportError, NotImplementedError, KeyboardInterrupt)
"""Builtin exceptions that are reported as one line."""

_PROPAGATED = ("builtins", "click")
"""Packages whose other exceptions propagate: bugs, which need a traceback, and those that click handles."""


def _is_expected(error: BaseException) -> bool:
    """Return whether an error is reported as one line; includes those of libraries, such as for a broken archive."""
    return isinstance(error, _EXPECTED) or type(error).__module__.partition(".")[0] not in _PROPAGATED


@contextmanager
def reporting(context: click.Context, *, as_json: bool, debug: bool) -> Iterator[None]:
    """Turn an exception of the block into one line on stderr, with `as_json` also into JSON, and an exit code.

    Bugs in this package propagate, with their traceback; `debug` adds one to all others.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if is_output_broken(error):
            sys.stdout = None
            sys.exit(0)
        if as_json and not isinstance(error, (click.ClickException, click.exceptions.Exit, click.Abort)):
            _print_row(context, error)
        if not _is_expected(error):
            raise
        if debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
        print_error(describe(error))
        sys.exit(exit_code(error))


def parsing_error(error: BaseException, arguments: Sequence[str]) -> int:
    """Report an error that ended a command before it began, or invalid arguments; return the exit code."""
    if is_output_broken(error):
        sys.stdout = None
        return 0
    if "--json" in takewhile(lambda argument: argument != "--", arguments):
        _print_row(None, error)
    if isinstance(error, click.ClickException):
        _print_usage_error(error)
    else:
        click.echo(f"cosv4fs: {describe(error)}", err=True)
    return exit_code(error)


def _print_usage_error(error: click.ClickException) -> None:
    """Print an error as click does, but without the control characters of arguments."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, NoSubcommandError) and context is not None:
        click.echo(context.get_help(), err=True)
        return
    if context is not None:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    click.echo(f"Error: {printable(error.format_message())}", err=True)


def _print_row(context: click.Context | None, error: BaseException) -> None:
    """Print an error as the only JSON document, unless there is one."""
    session = context.obj if context else None
    if session is None or not session.has_answered:
        # a broken standard output must not hide the error, which stderr shows, too
        with suppress(OSError), printing() as put:
            put(json_document(error_row(error)))
