"""List the local disk: links, special files, and what cannot be read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from cosv4fs.localfiles import is_part
from cosv4fs.migrate.entries import SPECIAL, Entry
from cosv4fs.migrate.selection import Selection
from cosv4fs.paths import parents

_DIRECTORY_LINK = "links to directories are not followed: use --follow-links or --skip-links, or copy the directory"
_LOOP = "it leads to a directory above it, and is not followed"
_SKIPPED = "it is a link, and links are skipped"

_Identity = tuple[int, int]
"""Device and inode."""


class LocalTree:
    """A directory on the local disk; thread-safe.

    Parameters
    ----------
    top : str
        Its path.
    selection : Selection
        What is selected by path, and how symbolic links are treated. Sizes and times are not compared.
    """

    def __init__(self, top: str, selection: Selection) -> None:
        self._top, self._selection = Path(top), selection

    def list(self, folder: str) -> Iterator[Entry]:
        """Yield the entries of a directory, of which the path relative to the tree is given.

        Files that are still being written by a copy are left out, and those that were just removed. Links stand for
        what they point to. What cannot be copied, such as a socket or a broken link, has a refusal.

        Raises
        ------
        OSError
            The directory cannot be listed.
        """
        path = self._top / folder
        above = self._directories_above(folder) if self._selection.links == "follow" else frozenset()
        prefix = f"{folder}/" if folder else ""
        with os.scandir(path) as found:
            for item in found:
                try:
                    entry = self._entry(item, prefix + item.name, above)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    entry = self._refused(prefix + item.name, f"its status cannot be read: {error.strerror}")
                if entry is not None:
                    yield entry

    def _entry(self, item: os.DirEntry[str], path: str, above: frozenset[_Identity]) -> Entry | None:
        """Return the entry of an item; None if it is not selected. Raises OSError if its status cannot be read."""
        if item.is_symlink() or _is_junction(item):
            return self._link(item, path, above)
        if item.is_dir(follow_symlinks=False):
            # below a link, also a directory may be one of those above; on Windows, entries know no identity
            is_loop = bool(above) and _identity(os.stat(item.path)) in above  # noqa: PTH116 - as cheap as the entry's
            return Entry(path, is_directory=True, refusal=_LOOP if is_loop else "")
        # excluded files cost no system call
        return self._file(path, item.stat(follow_symlinks=False)) if self._is_selected(path) else None

    def _link(self, item: os.DirEntry[str], path: str, above: frozenset[_Identity]) -> Entry | None:
        if self._selection.links == "skip":
            is_selected = self._is_selected(path) or self._selection.may_contain(path)
            return Entry(path, refusal=_SKIPPED, is_skipped=True) if is_selected else None
        try:
            found = os.stat(item.path)  # noqa: PTH116 - as cheap as the entry's
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                raise
            return self._refused(path, f"it is a broken link, to {Path(item.path).readlink()}")
        if not stat.S_ISDIR(found.st_mode):
            return self._file(path, found) if self._is_selected(path) else None
        if self._selection.links == "follow":
            return Entry(path, is_directory=True, refusal=_LOOP if _identity(found) in above else "")
        if self._selection.links == "list":
            return self._refused(path, _DIRECTORY_LINK)
        # selected files may be in it
        return Entry(path, refusal=_DIRECTORY_LINK) if self._selection.may_contain(path) else None

    def _file(self, path: str, found: os.stat_result) -> Entry:
        if not stat.S_ISREG(found.st_mode):
            return Entry(path, refusal=SPECIAL)
        return Entry(path, found.st_size, found.st_mtime, found.st_ctime)

    def _refused(self, path: str, reason: str) -> Entry | None:
        return Entry(path, refusal=reason) if self._is_selected(path) else None

    def _is_selected(self, path: str) -> bool:
        return self._selection.admits_path(path) and not is_part(path.rpartition("/")[2])

    def _directories_above(self, folder: str) -> frozenset[_Identity]:
        """Return a directory, and all directories above it, by links and on the disk."""
        below = (self._top / each for each in (*parents(folder), *([folder] if folder else [])))
        return self._above_top | frozenset(_identity(path.stat()) for path in below)

    @cached_property
    def _above_top(self) -> frozenset[_Identity]:
        top = self._top.resolve()
        return frozenset(_identity(path.stat()) for path in (top, *top.parents))


def _is_junction(item: os.DirEntry[str]) -> bool:
    """Return whether an entry is a junction of Windows, a link to a directory; Python 3.12 would tell itself."""
    tag = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)
    return tag is not None and getattr(item.stat(follow_symlinks=False), "st_reparse_tag", None) == tag


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino
