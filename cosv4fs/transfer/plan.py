"""How objects are cut: into ranges, and into the parts of a coffer's object."""

from __future__ import annotations

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


def ranges(start: int, stop: int, size: int) -> list[range]:
    """Return consecutive ranges of at most `size` bytes that cover `start` up to `stop`."""
    return [range(offset, min(offset + size, stop)) for offset in range(start, stop, size)]


def gaps(pieces: Iterable[range], stop: int, size: int) -> list[range]:
    """Return ranges of at most `size` bytes that cover what is before `stop` and in none of the ordered pieces."""
    found, offset = [], 0
    for piece in [*pieces, range(stop, stop)]:
        found += ranges(offset, piece.start, size)
        offset = piece.stop
    return found


def part_size(size: int, wanted: int) -> int:
    """Return the bytes of the parts of an object of known size: as wanted, or more, so that there are not too many.

    A size beyond the limit for any number of parts is a `ValueError`.
    """
    least = -(-size // MOST_PARTS)
    if least > LARGEST_PART:
        raise ValueError(f"{size} bytes are more than {MOST_PARTS} parts of {LARGEST_PART} bytes hold")
    whole = -(-least // LEAST_PART) * LEAST_PART
    return max(LEAST_PART, wanted, min(whole, LARGEST_PART))


@dataclass(frozen=True)
class PartSizes:
    """Where the parts of an object begin and how large they are; parts are counted from 1.

    The first has `first` bytes. The others grow as the object does if its size is unknown.
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
