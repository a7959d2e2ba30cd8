"""What an entry of the catalogue is, and how random steps are drawn from it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.catalogue.place import Place
from tests.catalogue.state import Change, Content, State

CONFLICT = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""Raised where a file stands in the way of a directory, or the other way round."""

NOT_FOUND = (FileNotFoundError, NotADirectoryError)

PROTOCOLS = ("cosv4", "cosv3", "cdcs")
REPLACING = ("cosv4", "cosv3")
"""The protocols by which objects can be replaced, moved and removed."""


@dataclass(frozen=True)
class View:
    """What is known before a call."""

    state: State
    # returns the names with unfinished uploads
    hidden: Callable[[], set[str]] = set
    # false where the service drops empty directories by itself
    exact_folders: bool = True
    once: bool = False


@dataclass(frozen=True)
class Effect:
    """How a call has to end, and what it changes."""

    change: Change = field(default_factory=Change)
    returns: object = None
    # asserts that the result is right, where `returns` cannot say it; it also gets whether a fault struck
    check: Callable[[Any, bool], None] | None = None
    # the call has to raise one of these even without any fault; empty: it has to succeed
    errors: tuple[type[BaseException], ...] = ()
    # it may also succeed, and then has changed what `change` says
    may_succeed: bool = False
    # after a lost reply, nobody can tell this failure from a success: the call may return then
    unclear: bool = False
    # it fails where a file exists: only one of two clients can succeed
    creates: bool = False
    # contents of local files by name (see `Place.local`) after a success. After a failure each of them is complete,
    # as it was before, or missing.
    fetched: Mapping[str, Content] | None = None
    # a file that is moved to another bucket (see `Place.beyond_path`)
    beyond: str | None = None

    def verify(self, result: object, *, disturbed: bool = False) -> None:
        """Assert that a result is right."""
        if self.check is not None:
            self.check(result, disturbed)
        elif not self.errors:
            assert result == self.returns, f"it returned {_short(result)} instead of {_short(self.returns)}"


def _short(value: object) -> str:
    return f"{len(value)} bytes {value[:8].hex()}…" if isinstance(value, bytes) else repr(value)[:300]


@dataclass(frozen=True)
class Vocabulary:
    """What random arguments are made of."""

    # names of files and of directories; some may be both
    names: Sequence[str]
    folders: Sequence[str]
    # draws the size of a content in bytes
    size: Callable[[random.Random], int]
    # draws the seed of a content
    seeds: Callable[[random.Random], int] = lambda chance: chance.randint(0, 5)


@dataclass(frozen=True)
class Draws:
    """Draws arguments at random."""

    chance: random.Random
    vocabulary: Vocabulary

    def name(self) -> str:
        return self.chance.choice(self.vocabulary.names)

    def folder(self) -> str:
        return self.chance.choice(self.vocabulary.folders)

    def anything(self) -> str:
        """Return the name of a file or of a directory."""
        return self.chance.choice((self.name, self.folder))()

    def tree(self) -> str:
        """Return the name of a directory, of a file, or of the root."""
        return self.chance.choice((lambda: "", self.folder, self.name))()

    def content(self) -> Content:
        return Content(self.vocabulary.seeds(self.chance), self.vocabulary.size(self.chance))

    def flag(self) -> bool:
        return self.chance.choice((False, True))

    def names(self, most: int = 4) -> list[str]:
        """Return one or several different names."""
        return list(dict.fromkeys(self.name() for _ in range(self.chance.randint(1, most))))

    def contents(self) -> dict[str, Content]:
        """Return contents for one or several names."""
        return {name: self.content() for name in self.names(3)}


Draw = Callable[[Draws], Any]


def pick(*values: Any) -> Draw:
    """Return what draws one of the values."""
    return lambda draws: draws.chance.choice(values)


@dataclass(frozen=True)
class Step:
    """An operation with its arguments: data that can be drawn, shown, and sent to another process."""

    name: str
    arguments: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


@dataclass
class Operation:
    """An entry of the catalogue; called, it is carried out."""

    # carries it out: gets a `Place` and the arguments
    call: Callable[..., Any]
    arguments: Mapping[str, Draw]
    weight: int
    # whether it needs an instance of the filesystem that no other thread uses
    alone: bool
    # whether it consists of several steps, of which an error may leave some done
    several: bool
    protocols: tuple[str, ...]
    _effect: Callable[..., Effect | None] | None = None
    _prepare: Callable[..., object] | None = None

    @property
    def name(self) -> str:
        return self.call.__name__

    def effect(self, function: Callable[..., Effect | None]) -> Callable[..., Effect | None]:
        """Register what returns the effect: it gets a `View` and the arguments; None: the call makes no sense there."""
        self._effect = function
        return function

    def before(self, function: Callable[..., object]) -> Callable[..., object]:
        """Register what creates the local files that the call needs: it gets a `Place` and the arguments."""
        self._prepare = function
        return function

    def prepare(self, at: Place, **arguments: Any) -> None:
        """Create the local files that a call with these arguments needs."""
        if self._prepare is not None:
            self._prepare(at, **arguments)

    def expect(self, view: View, **arguments: Any) -> Effect | None:
        """Return the effect of a call with these arguments."""
        assert self._effect is not None, f"{self.name} has no effect"
        return self._effect(view, **arguments)

    def step(self, **arguments: Any) -> Step:
        """Return a step of this operation."""
        return Step(self.name, tuple(arguments.items()))


class Catalogue(dict[str, Operation]):
    """Operations by name."""

    def operation(
        self,
        weight: int = 2,
        *,
        alone: bool = False,
        several: bool = False,
        protocols: tuple[str, ...] = PROTOCOLS,
        **arguments: Draw,
    ) -> Callable[[Callable[..., Any]], Operation]:
        """Register a function as the call of an operation."""

        def register(call: Callable[..., Any]) -> Operation:
            made = self[call.__name__] = Operation(call, arguments, weight, alone, several, protocols)
            return made

        return register

    def draw(self, draws: Draws, protocol: str = "cosv4", *, alone: bool = True) -> Step:
        """Draw a step; without operations that need an instance of their own unless `alone`."""
        known = [entry for entry in self.values() if protocol in entry.protocols and (alone or not entry.alone)]
        # where chance prefers the first choices, as when hypothesis shrinks, the most common operations are drawn
        known.sort(key=lambda entry: -entry.weight)
        chosen = draws.chance.choice([entry for entry in known for _ in range(entry.weight)])
        return Step(chosen.name, tuple((name, draw(draws)) for name, draw in chosen.arguments.items()))

    def call(self, at: Place, step: Step) -> Any:
        """Carry out a step and return its result."""
        self.prepare(at, step)
        return self[step.name].call(at, **dict(step.arguments))

    def prepare(self, at: Place, step: Step) -> None:
        """Create the local files that a step needs."""
        self[step.name].prepare(at, **dict(step.arguments))

    def expect(self, view: View, step: Step) -> Effect | None:
        """Return the effect of a step; None where it makes no sense."""
        return self[step.name].expect(view, **dict(step.arguments))


CATALOGUE = Catalogue()
operation = CATALOGUE.operation
