"""The scenarios `client` and `emulator`: one of both is killed in the middle of any operation."""

from __future__ import annotations

import random
import shutil
import traceback
from collections import Counter
from dataclasses import replace
from typing import Any

from typing_extensions import Self

from tests.crash.child import run as perform
from tests.crash.confirmed import Confirmed, inconsistent
from tests.crash.moments import Moment
from tests.crash.operations import ANY_CHANGE, CHANGING, KINDS, SLICE, WRITE_ONCE_KINDS, Maker, Operation
from tests.crash.processes import Client, Server
from tests.crash.readers import Reader, everything, fresh, listed, look, read
from tests.crash.scenarios import Plan, Summary
from tests.processes import Event

NOT_THERE = ("ConnectionError", "TimeoutError")


def client(plan: Plan) -> Summary:
    """A client is killed in the middle of writing, moving, copying, removing or a transaction."""
    with Server(plan.folder / "service", fsync=plan.fsync, protocol=plan.protocol) as server:
        return _Client(plan, server).run()


def emulator(plan: Plan) -> Summary:
    """The service is killed meanwhile, and started again on the same folder and port."""
    with (
        Server(plan.folder / "service", fsync=plan.fsync, protocol=plan.protocol) as server,
        _Emulator(plan, server) as kills,
    ):
        return kills.run()


def _is_in_store(moment: Moment) -> bool:
    """Return whether it is counted in calls of a method of the service's store, not in requests."""
    return moment.op != ANY_CHANGE


class _Kills:
    """What both scenarios share: an operation, a moment, a look at what is left, the operation again."""

    def __init__(self, plan: Plan, server: Server) -> None:
        self._plan, self._server, self._chance = plan, server, random.Random(plan.seed)
        self._local, self._journal = plan.folder / "local", plan.folder / "journal"
        self._temporary = plan.folder / "temporary"
        self._temporary.mkdir()
        self._options = {
            **server.options,
            "protocol": plan.protocol,
            # parts of coffers have 1 MiB at least
            "slice_size": 2 * SLICE if server.write_once else SLICE,
            "single_upload_limit": SLICE,
            "spool_memory": 2 * SLICE,
            "journal_dir": str(self._journal),
        }
        self.summary = Summary()
        self.counts: Counter[str] = Counter()
        self._partly = False

    def run(self) -> Summary:
        """Let processes die until there were enough of them."""
        for number in range(1, self._plan.moments + 1):
            chance = random.Random(self._chance.random())
            failures = self._one(f"{self._server.bucket}/moment {number}", chance, f"{number:>3}")
            self.summary.moments += 1
            self.summary.failures += [f"moment {number}: {failure}" for failure in failures]
        self._plan.say(", ".join(f"{name} {count}" for name, count in sorted(self.counts.items())))
        return self.summary

    def _one(self, folder: str, chance: random.Random, number: str) -> list[str]:
        self._local.mkdir()
        write_once, size = self._server.write_once, max(self._plan.size, 2 * SLICE)
        maker = Maker(folder, self._local, chance, size, write_once)
        operation = chance.choice(WRITE_ONCE_KINDS if write_once else KINDS)(maker)
        moment = self._choose(operation, chance)
        self._server.catch_up()
        self._server.clear()
        failures: list[str] = []
        words: list[str] = []
        try:
            _prepare(fresh(self._server), operation)
            words = self._play(operation, moment, chance, failures)
            self._end(self._possible(operation), failures)
        except Exception:
            failures.append(traceback.format_exc())
        self._clear(operation)
        result = "ok" if not failures else "FAILED: " + "; ".join(failures)
        self._plan.say(f"{number} {operation.name}: {moment}: {', '.join(words)}: {result}")
        return failures

    def _choose(self, operation: Operation, chance: random.Random) -> Moment:
        raise NotImplementedError

    def _play(self, operation: Operation, moment: Moment, chance: random.Random, failures: list[str]) -> list[str]:
        raise NotImplementedError

    def _seen(self, kind: str, start: int) -> list[Event]:
        return [event for event in self._server.log(start) if event["kind"] == kind and event.get("op") in CHANGING]

    def _reach(self, moment: Moment, start: int, running: Client) -> bool:
        """Wait for the moment; return whether it came before the operation was over."""
        server = self._server
        if moment.how == "called":
            return server.wait_for_either(running, lambda: running.has_said("began"))
        if moment.how == "seen":
            reached = server.wait_for_either(running, lambda: len(self._seen("answered", start)) >= moment.nth)
        else:
            kind = "stalled" if _is_in_store(moment) else "held"
            reached = server.wait_for_either(running, lambda: any(event["kind"] == kind for event in server.log(start)))
        if reached and moment.extra:
            enough = len(self._seen("arrived", start)) + moment.extra
            server.wait_for_either(running, lambda: len(self._seen("arrived", start)) >= enough)
        return reached

    def _examine(self, operation: Operation, failures: list[str]) -> str:
        """Look at what a kill has left; return in a word how far the operation had come."""
        fs = fresh(self._server)
        failures += look(fs, operation)
        shown, states = set(listed(fs, operation)), []
        for path in operation.paths:
            content = read(fs, path)
            if (path in shown) != (content is not None) or fs.exists(path) != (path in shown):
                failures.append(f"{path} is {'' if path in shown else 'not '}listed, and not so when it is read")
            before, after = operation.allowed(path)
            if before != after:
                states.append("new" if content == after else "old")
        hidden = [upload["place"] for upload in fs.uploads(operation.folder)] if self._is_there(fs, operation) else []
        for place in hidden:
            # an unfinished upload stands in the place where an object is to be, perhaps beside the old one
            if place not in operation.before and fs.exists(place):
                failures.append(f"the hidden {place} exists for readers")
        self.counts["hidden things after a kill"] += len(hidden)
        word = "part" if len(set(states)) > 1 else "".join(set(states))
        self.counts[f"found {word}"] += 1
        return word + (f", {len(hidden)} hidden" if hidden else "")

    def _is_there(self, fs: Any, operation: Operation) -> bool:
        """Return whether there may be unfinished uploads: in coffers there may be without any directory."""
        return self._server.write_once or fs.exists(operation.folder)

    def _clean(self, operation: Operation, failures: list[str]) -> None:
        """Remove what is unfinished; nothing hidden may be left, and nothing else may be gone."""
        fs = fresh(self._server)
        before = {path: read(fs, path) for path in operation.paths}
        if self._is_there(fs, operation):
            fs.clean_uploads(operation.folder, older_than=0)
            failures += [f"cleaning has left {upload['place']}" for upload in fs.uploads(operation.folder)]
        failures += [f"cleaning has changed {path}" for path in before if read(fs, path) != before[path]]
        there = {path for path, content in before.items() if content is not None}
        failures += [f"cleaning has left {path}" for path in sorted(everything(fs, operation.folder).keys() - there)]

    def _repeat(self, operation: Operation, failures: list[str]) -> None:
        """Do the operation once more: it succeeds, or says that what it moves or removes is gone already."""
        gone = operation.gone or tuple(operation.moves)
        fs = fresh(self._server)
        done = bool(gone) and not any(fs.exists(path) for path in gone)
        outcome = self._perform(operation)
        if self._server.write_once and outcome["error"] == "CosFileExistsError":
            outcome = self._repeat_once(operation, outcome, failures)
        if outcome["error"] is not None and not (done and "FileNotFoundError" in outcome["error"]):
            failures.append(f"the repetition raised {outcome['trace']}")

    def _perform(self, operation: Operation) -> dict[str, Any]:
        return perform(fresh(self._server, **self._own_options()), operation.task)

    def _stored(self, operation: Operation) -> dict[str, bytes]:
        """Return what of the new is there already."""
        fs = fresh(self._server)
        new = operation.after.keys() - operation.before.keys()
        return {path: operation.after[path] for path in new if read(fs, path) == operation.after[path]}

    def _repeat_once(self, operation: Operation, refused: dict[str, Any], failures: list[str]) -> dict[str, Any]:
        """A name is taken: by what is stored, which is right, or by an unfinished upload, which can be given up."""
        if self._stored(operation):
            self.counts["repetitions that found it stored"] += 1
            self._partly = True
            return {**refused, "error": None}
        fs = fresh(self._server)
        held = fs.uploads(operation.folder)
        for upload in held:
            if operation.resumes and upload["stored"]:
                failures.append(f"the same call could not go on with {upload['stored']} bytes of {upload['name']}")
            fs.abort_upload(upload["name"])
        if not held:
            failures.append("nothing holds the name that is refused")
        self.counts["names that were freed"] += len(held)
        return self._perform(operation)

    def _possible(self, operation: Operation) -> Operation:
        """Return the operation with what it can come to: what is stored cannot be stored again with the rest."""
        if not self._partly:
            return operation
        self._partly = False
        return operation.stopped_at(self._stored(operation))

    def _own_options(self) -> dict[str, Any]:
        return {name: self._options[name] for name in self._options.keys() - self._server.options.keys() - {"protocol"}}

    def _end(self, operation: Operation, failures: list[str]) -> None:
        """After the operation has succeeded at last, everything is as it should be, and nothing else is there."""
        self._clean(operation, failures)
        fs = fresh(self._server)
        failures += [
            f"in the end {path} is wrong" for path in operation.paths if read(fs, path) != operation.after.get(path)
        ]
        found = set(everything(fs, operation.folder))
        if found != operation.after.keys():
            failures.append(f"in the end there is more, or less: {sorted(found ^ operation.after.keys())}")
        failures += [f"in the end {path} is there" for path in operation.gone if fs.exists(path)]
        left = {folder.name: sorted(path.name for path in folder.glob("*"))
                for folder in (self._journal, self._temporary)}  # fmt: skip
        failures += [f"left in the folder {name}: {names}" for name, names in left.items() if names]

    def _clear(self, operation: Operation) -> None:
        fs = fresh(self._server)
        if not self._server.write_once and fs.exists(operation.folder):
            fs.rm(operation.folder, recursive=True)
        for folder in (self._local, self._journal):
            shutil.rmtree(folder, ignore_errors=True)
        for path in self._temporary.glob("*"):
            path.unlink()


def _prepare(fs: Any, operation: Operation) -> None:
    fs.makedirs(operation.folder, exist_ok=True)
    fs.pipe(dict(operation.before))


class _Client(_Kills):
    """The client dies."""

    def _choose(self, operation: Operation, chance: random.Random) -> Moment:
        how = chance.choice(("called", "seen", "seen", "held", "held", "acted", "acted"))
        nth = chance.randint(1, operation.requests)
        # where an answer is awaited, perhaps nothing else comes
        extra = chance.randint(0, 3) if how == "seen" else 0
        late = chance.choice(("released first", "released before again", "released after again"))
        if self._server.write_once and late == "released after again":
            # what the service holds holds its name too
            late = "released before again"
        return Moment(ANY_CHANGE, nth, how, extra=extra, late=late if how == "held" else "")

    def _play(self, operation: Operation, moment: Moment, chance: random.Random, failures: list[str]) -> list[str]:
        held = moment.how in ("held", "acted")
        while (
            not (reached := self._kill(operation, moment, failures)) and moment.nth > 1 and not self._server.write_once
        ):
            # it was over before: begin anew, and kill earlier
            if held:
                self._server.release("hold")
            moment = replace(moment, nth=moment.nth // 2, extra=0)
            self._begin_anew(operation)
        if held and moment.late in ("", "released first"):
            self._release(held)
            held = False
        words = [f"killed at {moment}" if reached else "not killed", self._examine(operation, failures)]
        if moment.late == "released before again":
            held = self._release(held)
        elif chance.random() < 0.5:
            self._clean(operation, failures)
            words.append("cleaned")
        with Reader(self._server, operation) as reader:
            self._repeat(operation, failures)
            held = self._release(held)
        failures += reader.failures
        self.counts["looks"] += reader.looks
        return words

    def _begin_anew(self, operation: Operation) -> None:
        fs = fresh(self._server)
        fs.rm(operation.folder, recursive=True)
        shutil.rmtree(self._journal, ignore_errors=True)
        _prepare(fs, operation)

    def _kill(self, operation: Operation, moment: Moment, failures: list[str]) -> bool:
        """Have a process do it, and kill it; return whether it was killed before it was done."""
        server = self._server
        with Client(self._options, self._temporary, server.changed) as running:
            running.prepare(operation.task["action"], *operation.task["arguments"])
            start = server.mark("process")
            if moment.how in ("held", "acted"):
                server.hold("hold", ANY_CHANGE, nth=moment.nth, acted=moment.how == "acted")
            with Reader(server, operation) as reader:
                running.go()
                reached = self._reach(moment, start, running)
                running.kill()
            if moment.how in ("called", "seen"):
                # nothing is held: what it still has in flight must not act while somebody looks
                server.settle()
            over = running.has_said("outcome")
            if over and (error := running.outcome()["error"]):
                failures.append(f"the operation raised {error}: {running.outcome()['trace']}")
        failures += reader.failures
        self.counts["looks"] += reader.looks
        self.summary.kills += reached and not over
        return reached

    def _release(self, held: bool) -> bool:
        """Let the service go on with what it holds of the dead client, and wait until it has."""
        if held:
            server = self._server
            waiting = {event["request"] for event in server.log() if event["kind"] == "held"}
            server.release("hold")
            server.wait_for(lambda: waiting <= {event["request"] for event in self._seen("answered", 0)})
        return False


class _Emulator(_Kills):
    """The service dies: it comes back while its client tries again, or only after that has given up."""

    def __init__(self, plan: Plan, server: Server) -> None:
        super().__init__(plan, server)
        self._clients = {
            patient: Client({**self._options, "max_retries": retries}, self._temporary, server.changed)
            for patient, retries in ((True, 8), (False, 1))
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._clients.values():
            running.kill()

    def _choose(self, operation: Operation, chance: random.Random) -> Moment:
        if chance.random() < 0.5:
            how, nth = chance.choice(("seen", "held", "acted")), chance.randint(1, operation.requests)
            return Moment(ANY_CHANGE, nth, how, extra=chance.randint(0, 2) if how == "seen" else 0)
        place = chance.choice(operation.places)
        how = chance.choice(("before", "after", "half") if place == "_write" else ("before", "after"))
        # such requests are signed for one use, which the service notes in a transaction of its own
        twice = place == "writing" and operation.step.name.startswith(("mv", "cp", "rm"))
        return Moment(place, chance.randint(1, operation.requests * (2 if twice else 1)), how)

    def _play(self, operation: Operation, moment: Moment, chance: random.Random, failures: list[str]) -> list[str]:
        server, patient = self._server, chance.random() < 0.6
        running = self._clients[patient]
        running.prepare(operation.task["action"], *operation.task["arguments"])
        start = server.mark("process")
        if _is_in_store(moment):
            server.stall("stall", moment.op, moment.nth, moment.how)
        elif moment.how != "seen":
            server.hold("hold", ANY_CHANGE, nth=moment.nth, acted=moment.how == "acted")
        with Reader(server, operation) as reader:
            running.go()
            reached = self._reach(moment, start, running)
            self.summary.kills += reached
            if reached:
                server.kill()
                if not patient:
                    running.outcome()
                server.restart()
            outcome = running.outcome()
        failures += reader.failures
        self.counts["looks"] += reader.looks
        self.counts["looks while it was gone"] += reader.interrupted
        self._check_store(failures)
        words = [("killed" if reached else "not killed") + (", back at once" if patient else ", back late")]
        words += [self._check_outcome(operation, outcome, reached, failures)]
        words += [self._examine(operation, failures)]
        if outcome["error"] is not None:
            if chance.random() < 0.5:
                self._clean(operation, failures)
            self._repeat(operation, failures)
        elif words[-1] not in ("new", ""):
            failures.append("the client says that all went well")
        if not reached:
            self._forget(moment)
        return words

    def _check_store(self, failures: list[str]) -> None:
        """Nothing that was confirmed is lost, and the folder is in order."""
        server = self._server
        server.catch_up()
        failures += Confirmed(server.log()).missing(fresh(server), server.bucket)
        failures += inconsistent(self._plan.folder / "service")

    def _check_outcome(self, operation: Operation, outcome: dict[str, Any], reached: bool, failures: list[str]) -> str:
        """The client succeeds, or says clearly that the service cannot be reached."""
        error = outcome["error"]
        if error is None:
            self.counts["clients that succeeded"] += reached
            return "succeeded"
        self.counts["clients that reported an error"] += 1
        named = str(outcome["filename"])
        clear = error.endswith(NOT_THERE) and outcome["errno"] and named.startswith(operation.folder)
        if not (reached and clear):
            failures.append(f"the client raised {outcome['trace']}")
        return f"raised {error} {outcome['errno']}"

    def _forget(self, moment: Moment) -> None:
        if _is_in_store(moment):
            self._server.unstall()
        elif moment.how != "seen":
            self._server.release("hold")
