"""Refuse operations on many files in which one file would be lost.

Files are written in any order and several at once: if two of them have one target, or if one is written to the path
that another is read from, the outcome would depend on chance. These rules hold for all operations that pair sources
with targets, and apply before anything is sent.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from cosv4fs.paths import parents

PathPair = tuple[str, str]
"""A source and its target, without trailing slashes."""

Identity = Callable[[str], str]
"""Returns the same text for all spellings of one path."""


def check_targets(
    pairs: Iterable[PathPair],
    verb: str,
    *,
    identity: Identity = str,
    is_directory: Callable[[str], bool] = lambda _source: False,
    may_nest: bool = False,
) -> list[PathPair]:
    """Return each pair once; refuse pairs of which one would replace what the other has written.

    Parameters
    ----------
    verb : str
        The operation in messages: ``copied``.
    identity : callable
        For targets.
    is_directory : callable
        Whether a source is a directory, and not also a file, called only if that decides: directories may share a
        target, and may contain other targets.
    may_nest : bool
        Whether the target's filesystem can hold a file ``a`` beside a file ``a/b``.

    Raises
    ------
    OSError
        EINVAL: two sources have one target, or one file would have to be a directory for another.
    """
    unique: dict[tuple[str, str], PathPair] = {}
    first: dict[str, PathPair] = {}
    for source, target in pairs:
        place = identity(target)
        unique.setdefault((source, place), (source, target))
        other, _ = first.setdefault(place, (source, target))
        if other != source and not (is_directory(other) and is_directory(source)):
            raise OSError(errno.EINVAL, f"{other} and {source} would both be {verb} to this path", target)
    if not may_nest:
        _check_nested(first, verb, is_directory)
    return list(unique.values())


def _check_nested(pairs: dict[str, PathPair], verb: str, is_directory: Callable[[str], bool]) -> None:
    """Refuse a file whose target, by which pairs are given, another needs as a directory; see `check_targets`."""
    for place, (source, target) in pairs.items():
        for folder in parents(place):
            other, blocked = pairs.get(folder, ("", ""))
            if other and not is_directory(other):
                text = f"{other} would be {verb} to this path, which {source} needs as a directory, as {target}"
                raise OSError(errno.EINVAL, text, blocked)


def check_copies(
    pairs: Iterable[PathPair], verb: str, *, identity: Identity, is_directory: Callable[[str], bool]
) -> None:
    """Refuse copies within one filesystem that would replace the source of another, or nest a directory in itself.

    Parameters are those of `check_targets`; `identity` is for sources, too. A file that is its own target conflicts
    with nothing.

    Raises
    ------
    OSError
        EINVAL: a target is the source of another pair, or a directory would be copied into itself.
    """
    pairs = list(pairs)
    sources = {identity(source): source for source, _ in pairs}
    for source, target in pairs:
        old, new = identity(source), identity(target)
        if new.startswith(f"{old}/") and is_directory(source):
            raise OSError(errno.EINVAL, f"a directory cannot be {verb} into itself, as {target}", source)
        other = sources.get(new)
        if other is not None and new != old and not (is_directory(other) and is_directory(source)):
            text = f"{source} would be {verb} to this path, but {other} is to be {verb}, too: do it in two calls"
            raise OSError(errno.EINVAL, text, target)


def check_moves(pairs: Iterable[PathPair], *, identity: Identity = str) -> None:
    """Refuse moves within one filesystem of which one would take what another needs.

    Raises
    ------
    OSError
        EINVAL: a source has two targets, or a target is the source of another pair, or lies inside one.
    """
    pairs = list(pairs)
    goals: dict[str, PathPair] = {}
    for source, target in pairs:
        _, goal = goals.setdefault(identity(source), (source, target))
        if identity(goal) != identity(target):
            raise OSError(errno.EINVAL, f"it would be moved twice, to {goal} and to {target}", source)
    for source, target in pairs:
        new = identity(target)
        for path in (new, *parents(new)):
            other, goal = goals.get(path, ("", ""))
            # what stays where it is conflicts with nothing
            if other not in ("", source) and identity(goal) != path:
                text = f"{source} would be moved to this path, but {other} is to be moved, too: do it in two calls"
                raise OSError(errno.EINVAL, text, target)


def directories_among(sources: Iterable[str], ask: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a predicate for directories: a source that contains other sources is one; of others, `ask` tells.

    It is for filesystems where no path is both a file and a directory.
    """
    above = {folder for source in sources for folder in parents(source)}
    return lambda source: source in above or ask(source)
