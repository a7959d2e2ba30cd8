"""Positions in files, as `io` defines them."""

from __future__ import annotations

import errno
import operator
from typing import SupportsIndex

from cosv4fs.errors import CosPositionError


def seek_target(offset: SupportsIndex, whence: SupportsIndex, position: int, size: int, path: str) -> int:
    """Return the position that `seek` sets, in bytes; it may lie behind the end.

    Parameters
    ----------
    offset, whence
        See `io.IOBase.seek`; integers of any kind.
    position, size : int
        The current position and the size of the file.
    path : str
        For messages.

    Raises
    ------
    ValueError
        `whence` is none of 0, 1 and 2.
    OSError
        `CosPositionError`, EINVAL: the position is before the start of the file.
    """
    origin = {0: 0, 1: position, 2: size}.get(operator.index(whence))
    if origin is None:
        raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
    target = origin + operator.index(offset)
    if target < 0:
        raise CosPositionError(errno.EINVAL, f"a position cannot be negative: {target}", path)
    return target
