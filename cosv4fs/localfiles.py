"""Write local files as `open` would, but atomically, and find the user's folder for state.

Symbolic links that the caller has named are followed, and pipes and open files are written into; every other file is
replaced. Its new content is written to a file without a name, which vanishes if the process is killed. When it is
complete, it gets the name of the target; if that is taken, the name of a hidden part file beside it, and is renamed at
once. Where the disk has no unnamed files, the part file has its name from the beginning.

Part files have random names, are created exclusively, so that nobody can place a link there, and are private to the
user. A lock, which ends with the process, distinguishes part files in use from abandoned ones. Windows needs none: it
removes no file that is open.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from cosv4fs.portability import NO_LINKS, fcntl, replace_file, try_lock

_MAX_PREFIX = 20
"""Characters of the target's name in the name of a part file: some filesystems limit names to 143 bytes."""

_MAX_LINKS = 40
"""Symbolic links that are followed one after another, as in Linux."""

_DESCRIPTOR = re.compile(r"(?:/proc/(?P<pid>\d+)(?:/task/\d+)?/fd|/dev/fd)/(?P<number>\d+)")
"""Files that a process has open, on Linux and elsewhere."""

_PART = re.compile(rf"\..{{1,{_MAX_PREFIX}}}\.[0-9a-f]{{16}}\.cosv4fs-part", re.DOTALL)


def state_folder() -> Path:
    """Return the user's folder for state: ``cosv4fs`` in ``$XDG_STATE_HOME``, ``%LOCALAPPDATA%`` or ``~/.local/state``.

    The first that is set; only Windows sets the second.
    """
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "cosv4fs"
    except RuntimeError:
        # a user without a home: nothing can be created here, so uploads are not resumed and migrations fail
        return Path(os.devnull) / "cosv4fs"


def is_part(name: str) -> bool:
    """Return whether a file name is that of a part file, which is never copied as a source."""
    return _PART.fullmatch(name) is not None


def is_copied(path: str | os.PathLike[str]) -> bool:
    """Return whether a path in a directory is copied with it; links to directories, pipes and devices are not.

    True for what does not exist, such as the target of a link: to copy it raises the error.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and not Path(path).is_symlink())


def open_stream(target: str | os.PathLike[str]) -> io.FileIO | None:
    """Open a target that is written into from its start to its end: a pipe, a device, or a file that is open already.

    Returns None for a target that `replacing` replaces. The file behind ``/dev/stdout`` or ``/dev/fd/3`` is open: it is
    written to at its current position, after what others have written to it.

    Raises
    ------
    OSError
        EBADF: there is no open file of this number, or it is not open for writing.
    """
    path = target if isinstance(target, Path) else Path(target)
    if _is_plain(path) and not _is_among_descriptors(path):
        return None
    found = _descriptor_behind(path)
    if found is not None and found["pid"] in (None, str(os.getpid())):
        return _duplicate(int(found["number"]), path)
    try:
        mode = path.stat().st_mode
    except OSError:
        # missing, or a circle of links: `replacing` creates it, or raises
        return None
    if found is None and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return None
    return path.open("wb", buffering=0)


@contextmanager
def naming_file(name: str) -> Iterator[None]:
    """Have an error that names no file, as one of a write to an open file, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = name
        raise


def _is_plain(path: Path) -> bool:
    """Return whether a path is missing, a regular file or a directory: neither a link, nor a pipe or device."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_among_descriptors(path: Path) -> bool:
    """Return whether a path may be in a folder of open files, by the number of its device."""
    try:
        return path.parent.stat().st_dev in _descriptor_devices()
    except OSError:
        return False


@cache
def _descriptor_devices() -> frozenset[int]:
    found = set()
    for folder in ("/dev/fd", "/proc/self/fd"):
        with suppress(OSError):
            found.add(Path(folder).stat().st_dev)
    return frozenset(found)


def _descriptor_behind(path: Path) -> re.Match[str] | None:
    """Return the match of `_DESCRIPTOR` to which a path leads through links."""
    for _ in range(_MAX_LINKS):
        # the last component stays: where it leads to is no longer the name of a descriptor
        path = Path(os.path.realpath(path.parent)) / path.name
        found = _DESCRIPTOR.fullmatch(str(path))
        if found is not None:
            return found
        try:
            path = path.parent / path.readlink()
        except OSError:
            break
    return None


def _duplicate(number: int, path: Path) -> io.FileIO:
    try:
        is_writable = fcntl is None or fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        is_writable = False
    if not is_writable:
        raise OSError(errno.EBADF, "it is not open for writing", str(path))
    return io.FileIO(_dup(number, str(path)), "wb")


def _dup(number: int, name: str) -> int:
    with naming_file(name):
        return os.dup(number)


@contextmanager
def replacing(target: str | os.PathLike[str], *, follow: bool = True) -> Iterator[io.FileIO]:
    """Yield a file that replaces `target` when the block succeeds, and is removed when it fails.

    The new file keeps the permissions of the old one, and its owner and group where that is allowed. Other hard links
    to the old file keep the old content.

    Parameters
    ----------
    follow : bool
        Replace the file that a symbolic link points to, which need not exist; otherwise the link itself.

    Raises
    ------
    IsADirectoryError
        The target is a directory.
    OSError
        ELOOP: the link leads to itself.
    """
    path, old = _file_to_replace(target, follow=follow)
    part = _create(path, old, os.fspath(target))
    held: int | None = None
    try:
        with part.file:
            if fcntl is not None:
                # closing reports late disk errors; the duplicate keeps the lock until the file is renamed
                held = _dup(part.file.fileno(), os.fspath(target))
            yield part.file
        _put_in_place(part, held, path)
    except BaseException as error:
        if held is None or _is_at(held, part.path):
            with suppress(OSError):
                # the error of the block matters more
                part.path.unlink()
        _rename_in(error, (part.path, path), os.fspath(target))
        raise
    finally:
        if held is not None:
            os.close(held)


def _file_to_replace(target: str | os.PathLike[str], *, follow: bool) -> tuple[Path, os.stat_result | None]:
    """Return the path to replace, and the status of the regular file that is there."""
    # parsing a path costs more than asking the system about it
    path = (target if isinstance(target, Path) else Path(target)).absolute()
    status = _status_of(path)
    if follow and status is not None and stat.S_ISLNK(status.st_mode):
        path = Path(os.path.realpath(path))
        status = _status_of(path)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(target))
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a local directory: name a file in it", os.fspath(target))
    return path, status if status is not None and stat.S_ISREG(status.st_mode) else None


def _put_in_place(part: _Part, held: int | None, path: Path) -> None:
    if held is not None and not part.is_named:
        if part.status is None:
            with suppress(FileExistsError):
                # others may have created the target meanwhile
                _link(held, path)
                return
        _lock(held)
        _give_permissions(part.status or os.fstat(held), held)
        _link(held, part.path)
    elif held is not None and part.status is not None:
        _give_permissions(part.status, held)
    replace_file(part.path, path)


def remove_abandoned(part: str | os.PathLike[str]) -> None:
    """Remove the part file of a killed process; one in use stays."""
    part = Path(part)
    if fcntl is None:
        with suppress(OSError):
            # Windows does not remove files that are open
            part.unlink()
        return
    with suppress(OSError), open(part, "r+b", buffering=0, opener=_without_links) as file:
        try_lock(file.fileno())
        if _is_at(file.fileno(), part):
            part.unlink()


@contextmanager
def witness(folder: Path) -> Iterator[Path]:
    """Create an empty part file during a block: a process that sees it, also on another machine, has this folder."""
    while True:
        path = _part_path(folder / "witness")
        file = io.FileIO(path, "x+b")
        if fcntl is None or _is_ours(_Part(path, file, os.fstat(file.fileno()), is_named=True)):
            break
        file.close()
    try:
        yield path
    finally:
        file.close()
        with suppress(OSError):
            # on Windows, a virus scanner may have it open; it is abandoned then
            path.unlink()


@dataclass(frozen=True)
class _Part:
    """The new content of a file: its name, the open file, and the status of the file whose permissions it will get.

    A file without a name has its permissions from the beginning if there is no such status: nobody can open it.
    """

    path: Path
    file: io.FileIO
    status: os.stat_result | None
    is_named: bool


def _part_path(target: Path) -> Path:
    return target.with_name(f".{target.name[:_MAX_PREFIX]}.{secrets.token_hex(8)}.cosv4fs-part")


def _create(target: Path, old: os.stat_result | None, name: str) -> _Part:
    """Create a private file on the disk of `target`, to replace the file of status `old`; errors name `name`."""
    mode = 0o666 if old is None else 0o600
    while True:
        path = _part_path(target)
        unnamed = _open_unnamed(path, mode)
        if unnamed is not None:
            return _Part(path, unnamed, old, is_named=False)
        try:
            file = io.FileIO(path, "x+b", opener=partial(os.open, mode=mode))
        except OSError as error:
            # nobody knows the name of the part file
            raise OSError(error.errno, error.strerror, name) from error
        part = _Part(path, file, old or os.fstat(file.fileno()), is_named=True)
        if fcntl is None or _is_ours(part):
            return part
        file.close()


_unnamed_by_device: dict[int, bool] = {}
"""Whether a disk has unnamed files, by the number of its device; all processes would find the same."""


def _open_unnamed(part: Path, mode: int) -> io.FileIO | None:
    """Open a file without a name in the folder of a part file; return None where the disk has no such files."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    with suppress(OSError):
        device = part.parent.stat().st_dev
        if device not in _unnamed_by_device:
            _unnamed_by_device[device] = _can_be_named(part)
        if _unnamed_by_device[device]:
            return _unnamed_file(part.parent, mode)
    return None


def _can_be_named(part: Path) -> bool:
    """Return whether an unnamed file can be created beside a part file, and get its name."""
    with suppress(OSError), _unnamed_file(part.parent, 0o600) as file:
        _link(file.fileno(), part)
        part.unlink()
        return True
    return False


def _unnamed_file(folder: Path, mode: int) -> io.FileIO:
    return io.FileIO(os.open(folder, os.O_TMPFILE | os.O_RDWR, mode), "r+b")


def _link(descriptor: int, path: Path) -> None:
    """Give an unnamed file its name."""
    # with a descriptor for the source, Python follows the link in /proc instead of linking it
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)


def _give_permissions(status: os.stat_result, descriptor: int) -> None:
    """Give an open file owner, group and permissions, without setuid bits, of another one."""
    with suppress(OSError):
        # only root can give files away
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o777)


def _rename_in(error: BaseException, own: tuple[Path, ...], name: str) -> None:
    """Have an error about one of our files, or about a write without a name, name the file that was to be replaced."""
    if not isinstance(error, OSError) or error.errno is None:
        return
    if error.filename is None or {str(error.filename), str(error.filename2)} & {str(path) for path in own}:
        error.filename = name
        if error.filename2 is not None:
            # None would be shown
            del error.filename2


def _is_ours(part: _Part) -> bool:
    """Lock a new file and make it private; return False if it was removed as abandoned before that."""
    with suppress(OSError):
        # some filesystems support neither permissions nor locks
        os.fchmod(part.file.fileno(), 0o600)
    _lock(part.file.fileno())
    return _is_at(part.file.fileno(), part.path)


def _lock(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | NO_LINKS | os.O_NONBLOCK)


def _status_of(path: Path) -> os.stat_result | None:
    """Return the status of a path, not of what a link points to; None if it is missing."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
