"""Which paths a path, a pattern or a list of them stands for, by the rules of fsspec's ``expand_path``.

An existing path is taken literally even if it looks like a pattern.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Any

from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from cosv4fs import paths
from cosv4fs.arguments import whole_or_none
from cosv4fs.errors import make_error
from cosv4fs.info import Info


def plain(path: Any) -> Any:
    """Return a path as text, and anything else that holds paths as a list, because fsspec sorts other sequences."""
    if isinstance(path, (str, os.PathLike)) or isfilelike(path) or not isinstance(path, Iterable):
        return stringify_path(path)
    return [stringify_path(item) for item in path]


def is_literal(fs: AbstractFileSystem, path: Any) -> bool:
    """Return whether a path that looks like a pattern exists literally."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    stripped = fs._strip_protocol(path)
    if not has_magic(stripped):
        return False
    # a name with * or ? matches itself as a pattern; one with [ does not
    return bool(fs.exists(stripped) if "[" in stripped else stripped in fs.glob(stripped))


def invalidate_listings(fs: AbstractFileSystem, path: Any, *, recursive: bool) -> None:
    """Invalidate what is cached where the files for a path, a pattern or a list of them will be looked for.

    What reads or changes many files takes those that exist now: it would fail in the middle for one that another client
    has removed, and leave out new ones.
    """
    for item in [path] if isinstance(path, (str, os.PathLike)) or not isinstance(path, Iterable) else path:
        name = fs._strip_protocol(item) if isinstance(item, (str, os.PathLike)) else ""
        if has_magic(name):
            fs.namespace.cache.invalidate(paths.folder_of_matches(name) or None)
        elif recursive and name:
            fs.namespace.cache.invalidate(name)


def expand(
    fs: AbstractFileSystem, path: Any, recursive: bool, maxdepth: int | None, *, assume_literal: bool, refresh: bool
) -> list[str]:
    """Return the paths that a path, a pattern or a list of them stands for, sorted; see `expand_path`."""
    items = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    found: set[str] = set()
    for item in items:
        literal = assume_literal or is_literal(fs, item)
        found |= expand_one(fs, item, recursive=recursive, maxdepth=maxdepth, literal=literal, refresh=refresh)
    if not found:
        raise missing_error(fs, items[0] if items else "")
    return sorted(found)


def expand_one(
    fs: AbstractFileSystem, path: Any, *, recursive: bool, maxdepth: int | None, literal: bool, **options: Any
) -> set[str]:
    """Return the paths that one path or pattern stands for, by the rules of fsspec's `expand_path`; possibly none.

    `options` are for ``glob`` and ``find``.
    """
    # fsspec's own takes names literally only since 2025
    name, depth = fs._strip_protocol(path), whole_or_none("maxdepth", maxdepth, 1)
    if literal or not has_magic(name):
        if not recursive:
            return {name}
        found = set(fs.find(name, maxdepth=depth, withdirs=True, **options))
        return found | {name} if name not in found and fs.exists(name) else found
    found = set(fs.glob(name, maxdepth=depth, **options))
    if recursive and depth != 1:
        below = None if depth is None else depth - 1
        # what is in another match is listed with that
        tops = [match for match in found if below is not None or found.isdisjoint(paths.parents(match))]
        for match in tops:
            found |= expand_one(fs, match, recursive=True, maxdepth=below, literal=True, **options)
    return found


def missing_error(fs: AbstractFileSystem, path: Any) -> OSError:
    """Return the error for a path, or a pattern, that stands for nothing."""
    name, text = fs._strip_protocol(path), "no such file or directory"
    if isinstance(fs, LocalFileSystem):
        return FileNotFoundError(errno.ENOENT, text, name)
    return make_error(errno.ENOENT, text, name)


def matches(
    fs: Any,
    pattern: str,
    generic_glob: Callable[..., dict[str, Info]],
    maxdepth: int | None,
    *,
    refresh: bool,
    withdirs: bool,
) -> dict[str, Info]:
    """Return the infos of what matches a pattern by path; see `glob` of the filesystem. `generic_glob` is fsspec's."""
    maxdepth, stripped = whole_or_none("maxdepth", maxdepth, 1), fs._strip_protocol(pattern)
    if refresh:
        fs.namespace.cache.invalidate(paths.folder_of_matches(stripped) or None)
    if "**" not in stripped and has_magic(stripped):
        found: dict[str, Info] = fs.namespace.glob(stripped, withdirs=withdirs, only_folders=pattern.endswith("/"))
        return found
    # older versions of fsspec do not take `withdirs`
    found = generic_glob(pattern, maxdepth=maxdepth, detail=True)
    all_types = withdirs or not has_magic(stripped)
    return {name: info for name, info in found.items() if all_types or info["type"] == "file"}
