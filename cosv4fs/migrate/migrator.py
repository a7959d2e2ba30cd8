"""Migrate one file: check whether the target has it, copy it, verify the copy.

Does not use the manifest, so that it also runs on the workers of a cluster.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback

from cosv4fs.localfiles import is_part, remove_abandoned
from cosv4fs.migrate.copying import make_directory, read_sha1, stream
from cosv4fs.migrate.locations import S3, Location, ThreadInstances
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, File, Outcome
from cosv4fs.migrate.metadata import CONTENT_ONLY, MetadataOptions
from cosv4fs.migrate.trees import fresh_info, recorded_sha1

_MAX_KEY_BYTES = 1024
"""The length limit for S3 keys."""

_MAX_LISTINGS = 16


class FileMigrator:
    """Migrates single files of a directory, with the options of `migrate`; thread-safe.

    `begin` is called with the relative path of a file before the target is written.
    """

    def __init__(
        self,
        source: Location,
        target: Location,
        *,
        verify: bool,
        overwrite: bool = True,
        metadata: MetadataOptions = CONTENT_ONLY,
        begin: Callable[[str], None] = lambda _path: None,
    ) -> None:
        self._source, self._target, self._own = source, target, ThreadInstances()
        self._metadata = metadata
        # a target that cannot replace files may list them late, so that its listings are not trusted
        overwrite = overwrite and target.capabilities.replaces_files
        self._verify, self._overwrite, self._begin = verify, overwrite, begin
        # by directory: sizes at the target, of the last few that were listed, and the directories that were made
        self._listings: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._made: set[str] = set()
        self._mutex = threading.Lock()

    def migrate(self, file: File, callback: Callback) -> Outcome:
        """Copy a file unless the target already has it; a failure is an outcome, not an exception."""
        is_begun = False
        try:
            source, target = (self._own.of(location).join(file.path) for location in (self._source, self._target))
            found = self._found(file, source, target, callback)
            is_begun = found is None
            return found or self._copy(file, source, target, callback)
        except Exception as error:  # noqa: BLE001 - one file must not stop the others
            return Outcome(file.path, FAILED, error=_describe(error), is_begun=is_begun)

    def _found(self, file: File, source: Location, target: Location, callback: Callback) -> Outcome | None:
        """Return the outcome if the target has the file, and refuse to replace what must not be replaced."""
        _check_name(target)
        if file.state == COPIED and file.content is not None and _holds(target, file.size, file.content, callback):
            callback.relative_update(file.size)
            return Outcome(file.path, VERIFIED, file.how, file.content)
        size = self._size_at(target, file.path)
        if size is not None:
            content = (file.sha or read_sha1(source, callback)) if size == file.size else None
            if content is not None and _sha1(target, callback) == content:
                callback.relative_update(file.size)
                return Outcome(file.path, VERIFIED, "copied" if file.is_written else "found", content)
            if not (self._overwrite or file.is_written):
                raise FileExistsError(errno.EEXIST, "the target has another content and is not replaced", target.url)
        return None

    def _size_at(self, target: Location, path: str) -> int | None:
        """Return the size of a target file, from one listing per directory; None if it does not exist."""
        if not self._overwrite:
            try:
                return int(fresh_info(target)["size"] or 0)
            except FileNotFoundError:
                return None
        folder = path.rpartition("/")[0]
        with self._mutex:
            # one listing at a time: other threads usually wait for the same directory
            if folder not in self._listings:
                self._listings[folder] = _listed_sizes(self._target_folder(folder))
                while len(self._listings) > _MAX_LISTINGS:
                    self._listings.popitem(last=False)
            self._listings.move_to_end(folder)
            return self._listings[folder].get(target.name)

    def _target_folder(self, folder: str) -> Location:
        target = self._own.of(self._target)
        return target.join(folder) if folder else target

    def _copy(self, file: File, source: Location, target: Location, callback: Callback) -> Outcome:
        folder = file.path.rpartition("/")[0]
        if target.has_directories and folder not in self._made:
            make_directory(self._target_folder(folder))
            self._made.add(folder)
        self._begin(file.path)

        def accept(count: int, sha: str) -> None:
            if count != file.size:
                text = f"read {count} bytes, but {file.size} were listed: the file has changed; run the migration again"
                raise OSError(errno.EIO, text, source.url)
            if file.sha is not None and sha != file.sha:
                text = f"the content has SHA-1 {sha}, but the source has stored {file.sha}"
                raise OSError(errno.EIO, text, source.url)

        md5 = hashlib.md5(usedforsecurity=False)
        hashes = (md5,) if self._verify and S3 & target.protocols else ()
        metadata = self._metadata.of(source, target, file.mtime)
        _, sha = stream(source, target, callback, hashes=hashes, accept=accept, metadata=metadata)
        info = fresh_info(target)
        if info["size"] != file.size:
            text = f"the copy has {info['size']} bytes instead of {file.size}"
            raise OSError(errno.EIO, text, target.url)
        if self._verify and not (hashes and _is_proven(info, md5.hexdigest())) and _sha1(target, callback, info) != sha:
            raise OSError(errno.EIO, "the content of the copy differs from the source", target.url)
        state = VERIFIED if self._verify else COPIED
        return Outcome(file.path, state, "copied", sha, size=file.size, is_begun=True, lost=metadata.lost)


def _listed_sizes(folder: Location) -> dict[str, int]:
    """Return the sizes of the files in a directory by name; removes abandoned local copies."""
    folder.fs.invalidate_cache(folder.path)
    try:
        found = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if folder.is_local:
        for info in found:
            if is_part(Path(info["name"]).name):
                remove_abandoned(info["name"])
    return {info["name"].rpartition("/")[2]: int(info["size"] or 0) for info in found if info["type"] == "file"}


def _holds(target: Location, size: int, content: str, callback: Callback) -> bool:
    try:
        info = fresh_info(target)
    except FileNotFoundError:
        return False
    return info["size"] == size and _sha1(target, callback, info) == content


def _is_proven(info: dict[str, Any], md5: str) -> bool:
    """Return whether the ETag is the MD5 of the content; it is something else for multipart uploads."""
    return str(info.get("ETag", "")).strip('"').lower() == md5


def _sha1(location: Location, callback: Callback, info: dict[str, Any] | None = None) -> str:
    """Return the SHA-1 of a target file: the stored one, or else computed by reading."""
    return recorded_sha1(location, info or fresh_info(location)) or read_sha1(location, callback)


def _check_name(target: Location) -> None:
    if S3 & target.protocols and len(target.path.partition("/")[2].encode()) > _MAX_KEY_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"S3 keys are limited to {_MAX_KEY_BYTES} bytes", target.url)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
