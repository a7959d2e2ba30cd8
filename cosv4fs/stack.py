"""A stack of any size: all but the last items are in a temporary file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from cosv4fs.forking import shared_lock

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")

_PART = 4096
"""Items that are written to the file, and read from it, at once."""


def _unchanged(item: Any) -> Any:
    return item


class Stack(Generic[_T]):
    """Items of which the last one in is the first one out; thread-safe. The file is removed with the block.

    Parameters
    ----------
    items : iterable
        The first ones.
    pack, unpack : callable
        Convert an item to a JSON value, and back; strings and numbers need none.
    """

    def __init__(
        self,
        items: Iterable[_T] = (),
        *,
        pack: Callable[[_T], Any] = _unchanged,
        unpack: Callable[[Any], _T] = _unchanged,
    ) -> None:
        self._lock = shared_lock()
        self._pack, self._unpack = pack, unpack
        self._items = list(items)
        self._file: IO[bytes] | None = None
        # where each part of the file begins
        self._parts: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __bool__(self) -> bool:
        return bool(self._items or self._parts)

    def push(self, items: Iterable[_T]) -> None:
        """Add items."""
        with self._lock:
            self._items += items
            while len(self._items) > 2 * _PART:
                self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the block
                self._parts.append(self._file.seek(0, 2))
                self._file.write(json.dumps([self._pack(item) for item in self._items[:_PART]]).encode())
                del self._items[:_PART]

    def pop(self, count: int = 1) -> list[_T]:
        """Remove and return the items that were added last, at most `count`, in the order in which they were added."""
        with self._lock:
            if not self._items and self._parts and self._file is not None:
                start = self._parts.pop()
                self._file.seek(start)
                self._items = [self._unpack(value) for value in json.loads(self._file.read())]
                self._file.truncate(start)
            taken = self._items[-count:]
            del self._items[-count:]
            return taken
