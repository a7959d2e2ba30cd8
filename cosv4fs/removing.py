"""Remove directory trees from buckets, in memory that does not grow with their size.

The levels of a tree are emptied from the top down, and their directories are removed from the bottom up. A directory is
listed to its end before anything in it is removed, because services may count the entries that they have listed: what
is removed meanwhile would make them skip others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import astuple
from itertools import islice
from typing import Any

from cosv4fs import paths
from cosv4fs.api import CosClient, Entry
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.namespace import BucketNamespace
from cosv4fs.stack import Stack

_FOLDERS = 100
"""Directories that are listed before their files are removed."""

_FILES = 1000
"""Files that are removed before others are taken from the list."""


class TreeRemoval:
    """The removal of one directory with everything in it.

    Attributes
    ----------
    is_empty : bool
        Whether nothing was in the directory: some services list a missing one, and even a file, as empty.
    """

    def __init__(self, client: CosClient, pool: Pool, namespace: BucketNamespace, path: str) -> None:
        self._client, self._pool, self._namespace = client, pool, namespace
        self._path = path
        self.is_empty = True

    def run(self, maxdepth: int | None) -> bool:
        """Remove everything in the directory, at most so many levels; return whether nothing is left.

        Raises
        ------
        FileNotFoundError
            The directory does not exist: nothing was removed.
        OSError
            Something could not be removed. The directories above it stay, and maybe others.
        """
        emptied: list[Stack[str]] = []
        with ExitStack() as stacks:
            level = stacks.enter_context(Stack([self._path]))
            while level and (maxdepth is None or len(emptied) < maxdepth):
                emptied.append(stacks.enter_context(Stack()))
                below: Stack[str] = stacks.enter_context(Stack())
                self._empty(level, emptied[-1], below)
                level = below
            is_complete = not level
            for folders in reversed(emptied[1:]):
                while some := folders.pop(_FILES):
                    self._pool.map(lambda folder: self.remove_emptied(folder, tolerant=not is_complete), some)
        return is_complete

    def _empty(self, level: Stack[str], emptied: Stack[str], below: Stack[str]) -> None:
        """Remove the files of directories, and move these to `emptied`; add the directories in them to `below`."""
        while folders := level.pop(_FOLDERS):
            with Stack[tuple[str, Entry]](pack=_packed, unpack=_unpacked) as files:
                self._pool.map(lambda folder: self._list(folder, files, below), folders)
                while some := files.pop(_FILES):
                    self._pool.map(lambda file: self._delete(*file), some)
            emptied.push(folders)

    def _list(self, folder: str, files: Stack[tuple[str, Entry]], below: Stack[str]) -> None:
        """List a directory, including unfinished uploads."""
        try:
            for page in _pages(self._namespace.each(folder)):
                self.is_empty = False
                files.push((f"{folder}/{entry.name}", entry) for entry in page if not entry.is_directory)
                below.push(f"{folder}/{entry.name}" for entry in page if entry.is_directory)
        except CosFileNotFoundError:
            # another client may have removed it
            if folder == self._path:
                raise

    def remove_emptied(self, folder: str, *, tolerant: bool) -> None:
        """Remove a directory that should be empty; with `tolerant`, it stays if it is not."""
        try:
            self._delete(folder)
        except OSError:
            if not tolerant:
                raise

    def _delete(self, path: str, file: Entry | None = None) -> None:
        bucket, key = paths.directory_key(path)
        with suppress(CosFileNotFoundError):
            self._client.delete(bucket, key if file is None else key.rstrip("/"), seen=file)


def _packed(file: tuple[str, Entry]) -> list[Any]:
    return [file[0], *astuple(file[1])]


def _unpacked(values: list[Any]) -> tuple[str, Entry]:
    return values[0], Entry(*values[1:])


def _pages(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while page := list(islice(entries, _FILES)):
        yield page
