"""Copy, move and remove files and directories in buckets, and create directories."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from cosv4fs import paths
from cosv4fs.api import CosClient, PathStatus, Version
from cosv4fs.concurrency import Pool
from cosv4fs.errors import (
    CosError,
    CosFileExistsError,
    CosFileNotFoundError,
    CosIsADirectoryError,
    CosPossiblyCreatedError,
    make_error,
    with_origin,
)
from cosv4fs.info import Info
from cosv4fs.namespace import BucketNamespace
from cosv4fs.removing import TreeRemoval
from cosv4fs.transfer.directories import file_above, make_directory, with_parents

_MOVE_FAILED = -199


class Rearranging:
    """Copies, moves and removes in buckets; `copy_through` copies a file through this machine."""

    def __init__(
        self, client: CosClient, pool: Pool, namespace: BucketNamespace, copy_through: Callable[[str, str], None]
    ) -> None:
        self._client, self._pool, self._namespace = client, pool, namespace
        self._cache, self._copy_through = namespace.cache, copy_through

    def share(self, most: int | None) -> Rearranging:
        """Return the same with at most so many requests in flight; None sets no limit."""
        return Rearranging(self._client, self._pool.share(most), self._namespace, self._copy_through)

    # -- directories -----------------------------------------------------------------------------------------------

    def make_directory(self, path: str, *, exist_ok: bool) -> None:
        """Create a directory and its parents; see `makedirs` of the filesystem."""
        paths.check_new(path)
        bucket, key = paths.directory_key(path)
        # with exist_ok, a possibly stale cache entry is good enough; fsspec makes the directory before every write into
        # a bucket's root, and a missing bucket makes the write fail
        if exist_ok and (key == "/" or self._cache.is_directory(path)):
            return
        if key == "/":
            if self._namespace.has_directory_now(path):
                raise self._obstacle(path)
            raise NotImplementedError(f"the JSON API cannot create bucket {path!r}: create it in the web console")
        if exist_ok and paths.uncreatable(path):
            # callers that write into it get the service's answer for the first file
            if self._namespace.is_file(path):
                raise self._obstacle(path)
            return
        refusal = self._refusal_to_make(bucket, key, path)
        if refusal is None:
            self._cache.store_directory(path, self._cache.revision)
            return
        if exist_ok and self._namespace.has_directory_now(path):
            return
        if isinstance(refusal, CosPossiblyCreatedError):
            raise refusal
        raise self._obstacle(path) from refusal

    def check_parent(self, path: str) -> None:
        """Refuse a path whose parent directory does not exist."""
        self._cache.invalidate(paths.parent(path))
        # without keys it is unknown, which is an error
        if not self._namespace.is_directory(paths.parent(path)):
            raise make_error(errno.ENOENT, "the parent directory does not exist", path)

    def _obstacle(self, path: str) -> CosError:
        """Return the error that names what stands in the way of a new file or directory."""
        if self._namespace.exists_now(path):
            kind = "directory" if self._namespace.has_directory(path) else "file"
            return make_error(errno.EEXIST, f"a {kind} of this name exists", path)
        if self._namespace.has_directory_now(paths.parent(path)):
            text = "an unfinished upload blocks this name: wait for it, or remove it with clean_uploads or abort_upload"
            return make_error(errno.EEXIST, text, path)
        blocking = file_above(self._client, *paths.file_key(path)) or paths.parent(path)
        return make_error(errno.ENOTDIR, "the parent is a file, not a directory", blocking)

    def _refusal_to_make(self, bucket: str, key: str, path: str) -> CosFileExistsError | None:
        """Create a directory with its parents; return the refusal when something exists already."""
        refusal = None
        try:
            refusal = make_directory(self._client, bucket, key)
        finally:
            # also after a failure: directories may have been created although the reply was lost
            if refusal is None or isinstance(refusal, CosPossiblyCreatedError):
                self._cache.invalidate(path)
        return refusal

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; see `rmdir` of the filesystem."""
        bucket, key = _under_a_bucket(path)
        try:
            # some servers answer "removed" for a directory that is not empty (cos.md#rmdir-nonempty)
            entries = self._client.list_page(bucket, key, num=1).entries
            if any(entry.name for entry in entries):
                raise make_error(errno.ENOTEMPTY, "the directory is not empty; this includes unfinished uploads", path)
            if key == "/":
                raise NotImplementedError(f"the JSON API cannot delete bucket {bucket!r}: use the web console")
            self._client.delete(bucket, key)
        except CosFileNotFoundError as error:
            self._cache.invalidate(path)
            if self._namespace.is_file(path):
                raise make_error(errno.ENOTDIR, "this is a file: remove it with rm", path) from error
            raise
        finally:
            self._cache.invalidate(path, gone=True)

    # -- removing --------------------------------------------------------------------------------------------------

    def remove_file(self, path: str) -> None:
        """Remove one file; see `rm_file` of the filesystem."""
        (info,) = self.check_files([path])
        self._remove_seen(path, info)

    def remove_files(self, found: list[str]) -> None:
        """Remove files, several at once, or none of them if one is missing or a directory."""
        infos = self.check_files(found)
        self._pool.map(lambda seen: self._remove_seen(*seen), zip(found, infos, strict=True))

    def check_files(self, found: list[str]) -> list[Info]:
        """Return the infos of files, before any of them is changed; raise for what is missing, or a directory."""
        return self._pool.map(lambda path: self._namespace.file_info(path, "use recursive=True"), found)

    def _remove_seen(self, path: str, info: Info) -> None:
        bucket, key = paths.file_key(path)
        try:
            self._client.delete(bucket, key, seen=_seen_in(info))
        except CosFileNotFoundError as error:
            self._namespace.refuse_directory(path, "use recursive=True", error)
            raise
        finally:
            self._cache.invalidate(path, gone=True)

    def remove_trees(self, found: list[str], maxdepth: int | None) -> None:
        """Remove files and whole directories, several at once, or nothing if one is missing."""
        for path in found:
            _under_a_bucket(path)
        # a path inside another one is removed with that
        named = set(found)
        tops = [path for path in found if not any(above in named for above in paths.parents(path))]
        if len(tops) > 1:
            self._pool.map(self._namespace.info, tops)
        self._pool.map(lambda path: self._remove_tree(path, maxdepth), tops)

    def _remove_tree(self, path: str, maxdepth: int | None) -> None:
        """Remove a file or a directory tree: N + 2 requests for N files in one directory. A bucket stays."""
        self._cache.invalidate(path)
        removal = TreeRemoval(self._client, self._pool, self._namespace, path)
        try:
            is_complete = removal.run(maxdepth)
        except CosFileNotFoundError as error:
            if error.filename != path or not removal.is_empty:
                raise
            # not a directory
            self.remove_file(path)
            return
        finally:
            self._cache.invalidate(path, gone=True)
        if "/" not in path:
            if removal.is_empty:
                # some servers return an empty listing for a missing bucket
                self._namespace.directory(path)
        elif removal.is_empty:
            self._remove_listed_as_empty(path)
        else:
            removal.remove_emptied(path, tolerant=not is_complete)
        self._cache.invalidate(path, gone=True)

    def _remove_listed_as_empty(self, path: str) -> None:
        """Remove a path whose listing is empty: on some servers this may also be a file."""
        try:
            self._client.delete(*paths.directory_key(path))
        except CosFileNotFoundError:
            self.remove_file(path)

    # -- copying and moving ----------------------------------------------------------------------------------------

    def copy_file(self, source: str, target: str) -> None:
        """Copy one file, on the server where it can; see `cp_file` of the filesystem."""
        try:
            if source == target:
                self._refresh(source)
            else:
                self._copy(source, target)
        except (CosFileNotFoundError, CosIsADirectoryError):
            # a copy between buckets opens the source, which fails for a directory
            if not self._namespace.has_directory_now(source):
                raise
            self.make_directory(target, exist_ok=True)
        except CosFileExistsError as error:
            self._refuse_taken(target, error)
        finally:
            self._cache.invalidate(target)

    def _copy(self, source: str, target: str) -> None:
        paths.check_new(target)
        self._namespace.check_file(source)
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        if bucket == target_bucket and self._client.protocol.capabilities.copies_on_server:
            copy = lambda: self._client.copy(bucket, key, target_key, overwrite=True)  # noqa: E731
            with_parents(self._client, bucket, target_key, copy, source=key)
            return
        self._copy_through(source, target)

    def move_file(self, source: str, target: str) -> None:
        """Move one file, on the server where it can; see `mv` of the filesystem."""
        if source == target:
            self._refresh(source)
            return
        paths.check_new(target)
        self._namespace.check_file(source)
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        try:
            if bucket != target_bucket:
                self._copy_and_remove(source, target)
                return
            # from the cache only: a status would cost a request, and is needed only if a reply is lost
            seen = _seen_in(self._cache.info(source))
            move = lambda: self._client.move(bucket, key, target_key, overwrite=True, seen=seen)  # noqa: E731
            with_parents(self._client, bucket, target_key, move, source=key)
        except CosFileNotFoundError as error:
            self._namespace.refuse_directory(source, "move it with mv and recursive=True", error)
            raise
        except CosFileExistsError as error:
            self._refuse_taken(target, error)
        except CosError as error:
            if error.code != _MOVE_FAILED:
                raise
            # some servers may move only within one directory (cos.md#move-scope)
            self._copy_and_remove(source, target)
        finally:
            self._cache.invalidate(source, gone=True)
            self._cache.invalidate(target)

    def move_pairs(self, pairs: list[tuple[str, str]]) -> None:
        """Move files pair by pair, several at once; target directories are made first, emptied sources removed last.

        A bucket stays.
        """
        are_folders = self._pool.map(self._namespace.is_directory, [source for source, _ in pairs])
        folders = [pair for pair, is_folder in zip(pairs, are_folders, strict=True) if is_folder]
        known = {source for source, _ in folders}
        filled = {paths.parent(source) for source, _ in pairs}
        for source, target in folders:
            self.make_directory(target, exist_ok=True)
            if source not in filled:
                self._namespace.check_empty_directory(target)
        files = [pair for pair in pairs if pair[0] not in known]
        self._pool.map(lambda pair: self.move_file(*pair), files)
        emptied = [source for source, _ in folders if "/" in source]
        for source in sorted(emptied, key=lambda source: source.count("/"), reverse=True):
            # some servers let a directory go with the last thing in it (cos.md#parents)
            with suppress(CosFileNotFoundError):
                self.remove_directory(source)

    def _copy_and_remove(self, source: str, target: str) -> None:
        """Copy a file and remove the source, unless that changed meanwhile (ESTALE)."""
        bucket, key = paths.file_key(source)
        self._cache.invalidate(source)
        before = self._state(bucket, key)
        self._copy(source, target)
        if self._state(bucket, key) != before:
            text = f"the file changed while it was copied to {target} and was not removed: move it again"
            raise make_error(errno.ESTALE, text, source)
        self._client.delete(bucket, key, seen=before[0])

    def _state(self, bucket: str, key: str) -> tuple[PathStatus, Version | None]:
        """Return the status, and the version if the status has no SHA-1, to detect a change of the content."""
        status = self._client.stat(bucket, key)
        if status.sha is not None or not status.size:
            return status, None
        # a change within one second that keeps the size shows only in the headers of a download
        memory = memoryview(bytearray(1))
        return status, self._client.fetch(bucket, key, lambda length, _: memory[:length], 0, 1).version

    def _refresh(self, path: str) -> None:
        """Check that a path still exists, without the cache."""
        self._cache.invalidate(path)
        self._namespace.info(path)

    def _refuse_taken(self, target: str, refusal: CosFileExistsError) -> NoReturn:
        """Raise the reason for which a target cannot be written; the server's refusal names the source."""
        if self._namespace.has_directory_now(target):
            text = "a directory with this name exists and cannot be replaced by a file"
            raise make_error(errno.EISDIR, text, target) from refusal
        if isinstance(refusal, CosPossiblyCreatedError):
            refusal.filename = target
            raise refusal
        raise with_origin(self._obstacle(target), refusal) from refusal


def _under_a_bucket(path: str) -> tuple[str, str]:
    """Return the bucket and the key of a directory; refuse the base of all buckets."""
    bucket, key = paths.directory_key(path)
    if not bucket:
        raise NotImplementedError("the JSON API cannot list buckets: name one, as in bucket/dir")
    return bucket, key


def _seen_in(info: Info | None) -> PathStatus | None:
    """Return the status of a file from its info, which identifies the file; None for a directory."""
    if info is None or info["type"] == "directory":
        return None
    size, sha = int(info["size"]), info.get("sha")
    created, modified = int(info.get("created") or 0), int(info.get("mtime") or 0)
    return PathStatus(is_directory=False, size=size, stored=size, created=created, modified=modified, sha=sha)
