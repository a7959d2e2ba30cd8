"""The steps of the model: the catalogue's operations with random arguments, and those that other clients carry out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.catalogue import CATALOGUE, Catalogue, Draws, Effect, State, Step, View, Vocabulary
from tests.model.world import World

KIB = 1024

NAMES = ("a", "b", "dir/a", "dir/b", "dir/sub/a", "other/a", "other/ä %+#", "dir/q[1]", "dir/sub", "a/under")
"""Names of files; the last two are also the name of a directory and a name below a file."""

FOLDERS = ("dir", "dir/sub", "other", "other/deep", "b")
"""Names of directories; the last one is also the name of a file."""

SIZES = (0, 1, 1000, 70 * KIB, 150 * KIB, 300 * KIB, 600 * KIB, 1100 * KIB)
"""One request up to 64 KiB, slices beyond; the last two need several slices in any case."""

VOCABULARY = Vocabulary(NAMES, FOLDERS, lambda chance: chance.choice(SIZES))

MODEL = Catalogue()
"""Operations of the model only; they are called with its `World`."""


def every() -> Catalogue:
    """Return the operations of the catalogue and of the model."""
    both = Catalogue(CATALOGUE)
    both.update(MODEL)
    return both


def expect(world: World, step: Step, state: State | None = None) -> Effect | None:
    """Return the effect of a step in a world, or in another state of it; None when it makes no sense there."""
    entry = MODEL.get(step.name) or CATALOGUE[step.name]
    view = View(world.state if state is None else state, world.hidden, world.exact_folders)
    return entry.expect(view, **dict(step.arguments))


def call(world: World, step: Step) -> object:
    """Carry out a step."""
    if step.name in MODEL:
        return MODEL.call(world, step)  # type: ignore[arg-type]
    return CATALOGUE.call(world.place, step)


class _Drawn(random.Random):
    """Chance that hypothesis decides, so that it can shrink what fails."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(0)
        self._draw = draw

    def choice(self, seq: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(seq))

    def randint(self, a: int, b: int) -> int:
        return self._draw(st.integers(a, b))


@st.composite
def steps(draw: st.DrawFn, protocol: str = "cosv4", *, alone: bool = True) -> Step:
    """Draw one of all operations; without those that need an instance of their own unless `alone`."""
    return every().draw(Draws(_Drawn(draw), VOCABULARY), protocol, alone=alone)
