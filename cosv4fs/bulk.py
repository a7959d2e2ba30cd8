"""Operations on many files in parallel.

The rules by which ``get``, ``put`` and ``copy`` pair sources with targets (globs, trailing slashes, existing
directories) are those of fsspec's base class: its methods run against a stand-in that records the pairs.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.spec import AbstractFileSystem
from fsspec.utils import other_paths, stringify_path

from cosv4fs import paths
from cosv4fs.concurrency import Pool
from cosv4fs.errors import make_error
from cosv4fs.localfiles import is_part

_T = TypeVar("_T")
Pair = tuple[str, str]
Step = Callable[[int], None]


# wildcards of fsspec, and the characters that replace them while a literal name is planned
_MAGIC = str.maketrans("*?[", "\ue000\ue001\ue002")
_PLAIN = str.maketrans("\ue000\ue001\ue002", "*?[")


class _Planner:
    """Stands in for a filesystem in a base method: passes queries on, and records transfers instead of doing them.

    Existing names that look like patterns are escaped, because the base method would expand them.
    """

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self._escapes = False
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def escaped(self, path: Any, is_literal: Callable[[Any], bool]) -> Any:
        """Return a path or list of paths with the wildcards of literal names escaped."""
        if isinstance(path, list):
            return [self.escaped(item, is_literal) for item in path]
        if not is_literal(path):
            return stringify_path(path)
        self._escapes = True
        return stringify_path(path).translate(_MAGIC)

    def isdir(self, path: str) -> bool:
        return bool(self._fs.isdir(self._unescaped(path)))

    def expand_path(self, path: Any, **options: Any) -> list[str]:
        if not self._escapes:
            return list(self._fs.expand_path(path, **options))
        items = path if isinstance(path, list) else [path]
        expanded: set[str] = set()
        for item in items:
            bare = self._unescaped(item)
            found = self._fs.expand_path([bare], assume_literal=bare != item, **options)
            expanded |= {name.translate(_MAGIC) if bare != item else name for name in found}
        return sorted(expanded)

    def _unescaped(self, path: str) -> str:
        return path.translate(_PLAIN) if self._escapes else path

    def _record(self, source: str, target: str, **_: Any) -> None:
        self.pairs.append((self._unescaped(source), self._unescaped(target)))

    get_file = put_file = cp_file = _record


def plan_get(fs: AbstractFileSystem, rpath: Any, lpath: Any, **options: Any) -> list[Pair]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.get(planner, planner.escaped(rpath, partial(is_literal, fs)), _plain(lpath), **options)
    if not isinstance(lpath, list):
        _check_contained(make_path_posix(stringify_path(lpath)), [target for _, target in planner.pairs])
    return planner.pairs


def _check_contained(root: str, targets: list[str]) -> None:
    """Refuse local targets outside the directory that the user named, because names come from the service.

    fsspec does the same only since 2026. The meaning of backslashes and drive letters depends on the local system.
    """
    # abspath, not realpath: symbolic links in the local directory are the user's own and followed
    top = os.path.normcase(os.path.abspath(root))  # noqa: PTH100
    for target in targets:
        path = os.path.normcase(os.path.abspath(target))  # noqa: PTH100
        if path != top and not path.startswith(top.rstrip(os.sep) + os.sep):
            raise make_error(errno.EINVAL, f"the file would be written outside {root}: get it by its name", target)


def plan_put(fs: AbstractFileSystem, lpath: Any, rpath: Any, **options: Any) -> list[Pair]:
    """Return the (local, remote) pairs of a ``put``, in fsspec's order."""
    items = lpath if isinstance(lpath, list) else [lpath]
    if not isinstance(rpath, list) and any(map(_is_local_folder_like_a_pattern, items)):
        return _plan_put_of_folder(fs, lpath, _plain(rpath), **options)
    planner = _Planner(fs)
    AbstractFileSystem.put(planner, planner.escaped(lpath, _is_local_literal), _plain(rpath), **options)
    named = {make_path_posix(stringify_path(item)) for item in items}
    # directories may contain part files
    return [pair for pair in planner.pairs if pair[0] in named or not is_part(Path(pair[0]).name)]


def plan_copy(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[Pair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.copy(planner, planner.escaped(path1, partial(is_literal, fs)), _plain(path2), **options)
    return planner.pairs


def check_targets(pairs: Iterable[Pair], verb: str) -> list[Pair]:
    """Return each pair once; refuse pairs that overwrite each other's source or target, as they run in any order.

    That is so where two sources have one target, one source has two targets, or a target is another source or lies
    inside one. Paths are of one filesystem, without trailing slashes; `verb` is the operation in messages: ``moved``.
    """
    unique = list(dict.fromkeys(pairs))
    goals: dict[str, str] = {}
    for source, target in unique:
        if goals.setdefault(source, target) != target:
            text = f"it would be {verb} twice, to {goals[source]} and to {target}"
            raise OSError(errno.EINVAL, text, source)
    origins: dict[str, str] = {}
    for source, target in unique:
        other = origins.setdefault(target, source)
        if other != source:
            raise OSError(errno.EINVAL, f"{other} and {source} would both be {verb} to this path", target)
        for path in (target, *paths.parents(target)):
            # a source that is its own target conflicts with nothing
            if path != source and goals.get(path, path) != path:
                text = f"{source} would be {verb} to this path, but {path} is to be {verb}, too: do it in two calls"
                raise OSError(errno.EINVAL, text, target)
    return unique


def check_moves(pairs: Iterable[Pair]) -> list[Pair]:
    """Return each move once, without those of a path to itself; refuse as `check_targets`, and moves into itself."""
    pairs = list(pairs)
    into_itself = next((source for source, target in pairs if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    return [(source, target) for source, target in check_targets(pairs, "moved") if source != target]


def expand(fs: AbstractFileSystem, expand: Callable[..., list[str]], path: Any, *, assume_literal: bool) -> list[str]:
    """Expand a path, a pattern or a list of them; existing names are taken literally.

    `expand` is fsspec's own method, which treats all names with wildcards as patterns unless `assume_literal` is set.
    """
    items = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    literals = [] if assume_literal else [item for item in items if is_literal(fs, item)]
    if not literals:
        return _expanded(fs, expand, items, assume_literal=assume_literal)
    out = set(_expanded(fs, expand, literals, assume_literal=True))
    with suppress(FileNotFoundError):
        patterns = [item for item in items if item not in literals]
        out |= set(_expanded(fs, expand, patterns, assume_literal=False))
    return sorted(out)


def _expanded(
    fs: AbstractFileSystem, expand: Callable[..., list[str]], items: list[Any], *, assume_literal: bool
) -> list[str]:
    try:
        return expand(items, assume_literal=assume_literal)
    except FileNotFoundError as error:
        if error.errno is not None or not items:
            raise
        # fsspec's error has no errno and no filename
        raise make_error(errno.ENOENT, "no such file or directory", fs._strip_protocol(items[0])) from None


def is_literal(fs: AbstractFileSystem, path: Any) -> bool:
    """Return whether a path that looks like a pattern exists literally."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    stripped = fs._strip_protocol(path)
    if not has_magic(stripped):
        return False
    # a name with * or ? matches itself as a pattern; one with [ does not
    return bool(fs.exists(stripped) if "[" in stripped else stripped in fs.glob(stripped))


def _plain(path: Any) -> Any:
    return [stringify_path(item) for item in path] if isinstance(path, list) else stringify_path(path)


def _is_local_literal(path: Any) -> bool:
    return has_magic(stringify_path(path)) and Path(path).is_file()


def _is_local_folder_like_a_pattern(path: Any) -> bool:
    return has_magic(stringify_path(path)) and Path(path).is_dir()


def _plan_put_of_folder(
    fs: AbstractFileSystem, lpath: Any, rpath: str, recursive: bool = False, maxdepth: int | None = None
) -> list[Pair]:
    """Return the pairs of a ``put`` of a local directory whose name fsspec would treat as a pattern."""
    if isinstance(lpath, list):
        raise NotImplementedError(f"put directories whose names look like patterns one by one, not as a list: {lpath}")
    if not recursive:
        return []
    source, local = make_path_posix(stringify_path(lpath)), LocalFileSystem()
    below = (path for path in local.find(source, maxdepth=maxdepth, withdirs=True) if not is_part(Path(path).name))
    found = sorted({source.rstrip("/"), *below})
    into = (rpath.endswith("/") or fs.isdir(rpath)) and not source.endswith("/")
    pairs = zip(found, other_paths(found, fs._strip_protocol(rpath), exists=into), strict=True)
    return [pair for pair in pairs if maxdepth is None or not local.isdir(pair[0])]


class _CallbackRunner:
    """Calls callbacks from worker threads: one at a time, and in the context of the thread that created this object.

    Callbacks need not be thread-safe, because fsspec's own filesystems call them from a single thread. Notebooks use
    the context to show output below the right cell.
    """

    def __init__(self) -> None:
        self._lock, self._context = threading.Lock(), copy_context()

    def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        with self._lock:
            return self._context.run(function, *arguments)

    @contextmanager
    def branched(self, callback: Callback, pair: Pair) -> Iterator[Callback]:
        branch = self.run(callback.branched, *pair)
        child = self.run(branch.__enter__)
        try:
            yield child
        finally:
            self.run(branch.__exit__, *sys.exc_info())


_runner: ContextVar[_CallbackRunner | None] = ContextVar("_runner", default=None)
"""The runner of the operation, in threads that process one of many files."""


def each_pair(pool: Pool, pairs: list[Pair], callback: Callback, action: Callable[[str, str, Callback], None]) -> None:
    """Apply `action` to all pairs in parallel; `callback` counts files, its branches count bytes."""
    runner = _CallbackRunner()
    callback.set_size(len(pairs))

    def one(pair: Pair) -> None:
        token = _runner.set(runner)
        try:
            with runner.branched(callback, pair) as child:
                action(*pair, child)
        finally:
            _runner.reset(token)
        runner.run(callback.relative_update, 1)

    pool.map(one, pairs)


def copy_each(fs: AbstractFileSystem, pool: Pool, pairs: list[Pair], folders: set[str], on_error: str) -> None:
    """Copy files in parallel, and create a directory for each of `folders`; see `copy` of the filesystem."""

    def one(pair: Pair) -> None:
        try:
            if pair[0] in folders:
                fs.makedirs(pair[1], exist_ok=True)
            else:
                fs.cp_file(*pair)
        except FileNotFoundError as error:
            # only missing sources are ignored, not, for example, a missing bucket of the target
            if on_error == "raise" or error.filename != fs._strip_protocol(pair[0]):
                raise

    pool.map(one, pairs)


def is_one_of_many() -> bool:
    """Return whether the calling thread processes one of many files, whose progress is reported together."""
    return _runner.get() is not None


def step_counter(callback: Callback | None) -> tuple[Step | None, Step | None]:
    """Return functions that report a size and bytes to `callback`; None for the default callback."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None, None
    runner = _runner.get() or _CallbackRunner()
    return partial(runner.run, callback.set_size), partial(runner.run, callback.relative_update)
