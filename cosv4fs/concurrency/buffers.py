"""Memory that tasks reuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        try:
            memory = self._idle.pop()
        except IndexError:
            return bytearray(size)
        return memory if len(memory) >= size else bytearray(size)

    def give_back(self, memory: bytearray) -> None:
        """Take borrowed memory back; nothing may use it any more."""
        if len(memory) >= _REUSE_FROM and len(self._idle) < self._most:
            self._idle.append(memory)
