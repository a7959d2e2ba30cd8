"""The model: which files and directories there are, and what an operation may make of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["Change", "Content", "State", "content_bytes", "parents"]


@dataclass(frozen=True)
class Content:
    """What a file shall hold: `size` bytes in which no two places look alike; the same seed gives the same."""

    seed: int
    size: int

    @property
    def data(self) -> bytes:
        return content_bytes(self.seed, self.size)


@lru_cache(maxsize=64)
def content_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed * 7919 + size).randbytes(size)


def parents(name: str) -> Iterator[str]:
    """Yield the directories above a name, the nearest first; the root, which is the empty name, is none of them."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


@dataclass(frozen=True)
class Change:
    """What an operation makes of the state when it succeeds; when it fails, each part may have happened or not.

    Parameters
    ----------
    writes : dict
        New content by name; None for a file that is removed.
    makes, drops : frozenset of str
        Directories that come (parents of written files need not be named) and go.
    moves : tuple of (str, str)
        Sources and targets: a source may be gone only when its target is there.
    given_up : dict
        Contents, by name, whose upload was begun and discarded.
    """

    writes: dict[str, bytes | None] = field(default_factory=dict)
    makes: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    moves: tuple[tuple[str, str], ...] = ()
    given_up: dict[str, bytes] = field(default_factory=dict)

    @property
    def may_come(self) -> set[str]:
        """All directories that may come into being."""
        files = [name for name, data in self.writes.items() if data is not None]
        above = {folder for name in [*files, *self.makes, *self.given_up] for folder in parents(name)}
        return above | self.makes

    @property
    def uploads(self) -> dict[str, bytes]:
        """Contents, by name, of which an unfinished upload may be left when something fails."""
        return self.given_up | {name: data for name, data in self.writes.items() if data is not None}


@dataclass
class State:
    """Contents of files by name, and names of directories; all names are relative to one directory."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def after(self, change: Change) -> State:
        """Return the state that a successful operation leaves."""
        files = {**self.files, **change.writes}
        written = {name for name, data in change.writes.items() if data is not None}
        made = change.makes | {folder for name in [*written, *change.makes] for folder in parents(name)}
        return State(
            {name: data for name, data in files.items() if data is not None}, self.folders - change.drops | made
        )

    def files_below(self, folder: str) -> dict[str, bytes]:
        """Return the files below a directory; the empty name is the root."""
        return {name: data for name, data in self.files.items() if is_below(name, folder)}

    def folders_below(self, folder: str) -> set[str]:
        return {name for name in self.folders if is_below(name, folder)}

    def entries(self, folder: str) -> set[str]:
        """Return the names of what lies directly in a directory."""
        return {name for name in [*self.files, *self.folders] if name.rpartition("/")[0] == folder}

    def is_folder(self, name: str) -> bool:
        return name == "" or name in self.folders

    def is_under_file(self, name: str) -> bool:
        return any(folder in self.files for folder in parents(name))

    def blocks_file(self, name: str) -> bool:
        """Return whether no file can be written at a name: it is a directory's, or one of its parents is a file."""
        return self.is_folder(name) or self.is_under_file(name)

    def blocks_folder(self, name: str) -> bool:
        return name in self.files or self.is_under_file(name)


def is_below(name: str, folder: str) -> bool:
    return not folder or name.startswith(folder + "/")


def clashes(names: Iterable[str]) -> bool:
    """Return whether one of the names would be a directory above another."""
    wanted = set(names)
    return any(folder in wanted for name in wanted for folder in parents(name))
