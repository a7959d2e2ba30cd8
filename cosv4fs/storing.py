"""Writing files: whole from memory and the local disk, or bit by bit."""

from __future__ import annotations

import errno
import mimetypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cosv4fs import bulk, paths
from cosv4fs.api.bodies import check_plain
from cosv4fs.config import SLICE_SIZES
from cosv4fs.display import with_progress
from cosv4fs.errors import make_error
from cosv4fs.file import CosV4Reader, CosV4Writer
from cosv4fs.reading import Reading
from cosv4fs.transfer.journal import NO_ENTRY, Entry
from cosv4fs.transfer.kinds import single_upload
from cosv4fs.transfer.publish import Target, naming
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.sources import FileSource, MemorySource
from cosv4fs.transfer.upload import upload_source
from cosv4fs.transfer.writer import ObjectWriter

__all__ = ["Storing"]


class Storing(Reading):
    """The ways to put bytes in."""

    _no_append: ClassVar[str] = (
        "the service can only store whole objects; read the object, and write it anew with what you want to add"
    )

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
        with self._changing(path), naming(target):
            self._store(target, source, None)

    @contextmanager
    def _changing(self, path: str) -> Iterator[None]:
        """Note that a path is being written: afterwards nothing that was remembered of it holds."""
        try:
            yield
        except BaseException:
            self._note_change(path, written=False)
            raise
        self._note_change(path, written=True)

    def _note_change(self, path: str, written: bool) -> None:
        """Forget what was remembered of a path; where `written`, a whole object has become visible there."""
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
            source.check()
            single_upload(self.client, target).store(view)
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
            Source and target. What comes out of a pipe or a device is written until it ends.
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
        with self._changing(path), naming(target), FileSource(lpath) as source:
            if source.is_stream:
                self._put_stream(source, path, target, progress)
                return
            if set_size is not None:
                set_size(source.size)
            # what goes up in one request is never continued
            resumable = resume and source.size > self.config.single_upload_limit
            with self.room.journal.page(lpath, source.status, path) if resumable else nullcontext(NO_ENTRY) as entry:
                self._store(target, source, progress, entry)

    def _put_stream(self, source: FileSource, path: str, target: Target, progress: bulk.Step | None) -> None:
        """Write what comes out of a pipe or a device until it ends."""
        content_type = target.content_type if target.explicit_type else None
        with self._open(path, "xb" if target.create else "wb", content_type=content_type) as file:
            assert isinstance(file, CosV4Writer)  # of a file opened for writing
            for block in source.blocks():
                file.write(block)
                if progress is not None:
                    progress(len(block))

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

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        content_type: str | None = None,
        cache_type: str = ReadAhead.name,
        default_cache: str | None = None,
    ) -> CosV4Reader | CosV4Writer:
        # dask hands `default_cache` over to count rows: where to read ahead is decided by how a file is read
        if mode == "rb":
            return CosV4Reader(self, path, block_size, cache_type, cache_options, size)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(f"mode {mode!r} is not supported: {self._no_append}")
        self._refuse_early(path, mode)
        target = self._target(path, mode == "xb", content_type, deferred=not autocommit)
        piece_size = self._piece_size(block_size)
        writer = ObjectWriter(self.client, self.workers, self.config, target, size, piece_size, self.room.probe)
        return CosV4Writer(self, path, mode, writer, autocommit, partial(self._note_change, path))

    def _refuse_early(self, path: str, mode: str) -> None:
        """Refuse what cannot be created before it is written; the server decides at the end."""
        if mode == "xb" and self.exists(path):
            raise make_error(errno.EEXIST, "the file exists", path)

    def _piece_size(self, block_size: int | None) -> int | None:
        """Return the bytes per slice for what a caller names as bytes per block; None for the configured ones."""
        return max((valid for valid in SLICE_SIZES if valid <= (block_size or 0)), default=None)


def _is_create(mode: str) -> bool:
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be overwrite or create, not {mode!r}")
    return mode == "create"
