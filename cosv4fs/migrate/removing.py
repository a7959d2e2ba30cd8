"""Remove trees: `remove_tree` all of one, `SelectedFiles` selected files, `remove_emptied` empty directories."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cosv4fs.migrate.database import PAGE
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.migrate.s3_trees import s3_pages
from cosv4fs.migrate.selection import Selection
from cosv4fs.migrate.sorting import SortedEntries
from cosv4fs.migrate.trees import scan

if TYPE_CHECKING:
    from typing_extensions import Self


class SelectedFiles:
    """The selected files of a directory, in the order of a walk; on disk, and a context manager.

    All are listed before any is removed: services may skip others in a listing when listed ones are removed.

    Parameters
    ----------
    tree : Location
        The directory.
    selection : Selection
        What is selected; with ``list`` for links, which are removed themselves.

    Raises
    ------
    OSError
        The directory cannot be listed.
    """

    def __init__(self, tree: Location, selection: Selection) -> None:
        self._tree, self._selection = tree, selection
        self._entries = SortedEntries()
        self.unlisted: list[Entry] = []
        """What cannot be listed or removed, with the reason."""
        try:
            for page in scan(tree, selection):
                self._add(page)
        except BaseException:
            self._entries.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def pages(self) -> Iterator[list[tuple[Location, int]]]:
        """Yield the files and their sizes in bytes, page by page."""
        files = ((self._at(entry), entry.size) for entry in self._entries if not entry.is_directory)
        while page := list(islice(files, PAGE)):
            yield page

    def remove_emptied(self) -> None:
        """Remove the directories in which files were, if nothing is left in them; the tree itself stays."""
        if self._tree.has_directories:
            _remove_emptied(self._tree, self._entries)

    def _add(self, page: list[Entry]) -> None:
        # a link or pipe can be removed, though not copied
        refused = [entry for entry in page if entry.refusal and (entry.is_directory or not self._tree.is_local)]
        missing = [entry for entry in page if entry.is_missing and self._tree.is_local]
        self.unlisted += refused + missing
        left_out = {*refused, *missing}
        self._entries.add(
            [entry for entry in page if not entry.is_directory and entry not in left_out and self._has(entry)]
        )

    def _has(self, entry: Entry) -> bool:
        # the size and time of what cannot be copied are unknown
        return not entry.refusal or self._selection.by_path == self._selection

    def _at(self, entry: Entry) -> Location:
        return self._tree.at(self._tree.prefix + entry.path)


def remove_emptied(tree: Location) -> None:
    """Remove a directory and those in it, as far as nothing else is in them; those with files stay."""
    if not tree.has_directories:
        return
    with SortedEntries() as folders:
        for page in scan(tree):
            folders.add([entry for entry in page if entry.is_directory and not entry.refusal])
        _remove_emptied(tree, folders)
    with suppress(OSError):
        _remove_if_empty(tree)


def _remove_emptied(tree: Location, entries: SortedEntries) -> None:
    for entry in reversed(entries):
        if entry.is_directory:
            # others may use it meanwhile
            with suppress(OSError):
                _remove_if_empty(tree.at(tree.prefix + entry.path))


def _remove_if_empty(folder: Location) -> None:
    """Remove a directory, after a look: some filesystems remove those with files in them, too."""
    folder.fs.invalidate_cache(folder.path)
    if not folder.fs.ls(folder.path, detail=False):
        folder.fs.rmdir(folder.path)


def removes_by_keys(location: Location) -> bool:
    """Return whether `remove_tree` removes keys, so that no name is taken for a pattern."""
    return bool(location.protocols & S3) and hasattr(location.fs, "call_s3")


def remove_tree(location: Location) -> None:
    """Remove a directory with everything in it, and a file of the same name.

    Memory does not grow with the number of files in buckets, on S3 and on the local disk.

    Raises
    ------
    OSError
        Something could not be removed.
    """
    if not removes_by_keys(location):
        try:
            location.fs.rm(location.path, recursive=True)
        except OSError as error:
            if location.is_local and not Path(error.filename or "/").is_absolute():
                # of a file in the tree, shutil names the last part only
                text = f"{error.strerror}: {error.filename}"
                raise type(error)(error.errno, text, location.path) from error
            raise
        return
    bucket, _, key = location.path.partition("/")
    refused: list[OSError] = []
    try:
        # the file of the same name is the first of all keys that begin so
        for page in islice(s3_pages(location, bucket, key, MaxKeys=1), 1) if key else ():
            refused += _remove_keys(location, bucket, [found["Key"] for found in page if found["Key"] == key])
        for page in s3_pages(location, bucket, f"{key}/" if key else ""):
            refused += _remove_keys(location, bucket, [found["Key"] for found in page])
    finally:
        location.fs.invalidate_cache(location.path)
    if refused:
        raise refused[0]
    if not key:
        location.fs.rmdir(bucket)


def _remove_keys(location: Location, bucket: str, keys: list[str]) -> list[OSError]:
    """Remove keys in one request; return the error of the first one that could not be removed."""
    if not keys:
        return []
    rows = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    failed = location.fs.call_s3("delete_objects", Bucket=bucket, Delete=rows, **location.fs.req_kw).get("Errors")
    if not failed:
        return []
    text = f"it could not be removed: {failed[0].get('Message') or failed[0].get('Code')}"
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    code = errno.EACCES if failed[0].get("Code") == "AccessDenied" else errno.EIO
    return [OSError(code, text + more, location.at(f"{bucket}/{failed[0]['Key']}").url)]
