"""State that a forked child must not inherit: locks, threads, queues, registries.

A fork copies all memory, but only the calling thread. In the child, a lock that another thread held is never released,
a queue has no consumer, and connections are shared with the parent. Objects with such state are registered with
`renewed_after_fork`; at module level, `PerProcess` and `Registry` do it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

_T = TypeVar("_T")
_Lock: TypeAlias = AbstractContextManager[Any]


class _Renewable(Protocol):
    def after_fork(self) -> None:
        """Replace inherited state, in the child."""


_MANY_LOCKS = 200
"""Locks from which those that are no longer used are dropped."""

_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renewed_after_fork(thing: _Renewable) -> None:
    """Call ``thing.after_fork()`` in forked children, as long as the object exists."""
    _renewable.add(thing)


class _Locks:
    """Locks that threads of one process share."""

    def __init__(self) -> None:
        # not by their ids: a new lock may have that of one which is just being dropped
        self._known: set[weakref.ref[Any]] = set()

    def make(self) -> _Lock:
        lock = threading.RLock()
        self._known.add(weakref.ref(lock))
        if len(self._known) > _MANY_LOCKS:
            for known in [*self._known]:
                if known() is None:
                    self._known.discard(known)
        return lock

    def are_held(self) -> bool:
        # one step copies the set: other threads make locks meanwhile
        locks = [known() for known in [*self._known]]
        return any(lock is not None and lock._is_owned() for lock in locks)


def shared_lock() -> _Lock:
    """Return a lock for a few steps on what threads share; the thread that holds it can take it again.

    A signal may come while its thread holds such a lock, and the handler may use a filesystem. It must not wait for the
    lock, nor for other threads that do: see `holds_lock`.
    """
    return _locks().make()


def holds_lock() -> bool:
    """Return whether the calling thread holds a shared lock, so that it must not wait for other threads."""
    return _locks().are_held()


class PerProcess(Generic[_T]):
    """A module-level value that each process creates for itself with `make`; call the object to get it."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make, self._value = make, make()
        renewed_after_fork(self)

    def __call__(self) -> _T:
        """Return the value of this process."""
        return self._value

    def after_fork(self) -> None:
        """Create a new value, in a forked child."""
        self._value = self._make()


_locks = PerProcess(_Locks)


class Registry(Generic[_T]):
    """Objects by key, at module level: each process makes its own, once per key, and keeps it while it is used."""

    def __init__(self) -> None:
        self.after_fork()
        renewed_after_fork(self)

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return the object of a key; make it unless it is in use."""
        with self._lock:
            found = self._objects.get(key)
            if found is None:
                found = self._objects[key] = make()
            return found

    def after_fork(self) -> None:
        """Begin with no objects, in a forked child."""
        self._lock = shared_lock()
        self._objects: weakref.WeakValueDictionary[Hashable, _T] = weakref.WeakValueDictionary()


def _after_fork() -> None:
    for thing in [*_renewable]:
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
