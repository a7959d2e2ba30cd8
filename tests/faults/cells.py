"""One cell of the table: a case, a fault, and when it strikes; carried out and judged. And the table as text."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from cosv4fs.emulator import faults
from cosv4fs.errors import CosError
from tests.catalogue import Place
from tests.catalogue.cases import CASES, Case
from tests.faults.bench import EXTRA, Bench, State, extra_state, prepared
from tests.faults.judge import Baseline, Moment, Outcome, Verdict, judge

_MOST_SECONDS = 60
_QUICK_TIMEOUT = 0.1
"""Seconds that the client waits for a reply where one is held back: less than the service holds it."""

_MOST_TRIES = 5
"""How often a cell is played again on a machine that is so busy that other requests time out than those struck."""

_OPENING = ("upload_slice_init", "upload_slice", "InitiateMultipartUpload")
_SLOW = (faults.Stall, faults.StallReply)


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
    """Yield the moments at which faults strike in an operation that makes these requests."""
    for nth in range(1, min(3, len(requests)) + 1):
        yield Moment(None, nth, forever=False)
    distinct = list(dict.fromkeys(requests))
    for op in distinct:
        if requests.index(op) > 2:
            yield Moment(op, 1, forever=False)
    yield Moment(None, 1, forever=True)
    for op in distinct[1:]:
        yield Moment(op, 1, forever=True)


def run_baseline(bench: Bench, case: Case) -> Baseline:
    """Do an operation without faults.

    An `AssertionError` says that it does not do what it should, so that the table would say nothing.
    """
    with prepared(bench, case) as (at, place):
        before = _look(bench, case, place)[0]
        bench.emulator.clear_requests()
        result = case.run(at)
        requests, openings = tuple(record.op for record in bench.emulator.requests), _openings(bench)
        after = _look(bench, case, place)[0]
    assert result == case.expected, f"{case.name}: {result!r}"[:300]
    _check_effect(case, after)
    assert requests, case.name
    return Baseline(before, after, requests, openings)


def _check_effect(case: Case, after: State) -> None:
    """Assert that the state after a case is what the catalogue says."""
    wanted, fetched = case.state.after(case.effect.change), case.effect.fetched or {}
    expected = {name: content.data for name, content in wanted.files.items()}
    expected |= {f"local/{name}": content.data for name, content in fetched.items()}
    shown = {name: data for name, data in after.items() if isinstance(data, bytes)}
    stored = {name: data for name, data in shown.items() if name in expected or not name.startswith("local/")}
    assert stored == expected, f"{case.name} stores {sorted(stored)} instead of {sorted(expected)}"
    folders = {name for name, data in after.items() if data is None and not name.startswith("local/")}
    assert case.write_once or folders == wanted.folders, f"{case.name} makes {folders} instead of {wanted.folders}"


def play(bench: Bench, case: Case, known: Baseline, fault: str, moment: Moment) -> Cell:
    """Do an operation with a fault and judge the result."""
    for _ in range(_MOST_TRIES):
        began = time.monotonic()
        with prepared(bench, case) as (at, place), time_limit():
            outcome = _perform(bench, case, at, place, fault, moment)
            verdict, detail = judge(case, known, outcome, bench.faults[fault], moment)
        if outcome.openings <= known.openings + outcome.hits:
            break
        # an upload was opened again that nothing had struck: another fault than the ordered one came in between
    return Cell(case.name, fault, str(moment), verdict, detail, time.monotonic() - began)


def column(bench: Bench, name: str, chosen: Sequence[str]) -> Iterator[Callable[[], Cell]]:
    """Yield what plays the cells of one case with these faults; nothing for cases of `races` only."""
    if name not in CASES[bench.protocol]:
        return
    case = CASES[bench.protocol][name]
    known = run_baseline(bench, case)
    for fault in chosen:
        for moment in moments(known.requests) if fault in bench.faults else ():
            yield partial(play, bench, case, known, fault, moment)


def _perform(bench: Bench, case: Case, at: Place, place: Place, fault: str, moment: Moment) -> Outcome:
    action, release = _fresh(bench.faults[fault])
    if action.stage == "connection" and moment.op is not None:
        return Outcome(fired=False)
    times = None if moment.forever else 1
    bench.emulator.clear_requests()
    rule = bench.emulator.faults.add(action=action, op=moment.op, nth=moment.nth, times=times)
    if isinstance(action, _SLOW):
        bench.shorten_timeout(at.fs, _QUICK_TIMEOUT)
    result, error = attempt(case, at)
    bench.emulator.faults.clear()
    release.set()
    bench.restore_timeout(at.fs)
    if isinstance(action, (*_SLOW, faults.Restart)):
        # what was held back, or is being restarted, has ended when this returns
        bench.emulator.restart()
    openings, hits = _openings(bench), rule.hits
    if not hits:
        return Outcome(fired=False, openings=openings)
    state, hidden = _look(bench, case, place)
    cleaned, again, stuck = hidden, None, False
    if hidden and case.resumes and case.write_once and error is not None:
        # the same call goes on with what was left: nobody has to clean up first
        again = attempt(case, at)
        cleaned, stuck = _look(bench, case, place)[1], again[1] is not None
    if cleaned and case.step.name not in EXTRA:
        bench.second.clean_uploads(place.root, older_than=-60)
        cleaned = _look(bench, case, place)[1]
    if error is not None and (again is None or stuck):
        again = attempt(case, at)
    last = state if error is None else _look(bench, case, place)[0]
    return Outcome(True, place, result, error, state, hidden, cleaned, again, last, stuck, openings, hits)


def _openings(bench: Bench) -> int:
    """Return how many uploads in pieces were opened, or asked to be."""
    return sum(
        record.op in _OPENING and record.offset is None and record.session is None for record in bench.emulator.requests
    )


def attempt(case: Case, at: Place) -> tuple[object, BaseException | None]:
    """Do an operation; return its result, or what it raised."""
    try:
        return case.run(at), None
    except Exception as error:
        return None, error


def _look(bench: Bench, case: Case, place: Place) -> tuple[State, list[str]]:
    try:
        state, hidden = bench.look(place)
        extra = extra_state(case, place)
        if extra is not None:
            state["extra"] = extra
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


_ORDER = (Verdict.LOST, Verdict.BLIND, Verdict.DONE, Verdict.REPORTED, Verdict.SURVIVED)
_LEGEND = (
    "s: survived, result and stored content are right. r: reported, one clear error, nothing damaged. "
    "d: reported although the service had done it. u: changed bytes that the service's record cannot show. "
    "L: lost. The number says at how many moments the fault struck; an empty field: it struck at none."
)


def summary(cells: Sequence[Cell]) -> str:
    """Return the sums in one line."""
    count = Counter(cell.verdict for cell in cells)
    fired = len(cells) - count[Verdict.NOT_HIT]
    reported = count[Verdict.REPORTED] + count[Verdict.DONE]
    return (
        f"injected {len(cells)}, fired {fired}, survived {count[Verdict.SURVIVED]}, reported {reported} "
        f"(done all the same {count[Verdict.DONE]}), undetectable {count[Verdict.BLIND]}, lost {count[Verdict.LOST]}"
    )


def markdown(cells: Sequence[Cell]) -> str:
    """Return the whole table, its sums, and every loss."""
    operations = list(dict.fromkeys(cell.operation for cell in cells))
    by_pair: dict[tuple[str, str], Counter[Verdict]] = {}
    for cell in cells:
        by_pair.setdefault((cell.fault, cell.operation), Counter())[cell.verdict] += 1
    lines = [summary(cells), "", _LEGEND, "", _row("fault", operations), _row("---", ["---"] * len(operations))]
    lines += [
        _row(fault, [_letters(by_pair.get((fault, name), Counter())) for name in operations])
        for fault in dict.fromkeys(cell.fault for cell in cells)
    ]
    totals = [Counter(cell.verdict for cell in cells if cell.operation == name) for name in operations]
    lines.append(_row("all", [_letters(total) for total in totals]))
    lost = [cell for cell in cells if cell.verdict is Verdict.LOST]
    lines += ["", *(f"* {cell.operation} / {cell.fault} / {cell.moment}: {cell.detail}" for cell in lost)]
    return "\n".join(lines).rstrip() + "\n"


def _row(head: str, fields: Iterable[str]) -> str:
    return f"| {' | '.join([head, *fields])} |"


def _letters(count: Counter[Verdict]) -> str:
    return " ".join(f"{count[verdict]}{verdict.value}" for verdict in _ORDER if count[verdict])
