"""Writing an object incrementally, for ``open(path, "wb")``.

The JSON API needs the size before the first slice. If the caller passes it, slices are sent while it is still writing.
If not, the content is spooled and sent at the end, unless the bucket accepts another size at the end (option
``streaming``). Coffers need no size: parts are always sent while the caller is writing, and grow with the object. A
*piece* is a slice or a part.
"""

from __future__ import annotations

import errno
import io
import logging
import operator
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import SupportsIndex

from cosv4fs.concurrency import Task, TaskGroup, cancellation
from cosv4fs.errors import CosError, make_error
from cosv4fs.options import MIB
from cosv4fs.transfer.hashing import ContentHash
from cosv4fs.transfer.pieces import FilePiece, MemoryPiece
from cosv4fs.transfer.position import seek_target
from cosv4fs.transfer.spool import Spool
from cosv4fs.transfer.target import Target, name_target, naming
from cosv4fs.transfer.temporary import check_folder
from cosv4fs.transfer.upload import Upload, Uploader

_log = logging.getLogger("cosv4fs")

_ON_DISK = 1024 * MIB
"""Bytes of file-backed pieces in flight; two pieces are always allowed."""

_IN_FLIGHT = 0.2
"""Seconds that sending a piece is assumed to take: 3 MiB on a far link, where open connections matter."""

_WRONG_SIZE = frozenset({-175, -283, -284, -285, -5991, -5995, -6996})
"""Codes with which a service may refuse an upload that declares another size than it has in the end."""


class ObjectWriter:
    """Uploads one object from the bytes that are written to it; the object is published completely or not at all.

    As long as nothing was sent, everything is in the spool, and can be read and replaced. `seek`, `truncate` and `read`
    keep it there until the end, so that they can be called again.

    Parameters
    ----------
    uploader : Uploader
        Uploads; its client has the configuration.
    target : Target
        The object.
    size : int, optional
        Bytes that will come, exactly. With it pieces are sent while the caller is writing.
    block_size : int, optional
        Bytes per piece that the caller would like.
    guard : callable, optional
        Returns a context in which the spool is uploaded, or a deferred object is published; it raises to prevent that.

    Raises
    ------
    OSError
        Temporary files cannot be created in the folder of the option `spool_dir`.
    """

    def __init__(
        self,
        uploader: Uploader,
        target: Target,
        size: int | None = None,
        block_size: int | None = None,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        config = uploader.client.config
        check_folder(config.spool_dir)
        self._uploader, self._target, self._announced = uploader, target, size
        self._piece_size = config.slice_size if block_size is None else config.protocol.piece_size(block_size)
        # an object that fits into one request is never streamed, one of unknown size not before it fills the memory
        self._may_stream = size is None or size > config.single_upload_limit
        needed = config.spool_memory if uploader.kind.needs_size else 0
        self._room = max(needed, config.single_upload_limit) if size is None else 0
        self._guard = guard
        self._position = self._size = 0
        self._failed = False
        # what fits into one request always stays in memory
        memory = max(config.spool_memory, config.single_upload_limit)
        self._spool = Spool(memory, config.spool_dir, target.path, uploader.pool, config.slice_size)
        self._stream: _Stream | None = None
        self._upload: Upload | None = None

    @property
    def size(self) -> int:
        """Bytes of the object so far."""
        return self._size

    @property
    def position(self) -> int:
        """Offset of the next byte that is written."""
        return self._position

    @property
    def is_seekable(self) -> bool:
        """Whether everything is still in the spool."""
        return self._stream is None

    def write(self, view: memoryview) -> None:
        """Take bytes. May block while as many pieces are in flight as the window allows.

        Raises
        ------
        OSError
            A piece failed, the temporary file cannot be written, or more bytes come than were announced. Nothing will
            be published.
        """
        self._raise_if_failed()
        if not len(view):
            return
        end = self._position + len(view)
        if self._announced is not None and end > self._announced:
            self._failed = True
            raise self._wrong_size(f"more than the announced {self._announced} bytes were written")
        with self._uploading():
            if self._position == self._size:
                self._append(view)
            else:
                self._spool.replace(self._position, view)
            self._position, self._size = end, max(self._size, end)

    def _append(self, view: memoryview) -> None:
        if self._may_stream and self._size + len(view) > self._room:
            self._outgrow()
        if self._stream is None:
            self._spool.append(view)
        else:
            self._stream.append(view)

    def _outgrow(self) -> None:
        """Stream from now on, if the service supports it."""
        self._may_stream = False
        upload = self._uploader.stream(self._target, self._announced, self._piece_size)
        if upload is not None:
            self._stream = _Stream(self._uploader, upload, self._target, self._piece_size, self._announced)
            try:
                for view in self._spool.views():
                    self._stream.append(view)
            finally:
                self._spool.close()

    @contextmanager
    def _uploading(self) -> Iterator[None]:
        """Publish nothing if the block fails, and name the target in errors."""
        try:
            yield
        except BaseException as error:
            self._failed = True
            name_target(error, self._target)
            raise

    def seek(self, offset: SupportsIndex, whence: SupportsIndex = 0) -> int:
        """Set and return the position; see `io.IOBase.seek`.

        Raises
        ------
        io.UnsupportedOperation
            ESPIPE: some bytes were sent already. Even the current position is refused then: libraries ask for it to
            learn whether they can go back.
        """
        self._keep_in_spool("seek")
        self._position = seek_target(offset, whence, self._position, self._size, self._target.path)
        return self._position

    def truncate(self, size: SupportsIndex | None = None) -> int:
        """Set the size, to the position by default, and return it; the position stays. Raises like `seek`."""
        self._keep_in_spool("truncate")
        wanted = self._position if size is None else operator.index(size)
        if wanted < 0:
            raise make_error(errno.EINVAL, f"a size cannot be negative: {wanted}", self._target.path)
        with self._uploading():
            self._spool.truncate(wanted)
            self._size = wanted
        return wanted

    def read(self, length: int) -> bytes:
        """Return up to `length` bytes from the position on, or all if negative. Raises like `seek`."""
        self._keep_in_spool("read")
        start, most = self._position, self._size if length < 0 else length
        with self._uploading():
            data = self._spool.read(start, most)
        self._position += len(data)
        return data

    def _keep_in_spool(self, what: str) -> None:
        self._raise_if_failed()
        if self._stream is not None:
            text = (
                f"{what} is not possible any more, because the first bytes were sent: call seek(0) right after opening "
                "to keep the file locally until it is closed, or write a local file and upload it with put_file"
            )
            raise io.UnsupportedOperation(errno.ESPIPE, text, self._target.path)
        self._may_stream = False

    def finish(self) -> None:
        """Complete the object; visible at once unless its target is deferred.

        Raises
        ------
        OSError
            The upload failed, or fewer bytes came than were announced. Nothing is published.
        """
        self._raise_if_failed()
        if self._announced is not None and self._size != self._announced:
            self._failed = True
            raise self._wrong_size(f"only {self._size} of the announced {self._announced} bytes were written")
        with self._uploading():
            self._finish()

    def _finish(self) -> None:
        if self._stream is not None:
            self._stream.finish()
            return
        try:
            # the SHA-1 of what fits into one request is computed for that
            self._spool.complete(hashed=self._size > self._uploader.client.config.single_upload_limit)
            with self._guard():
                self._upload = self._uploader.upload(self._target, self._spool, piece_size=self._piece_size)
        finally:
            self._spool.close()

    def publish(self) -> None:
        """Make a deferred object visible."""
        self._raise_if_failed()
        with naming(self._target):
            made = self._upload if self._stream is None else self._stream.upload
            if made is not None:
                with self._guard():
                    made.publish()

    def abort(self) -> None:
        """Drop everything; the old object, if any, stays.

        An upload that cannot be removed now stays invisible. That is logged, not raised, because the caller needs the
        error that led to the abort.
        """
        self._failed = True
        try:
            cancellation.clean_up(self._abort)
        except OSError as error:
            _log.warning("an unfinished upload of %r could not be removed: %s", self._target.path, error)

    def _abort(self) -> None:
        self._spool.close()
        if self._stream is not None:
            self._stream.abort()
        elif self._upload is not None:
            self._upload.abort()

    def _raise_if_failed(self) -> None:
        if self._failed:
            raise make_error(errno.EIO, "an earlier write failed: nothing will be published", self._target.path)

    def _wrong_size(self, text: str) -> OSError:
        return make_error(errno.EINVAL, f"{text}: nothing will be published", self._target.path)


class _Stream:
    """Sends each piece as soon as it is full: the size is known, or may be given at the end, or is not needed."""

    def __init__(self, uploader: Uploader, upload: Upload, target: Target, piece_size: int, size: int | None) -> None:
        self._pool, self._config, self._path = uploader.pool, uploader.client.config, target.path
        self.upload = upload
        self._is_open = False
        self._is_unsized = size is None
        self._began, self._expected = time.monotonic(), -(-(size or 0) // piece_size)
        # an upload that was opened without its true size is verified
        is_verified = self._is_unsized and uploader.kind.needs_size
        self._hash = ContentHash() if is_verified else None
        self._piece_size = piece_size
        self._in_memory = self._pool.most * piece_size
        self._piece = self._new_piece(piece_size)
        self._offset = 0
        self._group = TaskGroup(self._pool)
        self._in_flight: deque[Task] = deque()

    def append(self, view: memoryview) -> None:
        with self._undeclared():
            self._append(view)

    def _append(self, view: memoryview) -> None:
        start = 0
        while start < len(view):
            start += self._piece.take(view, start)
            if self._piece.is_full:
                self._flush()

    def finish(self) -> None:
        with self._undeclared():
            if self._piece.length:
                self._flush(last=True)
            self._group.wait()
            self._piece.release()
            sha = None if self._hash is None else self._hash.hexdigest(self._offset)
            self.upload.finish(self._offset if self._is_unsized else None, sha)

    @contextmanager
    def _undeclared(self) -> Iterator[None]:
        """Explain the refusal of a stream of unknown size, and say what to do."""
        try:
            yield
        except CosError as error:
            if self._hash is None or error.code not in _WRONG_SIZE:
                raise
            text = "the service needs the size of an object first: pass size= to open, or set streaming='auto'"
            raise make_error(errno.ENOTSUP, f"{text} ({error.strerror})", self._path, error) from error

    def abort(self) -> None:
        if self._hash is not None:
            self._hash.stop()
        self._group.stop(cancel_running=True)
        # their errors refer to this object
        self._in_flight.clear()
        self._piece.release()
        self.upload.abort()

    def _flush(self, last: bool = False) -> None:
        """Send the piece, full or with the last bytes; open the upload before the first."""
        if not self._is_open:
            self._open()
            # the server wants another size: the piece may not be full any more, or may be empty
            if not self._piece.length or not (self._piece.is_full or last):
                return
        piece = self._piece
        position = range(self._offset, self._offset + piece.length)
        self._offset += piece.length
        if last:
            self._piece = MemoryPiece(self._piece_size, self._pool.buffers)
        else:
            self._begin_piece()
        self._wait_for_space()
        task = self._group.start(partial(self._send, position, piece))
        self._in_flight.append(task)
        if self.upload.is_serial:
            task.wait()

    def _open(self) -> None:
        """Open the upload and cut the held bytes into pieces of the size that the server decided."""
        # a slow caller has few pieces in flight, however many follow
        taken = max(time.monotonic() - self._began, 1e-3)
        self.upload.open_for(min(self._expected, 1 + int(_IN_FLIGHT / taken)))
        self._is_open = True
        self._in_memory = self._pool.most * max(self._piece_size, self.upload.piece_size(0))
        if self.upload.piece_size(0) != self._piece_size:
            held = self._piece
            self._begin_piece()
            for view in list(held.views):
                self._append(view)
            held.release()

    def _begin_piece(self) -> None:
        """Begin a new piece: in memory, or in a temporary file if it will be large."""
        size = self._piece_size = self.upload.piece_size(self._offset)
        self._piece = self._new_piece(size)

    def _new_piece(self, size: int) -> MemoryPiece | FilePiece:
        if self._is_in_memory(size):
            return MemoryPiece(size, self._pool.buffers)
        return FilePiece(size, self._config.spool_dir, self._path)

    def _is_in_memory(self, size: int) -> bool:
        return size <= max(self._config.spool_memory, self._config.slice_size)

    def _wait_for_space(self) -> None:
        """Limit the large pieces in flight to what memory, or the disk, may hold."""
        room = self._in_memory if self._is_in_memory(self._piece_size) else _ON_DISK
        most = max(2, room // self._piece_size)
        while len(self._in_flight) >= most:
            self._in_flight.popleft().wait()

    def _send(self, position: range, piece: MemoryPiece | FilePiece) -> None:
        try:
            if self._hash is not None:
                # beside the others, which send meanwhile
                self._hash.add(position.start, piece.views)
            self.upload.send(position, piece.views)
            if self._hash is not None:
                self._hash.wait_for(position.stop)
        finally:
            piece.release()
