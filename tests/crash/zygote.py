"""Processes that start quickly: one that has imported what they need forks another on request.

``python -m tests.crash.zygote FD`` serves the socket with that number. A process made so is like any other, and is
killed like any other; only its imports cost nothing, which is most of what a crash costs.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parent.parent.parent
_LONGEST = 65536
PATIENCE = 120.0
"""Seconds after which an answer that does not come is a failure."""


class _Zygote:
    """The parent's end: one process that forks, made at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def ask(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> int:
        """Send a message and return the number that answers it."""
        with self._lock:
            if self._socket is None:
                self._start()
            assert self._socket is not None
            socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], descriptors)
            answer = _receive_line(self._socket)[0]
        if not answer:
            raise RuntimeError("the process that forks has ended")
        return int(answer)

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.zygote", str(theirs.fileno())],
                cwd=_REPOSITORY,
                pass_fds=[theirs.fileno()],
            )


_zygote = _Zygote()


class Forked:
    """A process that runs the `main` of a module, with pipes for its standard input and output.

    Parameters
    ----------
    module : str
        Imported once, by the process that forks.
    arguments : list of str
        As from the command line.
    environment : dict
        All of its environment.
    """

    def __init__(self, module: str, arguments: list[str], environment: dict[str, str]) -> None:
        their_input, mine = os.pipe()
        my_input, theirs = os.pipe()
        self.stdin, self.stdout = os.fdopen(mine, "wb"), os.fdopen(my_input, "rb")
        self._status: int | None = None
        message = {"module": module, "arguments": arguments, "environment": environment}
        try:
            self.pid = _zygote.ask(message, (their_input, theirs))
        finally:
            os.close(their_input)
            os.close(theirs)

    def kill(self) -> None:
        """SIGKILL. Its number is its own until `wait` has been called."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end, which has to come; return its status as `os.waitpid` does.

        `timeout` is there for the likeness with others: it is `PATIENCE` for all.
        """
        if self._status is None:
            self._status = _zygote.ask({"wait": self.pid})
        return self._status


def _receive_line(end: socket.socket) -> tuple[bytes, list[int]]:
    line, descriptors = b"", []
    while not line.endswith(b"\n"):
        more, found, _, _ = socket.recv_fds(end, _LONGEST, 2)
        if not more:
            return b"", []
        line, descriptors = line + more, descriptors + list(found)
    return line, descriptors


def _become(message: dict[str, Any], descriptors: list[int]) -> None:
    """Be the process that was asked for."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(message["environment"])
    tempfile.tempdir = None
    sys.argv = [message["module"], *message["arguments"]]
    importlib.import_module(message["module"]).main()


def main() -> None:
    """Fork when asked to, until the socket is closed."""
    with socket.socket(fileno=int(sys.argv[1])) as end:
        while True:
            line, descriptors = _receive_line(end)
            if not line:
                return
            message = json.loads(line)
            if "wait" in message:
                end.sendall(b"%d\n" % os.waitpid(message["wait"], 0)[1])
                continue
            importlib.import_module(message["module"])
            pid = os.fork()
            if not pid:
                end.close()
                _run(message, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            end.sendall(b"%d\n" % pid)


def _run(message: dict[str, Any], descriptors: list[int]) -> None:
    status = 1
    try:
        _become(message, descriptors)
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
