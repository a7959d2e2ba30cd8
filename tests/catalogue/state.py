"""The state of one directory: which files and directories there are, and what an operation changes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

MIB = 1024 * 1024
_LARGEST = 8 * MIB


@lru_cache(maxsize=1)
def _pool() -> bytes:
    return random.Random(20).randbytes(_LARGEST + MIB)


@dataclass(frozen=True)
class Content:
    """What a file holds, without its bytes: equal contents have equal bytes, in any process."""

    seed: int
    # number of bytes
    size: int
    # what the first of them are, where a file was appended to; the others are 8 MiB at most
    old: Content | None = None

    def __post_init__(self) -> None:
        if not self.size:
            object.__setattr__(self, "seed", 0)

    @property
    def data(self) -> bytes:
        """The bytes: those of the old content, a stamp that depends on the seed, and random bytes."""
        before = b"" if self.old is None else self.old.data
        size = self.size - len(before)
        stamp = (bytes([self.seed % 256]) + hashlib.sha1(b"%d" % self.seed).digest())[:size]
        start = self.seed * 7919 % MIB
        return before + stamp + _pool()[start : start + size - len(stamp)]

    def followed_by(self, more: Content) -> Content:
        """Return the content of a file with this one, to which another one was appended."""
        if not self.size or not more.size:
            return self if self.size else more
        return replace(more, size=self.size + more.size, old=self)


EMPTY = Content(0, 0)


def parents(name: str) -> Iterator[str]:
    """Yield the directories above a name, the nearest first, without the root."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


@dataclass(frozen=True)
class Change:
    """What an operation changes when it succeeds. When it fails, each part may have happened or not."""

    # new content by name; None for a file that is removed
    writes: dict[str, Content | None] = field(default_factory=dict)
    # directories that are made (parents of written files need not be named) and removed
    makes: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    # sources and targets among the written files. A source of a move may be gone only when its target is there.
    moves: tuple[tuple[str, str], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    # contents, by name, of uploads that are started and discarded
    given_up: dict[str, Content] = field(default_factory=dict)

    @property
    def written(self) -> dict[str, Content]:
        """The files that are written, by name."""
        return {name: content for name, content in self.writes.items() if content is not None}

    @property
    def may_make(self) -> set[str]:
        """All directories that may be made."""
        above = {folder for name in [*self.written, *self.makes, *self.given_up] for folder in parents(name)}
        return above | self.makes

    @property
    def uploads(self) -> dict[str, Content]:
        """Contents, by name, of which an unfinished upload may be left after a failure."""
        return self.given_up | self.written


@dataclass
class State:
    """Contents of files by name, and names of directories; all names are relative to one directory."""

    files: dict[str, Content] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, files: dict[str, Content], folders: Iterable[str] = ()) -> State:
        """Return a state with these files and directories, and all directories above them."""
        above = {folder for name in [*files, *folders] for folder in parents(name)}
        return cls(dict(files), {*folders} | above)

    def after(self, change: Change) -> State:
        """Return the state after a successful operation."""
        files = {**self.files, **change.writes}
        made = {folder for name in [*change.written, *change.makes] for folder in parents(name)} | change.makes
        return State(
            {name: content for name, content in files.items() if content is not None},
            self.folders - change.drops | made,
        )

    def files_below(self, folder: str) -> dict[str, Content]:
        """Return the files below a directory; the empty name is the root."""
        return {name: content for name, content in self.files.items() if is_below(name, folder)}

    def folders_below(self, folder: str) -> set[str]:
        return {name for name in self.folders if is_below(name, folder)}

    def entries(self, folder: str) -> set[str]:
        """Return the names of the direct children of a directory."""
        return {name for name in [*self.files, *self.folders] if name.rpartition("/")[0] == folder}

    def is_folder(self, name: str) -> bool:
        return name == "" or name in self.folders

    def is_under_file(self, name: str) -> bool:
        return any(folder in self.files for folder in parents(name))

    def blocks_file(self, name: str) -> bool:
        """Return whether no file can be written at a name: it is a directory, or a parent of it is a file."""
        return self.is_folder(name) or self.is_under_file(name)

    def blocks_folder(self, name: str) -> bool:
        return name in self.files or self.is_under_file(name)


def is_below(name: str, folder: str) -> bool:
    return not folder or name.startswith(folder + "/")


def clashes(names: Iterable[str]) -> bool:
    """Return whether one of the names is a directory above another."""
    wanted = set(names)
    return any(folder in wanted for name in wanted for folder in parents(name))
