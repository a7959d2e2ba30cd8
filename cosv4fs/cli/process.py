"""The process of the command: its standard streams, and the signals that end it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that would end the process without any clean-up."""


class TerminatedError(KeyboardInterrupt):
    """A signal ends the process; everything that is done on Ctrl-C is done then, too."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


@contextmanager
def ending_on_signals(received: list[int]) -> Iterator[None]:
    """Raise `TerminatedError` on SIGTERM and SIGHUP, and add the number of the signal to `received`.

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
    """Open the null device in place of standard streams that are closed: other files would get their numbers.

    It is opened so that they still cannot be used, as ``/dev/stdout`` for example.
    """
    for stream, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        if not _is_open(stream):
            # the lowest free number
            os.open(os.devnull, flags)
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


def standard_output() -> BinaryIO:
    """Return standard output as a binary stream; raise EBADF if it is closed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    return sys.stdout.buffer
