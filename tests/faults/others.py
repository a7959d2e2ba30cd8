"""One cell with another client: a case, a fault, and what the other client does before the case goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial

from cosv4fs.emulator import faults
from cosv4fs.errors import CosError
from tests.catalogue import Effect, Place
from tests.faults import cells, history
from tests.faults.bench import Bench, prepared
from tests.faults.cells import Cell, attempt, time_limit
from tests.faults.history import Event, State, explain
from tests.faults.judge import Verdict, bad_error
from tests.faults.races import ACTS, BEYOND, RACES, Race
from tests.meanwhile import BETWEEN, PUBLISHING, Meanwhile

SILENCE = "reply lost, and silence"
"""The service answers nothing afterwards: nobody can ask whether the request was carried out."""

ALONE = "no other client"
"""The row of cases during which no other client acts."""

FAULTS = {**BETWEEN, SILENCE: faults.DropReply()}
"""What happens to a request while another client acts, by name."""

_ASKING = ("stat", "upload_slice_list", "list")
"""Requests that may be made only where something went wrong."""

ROWS = {ALONE: ("", ""), **{f"{fault}, other client {act}": (fault, act) for fault in FAULTS for act in ACTS}}
"""The rows of the table by name."""

_MOST_NTH = 3
"""Of requests of one kind, the first ones and the last are struck."""

_TIMEOUT = 30.0
_REFUSALS = {"cdcs": faults.Refuse("PolicyCheckFailed")}


@dataclass(frozen=True)
class OtherClient:
    """What another client does, and when."""

    # what happens to the request, and what the other client does then
    fault: str
    act: str
    spot: str
    op: str
    nth: int


@dataclass(frozen=True)
class Baseline:
    """A case during which no other client acts: the state before, the requests in their order, and the cell."""

    before: State
    requests: tuple[str, ...]
    cell: Cell


@dataclass
class _Run:
    """One case during which other clients act, and what was seen of it."""

    bench: Bench
    race: Race
    at: Place
    place: Place
    events: list[Event] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    silent: bool = False
    acting: bool = False

    def path(self, spot: str) -> str:
        return f"{self.place.beyond}/{spot[len(BEYOND) :]}" if spot.startswith(BEYOND) else self.place / spot

    @property
    def is_beyond(self) -> bool:
        """Whether another bucket belongs to the race."""
        return any(spot.startswith(BEYOND) for spot in self.race.spots)

    def look(self) -> tuple[State, list[str]]:
        state, hidden = self.bench.look(self.place)
        if self.is_beyond:
            more, hidden_there = self._look_beyond()
            state |= {BEYOND + name: data for name, data in more.items()}
            hidden += [BEYOND + name for name in hidden_there]
        return {name: data for name, data in state.items() if not name.startswith("local/")}, hidden

    def _look_beyond(self) -> tuple[State, list[str]]:
        try:
            return self.bench.look(replace(self.place, root=self.place.beyond))
        except FileNotFoundError:
            return {}, []

    def act(self, other: OtherClient) -> None:
        """Look, and let the other client act; what goes wrong here is part of the verdict."""
        act, ours = ACTS[other.act], self.race.spots[other.spot].data
        error: Exception | None = None
        self.acting = True
        try:
            seen = self.look()[0]
            try:
                act.run(self.bench.second, self.path(other.spot), ours)
            except OSError as refusal:
                error = refusal
            transition = act.transition(other.spot, ours)
            if self.race.case.write_once:
                transition = history.without_directories(transition)
            self.events.append(Event(other.spot, seen, transition, error is None))
        except Exception as unexpected:
            self.problems.append(f"the other client met {type(unexpected).__name__}: {unexpected}")
        if error is None and act.on == "upload":
            self.finished.add(other.spot)
        elif act.on == "upload" and other.spot not in self.finished:
            self.problems.append(f"the other client could not finish: {type(error).__name__}: {error}")
        self.silent = other.fault == SILENCE
        self.acting = False

    def act_later(self, other: OtherClient) -> None:
        """Let the other client act in the pause before the retry: a coffer holds the name of a request in flight."""

        def act() -> None:
            self.bench.on_pause = lambda: None
            self.act(other)

        self.bench.on_pause = act

    def order(self, action: faults.Action, op: str | None, nth: int, times: int | None = 1) -> faults.Fault:
        """Order a fault that meets no request of another client, and none in the silence."""
        match = lambda call: not (self.acting or self.silent)  # noqa: E731
        return self.bench.emulator.faults.add(action=action, op=op, nth=nth, times=times, match=match)


def run_baseline(bench: Bench, race: Race) -> Baseline:
    """Carry out a case during which no other client acts."""
    began = time.monotonic()
    with _ready(bench, race) as run, time_limit():
        before = run.look()[0]
        bench.emulator.clear_requests()
        _, error = attempt(race.case, run.at)
        requests = tuple(record.op for record in bench.emulator.requests)
        if (error is not None) is not bool(race.refused):
            run.problems.append("it fails though nothing is wrong" if error is not None else "it should have failed")
        bench.emulator.faults.clear()
        verdict, detail = _judge(run, before, error)
    assert requests, race.case.name
    cell = Cell(race.case.name, ALONE, "-", verdict, detail, time.monotonic() - began)
    return Baseline(before, requests, cell)


def cells_of(race: Race, known: Baseline, fault: str, act: str) -> Iterator[OtherClient]:
    """Yield where and when another client does this beside an operation."""
    counts = {op: known.requests.count(op) for op in dict.fromkeys(known.requests)}
    for name, spot in race.acts:
        for op, count in counts.items() if name == act else ():
            for nth in sorted({*range(1, min(count, _MOST_NTH) + 1), count}):
                yield OtherClient(fault, act, spot, op, nth)


def play(bench: Bench, race: Race, known: Baseline, *others: OtherClient) -> Cell:
    """Carry out a case during which other clients act, and judge the result."""
    began = time.monotonic()
    with _ready(bench, race) as run, time_limit():
        act = run.act_later if race.case.write_once else run.act
        actions = [Meanwhile(partial(act, other), FAULTS[other.fault]) for other in others]
        rules = [run.order(action, other.op, other.nth) for action, other in zip(actions, others, strict=True)]
        bench.emulator.faults.add(
            action=faults.DropBefore(), times=None, match=lambda call: run.silent and not run.acting
        )
        _, error = attempt(race.case, run.at)
        bench.emulator.faults.clear()
        hit = [action for action, rule in zip(actions, rules, strict=True) if rule.hits]
        assert all(action.done.wait(_TIMEOUT) for action in hit)
        bench.on_pause()
        verdict, detail = _judge(run, known.before, error) if hit else (Verdict.NOT_HIT, "")
    unseen = any(_is_unseen(other, known.requests, race.case.effect) for other in others)
    if verdict is Verdict.LOST and race.asks_first and unseen:
        verdict = Verdict.BLIND
    row = " + ".join(f"{other.fault}, other client {other.act}" for other in others)
    moment = " + ".join(f"{other.op} {other.nth}, at {other.spot}" for other in others)
    return Cell(race.case.name, row, moment, verdict, detail, time.monotonic() - began)


def _is_unseen(other: OtherClient, requests: tuple[str, ...], effect: Effect) -> bool:
    """Return whether another client acts after the last question and before what relies on the answer.

    That is a removal, or the request that publishes a file which was appended to. The service does both without
    conditions, so no client can notice. Where a status is followed by a listing, that tells
    no SHA-1: the status was the last question.
    """
    if effect.adds is not None:
        return other.op in PUBLISHING
    if other.op == "list":
        # an operation that gives up may list more than its baseline did
        return (
            "in equal size" in other.act
            and requests[-3:] == ("stat", "list", "delete")
            and requests.count("list") == other.nth
        )
    return other.fault == "nothing wrong" and other.op == "delete"


@contextmanager
def _ready(bench: Bench, race: Race) -> Iterator[_Run]:
    refusal = _REFUSALS.get(bench.protocol, faults.Refuse(-182))
    with prepared(bench, race.case) as (at, place):
        race.begin(bench, at)
        run = _Run(bench, race, at, place)
        for op, nth in race.refused.get(bench.protocol, {}).items():
            run.order(refusal, op, nth, times=None)
        yield run


def _judge(run: _Run, before: State, error: BaseException | None) -> tuple[Verdict, str]:
    said = f" [{type(error).__name__}: {error}]" if error is not None else ""
    odd = [*run.problems, bad_error(error, run.place) if error is not None else ""]
    try:
        state, _ = run.look()
        happened = explain(before, run.race.units, run.events, state, failed=error is not None)
        if happened is None:
            odd.append(_contradiction(before, run.events, state, error))
        odd.append(_leftovers(run, state))
    except CosError as unreadable:
        odd.append(f"what is stored cannot be read: {unreadable}")
    odd = [problem for problem in odd if problem]
    if odd:
        return Verdict.LOST, "; ".join(odd) + said
    if error is None:
        return Verdict.SURVIVED, ""
    return (Verdict.DONE if happened == len(run.race.units) else Verdict.REPORTED), said.strip()


def _leftovers(run: _Run, state: State) -> str:
    """Remove what is hidden, and return what is wrong then."""
    if run.race.kinds == "upload":
        return ""
    for folder in (run.place.root, *([run.place.beyond] if run.is_beyond else [])):
        with suppress(FileNotFoundError):
            run.bench.second.clean_uploads(folder, older_than=-60)
    after, hidden = run.look()
    if after != state:
        return f"clean_uploads makes of it {_short(after)}"
    return f"clean_uploads leaves {hidden}" if hidden else ""


def _contradiction(before: State, events: list[Event], state: State, error: BaseException | None) -> str:
    steps = [f"there was {_short(before)}"]
    for event in events:
        did = "changed" if event.succeeded else "could not change"
        steps.append(f"another client saw {_short(event.seen)} and {did} {event.spot}")
    steps.append(f"{'an error' if error is not None else 'a success'} leaves {_short(state)}")
    return ", ".join(steps)


def _short(state: State) -> str:
    names = {name: "/" if data is None else f"{len(data)} {hash_of(data)}" for name, data in sorted(state.items())}
    return "{" + ", ".join(f"{name}: {text}" for name, text in names.items()) + "}"


def hash_of(data: bytes | str) -> str:
    """Return a few letters that tell contents of one size apart."""
    return f"{abs(hash(data)) % 4096:03x}" if isinstance(data, bytes) else data


def _column(bench: Bench, name: str, chosen: Sequence[str]) -> Iterator[Callable[[], Cell]]:
    """Yield what plays the cells of one operation with these rows; nothing for what changes nothing."""
    rows = [row for row in chosen if row in ROWS]
    if not rows or name not in RACES[bench.protocol]:
        return
    race = RACES[bench.protocol][name]
    known = run_baseline(bench, race)
    for row in rows:
        if row == ALONE:
            yield lambda: known.cell
            continue
        for other in cells_of(race, known, *ROWS[row]):
            yield partial(play, bench, race, known, other)


def column(protocol: str, name: str, chosen: list[str]) -> list[Cell]:
    """Play the cells of one operation, other clients included, on a service of their own."""
    with Bench(protocol) as bench:
        return [play() for play in [*cells.column(bench, name, chosen), *_column(bench, name, chosen)]]


def pairs(protocol: str, seed: int, count: int, names: list[str]) -> list[Cell]:
    """Play cells in which two other clients act, on a service of their own; the same seed draws the same ones."""
    races, chance = RACES[protocol], random.Random(seed)
    names = [name for name in names if name in races]
    with Bench(protocol) as bench:

        @cache
        def known(name: str) -> Baseline:
            return run_baseline(bench, races[name])

        def draw(name: str) -> OtherClient:
            act, spot = chance.choice(races[name].acts)
            op = chance.choice([*dict.fromkeys((*known(name).requests, *_ASKING))])
            return OtherClient(chance.choice([*FAULTS]), act, spot, op, chance.randint(1, 3))

        played = []
        while names and len(played) < count:
            name = chance.choice(names)
            first, second = draw(name), draw(name)
            # one request is struck by one fault
            if (first.op, first.nth) != (second.op, second.nth):
                played.append(play(bench, races[name], known(name), first, second))
        return played
