"""Make this interpreter one of another system.

Our own modules see that system: they import twins of `os`, `socket` and others, which lack the names that
`tests.platforms.absent` lists, and cannot import the modules that it lists. The standard library and other packages see
Linux, as they have other code for each system; where our results depend on that code, it is replaced here.
The disk is that of the other system for all of them (`tests.platforms.disk`).
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from tests.platforms import absent

TICK = 1 / 64
"""Seconds between two values of the clocks of Windows."""

_OURS = "cosv4fs"


class Twin(types.ModuleType):
    """A module as another system has it: without some names, and with others. Everything else is the real module's."""

    def __init__(self, real: types.ModuleType, absent: Collection[str], own: Mapping[str, Any]) -> None:
        super().__init__(real.__name__)
        vars(self).update(own, _real=real, _absent=absent, __spec__=real.__spec__)

    def __getattr__(self, name: str) -> Any:
        if name in vars(self)["_absent"]:
            text = f"module {self.__name__!r} has no attribute {name!r} on this system"
            raise AttributeError(text, name=name, obj=self)
        return getattr(vars(self)["_real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_real"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(vars(self)["_real"], name)


def install(system: list[str]) -> None:
    """Make this interpreter one of ``windows`` or ``macos``; what follows are names of modules that are missing."""
    name, *missing = system
    if "_hashlib" in missing:
        # hashlib has its own code then
        sys.modules["_hashlib"] = None  # type: ignore[assignment]
    _use_spawn()
    if name == "windows":
        _install_windows(missing)
    elif name == "macos":
        own = {"sys": {"platform": "darwin"}, "fcntl": {"ioctl": _no_ioctl, "F_FULLFSYNC": 51}}
        _replace_imports(absent.MACOS_MODULES.union(missing), _twins(absent.MACOS, own))
        _replace_linger()
    else:
        raise ValueError(f"no such system: {name}")


def _install_windows(missing: list[str]) -> None:
    import shutil
    from multiprocessing import resource_tracker

    from tests.platforms import disk

    shutil._use_fd_functions = False
    real_tracker = resource_tracker.ensure_running

    def ensure_running() -> None:
        if sys._getframe(1).f_globals["__name__"].partition(".")[0] == _OURS:
            raise ModuleNotFoundError("No module named '_posixsubprocess' on this system", name="_posixsubprocess")
        real_tracker()

    resource_tracker.ensure_running = ensure_running
    own: dict[str, dict[str, Any]] = {
        "os": {
            "name": "nt",
            "O_BINARY": 0x8000,
            "O_NOINHERIT": 0x80,
            "open": _open_descriptor,
            "kill": _kill,
            "supports_dir_fd": set(),
            "supports_fd": {os.stat, os.truncate},
            "supports_follow_symlinks": {os.stat},
        },
        "sys": {"platform": "win32"},
        "signal": {"CTRL_C_EVENT": 0, "CTRL_BREAK_EVENT": 1},
        "time": {"time": _coarse(time.time), "time_ns": _coarse_ns(time.time_ns)},
    }
    if sys.version_info < (3, 13):
        own["time"] |= {"monotonic": _coarse(time.monotonic), "monotonic_ns": _coarse_ns(time.monotonic_ns)}
    twins = {**_twins(absent.WINDOWS, own), "msvcrt": _msvcrt()}
    _replace_imports(absent.WINDOWS_MODULES.union(missing), twins)
    _replace_text_files()
    _replace_sockets()
    disk.install()


def _twins(names: Mapping[str, Collection[str]], own: Mapping[str, Mapping[str, Any]]) -> dict[str, types.ModuleType]:
    return {name: Twin(__import__(name), names.get(name, ()), own.get(name, {})) for name in {**names, **own}}


def _replace_imports(missing: Collection[str], twins: Mapping[str, types.ModuleType]) -> None:
    """Have modules of our package import the twins, and none that is missing."""
    real_import = builtins.__import__

    def import_for(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> types.ModuleType:
        importer = (globals or {}).get("__package__") or ""
        if level == 0 and importer.partition(".")[0] == _OURS:
            top = name.partition(".")[0]
            if top in missing:
                raise ModuleNotFoundError(f"No module named {top!r} on this system", name=top)
            if top in twins and (name == top or not fromlist):
                return twins[top]
        return real_import(name, globals, locals, fromlist, level)

    builtins.__import__ = import_for


def _no_ioctl(*_: Any) -> None:
    raise OSError(errno.ENOTTY, "Inappropriate ioctl for device (on macOS, a socket)")


def _replace_linger() -> None:
    """Have sockets say that they linger as macOS does: by the number of the option, not by the one that was set."""
    real_get = socket.socket.getsockopt

    def getsockopt(self: socket.socket, level: int, name: int, *size: int) -> Any:
        value = real_get(self, level, name, *size)
        if (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER) and isinstance(value, bytes):
            is_on, seconds = struct.unpack("ii", value)
            return struct.pack("ii", 0x80 if is_on else 0, seconds)
        return value

    socket.socket.getsockopt = getsockopt  # type: ignore[assignment,method-assign]


def _use_spawn() -> None:
    """Start processes with new interpreters, as is the default on both systems."""
    from multiprocessing import context

    context._default_context._actual_context = context._concrete_contexts["spawn"]  # type: ignore[attr-defined]


def _open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open as Windows does, where bytes are changed unless the flag ``O_BINARY`` is given."""
    # what `open` passes to an opener has the flag there, and this one on Linux
    is_opener = flags & os.O_CLOEXEC
    if not flags & 0x8000 and not is_opener:
        raise AssertionError(f"{path} is opened as text: on Windows, os.open needs O_BINARY")
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    return os.open(path, flags & ~0x8080, 0o666 if mode & 0o200 else 0o444)


def _kill(pid: int, number: int) -> None:
    """Refuse what ends the process there, although it only asks on Linux."""
    if number == 0:
        raise AssertionError("os.kill(pid, 0) ends the process on Windows")
    os.kill(pid, number)


def _coarse(clock: Callable[[], float]) -> Callable[[], float]:
    return lambda: clock() // TICK * TICK


def _coarse_ns(clock: Callable[[], int]) -> Callable[[], int]:
    step = int(TICK * 1e9)
    return lambda: clock() // step * step


def _msvcrt() -> types.ModuleType:
    """Return Windows' module, as far as it locks files: by handle, and without waiting."""
    import fcntl

    def locking(descriptor: int, mode: int, count: int) -> None:
        if mode == module.LK_UNLCK:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    module = types.ModuleType("msvcrt")
    vars(module).update(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, LK_RLCK=3, LK_NBRLCK=4, locking=locking)
    return module


def _replace_text_files() -> None:
    """Have text files end lines with CR LF, and be in cp1252, unless they are opened with something else."""
    real_open = io.open

    def open_text(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            newline = "\r\n" if newline is None and not set(mode).isdisjoint("wxa") and "+" not in mode else newline
        return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)

    # as a function written in C, this is no method of a class that keeps it, such as one of pathlib in Python 3.10
    io.open = builtins.open = partial(open_text)  # type: ignore[assignment]


def _is_called_by_us() -> bool:
    """Return whether our package, or a server of it, called the function that calls this one."""
    caller = sys._getframe(2)
    modules = (caller.f_globals["__name__"], type(caller.f_locals.get("self")).__module__)
    return any(name.partition(".")[0] == _OURS for name in modules)


def _replace_sockets() -> None:
    """Have sockets behave as on Windows.

    They take options in another format, a port can be used again at once, only the end of a socket ends a read that
    waits, and pairs of sockets are connected through the network.
    """
    real_set, real_bind, real_shutdown = socket.socket.setsockopt, socket.socket.bind, socket.socket.shutdown
    real_close = socket.close

    def setsockopt(self: socket.socket, level: int, name: int, value: Any, *more: Any) -> None:
        if level == socket.SOL_SOCKET and name in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            # a number of milliseconds there
            [milliseconds] = struct.unpack_from("I", value) if isinstance(value, bytes) else [value]
            value = struct.pack("ll", milliseconds // 1000, milliseconds % 1000 * 1000)
        elif level == socket.SOL_SOCKET and name == socket.SO_LINGER:
            if len(value) != 4:
                raise OSError(errno.EFAULT, "two 16-bit numbers are expected (on Windows)")
            value = struct.pack("ii", *struct.unpack("HH", value))
        elif level == socket.SOL_SOCKET and name == socket.SO_REUSEADDR and _is_called_by_us():
            raise AssertionError("two services could share a port on Windows")
        real_set(self, level, name, value, *more)

    def bind(self: socket.socket, address: Any) -> None:
        # Linux needs this for what is the default there, and allows no more
        real_set(self, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        real_bind(self, address)

    def shutdown(self: socket.socket, how: int) -> None:
        # with the real one, servers of the tests end a wait for connections; on Windows, closing would end it
        there = {socket.SHUT_WR: how, socket.SHUT_RDWR: socket.SHUT_WR}.get(how) if _is_called_by_us() else how
        if there is not None:
            real_shutdown(self, there)

    def close(number: int) -> None:
        own = socket.socket(fileno=number)
        with contextlib.suppress(OSError):
            real_shutdown(own, socket.SHUT_RDWR)
        real_close(own.detach())

    def pair(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0) -> tuple[Any, Any]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
            return ours, theirs

    for method in (setsockopt, bind, shutdown):
        setattr(socket.socket, method.__name__, method)
    socket.close = close
    socket.socketpair = pair
