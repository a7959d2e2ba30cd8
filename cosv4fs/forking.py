"""What a process has once, and what a forked child therefore makes anew: locks, threads, queues, registries.

A fork copies all memory, but only the thread that forks. A lock that another thread held is held for ever in the
child, a queue has no thread behind it, and a connection is shared with the parent. So nothing of that kind stands
bare in a module: it is kept `PerProcess`. Objects that a child may still use without a filesystem's help are
`renewed_after_fork`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["PerProcess", "renewed_after_fork"]

T = TypeVar("T")


class _Renewable(Protocol):
    def after_fork(self) -> None:
        """Make anew what belongs to the parent."""


class PerProcess(Generic[T]):
    """A value of a module that every process makes for itself; calling it returns that of this process.

    Parameters
    ----------
    make : callable
        Returns a fresh value.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value = make()
        _per_process.append(self)

    def __call__(self) -> T:
        """Return the value of this process."""
        return self._value

    def after_fork(self) -> None:
        """Make the value anew, in a forked child."""
        self._value = self._make()


_per_process: list[PerProcess[Any]] = []
_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renewed_after_fork(thing: _Renewable) -> None:
    """Have a forked child call ``thing.after_fork()``, as long as somebody uses the thing."""
    _renewable.add(thing)


def _after_fork() -> None:
    for thing in [*_per_process, *_renewable]:
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
