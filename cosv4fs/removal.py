"""Removing and moving whole trees: files first, several at once, then the directories, the deepest first."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cosv4fs import bulk, paths
from cosv4fs.api import Entry, PathStatus
from cosv4fs.errors import CosFileNotFoundError, make_error

if TYPE_CHECKING:
    from cosv4fs.rearranging import Rearranging

__all__ = ["move_pairs", "remove_tree", "seen_in"]


def seen_in(info: dict[str, Any] | None) -> PathStatus | None:
    """Return what an info tells of a file, as evidence of what was there; None for a directory or nothing."""
    if info is None or info["type"] == "directory":
        return None
    size, sha = int(info["size"]), info.get("sha")
    created, modified = int(info.get("created") or 0), int(info.get("mtime") or 0)
    return PathStatus(is_directory=False, size=size, stored=size, created=created, modified=modified, sha=sha)


def remove_tree(fs: Rearranging, path: str, maxdepth: int | None = None) -> None:
    """Remove a file, or a directory with everything in it: N + 2 requests for N files in one directory.

    Parameters
    ----------
    maxdepth : int, optional
        Levels to remove; directories that are not empty then stay.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    """
    fs.invalidate_cache(path)
    try:
        entries = fs.namespace.everything(path)
    except CosFileNotFoundError:
        # it is no directory
        fs.rm_file(path)
        return
    levels = [[path], _empty(fs, path, entries)]
    while levels[-1] and (maxdepth is None or len(levels) <= maxdepth):
        levels.append(_flat(fs.workers.each(lambda name: _empty(fs, name), levels[-1])))
    complete = not levels[-1]
    for level in reversed(levels[1:] if complete else levels[1:-1]):
        fs.workers.each(lambda name: _remove_directory(fs, name, tolerant=not complete), level)
    if not entries:
        _remove_listed_as_empty(fs, path)
    else:
        _remove_directory(fs, path, tolerant=not complete)
    fs.invalidate_cache(path)
    fs._remembered.forget(path, gone=True)


def _empty(fs: Rearranging, path: str, entries: list[Entry] | None = None) -> list[str]:
    """Delete the files of a directory, unfinished uploads included; return its directories."""
    bucket, key = paths.directory_key(path)
    try:
        entries = fs.namespace.everything(path) if entries is None else entries
    except CosFileNotFoundError:
        return []
    files = [entry for entry in entries if not entry.is_directory]
    fs.workers.each(lambda entry: _delete(fs, bucket, key + entry.name, entry), files)
    return [f"{path}/{entry.name}" for entry in entries if entry.is_directory]


def _remove_listed_as_empty(fs: Rearranging, path: str) -> None:
    """Remove what was listed without entries: some servers list what is no directory so."""
    try:
        fs.client.delete(*paths.directory_key(path))
    except CosFileNotFoundError:
        fs.rm_file(path)


def _delete(fs: Rearranging, bucket: str, key: str, seen: Entry | None = None) -> None:
    try:
        fs.client.delete(bucket, key, seen=seen)
    except CosFileNotFoundError:
        # someone else was faster
        return


def _remove_directory(fs: Rearranging, path: str, tolerant: bool) -> None:
    try:
        _delete(fs, *paths.directory_key(path))
    except OSError:
        if not tolerant:
            raise


def move_pairs(fs: Rearranging, pairs: list[tuple[str, str]]) -> None:
    """Move files pair by pair, several at once; make target directories first and remove emptied sources last."""
    stripped = [(fs._strip_protocol(source), fs._strip_protocol(target)) for source, target in pairs]
    into_itself = next((source for source, target in stripped if target.startswith(source + "/")), None)
    if into_itself is not None:
        raise make_error(errno.EINVAL, "a directory cannot be moved into itself", into_itself)
    pairs = [(source, target) for source, target in bulk.check_targets(stripped, "moved") if source != target]
    folders = [pair for pair in pairs if fs.isdir(pair[0])]
    known = {source for source, _ in folders}
    for _, target in folders:
        fs.makedirs(target, exist_ok=True)
    fs.workers.each(lambda pair: fs._move(*pair), [pair for pair in pairs if pair[0] not in known])
    for source, _ in sorted(folders, key=lambda pair: pair[0].count("/"), reverse=True):
        # some servers let a directory go with the last thing in it (spec section 15-12)
        with suppress(CosFileNotFoundError):
            fs.rmdir(source)


def _flat(lists: list[list[str]]) -> list[str]:
    return [name for names in lists for name in names]
