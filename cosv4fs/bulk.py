"""Operations on many files at once: fsspec's own rules decide what goes where, the shared threads do it.

How ``get``, ``put`` and ``copy`` pair sources with targets (globs, trailing slashes, existing directories) is written
down in fsspec's base class. Instead of repeating it, the base method is run against a stand-in that notes the pairs.
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

from cosv4fs.concurrency import Pool
from cosv4fs.errors import make_error
from cosv4fs.localfiles import is_part

__all__ = [
    "check_moves",
    "check_targets",
    "copy_each",
    "each_pair",
    "expand",
    "is_literal",
    "is_one_of_many",
    "plan_copy",
    "plan_get",
    "plan_put",
    "step_counter",
]

T = TypeVar("T")
Pair = tuple[str, str]
Step = Callable[[int], None]


# What fsspec takes for a pattern, and what stands for it while a literal name is planned.
_MAGIC = str.maketrans("*?[", "\ue000\ue001\ue002")
_PLAIN = str.maketrans("\ue000\ue001\ue002", "*?[")


class _Planner:
    """Stands in for a filesystem in a base method: answers questions, and notes transfers instead of making them.

    Existing names that look like patterns travel through the base method in disguise.

    Parameters
    ----------
    fs : AbstractFileSystem
        The filesystem that is asked.
    """

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self._disguises = False
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def disguised(self, path: Any, is_literal: Callable[[Any], bool]) -> Any:
        """Return a path, or a list of them, in which names that are to be taken literally look like none."""
        if isinstance(path, list):
            return [self.disguised(item, is_literal) for item in path]
        if not is_literal(path):
            return stringify_path(path)
        self._disguises = True
        return stringify_path(path).translate(_MAGIC)

    def isdir(self, path: str) -> bool:
        return bool(self._fs.isdir(self._bare(path)))

    def expand_path(self, path: Any, **options: Any) -> list[str]:
        if not self._disguises:
            return list(self._fs.expand_path(path, **options))
        items = path if isinstance(path, list) else [path]
        expanded: set[str] = set()
        for item in items:
            bare = self._bare(item)
            found = self._fs.expand_path([bare], assume_literal=bare != item, **options)
            expanded |= {name.translate(_MAGIC) if bare != item else name for name in found}
        return sorted(expanded)

    def _bare(self, path: str) -> str:
        return path.translate(_PLAIN) if self._disguises else path

    def _note(self, source: str, target: str, **_: Any) -> None:
        self.pairs.append((self._bare(source), self._bare(target)))

    get_file = put_file = cp_file = _note


def plan_get(fs: AbstractFileSystem, rpath: Any, lpath: Any, **options: Any) -> list[Pair]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.get(planner, planner.disguised(rpath, partial(is_literal, fs)), _plain(lpath), **options)
    if not isinstance(lpath, list):
        check_contained(make_path_posix(stringify_path(lpath)), [target for _, target in planner.pairs])
    return planner.pairs


def check_contained(root: str, targets: list[str]) -> None:
    """Refuse local paths outside the folder that the user named; the names below it come from the service.

    fsspec does the same since 2026, and not before. Where a backslash or a drive's letter leads, only the local
    system knows.

    Raises
    ------
    OSError
        EINVAL, naming the path.
    """
    # links are the user's own, and followed: only what the names say counts
    top = os.path.normcase(os.path.abspath(root))  # noqa: PTH100
    for target in targets:
        place = os.path.normcase(os.path.abspath(target))  # noqa: PTH100
        if place != top and not place.startswith(top.rstrip(os.sep) + os.sep):
            raise make_error(errno.EINVAL, f"it would be written outside {root}: get it by its name", target)


def plan_put(fs: AbstractFileSystem, lpath: Any, rpath: Any, **options: Any) -> list[Pair]:
    """Return the (local, remote) pairs of a ``put``, in fsspec's order."""
    items = lpath if isinstance(lpath, list) else [lpath]
    if not isinstance(rpath, list) and any(map(_is_local_folder_like_a_pattern, items)):
        return _plan_put_of_folder(fs, lpath, _plain(rpath), **options)
    planner = _Planner(fs)
    AbstractFileSystem.put(planner, planner.disguised(lpath, _is_local_literal), _plain(rpath), **options)
    named = {make_path_posix(stringify_path(item)) for item in items}
    # what is found below a directory may be unfinished
    return [pair for pair in planner.pairs if pair[0] in named or not is_part(Path(pair[0]).name)]


def plan_copy(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[Pair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order."""
    planner = _Planner(fs)
    AbstractFileSystem.copy(planner, planner.disguised(path1, partial(is_literal, fs)), _plain(path2), **options)
    return planner.pairs


def check_targets(pairs: Iterable[Pair], verb: str) -> list[Pair]:
    """Refuse pairs of which one would destroy what another one reads or writes; they are carried out in any order.

    Parameters
    ----------
    pairs : iterable of (source, target)
        Paths without trailing slashes, of one filesystem.
    verb : str
        What is done, for messages: ``moved``.

    Returns
    -------
    list of (source, target)
        Each pair once.

    Raises
    ------
    OSError
        EINVAL, naming both paths, where two sources have one target, one source has two targets, or a target is
        another source or lies inside one.
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
        for place in _path_and_parents(target):
            # what stays where it is takes nothing from anybody
            if place != source and goals.get(place, place) != place:
                text = f"{source} would be {verb} to this path, but {place} is to be {verb}, too: one after the other"
                raise OSError(errno.EINVAL, text, target)
    return unique


def check_moves(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the moves that are to be made, each once, without those of a path to itself.

    Raises
    ------
    OSError
        EINVAL, before anything is moved: see `check_targets`; also for a directory that would go into itself.
    """
    pairs = list(pairs)
    into_itself = next((source for source, target in pairs if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    return [(source, target) for source, target in check_targets(pairs, "moved") if source != target]


def _path_and_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def expand(fs: AbstractFileSystem, expand: Callable[..., list[str]], path: Any, *, assume_literal: bool) -> list[str]:
    """Return the paths that a path, a pattern or a list of them stands for; existing names are taken literally.

    Parameters
    ----------
    expand : callable
        fsspec's own method, which takes everything that looks like a pattern for one unless told otherwise.
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
        # fsspec's own has no errno and no filename
        raise make_error(errno.ENOENT, "no such file or directory", fs._strip_protocol(items[0])) from None


def is_literal(fs: AbstractFileSystem, path: Any) -> bool:
    """Return whether a path that looks like a pattern is the name of something that exists."""
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
    """Return the pairs of a ``put`` of a local directory whose name fsspec takes for a pattern of others."""
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


class _Telling:
    """How threads tell callbacks something: one at a time, and in the context of the thread that began it all.

    fsspec's own filesystems call callbacks from a single thread, so those of many files may add to one sum without a
    lock; and notebooks print what a callback prints below the cell whose context it is in.
    """

    def __init__(self) -> None:
        self._lock, self._context = threading.Lock(), copy_context()

    def tell(self, function: Callable[..., T], *arguments: Any) -> T:
        with self._lock:
            return self._context.run(function, *arguments)

    @contextmanager
    def branched(self, callback: Callback, pair: Pair) -> Iterator[Callback]:
        branch = self.tell(callback.branched, *pair)
        child = self.tell(branch.__enter__)
        try:
            yield child
        finally:
            self.tell(branch.__exit__, *sys.exc_info())


_telling: ContextVar[_Telling | None] = ContextVar("_telling", default=None)
"""In a thread that handles one file of many: how all of them tell their callbacks something."""


def each_pair(pool: Pool, pairs: list[Pair], callback: Callback, action: Callable[[str, str, Callback], None]) -> None:
    """Do something for every pair, several at once; tell `callback` of every file, and its branches of every byte."""
    telling = _Telling()
    callback.set_size(len(pairs))

    def one(pair: Pair) -> None:
        token = _telling.set(telling)
        try:
            with telling.branched(callback, pair) as child:
                action(*pair, child)
        finally:
            _telling.reset(token)
        telling.tell(callback.relative_update, 1)

    pool.map(one, pairs)


def copy_each(fs: AbstractFileSystem, pool: Pool, pairs: list[Pair], folders: set[str], on_error: str) -> None:
    """Copy file by file, several at once; make a directory for each of `folders`.

    Parameters
    ----------
    on_error : str
        ``raise``, or ``ignore`` for sources that are not found.
    """

    def one(pair: Pair) -> None:
        try:
            if pair[0] in folders:
                fs.makedirs(pair[1], exist_ok=True)
            else:
                fs.cp_file(*pair)
        except FileNotFoundError as error:
            # of a target, such as one in a bucket that does not exist, it is never to be passed over
            if on_error == "raise" or error.filename != fs._strip_protocol(pair[0]):
                raise

    pool.map(one, pairs)


def is_one_of_many() -> bool:
    """Return whether the calling thread handles one file of many, whose caller is told of all of them."""
    return _telling.get() is not None


def step_counter(callback: Callback | None) -> tuple[Step | None, Step | None]:
    """Return functions that announce a size and bytes to `callback`; None for the callback that ignores everything."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None, None
    telling = _telling.get() or _Telling()
    return partial(telling.tell, callback.set_size), partial(telling.tell, callback.relative_update)
