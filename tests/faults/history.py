"""Which results are legal when several clients change one directory: every operation happened once, at one moment.

An operation of the client under test consists of units; each is atomic by itself, as one file of a recursive removal
is. The moments at which other clients acted are known, and so is the state that was visible just before. The final
state is legal when there is a history that explains all of it:

* every unit happened once, before or after each act of another client; after an error some units may not have happened;
* the state before each act is what the units before it had made. So a removal that had taken effect when the other
  client wrote cannot have happened after it as well, and what the other client wrote has to be there. (One unit may
  happen between the look and the act: a removal that succeeded, and another client that wrote at that moment);
* a unit that would have been refused at its moment has not happened there. So two clients never both create a file;
* a plain overwrite may happen again: what it stores is wanted by its caller until the call returns, and the last
  writer wins. The same goes for what creates a file or a directory where nothing stands any more;
* a removal of what another client has just removed may succeed: the path is free, as intended.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.catalogue import Effect

State = dict[str, "bytes | str | None"]
"""What is stored: content by path, None for a directory."""

Transition = Callable[[State], State]
"""What an operation makes of a state; it raises `RefusedError` where the operation fails."""


class RefusedError(Exception):
    """The operation cannot happen in this state."""


@dataclass(frozen=True)
class Unit:
    """A part of an operation that happens as a whole, or not at all."""

    transition: Transition
    # a second step, for what no request can do at once: it follows at the same moment or later
    then: Transition | None = None
    # it may happen again after another client's act; of two steps, the first one
    repeats: bool = False
    # other effects that are as good
    others: tuple[Transition, ...] = ()
    # what an error may leave of it
    partial: tuple[Transition, ...] = ()
    # the path that the unit takes away: when another client has touched it, a success may leave a partial effect too
    source: str | None = None


@dataclass(frozen=True)
class Event:
    """An act of another client."""

    spot: str
    # what was stored just before
    seen: State
    transition: Transition
    # whether the other client's call returned; one that failed has changed nothing
    succeeded: bool


@dataclass(frozen=True)
class _Way:
    """One way in which a unit happens: its steps in their order, of which the last ones may be left out."""

    # the steps; after all but the first one, another client may act
    steps: tuple[Transition, ...]
    # how many of them have to happen, if any
    least: int


def units_of(effect: Effect, *, write_once: bool = False, exist_ok: bool = False, added: str = "") -> Iterator[Unit]:
    """Yield what an effect of the catalogue means, step by step.

    `write_once`: nothing can be replaced. `added`: a file that others add to a directory which is moved or removed.
    """
    change = effect.change
    if write_once:
        for name, content in change.written.items():
            yield Unit(stores_once(name, content.data, create=effect.creates), repeats=True)
        return
    is_tree, is_single = bool(change.drops) and bool(change.writes), not change.writes
    for name in sorted(change.makes):
        yield Unit(makes(name, exist_ok=is_tree or exist_ok), repeats=is_single)
    more = ((added, f"m{added[1:]}"),) if added and is_tree and change.moves else ()
    for source, target in (*change.moves, *more):
        yield Unit(moves(source, target, tolerant=is_tree))
    for source, target in change.copies:
        yield Unit(copies(source, target), repeats=True)
    elsewhere = {name for pair in (*change.moves, *change.copies) for name in pair}
    removed = [name for name, content in change.writes.items() if content is None and name not in elsewhere]
    for name in [*removed, *([added] if added and is_tree and not change.moves else [])]:
        yield Unit(removes(name, tolerant=True))
    for name, content in change.written.items():
        if effect.adds is not None:
            yield Unit(appends(name, effect.adds.data))
        elif name not in elsewhere:
            yield Unit(stores(name, content.data, create=effect.creates), repeats=True)
    for name in sorted(change.drops, reverse=True):
        yield Unit(drops(name, tolerant=True))


def explain(before: State, units: Sequence[Unit], events: Sequence[Event], final: State, *, failed: bool) -> int | None:
    """Return how many units must have happened, so that a history explains the final state; None if there is none."""
    found: int | None = None
    for ways in itertools.product(*(tuple(_ways(unit, events, failed=failed)) for unit in units)):
        for happened in _Search(ways, events, final, failed=failed).continuing(before, (0,) * len(ways), 0):
            found = happened if found is None else min(found, happened)
    return found


def _ways(unit: Unit, events: Sequence[Event], *, failed: bool) -> Iterator[_Way]:
    touched = any(event.succeeded and event.spot == unit.source for event in events)
    if unit.then is None:
        yield _Way((unit.transition,) * (2 if unit.repeats else 1), 1)
    else:
        yield _Way((unit.transition, unit.then), 2)
        if unit.repeats:
            yield _Way((unit.transition, unit.transition, unit.then), 3)
    for effect in (*unit.others, *(unit.partial if failed or touched else ())):
        yield _Way((effect,), 1)


@dataclass(frozen=True)
class _Search:
    """The search for histories; the progress is how many steps of each unit have happened."""

    ways: tuple[_Way, ...]
    events: Sequence[Event]
    final: State
    failed: bool

    def continuing(self, state: State, progress: tuple[int, ...], moment: int) -> Iterator[int]:
        """Yield how many units have happened in each history that goes on like this and ends as it did."""
        for later, reached in self._advanced(state, progress):
            if moment == len(self.events):
                if reached == self.final and self._is_over(later):
                    yield sum(map(bool, later))
                continue
            event = self.events[moment]
            if reached == event.seen:
                yield from self._acted(event, reached, later, moment)

    def _acted(self, event: Event, state: State, progress: tuple[int, ...], moment: int) -> Iterator[int]:
        """Go on behind an act; the unit whose request was struck may have happened between the look and the act."""
        for later, reached in ((progress, state), *self._stepped(state, progress)):
            try:
                changed = event.transition(reached) if event.succeeded else reached
            except RefusedError:
                continue
            yield from self.continuing(changed, later, moment + 1)

    def _advanced(self, state: State, progress: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield the states to which any units may lead in a row, in the order in which they are named."""
        choices = (range(done, len(way.steps) + 1) for way, done in zip(self.ways, progress, strict=True))
        for later in itertools.product(*choices):
            reached = state
            try:
                for way, first, last in zip(self.ways, progress, later, strict=True):
                    for step in way.steps[first:last]:
                        reached = step(reached)
            except RefusedError:
                continue
            yield later, reached

    def _stepped(self, state: State, progress: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield the states to which one step leads."""
        for index, (way, done) in enumerate(zip(self.ways, progress, strict=True)):
            if done < len(way.steps):
                with suppress(RefusedError):
                    yield (*progress[:index], done + 1, *progress[index + 1 :]), way.steps[done](state)

    def _is_over(self, progress: tuple[int, ...]) -> bool:
        return all(
            done >= way.least or (self.failed and not done) for way, done in zip(self.ways, progress, strict=True)
        )


def stores(name: str, data: bytes, *, create: bool = False) -> Transition:
    """Write a file, and the directories above it."""

    def effect(state: State) -> State:
        taken = name in state
        if taken and (create or state[name] is None):
            raise RefusedError(name)
        return {**_with_parents(state, name), name: data}

    return effect


def appends(name: str, data: bytes) -> Transition:
    """Add bytes to a file, or create it."""

    def effect(state: State) -> State:
        old = state.get(name)
        return stores(name, (old if isinstance(old, bytes) else b"") + data)(state)

    return effect


def stores_once(name: str, data: bytes, *, create: bool = False) -> Transition:
    """Write a file where nothing can be replaced and nothing is a directory; not to `create`, equal content will do."""

    def effect(state: State) -> State:
        if name in state and (create or state[name] != data):
            raise RefusedError(name)
        return {**state, name: data}

    return effect


def without_directories(effect: Transition) -> Transition:
    """Return an effect for a place that knows no directories."""
    return lambda state: {name: data for name, data in effect(state).items() if data is not None}


def removes(name: str, *, tolerant: bool = False, only: bytes | None = None) -> Transition:
    """Remove a file; `tolerant`: also where there is none; `only`: only with this content."""

    def effect(state: State) -> State:
        if isinstance(state.get(name), bytes) and only in (None, state[name]):
            return {path: data for path, data in state.items() if path != name}
        if tolerant and name not in state:
            return state
        raise RefusedError(name)

    return effect


def copies(source: str, target: str) -> Transition:
    """Make a second file with the content that the source has."""

    def effect(state: State) -> State:
        data = state.get(source)
        if not isinstance(data, bytes):
            raise RefusedError(source)
        return stores(target, data)(state)

    return effect


def moves(source: str, target: str, *, tolerant: bool = False) -> Transition:
    """Give a file another path; `tolerant`: nothing happens where there is none."""
    copy, remove = copies(source, target), removes(source)
    return lambda state: state if tolerant and source not in state else remove(copy(state))


def makes(name: str, *, exist_ok: bool = False) -> Transition:
    """Make a directory, and those above it."""

    def effect(state: State) -> State:
        if name in state:
            if exist_ok and state[name] is None:
                return state
            raise RefusedError(name)
        return {**_with_parents(state, name), name: None}

    return effect


def drops(name: str, *, tolerant: bool = False) -> Transition:
    """Remove a directory in which there is nothing; `tolerant`: also where there is none."""

    def effect(state: State) -> State:
        if tolerant and name not in state:
            return state
        if state.get(name, b"") is not None or any(path.startswith(name + "/") for path in state):
            raise RefusedError(name)
        return {path: data for path, data in state.items() if path != name}

    return effect


def _with_parents(state: State, name: str) -> State:
    above = ["/".join(name.split("/")[:depth]) for depth in range(1, name.count("/") + 1)]
    if any(state.get(folder) is not None for folder in above):
        raise RefusedError(name)
    return {**state, **dict.fromkeys(above)}
