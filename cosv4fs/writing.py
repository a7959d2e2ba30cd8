"""Writing files and making directories."""

from __future__ import annotations

import errno
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cosv4fs import bulk, paths
from cosv4fs.api.bodies import check_plain
from cosv4fs.display import with_progress
from cosv4fs.errors import CosFileExistsError, make_error
from cosv4fs.reading import Reading
from cosv4fs.transfer.directories import make_directory
from cosv4fs.transfer.journal import NO_ENTRY, Entry
from cosv4fs.transfer.publish import Target, naming
from cosv4fs.transfer.sources import FileSource, MemorySource
from cosv4fs.transfer.upload import upload_single, upload_source

__all__ = ["Writing"]


class Writing(Reading):
    """The ways to put bytes in."""

    def _target(self, path: str, create: bool, content_type: str | None, deferred: bool = False) -> Target:
        bucket, key = paths.file_key(path)
        paths.check_new(path)
        check_plain(content_type=content_type)
        guessed = content_type or mimetypes.guess_type(path)[0]
        return Target(bucket, key, create, guessed, content_type is not None, deferred)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", content_type: str | None = None) -> None:
        """Write bytes to a file, whole or not at all.

        Parameters
        ----------
        path, value : str, bytes-like
            The file and its content.
        mode : str
            ``overwrite``, or ``create``: fail when the file exists, decided by the server in one step.
        content_type : str, optional
            What downloads shall say; guessed from the name unless given.

        Raises
        ------
        FileExistsError
            With ``create``.
        """
        path = self._strip_protocol(path)
        target = self._target(path, _is_create(mode), content_type)
        source = MemorySource(value)
        try:
            with naming(target):
                self._store(target, source, None)
        finally:
            self._remembered.forget(path)

    def _store(
        self, target: Target, source: MemorySource | FileSource, progress: bulk.Step | None, entry: Entry = NO_ENTRY
    ) -> None:
        if source.size > self.config.single_upload_limit:
            upload_source(
                self.client,
                self.workers,
                target,
                source,
                self.config.slice_size,
                progress,
                entry,
                self.config.instant_upload,
                self.config.checksum,
            )
            return
        with source.slice(0, source.size, self.workers) as view:
            upload_single(self.client, target, view)
        if progress is not None:
            progress(source.size)

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> None:
        """Write bytes to one file, or a dict of path to bytes to several at once."""
        if isinstance(path, str):
            self.pipe_file(path, value if value is not None else b"", **kwargs)
        elif isinstance(path, Mapping):
            self.workers.each(lambda item: self.pipe_file(item[0], item[1], **kwargs), path.items())
        else:
            raise TypeError("path must be a str or a dict")

    @with_progress("B")
    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        content_type: str | None = None,
        resume: bool = True,
    ) -> None:
        """Copy one local file to the service, whole or not at all; a local directory becomes a directory.

        Parameters
        ----------
        lpath, rpath : path
            Source and target.
        callback : Callback
            Told the size and every slice that arrives.
        mode, content_type : str
            As for `pipe_file`.
        resume : bool
            Continue an upload of the same file that an earlier process began, and leave what is needed for it when
            the connection fails for good.
        """
        path = self._strip_protocol(rpath)
        if Path(lpath).is_dir():
            self.makedirs(path, exist_ok=True)
            return
        target = self._target(path, _is_create(mode), content_type)
        set_size, progress = bulk.step_counter(callback)
        try:
            with naming(target), FileSource(lpath) as source:
                if set_size is not None:
                    set_size(source.size)
                # what goes up in one request is never continued
                resumable = resume and source.size > self.config.single_upload_limit
                entry = self.room.journal.entry(lpath, source.status, path) if resumable else NO_ENTRY
                self._store(target, source, progress, entry)
        finally:
            self._remembered.forget(path)

    @with_progress("file")
    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy local files to the service, several at once; see fsspec for what goes where."""
        pairs = bulk.plan_put(self, lpath, rpath, recursive=recursive, maxdepth=maxdepth)

        def one(source: str, target: str, child: Callback) -> None:
            self.put_file(source, target, callback=child, **kwargs)

        bulk.each_pair(self, pairs, callback, one)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty file, or empty an existing one.

        Raises
        ------
        NotImplementedError
            With ``truncate=False`` and an existing file: the service cannot set times.
        """
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except CosFileExistsError as error:
            raise NotImplementedError("the service cannot set the time of an existing file") from error

    def mkdir(self, path: str, create_parents: bool = True, mode: int | None = None) -> None:
        """Create a directory.

        Parameters
        ----------
        path : str
            The directory.
        create_parents : bool
            Create the directories above it, too.
        mode : int, optional
            Taken because others hand it over, and of no effect: the service has no such permissions.

        Raises
        ------
        FileExistsError
            Something exists at the path.
        FileNotFoundError
            Without `create_parents`: the parent is missing.
        NotImplementedError
            For a bucket: the API cannot create one.
        """
        path = self._strip_protocol(path)
        if not create_parents and not self._is_directory(paths.parent(path)):
            raise make_error(errno.ENOENT, "the parent directory does not exist", path)
        self._make_directory(path, exist_ok=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a directory and its parents.

        Raises
        ------
        FileExistsError
            A file exists at the path; or a directory, without `exist_ok`.
        """
        self._make_directory(self._strip_protocol(path), exist_ok)

    def _make_directory(self, path: str, exist_ok: bool) -> None:
        bucket, key = paths.directory_key(path)
        paths.check_new(path)
        if key == "/" and exist_ok:
            # fsspec asks for this before every write into a bucket's root; a missing bucket shows at the write
            return
        is_there = self._remembered.is_directory(path)
        if not is_there and key == "/":
            is_there = self._bucket_exists(path)
        if not is_there and self._made_directory(bucket, key, path):
            self._remembered.store_directory(path, self._remembered.generation)
            return
        if not exist_ok or not (is_there or self._is_directory(path)):
            if not self.exists(path):
                raise make_error(errno.ENOTDIR, "a file stands where a directory is needed", paths.parent(path))
            raise make_error(errno.EEXIST, "a file or directory of this name exists", path)

    def _made_directory(self, bucket: str, key: str, path: str) -> bool:
        """Create a directory with its parents; return False when it existed already."""
        changed = True
        try:
            changed = make_directory(self.client, bucket, key)
        finally:
            # also after a failure: it, or a parent, may have been made although the reply was lost
            if changed:
                self._remembered.forget(path)
        return changed

    def _bucket_exists(self, path: str) -> bool:
        if not self._is_directory(path):
            raise NotImplementedError(f"the JSON API cannot create bucket {path!r}: create it in the web console")
        return True

    def update_attributes(
        self,
        path: str,
        biz_attr: str | None = None,
        authority: str | None = None,
        custom_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change what the service keeps beside the content; what is not given stays as it is.

        Parameters
        ----------
        path : str
            A file; for a directory only `biz_attr` can be set.
        biz_attr : str, optional
            A free text.
        authority : str, optional
            ``eInvalid`` (as the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            Headers of downloads to add or change: Cache-Control, Content-Type, Content-Disposition,
            Content-Language, Content-Encoding and ``x-cos-meta-*``. Others that were set before are kept.

        Raises
        ------
        FileNotFoundError
            There is no such file or directory.
        """
        path = self._strip_protocol(path)
        key, status = self._attributes(path)
        if biz_attr is None and authority is None and custom_headers is None:
            return
        headers = None if custom_headers is None else {**status.custom_headers, **custom_headers}
        bucket = paths.split(path)[0]
        try:
            self.client.update(bucket, key, biz_attr=biz_attr, authority=authority, custom_headers=headers)
        finally:
            self._remembered.forget(path)


def _is_create(mode: str) -> bool:
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be overwrite or create, not {mode!r}")
    return mode == "create"
