"""Operations on many files in parallel.

The rules by which ``get``, ``put`` and ``copy`` pair sources with targets (globs, trailing slashes, existing
directories) are those of fsspec's base class: its `copy` runs against a stand-in that records the pairs.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem, make_path_posix
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from cosv4fs import paths
from cosv4fs.arguments import whole_or_none
from cosv4fs.attributes import attributes_of_copy, stored_by, written_with_copy
from cosv4fs.collisions import PathPair, check_copies, check_moves, check_targets, directories_among
from cosv4fs.concurrency import Pool, cancellation
from cosv4fs.errors import make_error
from cosv4fs.info import Info
from cosv4fs.localfiles import is_copied, is_part, replacing
from cosv4fs.localnames import LocalNames, are_possible
from cosv4fs.progress import FileSize, each_pair

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
            found = _expanded(self._source, bare, literal=bare != item, **options)
            if not found:
                missing.append(bare)
                if not has_magic(item):
                    raise _missing(self._source, bare)
            expanded |= {name.translate(_MAGIC) if bare != item else name for name in found}
        if missing and not expanded:
            raise _missing(self._source, missing[0])
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


def _directories_among(fs: AbstractFileSystem, sources: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate for sources that are directories, and not also files; see `check_targets`."""
    if may_nest(fs):
        return cache(lambda source: not fs.isfile(source))
    return directories_among(sources, fs.isdir)


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


def _local_files(pairs: list[PathPair]) -> list[FileSize]:
    """Return the local files to upload, and their sizes; pipes and devices have none."""
    found: list[FileSize] = []
    for source, _ in pairs:
        try:
            status = os.stat(source)  # noqa: PTH116 - parsing a path costs more
        except OSError:
            # its upload raises the error
            continue
        if not stat.S_ISDIR(status.st_mode):
            found.append((source, status.st_size if stat.S_ISREG(status.st_mode) else None))
    return found


def put_each(
    pool: Pool, pairs: list[PathPair], left: list[str], callback: Callback, put: Callable[[str, str, Callback], None]
) -> None:
    """Upload files in parallel, then report what was left out; see `plan_put`."""
    each_pair(pool, pairs, callback, put, _local_files)
    if left:
        text = f"links to directories, pipes and devices were left out, {len(left)} in all: name them to upload them"
        raise OSError(errno.EINVAL, text, left[0])


def _check_names(fs: AbstractFileSystem, pairs: list[PathPair]) -> None:
    """Refuse invalid names of targets (EINVAL), before anything is sent."""
    for _, target in pairs:
        fs.namespace.check_name(fs._strip_protocol(target))


def plan_copy(fs: AbstractFileSystem, path1: Any, path2: Any, **options: Any) -> list[PathPair]:
    """Return the (source, target) pairs of a ``copy``, in fsspec's order, not yet checked."""
    path1 = plain(path1)
    invalidate_listings(fs, path1, recursive=bool(options.get("recursive")))
    return _Planner(fs, fs).plan(path1, _target(fs, path2), partial(is_literal, fs), options)


def _target(fs: AbstractFileSystem, path: Any) -> Any:
    """Return a target as `plain` does; one path without its protocol, but with a slash at its end, which matters."""
    path = plain(path)
    return fs._strip_protocol(path) + "/" * path.endswith("/") if isinstance(path, str) else path


def checked_copies(fs: AbstractFileSystem, pairs: list[PathPair]) -> list[PathPair]:
    """Return the pairs of a ``copy``, each once, checked by `check_targets` and `check_copies`."""
    identity = fs._strip_protocol
    is_directory = _directories_among(fs, (identity(source) for source, _ in pairs))

    def is_folder(source: str) -> bool:
        return is_directory(identity(source))

    unique = check_targets(pairs, "copied", identity=identity, is_directory=is_folder, may_nest=may_nest(fs))
    check_copies(unique, "copied", identity=identity, is_directory=is_folder)
    _check_names(fs, unique)
    return unique


def checked_moves(fs: AbstractFileSystem, pairs: list[PathPair]) -> list[PathPair]:
    """Return the pairs of a ``mv``, each once, without protocols and without paths that stay; checked as copies are."""
    pairs = [(fs._strip_protocol(source), fs._strip_protocol(target)) for source, target in pairs]
    into_itself = next((source for source, target in pairs if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    is_directory = _directories_among(fs, (source for source, _ in pairs))
    check_moves(pairs)
    unique = check_targets(pairs, "moved", is_directory=is_directory, may_nest=may_nest(fs))
    _check_names(fs, unique)
    return [(source, target) for source, target in unique if source != target]


def checked_contents(fs: AbstractFileSystem, path: Any, value: Any) -> list[tuple[str, Any]]:
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


def expand(
    fs: AbstractFileSystem, path: Any, recursive: bool, maxdepth: int | None, *, assume_literal: bool, refresh: bool
) -> list[str]:
    """Expand a path, a pattern or a list of them; existing names are taken literally."""
    items = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    found: set[str] = set()
    for item in items:
        literal = assume_literal or is_literal(fs, item)
        found |= _expanded(fs, item, recursive=recursive, maxdepth=maxdepth, literal=literal, refresh=refresh)
    if not found:
        raise _missing(fs, items[0] if items else "")
    return sorted(found)


def _expanded(
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
            found |= _expanded(fs, match, recursive=True, maxdepth=below, literal=True, **options)
    return found


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


def sizes_by_path(fs: Any, path: str, **options: Any) -> dict[str, int]:
    """Return the sizes in bytes of all files under a path; `options` are those of `find`."""
    return {name: int(info["size"]) for name, info in fs.find(path, detail=True, **options).items()}


def read_all(
    fs: Any, path: Any, options: dict[str, Any], *, recursive: bool, on_error: str, batch_size: int | None
) -> Any:
    """Return the content of one file, or a dict of contents by path; see `cat` of the filesystem."""
    if on_error not in ("raise", "omit", "return"):
        raise ValueError(f"on_error must be raise, omit or return, not {on_error!r}")
    path = plain(path)
    invalidate_listings(fs, path, recursive=recursive)
    found = fs.expand_path(path, recursive=recursive)
    found = [name for name in found if not (recursive and fs.namespace.is_only_directory(name))]
    is_one = isinstance(path, str) and found == [fs._path(path)]
    files = fs.runtime.files.share(files=batch_size)
    return files.read_each(partial(fs.cat_file, **options), found, on_error, is_one=is_one)


def _missing(fs: AbstractFileSystem, path: Any) -> OSError:
    name, text = fs._strip_protocol(path), "no such file or directory"
    if isinstance(fs, LocalFileSystem):
        return FileNotFoundError(errno.ENOENT, text, name)
    return make_error(errno.ENOENT, text, name)


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


def is_literal(fs: AbstractFileSystem, path: Any) -> bool:
    """Return whether a path that looks like a pattern exists literally."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    stripped = fs._strip_protocol(path)
    if not has_magic(stripped):
        return False
    # a name with * or ? matches itself as a pattern; one with [ does not
    return bool(fs.exists(stripped) if "[" in stripped else stripped in fs.glob(stripped))


def plain(path: Any) -> Any:
    """Return a path as text, and anything else that holds paths as a list, because fsspec sorts other sequences."""
    if isinstance(path, (str, os.PathLike)) or isfilelike(path) or not isinstance(path, Iterable):
        return stringify_path(path)
    return [stringify_path(item) for item in path]


def _is_local_literal(path: str) -> bool:
    return has_magic(path) and Path(path).exists()


def _folders_in(fs: AbstractFileSystem, pairs: list[PathPair], recursive: bool) -> set[str]:
    """Return the sources that planning has just listed as directories, so that they are not tried as files."""
    found = {source for source, _ in pairs if recursive and fs.namespace.cache.is_directory(source)}
    if not may_nest(fs):
        return found
    # the one that the caller has named may also be a file; listings have told that of all others
    return {source for source in found if not fs.isfile(source)}


def _listed_files(fs: Any, folders: Collection[str], pairs: list[PathPair]) -> list[FileSize]:
    """Return the files to download, and their sizes as far as they are cached: finding one out costs a request."""
    names = [source for source, _ in pairs if source not in folders]
    infos = [fs.namespace.cache.info(name) for name in names]
    return [(name, None if info is None else info["size"]) for name, info in zip(names, infos, strict=True)]


def get_each(
    fs: AbstractFileSystem,
    pool: Pool,
    pairs: list[PathPair],
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

    each_pair(pool, pairs, callback, one, partial(_listed_files, fs, folders))
    if recursive:
        _check_complete(fs, {source for source, _ in pairs}, folders)


def make_folder(fs: AbstractFileSystem, path: str, *, is_empty: bool) -> None:
    """Create a directory of a tree; fail if it is not there although no file of the tree makes it."""
    fs.makedirs(path, exist_ok=True)
    if is_empty:
        fs.namespace.check_empty_directory(path)


def put_folder(fs: Any, lpath: Any, path: str, mode: str, keywords: Mapping[str, Any]) -> bool:
    """Create the directory for a local one; return whether the local path is one. The keywords are only checked."""
    # parsing a path costs more than asking the system about it
    if not os.path.isdir(lpath):  # noqa: PTH112
        return False
    fs.runtime.files.check_keywords(mode, keywords)
    make_folder(fs, path, is_empty=not any(Path(lpath).iterdir()))
    return True


def copy_each(fs: AbstractFileSystem, pool: Pool, pairs: list[PathPair], on_error: str, *, recursive: bool) -> None:
    """Copy files in parallel, and create the directories; see `copy` of the filesystem."""
    folders = _folders_in(fs, pairs, recursive)
    filled = {fs._parent(source) for source, _ in pairs}

    def one(pair: PathPair) -> None:
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
    """Copy a file with its attributes by reading and writing it; no transaction delays the copy.

    The permission is carried only if it makes the copy private (see `written_with_copy`).
    """
    # this caches the status, which saves the request to open the file
    stored = fs.attributes(source) if "biz_attr" in stored_by(fs.protocol) else {}
    with fs.open(source, "rb") as reader:
        data = reader.read(fs.config.slice_size)
        attributes, _ = written_with_copy(attributes_of_copy(stored, reader.attributes), target, fs.protocol)
        with fs._open(target, "wb", size=reader.size, **attributes) as writer:
            while data:
                writer.write(data)
                data = reader.read(fs.config.slice_size)
