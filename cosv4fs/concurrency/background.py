"""A background thread for what has to be done when an object is lost.

The garbage collector runs at any moment, in any thread, inside any lock. What it calls (``__del__``, the callback of a
weak reference) may therefore neither take a lock nor wait, and hands the work over to this thread. `queue.SimpleQueue`
is made for that.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable

from cosv4fs.concurrency.tasks import start_thread
from cosv4fs.forking import PerProcess, shared_lock


class _Background:
    """The queue of one process, and whether its thread runs."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.lock = shared_lock()
        self.is_started = False

    def work(self) -> None:
        while True:
            action = self.queue.get()
            try:
                action()
            except OSError:
                # an unfinished upload that cannot be removed stays invisible and is found by a later clean-up
                continue
            except Exception:  # noqa: BLE001 - one failure must not end the thread
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            finally:
                # nothing is kept alive until the next action
                del action


_background = PerProcess(_Background)


def start_background() -> None:
    """Make sure that the background thread runs; call it before an object is made that may be lost."""
    background = _background()
    if background.is_started:
        return
    with background.lock:
        if not background.is_started:
            # at the end of a process no thread starts, and lost objects end with the process
            background.is_started = start_thread(
                threading.Thread(target=background.work, name="cosv4fs-background", daemon=True)
            )


def run_in_background(action: Callable[[], object]) -> None:
    """Have the background thread call `action`. Safe to call from ``__del__``."""
    _background().queue.put(action)
