"""What the threads do, by name, and how often."""

from __future__ import annotations

from collections.abc import Callable

from tests.load.client import Client

__all__ = ["OPERATIONS", "choose", "operation"]

Operation = Callable[[Client], None]

OPERATIONS: dict[str, tuple[int, Operation]] = {}
"""Weight and function by name."""


def operation(weight: int) -> Callable[[Operation], Operation]:
    """Register a function under its name."""

    def register(function: Operation) -> Operation:
        OPERATIONS[function.__name__] = weight, function
        return function

    return register


def choose(client: Client) -> str:
    """Return what the thread does next: its own chance decides."""
    if client.is_full():
        return client.chance.choice(("rm", "rm_many"))
    names = sorted(OPERATIONS)
    return client.chance.choices(names, [OPERATIONS[name][0] for name in names])[0]
