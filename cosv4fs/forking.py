"""State that a forked child must not inherit: locks, threads, queues, registries.

A fork copies all memory, but only the calling thread. In the child, a lock that another thread held is never released,
a queue has no consumer, and connections are shared with the parent. Therefore module-level state of this kind is
wrapped in `PerProcess`, and objects that a child may use directly are registered with `renewed_after_fork`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class _Renewable(Protocol):
    def after_fork(self) -> None:
        """Replace inherited state, in the child."""


class PerProcess(Generic[T]):
    """A module-level value that each process creates for itself; call the object to get it.

    Parameters
    ----------
    make : callable
        Creates the value.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value = make()
        _per_process.append(self)

    def __call__(self) -> T:
        """Return the value of this process."""
        return self._value

    def after_fork(self) -> None:
        """Create a new value, in a forked child."""
        self._value = self._make()


_per_process: list[PerProcess[Any]] = []
_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renewed_after_fork(thing: _Renewable) -> None:
    """Call ``thing.after_fork()`` in forked children, as long as the object exists."""
    _renewable.add(thing)


def _after_fork() -> None:
    for thing in [*_per_process, *_renewable]:
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
