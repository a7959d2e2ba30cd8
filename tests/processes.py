"""Child processes of the system tests: started, told and heard in lines, waited for, ended."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from typing_extensions import Self

REPOSITORY = Path(__file__).resolve().parent.parent
TIMEOUT = 120.0
"""Seconds after which a wait for something that has to happen is a failure."""

ACCOUNT = {"appid": "1250000000", "secret_id": "AKIDtests", "secret_key": "tests", "region": "gz"}
"""Of a service that is started as a command."""

Event = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: this one's without proxies, and more."""
    return {**{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}, **more}


def run_module(module: str, *arguments: str, timeout: float, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a module to its end and return what it said; `more` goes to its environment."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, cwd=REPOSITORY, env=environment(**more)
    )


class Child:
    """A process that runs a module, with pipes for its standard input and output; it ends with the block."""

    def __init__(self, module: str, *arguments: str, stderr: Any = None, **more: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=REPOSITORY,
            env=environment(**more),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tell(self, **message: Any) -> None:
        """Send it a line of JSON."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """Return the next line that it says; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> int:
        """End it in order, else by force; return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.terminate()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            code = self.process.wait(TIMEOUT / 2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


class EmulatorCommand(Child):
    """The local service as the command ``python -m cosv4fs.emulator``, on a folder that outlives it."""

    def __init__(self, root: Path, *options: str, stderr: Any = None, **more: str) -> None:
        keys = ("--secret-id", ACCOUNT["secret_id"], "--secret-key", ACCOUNT["secret_key"])
        super().__init__("cosv4fs.emulator", "--root", str(root), *keys, "--quiet", *options, stderr=stderr, **more)
        self.endpoint = self.line().rpartition(" ")[2]

    @property
    def storage_options(self) -> dict[str, str]:
        """What a client needs."""
        return {**ACCOUNT, "endpoint": self.endpoint}


class Listened:
    """A forked process whose lines of JSON are collected by a thread; it is killed with the block.

    Its standard streams are pipes. `changed` is notified of every event; two processes may share it.
    """

    def __init__(self, module: str, *arguments: str, changed: threading.Condition | None = None, **more: str) -> None:
        self._module, self._arguments, self._environment = module, list(arguments), environment(**more)
        self.changed = changed or threading.Condition()
        self.events: list[Event] = []
        self._start()

    def _start(self) -> None:
        self.ended = False
        self.process = Forked(self._module, self._arguments, self._environment)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break
            event = json.loads(line)
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def tell(self, **message: Any) -> None:
        """Send it a line."""
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until something holds, which is looked at after every event; False when the process ended before."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition() or self.ended, TIMEOUT):
                raise TimeoutError("a process of the test stands still")
            return condition()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._thread.join(TIMEOUT)
        self.process.stdout.close()
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


IMPORTED = ["tests.crash.child", "tests.crash.migrating", "tests.crash.server"]
"""Modules that every forked process has imported already: imports are most of what a crash costs."""


class Forked:
    """A process forked by the server of `multiprocessing`, which looks like one of `subprocess`."""

    def __init__(self, module: str, arguments: list[str], variables: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        their_input, our_output = context.Pipe(duplex=False)
        our_input, their_output = context.Pipe(duplex=False)
        given = (module, arguments, variables, (their_input, their_output))
        self._process = context.Process(target=_become, args=given, daemon=True)
        self._process.start()
        # wrapped again, so that lines can be written and read
        self.stdin, self.stdout = _stream(our_output, "wb"), _stream(our_input, "rb")
        for end in (their_input, their_output, our_output, our_input):
            end.close()
        assert self._process.pid is not None
        self.pid, self.kill = self._process.pid, self._process.kill

    def wait(self, timeout: float = TIMEOUT) -> int | None:
        """Wait for its end, and return its exit code; negative after a signal."""
        self._process.join(timeout)
        return self._process.exitcode


def _stream(end: Connection, mode: str) -> Any:
    return os.fdopen(os.dup(end.fileno()), mode)


def _become(module: str, arguments: list[str], variables: dict[str, str], ends: tuple[Connection, Connection]) -> None:
    """Be the process that was asked for."""
    status = 1
    try:
        for number, end in enumerate(ends):
            os.dup2(end.fileno(), number)
            end.close()
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(variables)
        tempfile.tempdir = None
        sys.argv = [module, *arguments]
        importlib.import_module(module).main()
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
