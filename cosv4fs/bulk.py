"""Operations on many files in parallel."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import Callback
from fsspec.spec import AbstractFileSystem
from fsspec.utils import merge_offset_ranges, stringify_path

from cosv4fs.arguments import limits, whole_or_none
from cosv4fs.collisions import PathPair
from cosv4fs.concurrency import Pool, cancellation
from cosv4fs.errors import make_error
from cosv4fs.expansion import invalidate_listings, plain
from cosv4fs.localfiles import replacing
from cosv4fs.pairing import may_nest
from cosv4fs.paths import StrPath
from cosv4fs.progress import FileSize, each_pair

_T = TypeVar("_T")


def read_all(
    fs: Any, pool: Pool, path: Any, options: dict[str, Any], *, recursive: bool, on_error: str
) -> bytes | dict[str, Any]:
    """Return the content of one file, or a dict of contents by path; see `cat` of the filesystem."""
    if on_error not in ("raise", "omit", "return"):
        raise ValueError(f"on_error must be raise, omit or return, not {on_error!r}")
    path = plain(path)
    invalidate_listings(fs, path, recursive=recursive)
    found = fs.expand_path(path, recursive=recursive)
    found = [name for name in found if not (recursive and fs.namespace.is_only_directory(name))]
    read: Callable[[str], bytes] = partial(fs.cat_file, **options)
    if isinstance(path, str) and found == [fs._path(path)]:
        return read(found[0])
    results = zip(found, pool.map(_catching(read, on_error), found), strict=True)
    return {name: data for name, data in results if on_error != "omit" or not isinstance(data, Exception)}


def read_ranges(
    pool: Pool,
    read: Callable[[str, int | None, int | None], bytes],
    names: Sequence[StrPath],
    starts: Any,
    ends: Any,
    max_gap: int | None,
    on_error: str,
) -> list[Any]:
    """Return the bytes of several ranges, fetched in parallel by `read`; see `cat_ranges` of the filesystem."""
    if isinstance(names, (str, bytes, os.PathLike)):
        raise TypeError(f"paths must be a list, not {names!r}")
    names = [stringify_path(name) for name in names]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"paths must be a list of paths, not {names!r}")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error must be raise or return, not {on_error!r}")
    first, last = limits("starts", starts, len(names)), limits("ends", ends, len(names))
    max_gap = whole_or_none("max_gap", max_gap, 0)
    wanted = list(zip(names, first, last, strict=True))
    read_each = partial(pool.map, _catching(lambda item: read(*item), on_error))
    return read_each(wanted) if max_gap is None or not wanted else _read_merged(read_each, wanted, max_gap)


def _read_merged(read_each: Callable[[list[Any]], list[Any]], wanted: list[Any], max_gap: int) -> list[Any]:
    """Merge neighbouring ranges of a file into one request, and slice the results."""
    if any(start is None or end is None or start < 0 or end < 0 for _, start, end in wanted):
        raise ValueError("max_gap needs explicit starts and ends that are not negative")
    # an empty range, such as one from 4 to 2, would be merged with another one and cut that
    names, starts, ends = ([item[part] for item in wanted if item[1] < item[2]] for part in range(3))
    merged = list(zip(*merge_offset_ranges(names, starts, ends, max_gap=max_gap), strict=True))
    blocks = list(zip(merged, read_each(merged), strict=True))

    def cut(path: str, start: int, end: int) -> Any:
        for (name, begin, stop), data in blocks:
            if name == path and begin <= start and end <= stop:
                return data if isinstance(data, Exception) else data[start - begin : end - begin]
        return b""

    return [cut(*item) for item in wanted]


def _catching(function: Callable[[Any], _T], on_error: str) -> Callable[[Any], _T | Exception]:
    """Return a function that returns what fails as a result unless `on_error` is ``raise``; never misuse."""

    def call(item: Any) -> _T | Exception:
        try:
            return function(item)
        except OSError as error:
            if on_error == "raise" or cancellation.is_cancellation(error):
                raise
            return error

    return call


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


def put_each(
    pool: Pool, pairs: list[PathPair], left: list[str], callback: Callback, put: Callable[[str, str, Callback], None]
) -> None:
    """Upload files in parallel, then report what was left out; see `plan_put`."""
    each_pair(pool, pairs, callback, put, _local_files)
    if left:
        text = f"links to directories, pipes and devices were left out, {len(left)} in all: name them to upload them"
        raise OSError(errno.EINVAL, text, left[0])


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


def put_folder(fs: Any, lpath: Any, path: str, mode: str, keywords: Mapping[str, Any]) -> bool:
    """Create the directory for a local one; return whether the local path is one. The keywords are only checked."""
    # parsing a path costs more than asking the system about it
    if not os.path.isdir(lpath):  # noqa: PTH112
        return False
    fs.runtime.files.check_keywords(mode, keywords)
    make_folder(fs, path, is_empty=not any(Path(lpath).iterdir()))
    return True


def make_folder(fs: AbstractFileSystem, path: str, *, is_empty: bool) -> None:
    """Create a directory of a tree; fail if it is not there although no file of the tree makes it."""
    fs.makedirs(path, exist_ok=True)
    if is_empty:
        fs.namespace.check_empty_directory(path)


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
