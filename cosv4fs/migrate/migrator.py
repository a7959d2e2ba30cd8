"""Migrate one file: check whether the target has it, copy it, verify the copy.

Does not use the manifest, so that it also runs on the workers of a cluster.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback

from cosv4fs.localfiles import is_part, remove_abandoned
from cosv4fs.migrate.copying import make_directory, read_sha1, recorded_sha1, stream
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, Job, Outcome

_S3 = frozenset({"s3", "s3a"})
_MAX_KEY_BYTES = 1024
"""The length limit for S3 keys."""


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
        begin: Callable[[str], None] = lambda _path: None,
    ) -> None:
        self._source, self._target, self._own = source, target, ThreadInstances()
        # a target that cannot replace files may list them late, so that its listings are not trusted
        overwrite = overwrite and target.capabilities.replaces_files
        self._verify, self._overwrite, self._begin = verify, overwrite, begin
        self._sizes = _TargetSizes(target, self._own)

    def migrate(self, job: Job, callback: Callback) -> Outcome:
        """Copy a file unless the target already has it; a failure is an outcome, not an exception."""
        begun: list[str] = []
        try:
            return self._migrate(job, callback, begun)
        except Exception as error:  # noqa: BLE001 - one file must not stop the others
            return Outcome(job.path, FAILED, error=_describe(error), is_begun=bool(begun))

    def _migrate(self, job: Job, callback: Callback, begun: list[str]) -> Outcome:
        source, target = (self._own.of(location).join(job.path) for location in (self._source, self._target))
        _check_name(target)
        if job.state == COPIED and job.content is not None and _holds(target, job.size, job.content, callback):
            callback.relative_update(job.size)
            return Outcome(job.path, VERIFIED, job.how, job.content)
        size = self._sizes.of(job.path, fresh=not self._overwrite)
        if size is not None:
            content = (job.sha or read_sha1(source, callback)) if size == job.size else None
            if content is not None and _sha1(target, callback) == content:
                callback.relative_update(job.size)
                return Outcome(job.path, VERIFIED, "copied" if job.is_written else "found", content)
            if not (self._overwrite or job.is_written):
                raise FileExistsError(errno.EEXIST, "the target has another content and is not replaced", target.url)
        begun.append(job.path)
        return self._copy(job, source, target, callback)

    def _copy(self, job: Job, source: Location, target: Location, callback: Callback) -> Outcome:
        if target.has_directories:
            self._sizes.make_parent(job.path)
        self._begin(job.path)

        def accept(count: int, sha: str) -> None:
            if count != job.size:
                text = f"read {count} bytes, but {job.size} were listed: the file has changed; run the migration again"
                raise OSError(errno.EIO, text, source.url)
            if job.sha is not None and sha != job.sha:
                text = f"the content has SHA-1 {sha}, but the source has stored {job.sha}"
                raise OSError(errno.EIO, text, source.url)

        md5 = hashlib.md5(usedforsecurity=False)
        hashes = (md5,) if self._verify and _S3 & target.protocols else ()
        _, sha = stream(source, target, callback, hashes=hashes, accept=accept)
        info = _fresh_info(target)
        if info["size"] != job.size:
            text = f"the copy has {info['size']} bytes instead of {job.size}"
            raise OSError(errno.EIO, text, target.url)
        if self._verify and not (hashes and _is_proven(info, md5.hexdigest())) and _sha1(target, callback, info) != sha:
            raise OSError(errno.EIO, "the content of the copy differs from the source", target.url)
        return Outcome(job.path, VERIFIED if self._verify else COPIED, "copied", sha, size=job.size, is_begun=True)


def _holds(target: Location, size: int, content: str, callback: Callback) -> bool:
    try:
        info = _fresh_info(target)
    except FileNotFoundError:
        return False
    return info["size"] == size and _sha1(target, callback, info) == content


def _is_proven(info: dict[str, Any], md5: str) -> bool:
    """Return whether the ETag is the MD5 of the content; it is something else for multipart uploads."""
    return str(info.get("ETag", "")).strip('"').lower() == md5


def _sha1(location: Location, callback: Callback, info: dict[str, Any] | None = None) -> str:
    """Return the SHA-1 of a target file: the stored one, or else computed by reading."""
    return recorded_sha1(location, info or _fresh_info(location)) or read_sha1(location, callback)


def _fresh_info(location: Location) -> dict[str, Any]:
    location.fs.invalidate_cache(location.path)
    # another thread may cache an older listing after the invalidation; refresh bypasses the cache if supported
    refresh = {"refresh": True} if "refresh" in signature(location.fs.info).parameters else {}
    return dict(location.fs.info(location.path, **refresh))


def _check_name(target: Location) -> None:
    if _S3 & target.protocols and len(target.path.partition("/")[2].encode()) > _MAX_KEY_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"S3 keys are limited to {_MAX_KEY_BYTES} bytes", target.url)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class _TargetSizes:
    """File sizes at the target, from one listing per directory; the last few listings are cached."""

    _MAX_LISTINGS = 16

    def __init__(self, target: Location, own: ThreadInstances) -> None:
        self._target, self._own = target, own
        self._listings: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._created: set[str] = set()
        self._mutex = threading.Lock()

    def of(self, path: str, *, fresh: bool) -> int | None:
        """Return the size of a file, or None if it does not exist; `fresh` requests its status instead of a listing."""
        location = self._own.of(self._target).join(path)
        if fresh:
            try:
                info = _fresh_info(location)
            except FileNotFoundError:
                return None
            return int(info["size"] or 0)
        folder = path.rpartition("/")[0]
        with self._mutex:
            # one listing at a time: other threads usually wait for the same directory
            if folder not in self._listings:
                self._listings[folder] = self._list(folder)
                while len(self._listings) > self._MAX_LISTINGS:
                    self._listings.popitem(last=False)
            self._listings.move_to_end(folder)
            return self._listings[folder].get(location.name)

    def _list(self, folder: str) -> dict[str, int]:
        location = self._location_of(folder)
        location.fs.invalidate_cache(location.path)
        try:
            found = location.fs.ls(location.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        if location.is_local:
            for info in found:
                if is_part(Path(info["name"]).name):
                    remove_abandoned(info["name"])
        return {info["name"].rpartition("/")[2]: int(info["size"] or 0) for info in found if info["type"] == "file"}

    def make_parent(self, path: str) -> None:
        """Create the parent directory of a file, once."""
        folder = path.rpartition("/")[0]
        if folder not in self._created:
            make_directory(self._location_of(folder))
            self._created.add(folder)

    def _location_of(self, folder: str) -> Location:
        target = self._own.of(self._target)
        return target.join(folder) if folder else target
