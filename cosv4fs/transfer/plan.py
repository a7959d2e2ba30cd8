"""Which pieces an upload consists of, which are done, and what comes next. No I/O, no threads, no clock.

A *piece* is a slice of the JSON API or a part of a coffer's object. Every state of an upload can be made here and
tested without a server; the code that sends pieces is a loop around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

LEAST_PART = 1024 * 1024
"""Bytes of the smallest part but the last: 1 MB, which may mean either (cdcs.md#upload-part)."""

LARGEST_PART = 5 * 10**9
"""Bytes of the largest part: 5 GB, which may mean either (cdcs.md#upload-part)."""

MOST_PARTS = 10_000
"""Parts of one object (cdcs.md#upload-part)."""

_DOUBLE_AFTER = 500
"""Parts of an object of unknown size before they double: so 10,000 are 20 TB and more, the first of 4 MiB or above."""


@dataclass(frozen=True)
class ByteRange:
    """A range of an object: offset and length in bytes."""

    offset: int
    length: int

    @property
    def stop(self) -> int:
        """The offset of the first byte after it."""
        return self.offset + self.length


def ranges(start: int, stop: int, size: int) -> list[ByteRange]:
    """Return consecutive ranges of at most `size` bytes that cover `start` up to `stop`."""
    return [ByteRange(offset, min(size, stop - offset)) for offset in range(start, stop, size)]


def part_size(size: int, wanted: int) -> int:
    """Return the bytes of the parts of an object of known size: as wanted, or more, so that there are not too many.

    Raises
    ------
    ValueError
        The size exceeds the limit for any number of parts.
    """
    least = -(-size // MOST_PARTS)
    if least > LARGEST_PART:
        raise ValueError(f"{size} bytes are more than {MOST_PARTS} parts of {LARGEST_PART} bytes hold")
    whole = -(-least // LEAST_PART) * LEAST_PART
    return max(LEAST_PART, wanted, min(whole, LARGEST_PART))


@dataclass(frozen=True)
class PartSizes:
    """Where the parts of an object begin and how large they are; parts are counted from 1.

    Parameters
    ----------
    first : int
        Bytes of the first part.
    grow : bool
        Parts become larger as the object does, because its size is unknown.
    """

    first: int
    grow: bool = False

    def size(self, number: int) -> int:
        """Return the bytes of a part."""
        doubled = self.first << ((number - 1) // _DOUBLE_AFTER if self.grow else 0)
        return min(doubled, max(self.first, LARGEST_PART))

    def number(self, offset: int) -> int:
        """Return the number of the part that an offset lies in."""
        if not self.grow:
            return offset // self.first + 1
        number, begin = 1, 0
        while offset >= begin + _DOUBLE_AFTER * self.size(number) and number <= MOST_PARTS:
            begin += _DOUBLE_AFTER * self.size(number)
            number += _DOUBLE_AFTER
        return number + (offset - begin) // self.size(number)


class UploadPlan:
    """The pieces of one upload: pending, in flight, done.

    Parameters
    ----------
    size : int
        Bytes of the whole object.
    piece_size : int
        Bytes per piece; the last may be shorter.
    serial : bool
        Only one piece may be in flight, in order (cos.md#upload_slice_init, ``serial_upload``).
    done : iterable of (int, int)
        Offset and length of ranges that the server already has. Only whole pieces of this plan count.
    start : int
        Bytes at the beginning that the server already has; they are not sent.
    """

    def __init__(
        self, size: int, piece_size: int, serial: bool = False, done: Iterable[tuple[int, int]] = (), start: int = 0
    ) -> None:
        if not 0 <= start <= size or piece_size < 1:
            raise ValueError(f"a size of {size} bytes cannot be cut into pieces of {piece_size} bytes")
        self.size, self.piece_size, self.serial = size, piece_size, serial
        known = set(done)
        every = ranges(start, size, piece_size)
        self._done = {piece.offset for piece in every if (piece.offset, piece.length) in known}
        self._pending = deque(piece for piece in every if piece.offset not in self._done)
        self._in_flight: dict[int, ByteRange] = {}
        self._count = len(every)
        self._start = start

    @property
    def is_complete(self) -> bool:
        """Whether the server has every piece."""
        return len(self._done) == self._count

    @property
    def done_bytes(self) -> int:
        """Bytes of the pieces that are done, and of those before them."""
        return self._start + sum(min(self.piece_size, self.size - offset) for offset in self._done)

    def next(self) -> ByteRange | None:
        """Return the next piece to send and count it as in flight; None when none may start now."""
        if not self._pending or (self.serial and self._in_flight):
            return None
        piece = self._pending.popleft()
        self._in_flight[piece.offset] = piece
        return piece

    def succeeded(self, piece: ByteRange) -> None:
        """Note that the server has the piece."""
        del self._in_flight[piece.offset]
        self._done.add(piece.offset)

    def failed(self, piece: ByteRange) -> None:
        """Note that the piece failed: it is the next one again."""
        del self._in_flight[piece.offset]
        self._pending.appendleft(piece)
