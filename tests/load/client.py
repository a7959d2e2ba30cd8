"""One client thread: its files, what they have to hold, and the filesystem of the moment."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from tests.load.configurations import BUCKETS, CONFIGURATIONS, filesystem
from tests.load.contents import Contents, Piece, some_size

__all__ = ["SHARED", "Client", "WrongError"]

SHARED = f"{BUCKETS[0]}/shared"
"""The directory that all threads read and nobody writes during a run."""

MOST_FILES = 24
MOST_BYTES = 24 * 1024 * 1024
"""What a thread keeps on the service; beyond that it removes."""

_NAMES = ("{}.csv", "{}.bin", "{}", "part {} #1%.txt", "雪{}+é.csv", "{}[1].bin", ".{}.hidden")


class WrongError(Exception):
    """The filesystem answered something that is not so."""


class Client:
    """What one thread knows, and what it has counted.

    Parameters
    ----------
    index, seed : int
        Decide all that it does.
    account : dict
        Storage options of the service.
    folder : Path
        The client's folder, the same for all threads.
    contents : Contents
        Makes the bytes.
    shared : dict
        The pieces of the shared objects by path.
    """

    def __init__(
        self,
        index: int,
        seed: int,
        account: dict[str, Any],
        folder: Path,
        contents: Contents,
        shared: dict[str, Piece],
    ) -> None:
        self.index, self.chance = index, random.Random(f"{seed} {index}")
        self.contents, self.shared = contents, shared
        self.files: dict[str, Piece] = {}
        self.done: Counter[str] = Counter()
        self.sent = self.received = self.checked = self.resumed = 0
        self.local = folder / "local" / f"t{index:03}"
        self.local.mkdir(parents=True)
        self._account, self._folder = account, folder
        self._numbers = 0
        self._room = ""

    @property
    def homes(self) -> list[str]:
        """The directories that are this thread's alone."""
        return [f"{bucket}/t{self.index:03}" for bucket in BUCKETS]

    def fs(self) -> Any:
        """Return a filesystem, most often of the configuration that was used last."""
        if not self._room or self.chance.random() < 0.3:
            configuration = self.chance.choice(list(CONFIGURATIONS))
            if configuration != self._room:
                # to the caches of a configuration, what was done through another is another program's doing
                for home in self.homes:
                    self.fs_of(configuration).invalidate_cache(home)
            self._room = configuration
        return self.fs_of(self._room)

    def fs_of(self, configuration: str) -> Any:
        """Return the filesystem of a configuration."""
        return filesystem(configuration, self._account, self._folder)

    def number(self) -> int:
        """Return a number that nobody else has."""
        self._numbers += 1
        return (self.index + 1) * 10_000_000 + self._numbers

    def piece(self, size: int | None = None) -> Piece:
        """Return a new content."""
        return self.contents.piece(self.number(), self.chance, some_size(self.chance) if size is None else size)

    def bytes_of(self, piece: Piece) -> bytes:
        """Return the bytes of a content."""
        return self.contents.bytes_of(piece)

    def folder(self) -> str:
        """Return one of the directories in which files are kept."""
        home = self.homes[self.chance.random() < 0.15]
        return f"{home}/d{self.chance.randrange(3)}" + self.chance.choice(("", "", "/e", "/e/f"))

    def fresh_folder(self) -> str:
        """Return a directory that never was."""
        return f"{self.homes[0]}/x{self.number()}"

    def fresh(self) -> str:
        """Return a path at which nothing ever was."""
        return f"{self.folder()}/{self.chance.choice(_NAMES).format(self.number())}"

    def taken(self) -> str | None:
        """Return one of the files there are."""
        return self.chance.choice(list(self.files)) if self.files else None

    def anywhere(self) -> str:
        """Return a path to write: a new one, or one to overwrite."""
        path = self.taken()
        return path if path is not None and self.chance.random() < 0.4 else self.fresh()

    def readable(self) -> tuple[str, bytes]:
        """Return a path and what is there: one's own, or one of the shared."""
        if not self.files or self.chance.random() < 0.25:
            path = self.chance.choice(list(self.shared))
            return path, self.bytes_of(self.shared[path])
        path = self.chance.choice(list(self.files))
        return path, self.bytes_of(self.files[path])

    def stored(self, path: str, piece: Piece) -> None:
        """Note that a path has a new content."""
        self.files[path] = piece
        self.sent += piece.size

    def is_full(self) -> bool:
        """Return whether something has to go."""
        return len(self.files) > MOST_FILES or sum(piece.size for piece in self.files.values()) > MOST_BYTES

    def compare(self, path: str, found: bytes, expected: bytes, how: str) -> None:
        """Count bytes that came, and refuse wrong ones.

        Raises
        ------
        WrongError
            They are not what was written last.
        """
        self.received += len(found)
        self.checked += 1
        if found != expected:
            first = next((i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
            text = f"{how} of {path}: {len(found)} bytes, {len(expected)} expected, first difference at {first}"
            raise WrongError(text)

    def require(self, condition: object, text: str) -> None:
        """Refuse an answer that is not so.

        Raises
        ------
        WrongError
            The condition is false.
        """
        self.checked += 1
        if not condition:
            raise WrongError(text)
