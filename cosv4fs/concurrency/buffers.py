"""Memory that tasks reuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

_REUSE_FROM = 256 * 1024
"""Bytes from which memory is reused: fresh memory costs a page fault per 4 KiB."""


class Buffers:
    """Memory that tasks reuse; thread-safe. Up to `most` idle buffers are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[bytearray] = []

    @contextmanager
    def lend(self, size: int) -> Iterator[memoryview]:
        """Lend `size` bytes during a block."""
        memory = self.borrow(size)
        try:
            yield memoryview(memory)[:size]
        finally:
            self.give_back(memory)

    def borrow(self, size: int) -> bytearray:
        """Return memory of at least `size` bytes."""
        if size < _REUSE_FROM:
            return bytearray(size)
        with suppress(IndexError):
            for _ in range(len(self._idle)):
                memory = self._idle.pop()
                if len(memory) >= size:
                    return memory
                # for those who need less
                self._idle.insert(0, memory)
        return bytearray(size)

    def give_back(self, memory: bytearray) -> None:
        """Take borrowed memory back; nothing may use it any more."""
        if len(memory) >= _REUSE_FROM:
            self._idle.append(memory)
            with suppress(IndexError):
                while len(self._idle) > self._most:
                    # the one that was not large enough, or not used, for the longest time
                    self._idle.pop(0)
