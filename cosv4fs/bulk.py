"""Operations on many files at once: fsspec's own rules decide what goes where, the shared threads do it.

How ``get``, ``put`` and ``copy`` pair sources with targets (globs, trailing slashes, existing directories) is written
down in fsspec's base class. Instead of repeating it, the base method is run against a stand-in that notes the pairs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractFileSystem

if TYPE_CHECKING:
    from cosv4fs.base import BaseFileSystem

__all__ = ["each_pair", "plan_copy", "plan_get", "plan_put", "step_counter"]

Pair = tuple[str, str]


class _Planner:
    """Stands in for a filesystem in a base method: answers questions, and notes transfers instead of making them."""

    def __init__(self, fs: BaseFileSystem) -> None:
        self._fs = fs
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def _note(self, source: str, target: str, **_: Any) -> None:
        self.pairs.append((source, target))

    get_file = put_file = cp_file = _note


def plan_get(fs: BaseFileSystem, rpath: Any, lpath: Any, **options: Any) -> list[Pair]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.get(planner, rpath, lpath, **options)
    return planner.pairs


def plan_put(fs: BaseFileSystem, lpath: Any, rpath: Any, **options: Any) -> list[Pair]:
    """Return the (local, remote) pairs of a ``put``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.put(planner, lpath, rpath, **options)
    return planner.pairs


def plan_copy(fs: BaseFileSystem, path1: Any, path2: Any, **options: Any) -> list[Pair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.copy(planner, path1, path2, **options)
    return planner.pairs


def each_pair(
    fs: BaseFileSystem, pairs: list[Pair], callback: Callback, action: Callable[[str, str, Callback], None]
) -> None:
    """Do something for every pair, several at once; tell `callback` of every file, and its branches of every byte."""
    lock = threading.Lock()
    callback.set_size(len(pairs))

    def one(pair: Pair) -> None:
        with callback.branched(*pair) as child:
            action(*pair, child)
        with lock:
            callback.relative_update(1)

    fs.workers.each(one, pairs)


def step_counter(callback: Callback | None) -> tuple[Callable[[int], None] | None, Callable[[int], None] | None]:
    """Return functions that announce a size and bytes to `callback`; None for the callback that ignores everything."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None, None
    return callback.set_size, callback.relative_update
