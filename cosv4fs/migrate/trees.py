"""List the files and directories of a tree on any filesystem.

In object stores a path can be both a file and a directory: the keys ``report`` and ``report/2024.csv`` exist beside
each other. Such a path is listed as both. Keys that are no paths, such as ``a//b``, are listed by their names, and
refused when they are copied.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, replace
from functools import partial
from itertools import islice
from typing import Any

from fsspec.archive import AbstractArchiveFileSystem
from fsspec.spec import AbstractFileSystem

from cosv4fs.migrate.entries import MISSING, SPECIAL, Entry
from cosv4fs.migrate.infos import check_directory, entry_of, modification_time
from cosv4fs.migrate.local_trees import LocalTree
from cosv4fs.migrate.locations import S3, Location, ThreadInstances
from cosv4fs.migrate.s3_trees import s3_folder, s3_keys
from cosv4fs.migrate.selection import EVERYTHING, Selection
from cosv4fs.migrate.walking import Walk
from cosv4fs.paths import parents as parents_of
from cosv4fs.stack import Stack

_PAGE = 1000
"""Entries that are handed over at once, at most."""

_LINK = "links to directories are not followed: copy the directory itself"


def scan(
    tree: Location,
    selection: Selection = EVERYTHING,
    *,
    jobs: int = 8,
    depth: int | None = None,
    enters: Callable[[str], bool] | None = None,
    refuses_vanished: bool = False,
) -> Iterator[list[Entry]]:
    """Yield pages of the files and directories in a directory, in no particular order, without the directory itself.

    Memory is bounded by the pages in flight, where the filesystem lists in pages. Nothing is left in caches. A path
    may come once as a file and once as a directory. A directory that cannot be listed is an entry with a refusal; one
    that was removed meanwhile is none, or with `refuses_vanished` has a refusal, too.

    Parameters
    ----------
    tree : Location
        The directory.
    selection : Selection
        What is yielded; directories that contain nothing of it are not listed. Of its names that must exist, missing
        ones are entries with a refusal, at the end.
    jobs : int
        Directories listed in parallel.
    depth : int, optional
        Levels to list. The directories of the last level are entries on every filesystem.
    enters : callable, optional
        Returns whether a directory is listed, given its path, where a tree is not listed at once. The others are
        entries on every filesystem. Called in several threads.
    refuses_vanished : bool
        Whether a directory that was removed meanwhile is an entry with a refusal. What is missing because a disk was
        removed, too, must not look as if it had been deleted.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        It is not a directory; raised by the first step of the iteration.
    OSError
        The directory cannot be listed, or the service cannot be reached; EINVAL if a file of its name hides it; EIO if
        the listing contains something outside.
    """
    scanning = _Scan(tree, selection, depth, enters, refuses_vanished=refuses_vanished)
    top = Stack([Entry("", is_directory=True)], pack=astuple, unpack=lambda fields: Entry(*fields))
    yield from Walk(scanning.pages, jobs).pages(top)
    if missing := scanning.missing():
        yield missing


_Lister = Callable[[str], Iterator[Entry]]
"""Yields the entries of a directory, given by its path relative to the tree; or of the whole tree."""


class _Scan:
    """One scan of a tree: pages of its directories, or of all of it where that can be listed at once."""

    def __init__(
        self,
        tree: Location,
        selection: Selection,
        depth: int | None,
        enters: Callable[[str], bool] | None,
        *,
        refuses_vanished: bool,
    ) -> None:
        self._tree, self._selection, self._depth = tree, selection, depth
        self._enters, self._refuses_vanished = enters, refuses_vanished
        self._list, self._is_flat = _lister_of(tree, selection, is_whole=depth is None)
        names = (selection.names or frozenset()) if selection.names_must_exist else frozenset()
        self._required = {name for name in names if depth is None or name.count("/") < depth}
        self._found: set[str] = set()

    def pages(self, folder: Entry) -> Iterator[tuple[list[Entry], list[Entry]]]:
        """Yield the pages of one directory, each with the directories in it that are to be listed."""
        entries = self._entries(folder)
        level = folder.path.count("/") + 2 if folder.path else 1
        is_last = self._is_flat or level == self._depth
        while listed := list(islice(entries, _PAGE)):
            page, folders = [], []
            for entry in listed:
                is_below = entry.is_directory and not (entry.refusal or is_last) and entry is not folder
                if is_below and (self._enters is None or self._enters(entry.path)):
                    # it is yielded when it is listed, or with a refusal
                    folders.append(entry)
                else:
                    page.append(entry)
            yield self._selected(page), [found for found in folders if self._selection.may_contain(found.path)]

    def missing(self) -> list[Entry]:
        """Return an entry for each name that must exist and was not found."""
        names = self._required - self._found
        return [Entry(name, refusal=MISSING) for name in sorted(names) if self._selection.admits_path(name)]

    def _selected(self, page: list[Entry]) -> list[Entry]:
        if self._required:
            self._found.update(entry.path for entry in page if not entry.is_directory and entry.path in self._required)
        return page if self._selection.is_everything else [entry for entry in page if self._is_selected(entry)]

    def _is_selected(self, entry: Entry) -> bool:
        if entry.is_directory:
            return self._selection.may_contain(entry.path)
        if entry.refusal:
            # what is refused has no size and time to compare; links are selected where their targets are known
            return self._tree.is_local or self._selection.admits_path(entry.path)
        return self._selection.admits(entry.path, entry.size, entry.modified)

    def _entries(self, folder: Entry) -> Iterator[Entry]:
        """Yield a directory itself, unless it is the tree, and what is in it."""
        try:
            entries = self._list(folder.path)
            first = next(entries, None)
            if folder.path and self._tree.has_directories:
                yield folder
            if first is not None:
                yield first
                yield from entries
        except Exception as error:
            if not folder.path or _ends_scan(error):
                raise
            if self._refuses_vanished or not isinstance(error, FileNotFoundError):
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
                yield replace(folder, refusal=f"it cannot be listed: {reason}")


def _ends_scan(error: Exception) -> bool:
    """Return whether an error in one directory ends the whole scan: others would have it, too, or it is a bug."""
    if isinstance(error, (InterruptedError, ConnectionError, TimeoutError)):
        return True
    # libraries raise errors of their own
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def _lister_of(tree: Location, selection: Selection, *, is_whole: bool) -> tuple[_Lister, bool]:
    """Return what lists a tree, and whether that lists all of it at once, which only a whole tree needs."""
    if tree.is_local:
        return LocalTree(tree.path, selection).list, False
    # a list of names usually needs few of the directories
    is_flat = is_whole and selection.names is None
    if tree.capabilities.container:
        is_flat = is_flat and not tree.has_directories
        return partial(_own_keys if is_flat else _own_folder, tree), is_flat
    if tree.protocols & S3 and hasattr(tree.fs, "call_s3"):
        return partial(s3_keys if is_flat else s3_folder, tree), is_flat
    is_archive = isinstance(tree.fs, AbstractArchiveFileSystem)
    has_find = type(tree.fs).find is not AbstractFileSystem.find
    if is_whole and (is_archive or (tree.lists_hide_directories and has_find)):
        return partial(_found_at_once, tree), True
    return partial(_foreign_folder, tree, ThreadInstances()), False


def _own_folder(tree: Location, folder: str) -> Iterator[Entry]:
    """Yield the entries of a directory in a bucket."""
    prefix = tree.prefix
    for info in tree.fs.scandir(prefix + folder if folder else tree.path):
        yield _entry(tree, info["name"][len(prefix) :], info)


def _own_keys(tree: Location, _: str) -> Iterator[Entry]:
    """Yield all objects under a directory in a coffer, or in all coffers."""
    prefix = tree.prefix
    for info in tree.fs.scandir(tree.path, recursive=True):
        if info["type"] == "file":
            yield _entry(tree, info["name"][len(prefix) :], info)
    for name in tree.fs.invalid_keys(tree.path):
        # listings leave them out
        yield Entry(name[len(prefix) :], refusal=tree.problem_with(name[len(prefix) :]))


def _found_at_once(tree: Location, _: str) -> Iterator[Entry]:
    """Yield everything in a tree that its filesystem holds in memory, and lists at once."""
    tree.fs.invalidate_cache()
    if isinstance(tree.fs, AbstractArchiveFileSystem):
        files, directories = _found_in_archive(tree)
    else:
        listed = tree.fs.find(tree.path, detail=True, withdirs=True)
        directories = {str(name) for name, info in listed.items() if info["type"] == "directory"}
        # with directories, a listing has one info by path, and may hide a file that is also a directory
        files = _files_in(tree.fs.find(tree.path, detail=True))
    if not (files or directories) or list(files) == [tree.path]:
        check_directory(tree)
        if files:
            raise both_error(tree)
    for name in sorted(directories - {tree.path, tree.path.rstrip("/")}):
        yield Entry(_relative(tree, name), is_directory=True)
    for name, info in files.items():
        yield _entry(tree, _relative(tree, name), info)


def _foreign_folder(tree: Location, own: ThreadInstances, folder: str) -> Iterator[Entry]:
    """Yield the entries of a directory on any filesystem; its cache keeps nothing of them."""
    tree = own.of(tree)
    location = tree.at(tree.prefix + folder) if folder else tree
    # what others have changed must show
    location.fs.invalidate_cache(location.path)
    try:
        found = location.fs.ls(location.path, detail=True)
    except FileNotFoundError:
        if folder:
            raise
        found = []
    location.fs.invalidate_cache(location.path)
    if not (found or folder):
        # many filesystems list nothing for a missing directory
        check_directory(location)
    for listed in found:
        name = _name_in(location, str(listed["name"]))
        if not name and listed["type"] == "file" and not str(listed["name"]).endswith("/"):
            # the listing of the file: nothing else shows what is in the directory
            check_directory(location)
            raise both_error(location)
        if name or not _is_own(listed):
            yield _followed(tree, f"{folder}/{name}" if folder else name, listed)


def _followed(tree: Location, relative: str, info: Mapping[str, Any]) -> Entry:
    """Return the entry for a listed info; links to files stand for the files."""
    if info.get("islink"):
        try:
            info = tree.fs.info(info["name"])
        except OSError:
            return Entry(relative, refusal="it is a broken link")
        if info["type"] == "directory":
            return Entry(relative, refusal=_LINK)
    return _entry(tree, relative, info)


def _entry(tree: Location, relative: str, info: Mapping[str, Any]) -> Entry:
    """Return the entry for a listed info, with a refusal if it cannot be copied."""
    is_special = info["type"] not in ("file", "directory")
    return entry_of(tree, info, relative, tree.problem_with(relative) or (SPECIAL if is_special else ""))


def _relative(tree: Location, name: str) -> str:
    """Return a listed name relative to the tree; one outside means that the listing cannot be trusted."""
    if not name.startswith(tree.prefix):
        raise OSError(errno.EIO, f"its listing contains {name!r}, which is outside", tree.url)
    return name[len(tree.prefix) :]


def _name_in(location: Location, name: str) -> str:
    """Return a listed name relative to the listed directory; empty if it is the directory itself."""
    here, name = location.path.strip("/"), name.strip("/")
    if name == here:
        return ""
    if here and not name.startswith(f"{here}/"):
        raise OSError(errno.EIO, f"its listing contains {name!r}, which is outside", location.url)
    # the last component would not do: a component between may be empty
    return name[len(here) + 1 :] if here else name


def _is_own(info: Mapping[str, Any]) -> bool:
    """Return whether an unnamed entry is the directory's own placeholder object.

    A key such as ``dir//file`` also appears in the listing of ``dir`` as an unnamed directory, but without a time.
    """
    if info["type"] == "directory":
        return modification_time(info) is not None
    return not info.get("size")


def refusal_error(tree: Location, entry: Entry) -> OSError:
    """Return the error for an entry with a refusal: ENOENT if a selection names it in vain, else EIO."""
    code = errno.ENOENT if entry.is_missing else errno.EIO
    return OSError(code, entry.refusal, tree.at(tree.prefix + entry.path).url)


def both_error(location: Location) -> OSError:
    """Return the error for a directory that cannot be listed, because a file has the same name."""
    text = "it is both a file and a directory, whose files are hidden: copy the directory above it"
    return OSError(errno.EINVAL, text, location.url)


def _found_in_archive(location: Location) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """List an archive, which may also have members ``a`` and ``a/b``: its listings show only the first."""
    location.fs._get_dirs()
    members = {name.rstrip("/"): info for name, info in location.fs.dir_cache.items()}
    below = {name: info for name, info in members.items() if name.startswith(location.prefix)}
    parents = {parent for name in below for parent in parents_of(name) if parent.startswith(location.prefix)}
    listed = {name for name, info in below.items() if info["type"] == "directory"}
    return _files_in(below), listed | parents


def _files_in(found: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(name): info for name, info in found.items() if info.get("type") != "directory"}
