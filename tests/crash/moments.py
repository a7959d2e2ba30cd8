"""When to kill: moments spread over a whole upload, told by what the service has seen and not by a clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

INIT, SLICE, FINISH, LIST = "upload_slice_init", "upload_slice_data", "upload_slice_finish", "upload_slice_list"
MOVE = "move"


@dataclass(frozen=True)
class Moment:
    """When to kill a process, told by what the service has seen and not by a clock."""

    # the requests that count, by operation (`ANY_CHANGE`: all that change something); or a method of the service's
    # store, whose calls count; or empty when the process itself counts
    op: str
    # which of them, from 1
    nth: int
    # `seen`: when so many were answered, while everything goes on. `held`: while the service has it and has not acted
    # on it. `acted`: while its answer is held back. `called`: as soon as the call has begun. `replace` and `unlink`:
    # before the process does this to a file for the nth time. `before`, `half`, `after`: while the service stands
    # still in its store (see `tests.crash.server.stall`).
    how: str
    # those that come after the nth are held too
    frozen: bool = False
    # how many further events, or changing requests, the service has to see before the kill
    extra: int = 0
    # when the requests that were held go on: empty for at once, else while the next process has a request of this
    # operation waiting; or in words
    late: str = ""

    def __str__(self) -> str:
        words = [self.op.removeprefix("upload_"), str(self.nth) if self.nth > 1 or self.op == SLICE else "", self.how]
        words += ["frozen" if self.frozen else "", f"+{self.extra}" if self.extra else ""]
        words += [f"late:{self.late.removeprefix('upload_')}" if self.late else ""]
        return " ".join(word for word in words if word)


_EDGES = (
    Moment("", 1, "called"),
    Moment("", 1, "replace"),
    Moment(INIT, 1, "held"),
    Moment(INIT, 1, "acted"),
    Moment(FINISH, 1, "held"),
    Moment("", 2, "replace"),
    Moment(INIT, 1, "held", late=INIT),
    Moment(SLICE, 1, "held", frozen=True),
    Moment(FINISH, 1, "acted"),
    Moment(FINISH, 1, "seen"),
    Moment(FINISH, 1, "held", late=FINISH),
    Moment("", 1, "unlink"),
)
"""The moments at the two ends of an upload."""


def spread(chance: random.Random, count: int, slices: int) -> list[Moment]:
    """Return moments for the first process: two of three on the way, evenly spread, the others at the ends."""
    edges = count // 3
    start = chance.randrange(len(_EDGES))
    chosen = [_EDGES[(start + number) % len(_EDGES)] for number in range(edges)]
    for number in range(count - edges):
        nth = 1 + int((number + chance.random()) * slices / (count - edges))
        chosen.append(on_the_way(chance, min(nth, slices), slices))
    chance.shuffle(chosen)
    return chosen


def on_the_way(chance: random.Random, nth: int, slices: int) -> Moment:
    """Return a moment around the nth slice."""
    how = chance.choice(("seen", "seen", "held", "acted"))
    # so many further events are certain to come; while an answer is held back, all others may have been given
    extra = 0 if how == "acted" else chance.randrange(1 + max(0, min(12, slices - nth)))
    if how == "seen":
        return Moment(SLICE, nth, how, extra=extra)
    frozen = chance.random() < 0.5
    late = chance.choice(("", "", SLICE, FINISH)) if how == "held" else ""
    return Moment(SLICE, nth, how, frozen, 0 if frozen else extra, late)


def again(chance: random.Random, missing: int) -> Moment:
    """Return a moment for a process that continues an upload of which so many slices are missing."""
    kind = chance.choice(("list", "slice", "slice", "finish"))
    if kind == "slice" and missing:
        return on_the_way(chance, chance.randint(1, missing), missing)
    return Moment(LIST if kind == "list" else FINISH, 1, chance.choice(("seen", "held", "acted")))


def of_v3(moment: Moment) -> Moment:
    """Return the moment at which v3 does the same: what its slices have completed is moved.

    Its one operation for slices is told apart by the service (see `tests.crash.server`).
    """
    other = {FINISH: MOVE}
    # its slices come one after another: while one is held, nothing more comes before the client's timeout
    extra = moment.extra if moment.how == "seen" else 0
    return replace(moment, op=other.get(moment.op, moment.op), late=other.get(moment.late, moment.late), extra=extra)
