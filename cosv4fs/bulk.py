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
from fsspec.utils import stringify_path

if TYPE_CHECKING:
    from cosv4fs.lookup import Lookup

__all__ = ["each_pair", "plan_copy", "plan_get", "plan_put", "step_counter"]

Pair = tuple[str, str]


# What fsspec takes for a pattern, and what stands for it while a literal name is planned.
_MAGIC = str.maketrans("*?[", "\ue000\ue001\ue002")
_PLAIN = str.maketrans("\ue000\ue001\ue002", "*?[")


class _Planner:
    """Stands in for a filesystem in a base method: answers questions, and notes transfers instead of making them.

    Parameters
    ----------
    fs : Lookup
        The filesystem that is asked.
    literal : bool
        The source is one existing name that looks like a pattern: it travels through the base method in disguise.
    """

    def __init__(self, fs: Lookup, literal: bool) -> None:
        self._fs, self._literal = fs, literal
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def isdir(self, path: str) -> bool:
        return self._fs.isdir(path.translate(_PLAIN))

    def expand_path(self, path: Any, **options: Any) -> list[str]:
        if not self._literal:
            return self._fs.expand_path(path, **options)
        return [found.translate(_MAGIC) for found in self._fs.expand_path(path.translate(_PLAIN), **options)]

    def _note(self, source: str, target: str, **_: Any) -> None:
        self.pairs.append((source.translate(_PLAIN), target.translate(_PLAIN)) if self._literal else (source, target))

    get_file = put_file = cp_file = _note


def plan_get(fs: Lookup, rpath: Any, lpath: Any, **options: Any) -> list[Pair]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order."""
    planner = _Planner(fs, fs.is_literal(rpath))
    AbstractFileSystem.get(planner, _disguised(planner, rpath), _plain(lpath), **options)
    return planner.pairs


def plan_put(fs: Lookup, lpath: Any, rpath: Any, **options: Any) -> list[Pair]:
    """Return the (local, remote) pairs of a ``put``, in fsspec's order."""
    planner = _Planner(fs, literal=False)
    AbstractFileSystem.put(planner, _plain(lpath), _plain(rpath), **options)
    return planner.pairs


def plan_copy(fs: Lookup, path1: Any, path2: Any, **options: Any) -> list[Pair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order."""
    planner = _Planner(fs, fs.is_literal(path1))
    AbstractFileSystem.copy(planner, _disguised(planner, path1), _plain(path2), **options)
    return planner.pairs


def _plain(path: Any) -> Any:
    return [stringify_path(item) for item in path] if isinstance(path, list) else stringify_path(path)


def _disguised(planner: _Planner, path: Any) -> Any:
    return _plain(path).translate(_MAGIC) if planner._literal else _plain(path)


def each_pair(fs: Lookup, pairs: list[Pair], callback: Callback, action: Callable[[str, str, Callback], None]) -> None:
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
