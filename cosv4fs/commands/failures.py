"""How failures leave the command: one line for people, a number for scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

__all__ = ["DIFFERENT", "EXIT_CODES", "Group", "Problems", "describe", "exit_code"]

FAILED, USAGE, NOT_FOUND, REFUSED, DIFFERENT, INTERRUPTED = 1, 2, 3, 4, 5, 130

EXIT_CODES = {
    0: "all went well",
    FAILED: "something failed; the last line on stderr says what",
    USAGE: "wrong arguments, or a package that is not installed",
    NOT_FOUND: "a file, directory or bucket does not exist",
    REFUSED: "credentials are missing, or were refused",
    DIFFERENT: "a comparison found a difference, or the doctor a problem",
    INTERRUPTED: "ended by Ctrl-C",
}
"""What each exit code means."""

_EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error stands for."""
    kinds: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
        (KeyboardInterrupt, INTERRUPTED),
        (FileNotFoundError, NOT_FOUND),
        (PermissionError, REFUSED),
        (OSError, FAILED),
        ((ValueError, TypeError, ImportError), USAGE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), FAILED)


def describe(error: BaseException) -> str:
    """Return an error as one line: the path, the cause, what the server said."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error) or type(error).__name__
    return " ".join(text.split())


class Problems:
    """Collects the failures of single files, so that the others go on.

    Parameters
    ----------
    echo : callable
        Told of each failure at once.

    Attributes
    ----------
    code, count : int
        The exit code so far, and how many failures there were.
    """

    def __init__(self, echo: Callable[[str], Any]) -> None:
        self._echo = echo
        self.code = self.count = 0

    def note(self, error: Exception) -> None:
        """Tell of a failure and go on."""
        self._echo(describe(error))
        self.count += 1
        self.code = max(self.code, exit_code(error))

    def leave(self) -> None:
        """End the command, with the exit code of the worst failure."""
        if self.code:
            sys.exit(self.code)


class Group(click.Group):
    """A group of commands whose failures are told in one line; ``--debug`` shows the traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", _EPILOG)
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises into a line and an exit code."""
        try:
            return super().invoke(ctx)
        except (OSError, ValueError, TypeError, ImportError, NotImplementedError, KeyboardInterrupt) as error:
            if ctx.parent is not None or (ctx.params.get("debug") and not isinstance(error, KeyboardInterrupt)):
                raise
            if isinstance(error, BrokenPipeError):
                # the reader of our output has gone, as with `| head`
                sys.stdout = None
                sys.exit(0)
            name = f"cosv4fs {ctx.invoked_subcommand}" if ctx.invoked_subcommand else "cosv4fs"
            text = "interrupted" if isinstance(error, KeyboardInterrupt) else describe(error)
            click.echo(f"{name}: {text}", err=True)
            sys.exit(exit_code(error))
