"""The scenarios by name, and what a run of one comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What to run.

    Parameters
    ----------
    folder : Path
        For everything; empty.
    seed, moments : int
        The same seed gives the same moments.
    size : int
        Bytes of a large object.
    slice_size : int
        Bytes per slice to ask for.
    fsync : bool
        Whether the service waits for the disk.
    old : bytes or None
        What is at the path before.
    say : callable
        Takes the line of every moment.
    protocol : str
        By which protocol the processes upload.
    """

    folder: Path
    seed: int
    moments: int
    size: int
    slice_size: int = 3 * 1024 * 1024
    fsync: bool = False
    old: bytes | None = None
    say: Callable[[str], None] = print
    protocol: str = "cosv4"


@dataclass
class Summary:
    """What was counted.

    Parameters
    ----------
    moments, kills, resumed : int
        How many moments there were, how many processes were killed, how many continued what another had begun.
    repeated : int
        Bytes of slices that reached the service more than once.
    failures : list of str
        What was not as it should be.
    """

    moments: int = 0
    kills: int = 0
    resumed: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it in one line."""
        return (
            f"moments {self.moments}, kills {self.kills}, resumed {self.resumed}, "
            f"bytes sent again {self.repeated:,}, failures {len(self.failures)}"
        )


Scenario = Callable[[Plan], Summary]

SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Register a scenario under the name of its function."""
    SCENARIOS[function.__name__] = function
    return function
