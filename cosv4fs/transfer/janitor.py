"""What has to be done when an object is lost, by a thread of its own.

The garbage collector runs at any moment, in any thread, inside any lock: so nothing that it calls (``__del__``, the
callback of a weak reference) may take a lock or wait. It hands the work over here instead; `queue.SimpleQueue` is made
for that.
"""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections.abc import Callable

from cosv4fs.forking import PerProcess

__all__ = ["do_later", "start_janitor", "start_thread", "wait_for_janitor"]


class _Janitor:
    """The queue of one process, and whether there is a thread behind it."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.is_started = False

    def work(self) -> None:
        while True:
            action = self.queue.get()
            try:
                action()
            except OSError:
                # an unfinished upload that cannot be removed stays invisible and is found by a later clean-up
                continue
            except Exception:  # noqa: BLE001 - what one loses must not keep the others from being cleaned up
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            finally:
                # what was lost is not kept until the next one
                del action


_janitor = PerProcess(_Janitor)


def start_janitor() -> None:
    """Make sure that the thread behind `do_later` runs; to be called before there is something that may be lost."""
    janitor = _janitor()
    if janitor.is_started:
        return
    with janitor.lock:
        if not janitor.is_started:
            # at the end of a process there are no new threads, and nothing is lost any more that it does not lose
            janitor.is_started = start_thread(
                threading.Thread(target=janitor.work, name="cosv4fs-janitor", daemon=True)
            )


def do_later(action: Callable[[], object]) -> None:
    """Have something done soon, by another thread. Safe to call from ``__del__``."""
    _janitor().queue.put(action)


def wait_for_janitor() -> None:
    """Wait until everything handed to `do_later` so far has been done."""
    start_janitor()
    done: queue.SimpleQueue[None] = queue.SimpleQueue()
    do_later(lambda: done.put(None))
    done.get()


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread, without waiting for its first sign of life; return False where no more threads are to be had.

    ``Thread.start`` waits for that sign under a lock. Ctrl-C at the wrong moment would leave the lock held, and the
    thread behind it. So it is called where nobody is interrupted.
    """
    try:
        _thread.start_new_thread(_start, (thread,))
    except RuntimeError:
        return False
    return True


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError:
        # the last thread that was to be had is this one
        thread.run()
