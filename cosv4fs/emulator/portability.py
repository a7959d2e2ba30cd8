"""Modules and functions that some operating systems lack, each with a fallback."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import sys
import time
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO

_BINARY = getattr(os, "O_BINARY", 0)
"""Without it, Windows changes the ends of lines."""

READ_FLAGS = os.O_RDONLY | _BINARY
WRITE_FLAGS = os.O_WRONLY | _BINARY | getattr(os, "O_NOFOLLOW", 0)
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
"""Flags of `os.open` for reading and writing a blob, and for a lock file; links are not followed."""

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that end a process; Windows sends SIGBREAK for Ctrl-Break, and ends it at once when the console is closed."""

_BLIND_WAIT = 0.2
"""Seconds to wait for sent bytes where the system does not tell how many are unsent."""

_NO_FOLDER_SYNC = frozenset({errno.EACCES, errno.EINVAL, errno.ENOTSUP})
"""Errors of systems and file systems that cannot sync a folder: Windows opens none, some network shares sync none."""

_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def lock_file(file: FileIO) -> None:
    """Lock a file for this process until it is closed; raise BlockingIOError when another process has locked it."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows
    except ImportError:
        _lock_byte(file)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock_file(file: FileIO) -> None:
    """Unlock and close a file; a forked child that has inherited it would otherwise keep the lock."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows
    except ImportError:
        _unlock_byte(file)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def _lock_byte(file: FileIO) -> None:
    try:
        import msvcrt  # noqa: PLC0415  only on Windows
    except ImportError:
        message = "this system cannot lock files: start no second emulator on the same folder"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError as error:
        raise BlockingIOError(*error.args) from None


def _unlock_byte(file: FileIO) -> None:
    # closing the file unlocks it, too, but at any later time
    with contextlib.suppress(ImportError, OSError):
        import msvcrt  # noqa: PLC0415  only on Windows

        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined, unused-ignore]


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Return up to `count` bytes of a file from `offset` on.

    Without `os.pread` the file's position moves: no two threads may share the descriptor.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def write_at(descriptor: int, content: memoryview, offset: int) -> int:
    """Write to a file at `offset`, and return how many bytes were written; as for `read_at`."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, content, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, content)


def send_file(target: socket.socket, descriptor: int, offset: int, count: int) -> int:
    """Send bytes of a file, at least one unless the file ends, and return how many were sent."""
    if hasattr(os, "sendfile"):
        return os.sendfile(target.fileno(), descriptor, offset, count)
    block = read_at(descriptor, min(count, 1 << 18), offset)
    target.sendall(block)
    return len(block)


def sync_content(descriptor: int) -> None:
    """Sync the content of a file to disk."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415  not on Windows

        # only on macOS, where fsync leaves the content in the cache of the drive; some file systems know nothing else
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined, unused-ignore]
        return
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Sync the names in a folder to disk, where the system can do that."""
    try:
        descriptor = os.open(folder, READ_FLAGS)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def set_receive_timeout(connection: socket.socket, seconds: float) -> None:
    """Set a timeout for reads in the kernel; the socket stays blocking, which is faster."""
    milliseconds = int(seconds * 1000)
    packed = struct.pack("ll", milliseconds // 1000, milliseconds % 1000 * 1000)
    value = struct.pack("L", milliseconds) if sys.platform == "win32" else packed
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)


def hang_up(connection: socket.socket) -> None:
    """Close a connection in which another thread may wait for its client."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    if sys.platform == "win32":
        # there only the end of the socket itself ends such a wait
        with contextlib.suppress(OSError):
            socket.close(connection.detach())


def reset_when_closed(connection: socket.socket) -> None:
    """Let the end of a connection be a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def is_reset_when_closed(connection: socket.socket) -> bool:
    """Return whether `reset_when_closed` was called; macOS returns another number than the one set."""
    return any(connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET)))


def wait_until_sent(connection: socket.socket, seconds: float) -> None:
    """Wait until the peer has all that was sent, at most some seconds."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows
        import termios  # noqa: PLC0415  not on Windows
    except ImportError:
        time.sleep(_BLIND_WAIT)
        return
    end = time.monotonic() + seconds
    try:
        while any(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))) and time.monotonic() < end:
            time.sleep(0.001)
    except OSError:  # macOS has no such question for sockets
        time.sleep(_BLIND_WAIT)


def descriptor_limit() -> int:
    """Return how many files and sockets this process may have open."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return sys.maxsize
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
