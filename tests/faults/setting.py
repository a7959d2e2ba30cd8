"""Setting up cases, and the state of them that is neither an object nor a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.catalogue import Place
from tests.catalogue.cases import Case
from tests.catalogue.coffers import DAYS, POLICY, own_coffer
from tests.faults.stage import Stage


def _attributes(fs: Any, at: Place) -> object:
    found = fs.attributes(at / "x")
    return found["biz_attr"], found["custom_headers"].get("Cache-Control")


def _hidden(fs: Any, at: Place) -> object:
    return at.names(found["place"] for found in fs.uploads(at.root))


def _of_coffer(ask: Callable[[Any, str], object]) -> Callable[[Any, Place], object]:
    return lambda fs, at: ask(fs, own_coffer(at)) if own_coffer(at) in fs.ls("", detail=False) else "none"


_EXISTS = _of_coffer(lambda fs, coffer: "there")
_LIFECYCLE = _of_coffer(lambda fs, coffer: fs.lifecycle(coffer))
_POLICY = _of_coffer(lambda fs, coffer: fs.policy(coffer))

EXTRA: dict[str, Callable[[Any, Place], object]] = {
    "update_attributes": _attributes,
    "uploads": _hidden,
    "abort_upload": _hidden,
    "clean_uploads": _hidden,
    "create_coffer": _EXISTS,
    "delete_coffer": _EXISTS,
    "lifecycle": _EXISTS,
    "set_lifecycle": _LIFECYCLE,
    "policy": _EXISTS,
    "set_policy": _POLICY,
    "delete_policy": _POLICY,
}
"""What else belongs to the state, by operation, as the second instance reads it."""

_ON_COFFERS = {name for name, extra in EXTRA.items() if extra in (_EXISTS, _LIFECYCLE, _POLICY)}


def extra_state(case: Case, place: Place) -> str | None:
    """Return what else belongs to the state of a case; None for most of them."""
    extra = EXTRA.get(case.step.name)
    return None if extra is None else str(extra(place.fs, place))


@contextmanager
def prepared(stage: Stage, case: Case) -> Iterator[tuple[Place, Place]]:
    """Set up a case; yield its place for the client under test, and for the second instance."""
    place = stage.place()
    fs = stage.client(**case.options)
    at = replace(place, fs=fs)
    try:
        set_up(stage, case, place)
        case.prepare(at)
        if case.before is not None:
            getattr(fs, case.before.name)(at / dict(case.before.arguments)["name"])
        yield at, place
    finally:
        stage.emulator.faults.clear()
        fs.client.close()
        if case.step.name in _ON_COFFERS and own_coffer(place) in stage.second.ls("", detail=False):
            stage.second.delete_coffer(own_coffer(place))


def set_up(stage: Stage, case: Case, place: Place) -> None:
    """Store what exists before a case."""
    if case.files:
        stage.second.pipe({place / name: content.data for name, content in case.files.items()})
    for folder in case.folders:
        stage.second.makedirs(place / folder)
    for name, content in case.unfinished.items():
        stage.unfinished(place, name, content.data)
    if case.step.name in _ON_COFFERS - {"create_coffer"}:
        stage.second.create_coffer(own_coffer(place))
        if case.step.name in ("lifecycle", "policy", "delete_policy"):
            stage.second.set_lifecycle(own_coffer(place), DAYS)
            stage.second.set_policy(own_coffer(place), POLICY)
