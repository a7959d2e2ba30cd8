"""The service as a process: ``python -m tests.crash.server ROOT`` tells of every request, and holds some when told to.

Commands come on standard input, events go to standard output, both as lines of JSON. An event is told before the
service goes on with the request, so that the parent has them all, whatever becomes of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from cosv4fs.emulator import Dialect, Emulator, RequestRecord
from cosv4fs.emulator.call import Call
from cosv4fs.emulator.faults import Action, Fault
from cosv4fs.emulator.replies import Reply
from tests.crash.moments import INIT, LIST, SLICE


def say(kind: str, **more: Any) -> None:
    """Tell the parent; one write, so that lines of several threads stay whole."""
    os.write(1, (json.dumps({"kind": kind, **more}) + "\n").encode())


class Hold(Action):
    """Keeps requests waiting, before they are acted on or after, until the parent lets them go."""

    def __init__(self, name: str, acted: bool) -> None:
        self.released = threading.Event()
        self._name, self._acted = name, acted

    def before(self, call: Call) -> Reply | None:
        if not self._acted:
            self._wait(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        if self._acted:
            self._wait(call)
        return reply

    def _wait(self, call: Call) -> None:
        say("held", name=self._name, request=call.request_id)
        while not self.released.wait(0.02) and not call.stopping.is_set():
            pass


class Holds:
    """The holds by name."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._known: dict[str, tuple[Fault, Hold]] = {}

    def hold(self, name: str, op: str, nth: int, times: int | None, acted: bool) -> None:
        """Hold the nth request of an operation, counted from now on, and as many after it as `times` says."""
        action = Hold(name, acted)
        self._known[name] = (
            self._emulator.faults.add(
                match=lambda call: _named(call.op, call.parameters.values) == op, nth=nth, times=times, action=action
            ),
            action,
        )

    def close(self, name: str) -> None:
        """Hold nothing more."""
        self._emulator.faults.remove(self._known[name][0])

    def release(self, name: str) -> None:
        """Let what is held go on, and hold nothing more."""
        fault, action = self._known.pop(name)
        self._emulator.faults.remove(fault)
        action.released.set()


def _named(op: str, values: Mapping[str, Any]) -> str:
    """Return what a request is called here: the predecessor's one operation by what it is used for."""
    if op != "upload_slice":
        return op
    if values.get("offset") is not None:
        return SLICE
    return INIT if values.get("session") is None else LIST


def _arrived(call: Call) -> bool:
    content = call.parameters.content
    values = call.parameters.values
    say(
        "arrived",
        request=call.request_id,
        op=_named(call.op, values),
        path=call.path.text,
        session=values.get("session"),
        offset=int(values["offset"]) if str(values.get("offset", "")).isdigit() else None,
        length=len(content) if content is not None else 0,
    )
    return False


def _answered(record: RequestRecord) -> None:
    say(
        "answered",
        request=record.request_id,
        op=_named(record.op, {"offset": record.offset, "session": record.session}),
        path=record.path,
        session=record.session,
        offset=record.offset,
        ok=record.status == 200 and record.code == 0,
        code=record.code,
    )


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", default="bucket")
    parser.add_argument("--dialect", action="append", default=[])
    parser.add_argument("--fsync", action="store_true")
    given = parser.parse_args()
    emulator = Emulator(
        given.root,
        port=given.port,
        buckets=(given.bucket,),
        dialect=Dialect.parse(given.dialect),
        fsync=given.fsync,
        listener=_answered,
    )
    # `match` sees every request when it has come and nothing is done about it yet
    emulator.faults.add(action=Action(), times=None, match=_arrived)
    with emulator:
        holds = Holds(emulator)
        say("ready", options=emulator.storage_options, port=emulator.port)
        for line in sys.stdin:
            command = json.loads(line)
            getattr(holds, command.pop("do"))(**command)
            say("done")


if __name__ == "__main__":
    main()
