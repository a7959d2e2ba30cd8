"""One step: it succeeds and everything is as the model says, or raises one clear error and nothing is in between."""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.catalogue import Content, Effect, State, Step
from tests.catalogue.state import parents
from tests.model import others
from tests.model.faults import StepFault, ordered, step_faults
from tests.model.others import OtherClient, Visit
from tests.model.world import World, call, expect

Disturbance = StepFault | OtherClient | None
"""What disturbs a step: a fault of the service, or another client that acts meanwhile."""


def disturbances(*, shared: bool = False) -> st.SearchStrategy[Disturbance]:
    """Return a strategy in which half of the steps go undisturbed; `shared` as for `step_faults`."""
    return st.one_of(step_faults(shared=shared), others.other_clients())


class LostError(AssertionError):
    """The filesystem is not what the model says: the count of these has to be zero."""


@dataclass
class Tally:
    """What was done: steps by operation, and how those ended that met a fault."""

    steps: Counter[str] = field(default_factory=Counter)
    # steps that met a fault, by its kind
    injected: Counter[str] = field(default_factory=Counter)
    # how these ended: with the right result, with one error and a legal state, or wrong
    survived: int = 0
    reported: int = 0
    lost: int = 0
    # uploads that died between their last slice and their end and were written anew
    mended: int = 0

    def add(self, other: Tally) -> None:
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def lines(self) -> list[str]:
        """Return the numbers as text."""
        by_name = ", ".join(f"{name} {count}" for name, count in sorted(self.steps.items()))
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.injected.items()))
        return [
            f"steps {self.steps.total()}: {by_name}",
            f"faults {self.injected.total()}: {faults}",
            f"survived {self.survived}, reported {self.reported}, lost {self.lost}; uploads mended {self.mended}",
        ]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: whether it met something, failed, and failed in another way than it would have without."""

    hit: bool
    failed: bool = False
    reported: bool = False
    visit: Visit | None = None


def run(world: World, step: Step, disturbance: Disturbance, tally: Tally, *, look: bool = True) -> None:
    """Do a step, perhaps with a fault, and compare.

    `look`: compare also what the tested filesystem shows, from its caches. A `LostError` says what is wrong.
    """
    effect = expect(world, step)
    if effect is None:
        return
    if step.name in others.ORDER_FAULTS and world.emulator is None:
        return
    unvisited = isinstance(disturbance, OtherClient) and step.name in others.UNVISITED
    if world.emulator is None or unvisited or step.name in others.UNDISTURBED:
        disturbance = None
    world.latest.append((step, disturbance))
    tally.steps[step.name] += 1
    try:
        outcome = _attempt(world, step, effect, disturbance)
        data = world.state.files.get(effect.beyond) if effect.beyond else None
        if outcome.visit is not None and outcome.visit.happened:
            _adopt_both(world, effect, outcome, outcome.visit)
        else:
            tally.mended += _adopt(world, effect, outcome)
        if data is not None:
            others.check_beyond(world, effect, data, outcome.visit, failed=outcome.failed)
        world.compare(world.second)
        if look:
            world.compare(world.fs)
        if isinstance(disturbance, StepFault) and disturbance.tidy:
            world.fs.clean_uploads(world.root, older_than=0)
            assert world.hidden() == set(), "clean_uploads left something"
    except Exception as error:
        tally.lost += 1
        world.is_lost = True
        raise LostError(f"{step} with {disturbance}: {type(error).__name__}: {error}{_told(world, -2)}") from error
    if outcome.hit and disturbance is not None:
        tally.injected[disturbance.label] += 1
        tally.survived += not outcome.reported
        tally.reported += outcome.reported


def _attempt(world: World, step: Step, effect: Effect, disturbance: Disturbance) -> Outcome:
    """Carry out a step, and check what it returned or raised."""
    error: Exception | None = None
    result = None
    world.begin()
    with ExitStack() as disturbing:
        fault = visit = None
        if isinstance(disturbance, OtherClient):
            visit = disturbing.enter_context(others.beside(world, step, effect, disturbance))
        elif disturbance is not None:
            fault = disturbing.enter_context(ordered(world.emulator, disturbance, world.key))
        try:
            result = call(world, step)
        except AssertionError:
            raise
        except Exception as raised:  # it is judged below
            error = raised
    hit = (fault is not None and fault.hits > 0) or (visit is not None and visit.acted)
    if visit is not None and visit.happened:
        world.fs.invalidate_cache(world.root)
        if error is not None:
            # what the other client wrote may be refused with another exception than an OSError
            _check_error(error, (*effect.errors, NotImplementedError), disturbed=True)
        return Outcome(hit, failed=error is not None, reported=error is not None, visit=visit)
    if error is None:
        fine = not effect.errors or effect.may_succeed or (hit and effect.unclear)
        assert fine, f"it succeeded instead of {effect.errors}"
        if not effect.errors or effect.may_succeed:
            effect.verify(result, disturbed=hit)
        if not effect.errors:
            world.check_fetched(effect, failed=False)
        return Outcome(hit)
    expected = isinstance(error, effect.errors or ())
    _check_error(error, effect.errors, disturbed=hit)
    world.check_fetched(effect, failed=True)
    return Outcome(hit, failed=True, reported=not expected)


def _check_error(error: Exception, expected: tuple[type[BaseException], ...], *, disturbed: bool) -> None:
    """Assert that an error was to come, or is about a fault; and that it says what it has to say."""
    text = "".join(traceback.format_exception(error))
    assert disturbed or isinstance(error, expected or ()), f"unexpected, instead of {expected}: {text}"
    if not isinstance(error, OSError):
        assert isinstance(error, expected or ()), f"no OSError: {text}"
        return
    assert error.errno, f"an error without errno: {text}"
    assert error.strerror, f"an error without text: {text}"
    assert isinstance(error.filename, str), f"an error without a path: {text}"


def _adopt(world: World, effect: Effect, outcome: Outcome) -> int:
    """Make the model what the service shows, where that is legal; return how many dead uploads were written anew."""
    before, change, mended = world.state, effect.change, {}
    # a success where an error was due: a repeated request took the answer for its own effect
    vague = bool(effect.errors) and not effect.may_succeed and not outcome.failed
    wanted = before.after(change)
    if outcome.hit:
        mended = _mend(world, change.uploads)
    if outcome.failed or vague or change.given_up:
        legal = [before, wanted, State({**before.files, **mended})] if outcome.failed or vague else [wanted]
        world.state = _observed(world, legal, before.folders - change.drops, before.folders | change.may_make)
        _check_moves(world, effect)
    elif not world.exact_folders:
        world.state = _observed(world, [wanted], _implied(wanted), wanted.folders)
    else:
        world.state = wanted
    for name in change.uploads.keys() | change.writes.keys():
        assert world.holds(name, world.state.files.get(name)), f"another content at {name}"
    return len(mended)


def _adopt_both(world: World, effect: Effect, outcome: Outcome, visit: Visit) -> None:
    """Make the model what the service shows, where that is legal for a step and another client."""
    before, failed = world.state, outcome.failed
    legal = others.legal_states(before, effect, visit, failed=failed)
    changes = [effect.change, *([visit.later.change] if visit.later is not None else [])]
    least = before.folders.difference(*(change.drops for change in changes))
    most = before.folders.union(*(state.folders for state in legal), *(change.may_make for change in changes))
    world.state = _observed(world, legal, least, most)
    others.check_visit(before, world.state, effect, visit, failed=failed)
    for name in {*effect.change.uploads, *effect.change.writes, visit.name}:
        assert world.holds(name, world.state.files.get(name)), f"another content at {name}"


def _observed(world: World, legal: list[State], least: set[str], most: set[str]) -> State:
    """Return the state that the second filesystem shows; each file has to be as in one of the legal states."""
    files, folders = world.seen(world.second)
    found: dict[str, Content] = {}
    for name in {*files, *(name for state in legal for name in state.files)}:
        choices = [state.files.get(name) for state in legal]
        fits = choices if len(set(choices)) == 1 else [choice for choice in choices if world.holds(name, choice)]
        assert fits, f"neither the old nor the new content at {name}"
        if fits[0] is not None:
            found[name] = fits[0]
    assert files.keys() == found.keys(), f"listed are {sorted(files)}, there are {sorted(found)}"
    assert world.exact_folders is False or least <= folders, f"directories are gone: {sorted(least - folders)}"
    assert _implied(State(found)) <= folders <= most, f"directories are {sorted(folders)}, at most {sorted(most)}"
    return State(found, folders)


def _implied(state: State) -> set[str]:
    return {folder for name in state.files for folder in parents(name)}


def _check_moves(world: World, effect: Effect) -> None:
    for source, target in effect.change.moves:
        arrived = world.state.files.get(target) == effect.change.writes[target]
        assert source in world.state.files or arrived, f"{source} is gone and not at {target}"


def _mend(world: World, uploads: dict[str, Content]) -> dict[str, Content]:
    """Write anew what is listed and cannot be read: an upload that died between its last slice and its end.

    That is a documented limit: the service shows no difference between that and a complete object.
    """
    shown = world.seen(world.second)[0]
    dead = {name: content for name, content in uploads.items() if name in shown and world.bytes_of(name) is None}
    for name, content in dead.items():
        assert name not in world.state.files, f"{name} is lost"
        assert shown[name]["size"] <= content.size + 1
        world.fs.pipe_file(world.path(name), content.data)
        assert world.holds(name, content), f"{name} could not be mended"
    return dead


def run_all(world: World, program: list[tuple[Step, Disturbance]], tally: Tally) -> None:
    """Do steps one after another, and compare everything at the end."""
    for number, (step, disturbance) in enumerate(program):
        run(world, step, disturbance, tally, look=number % 3 == 0)
    settle(world)


def settle(world: World) -> None:
    """Compare all contents through both filesystems, and assert that everything left behind can be removed."""
    try:
        world.compare(world.fs, thoroughly=True)
        world.fs.clean_uploads(world.root, older_than=0)
        world.compare(world.second, thoroughly=True)
        assert world.hidden() == set(), "clean_uploads left something"
        everything = [world.root, *map(world.path, world.state.folders)]
        shown = {world.path(name) for name in [*world.state.files, *world.state.folders]}
        for folder in everything:
            names = {f"{folder}/{entry.name}" for entry in world.second.namespace.everything(folder)}
            assert names <= shown, f"left behind: {sorted(names - shown)}"
    except Exception as error:
        raise LostError(f"at the end: {type(error).__name__}: {error}{_told(world, -1)}") from error


def _told(world: World, first: int) -> str:
    """Return the steps before, the latest first, for a message."""
    return "".join(f"\n  after {step} with {what}" for step, what in list(world.latest)[first::-1])
