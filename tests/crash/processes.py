"""The two kinds of process of a crash: the service, with all that it was asked, and its clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

from tests.processes import Event, Listened


class Server(Listened):
    """The emulator in a process of its own, on a folder that outlives it; `protocol` is that of `filesystem`."""

    def __init__(self, root: Path, *, fsync: bool = False, protocol: str = "cosv4") -> None:
        self.protocol = protocol
        self.write_once = protocol == "cdcs"
        """Whether nothing can be replaced or removed."""
        self.bucket = "bucket-1250000000" if self.write_once else "bucket"
        more = ["--bucket", self.bucket, *["--fsync"] * fsync, *["--coffers"] * self.write_once]
        # bound and never listened on: while the service is dead nobody else may be given its port
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]
        super().__init__("tests.crash.server", str(root), "--port", str(self.port), *more)
        if not self.wait_for(lambda: bool(self.events)):
            raise RuntimeError("the service did not start")
        self.options: dict[str, Any] = self.events[0]["options"]

    def restart(self) -> None:
        """Start it again on the same folder and port after it was killed; its log goes on."""
        begun = self.mark("restart")
        self._start()
        if not self.wait_for(lambda: any(event["kind"] == "ready" for event in self.events[begun:])):
            raise RuntimeError("the service did not start again")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._reserved.close()

    def settle(self) -> None:
        """Wait until what dead clients have asked for is carried out, or broken off; nothing may be held."""
        self._command(do="settle")

    def clear(self) -> None:
        """Forget the events so far."""
        with self.changed:
            self.events.clear()

    def wait_for_either(self, client: Client, condition: Callable[[], bool]) -> bool:
        """Wait until something holds or a client's task is over; return whether it holds."""

        def over() -> bool:
            return client.ended or client.has_said("outcome")

        if not self.wait_for(lambda: condition() or over()):
            raise RuntimeError("the service has ended")
        with self.changed:
            return condition()

    def mark(self, kind: str, **more: Any) -> int:
        """Put an event of one's own between the others; return its position."""
        with self.changed:
            self.events.append({"kind": kind, **more})
            return len(self.events) - 1

    def log(self, start: int = 0) -> list[Event]:
        """Return the events since a position."""
        with self.changed:
            return self.events[start:]

    def hold(self, name: str, op: str, *, nth: int = 1, times: int | None = 1, acted: bool = False) -> None:
        """Have requests wait: the nth of an operation, counted from now on, and those after it."""
        self._command(do="hold", name=name, op=op, nth=nth, times=times, acted=acted)

    def release(self, name: str) -> None:
        """Let go what is held under a name, and hold nothing more."""
        self._command(do="release", name=name)

    def close(self, name: str) -> None:
        """Hold nothing more under a name; what is held stays."""
        self._command(do="close", name=name)

    def stall(self, name: str, place: str, nth: int, how: str) -> None:
        """Have it stand still for ever in its store (see `tests.crash.server.stall`)."""
        self._command(do="stall", name=name, place=place, nth=nth, how=how)

    def unstall(self) -> None:
        """Take that back, where it has not happened."""
        self._command(do="unstall")

    def catch_up(self) -> None:
        """Wait until the log has everything that was answered so far."""
        self._command(do="nothing")

    def filesystem(self) -> Any:
        """Return a filesystem that knows nothing yet."""
        fs = fsspec.filesystem(self.protocol, **self.options, use_listings_cache=False, skip_instance_cache=True)
        fs.invalidate_cache()
        return fs

    def _command(self, **command: Any) -> None:
        start = self.mark("command")
        self.tell(**command)
        if not self.wait_for(lambda: any(event["kind"] == "done" for event in self.events[start:])):
            raise RuntimeError("the service has ended")


class Client(Listened):
    """A process that works with a filesystem, whose temporary files are in a folder."""

    def __init__(self, options: dict[str, Any], folder: Path, changed: threading.Condition | None = None) -> None:
        super().__init__("tests.crash.child", json.dumps(options), changed=changed, TMPDIR=str(folder))

    def prepare(self, action: str, *arguments: Any, halt: tuple[str, int] | None = None, **keywords: Any) -> None:
        """Name the next task, and wait until it could begin."""
        with self.changed:
            self.events.clear()
        self.tell(action=action, arguments=arguments, keywords=keywords, halt=halt)
        self._expect("ready")

    def go(self) -> None:
        """Have it begin."""
        self.tell(go=True)

    def outcome(self) -> dict[str, Any]:
        """Wait for the end of the task and return its result."""
        self._expect("outcome")
        with self.changed:
            found: dict[str, Any] = next(event["outcome"] for event in self.events if "outcome" in event)
        return found

    def has_said(self, word: str) -> bool:
        """Return whether it has come to a point of the task."""
        with self.changed:
            return any(word in event for event in self.events)

    def _expect(self, word: str) -> None:
        if not self.wait_for(lambda: any(word in event for event in self.events)):
            raise RuntimeError(f"a client ended, with {self.process.wait()}, before it was {word}")
