"""Steps are data, so that hypothesis can draw and shrink them and another process can be told them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.model.state import Change, Content
from tests.model.world import World

__all__ = ["CONFLICT", "CONTENTS", "FOLDERS", "NAMES", "NOT_THERE", "Plan", "Step", "operation", "plan", "steps"]

KIB = 1024

NAMES = st.sampled_from(
    ["a", "b", "dir/a", "dir/b", "dir/sub/a", "other/a", "other/ä %+#", "dir/q[1]", "dir/sub", "a/under"]
)
"""Names of files; the last two are also those of a directory, and below a file."""

FOLDERS = st.sampled_from(["dir", "dir/sub", "other", "other/deep", "b"])
"""Names of directories; the last one is also that of a file."""

CONTENTS = st.builds(
    Content, st.integers(0, 5), st.sampled_from([0, 1, 1000, 70 * KIB, 150 * KIB, 300 * KIB, 600 * KIB, 1100 * KIB])
)
"""One request up to 64 KiB, beyond that slices; the last two are of several in any case."""

CONFLICT = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""A file stands where a directory is needed, or the other way round."""

NOT_THERE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True)
class Plan:
    """What a step will do, and how it has to end.

    Parameters
    ----------
    act : callable
        Does it.
    change : Change
        What it makes of the state.
    errors : tuple of exception types
        With one of these it has to fail, also when nothing goes wrong; empty: it has to succeed.
    may_succeed : bool
        It may also succeed, and then has changed what `change` says.
    unclear : bool
        When a reply is lost, nobody can tell this failure from a success: it may seem to succeed then.
    check : callable, optional
        Asserts that the result is right.
    aftermath : callable, optional
        Asserts that what a failure leaves on the local disk is right.
    creates : bool
        It fails where there is a file already: only one of two clients can succeed.
    beyond : tuple of (str, str), optional
        A file that goes to a path in the other bucket.
    """

    act: Callable[[], Any]
    change: Change = field(default_factory=Change)
    errors: tuple[type[BaseException], ...] = ()
    may_succeed: bool = False
    unclear: bool = False
    check: Callable[[Any], None] | None = None
    aftermath: Callable[[], None] | None = None
    creates: bool = False
    beyond: tuple[str, str] | None = None


@dataclass(frozen=True)
class Step:
    """One operation with its arguments."""

    name: str
    arguments: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


Planner = Callable[..., "Plan | None"]

_OPERATIONS: dict[str, tuple[Planner, dict[str, st.SearchStrategy[Any]], bool]] = {}


def operation(*, alone: bool = False, **arguments: st.SearchStrategy[Any]) -> Callable[[Planner], Planner]:
    """Register a function that plans an operation: it gets the world and arguments drawn from the strategies.

    Parameters
    ----------
    alone : bool
        Only where no other thread uses the same instance.
    """

    def register(planner: Planner) -> Planner:
        _OPERATIONS[planner.__name__] = planner, arguments, alone
        return planner

    return register


def plan(world: World, step: Step) -> Plan | None:
    """Return the plan of a step in a world; None when it would make no sense there."""
    return _OPERATIONS[step.name][0](world, **dict(step.arguments))


def steps(*, alone: bool = True) -> st.SearchStrategy[Step]:
    """Return a strategy for all operations; without those that need an instance of their own unless `alone`."""
    return st.one_of(
        [
            st.fixed_dictionaries(arguments).map(lambda drawn, name=name: Step(name, tuple(drawn.items())))
            for name, (_, arguments, needs_own) in _OPERATIONS.items()
            if alone or not needs_own
        ]
    )
