"""The scenario `uploads`: a process that uploads a large file is killed, and the same call in the next continues."""

from __future__ import annotations

import errno
import hashlib
import itertools
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.crash.moments import INIT, LIST, SLICE, Moment, again, of_v3, spread
from tests.crash.processes import Client, Server
from tests.crash.readers import everything
from tests.crash.scenarios import Plan, Summary
from tests.processes import Event

NAME = "big.bin"
MOST_KILLS = 4
"""How many processes of one upload are killed at most."""
_STEP = 1024 * 1024


def uploads(
    plan: Plan, spread: Callable[..., Sequence[Moment]] = spread, again: Callable[..., Moment | None] = again
) -> Summary:
    """Kill a process that puts a file, at a moment of its upload, and have the next continue.

    `spread` and `again` choose the moments of the first processes and of those that continue (`tests.crash.moments`).
    """
    chance = random.Random(plan.seed)
    local = plan.folder / "big.bin"
    sha = _write_content(local, chance, plan.size)
    slices = -(-plan.size // plan.slice_size)
    summary = Summary()
    with Server(plan.folder / "service", fsync=plan.fsync, protocol=plan.protocol) as server:
        for number, moment in enumerate(spread(chance, plan.moments, slices), 1):
            upload = Upload(plan, server, local, sha, random.Random(chance.random()), again, f"dir {number}")
            upload.run(_of_protocol(plan, moment))
            summary.moments += 1
            summary.kills += len(upload.killed)
            summary.resumed += upload.resumed
            summary.repeated += upload.repeated
            summary.failures += upload.failures
            plan.say(f"{summary.moments:>3} {upload.line()}")
    return summary


def _write_content(path: Path, chance: random.Random, size: int) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("wb") as file:
        for start in range(0, size, _STEP):
            block = chance.randbytes(min(_STEP, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


class Upload:
    """One upload with all the processes that work on it.

    `again` chooses when a process that continues is killed; `folder` is nobody else's directory for the object.
    """

    def __init__(
        self,
        plan: Plan,
        server: Server,
        local: Path,
        sha: str,
        chance: random.Random,
        again: Callable[..., Moment | None],
        folder: str,
    ) -> None:
        self._folder = f"{server.bucket}/{folder}"
        self._path = f"{self._folder}/{NAME}"
        self._plan, self._server, self._local, self._sha, self._chance = plan, server, local, sha, chance
        self._again = again
        self._slices = -(-plan.size // plan.slice_size)
        self._journal, self._temporary = plan.folder / "journal", plan.folder / "temporary"
        self._options = {**server.options, "slice_size": plan.slice_size, "journal_dir": str(self._journal)}
        self._options["single_upload_limit"] = plan.slice_size
        self._options["protocol"] = plan.protocol
        self._names = (f"hold {number}" for number in itertools.count())
        # what the service still holds of a dead process, and the request of the next one that it meets
        self._late: tuple[str, str] | None = None
        self._freed = False
        self._stored: list[int] = []
        self.killed: list[Moment] = []
        self.resumed = self.repeated = 0
        self.failures: list[str] = []

    def line(self) -> str:
        """Return what happened in one line."""
        kills = [f"{moment} ({stored})" for moment, stored in zip(self.killed, self._stored, strict=True)]
        result = "ok" if not self.failures else "FAILED: " + "; ".join(self.failures)
        return (
            f"killed at {', '.join(kills) or 'no time'} of {self._slices}, resumed {self.resumed}, "
            f"sent again {self.repeated:,}: {result}"
        )

    def run(self, moment: Moment) -> None:
        """Kill the first process at a moment, perhaps further ones at others, and examine what the last one leaves."""
        self._temporary.mkdir(exist_ok=True)
        if self._plan.old is not None:
            self._server.filesystem().pipe_file(self._path, self._plan.old)
        self._server.clear()
        planned: Moment | None = moment
        # a process that was killed when all was done is not asked to do it again: it would rightly begin anew
        while not self._attempt(planned) and not self._is_done():
            self._examine_between()
            another = len(self.killed) < MOST_KILLS and self._chance.random() < 0.4
            planned = self._again(self._chance, self._slices - self._received()) if another else None
            planned = planned and _of_protocol(self._plan, planned)
        self._let_go()
        self._examine_requests()
        self._examine_result()
        self._clear()

    def _attempt(self, moment: Moment | None) -> bool:
        """Have a process upload the file; return whether it came to the end."""
        server, late = self._server, self._late
        begun = self._received()
        with Client(self._options, self._temporary, server.changed) as client:
            halt = (moment.how, moment.nth) if moment is not None and moment.how in ("replace", "unlink") else None
            client.prepare("put", str(self._local), f"{self._plan.protocol}://{self._path}", halt=halt)
            start = server.mark("process")
            meeting = self._hold(late[1]) if late is not None else None
            held = None
            if moment is not None and moment.how in ("held", "acted"):
                held = self._hold(moment.op, moment.nth, None if moment.frozen else 1, moment.how == "acted")
            elif moment is not None and moment.how == "called":
                # it must not come to its end before it is killed
                held = self._hold(INIT)
            client.go()
            if meeting is not None:
                self._meet(meeting, held, client)
            reached = moment is not None and self._reach(moment, held, start, client)
            if reached:
                client.kill()
            ended = not reached or client.has_said("outcome")
            freed = False
            if ended:
                freed = server.write_once and self._free(client.outcome())
                if not freed:
                    self._check(client.outcome())
        self._after(held, moment.late if moment is not None and not ended else "")
        arrived = {event["op"] for event in server.log(start) if event["kind"] == "arrived"}
        self.resumed += begun > 0 and LIST in arrived and INIT not in arrived
        if moment is not None and not ended:
            self.killed.append(moment)
            self._stored.append(self._received())
        return ended and not freed

    def _hold(self, op: str, nth: int = 1, times: int | None = 1, acted: bool = False) -> str:
        name = next(self._names)
        self._server.hold(name, op, nth=nth, times=times, acted=acted)
        return name

    def _meet(self, meeting: str, held: str | None, client: Client) -> None:
        """Let go what a dead process had asked for, while the next one has asked for something that is not done yet.

        That one may be held for its own sake before it comes to the meeting.
        """
        self._server.wait_for_either(
            client, lambda: bool(self._held(meeting)) or (held is not None and bool(self._held(held)))
        )
        self._let_go()
        self._server.release(meeting)

    def _let_go(self) -> None:
        if self._late is None:
            return
        (name, _), self._late = self._late, None
        requests = self._held(name)
        self._server.release(name)
        self._server.wait_for(lambda: requests <= {event["request"] for event in self._events("answered")})

    def _after(self, held: str | None, late: str) -> None:
        if held is not None and late:
            self._server.close(held)
            self._late = held, late
        elif held is not None:
            self._server.release(held)

    def _reach(self, moment: Moment, held: str | None, start: int, client: Client) -> bool:
        """Wait for a moment; return whether it came before the process was done."""
        server = self._server
        if moment.op == "":
            word = "began" if moment.how == "called" else "halted"
            return server.wait_for_either(client, lambda: client.has_said(word))

        def counts(event: Event) -> bool:
            if held is not None:
                return bool(event["kind"] == "held" and event["name"] == held)
            return bool(event["kind"] == "answered" and event["op"] == moment.op)

        def seen() -> list[int]:
            return [start + index for index, event in enumerate(server.log(start)) if counts(event)]

        nth = moment.nth if held is None else 1
        if not server.wait_for_either(client, lambda: len(seen()) >= nth):
            return False
        enough = seen()[nth - 1] + 1 + moment.extra
        return server.wait_for_either(client, lambda: len(server.log()) >= enough)

    def _events(self, kind: str, start: int = 0) -> list[Event]:
        return [event for event in self._server.log(start) if event["kind"] == kind]

    def _held(self, name: str) -> set[str]:
        return {event["request"] for event in self._events("held") if event["name"] == name}

    def _received(self) -> int:
        """Return how many slices the service has."""
        return len({event["offset"] for event in self._events("answered") if event["op"] == SLICE and event["ok"]})

    def _is_done(self) -> bool:
        try:
            complete: bool = self._server.filesystem().info(self._path)["size"] == self._plan.size
        except FileNotFoundError:
            return False
        return complete and not _names(self._journal)

    def _free(self, outcome: dict[str, Any]) -> bool:
        """Give up what holds the name of an object, of which a dead process had no time to note whose it is.

        Nothing that was acknowledged is lost by that: nothing is sent before it is noted. Return whether it was so.
        """
        if outcome["error"] != "CosFileExistsError" or self._received() or self._freed:
            return False
        self._let_go()
        fs = self._server.filesystem()
        if not fs.uploads(self._path):
            return False
        fs.abort_upload(self._path)
        self._freed = True
        return True

    def _check(self, outcome: dict[str, Any]) -> None:
        if outcome["error"] is not None:
            self.failures.append(f"the call raised {outcome['trace']}")

    def _examine_between(self) -> None:
        """A reader sees what was there before, or all that is new."""
        try:
            content = self._digest()
        except FileNotFoundError:
            content = None
        if content not in (_sha1(self._plan.old), self._sha):
            self.failures.append(f"a reader saw {content}")

    def _examine_requests(self) -> None:
        """No slice travels again that the service had acknowledged when the process asked what is there."""
        asked = 0
        sent: set[int] = set()
        acknowledged: dict[int, int] = {}
        sessions: set[str] = set()
        for index, event in enumerate(self._server.log()):
            kind, op, offset = event["kind"], event.get("op"), event.get("offset") or 0
            if kind == "process" or (kind == "arrived" and op == LIST):
                asked = index
            elif kind == "arrived" and op == SLICE:
                self.repeated += event["length"] if offset in sent else 0
                sent.add(offset)
                if acknowledged.get(offset, index) < asked:
                    self.failures.append(f"the slice at {offset} had been acknowledged, and was sent again")
            elif kind == "answered" and op == SLICE and event["ok"]:
                acknowledged.setdefault(offset, index)
                sessions.add(event["session"])
        if len(sessions) > 1:
            self.failures.append(f"{len(sessions)} sessions were used")
        if self.repeated > len(self.killed) * 12 * self._plan.slice_size:
            self.failures.append("more was sent again than can have been in flight")

    def _examine_result(self) -> None:
        """The object is there, and nothing else."""
        fs = self._server.filesystem()
        if self._digest() != self._sha:
            self.failures.append("the object is not the file")
        left = {
            "unfinished uploads": [found["place"] for found in fs.uploads(self._server.bucket)],
            "in the directory": [path for path in everything(fs, self._folder) if path != self._path],
            "in the journal's folder": _names(self._journal),
            "temporary files": _names(self._temporary),
        }
        self.failures += [f"left {where}: {found}" for where, found in left.items() if found]

    def _digest(self) -> str:
        """Return the SHA-1 of what a reader sees; a late request of a dead process may replace it meanwhile, once."""
        try:
            return self._digest_at_once()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            return self._digest_at_once()

    def _digest_at_once(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        with self._server.filesystem().open(self._path, "rb") as file:
            while block := file.read(_STEP * 4):
                digest.update(block)
        return digest.hexdigest()

    def _clear(self) -> None:
        if not self._server.write_once:
            self._server.filesystem().rm(self._folder, recursive=True)
        for folder in (self._journal, self._temporary):
            shutil.rmtree(folder, ignore_errors=True)


def _of_protocol(plan: Plan, moment: Moment) -> Moment:
    return of_v3(moment) if plan.protocol == "cosv3" else moment


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def _sha1(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha1(content, usedforsecurity=False).hexdigest()
