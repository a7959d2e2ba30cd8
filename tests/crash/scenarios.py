"""What a scenario is told, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What to run."""

    folder: Path
    seed: int
    moments: int
    size: int
    slice_size: int = 3 * 1024 * 1024
    # whether the service waits for the disk
    fsync: bool = False
    # what is at the path before
    old: bytes | None = None
    say: Callable[[str], None] = print
    protocol: str = "cosv4"


@dataclass
class Summary:
    """What was counted."""

    # how many moments there were, how many processes were killed, how many continued what another had begun
    moments: int = 0
    kills: int = 0
    resumed: int = 0
    # bytes of slices that reached the service more than once
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it in one line."""
        return (
            f"moments {self.moments}, kills {self.kills}, resumed {self.resumed}, "
            f"bytes sent again {self.repeated:,}, failures {len(self.failures)}"
        )
