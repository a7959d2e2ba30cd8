"""Many cells at once: all of one operation, or as many as wanted that a seed draws."""

from __future__ import annotations

import random
from functools import cache

from tests.faults import cells, others
from tests.faults.cells import Cell
from tests.faults.contests import CONTESTS
from tests.faults.stage import Stage

_ASKING = ("stat", "upload_slice_list", "list")
"""Requests that may be made only where something went wrong."""


def column(protocol: str, name: str, chosen: list[str], part: tuple[int, int] = (1, 1)) -> list[Cell]:
    """Play the cells of one operation on a service of its own, other clients included; of several parts only one."""
    which, parts = part
    with Stage(protocol) as stage:
        plays = [*cells.column(stage, name, chosen), *others.column(stage, name, chosen)]
        # each column begins elsewhere, so that a part is a mixture of all faults and moments
        first = (which - 1 + sum(name.encode())) % parts
        return [play() for play in plays[first::parts]]


def pairs(protocol: str, seed: int, count: int, names: list[str]) -> list[Cell]:
    """Play cells in which two other clients act, on a service of their own; the same seed draws the same ones."""
    contests, chance = CONTESTS[protocol], random.Random(seed)
    names = [name for name in names if name in contests]
    with Stage(protocol) as stage:

        @cache
        def known(name: str) -> others.Rehearsal:
            return others.rehearse(stage, contests[name])

        def draw(name: str) -> others.OtherClient:
            act, spot = chance.choice(contests[name].acts)
            op = chance.choice([*dict.fromkeys((*known(name).requests, *_ASKING))])
            return others.OtherClient(chance.choice([*others.FAULTS]), act, spot, op, chance.randint(1, 3))

        played = []
        while names and len(played) < count:
            name = chance.choice(names)
            first, second = draw(name), draw(name)
            # one request is struck by one fault
            if (first.op, first.nth) != (second.op, second.nth):
                played.append(others.play(stage, contests[name], known(name), first, second))
        return played
