"""Copy one file between two locations, by the fastest method that both filesystems support."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile

from cosv4fs.concurrency import cancellation
from cosv4fs.concurrency.limits import Bandwidth, receiving, sending
from cosv4fs.forking import PerProcess
from cosv4fs.localfiles import naming_file, open_stream, replacing
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.migrate.metadata import CONTENT_ONLY, FileMetadata
from cosv4fs.migrate.s3_parts import downloading, opening, uploading
from cosv4fs.migrate.trees import scan

BLOCK = 4 * 1024 * 1024
"""Bytes per read."""

_AHEAD = 16 * 1024 * 1024
"""Bytes that are read ahead of a large file: more than a part for S3, so that sending it overlaps with reading."""

_DESCRIPTORS = Path("/dev/fd")
"""Where open files have paths, also those without a name on the disk."""

_S3_WHOLE_COPY = 5 * 1024**3
"""Bytes up to which S3 copies a file at once, with its metadata; larger ones are copied in parts, without it."""

_directory_lock = PerProcess(threading.Lock)
"""Serializes mkdir: some filesystems, such as SFTP, fail when two threads create the same directory."""


class ByteProgress(Callback):  # type: ignore[misc]
    """Calls `advance` with the bytes of each step, and ends the transfer when the thread that made it is cancelled."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        # other filesystems call from threads of their own
        self._advance, self._thread = advance, threading.get_ident()

    def relative_update(self, inc: int = 1) -> None:
        """Report `inc` more bytes."""
        cancellation.check(self._thread)
        self._advance(inc)
        super().relative_update(inc)

    def absolute_update(self, value: int) -> None:
        """Report the difference between `value` and the last known total."""
        self._advance(value - self.value)
        super().absolute_update(value)


def copy_file(
    source: Location,
    target: Location,
    callback: Callback = DEFAULT_CALLBACK,
    *,
    follow: bool = False,
    metadata: FileMetadata | None = None,
    sha1: str | None = None,
) -> None:
    """Copy one file, replacing an existing target; with `follow`, the file that a local symbolic link points to.

    Uses ``get_file`` or ``put_file`` when one side is local, ``cp_file`` within one filesystem, and otherwise streams
    the bytes through this machine. Creates the parent directory of the target if its filesystem requires one. On
    failure, an existing target is unchanged if its filesystem replaces files atomically. Carries the `metadata`, or
    the content alone without it. A download from a service that stores SHA-1s is compared with `sha1` before the
    target is replaced.

    Raises
    ------
    OSError
        ESTALE: a local source changed meanwhile. What other filesystems have of it then is removed.
    """
    metadata = metadata or CONTENT_ONLY.of(source, target)
    if target.has_directories and not target.capabilities.makes_parents:
        _make_parent(source, target)
    if source.is_local and _is_pipe(source.path):
        with _open_file(source) as reader:
            receive(reader, target, callback, metadata)
    elif target.is_local and not follow and os.path.islink(target.path):  # noqa: PTH114 - faster, for every file
        stream(source, target, callback, metadata=metadata)
    elif target.is_local and not source.capabilities.container and (sink := open_stream(target.path)) is not None:
        # other filesystems would open it anew, and truncate the file behind /dev/stdout
        with naming_file(target.path), sink:
            send(source, sink, callback)
    elif source.is_local and target.is_local:
        _copy_on_disk(source, target, callback, metadata)
    elif source.fs == target.fs and _copies_by_itself(source, target):
        _copy_within(source, target, callback, metadata)
    elif _is_limited_here(source, receiving) or _is_limited_here(target, sending):
        stream(source, target, callback, metadata=metadata)
    elif source.is_local and not target.is_local:
        _upload(source, target, callback, metadata)
    elif target.is_local and not source.is_local:
        _download(source, target, callback, metadata, sha1)
    else:
        stream(source, target, callback, metadata=metadata)


class _Watch:
    """Notices that a local file changes while it is copied: the copy may have parts of two versions."""

    def __init__(self, source: Location) -> None:
        self._source, self._before = source, self._state(source)

    def check(self) -> None:
        """Raise an OSError (ESTALE) if the file has changed."""
        if self._state(self._source) != self._before:
            raise OSError(errno.ESTALE, "the file changed while it was copied: copy it again", self._source.url)

    @staticmethod
    def _state(source: Location) -> tuple[int, ...]:
        if not source.is_local:
            return ()
        found = Path(source.path).stat()
        if stat.S_ISDIR(found.st_mode):
            # filesystems would copy it as an empty one, or not at all
            raise IsADirectoryError(errno.EISDIR, "it is a directory now", source.url)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_readable(source: Location) -> None:
    """Raise the error that opening a local file would; cheap if there is none."""
    if source.is_local and not os.access(source.path, os.R_OK):
        # it says why
        Path(source.path).open("rb").close()


def _copy_on_disk(source: Location, target: Location, callback: Callback, metadata: FileMetadata) -> None:
    """Copy a local file to a local path, and replace what is there when the copy is complete."""
    metadata.read()
    watch = _Watch(source)
    with (
        open(source.path, "rb") as reader,  # noqa: PTH123 - parsing a path costs more than opening it
        replacing(target.path) as file,
        io.BufferedWriter(file, BLOCK) as writer,
    ):
        _pump(_blocks(reader), writer.write, callback)
        watch.check()
    metadata.finish()


def _upload(source: Location, target: Location, callback: Callback, metadata: FileMetadata) -> None:
    """Copy a local file to another filesystem."""
    metadata.read()
    watch = _Watch(source)
    target.fs.put_file(source.path, target.path, callback=callback, **uploading(target), **metadata.keywords())
    if target.capabilities.container:
        # it publishes nothing of a file that has changed
        return
    try:
        watch.check()
    except OSError:
        # otherwise the next comparison could take it for a copy of the file
        with suppress(Exception):
            target.fs.rm_file(target.path)
        raise


def _download(source: Location, target: Location, callback: Callback, metadata: FileMetadata, sha1: str | None) -> None:
    """Copy a file of another filesystem to the local disk, and replace what is there when the copy is complete."""
    metadata.read()
    keywords: dict[str, Any] = {"received": metadata.show} if source.capabilities.shows_attributes else {}
    if sha1 is not None and source.capabilities.knows_sha1:
        keywords["sha1"] = sha1
    with ExitStack() as stack:
        path = target.path
        if not source.capabilities.container and _DESCRIPTORS.is_dir():
            # others write into the file of the path that they are given
            path = str(_DESCRIPTORS / str(stack.enter_context(replacing(path)).fileno()))
        source.fs.get_file(source.path, path, callback=callback, **downloading(source), **keywords)
    metadata.finish()


def _is_limited_here(location: Location, bandwidth: Bandwidth) -> bool:
    """Return whether the bytes per second are limited while blocks are copied; filesystems of this package limit them.

    Other filesystems know no limit. Many run all transfers in one thread, which their callbacks must not delay.
    """
    return bandwidth.is_limited and not (location.is_local or location.capabilities.container)


def _copies_by_itself(source: Location, target: Location) -> bool:
    """Return whether the filesystem of both copies a file with what it has beside the content."""
    capabilities, same = source.capabilities, source.path.partition("/")[0] == target.path.partition("/")[0]
    return not capabilities.container or (capabilities.copies_on_server and same)


def _copy_within(source: Location, target: Location, callback: Callback, metadata: FileMetadata) -> None:
    """Copy a file within one filesystem."""
    size = int(source.fs.size(source.path) or 0)
    keywords = {}
    if S3 & source.protocols and (metadata.changes or size > _S3_WHOLE_COPY):
        # such copies have only what they are given
        metadata.read()
        keywords = {**metadata.keywords(), "MetadataDirective": "REPLACE"}
    source.fs.cp_file(source.path, target.path, **keywords)
    if source.capabilities.container and metadata.changes:
        source.fs.setxattrs(target.path, **metadata.changes)
    callback.relative_update(size)


def _make_parent(source: Location, target: Location) -> None:
    """Create the parent directory of a target; downloads from our services create it themselves."""
    if target.is_local and (source.capabilities.container or Path(target.path).parent.is_dir()):
        return
    make_directory(target.at(target.fs._parent(target.path)))


def make_directory(location: Location) -> None:
    """Create a directory and its parents if they do not exist; thread-safe."""
    with _directory_lock():
        if not location.capabilities.is_thread_safe:
            # this instance may have cached as absent what another thread's instance has created
            location.fs.invalidate_cache()
        location.fs.makedirs(location.path, exist_ok=True)


def remove_directories(location: Location) -> None:
    """Remove a directory in which there are only directories; raise what `directories_only` does."""
    for relative in sorted(directories_only(location), reverse=True):
        location.fs.rmdir(location.prefix + relative)
    location.fs.rmdir(location.path)


def directories_only(location: Location) -> list[str]:
    """Return the paths of the directories in a directory, relative to it.

    Raises
    ------
    OSError
        ENOTEMPTY: there is a file in it, or something that cannot be listed.
    """
    found: list[str] = []
    for page in scan(location):
        found += (entry.path for entry in page)
        if not all(entry.is_directory and not entry.refusal for entry in page):
            raise OSError(errno.ENOTEMPTY, "the directory is not empty", location.url)
    return found


def stream(
    source: Location,
    target: Location,
    callback: Callback = DEFAULT_CALLBACK,
    *,
    hashes: Iterable[Any] = (),
    accept: Callable[[int, str], None] | None = None,
    metadata: FileMetadata | None = None,
    size: int | None = None,
) -> tuple[int, str]:
    """Copy one file through this machine, block by block; return its size and SHA-1 in hex.

    On failure, or if the source turns out to be truncated, the target is not published if its filesystem supports
    that; local files are always replaced atomically, and so are local links.

    Parameters
    ----------
    hashes : iterable of hash objects
        Further hashes to update with the content.
    accept : callable, optional
        Called with the size and SHA-1 before the target is published; an exception prevents that.
    metadata : FileMetadata, optional
        What to carry beside the content.
    size : int, optional
        Bytes of the source, if known: saves a request to services of this package.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    metadata = metadata or CONTENT_ONLY.of(source, target)
    metadata.read()
    watch = _Watch(source)
    with _open_file(source, size) as reader:
        size = getattr(reader, "size", None)
        if size is not None:
            callback.set_size(size)
        blocks = _blocks(reader, source, target)
        # before the target is made
        first = list(islice(blocks, 1))
        if source.capabilities.shows_attributes:
            metadata.show(reader.attributes)
        with _writing(target, size, metadata.keywords()) as writer:
            count = _pump(chain(first, blocks), writer.write, callback, (digest, *hashes))
            if size is not None and count != size:
                raise OSError(errno.EIO, f"read {count} bytes instead of {size}", source.url)
            watch.check()
            if accept is not None:
                accept(count, digest.hexdigest())
    metadata.finish()
    return count, digest.hexdigest()


def send(source: Location, writer: Any, callback: Callback = DEFAULT_CALLBACK) -> int:
    """Copy one file to a binary stream, such as standard output; return the number of bytes.

    Raises
    ------
    OSError
        EIO: the source turns out to be truncated.
    """
    with _open_file(source) as reader:
        size = getattr(reader, "size", None)
        count = _pump(_blocks(reader, source), writer.write, callback)
    writer.flush()
    if size is not None and count != size:
        raise OSError(errno.EIO, f"read {count} bytes instead of {size}", source.url)
    return count


def _open_file(location: Location, size: int | None = None) -> Any:
    """Open a file for reading; `size` as in `stream`."""
    if location.is_local and _is_pipe(location.path):
        return open(location.path, "rb")  # noqa: PTH123 - fsspec's local files need a size
    reader = location.fs.open(location.path, "rb", **_reading(location, size))
    if location.capabilities.container or (getattr(reader, "details", None) or {}).get("type") != "directory":
        return reader
    # the cache of s3fs knows a path that is both a file and a directory as one of them, with its size
    reader.close()
    location.fs.invalidate_cache(location.path)
    return location.fs.open(location.path, "rb", **_reading(location))


def _reading(location: Location, size: int | None = None) -> dict[str, Any]:
    """Return keywords that bound what a file that is read has in memory: several are read at once."""
    if location.capabilities.container:
        # what is fetched ahead shares a rate that is limited: the first block would come late
        most = max(1, receiving.in_a_second(_AHEAD) // location.fs.blocksize)
        # of an empty file nothing is read that would tell that it is gone
        return {"cache_options": {"most": most}, "size": size or None}
    return opening(location)


def receive(
    reader: Any, target: Location, callback: Callback = DEFAULT_CALLBACK, metadata: FileMetadata | None = None
) -> int:
    """Copy a binary stream of unknown size, such as a pipe, to a file; return the number of bytes."""
    metadata = metadata or CONTENT_ONLY.of(None, target)
    with _opened(target, metadata.keywords()) as writer:
        return _pump(_blocks(reader, target=target), writer.write, callback)


def _blocks(reader: Any, source: Location | None = None, target: Location | None = None) -> Iterator[bytes]:
    """Yield the blocks of a stream, at the rates that are allowed."""
    sides = ((source, receiving), (target, sending))
    limits = [limit for side, limit in sides if side is not None and _is_limited_here(side, limit)]
    while True:
        began = [limit.now() for limit in limits]
        block = reader.read(BLOCK)
        if not block:
            return
        yield block
        # it has been written meanwhile; with a wait before that, each direction would rest while the other is used
        moments = [limit.count(len(block), start) for limit, start in zip(limits, began, strict=True)]
        for limit, moment in zip(limits, moments, strict=True):
            limit.wait_until(moment)


def _pump(
    blocks: Iterable[bytes], write: Callable[[bytes], object], callback: Callback, hashes: Iterable[Any] = ()
) -> int:
    count = 0
    for block in blocks:
        write(block)
        for each in hashes:
            each.update(block)
        count += len(block)
        callback.relative_update(len(block))
    return count


def _is_pipe(path: str) -> bool:
    """Return whether a local path is a pipe or device without a size, such as ``/dev/stdin`` or ``<(command)``."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def _writing(target: Location, size: int | None, keywords: Mapping[str, Any]) -> Iterator[Any]:
    """Open a file for writing, to be replaced atomically if the target supports that; see `FileMetadata.keywords`."""
    if target.is_local:
        with replacing(target.path, follow=False) as file, io.BufferedWriter(file, BLOCK) as writer:
            yield writer
    else:
        with _opened(target, keywords, size) as writer:
            yield writer


@contextmanager
def _opened(target: Location, keywords: Mapping[str, Any], size: int | None = None) -> Iterator[Any]:
    """Open a file for writing; close it, or discard it when the block fails.

    The ``__exit__`` of fsspec's buffered files would publish the bytes written before a failure.
    """
    options: dict[str, int] = {}
    if size is not None:
        options = {"size": size} if target.capabilities.takes_size else opening(target, size)
    writer = target.fs.open(target.path, "wb", **options, **keywords)
    if not isinstance(writer, AbstractBufferedFile):
        with writer:
            yield writer
        return
    try:
        yield writer
        if S3 & target.protocols and keywords and not writer.tell():
            # s3fs creates empty files without them
            _discard(writer)
            target.fs.pipe_file(target.path, b"", **keywords)
        else:
            writer.close()
    except BaseException:
        _discard(writer)
        raise


def _discard(writer: AbstractBufferedFile) -> None:
    # otherwise its finalizer would close and thus publish it
    writer.closed = True
    with suppress(Exception):
        writer.discard()


def read_sha1(location: Location) -> str:
    """Read a file and return its SHA-1 in hex; ends when the thread is cancelled."""
    return _read_digest(location, hashlib.sha1(usedforsecurity=False))


def read_md5(location: Location) -> str:
    """Read a file and return its MD5 in hex; ends when the thread is cancelled."""
    return _read_digest(location, hashlib.md5(usedforsecurity=False))


def _read_digest(location: Location, digest: Any) -> str:
    with _open_file(location) as reader:
        for block in _blocks(reader, location):
            cancellation.check()
            digest.update(block)
    return str(digest.hexdigest())
