"""The process of the command: its standard streams, and the signals that end it."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from cosv4fs.localfiles import naming_file
from cosv4fs.portability import BINARY

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Signals that would end the process without any clean-up; Windows sends the last one for Ctrl-Break."""


OUTPUT = "standard output"
"""How errors name standard output."""


class TerminatedError(KeyboardInterrupt):
    """A signal ends the process; everything that is done on Ctrl-C is done then, too."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


@contextmanager
def ending_on_signals(received: list[int]) -> Iterator[None]:
    """Raise `TerminatedError` on a signal that ends the process, and add the number of the signal to `received`.

    Only the first one counts: a service manager may send both, and the second one would interrupt the clean-up.
    A signal that is ignored, as with nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        # only the main thread can handle signals
        yield
        return
    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _frame: Any) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        raise TerminatedError(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def fill_closed_streams() -> None:
    """Open something in place of standard streams that are closed: other files would get their numbers.

    It cannot be used: writing to ``/dev/stdout`` fails, and reading ``/dev/stdin``, which opens it again, too.
    """
    for stream in range(3):
        if not _is_open(stream) and stream == 0 and os.name == "posix":
            # the lowest free number
            socket.socket().detach()
        elif not _is_open(stream):
            os.open(os.devnull, os.O_RDONLY | BINARY)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the end of the process


def _is_open(stream: int) -> bool:
    try:
        os.fstat(stream)
    except OSError:
        return False
    return True


def standard_input() -> BinaryIO:
    """Return standard input as a binary stream; raise EBADF if it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield standard output as a binary stream, which errors of the block name; raise EBADF if it is closed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", OUTPUT)
    with naming_file(OUTPUT):
        yield sys.stdout.buffer


def is_about_output(error: BaseException) -> bool:
    """Return whether an error says that standard output cannot be written, which ends a command."""
    return is_output_broken(error) or (isinstance(error, OSError) and error.filename == OUTPUT)


def is_output_broken(error: BaseException) -> bool:
    """Return whether an error says that the reader of standard output has gone, as with ``| head``."""
    if hasattr(select, "poll"):
        return isinstance(error, BrokenPipeError) and _is_output_closed()
    # Windows has both errors for it
    return isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL) and error.filename == OUTPUT


def _is_output_closed() -> bool:
    try:
        watch = select.poll()
        # macOS tells nothing about a file of which nothing is asked
        watch.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    except (AttributeError, OSError, ValueError):
        # it is closed, or no file: assume that it was the broken pipe
        return True
