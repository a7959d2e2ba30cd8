"""What an entry of the catalogue is, where it is carried out, and how random steps are drawn."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.catalogue.state import Change, Content, State

CONFLICT = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""Raised where a file stands in the way of a directory, or the other way round."""

NOT_FOUND = (FileNotFoundError, NotADirectoryError)

PROTOCOLS = ("cosv4", "cosv3", "cdcs")
REPLACING = ("cosv4", "cosv3")
"""The protocols by which objects can be replaced, moved and removed."""


@dataclass
class Place:
    """A filesystem and the directory in which it works."""

    fs: Any
    # `bucket/dir`, or a whole bucket: all names are relative to it
    root: str
    scratch: Path
    # a directory in another bucket
    beyond: str = ""
    # a folder in `scratch` for what the current call fetches; empty: `scratch` itself
    turn: str = ""
    # called at the end of a transaction, before it publishes anything
    before_commit: Callable[[], None] = lambda: None

    def __truediv__(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    @property
    def protocol(self) -> str:
        """The protocol of the filesystem."""
        protocol = self.fs.protocol
        return protocol if isinstance(protocol, str) else str(protocol[0])

    @property
    def bucket(self) -> str:
        """The bucket, or the full name of the coffer."""
        return self.root.partition("/")[0]

    @property
    def beyond_path(self) -> str:
        """A path in the other bucket, which only the current call uses."""
        return f"{self.beyond}/{self.turn or 'x'}"

    @property
    def is_bucket(self) -> bool:
        """Whether the root is a whole bucket."""
        return "/" not in self.root

    def name(self, path: str) -> str:
        """Return the name of a path below the root."""
        assert path == self.root or path.startswith(self.root + "/"), path
        return path[len(self.root) + 1 :]

    def names(self, paths: Any) -> list[str]:
        """Return the names of several paths, in their order."""
        return [self.name(path) for path in paths]

    def local(self, name: str) -> Path:
        """Return a path in the local folder, whose parents exist."""
        path = self.scratch / self.turn / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def local_file(self, data: bytes) -> Path:
        """Return a local file with these bytes: the same one each time, so that an upload of it can be continued."""
        path = self.scratch / f"source-{len(data)}-{zlib.crc32(data):08x}"
        if not path.exists():
            self.scratch.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path


@dataclass(frozen=True)
class View:
    """What is known before a call."""

    state: State
    # returns the names with unfinished uploads
    hidden: Callable[[], set[str]] = set
    # false where the service drops empty directories by itself
    exact_folders: bool = True
    write_once: bool = False
    # whether the directory is a whole bucket, which cannot be removed
    is_bucket: bool = False


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
    # what is added to a file, whatever is in it then
    adds: Content | None = None
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
class Draws:
    """Draws arguments at random."""

    chance: random.Random
    # some may be both
    file_names: Sequence[str]
    folder_names: Sequence[str]
    # draws the size of a content in bytes, and its seed
    size: Callable[[random.Random], int]
    seed: Callable[[random.Random], int] = lambda chance: chance.randint(0, 5)

    def name(self) -> str:
        return self.chance.choice(self.file_names)

    def folder(self) -> str:
        return self.chance.choice(self.folder_names)

    def anything(self) -> str:
        """Return the name of a file or of a directory."""
        return self.chance.choice((self.name, self.folder))()

    def tree(self) -> str:
        """Return the name of a directory, of a file, or of the root."""
        return self.chance.choice((lambda: "", self.folder, self.name))()

    def content(self) -> Content:
        return Content(self.seed(self.chance), self.size(self.chance))

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
        """Register what returns the effect: it gets a `View` and the arguments; None: the call does not apply."""
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
        """Return the effect of a step; None where it does not apply."""
        return self[step.name].expect(view, **dict(step.arguments))


CATALOGUE = Catalogue()
operation = CATALOGUE.operation
