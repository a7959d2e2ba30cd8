"""Transactions: their files are published together at the end, and nothing else waits for it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.catalogue.operations import Draws, Effect, Place, View, operation, pick
from tests.catalogue.state import Change, Content, clashes
from tests.catalogue.writing import PIECE, PIECES, BoomError, fill, writes


def _write_all(at: Place, contents: dict[str, Content], piece: int = PIECE, *, sized: bool = False) -> None:
    for name, content in contents.items():
        with at.fs.open(at / name, "wb", size=content.size if sized else None) as file:
            fill(file, content.data, piece)


def _without(view: View, contents: dict[str, Content], others: dict[str, Content]) -> Effect | None:
    """Return the effect of writing files while others, which could be written as well, are given up."""
    if writes(view, others).errors:
        # when that shows is not certain
        return None
    effect = writes(view, contents)
    given_up = {**effect.change.given_up, **others}
    return dataclasses.replace(effect, change=dataclasses.replace(effect.change, given_up=given_up))


@operation(4, several=True, contents=Draws.contents, sized=Draws.flag, piece=PIECES, fails=Draws.flag)
def transaction(
    at: Place, contents: dict[str, Content], sized: bool = False, piece: int = PIECE, fails: bool = False
) -> None:
    """Write several files that are published at the end of a transaction, or not at all."""
    with at.fs.transaction:
        _write_all(at, contents, piece, sized=sized)
        at.before_commit()
        if fails:
            raise BoomError


@transaction.effect
def _(
    view: View, contents: dict[str, Content], sized: bool = False, piece: int = PIECE, fails: bool = False
) -> Effect | None:
    if clashes(contents):
        return None
    effect = writes(view, contents)
    return Effect(Change(given_up=contents), errors=(BoomError, *effect.errors)) if fails else effect


@operation(several=True, contents=Draws.contents, inner=Draws.contents, fails=Draws.flag)
def nested_transaction(at: Place, contents: dict[str, Content], inner: dict[str, Content], fails: bool) -> None:
    """Write files in a transaction, and others in one inside it, which perhaps fails by itself."""
    with at.fs.transaction:
        _write_all(at, contents)
        with suppress(BoomError), at.fs.transaction:
            _write_all(at, inner)
            if fails:
                raise BoomError
        at.before_commit()


@nested_transaction.effect
def _(view: View, contents: dict[str, Content], inner: dict[str, Content], fails: bool) -> Effect | None:
    if clashes([*contents, *inner]) or not inner.keys().isdisjoint(contents):
        return None
    return _without(view, contents, inner) if fails else writes(view, contents | inner)


HOW = ("discards", "leaves open")
"""What happens to the last file of a transaction that does not close it."""


@operation(several=True, contents=Draws.contents, how=pick(*HOW))
def incomplete_transaction(at: Place, contents: dict[str, Content], how: str) -> None:
    """Write files in a transaction of which the last one is discarded, or is still open at the end."""
    *closed, last = contents
    with at.fs.transaction:
        _write_all(at, {name: contents[name] for name in closed})
        file = at.fs.open(at / last, "wb")
        fill(file, contents[last].data, PIECE)
        if how == "discards":
            file.discard()
        at.before_commit()


@incomplete_transaction.effect
def _(view: View, contents: dict[str, Content], how: str) -> Effect | None:
    if clashes(contents) or writes(view, contents).errors:
        return None
    if how == "leaves open":
        return Effect(Change(given_up=contents), errors=(OSError,))
    *closed, last = contents
    return _without(view, {name: contents[name] for name in closed}, {last: contents[last]})


@operation(several=True, contents=Draws.contents, name=Draws.name, content=Draws.content, fails=Draws.flag)
def write_beside_transaction(at: Place, contents: dict[str, Content], name: str, content: Content, fails: bool) -> None:
    """Write a file in another thread during a transaction: it is there at once, also if the transaction fails."""

    def write() -> None:
        _write_all(at, {name: content})

    def is_there() -> bool:
        return bool(at.fs.info(at / name, refresh=True)["size"] == content.size)

    with suppress(BoomError), at.fs.transaction:
        _write_all(at, contents)
        at.before_commit()
        with ThreadPoolExecutor(1) as other:
            other.submit(write).result()
        assert is_there(), f"{name} waits for the transaction of another thread"
        if fails:
            raise BoomError
    assert is_there(), f"{name} went with the transaction of another thread"


@write_beside_transaction.effect
def _(view: View, contents: dict[str, Content], name: str, content: Content, fails: bool) -> Effect | None:
    if clashes([*contents, name]) or name in contents:
        return None
    return _without(view, {name: content}, contents) if fails else writes(view, {**contents, name: content})
