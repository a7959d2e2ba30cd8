"""Contents that need no memory: three numbers say what an object holds."""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

__all__ = ["LARGEST", "Contents", "Piece", "large_size", "some_size"]

MIB = 1024 * 1024
LARGEST = 7 * MIB
"""Bytes of the largest object."""

_STAMP = 20


class Piece(NamedTuple):
    """What an object holds.

    Parameters
    ----------
    number : int
        Unique in a run: it makes the beginning of the content.
    offset, size : int
        Where in the common random bytes the rest comes from; bytes of the whole.
    """

    number: int
    offset: int
    size: int


class Contents:
    """Makes the bytes of every piece of a run.

    Parameters
    ----------
    seed : int
        The same seed gives the same bytes, in any process.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool = random.Random(seed).randbytes(LARGEST + MIB)

    def bytes_of(self, piece: Piece) -> bytes:
        """Return the content: a stamp that no other piece has, and random bytes."""
        stamp = hashlib.sha1(f"{self._seed} {piece.number}".encode()).digest()[: piece.size]
        return stamp + self._pool[piece.offset : piece.offset + piece.size - len(stamp)]

    def piece(self, number: int, chance: random.Random, size: int) -> Piece:
        """Return a new piece of so many bytes."""
        return Piece(number, chance.randrange(MIB), size)


def some_size(chance: random.Random) -> int:
    """Return the size of an object in bytes: mostly small, sometimes of several slices, sometimes at a limit."""
    kind = chance.random()
    if kind < 0.05:
        return chance.choice((0, 1, _STAMP, MIB // 2 - 1, MIB // 2, MIB // 2 + 1, MIB, 3 * MIB, 4 * MIB + 1))
    if kind < 0.55:
        return chance.randint(2, 8 * 1024)
    if kind < 0.85:
        return chance.randint(8 * 1024, 256 * 1024)
    if kind < 0.96:
        return chance.randint(256 * 1024, 2 * MIB)
    return chance.randint(2 * MIB, LARGEST)


def large_size(chance: random.Random) -> int:
    """Return a size in bytes that is sliced under every configuration of a run."""
    return chance.randint(4 * MIB + 1, LARGEST)
