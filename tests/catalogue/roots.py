"""Operations on a whole bucket, and on the directory of a mapping."""

from __future__ import annotations

from tests.catalogue.operations import REPLACING, Effect, Place, View, operation
from tests.catalogue.state import Change, Content


@operation(protocols=REPLACING, several=True)
def empty_bucket(at: Place) -> None:
    """Remove all that is in a bucket, which stays."""
    at.fs.rm(at.root, recursive=True)


@operation(1, protocols=REPLACING)
def clear_mapping(at: Place) -> None:
    """Remove all that is in a directory or a bucket; fsspec's mapping hides errors."""
    at.fs.get_mapper(at.root).clear()


@clear_mapping.effect
def _empty(view: View) -> Effect:
    files: dict[str, Content | None] = dict.fromkeys(view.state.files)
    return Effect(Change(files, drops=frozenset(view.state.folders)))


@empty_bucket.effect
def _(view: View) -> Effect | None:
    return _empty(view) if view.is_bucket else None
