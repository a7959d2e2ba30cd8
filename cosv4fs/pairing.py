"""Which source goes to which target in operations on many files: planned and checked before anything is sent.

The rules (globs, trailing slashes, existing directories) are those of fsspec's base class: its `copy` runs against a
stand-in that records the pairs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from cosv4fs import paths
from cosv4fs.arguments import check_content
from cosv4fs.collisions import PathPair, check_copies, check_moves, check_targets, directories_among
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import make_error
from cosv4fs.expansion import expand_one, invalidate_listings, is_literal, missing_error, plain
from cosv4fs.localfiles import is_copied, is_part
from cosv4fs.localnames import LocalNames, are_possible

# wildcards of fsspec, and the characters, which no name has, that replace them while a literal name is planned
_MAGIC = str.maketrans("*?[", "\ud800\ud801\ud802")
_PLAIN = str.maketrans("\ud800\ud801\ud802", "*?[")


class _LocalTree(LocalFileSystem):  # type: ignore[misc]
    """The local disk; a directory that cannot be listed is an error, where fsspec would skip it."""

    def walk(self, path: str, *args: Any, **options: Any) -> Iterator[tuple[str, Any, Any]]:
        yield from super().walk(path, *args, **{"on_error": "raise", **options})


class _Planner:
    """Stands in for a filesystem in fsspec's `copy`, whose rules are those of ``get`` and ``put``, too.

    Passes queries on to the filesystems of the sources and of the target, and records transfers instead of doing them.
    Existing names that look like patterns are escaped, because `copy` would expand them.
    """

    def __init__(self, source: AbstractFileSystem, target: AbstractFileSystem) -> None:
        self._source, self._target = source, target
        self._goal: Any = None
        self.pairs: list[PathPair] = []

    def plan(
        self, source: Any, target: Any, is_literal: Callable[[str], bool], options: dict[str, Any]
    ) -> list[PathPair]:
        """Return the (source, target) pairs of a copy of a path or list of paths."""
        # fsspec's methods import what they need
        cancellation.check_interpreter()
        if isinstance(source, list) and isinstance(target, list) and len(source) != len(target):
            text = f"{len(source)} sources have {len(target)} targets: name one target for each, or a directory"
            raise ValueError(text)
        if not isinstance(target, (str, list)):
            raise TypeError(f"the target must be a path, or a list of them, not {type(target).__name__}")
        items = source if isinstance(source, list) else [source]
        if not all(isinstance(item, str) for item in items):
            raise TypeError(f"the source must be a path, or a list of them, not {source!r}")
        escaped = [item.translate(_MAGIC) if is_literal(item) else item for item in items]
        self._goal = target
        try:
            AbstractFileSystem.copy(self, escaped if isinstance(source, list) else escaped[0], target, **options)
        except AssertionError:
            # fsspec's own check of a list of targets
            raise ValueError(f"{source} does not match as many files as there are targets: {len(target)}") from None
        return self.pairs

    def isdir(self, path: str) -> bool:
        """Return whether a source, or the target, is a directory."""
        return bool(self._target.isdir(path) if path == self._goal else self._source.isdir(path.translate(_PLAIN)))

    def expand_path(self, path: Any, **options: Any) -> list[str]:
        """Return the sources that a path or list of paths stands for; each named one must exist if it is expanded.

        Of a list, patterns without a match are left out.
        """
        expanded: set[str] = set()
        missing: list[str] = []
        for item in path if isinstance(path, list) else [path]:
            bare = item.translate(_PLAIN)
            found = expand_one(self._source, bare, literal=bare != item, **options)
            if not found:
                missing.append(bare)
                if not has_magic(item):
                    raise missing_error(self._source, bare)
            expanded |= {name.translate(_MAGIC) if bare != item else name for name in found}
        if missing and not expanded:
            raise missing_error(self._source, missing[0])
        return sorted(expanded)

    def cp_file(self, source: str, target: Any, **_: Any) -> None:
        """Record a transfer; the target may be an open file."""
        self.pairs.append((source.translate(_PLAIN), target.translate(_PLAIN) if isinstance(target, str) else target))


def plan_get(fs: AbstractFileSystem, rpath: Any, lpath: Any, **options: Any) -> tuple[list[PathPair], Collection[str]]:
    """Return the (remote, local) pairs of a ``get``, in fsspec's order, checked by `check_targets`.

    Also return the local targets that the caller has named, unlike those whose names come from the service: if they
    are symbolic links, they are followed.
    """
    rpath, lpath = plain(rpath), [lpath] if isfilelike(lpath) else plain(lpath)
    invalidate_listings(fs, rpath, recursive=bool(options.get("recursive")))
    if isinstance(lpath, str):
        lpath = make_path_posix(lpath)
    pairs = _Planner(fs, LocalFileSystem()).plan(rpath, lpath, partial(is_literal, fs), options)
    named = set(lpath) if isinstance(lpath, list) else {lpath}
    if isinstance(lpath, str):
        _check_contained(lpath, [target for _, target in pairs])
    is_directory = _directories_among(fs, (source for source, _ in pairs))
    identity = LocalNames(named).identity
    return check_targets(pairs, "downloaded", identity=identity, is_directory=is_directory), named


def _check_contained(root: str, targets: list[str]) -> None:
    """Refuse local targets outside the directory that the user named, because names come from the service.

    Also refuse names that no local file can have: Windows would write to another file, or to a device. fsspec does the
    first only since 2026. The meaning of backslashes and drive letters depends on the local system.
    """
    # abspath, not realpath: symbolic links in the local directory are the user's own and followed
    top = os.path.normcase(os.path.abspath(root))  # noqa: PTH100
    for target in targets:
        path = os.path.normcase(os.path.abspath(target))  # noqa: PTH100
        if path != top and not path.startswith(top.rstrip(os.sep) + os.sep):
            raise make_error(errno.EINVAL, f"the file would be written outside {root}: get it by its name", target)
        if not are_possible(target.removeprefix(root).split("/")):
            text = "local files cannot have this name: get the file by its name, to a path of another name"
            raise make_error(errno.EINVAL, text, target)


def plan_put(fs: AbstractFileSystem, lpath: Any, rpath: Any, **options: Any) -> tuple[list[PathPair], list[str]]:
    """Return the (local, remote) pairs of a ``put``, in fsspec's order, checked by `check_targets`.

    Also return what directories contain that cannot be uploaded: pipes, devices and links to directories, which could
    lead anywhere. The caller may name them.
    """
    lpath, rpath = plain(lpath), _target(fs, rpath)
    if isinstance(lpath, str):
        lpath = make_path_posix(lpath)
    items = lpath if isinstance(lpath, list) else [lpath]
    found = _Planner(_LocalTree(), fs).plan(lpath, rpath, _is_local_literal, options)
    named = {*items, *map(make_path_posix, items)}
    left = {source for source, _ in found if source not in named and not is_copied(source)}
    # directories may contain part files
    pairs = [pair for pair in found if pair[0] in named or not (pair[0] in left or is_part(Path(pair[0]).name))]
    identity = fs._strip_protocol
    unique = check_targets(pairs, "uploaded", identity=identity, is_directory=os.path.isdir, may_nest=may_nest(fs))
    _check_names(fs, unique)
    return unique, sorted(left)


def _is_local_literal(path: str) -> bool:
    return has_magic(path) and Path(path).exists()


def plan_copy(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[PathPair]:
    """Return the (source, target) pairs of a ``copy``, checked by `check_targets` and `check_copies`."""
    pairs, identity = _plan_within(fs, path1, path2, options), fs._strip_protocol
    is_directory = _directories_among(fs, (identity(source) for source, _ in pairs))

    def is_folder(source: str) -> bool:
        return is_directory(identity(source))

    unique = check_targets(pairs, "copied", identity=identity, is_directory=is_folder, may_nest=may_nest(fs))
    check_copies(unique, "copied", identity=identity, is_directory=is_folder)
    _check_names(fs, unique)
    return unique


def plan_move(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[PathPair]:
    """Return the pairs of a ``mv``, checked by `check_targets` and `check_moves`.

    They are without protocols, and without paths that stay.
    """
    found = _plan_within(fs, path1, path2, options)
    pairs = [(fs._strip_protocol(source), fs._strip_protocol(target)) for source, target in found]
    into_itself = next((source for source, target in pairs if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    is_directory = _directories_among(fs, (source for source, _ in pairs))
    check_moves(pairs)
    unique = check_targets(pairs, "moved", is_directory=is_directory, may_nest=may_nest(fs))
    _check_names(fs, unique)
    return [(source, target) for source, target in unique if source != target]


def _plan_within(fs: AbstractFileSystem, path1: Any, path2: Any, options: dict[str, Any]) -> list[PathPair]:
    """Return the pairs of a ``copy`` or ``mv``, in fsspec's order, not yet checked."""
    path1 = plain(path1)
    invalidate_listings(fs, path1, recursive=bool(options.get("recursive")))
    return _Planner(fs, fs).plan(path1, _target(fs, path2), partial(is_literal, fs), options)


def plan_pipe(fs: AbstractFileSystem, path: Any, value: Any) -> list[tuple[str, Any]]:
    """Return the paths and contents of a ``pipe``; refuse invalid paths and contents, and two for one path."""
    if isinstance(path, Mapping) and value is not None:
        raise TypeError("a dict holds the contents itself: give no other value")
    if not isinstance(path, (str, os.PathLike, Mapping)):
        raise TypeError("path must be a str or a dict")
    contents = path if isinstance(path, Mapping) else {path: value}
    for name, content in contents.items():
        check_content(name, content)
    named = [(stringify_path(name), fs._strip_protocol(name)) for name in contents]
    _check_names(fs, named)
    for _, target in named:
        # a bucket is no file
        paths.file_key(target)
    check_targets(named, "written", may_nest=may_nest(fs))
    return [(name, content) for (_, name), content in zip(named, contents.values(), strict=True)]


def _target(fs: AbstractFileSystem, path: Any) -> Any:
    """Return a target as `plain` does; one path without its protocol, but with a slash at its end, which matters."""
    path = plain(path)
    return fs._strip_protocol(path) + "/" * path.endswith("/") if isinstance(path, str) else path


def _directories_among(fs: AbstractFileSystem, sources: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate for sources that are directories, and not also files; see `check_targets`."""
    if may_nest(fs):
        return cache(lambda source: not fs.isfile(source))
    return directories_among(sources, fs.isdir)


def _check_names(fs: AbstractFileSystem, pairs: list[PathPair]) -> None:
    """Refuse invalid names of targets (EINVAL), before anything is sent."""
    for _, target in pairs:
        fs.namespace.check_name(fs._strip_protocol(target))


def may_nest(fs: AbstractFileSystem) -> bool:
    """Return whether a filesystem can hold a file ``a`` beside a file ``a/b``."""
    return not fs.capabilities.has_directories
