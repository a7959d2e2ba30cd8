"""Warn of data that was lost because nobody closed a file: with a `RuntimeWarning`, which Python shows on stderr.

The garbage collector finds most of these files, at any moment and inside any lock, so a background thread warns. That
thread does not outlive the main one: at the end of the process, an exit handler emits the warnings that are left, and
those about files that are still open. A forked child has no files of its parent.
"""

from __future__ import annotations

import atexit
import threading
import warnings
import weakref
from collections import deque
from contextlib import ExitStack, suppress
from typing import Protocol

from cosv4fs.concurrency.background import run_in_background
from cosv4fs.forking import PerProcess

_EXIT_TIMEOUT = 10.0
"""Seconds to wait at the end of the process for a background thread that is emitting warnings."""


class Closable(Protocol):
    """A file that somebody has to close."""

    def loss(self, *, may_close: bool = False) -> str | None:
        """Return what is lost if nobody uses the file any more; None if nothing is.

        With `may_close`, somebody may still do so: exit handlers that run later.
        """


class _Pending:
    """The open files of one process, and the warnings that were not emitted yet."""

    def __init__(self) -> None:
        self.files: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()
        self.texts: deque[str] = deque()
        self.lock = threading.Lock()


_pending = PerProcess(_Pending)


def watch(file: Closable) -> None:
    """Warn at the end of the process if the file still exists and data is lost."""
    _pending().files[id(file)] = file


def report(text: str) -> None:
    """Have the background thread emit a warning. Safe to call from ``__del__``."""
    _pending().texts.append(text)
    run_in_background(_warn_in_background)


def _warn_in_background() -> None:
    pending = _pending()
    with pending.lock:
        _warn_all(pending.texts)


def _warn_all(texts: deque[str]) -> None:
    # all, also if a filter turns one into an exception
    with ExitStack() as stack:
        for _ in range(len(texts)):
            stack.callback(_warn_next, texts)


def _warn_next(texts: deque[str]) -> None:
    """Emit the oldest warning. The others stay, for whoever is faster: the process may end meanwhile."""
    with suppress(IndexError):
        warnings.warn(texts.popleft(), RuntimeWarning, stacklevel=1)


def _warn_at_exit() -> None:
    pending = _pending()
    files = [reference() for reference in pending.files.valuerefs()]
    texts = [file.loss(may_close=True) for file in files if file is not None]
    pending.texts.extend(text for text in texts if text is not None)
    if pending.lock.acquire(timeout=_EXIT_TIMEOUT):
        # the background thread has emitted its warnings
        pending.lock.release()
    _warn_all(pending.texts)


atexit.register(_warn_at_exit)
