"""Lists of sources and targets: each file gets its own target; where two have one, nothing happens at all."""

from __future__ import annotations

from collections.abc import Callable

from tests.catalogue.operations import REPLACING, Draws, Effect, Place, View, operation, pick
from tests.catalogue.state import Change, Content, State, clashes
from tests.catalogue.writing import writes


def _pairs(draws: Draws) -> dict[str, str]:
    return dict(zip(draws.names(3), draws.names(3), strict=False))


def _moved(state: State, pairs: dict[str, str]) -> dict[str, Content] | None:
    """Return the contents by target; None where a list would be refused, or stand for something else."""
    targets = pairs.values()
    if any(source not in state.files or "[" in source for source in pairs):
        return None
    if any(state.blocks_file(target) for target in targets) or clashes(targets) or not pairs.keys().isdisjoint(targets):
        return None
    return {target: state.files[source] for source, target in pairs.items()}


@operation(3, several=True, pairs=_pairs)
def cp_list(at: Place, pairs: dict[str, str]) -> None:
    """Copy several files, each to its own target."""
    at.fs.cp([at / name for name in pairs], [at / name for name in pairs.values()])


@cp_list.effect
def _(view: View, pairs: dict[str, str]) -> Effect | None:
    copied = _moved(view.state, pairs)
    if copied is None or (view.write_once and not copied.keys().isdisjoint(view.state.files)):
        return None
    return Effect(Change({**copied}, copies=tuple(pairs.items())))


@operation(3, protocols=REPLACING, several=True, pairs=_pairs)
def mv_list(at: Place, pairs: dict[str, str]) -> None:
    """Move several files, each to its own target."""
    at.fs.mv([at / name for name in pairs], [at / name for name in pairs.values()])


@mv_list.effect
def _(view: View, pairs: dict[str, str]) -> Effect | None:
    moved = _moved(view.state, pairs)
    return None if moved is None else Effect(Change({**moved, **dict.fromkeys(pairs)}, moves=tuple(pairs.items())))


@operation(several=True, contents=Draws.contents)
def put_list(at: Place, contents: dict[str, Content]) -> None:
    """Upload several local files, each to its own target."""
    at.fs.put([str(at.local_file(content.data)) for content in contents.values()], [at / name for name in contents])


@put_list.before
def _(at: Place, contents: dict[str, Content]) -> None:
    for content in contents.values():
        at.local_file(content.data)


@put_list.effect
def _(view: View, contents: dict[str, Content]) -> Effect | None:
    # of one local file, a second copy is one that fsspec's users may make
    return None if clashes(contents) else writes(view, contents)


def _put(at: Place, paths: list[str], target: str) -> None:
    local = [at.local(f"from/{number}") for number in range(len(paths))]
    for number, path in enumerate(local):
        path.write_bytes(b"%d" % number)
    at.fs.put([str(path) for path in local], [at / target] * len(local))


COLLIDING: dict[str, Callable[[Place, list[str], str], object]] = {
    "cp": lambda at, paths, target: at.fs.cp(paths, [at / target] * len(paths)),
    "mv": lambda at, paths, target: at.fs.mv(paths, [at / target] * len(paths)),
    "get": lambda at, paths, target: at.fs.get(paths, [str(at.local("one"))] * len(paths)),
    "put": _put,
    # two spellings of one path
    "pipe": lambda at, paths, target: at.fs.pipe({at / target: b"1", f"/{at / target}": b"2"}),
}
"""Operations on lists of paths that have one target, by name."""


@operation(3, how=pick(*COLLIDING), names=Draws.names, target=Draws.name)
def collide(at: Place, how: str, names: list[str], target: str) -> None:
    """Let several files have one target."""
    COLLIDING[how](at, [at / name for name in names], target)


@collide.effect
def _(view: View, how: str, names: list[str], target: str) -> Effect | None:
    known = all(name in view.state.files for name in names)
    return Effect(errors=(OSError,)) if len(names) > 1 and known else None
