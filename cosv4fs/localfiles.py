"""Local files that appear under their names when they are complete.

Until then they have hidden, random names beside their targets. Nobody can prepare such a name: it is created
exclusively, so that a link in its place is an error, and no other user can read the file. A lock on the file, which
ends with the process, distinguishes one that is being written from one that a killed process left.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: what killed processes leave stays there
    fcntl = None

__all__ = ["is_part", "remove_abandoned", "replacing"]

_LONGEST_BEGINNING = 20
"""Characters of the target's name in that of a part: some filesystems allow 143 bytes in all."""

_PART = re.compile(rf"\..{{1,{_LONGEST_BEGINNING}}}\.[0-9a-f]{{16}}\.cosv4fs-part", re.DOTALL)


def is_part(name: str) -> bool:
    """Return whether a file name is that of an unfinished local file, which is nobody's source."""
    return _PART.fullmatch(name) is not None


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[io.FileIO]:
    """Write a file that replaces `target` when the block ends well, and is removed when it fails.

    Parameters
    ----------
    target : path
        A file, which need not exist. A symbolic link in its place is replaced itself. The new file keeps the
        permissions of the old one.

    Yields
    ------
    io.FileIO
        The file, unbuffered, for reading and writing.

    Raises
    ------
    OSError
        The file cannot be created, written or renamed; `target` is unchanged.
    """
    target = Path(target)
    part, file, mode = _create(target)
    # closing the file tells of late errors of the disk, and this keeps the lock until the file has its name
    held = os.dup(file.fileno()) if fcntl is not None else None
    try:
        with file:
            yield file
        if held is not None:
            os.fchmod(held, mode)
        part.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise
    finally:
        if held is not None:
            os.close(held)


def remove_abandoned(part: str | os.PathLike[str]) -> None:
    """Remove an unfinished file that a killed process left; one that is being written stays."""
    if fcntl is None:
        return
    part = Path(part)
    with suppress(OSError), open(part, "r+b", buffering=0, opener=_without_links) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(file, part):
            part.unlink()


def _create(target: Path) -> tuple[Path, io.FileIO, int]:
    """Create a private file beside `target`; return its path, the open file, and the permissions to publish it with."""
    kept = _mode_of(target)
    opener = partial(os.open, mode=0o666 if kept is None else 0o600)
    while True:
        name = f".{target.name[:_LONGEST_BEGINNING]}.{secrets.token_hex(8)}.cosv4fs-part"
        part = target.with_name(name)
        file = open(part, "x+b", buffering=0, opener=opener)  # noqa: SIM115 - Path.open has no opener
        usual = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if fcntl is None or _is_ours(file, part):
            return part, file, usual if kept is None else kept
        file.close()


def _is_ours(file: io.FileIO, part: Path) -> bool:
    """Lock a new file and make it private; return False if it was removed as abandoned before that."""
    with suppress(OSError):
        # some filesystems know neither permissions nor locks
        os.fchmod(file.fileno(), 0o600)
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    return _is_at(file, part)


def _is_at(file: io.FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _mode_of(target: Path) -> int | None:
    """Return the permissions of the file that will be replaced; None when there is none.

    What a symbolic link points to is not replaced; and new content is never run with its owner's rights.
    """
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    return stat.S_IMODE(status.st_mode) & 0o777 if stat.S_ISREG(status.st_mode) else None
