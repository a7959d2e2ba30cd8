"""The fault of a step: a kind of fault of the local service, the first request it strikes, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from cosv4fs.emulator import Emulator
from cosv4fs.emulator import faults as kinds

SLOW = {name for name in kinds.ALL if name.startswith(("stall", "slow"))} | {"JSON huge"}
"""They cost time and show nothing here: tests of the transport have them."""

SILENT = {"first byte corrupted", "last byte corrupted", "length too short"}
"""Downloads carry no digest: in the bytes of an object nobody could notice these, so they meet only the API's JSON."""

KINDS = tuple(name for name in kinds.ALL if name not in SLOW)


@dataclass(frozen=True)
class StepFault:
    """One fault."""

    # a name of `cosv4fs.emulator.faults.ALL`
    kind: str
    # the first request that goes wrong, and how many in a row do
    nth: int
    times: int
    # remove at once what a failure has left
    tidy: bool

    @property
    def label(self) -> str:
        return self.kind


def step_faults(*, shared: bool = False) -> st.SearchStrategy[StepFault | None]:
    """Return a strategy in which three of five steps go undisturbed.

    `shared`: only faults that can be told to meet the requests of one directory.
    """
    some = [
        name
        for name in KINDS
        if not shared or (kinds.ALL[name].stage == "request" and not isinstance(kinds.ALL[name], kinds.Restart))
    ]
    fault = st.builds(
        StepFault,
        st.sampled_from(some),
        st.sampled_from([1, 1, 2, 3, 4, 6]),
        st.sampled_from([1, 2, 5, 40]),
        st.booleans(),
    )
    return st.one_of(st.none(), st.none(), st.none(), fault, fault)


@contextmanager
def ordered(emulator: Emulator, fault: StepFault, below: str) -> Iterator[Any]:
    """Order a fault for the time of the block; yield what counts its hits.

    Only requests whose paths begin with `below` go wrong.
    """
    action = kinds.ALL[fault.kind]

    def match(call: Any) -> bool:
        inside = f"{call.path.text}/".startswith(below)
        return inside and not (fault.kind in SILENT and call.op == "download")

    condition = match if action.stage == "request" else None
    rule = emulator.faults.add(action=action, nth=fault.nth, times=fault.times, match=condition)
    try:
        yield rule
    finally:
        emulator.faults.remove(rule)
        # does nothing but wait until a restart has ended
        emulator.start()
