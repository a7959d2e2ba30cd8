"""Operations on many files in parallel.

The rules by which ``get``, ``put`` and ``copy`` pair sources with targets (globs, trailing slashes, existing
directories) are those of fsspec's base class: its methods run against a stand-in that records the pairs.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, other_paths, stringify_path

from cosv4fs.collisions import Pair, check_copies, check_moves, check_targets, directories_among
from cosv4fs.concurrency import Pool, cancellation
from cosv4fs.errors import make_error
from cosv4fs.localfiles import LocalNames, is_part, replacing

_T = TypeVar("_T")
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


def plan_get(fs: AbstractFileSystem, rpath: Any, lpath: Any, **options: Any) -> tuple[list[Pair], Collection[str]]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order, checked by `check_targets`.

    Also return the local targets that the caller has named, unlike those whose names come from the service: if they
    are symbolic links, they are followed.
    """
    rpath, lpath = _plain(rpath), [lpath] if isfilelike(lpath) else _plain(lpath)
    planner = _Planner(fs)
    _plan(planner, AbstractFileSystem.get, rpath, lpath, partial(is_literal, fs), options)
    if isinstance(lpath, list):
        named = set(lpath)
    else:
        named = {make_path_posix(lpath)}
        _check_contained(make_path_posix(lpath), [target for _, target in planner.pairs])
    is_directory = directories_among((source for source, _ in planner.pairs), fs.isdir)
    if may_nest(fs):
        # a source that contains others can be a file, too
        is_directory = cache(lambda source: not fs.isfile(source))
    identity = LocalNames(named).identity
    return check_targets(planner.pairs, "downloaded", identity=identity, is_directory=is_directory), named


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
    """Return the (local, remote) pairs of a ``put``, in fsspec's order, checked by `check_targets`."""
    lpath, rpath = _plain(lpath), _plain(rpath)
    items = lpath if isinstance(lpath, list) else [lpath]
    if not isinstance(rpath, list) and any(map(_is_local_folder_like_a_pattern, items)):
        pairs = _plan_put_of_folder(fs, lpath, rpath, **options)
    else:
        planner = _Planner(fs)
        _plan(planner, AbstractFileSystem.put, lpath, rpath, _is_local_literal, options)
        named = {*items, *map(make_path_posix, items)}
        # directories may contain part files
        pairs = [pair for pair in planner.pairs if pair[0] in named or not is_part(Path(pair[0]).name)]
    return check_targets(
        pairs, "uploaded", identity=fs._strip_protocol, is_directory=os.path.isdir, may_nest=may_nest(fs)
    )


def plan_copy(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[Pair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order, not yet checked."""
    planner = _Planner(fs)
    _plan(planner, AbstractFileSystem.copy, _plain(path1), _plain(path2), partial(is_literal, fs), options)
    return planner.pairs


def checked_copies(fs: AbstractFileSystem, pairs: list[Pair]) -> list[Pair]:
    """Return the pairs of a ``copy``, each once, checked by `check_targets` and `check_copies`."""
    identity = fs._strip_protocol
    is_directory = directories_among((identity(source) for source, _ in pairs), fs.isdir)

    def is_folder(source: str) -> bool:
        return is_directory(identity(source))

    unique = check_targets(pairs, "copied", identity=identity, is_directory=is_folder, may_nest=may_nest(fs))
    check_copies(unique, "copied", identity=identity, is_directory=is_folder)
    return unique


def checked_moves(fs: AbstractFileSystem, pairs: list[Pair]) -> list[Pair]:
    """Return the pairs of a ``mv``, each once, without protocols and without paths that stay; checked as copies are."""
    pairs = [(fs._strip_protocol(source), fs._strip_protocol(target)) for source, target in pairs]
    into_itself = next((source for source, target in pairs if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    is_directory = directories_among((source for source, _ in pairs), fs.isdir)
    check_moves(pairs)
    unique = check_targets(pairs, "moved", is_directory=is_directory, may_nest=may_nest(fs))
    return [(source, target) for source, target in unique if source != target]


def checked_contents(fs: AbstractFileSystem, path: Any, value: Any) -> list[tuple[str, Any]]:
    """Return the paths and contents of a ``pipe``; refuse invalid contents, and two for one path."""
    if isinstance(path, Mapping) and value is not None:
        raise TypeError("a dict holds the contents itself: give no other value")
    if not isinstance(path, (str, os.PathLike, Mapping)):
        raise TypeError("path must be a str or a dict")
    contents = path if isinstance(path, Mapping) else {path: value}
    for name, content in contents.items():
        check_content(name, content)
    named = [(stringify_path(name), fs._strip_protocol(name)) for name in contents]
    check_targets(named, "written", may_nest=may_nest(fs))
    return [(name, content) for (_, name), content in zip(named, contents.values(), strict=True)]


def check_content(path: Any, value: Any) -> None:
    """Raise a TypeError unless a value is the content of a file: bytes, or a contiguous buffer of them."""
    try:
        with memoryview(value) as view:
            if view.itemsize == 1 and view.c_contiguous:
                return
    except (TypeError, ValueError, BufferError):
        pass
    text = "a file needs bytes as its content; encode text, and use tobytes() of arrays"
    raise TypeError(f"{path}: {text}: got {type(value).__name__}")


def may_nest(fs: AbstractFileSystem) -> bool:
    """Return whether a filesystem can hold a file ``a`` beside a file ``a/b``."""
    return not fs.capabilities.has_directories


def _plan(
    planner: _Planner,
    method: Callable[..., None],
    source: Any,
    target: Any,
    is_literal: Callable[[Any], bool],
    options: dict[str, Any],
) -> None:
    """Have a method of fsspec record its pairs; with lists of different length, it would ignore the rest of one."""
    # fsspec's methods import what they need
    cancellation.check_interpreter()
    if isinstance(source, list) and isinstance(target, list) and len(source) != len(target):
        raise ValueError(f"{len(source)} sources have {len(target)} targets: name one target for each, or a directory")
    if not isinstance(target, (str, list)):
        raise TypeError(f"the target must be a path, or a list of them, not {type(target).__name__}")
    try:
        method(planner, planner.escaped(source, is_literal), target, **options)
    except AssertionError:
        # fsspec's own check of a list of targets
        raise ValueError(f"{source} does not match as many files as there are targets: {len(target)}") from None


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
    """Return a path as text, and anything else that holds paths as a list, because fsspec sorts other sequences."""
    if isinstance(path, (str, os.PathLike)) or isfilelike(path) or not isinstance(path, Iterable):
        return stringify_path(path)
    return [stringify_path(item) for item in path]


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


def _folders_in(fs: AbstractFileSystem, pairs: list[Pair], recursive: bool) -> set[str]:
    """Return the sources that planning has just listed as directories, so that they are not tried as files."""
    found = {source for source, _ in pairs if recursive and fs.namespace.cache.is_directory(source)}
    if not may_nest(fs):
        return found
    # the one that the caller has named may also be a file; listings have told that of all others
    return {source for source in found if not fs.isfile(source)}


def get_each(
    fs: AbstractFileSystem,
    pool: Pool,
    pairs: list[Pair],
    named: Collection[str],
    callback: Callback,
    options: dict[str, Any],
    *,
    recursive: bool,
) -> None:
    """Download files in parallel, and create the directories; see `plan_get` for `named`."""
    folders = _folders_in(fs, pairs, recursive)

    def one(source: str, target: str, child: Callback) -> None:
        if source in folders:
            Path(target).mkdir(parents=True, exist_ok=True)
        elif target not in named and Path(target).is_symlink():
            # the service must not choose the link to write through
            with replacing(target, follow=False) as file:
                fs.get_file(source, file, callback=child, **options)
        else:
            fs.get_file(source, target, callback=child, **options)

    each_pair(pool, pairs, callback, one)
    if recursive:
        _check_complete(fs, {source for source, _ in pairs}, folders)


def make_folder(fs: AbstractFileSystem, path: str, *, is_empty: bool) -> None:
    """Create a directory of a tree; fail if it is not there although no file of the tree makes it."""
    fs.makedirs(path, exist_ok=True)
    if is_empty:
        fs.namespace.check_empty_directory(path)


def copy_each(fs: AbstractFileSystem, pool: Pool, pairs: list[Pair], on_error: str, *, recursive: bool) -> None:
    """Copy files in parallel, and create the directories; see `copy` of the filesystem."""
    folders = _folders_in(fs, pairs, recursive)
    filled = {fs._parent(source) for source, _ in pairs}

    def one(pair: Pair) -> None:
        try:
            if pair[0] in folders:
                make_folder(fs, fs._strip_protocol(pair[1]), is_empty=pair[0] not in filled)
            else:
                fs.cp_file(*pair)
        except FileNotFoundError as error:
            # only missing sources are ignored, not, for example, a missing bucket of the target
            if on_error == "raise" or error.filename != fs._strip_protocol(pair[0]):
                raise

    pool.map(one, pairs)
    if recursive:
        _check_complete(fs, {source for source, _ in pairs}, folders)


def _check_complete(fs: Any, sources: Collection[str], folders: Collection[str]) -> None:
    """Report the objects in copied directories that were left out, because their keys are not valid paths."""
    if not may_nest(fs):
        return
    parents = {source.rpartition("/")[0] for source in sources}
    for folder in sorted(parents.intersection(sources) | set(folders)):
        left = [] if folder.rpartition("/")[0] in sources else fs.invalid_keys(folder)
        if left:
            text = f"all other files were copied, but not {len(left)} whose keys are not valid paths, such as {left[0]}"
            raise make_error(errno.EINVAL, text, folder)


def copy_through(fs: Any, source: str, target: str) -> None:
    """Copy a file by reading and writing it; no transaction delays the copy."""
    with fs.open(source, "rb") as reader, fs._open(target, "wb", size=reader.size) as writer:
        while data := reader.read(fs.config.slice_size):
            writer.write(data)


def is_one_of_many() -> bool:
    """Return whether the calling thread processes one of many files, whose progress is reported together."""
    return _runner.get() is not None


def step_counter(callback: Callback | None) -> tuple[Step | None, Step | None]:
    """Return functions that report a size and bytes to `callback`; None for the default callback."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None, None
    runner = _runner.get() or _CallbackRunner()
    return partial(runner.run, callback.set_size), partial(runner.run, callback.relative_update)
