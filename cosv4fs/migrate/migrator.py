"""Migrate single files: `FileMigrator`, which runs in the threads of a migration and on the workers of a cluster."""

from __future__ import annotations

import errno
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback

from cosv4fs.concurrency import cancellation
from cosv4fs.localfiles import is_part, remove_abandoned
from cosv4fs.migrate.copying import check_readable, copy_file, make_directory, read_md5, read_sha1, stream
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.infos import entry_of, fresh_info, recorded_md5, recorded_sha1
from cosv4fs.migrate.locations import S3, Location, ThreadInstances
from cosv4fs.migrate.manifest import (
    CONTENT,
    COPIED,
    DAMAGED,
    FAILED,
    MISSING,
    NEW,
    PENDING,
    SIZE,
    VERIFIED,
    File,
    Outcome,
)
from cosv4fs.migrate.metadata import CONTENT_ONLY, FileMetadata, MetadataOptions
from cosv4fs.migrate.s3_parts import PartsDigest, abort_uploads
from cosv4fs.paths import parents

_MAX_KEY_BYTES = 1024
"""The length limit for S3 keys."""

_MAX_LISTINGS = 32

_MAX_BATCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Listing:
    """A directory of the target, by names."""

    files: dict[str, Entry] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()


_NOTHING = _Listing()


class FileMigrator:
    """Migrates single files of a directory, with the options of `migrate`; thread-safe."""

    def __init__(
        self,
        source: Location,
        target: Location,
        *,
        verify: bool,
        overwrite: bool = True,
        metadata: MetadataOptions = CONTENT_ONLY,
    ) -> None:
        self._source, self._target, self._own = source, target, ThreadInstances()
        self._metadata = metadata
        # a target that cannot replace files may list them late, so that its listings are not trusted
        overwrite = overwrite and target.capabilities.replaces_files
        self._verify, self._overwrite = verify, overwrite
        # by directory: the last few that were listed, and those that were made
        self._listings: OrderedDict[str, _Listing] = OrderedDict()
        self._made: set[str] = set()
        self._mutex = threading.Lock()

    def migrate(
        self,
        files: Iterable[File],
        progress: Callable[[], Callback],
        begin: Callable[[list[str]], None] = lambda _paths: None,
    ) -> Iterator[Outcome]:
        """Copy the files that the target does not have; yield their outcomes, of which some are failures.

        Parameters
        ----------
        progress : callable
            Returns a callback for the bytes of one file.
        begin : callable
            Called with the relative paths of files before the first of them is written to the target.
        """
        to_copy = []
        for file in files:
            found = self.examine(file, progress())
            if found.state == PENDING:
                to_copy.append((file, found.reason))
            else:
                yield found
        if to_copy:
            begin([file.path for file, _ in to_copy])
        for file, reason in to_copy:
            yield replace(self._outcome(file, self._copy, progress(), is_begun=True), reason=reason)

    def examine(self, file: File, callback: Callback) -> Outcome:
        """Compare a file with the target; the outcome is ``pending`` if it is to be copied. Nothing is changed."""
        return self._outcome(file, self._examine, callback, is_begun=False)

    def _outcome(
        self,
        file: File,
        step: Callable[[File, Location, Location, Callback], Outcome],
        callback: Callback,
        *,
        is_begun: bool,
    ) -> Outcome:
        """Take a step with one file; a failure is an outcome, not an exception."""
        try:
            source, target = (self._own.of(location).join(file.path) for location in (self._source, self._target))
            return step(file, source, target, callback)
        except Exception as error:
            if cancellation.is_cancelled():
                raise
            # one file must not stop the others
            both = (tree.at(tree.prefix + file.path) for tree in (self._source, self._target))
            refused = isinstance(error, PermissionError)
            return Outcome(file.path, FAILED, error=describe(error, *both), is_begun=is_begun, is_refused=refused)

    def _examine(self, file: File, source: Location, target: Location, callback: Callback) -> Outcome:
        _check_name(target)
        if target.has_directories and target.capabilities.replaces_files:
            self._check_free(file, target)
        is_complete = file.state in (COPIED, VERIFIED)
        found = self._at_target(file, target)
        if found is None:
            check_readable(source)
            return Outcome(file.path, PENDING, size=file.size, reason=MISSING if is_complete else NEW)
        reason = SIZE
        if found.size == file.size:
            content = (file.content if is_complete else None) or file.sha or read_sha1(source)
            if (found.sha1 or _sha1(target)) == content:
                callback.relative_update(file.size)
                return Outcome(file.path, VERIFIED, _how(file), content)
            reason = CONTENT
        if not (self._overwrite or file.is_written):
            raise FileExistsError(errno.EEXIST, "the target has another content and is not replaced", target.url)
        check_readable(source)
        return Outcome(file.path, PENDING, size=file.size, reason=DAMAGED if is_complete else reason)

    def _check_free(self, file: File, target: Location) -> None:
        """Raise an error if a directory has the name of the copy, or a file that of a directory above it."""
        with self._mutex:
            if target.name in self._listing(file.path.rpartition("/")[0]).folders:
                raise IsADirectoryError(errno.EISDIR, "a directory has the name of its copy: remove it", target.url)
            for folder in parents(file.path):
                above, _, name = folder.rpartition("/")
                if name in self._listing(above).files:
                    text = "a file has the name of a directory above it: remove that"
                    raise NotADirectoryError(errno.ENOTDIR, text, target.url)

    def _at_target(self, file: File, target: Location) -> Entry | None:
        """Return what the target has, from one listing per directory; None if there is no such file."""
        if self._overwrite:
            with self._mutex:
                # one listing at a time: other threads usually wait for the same directory
                return self._listing(file.path.rpartition("/")[0]).files.get(target.name)
        try:
            return entry_of(target, fresh_info(target))
        except FileNotFoundError:
            return None

    def _listing(self, folder: str) -> _Listing:
        """Return what the target had in a directory before this run wrote there; what is known not to exist is free."""
        if folder in self._listings:
            self._listings.move_to_end(folder)
            return self._listings[folder]
        if folder:
            above, _, name = folder.rpartition("/")
            if name not in self._listing(above).folders:
                return _NOTHING
        self._listings[folder] = _listed(self._target_folder(folder))
        while len(self._listings) > _MAX_LISTINGS:
            self._listings.popitem(last=False)
        return self._listings[folder]

    def _target_folder(self, folder: str) -> Location:
        target = self._own.of(self._target)
        return target.join(folder) if folder else target

    def _copy(self, file: File, source: Location, target: Location, callback: Callback) -> Outcome:
        began, metadata = time.perf_counter(), self._metadata.of(source, target, file.mtime)
        folder = file.path.rpartition("/")[0]
        if target.has_directories and folder not in self._made:
            self._prepare(folder)
            self._made.add(folder)
        if file.is_written:
            abort_uploads(target, file.size)
        if file.sha is not None and source.capabilities.knows_sha1 and _can_be_downloaded_to(target):
            # compared before the copy appears
            copy_file(source, target, callback, metadata=metadata, sha1=file.sha)
            content: str | None = file.sha
            self._check(file, target, file.sha)
        elif source.is_local and not target.is_local:
            content = self._upload(file, source, target, callback, metadata)
        else:
            content = self._stream(file, source, target, callback, metadata)
        state, seconds = VERIFIED if self._verify else COPIED, time.perf_counter() - began
        lost = metadata.lost
        return Outcome(file.path, state, "copied", content, "", file.size, is_begun=True, lost=lost, seconds=seconds)

    def _prepare(self, folder: str) -> None:
        """Make a directory of the target; remove abandoned local copies."""
        location = self._target_folder(folder)
        make_directory(location)
        if location.is_local:
            for path in Path(location.path).iterdir():
                if is_part(path.name):
                    remove_abandoned(path)

    def _upload(
        self, file: File, source: Location, target: Location, callback: Callback, metadata: FileMetadata
    ) -> str | None:
        """Copy a local file; return its SHA-1 if the target stores one, or if it had to be computed."""
        _check_size(file, Path(source.path).stat().st_size, source)
        # streaming would save the pass for the SHA-1 before the upload, but an interrupted file would start again: to
        # resume a large one saves more than a pass at the speed of the disk
        copy_file(source, target, callback, metadata=metadata)
        info = fresh_info(target)
        _check_copy(file, info, target)
        stored = recorded_sha1(target, info)
        if not self._verify:
            return stored
        content = read_sha1(source)
        md5 = recorded_md5(target, info) if S3 & target.protocols and stored is None else None
        if md5 is None or md5 != read_md5(source):
            # an ETag of several parts is no MD5
            self._compare(target, stored or read_sha1(target), content)
        return content

    def _stream(
        self, file: File, source: Location, target: Location, callback: Callback, metadata: FileMetadata
    ) -> str:
        def accept(count: int, sha: str) -> None:
            _check_size(file, count, source)
            if file.sha is not None and sha != file.sha:
                text = f"the content has SHA-1 {sha}, but the source has stored {file.sha}"
                raise OSError(errno.EIO, text, source.url)

        digest = PartsDigest(file.size) if self._verify and S3 & target.protocols else None
        hashes = () if digest is None else (digest,)
        # otherwise the status, which has metadata, has the current size, too
        size = None if self._metadata.enabled else file.size
        _, sha = stream(source, target, callback, hashes=hashes, accept=accept, metadata=metadata, size=size)
        self._check(file, target, sha, digest)
        return sha

    def _check(self, file: File, target: Location, sha: str, digest: PartsDigest | None = None) -> None:
        """Compare the size of a copy, and with the option `verify` its content, with what was copied."""
        info: dict[str, Any] = {}
        if target.is_local:
            # others may write there, but nothing has a cache
            info["size"] = Path(target.path).stat().st_size
        else:
            info = fresh_info(target)
        _check_copy(file, info, target)
        if self._verify and (digest is None or not digest.is_of(info)):
            self._compare(target, recorded_sha1(target, info) or read_sha1(target), sha)

    def _compare(self, target: Location, found: str, content: str) -> None:
        if found != content:
            raise OSError(errno.EIO, "the content of the copy differs from the source", target.url)


def batches(files: Iterator[File], most: int) -> Iterator[list[File]]:
    """Group files into batches of at most `most` files, which are small unless they are of one file."""
    batch: list[File] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= most or size + file.size > _MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _how(file: File) -> str:
    return file.how or ("copied" if file.is_written else "found")


def _can_be_downloaded_to(target: Location) -> bool:
    """Return whether ``get_file`` replaces a local path: it writes through links, and into pipes and devices."""
    if not target.is_local:
        return False
    try:
        return stat.S_ISREG(Path(target.path).lstat().st_mode)
    except OSError:
        return True


def _listed(folder: Location) -> _Listing:
    """List a directory of the target; nothing if it is missing, or is a file."""
    folder.fs.invalidate_cache(folder.path)
    try:
        infos = folder.fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return _NOTHING
    if not folder.capabilities.container:
        # for the changes that follow, and for memory
        folder.fs.invalidate_cache(folder.path)
    names = [(info["name"].rstrip("/").rpartition("/")[2], info) for info in infos]
    files = {name: entry_of(folder, info) for name, info in names if info["type"] == "file"}
    return _Listing(files, frozenset(name for name, info in names if info["type"] == "directory"))


def _sha1(location: Location) -> str:
    """Return the SHA-1 of a target file: the stored one, or else computed by reading."""
    return recorded_sha1(location, fresh_info(location)) or read_sha1(location)


def _check_size(file: File, size: int, source: Location) -> None:
    if size != file.size:
        text = f"read {size} bytes, but {file.size} were listed: the file has changed; run the migration again"
        raise OSError(errno.EIO, text, source.url)


def _check_copy(file: File, info: dict[str, Any], target: Location) -> None:
    if info["size"] != file.size:
        raise OSError(errno.EIO, f"the copy has {info['size']} bytes instead of {file.size}", target.url)


def _check_name(target: Location) -> None:
    if S3 & target.protocols and len(target.path.partition("/")[2].encode()) > _MAX_KEY_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"S3 keys are limited to {_MAX_KEY_BYTES} bytes", target.url)


def describe(error: Exception, *locations: Location) -> str:
    """Return an error as one line, with the name of its file: the URL if that is one of the locations."""
    if isinstance(error, OSError) and error.strerror:
        name = next((each.url for each in locations if each.path == error.filename), error.filename)
        return f"{name}: {error.strerror}" if name else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
