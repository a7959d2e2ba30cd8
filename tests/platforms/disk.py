"""The rules that Windows has for files, in force for everything that this process does.

Hooks of the interpreter see every call before it is made, also those of code in C:

* A file that this process has open cannot be removed, renamed or replaced; nor can a directory with such a file in it.
* A directory cannot be opened.
* A read-only file can neither be removed nor replaced.
* A name has none of ``<>:"|?*`` and no control characters, is not that of a device (``NUL``, ``con.txt``), and ends
  with neither a dot nor a space. Windows has other answers to some of them: it takes ``a:b`` for a stream of the file
  ``a``, and ``a.`` for ``a``. Both lose data, so here they are errors.
* `os.rename` replaces nothing.
* `os.chmod` changes nothing but whether a file is read-only, and symbolic links need a privilege.
* Temporary files have a name.

Not simulated: backslashes and drive letters (use `ntpath` for logic about paths), names that ignore case, files that
another process has open, and locks that hinder reads.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile
import types
from functools import partial
from typing import Any

_INVALID = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³])(\.|$)")

_SYSTEM = ("/proc/", "/dev/", "/sys/")
"""Paths that no program of ours has on Windows."""

_ours: set[str] = set()
"""Temporary files: Windows removes them with their last handle, Linux at any time."""

_chmod, _rename = os.chmod, os.rename


def _check_name(path: str) -> None:
    for part in path.split("/"):
        if part not in ("", ".", "..") and (_INVALID.search(part) or _DEVICE.match(part)):
            raise OSError(errno.EINVAL, "Invalid argument (on Windows)", path)


def _check_free(path: str, other: str | None = None) -> None:
    """Refuse to remove, rename or replace what is in use, or read-only."""
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if real in _ours or not os.path.lexists(real):
        return
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if name == real or name.startswith(real + "/"):
            raise PermissionError(errno.EACCES, "it is open (on Windows)", path, None, other)


def _check_writable(path: str) -> None:
    if os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IWRITE:
        raise PermissionError(errno.EACCES, "it is read-only (on Windows)", path)


def _on_open(path: Any, mode: str | None, flags: int) -> None:
    if isinstance(path, int) or path is None:
        return
    name = os.fsdecode(path)
    if name.startswith(_SYSTEM):
        return
    _check_name(name)
    # `tempfile` opens a folder with an opener of its own, which opens a file
    if os.path.isdir(name) and not _is_called_by("tempfile"):
        raise PermissionError(errno.EACCES, "it is a directory (on Windows)", name)


def _is_called_by(module: str) -> bool:
    frame: types.FrameType | None = sys._getframe(3)
    while frame is not None and frame.f_globals["__name__"].startswith("tests.platforms."):
        frame = frame.f_back
    return frame is not None and frame.f_globals["__name__"] == module


def _on_remove(path: Any, folder: int) -> None:
    name = os.fsdecode(path)
    _check_free(name)
    _check_writable(name)


def _on_rename(source: Any, target: Any, *_: int) -> None:
    old, new = os.fsdecode(source), os.fsdecode(target)
    _check_name(new)
    _check_free(old, new)
    if os.path.lexists(new) and not os.path.samestat(os.lstat(old), os.lstat(new)):
        _check_free(new, old)
        _check_writable(new)


def _on_create(path: Any, *_: Any) -> None:
    _check_name(os.fsdecode(path))


def _on_link(source: Any, target: Any, *_: int) -> None:
    _check_name(os.fsdecode(target))


def _on_symlink(source: Any, target: Any, folder: int) -> None:
    raise OSError(errno.EINVAL, "A required privilege is not held by the client (on Windows)", source, None, target)


_EVENTS = {
    "open": _on_open,
    "os.remove": _on_remove,
    "os.rename": _on_rename,
    "os.rmdir": _on_remove,
    "os.mkdir": _on_create,
    "os.link": _on_link,
    "os.symlink": _on_symlink,
}
"""Events of the interpreter (https://docs.python.org/3/library/audit_events.html) and what may happen then."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    check = _EVENTS.get(event)
    if check is not None:
        check(*arguments)


def _rename_to_new(source: Any, target: Any, **_: Any) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "the target exists (on Windows)", source, None, target)
    _rename(source, target)


def _chmod_read_only(path: Any, mode: int, **_: Any) -> None:
    is_folder = os.path.isdir(path)
    _chmod(path, 0o777 if is_folder else 0o666 if mode & stat.S_IWRITE else 0o444)


def _named_temporary_file(*arguments: Any, delete: bool = True, **options: Any) -> Any:
    file = _make_temporary(*arguments, delete=delete, **options)
    if delete:
        _ours.add(os.path.realpath(file.name))
    return file


_make_temporary = tempfile.NamedTemporaryFile


def install() -> None:
    """Put the rules in force, for the rest of the process."""
    tempfile.NamedTemporaryFile = _named_temporary_file
    tempfile.TemporaryFile = _named_temporary_file  # type: ignore[assignment,misc]
    # no methods of classes that keep them
    os.rename, os.chmod = partial(_rename_to_new), partial(_chmod_read_only)  # type: ignore[assignment]
    sys.addaudithook(_audit)
