"""Replace local files atomically, and find the user's folder for state.

New content is written to a hidden part file beside the target and renamed when complete. Part files have random names,
are created exclusively, so that nobody can place a link there, and are private to the user. A lock, which ends with the
process, distinguishes part files in use from abandoned ones.
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
except ImportError:  # Windows: abandoned part files are not removed
    fcntl = None

_MAX_PREFIX = 20
"""Characters of the target's name in the name of a part file: some filesystems limit names to 143 bytes."""

_PART = re.compile(rf"\..{{1,{_MAX_PREFIX}}}\.[0-9a-f]{{16}}\.cosv4fs-part", re.DOTALL)


def state_folder() -> Path:
    """Return the user's folder for state: ``$XDG_STATE_HOME/cosv4fs``, or ``~/.local/state/cosv4fs``."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "cosv4fs"
    except RuntimeError:
        # a user without a home: nothing can be created here, so uploads are not resumed and migrations fail
        return Path(os.devnull) / "cosv4fs"


def is_part(name: str) -> bool:
    """Return whether a file name is that of a part file, which is never copied as a source."""
    return _PART.fullmatch(name) is not None


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[io.FileIO]:
    """Yield a file that replaces `target` when the block succeeds, and is removed when it fails.

    The new file keeps the permissions of the old one. A symbolic link is replaced itself, not the file it points to.
    """
    target = Path(target)
    part, file, mode = _create(target)
    # closing reports late disk errors; the duplicate keeps the lock until the file is renamed
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
    """Remove the part file of a killed process; one in use stays."""
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
        name = f".{target.name[:_MAX_PREFIX]}.{secrets.token_hex(8)}.cosv4fs-part"
        part = target.with_name(name)
        file = open(part, "x+b", buffering=0, opener=opener)  # noqa: SIM115 - Path.open has no opener
        usual = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if fcntl is None or _is_ours(file, part):
            return part, file, usual if kept is None else kept
        file.close()


def _is_ours(file: io.FileIO, part: Path) -> bool:
    """Lock a new file and make it private; return False if it was removed as abandoned before that."""
    with suppress(OSError):
        # some filesystems support neither permissions nor locks
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
    """Return the permissions of the file to replace, without setuid bits; None if it is missing or a symbolic link."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    return stat.S_IMODE(status.st_mode) & 0o777 if stat.S_ISREG(status.st_mode) else None
