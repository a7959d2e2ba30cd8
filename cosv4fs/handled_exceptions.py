"""What the exception that is being handled says about a file that is closed meanwhile.

Many libraries close a file after a failure without saying that it failed: `fsspec.open`, pandas and pyarrow call
`close` while the exception is being handled. That is all a file can notice, and it is not always the file's failure:
the exception may have been there when the file was opened, or the file may belong to a generator that somebody resumes
while handling something else.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import sys
from collections.abc import Collection
from types import FrameType

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_ENDS = (StopIteration, StopAsyncIteration, queue.Empty, asyncio.QueueEmpty)
"""Exceptions that say that there is nothing more, and are no failures where they are caught."""

_PACKAGE = f"{__package__}."


def handled_exceptions() -> tuple[BaseException, ...]:
    """Return the exception that is being handled, and those in whose handlers it was raised."""
    found: list[BaseException] = []
    error = sys.exc_info()[1]
    while error is not None and not any(error is known for known in found):
        found.append(error)
        error = error.__context__
    return tuple(found)


def failure_since(before: Collection[BaseException]) -> BaseException | None:
    """Return the failure that is being handled, and was not yet when those of `before` were; None if there is none.

    It may be the one in whose handler something has come to its end.
    """
    is_around = False
    for error in handled_exceptions():
        if any(error is known for known in before):
            return None
        if isinstance(error, _ENDS) and not leaves_block(error):
            is_around = True
        elif not is_around or _has_handler(error):
            return error
    return None


def _has_handler(error: BaseException) -> bool:
    """Return whether the frame that has caught an exception still runs; an iterator's, for example, has returned."""
    frame: FrameType | None = sys._getframe(1)
    handler = None if error.__traceback__ is None else error.__traceback__.tb_frame
    while frame is not None and frame is not handler:
        frame = frame.f_back
    return frame is handler


def concerns_caller(error: BaseException) -> bool:
    """Return whether the calling code may run because of a failure that is being handled.

    It does not if a generator is between it and the frame that handles the exception: that frame has resumed the
    generator, and would have thrown the exception into it if the generator had failed. Coroutines do not count, because
    a handler may await one that closes files.
    """
    # the frame in which an exception is handled is always the latest that was added to its traceback
    handler = None if error.__traceback__ is None else error.__traceback__.tb_frame
    frame: FrameType | None = sys._getframe(1)
    is_resumed = False
    while frame is not None and frame is not handler:
        is_resumed = is_resumed or bool(frame.f_code.co_flags & _GENERATOR)
        frame = frame.f_back
    return frame is None or not is_resumed


def leaves_block(error: BaseException) -> bool:
    """Return whether an exception is leaving a ``with`` block, so that callers learn of it: its `__exit__` runs."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in ("__exit__", "__aexit__") and _is_argument(error, frame):
            return True
        frame = frame.f_back
    return False


def caller_level() -> int:
    """Return the ``stacklevel`` with which a warning of the calling function names the code that uses this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def _is_argument(error: BaseException, frame: FrameType) -> bool:
    # ``close`` of an `ExitStack` passes None, although an exception is being handled
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    values = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
    return any(
        value is error or (isinstance(value, tuple) and any(item is error for item in value)) for value in values
    )
