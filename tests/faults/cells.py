"""One cell of the table: an operation, a fault, and when it strikes; played, looked at, and judged."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cosv4fs.emulator import faults
from cosv4fs.errors import CosError
from tests.faults.judge import Outcome, Verdict, judge
from tests.faults.operations import PROTOCOLS, Operation
from tests.faults.stage import Place, Stage, State

__all__ = [
    "Cell",
    "Moment",
    "Rehearsal",
    "attempt",
    "column",
    "moments",
    "play",
    "prepared",
    "rehearse",
    "time_limit",
]

_MOST_SECONDS = 60
_QUICK_TIMEOUT = 0.1
"""Seconds that the client waits for a reply where one is held back: less than the service holds it."""

_MOST_TRIES = 5
"""How often a cell is played again on a machine that is so busy that other requests time out than those struck."""

_OPENING = ("upload_slice_init", "upload_slice", "InitiateMultipartUpload")
_SLOW = (faults.Stall, faults.StallReply)


@dataclass(frozen=True)
class Moment:
    """When a fault strikes: at the nth request of an operation of the API (None: any), once or from then on."""

    op: str | None
    nth: int
    forever: bool

    def __str__(self) -> str:
        return f"{self.op or 'request'} {self.nth}{' and all after it' if self.forever else ''}"


@dataclass(frozen=True)
class Rehearsal:
    """What an operation does without faults: state before and after, and the requests in their order."""

    before: State
    after: State
    requests: tuple[str, ...]
    openings: int


@dataclass(frozen=True)
class Cell:
    """A cell that was played."""

    operation: str
    fault: str
    moment: str
    verdict: Verdict
    detail: str
    seconds: float


def moments(requests: tuple[str, ...]) -> Iterator[Moment]:
    """Yield when faults shall strike in an operation that makes these requests."""
    for nth in range(1, min(3, len(requests)) + 1):
        yield Moment(None, nth, forever=False)
    distinct = list(dict.fromkeys(requests))
    for op in distinct:
        if requests.index(op) > 2:
            yield Moment(op, 1, forever=False)
    yield Moment(None, 1, forever=True)
    for op in distinct[1:]:
        yield Moment(op, 1, forever=True)


def rehearse(stage: Stage, operation: Operation) -> Rehearsal:
    """Do an operation without faults.

    Raises
    ------
    AssertionError
        It does not do what it should, so that the table would say nothing.
    """
    with prepared(stage, operation) as (fs, place):
        before = _look(stage, operation, place)[0]
        stage.emulator.clear_requests()
        result = operation.run(fs, place)
        requests, openings = tuple(record.op for record in stage.emulator.requests), _openings(stage)
        after = _look(stage, operation, place)[0]
    assert result == operation.expected, f"{operation.name}: {result!r}"[:300]
    assert requests, operation.name
    return Rehearsal(before, after, requests, openings)


def play(stage: Stage, operation: Operation, known: Rehearsal, fault: str, moment: Moment) -> Cell:
    """Do an operation with a fault and judge what came of it."""
    for _ in range(_MOST_TRIES):
        began = time.monotonic()
        with prepared(stage, operation) as (fs, place), time_limit():
            outcome = _perform(stage, operation, fs, place, fault, moment)
            verdict, detail = judge(operation, known, outcome, stage.faults[fault], moment)
        if outcome.openings <= known.openings + outcome.hits:
            break
        # an upload was opened again that nothing had struck: another fault than the ordered one came in between
    return Cell(operation.name, fault, str(moment), verdict, detail, time.monotonic() - began)


def column(stage: Stage, name: str, chosen: Sequence[str]) -> Iterator[Callable[[], Cell]]:
    """Yield what plays the cells of one operation with these faults; nothing for what only strangers contest."""
    if name not in PROTOCOLS[stage.protocol]:
        return
    operation = PROTOCOLS[stage.protocol][name]
    known = rehearse(stage, operation)
    for fault in chosen:
        for moment in moments(known.requests) if fault in stage.faults else ():
            yield partial(play, stage, operation, known, fault, moment)


def _perform(stage: Stage, operation: Operation, fs: Any, place: Place, fault: str, moment: Moment) -> Outcome:
    action, release = _fresh(stage.faults[fault])
    if action.stage == "connection" and moment.op is not None:
        return Outcome(fired=False)
    times = None if moment.forever else 1
    stage.emulator.clear_requests()
    rule = stage.emulator.faults.add(action=action, op=moment.op, nth=moment.nth, times=times)
    if isinstance(action, _SLOW):
        stage.be_hasty(fs, _QUICK_TIMEOUT)
    result, error = attempt(operation, fs, place)
    stage.emulator.faults.clear()
    release.set()
    stage.be_patient(fs)
    if isinstance(action, (*_SLOW, faults.Restart)):
        # what was held back, or is being restarted, has ended when this returns
        stage.emulator.restart()
    openings, hits = _openings(stage), rule.hits
    if not hits:
        return Outcome(fired=False, openings=openings)
    state, hidden = _look(stage, operation, place)
    cleaned, again, stuck = hidden, None, False
    if hidden and operation.keeps and operation.once and error is not None:
        # the same call goes on with what was left: nobody has to clean up first
        again = attempt(operation, fs, place)
        cleaned, stuck = _look(stage, operation, place)[1], again[1] is not None
    if cleaned and operation.extra is None:
        stage.second.clean_uploads(place.remote, older_than=-60)
        cleaned = _look(stage, operation, place)[1]
    if error is not None and (again is None or stuck):
        again = attempt(operation, fs, place)
    last = state if error is None else _look(stage, operation, place)[0]
    return Outcome(True, place, result, error, state, hidden, cleaned, again, last, stuck, openings, hits)


def _openings(stage: Stage) -> int:
    """Return how many uploads in pieces were opened, or asked to be."""
    return sum(
        record.op in _OPENING and record.offset is None and record.session is None for record in stage.emulator.requests
    )


def attempt(operation: Operation, fs: Any, place: Place) -> tuple[object, BaseException | None]:
    """Do an operation; return its result, or what it raised."""
    try:
        return operation.run(fs, place), None
    except Exception as error:
        return None, error


@contextmanager
def prepared(stage: Stage, operation: Operation) -> Iterator[tuple[Any, Place]]:
    """Make a place ready for an operation; yield the client under test and the place."""
    place = stage.place()
    fs = stage.client(**operation.options)
    try:
        operation.setup(stage, place)
        operation.warm(fs, place)
        yield fs, place
    finally:
        stage.emulator.faults.clear()
        fs.client.close()
        operation.teardown(stage, place)


def _look(stage: Stage, operation: Operation, place: Place) -> tuple[State, list[str]]:
    try:
        state, hidden = stage.look(place)
        if operation.extra is not None:
            state["extra"] = operation.extra(stage, place)
    except CosError as error:
        return {"unreadable": str(error)}, []
    return state, hidden


def _fresh(action: faults.Action) -> tuple[faults.Action, threading.Event]:
    release = threading.Event()
    if isinstance(action, _SLOW):
        action = replace(action, release=release, entered=threading.Event())
    return action, release


@contextmanager
def time_limit() -> Iterator[None]:
    """End a cell that hangs."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"the cell took longer than {_MOST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(_MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
