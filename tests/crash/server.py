"""The service as a process: ``python -m tests.crash.server ROOT`` reports every request, and holds some on command.

Commands come on standard input, events go to standard output, both as lines of JSON. An event is told before the
service goes on with the request, so that the parent has them all, whatever becomes of this process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from cosv4fs.emulator import CofferEmulator, Emulator, RequestRecord
from cosv4fs.emulator.call import Call
from cosv4fs.emulator.cdcs.call import CofferCall
from cosv4fs.emulator.faults import Action, Fault
from cosv4fs.emulator.replies import Reply
from cosv4fs.emulator.store import Store, Transaction
from tests.crash.moments import FINISH, INIT, LIST, SLICE
from tests.crash.operations import ANY_CHANGE, CHANGING

PLACES = ("new_blob", "copy_blob", "write_blob", "_write", "resize_blob", "_remove_blobs", "writing")
"""The methods of the store where the service can be told to stand still."""


OF_COFFERS = {
    "PutObject": "upload",
    "InitiateMultipartUpload": INIT,
    "UploadPart": SLICE,
    "CompleteMultipartUpload": FINISH,
    "ListParts": LIST,
    "AbortMultipartUpload": "abort",
}
"""What requests to coffers are called here: as those that do the same elsewhere; a part's offset is its number."""


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

    def __init__(self, emulator: Emulator | CofferEmulator) -> None:
        self._emulator = emulator
        self._known: dict[str, tuple[Fault, Hold]] = {}

    def hold(self, name: str, op: str, nth: int, times: int | None, acted: bool) -> None:
        """Hold the nth request of an operation, or of all that change something, and as many after it as `times` says.

        They are counted from now on.
        """
        action = Hold(name, acted)
        any_change = op == ANY_CHANGE
        self._known[name] = (
            self._emulator.faults.add(
                nth=nth,
                times=times,
                action=action,
                match=lambda call: _name(call) in CHANGING if any_change else _name(call) == op,
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


def _name(call: Any) -> str:
    return OF_COFFERS.get(call.op, call.op) if isinstance(call, CofferCall) else _named(call.op, call.values)


def _named(op: str, values: Mapping[str, Any]) -> str:
    """Return what a request is called here: v3's one operation by what it is used for."""
    if op != "upload_slice":
        return op
    if values.get("offset") is not None:
        return SLICE
    return INIT if values.get("session") is None else LIST


def stall(name: str, place: str, nth: int, how: str) -> None:
    """Have the thread that makes the nth call of a method of `Store` stand still, for ever.

    `how`: ``before`` or ``after`` the call; of `writing`: before or after its transaction is committed. ``half``, of
    `_write`: when half of the bytes are written.
    """
    original, calls = getattr(Store, place), itertools.count(1)

    def stand() -> None:
        say("stalled", name=name)
        threading.Event().wait()

    @contextlib.contextmanager
    def writing(store: Store, *added: str) -> Iterator[Transaction]:
        is_it = next(calls) == nth
        with original(store, *added) as database:
            yield database
            if is_it and how == "before":
                stand()
        if is_it:
            stand()

    def method(store: Store, *arguments: Any) -> Any:
        is_it = next(calls) == nth
        if is_it and how == "half":
            descriptor, content, offset = arguments
            original(store, descriptor, memoryview(content)[: len(content) // 2], offset)
        if is_it and how != "after":
            stand()
        result = original(store, *arguments)
        if is_it:
            stand()
        return result

    setattr(Store, place, writing if place == "writing" else method)


def _unstall(plain: dict[str, Any]) -> None:
    for place, method in plain.items():
        setattr(Store, place, method)


def _arrived(call: Any) -> bool:
    """Tell of a request that has come, before anything is done about it."""
    if isinstance(call, CofferCall):
        more = {
            "session": call.upload_id or None, "offset": _number(call.text("partNumber")),
            "length": call.body.size, "sha": call.body.md5.hex(), "target": None, "size": None,
        }  # fmt: skip
    else:
        content, values = call.content or b"", call.values
        more = {
            "session": values.get("session"), "offset": _number(str(values.get("offset"))), "length": len(content),
            "sha": hashlib.sha1(content, usedforsecurity=False).hexdigest() if call.op in CHANGING else None,
            "target": values.get("dest_fileid"),
            # what v3 completes by itself, with the last slice
            "size": int(values.get("filesize", 0)) if call.is_v3 else None,
        }  # fmt: skip
    say("arrived", request=call.request_id, op=_name(call), path=call.path.text, **more)
    return False


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _answered(record: RequestRecord) -> None:
    say(
        "answered",
        request=record.request_id,
        op=OF_COFFERS.get(record.op) or _named(record.op, {"offset": record.offset, "session": record.session}),
        path=record.path,
        session=record.session,
        offset=record.offset if record.offset is not None else _number(record.query.get("partNumber")),
        ok=200 <= record.status < 300 and record.code == 0,
        code=record.code,
    )


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", default="bucket")
    parser.add_argument("--fsync", action="store_true")
    parser.add_argument("--coffers", action="store_true", help="be the service of coffers")
    given = parser.parse_args()
    names, common = (given.bucket,), {"port": given.port, "fsync": given.fsync, "listener": _answered}
    emulator: Emulator | CofferEmulator = (
        CofferEmulator(given.root, coffers=names, **common)
        if given.coffers
        else Emulator(given.root, buckets=names, **common)
    )
    # `match` sees every request when it has come and nothing is done about it yet
    emulator.faults.add(action=Action(), times=None, match=_arrived)
    with emulator:
        holds, plain = Holds(emulator), {place: getattr(Store, place) for place in PLACES}
        say("ready", options=emulator.storage_options, port=emulator.port)
        for line in sys.stdin:
            command = json.loads(line)
            do = command.pop("do")
            if do == "stall":
                stall(**command)
            elif do == "unstall":
                _unstall(plain)
            elif do == "settle":
                emulator.restart()
            elif do != "nothing":
                getattr(holds, do)(**command)
            say("done")


if __name__ == "__main__":
    main()
