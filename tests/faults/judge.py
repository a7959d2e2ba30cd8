"""The verdict on a case that a fault struck: survived, reported, or lost."""

from __future__ import annotations

import builtins
import dataclasses
from dataclasses import dataclass, field
from enum import Enum

from cosv4fs.emulator import faults
from cosv4fs.errors import CosError
from tests.catalogue import Place
from tests.catalogue.cases import Case
from tests.catalogue.coffers import own_coffer
from tests.faults.bench import ENDLESS, EXTRA, State


class Verdict(Enum):
    """What the client made of a fault; the value is the letter in the table."""

    SURVIVED = "s"
    """The result and what is stored are right."""
    REPORTED = "r"
    """One clear error, nothing damaged, nothing left that is not documented, and the next call succeeds."""
    DONE = "d"
    """As reported, but the service had done it already: its answer was lost, or made no sense."""
    BLIND = "u"
    """Changed bytes that nobody can notice: the service says no SHA-1 of what was read."""
    LOST = "L"
    """Anything else."""
    NOT_HIT = "-"
    """The operation makes no such request, or the fault has no effect on it."""


@dataclass(frozen=True)
class Moment:
    """When a fault strikes: at the nth request of an operation of the API (None: any), once or from then on."""

    op: str | None
    nth: int
    forever: bool

    def __str__(self) -> str:
        return f"{self.op or 'request'} {self.nth}{' and all after it' if self.forever else ''}"


@dataclass(frozen=True)
class Baseline:
    """A case without faults: state before and after, and the requests in their order."""

    before: State
    after: State
    requests: tuple[str, ...]
    openings: int


@dataclass(frozen=True)
class Outcome:
    """What was seen of a cell."""

    fired: bool
    place: Place | None = None
    result: object = None
    error: BaseException | None = None
    # what was stored then
    state: State = field(default_factory=dict)
    # what lay hidden then, and after `clean_uploads`
    hidden: list[str] = field(default_factory=list)
    cleaned: list[str] = field(default_factory=list)
    # what the same call returned or raised without the fault, after an error
    again: tuple[object, BaseException | None] | None = None
    last: State = field(default_factory=dict)
    # whether the same call could not go on with what was left, before that was cleaned
    stuck: bool = False
    # how many uploads in pieces were opened; how often the fault struck
    openings: int = 0
    hits: int = 0


_OPENING = ("upload_slice_init", "InitiateMultipartUpload")
_OF_ACCOUNT = ("GetService",)
_REMOVING = ("delete", "AbortMultipartUpload")
_BODILESS = ("HeadObject",)
"""Replies that have no body: they say no code, and their length is nothing but what a header says."""


def judge(case: Case, known: Baseline, seen: Outcome, action: faults.Action, moment: Moment) -> tuple[Verdict, str]:
    """Return the verdict on a cell, and the reason where it needs one."""
    forever = moment.forever
    if not seen.fired:
        return Verdict.NOT_HIT, ""
    if seen.error is None:
        return _judge_success(case, known, seen, action, moment)
    for fault in (
        _bad_error(seen, known, action, forever and _strikes(moment, known) not in _BODILESS),
        _bad_state(case, known, seen),
        _bad_leftovers(case, seen, _may_stay(case, action, moment, known)),
        _bad_repetition(case, known, seen),
    ):
        if fault:
            return Verdict.LOST, f"{fault} [{type(seen.error).__name__}: {seen.error}]"
    done = seen.state == known.after != known.before
    return (Verdict.DONE if done else Verdict.REPORTED), f"{type(seen.error).__name__}: {seen.error}"


def _judge_success(
    case: Case, known: Baseline, seen: Outcome, action: faults.Action, moment: Moment
) -> tuple[Verdict, str]:
    # what cannot be removed because the removal itself is refused stays hidden, for clean_uploads
    tidied = (_strikes(moment, known) in _REMOVING or _acts_late(action)) and not seen.cleaned
    if seen.hidden and case.step.name not in EXTRA and not tidied:
        return Verdict.LOST, f"it says that it succeeded, and leaves {seen.hidden}"
    if seen.result == case.expected and seen.state == known.after:
        return Verdict.SURVIVED, ""
    if case.unverified and isinstance(action, faults.Corrupt) and _few_bytes_off(case, known, seen):
        return Verdict.BLIND, "bytes differ, and nothing says so"
    if case.write_once and isinstance(action, faults.WrongLength) and _is_resized(case, known, seen, action.by):
        return Verdict.BLIND, "the size is another, and nothing says so"
    if seen.result != case.expected:
        return Verdict.LOST, f"it returned {_short(seen.result)} for {_short(case.expected)}"
    return Verdict.LOST, f"it says that it succeeded, but {_difference(seen.state, known.after)}"


def _strikes(moment: Moment, known: Baseline) -> str:
    return moment.op or known.requests[moment.nth - 1]


def _few_bytes_off(case: Case, known: Baseline, seen: Outcome) -> bool:
    """Return whether the result is what it should be but for the bytes that were flipped, one per reply."""
    pairs = [(seen.result, case.expected), *((seen.state.get(name), known.after[name]) for name in known.after)]
    changed = [(one, other) for one, other in pairs if one != other]
    return set(seen.state) == set(known.after) and all(
        isinstance(one, bytes)
        and isinstance(other, bytes)
        and len(one) == len(other)
        and sum(mine != theirs for mine, theirs in zip(one, other, strict=True)) <= len(known.requests)
        for one, other in changed
    )


def _is_resized(case: Case, known: Baseline, seen: Outcome, by: int) -> bool:
    """Return whether all is as it should be but for a size that nobody tells but the replies to HEAD."""
    if case.step.name == "info":
        assert isinstance(case.expected, tuple)
        return seen.result == (*case.expected[:2], case.expected[2] + by) and seen.state == known.after
    pairs = [(seen.result, case.expected), *((seen.state.get(name), known.after[name]) for name in known.after)]
    return set(seen.state) == set(known.after) and all(
        one == other or (isinstance(one, bytes) and isinstance(other, bytes) and one == other[:by])
        for one, other in pairs
    )


def bad_error(error: BaseException, place: Place) -> str:
    """Return what is wrong with an error as such; nothing for one that says what it has to say."""
    if not isinstance(error, CosError):
        return "it is no documented error"
    if not any(getattr(builtins, base.__name__, None) is base for base in type(error).__mro__ if base is not CosError):
        return "the error is no builtin OSError"
    if not error.errno or not error.strerror:
        return "the error has no errno or no text"
    name, known = error.filename, (place.root, place.beyond, str(place.scratch), place.bucket, own_coffer(place))
    if not isinstance(name, str) or not name.startswith(known):
        return f"the error names {name!r}"
    return f"the error names a hidden path, {name!r}" if ".cosv4-" in name else ""


def _bad_error(seen: Outcome, known: Baseline, action: faults.Action, forever: bool) -> str:
    error, place = seen.error, seen.place
    assert place is not None
    assert error is not None
    # the root of all coffers has no other path
    is_of_account = known.requests == _OF_ACCOUNT and isinstance(error, CosError) and error.filename == ""
    odd = "" if is_of_account else bad_error(error, place)
    code = action.code if isinstance(action, faults.Refuse) else -6993 if isinstance(action, faults.DiskFull) else None
    if not odd and code is not None and forever and isinstance(error, CosError) and error.code is None:
        return "the error does not carry the service's code"
    return odd


def _bad_state(case: Case, known: Baseline, seen: Outcome) -> str:
    if seen.state in (known.before, known.after):
        return ""
    if case.several:
        missing = object()
        names = {*seen.state, *known.before, *known.after}
        odd = [
            name
            for name in names
            if seen.state.get(name, missing) not in (known.before.get(name, missing), known.after.get(name, missing))
        ]
        return f"neither old nor new: {odd}" if odd else ""
    return f"after the error, {_difference(seen.state, known.before)}"


def _hides_a_session(action: faults.Action, moment: Moment, known: Baseline) -> bool:
    """Return whether a session was opened whose name made no sense, so that nobody can prove whose it is."""
    broken = isinstance(action, (faults.BrokenJson, faults.Corrupt))
    return broken and _strikes(moment, known) in _OPENING


def _may_stay(case: Case, action: faults.Action, moment: Moment, known: Baseline) -> bool:
    """Return whether an unfinished upload may stay after an error, until somebody cleans up.

    Where nothing can be replaced it holds the name: there it stays only when nobody knows that it was begun, or when
    the requests that would end it fail too.
    """
    if _acts_late(action) or _hides_a_session(action, moment, known):
        return True
    if not case.write_once:
        return moment.forever
    return moment.forever and (moment.op is None or moment.op in (*_OPENING, *_REMOVING))


def _acts_late(action: faults.Action) -> bool:
    """Return whether the service acts on a request after the client has sent it again: a session nobody knows of."""
    return isinstance(action, faults.Stall) and not action.acted


def _bad_leftovers(case: Case, seen: Outcome, may_stay: bool) -> str:
    if case.step.name in EXTRA or not seen.hidden:
        return ""
    if any(not name.endswith(ENDLESS) for name in seen.cleaned):
        return f"clean_uploads leaves {seen.cleaned}"
    if seen.stuck and not may_stay:
        return f"the same call could not go on with {seen.hidden}"
    return "" if may_stay or case.resumes else f"after one fault {seen.hidden} stays"


def _bad_repetition(case: Case, known: Baseline, seen: Outcome) -> str:
    assert seen.again is not None
    result, error = seen.again
    if case.several and case.write_once and isinstance(error, FileExistsError) and seen.state != known.before:
        # what one call has stored the next cannot store again
        return _bad_state(case, known, dataclasses.replace(seen, state=seen.last))
    if case.several and isinstance(error, FileNotFoundError) and _is_gone(str(error.filename), known, seen):
        # of a list of paths, the first call has removed or moved this one, and the repetition stops at it
        return _bad_state(case, known, dataclasses.replace(seen, state=seen.last))
    adds = case.effect.adds
    if adds is not None and seen.state == known.after:
        # what was added already is added once more
        again = {name: _bytes(known.after[name]) + adds.data for name in case.effect.change.writes}
        return "" if seen.last in (known.after, known.after | again) else "what is added again is wrong"
    if seen.last != known.after:
        return f"after the repetition, {_difference(seen.last, known.after)}"
    if seen.state == known.after != known.before:
        # it is done already: to say so is right, whatever the call
        return "" if error is None or isinstance(error, CosError) else f"repeated, it raises {error!r}"
    if error is not None:
        return f"repeated without the fault, it raises {type(error).__name__}: {error}"
    return "" if result == case.expected or case.several else f"repeated, it returns {_short(result)}"


def _bytes(content: bytes | str | None) -> bytes:
    assert isinstance(content, bytes)
    return content


def _is_gone(path: str, known: Baseline, seen: Outcome) -> bool:
    return any(path.endswith(f"/{name}") and name not in seen.state for name in known.before)


def _difference(seen: State, wanted: State) -> str:
    names = sorted(name for name in {*seen, *wanted} if seen.get(name, 0) != wanted.get(name, 0))
    return ", ".join(f"{name} is {_short(seen.get(name, 'absent'))}" for name in names[:4])


def _short(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) and len(value) > 20 else repr(value)[:120]
