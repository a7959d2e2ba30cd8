"""Keeping secrets out of what is shown: reprs, and the frames that tools print with a traceback."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

_F = TypeVar("_F", bound=Callable[..., Any])


class Secret(str):
    """A string whose repr hides it from debuggers, logged dicts and tracebacks with variables.

    Everything else, `str` included, sees the string.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(secret)'"


def clears_frames(function: _F) -> _F:
    """Decorate a function that takes secrets: when it raises, its frames keep no variables.

    Only frames that have ended are cleared: those of the function and of what it called, none of its callers'.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        handled = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            args, kwargs = (), {}
            for trace in _tracebacks(error, handled):
                traceback.clear_frames(trace)
            raise

    return cast("_F", called)


def _tracebacks(error: BaseException | None, handled: BaseException | None) -> list[TracebackType | None]:
    """Return the tracebacks of an error and of its causes, up to the exception that was being handled before."""
    found: dict[int, BaseException] = {}
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each is not handled and id(each) not in found:
            found[id(each)] = each
            waiting += [each.__cause__, each.__context__]
    return [each.__traceback__ for each in found.values()]
