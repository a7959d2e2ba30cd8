"""The spool: what was written of an object whose size is not known yet.

The first bytes, the head, stay in memory. Another thread writes those behind them to a temporary file, and a third one
computes the SHA-1 meanwhile. It reads the file again, which costs little while that is in the system's page cache, so
neither waits for the other.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from cosv4fs.concurrency import Buffers, Pool, Task, TaskGroup, cancellation
from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.errors import make_error
from cosv4fs.options import MIB
from cosv4fs.transfer.hashing import ContentHash
from cosv4fs.transfer.pieces import MemoryPiece
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.temporary import TemporaryFile

_STEP = MIB
"""Bytes that are hashed at once: what was read of them is still in the processor's cache."""


class Spool(Source):
    """Bytes of an object that is being written: the first `memory` of them in memory, the others in a temporary file.

    One thread writes. When that is over, `complete` has to be called before others read.

    Parameters
    ----------
    memory : int
        Bytes in memory at most.
    folder : str, optional
        Where the temporary file is; the system's choice if None.
    path : str
        The object that is being written, for messages.
    pool : Pool
        Runs what happens beside the writer, and lends memory.
    piece_size : int
        Bytes that are written to the file at once.
    """

    hashes_itself = True

    def __init__(self, memory: int, folder: str | None, path: str, pool: Pool, piece_size: int) -> None:
        self.size = 0
        self._path, self._pool, self._piece_size = path, pool, piece_size
        self._head = _Head(memory, pool.buffers, piece_size)
        reason = "this object is kept in {folder} until it is complete"
        advice = ", or give the size with open(..., size=) and write without going back"
        # of all bytes behind the head, except those of the piece that is being filled
        self._file = TemporaryFile(folder, path, reason, advice)
        self._piece: MemoryPiece | None = None
        # of the bytes behind the head: those that were given to the writing task, and those that are in the file
        self._queued = self._written = 0
        self._group = TaskGroup(pool)
        self._writing: Task | None = None
        self._hash = _Hash(self._group)
        self._is_complete = self._failed = False

    def append(self, view: memoryview) -> None:
        """Add bytes at the end.

        Raises
        ------
        OSError
            Earlier bytes could not be written to the file, or these; nothing more is taken then.
        """
        self._raise_if_failed()
        start = 0
        while start < len(view):
            taken = self._head.append(view, start) or self._append_behind(view, start)
            self.size += taken
            start += taken

    def _append_behind(self, view: memoryview, start: int) -> int:
        if self._piece is None:
            self._piece = MemoryPiece(self._piece_size, self._pool.buffers)
        taken = self._piece.take(view, start)
        if self._piece.is_full:
            self._write_behind(self._piece)
            self._hash.advance(self, self._head.limit + self._written)
        return taken

    def _write_behind(self, piece: MemoryPiece) -> None:
        """Have another thread write the piece to the file; one at a time, so that little memory is in use."""
        self._wait_until_written()
        action = partial(self._write_piece, self._queued, piece)
        self._queued, self._piece = self._queued + piece.length, None
        self._writing = self._group.try_start(action, detached=True)
        if self._writing is None:
            # no thread is free: this one may as well write as wait
            action()

    def _write_piece(self, offset: int, piece: MemoryPiece) -> None:
        try:
            for view in piece.views:
                self._file.write(offset, view)
                offset += len(view)
            self._written = offset
        except BaseException:
            self._failed = True
            raise
        finally:
            piece.release()

    def _wait_until_written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.wait()

    def _raise_if_failed(self) -> None:
        if self._failed:
            # the failure itself, unless it was raised before
            self._wait_until_written()
            raise make_error(errno.EIO, "nothing more can be written: an earlier write failed", self._path)

    def replace(self, offset: int, view: memoryview) -> None:
        """Write bytes at any offset; if it is behind the end, zeros fill the gap."""
        self._settle()
        end = offset + len(view)
        behind = self._head.replace(offset, view)
        if len(behind):
            self._file.write(end - len(behind) - self._head.limit, behind)
        self._set_size(max(self.size, end))

    def truncate(self, size: int) -> None:
        """Drop the bytes from an offset on; if it is behind the end, add zeros up to there."""
        if size == self.size:
            return
        self._settle()
        self._head.truncate(size)
        behind = max(0, size - self._head.limit)
        if behind != self._queued:
            self._file.truncate(behind)
        self._set_size(size)

    def _settle(self) -> None:
        """Have everything in the file, and nothing hashed meanwhile, because bytes will change."""
        self._hash.reset()
        self._wait_until_written()
        if self._piece is not None:
            self._write_piece(self._queued, self._piece)
            self._queued, self._piece = self._written, None

    def _set_size(self, size: int) -> None:
        self.size = size
        self._queued = self._written = max(0, size - self._head.limit)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from an offset on."""
        self._wait_until_written()
        data = bytearray(max(0, min(length, self.size - offset)))
        self._fill(memoryview(data), offset)
        return bytes(data)

    def complete(self, *, hashed: bool = True) -> None:
        """End writing. From now on the bytes can be read by all threads; if `hashed`, the SHA-1 is computed meanwhile.

        Raises
        ------
        OSError
            Some bytes could not be written to the file.
        """
        self._wait_until_written()
        self._raise_if_failed()
        self._is_complete = True
        if hashed:
            self._hash.advance(self, self.size)

    def views(self) -> list[memoryview]:
        """Return all bytes, of which none is in the file."""
        return self._head.views(0, self.size)

    @contextmanager
    def lend(self, offset: int, length: int, buffers: Buffers) -> Iterator[memoryview]:
        """Lend the bytes at `offset`: as they are if they are in memory in one view, otherwise in a reused buffer."""
        held = self._head.views(offset, length)
        if len(held) == 1 and len(held[0]) == length:
            yield held[0]
            return
        with buffers.lend(length) as view:
            self._fill(view, offset)
            yield view

    def _fill(self, view: memoryview, offset: int) -> None:
        for part in self._head.views(offset, len(view)):
            view, offset = _fill(view, part), offset + len(part)
        behind = offset - self._head.limit
        count = max(0, min(len(view), self._queued - behind))
        if count:
            self._file.read(behind, view[:count])
            view, behind = view[count:], behind + count
        if len(view) and self._piece is not None:
            for part in cut(self._piece.views, behind - self._queued, len(view)):
                view = _fill(view, part)

    def hash_into(self, content: ContentHash, offset: int, length: int) -> None:
        """Hash bytes; those in memory are not copied."""
        held = self._head.views(offset, length)
        if sum(map(len, held)) == length:
            content.add(offset, held)
        else:
            with self.lend(offset, length, self._pool.buffers) as view:
                content.add(offset, view)

    def sha1(self) -> str:
        """Return the SHA-1 of all bytes so far, in hex; most was computed while they came."""
        self._wait_until_written()
        return self._hash.hexdigest(self)

    def close(self) -> None:
        """Drop the bytes and remove the temporary file."""
        is_whole, self._failed = self._is_complete and not self._failed, True
        self._group.stop(cancel_running=True)
        self._head.release()
        if self._piece is not None:
            self._piece.release()
            self._piece = None
        if is_whole:
            # the system takes 60 ms per GB to free the memory of a file
            start_background()
            run_in_background(self._file.close)
        else:
            # whoever was told that the disk is full may try again at once
            self._file.close()


class _Head:
    """The first bytes of a spool, at most `limit`: as they were written, or one array once some of them change."""

    def __init__(self, limit: int, buffers: Buffers, step: int) -> None:
        self.limit = limit
        self._piece = MemoryPiece(limit, buffers, min(limit, step))
        self._array: bytearray | None = None

    def append(self, view: memoryview, start: int) -> int:
        """Take as many bytes as there is room for, of a view from `start` on; return their number."""
        if self._array is None:
            return self._piece.take(view, start)
        taken = view[start : start + self.limit - len(self._array)]
        self._array += taken
        return len(taken)

    def replace(self, offset: int, view: memoryview) -> memoryview:
        """Write bytes at any offset; return those that belong behind the head."""
        array, inside = self._changeable(), view[: max(0, self.limit - offset)]
        array.extend(bytes(max(0, min(offset, self.limit) - len(array))))
        array[offset : offset + len(inside)] = inside
        return view[len(inside) :]

    def truncate(self, size: int) -> None:
        """Drop the bytes from an offset on, or add zeros."""
        array = self._changeable()
        del array[size:]
        array.extend(bytes(max(0, min(size, self.limit) - len(array))))

    def views(self, offset: int, length: int) -> list[memoryview]:
        """Return those of the bytes from `offset` on that are in the head."""
        return cut(self._piece.views if self._array is None else [memoryview(self._array)], offset, length)

    def release(self) -> None:
        """Drop the bytes."""
        self._piece.release()
        self._array = None

    def _changeable(self) -> bytearray:
        if self._array is None:
            self._array = bytearray()
            for view in self._piece.drain():
                self._array += view
        return self._array


class _Hash:
    """The SHA-1 of a spool, computed by another thread as far as its bytes can be read."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._content = ContentHash()
        # the thread hashes the bytes before this offset
        self._wanted = 0
        self._task: Task | None = None

    def advance(self, spool: Spool, end: int) -> None:
        """Have the bytes before `end` hashed by another thread, if one is free; otherwise later."""
        self._wanted = end
        if self._task is None or self._task.is_done:
            self._wait()
            self._task = self._group.try_start(partial(self._work, spool), detached=True)

    def hexdigest(self, spool: Spool) -> str:
        """Return the SHA-1 of all bytes; wait until they are hashed."""
        self._wanted = spool.size
        self._wait()
        self._work(spool)
        return self._content.hexdigest(spool.size)

    def reset(self) -> None:
        """Drop what was hashed, because bytes will change."""
        self._wanted = 0
        self._wait()
        self._content = ContentHash()

    def _wait(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.wait()

    def _work(self, spool: Spool) -> None:
        while (offset := self._content.hashed) < self._wanted:
            cancellation.check()
            spool.hash_into(self._content, offset, min(_STEP, self._wanted - offset))


def cut(views: list[memoryview], offset: int, length: int) -> list[memoryview]:
    """Return `length` bytes, or those that exist, from an offset on in views that belong one after another."""
    found = []
    for view in views:
        if offset + length <= 0:
            break
        if offset < len(view):
            found.append(view[max(0, offset) : offset + length])
        offset -= len(view)
    return found


def _fill(target: memoryview, part: memoryview) -> memoryview:
    """Copy bytes to the beginning of a view; return the rest of it."""
    target[: len(part)] = part
    return target[len(part) :]
