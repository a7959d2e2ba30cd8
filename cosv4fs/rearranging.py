"""Removing, copying and moving, of files and of whole trees."""

from __future__ import annotations

import errno
import os
from typing import Any, NoReturn

from fsspec.core import has_magic

from cosv4fs import bulk, paths, removal
from cosv4fs.api import PathStatus, Version
from cosv4fs.errors import CosError, CosFileExistsError, CosFileNotFoundError, CosIsADirectoryError, make_error
from cosv4fs.transfer.directories import with_parents
from cosv4fs.writing import Writing

__all__ = ["Rearranging"]

_MOVE_FAILED = -199


class Rearranging(Writing):
    """The ways to change what is where."""

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises
        ------
        OSError
            ENOTEMPTY; FileNotFoundError or NotADirectoryError when it is none.
        """
        path = self._strip_protocol(path)
        bucket, key = self._removable(path)
        try:
            # some servers answer "removed" for a directory that is not empty (spec section 15-13)
            entries = self.client.list_page(bucket, key, num=1).entries
            if any(entry.name for entry in entries):
                raise make_error(errno.ENOTEMPTY, "the directory is not empty (unfinished uploads count)", path)
            self.client.delete(bucket, key)
        except CosFileNotFoundError as error:
            if self.isfile(path):
                raise make_error(errno.ENOTDIR, "this is a file: rm removes it", path) from error
            raise
        finally:
            self._remembered.forget(path, gone=True)

    def _removable(self, path: str) -> tuple[str, str]:
        bucket, key = paths.directory_key(path)
        if not bucket:
            raise NotImplementedError("the JSON API knows no buckets but by name: name one, as in bucket/dir")
        if key == "/":
            raise NotImplementedError(
                f"the JSON API cannot delete bucket {bucket!r}: use the web console; to empty it, remove {bucket}/*"
            )
        return bucket, key

    def rm_file(self, path: str) -> None:
        """Remove one file.

        An unfinished upload is no file (see `abort_upload`): a path of which nothing is remembered costs a question.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        """
        path = self._strip_protocol(path)
        bucket, key = paths.file_key(path)
        try:
            info = self.info(path)
            if info["type"] == "directory":
                raise make_error(errno.EISDIR, "this is a directory: rmdir, or rm with recursive=True", path)
            self.client.delete(bucket, key, seen=removal.seen_in(info))
        finally:
            self._remembered.forget(path, gone=True)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files; with `recursive` whole directories, their unfinished uploads included.

        Files go first, several at once, then directories, the deepest first.

        Parameters
        ----------
        path : str or list of str
            Paths or patterns.
        maxdepth : int, optional
            Levels below each path to remove; directories that are not empty then stay.

        Raises
        ------
        FileNotFoundError
            Nothing matches.
        """
        found = self.expand_path(path)
        if not recursive:
            self.workers.each(self.rm_file, found)
            return
        for name in found:
            self._removable(name)
        # what lies inside another match goes with it
        tops = [name for name in found if not any(name.startswith(other + "/") for other in found)]
        self.workers.each(lambda name: removal.remove_tree(self, name, maxdepth), tops)

    def cp_file(self, path1: str, path2: str) -> None:
        """Copy one file, on the server when both are in one bucket; an existing target is replaced.

        A directory becomes a directory, without what is in it.

        Raises
        ------
        FileNotFoundError
            There is no source.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        try:
            if source == target:
                self.info(source, refresh=True)
            else:
                self._copy(source, target)
        except (CosFileNotFoundError, CosIsADirectoryError):
            # between buckets the source is opened, which tells a directory for what it is
            if not self._is_directory(source):
                raise
            self.makedirs(target, exist_ok=True)
        except CosFileExistsError as error:
            self._refuse_taken(target, error)
        finally:
            self._remembered.forget(target)

    def _refuse_taken(self, target: str, refusal: CosFileExistsError) -> NoReturn:
        """Raise for a target that cannot be replaced; the server's refusal names the source."""
        if self._is_directory(target):
            text = "a directory has this name: a file cannot replace it"
            raise make_error(errno.EISDIR, text, target) from refusal
        refusal.filename = target
        raise refusal

    def _copy(self, source: str, target: str) -> None:
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        paths.check_new(target)
        if bucket == target_bucket:
            copy = lambda: self.client.copy(bucket, key, target_key, overwrite=True)  # noqa: E731
            with_parents(self.client, bucket, target_key, copy, source=key)
            return
        self._copy_through(source, target)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Move files, on the server, one by one; a source goes only when its own move succeeded.

        An existing target is replaced.

        Raises
        ------
        IsADirectoryError
            A directory is to be moved without `recursive`.
        OSError
            EINVAL, before anything is moved, for lists in which one move would take what another one needs (see
            `bulk.check_targets`). ESTALE where a file that has to be copied changed meanwhile: it stays.
        """
        if isinstance(path1, (str, os.PathLike)) and not recursive:
            source = self._strip_protocol(path1)
            if not has_magic(source) or self.is_literal(source):
                self._move(source, self._into(path2, source))
                return
        pairs = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        removal.move_pairs(self, pairs)

    def _into(self, target: Any, source: str) -> str:
        """Return where a file goes: inside `target` when that is a directory, or ends like one."""
        stripped: str = self._strip_protocol(target)
        inside = str(target).endswith("/") or self.isdir(stripped)
        return f"{stripped}/{source.rpartition('/')[2]}" if inside else stripped

    def _move(self, source: str, target: str) -> None:
        if source == target:
            self.info(source, refresh=True)
            return
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        paths.check_new(target)
        try:
            if bucket != target_bucket:
                self._copy_and_remove(source, target)
                return
            # only what is remembered: a status would cost a request, and matters only when a reply is lost
            seen = removal.seen_in(self._remembered.info(source))
            move = lambda: self.client.move(bucket, key, target_key, overwrite=True, seen=seen)  # noqa: E731
            with_parents(self.client, bucket, target_key, move, source=key)
        except CosFileNotFoundError as error:
            if self._is_directory(source):
                raise make_error(
                    errno.EISDIR, "this is a directory: mv moves it with recursive=True", source
                ) from error
            raise
        except CosFileExistsError as error:
            self._refuse_taken(target, error)
        except CosError as error:
            if error.code != _MOVE_FAILED:
                raise
            # some servers may move only within one directory (spec section 15-23)
            self._copy_and_remove(source, target)
        finally:
            self._remembered.forget(source, gone=True)
            self._remembered.forget(target)

    def _copy_and_remove(self, source: str, target: str) -> None:
        """Copy a file and remove the source, unless that is no longer what was copied.

        Raises
        ------
        OSError
            ESTALE: it changed meanwhile, and stays.
        """
        bucket, key = paths.file_key(source)
        self._remembered.forget(source)
        before = self._state(bucket, key)
        self._copy(source, target)
        if self._state(bucket, key) != before:
            text = f"it changed while it was moved: {target} has what it was before, and it stays: move it again"
            raise make_error(errno.ESTALE, text, source)
        self.client.delete(bucket, key, seen=before[0])

    def _state(self, bucket: str, key: str) -> tuple[PathStatus, Version | None]:
        """Return all that tells one content of a file from another."""
        status = self.client.stat(bucket, key)
        if status.sha is not None or not status.size:
            return status, None
        # contents of one size and second differ in nothing but what a download tells
        memory = memoryview(bytearray(1))
        return status, self.client.fetch(bucket, key, lambda length, _: memory[:length], 0, 1).version
