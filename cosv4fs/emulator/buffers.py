"""Memory for the bodies of requests: bounded for a whole server, and reused, as fresh memory costs page faults."""

from __future__ import annotations

import threading

__all__ = ["Buffers"]

_GRAIN = 65536


class Buffers:
    """Lends buffers to the connections of a server.

    Parameters
    ----------
    most : int
        Bytes that are lent at once; further requests wait until buffers are given back.
    kept : int
        Bytes of returned buffers that are kept for the next ones.
    """

    def __init__(self, most: int, kept: int) -> None:
        self._most = most
        self._kept = kept
        self._lent = 0
        self._idle: list[bytearray] = []
        self._changed = threading.Condition()

    def borrow(self, size: int) -> bytearray:
        """Return a buffer of at least `size` bytes with any content; wait for it while too much is lent."""
        size = -(-size // _GRAIN) * _GRAIN
        with self._changed:
            self._changed.wait_for(lambda: not self._lent or self._lent + size <= self._most)
            room = min(2 * size, max(size, self._most - self._lent))
            found = next((buffer for buffer in self._idle if size <= len(buffer) <= room), None)
            if found is not None:
                # by identity: equal contents are no reason
                self._idle = [buffer for buffer in self._idle if buffer is not found]
            buffer = bytearray(size) if found is None else found
            self._lent += len(buffer)
            return buffer

    def give_back(self, buffer: bytearray) -> None:
        """Take back a buffer that is no longer used."""
        with self._changed:
            self._lent -= len(buffer)
            self._idle.append(buffer)
            while sum(map(len, self._idle)) > self._kept:
                self._idle.pop(0)
            self._changed.notify_all()
