"""Operations on coffers themselves, and on their rules."""

from __future__ import annotations

from typing import Any

from tests.catalogue.operations import Effect, Place, View, operation

POLICY = {"version": "2.0", "statement": [{"effect": "allow", "action": ["name/cdcs:GetObject"], "resource": ["*"]}]}
DAYS = 7
"""Of the rule that is set."""

ONLY = ("cdcs",)


OF_ONE_CASE = "case-"
"""What the names of coffers begin with that only one case uses."""


def own_coffer(at: Place) -> str:
    """Return the full name of a coffer that only this place may create."""
    return f"{at.root.rpartition('/')[2]}-{at.root.partition('/')[0].rpartition('-')[2]}"


@operation(0, protocols=ONLY)
def coffers(at: Place) -> list[bool]:
    """List all coffers."""
    names = [found["name"] for found in at.fs.coffers()]
    return [name == at.bucket for name in names if not name.startswith(OF_ONE_CASE)]


@operation(0, protocols=ONLY)
def create_coffer(at: Place) -> None:
    at.fs.create_coffer(own_coffer(at))


@operation(0, protocols=ONLY)
def delete_coffer(at: Place) -> None:
    at.fs.delete_coffer(own_coffer(at))


@operation(0, protocols=ONLY)
def lifecycle(at: Place) -> int | None:
    days: int | None = at.fs.lifecycle(own_coffer(at))
    return days


@operation(0, protocols=ONLY)
def set_lifecycle(at: Place) -> None:
    at.fs.set_lifecycle(own_coffer(at), DAYS)


@operation(0, protocols=ONLY)
def policy(at: Place) -> dict[str, Any]:
    # the service adds elements of its own
    return {name: value for name, value in (at.fs.policy(own_coffer(at)) or {}).items() if name in POLICY}


@operation(0, protocols=ONLY)
def set_policy(at: Place) -> None:
    at.fs.set_policy(own_coffer(at), POLICY)


@operation(0, protocols=ONLY)
def delete_policy(at: Place) -> None:
    at.fs.delete_policy(own_coffer(at))


@operation(0, protocols=ONLY)
def remove(at: Place, name: str, recursive: bool = False) -> None:
    """Remove what is not there; nothing else can be removed."""
    at.fs.rm(at / name, recursive=recursive)


@remove.effect
def _(view: View, name: str, recursive: bool = False) -> Effect:
    if view.state.is_folder(name) and not view.state.entries(name) and recursive:
        return Effect()
    there = name in view.state.files or view.state.is_folder(name)
    return Effect(errors=(NotImplementedError,) if there else (FileNotFoundError,))


@coffers.effect
def _(view: View) -> Effect:
    return Effect(returns=[True])


@lifecycle.effect
def _(view: View) -> Effect:
    return Effect(returns=DAYS)


@policy.effect
def _(view: View) -> Effect:
    return Effect(returns=POLICY)


def _nothing(view: View) -> Effect:
    return Effect()


for _operation in (create_coffer, delete_coffer, set_lifecycle, set_policy, delete_policy):
    _operation.effect(_nothing)
