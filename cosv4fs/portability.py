"""What only some operating systems have, each with a fallback; for files on the local disk.

Names of `os`, `signal` and other modules that are needed once are asked for where they are needed.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BINARY = getattr(os, "O_BINARY", 0)
"""A flag of `os.open`, without which Windows changes the ends of lines."""

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""A flag of `os.open` that refuses symbolic links; Windows, where links need a privilege, has none."""

_FAR = 1 << 40
"""The position of the byte that stands for a file that is locked on Windows: what is locked there cannot be read."""

_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds between attempts to rename a file on Windows."""


def open_private(path: str, flags: int) -> int:
    """Open a file that, if it is created, only this user can read: the ``opener`` for `open`."""
    return os.open(path, flags, 0o600)


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to `target`, and replace what is there.

    On Windows, others that have one of them open prevent that; virus scanners and indexers have every new file open for
    a moment. There, it is tried for a second.

    Raises
    ------
    PermissionError
        The target is read-only, or a program has it open.
    """
    for pause in _PAUSES if os.name == "nt" else ():
        with suppress(PermissionError):
            source.replace(target)
            return
        if target.exists() and not os.access(target, os.W_OK):
            break
        time.sleep(pause)
    source.replace(target)


def try_lock(descriptor: int) -> None:
    """Lock an open file until it is closed or the process ends.

    Raises
    ------
    BlockingIOError
        It is locked already.
    OSError
        ENOTSUP or another: the system or the disk has no such locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        _try_lock_byte(descriptor)


def _try_lock_byte(descriptor: int) -> None:
    try:
        import msvcrt  # noqa: PLC0415 - only on Windows
    except ImportError:
        raise OSError(errno.ENOTSUP, "this system has no locks for files") from None
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except PermissionError as error:
        raise BlockingIOError(errno.EAGAIN, error.strerror) from None
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
