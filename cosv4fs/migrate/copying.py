"""Copying one file between two places, in the best way that the two filesystems have."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile

from cosv4fs.forking import PerProcess
from cosv4fs.localfiles import replacing
from cosv4fs.migrate.places import FLAT, Place, protocols

__all__ = ["BLOCK", "Counting", "copy_file", "make_directory", "read_sha1", "receive", "recorded_sha1", "stream"]

BLOCK = 4 * 1024 * 1024
"""Bytes that are read at once."""

_making = PerProcess(threading.Lock)
"""One directory is made at a time: some filesystems, as that of SFTP, fail when another thread makes it, too."""

_SHA1 = re.compile("[0-9a-f]{40}")


class Counting(Callback):  # type: ignore[misc]
    """A callback of fsspec that hands on how many bytes have come.

    Parameters
    ----------
    advance : callable
        Told of bytes.
    stopped : threading.Event, optional
        Ends what reports here, once it is set.
    """

    def __init__(self, advance: Callable[[int], None], stopped: threading.Event | None = None) -> None:
        super().__init__()
        self._advance, self._stopped = advance, stopped

    def relative_update(self, inc: int = 1) -> None:
        """Hand on `inc` bytes."""
        if self._stopped is not None and self._stopped.is_set():
            raise InterruptedError(errno.EINTR, "interrupted")
        self._advance(inc)
        super().relative_update(inc)

    def absolute_update(self, value: int) -> None:
        """Hand on how many bytes `value` is beyond what was known."""
        self._advance(value - self.value)
        super().absolute_update(value)


def copy_file(source: Place, target: Place, callback: Callback = DEFAULT_CALLBACK) -> None:
    """Copy one file, replacing what is there.

    From and to the local disk the filesystems' own ``get_file`` and ``put_file`` serve, within one filesystem its
    ``cp_file``; else the bytes stream through this machine.

    Parameters
    ----------
    source, target : Place
        Two files; the target's directory is made where the filesystem wants that.
    callback : Callback
        Told the size and the bytes.

    Raises
    ------
    OSError
        From either side. What was at the target is as before where that filesystem replaces files as a whole.
    """
    if not protocols(target) & FLAT and not target.capabilities.makes_parents:
        make_directory(target.at(target.fs._parent(target.path)))
    if source.is_local and _is_pipe(source.path):
        with open(source.path, "rb") as reader:  # noqa: PTH123 - fsspec's own local files want to know the size
            receive(reader, target, callback)
    elif source.is_local and not target.is_local:
        target.fs.put_file(source.path, target.path, callback=callback)
    elif target.is_local and not source.is_local:
        source.fs.get_file(source.path, target.path, callback=callback)
    elif source.fs == target.fs:
        source.fs.cp_file(source.path, target.path)
        callback.relative_update(int(source.fs.size(source.path) or 0))
    else:
        stream(source, target, callback)


def make_directory(place: Place) -> None:
    """Make a directory and those above it, where they are not there; safe to be called by many threads.

    Raises
    ------
    OSError
        From the filesystem.
    """
    with _making():
        if not place.capabilities.is_thread_safe:
            # what another thread's instance has made, this one may remember as absent
            place.fs.invalidate_cache()
        place.fs.makedirs(place.path, exist_ok=True)


def stream(
    source: Place,
    target: Place,
    callback: Callback = DEFAULT_CALLBACK,
    *,
    hashes: Iterable[Any] = (),
    accept: Callable[[int, str], None] | None = None,
) -> tuple[int, str]:
    """Copy one file through this machine's memory, piece by piece.

    Parameters
    ----------
    source, target : Place
        Two files.
    callback : Callback
        Told the size and the bytes.
    hashes : iterable of hash objects
        Updated with all bytes, too.
    accept : callable, optional
        Called with what is returned, before anything is published; what it raises keeps that from happening.

    Returns
    -------
    tuple of (int, str)
        How many bytes went through, and their SHA-1 in hex.

    Raises
    ------
    OSError
        From either side; also when the source was cut short. Nothing is published then, where the target can help it;
        a local file always appears as a whole.
    """
    digest, count = hashlib.sha1(usedforsecurity=False), 0
    with source.fs.open(source.path, "rb") as reader:
        size = getattr(reader, "size", None)
        if size is not None:
            callback.set_size(size)
        with _writing(target, size) as writer:
            while block := reader.read(BLOCK):
                writer.write(block)
                for one in (digest, *hashes):
                    one.update(block)
                count += len(block)
                callback.relative_update(len(block))
            if size is not None and count != size:
                raise OSError(errno.EIO, f"{count} bytes came instead of {size}", source.url)
            if accept is not None:
                accept(count, digest.hexdigest())
    return count, digest.hexdigest()


def receive(reader: Any, target: Place, callback: Callback = DEFAULT_CALLBACK) -> int:
    """Write what comes from a file-like object of unknown size, such as a pipe, to a file; return how much it was.

    Parameters
    ----------
    reader : file-like
        Gives bytes.
    target : Place
        A file; replaced when all has come.
    callback : Callback
        Told the bytes.

    Raises
    ------
    OSError
        From either side.
    """
    count = 0
    with _whole(target.fs.open(target.path, "wb")) as writer:
        while block := reader.read(BLOCK):
            writer.write(block)
            count += len(block)
            callback.relative_update(len(block))
    return count


def _is_pipe(path: str) -> bool:
    """Return whether a local path is a pipe or a device without a size, as ``/dev/stdin`` or ``<(command)``."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def _writing(target: Place, size: int | None) -> Iterator[Any]:
    """Open a file for writing, so that it appears as a whole where the target can do that."""
    if target.is_local:
        with replacing(target.path) as file, io.BufferedWriter(file, BLOCK) as writer:
            yield writer
    else:
        with _whole(target.fs.open(target.path, "wb", **_size_option(target, size))) as writer:
            yield writer


@contextmanager
def _whole(writer: Any) -> Iterator[Any]:
    """Close a file that is written, or discard it when the block fails.

    fsspec's own buffered files would publish on leaving their block what was written before a failure.
    """
    if not isinstance(writer, AbstractBufferedFile):
        with writer:
            yield writer
        return
    try:
        yield writer
        writer.close()
    except BaseException:
        # without this its finalizer would close, and so publish it
        writer.closed = True
        with suppress(Exception):
            writer.discard()
        raise


def _size_option(target: Place, size: int | None) -> dict[str, Any]:
    """Tell a filesystem that can make use of it how many bytes will come."""
    return {"size": size} if size is not None and target.capabilities.takes_size else {}


def recorded_sha1(place: Place, info: Mapping[str, Any]) -> str | None:
    """Return the SHA-1 in hex that a service keeps of a file's content, or None."""
    known = str(info.get("sha") or "").lower()
    return known if place.capabilities.knows_sha1 and _SHA1.fullmatch(known) else None


def read_sha1(place: Place, callback: Callback = DEFAULT_CALLBACK) -> str:
    """Return the SHA-1 of a file in hex, by reading it; `callback` is told of no bytes, but can end this."""
    digest = hashlib.sha1(usedforsecurity=False)
    with place.fs.open(place.path, "rb") as reader:
        while block := reader.read(BLOCK):
            digest.update(block)
            callback.relative_update(0)
    return digest.hexdigest()
