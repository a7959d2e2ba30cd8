"""One client thread: it draws steps from the catalogue, carries them out, and knows what its files hold."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec

from cosv4fs.api import SliceSession
from tests.catalogue import CATALOGUE, Catalogue, Change, Content, Draws, Effect, Place, State, Step, View

KIB, MIB = 1024, 1024 * 1024
BUCKETS = ("data", "other")

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "small": {
        "slice_size": 512 * KIB,
        "single_upload_limit": 512 * KIB,
        "spool_memory": 1 * MIB,
        "range_size": 256 * KIB,
        "max_concurrency": 6,
        "page_size": 7,
    },
    "plain": {"spool_memory": 2 * MIB},
    "uncached": {
        "use_listings_cache": False,
        "single_upload_limit": 1 * MIB,
        "slice_size": 1 * MIB,
        "range_size": 1 * MIB,
        "instant_upload": True,
        "streaming": "never",
        "max_requests": 8,
        "max_concurrency": 3,
    },
}
"""Options by name, beside those of the account and the folders: each makes a runtime of its own."""

SHARED = f"{BUCKETS[0]}/shared"
"""The directory that all threads read and none writes during a run."""

MOST_FILES = 24
MOST_BYTES = 24 * MIB
"""What a thread keeps on the service; beyond that it removes."""

LARGEST = 7 * MIB
"""Bytes of the largest object."""

_FOLDERS = ("dir", "dir/sub", "other", "d0", "d1/e", "d1/e/f")
_NAMES = ("a", "b.csv", "c.bin", "part {} #1%.txt", "雪+é.csv", ".x.hidden")
_LIMITS = (0, 1, 20, MIB // 2 - 1, MIB // 2, MIB // 2 + 1, MIB, 3 * MIB, 4 * MIB + 1)


def filesystem(configuration: str, account: dict[str, Any], folder: Path) -> Any:
    """Return the instance of the calling thread, as fsspec hands it out; its local files are below `folder`."""
    folders = {"journal_dir": str(folder / "journal"), "spool_dir": str(folder / "spool")}
    return fsspec.filesystem("cosv4", **account, **folders, **CONFIGURATIONS[configuration])


def some_size(chance: random.Random) -> int:
    """Return the size of an object in bytes: mostly small, sometimes of several slices, sometimes at a limit."""
    kind = chance.random()
    if kind < 0.05:
        return chance.choice(_LIMITS)
    if kind < 0.55:
        return chance.randint(2, 8 * KIB)
    if kind < 0.85:
        return chance.randint(8 * KIB, 256 * KIB)
    if kind < 0.96:
        return chance.randint(256 * KIB, 2 * MIB)
    return chance.randint(2 * MIB, LARGEST)


def draws(chance: random.Random) -> Draws:
    """Return what draws arguments. No name is both a file and a directory: it is certain what every step does."""
    names = [f"{folder}/{name}" for folder in _FOLDERS for name in _NAMES]
    return Draws(chance, names, _FOLDERS, some_size, lambda chance: chance.randrange(1 << 30))


LOAD = Catalogue()
"""Operations of the load test only; they are called with its `Client`."""


class WrongError(Exception):
    """The filesystem returned something wrong."""


class Client:
    """What one thread knows, and what it has counted.

    `index` and `seed` decide all that it does; `folder` is the same for all threads.
    """

    def __init__(
        self, index: int, seed: int, account: dict[str, Any], folder: Path, shared: dict[str, Content]
    ) -> None:
        self.index, self.chance, self.shared = index, random.Random(f"{seed} {index}"), shared
        self.home, self.beyond = (f"{bucket}/t{index:03}" for bucket in BUCKETS)
        self.state, self.done = State(), Counter[str]()
        self.sent = self.received = self.checked = 0
        self.local = folder / "local" / f"t{index:03}"
        self.local.mkdir(parents=True)
        self._account, self._folder = account, folder
        self._configuration = ""

    @property
    def files(self) -> dict[str, Content]:
        """What the thread's files have to hold, by path."""
        return {f"{self.home}/{name}": content for name, content in self.state.files.items()}

    def fs_of(self, configuration: str) -> Any:
        """Return the filesystem of a configuration."""
        return filesystem(configuration, self._account, self._folder)

    def fs(self) -> Any:
        """Return a filesystem, most often of the configuration that was used last."""
        if not self._configuration or self.chance.random() < 0.3:
            configuration = self.chance.choice(list(CONFIGURATIONS))
            if configuration != self._configuration:
                # its caches cannot know what was done through another configuration
                self.fs_of(configuration).invalidate_cache(self.home)
            self._configuration = configuration
        return self.fs_of(self._configuration)

    def work(self) -> str:
        """Carry out a random step; return the name of its operation."""
        while True:
            step = self._draw()
            if self.carry_out(step):
                return step.name

    def _draw(self) -> Step:
        files = self.state.files
        if len(files) > MOST_FILES or sum(content.size for content in files.values()) > MOST_BYTES:
            names = self.chance.sample(sorted(files), 5 if len(files) > 5 else 1)
            return CATALOGUE["rm_list"].step(names=names)
        return every().draw(draws(self.chance))

    def carry_out(self, step: Step) -> bool:
        """Carry out a step and check its result; return whether it makes sense, and its effect is certain."""
        if step.name in LOAD:
            LOAD[step.name].call(self)
            return True
        effect = CATALOGUE.expect(View(self.state), step)
        if effect is None or not self._is_certain(effect):
            return False
        at = Place(self.fs(), self.home, self.local, self.beyond, turn="turn")
        try:
            result = CATALOGUE.call(at, step)
        except effect.errors:
            result = None
        else:
            self.require(not effect.errors or effect.may_succeed, f"{step} succeeded instead of {effect.errors}")
            self._check(at, step, effect, result)
        self.state = self.state if effect.errors else self.state.after(effect.change)
        shutil.rmtree(self.local)
        self.local.mkdir()
        return True

    def _is_certain(self, effect: Effect) -> bool:
        change = effect.change
        makes_folders = bool(change.given_up and change.may_make - self.state.folders)
        return not makes_folders and not (effect.errors and change != Change())

    def _check(self, at: Place, step: Step, effect: Effect, result: object) -> None:
        try:
            effect.verify(result)
        except AssertionError as error:
            raise WrongError(f"{step}: {error}") from error
        self.checked += 1
        transferred = {name for pair in (*effect.change.moves, *effect.change.copies) for name in pair}
        self.sent += sum(c.size for name, c in effect.change.written.items() if name not in transferred)
        self.received += len(result) if isinstance(result, bytes) else 0
        for name, content in (effect.fetched or {}).items():
            self.compare(name, at.local(name).read_bytes(), content.data, step.name)
        for name, content in effect.change.written.items():
            if self.chance.random() < 0.2:
                self.compare(name, at.fs.cat_file(at / name), content.data, f"reading after {step.name}")
        if step.name.endswith("between_buckets"):
            content = self.state.files[dict(step.arguments)["name"]]
            self.compare(at.beyond_path, at.fs.cat_file(at.beyond_path), content.data, step.name)
            at.fs.rm_file(at.beyond_path)

    def compare(self, path: str, found: bytes, expected: bytes, how: str) -> None:
        """Count bytes that were read, and refuse wrong ones."""
        self.received += len(found)
        self.checked += 1
        if found != expected:
            first = next((i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
            text = f"{how} of {path}: {len(found)} bytes, {len(expected)} expected, first difference at {first}"
            raise WrongError(text)

    def require(self, condition: object, text: str) -> None:
        """Refuse a wrong result."""
        self.checked += 1
        if not condition:
            raise WrongError(text)


def every() -> Catalogue:
    """Return the operations of the catalogue and of the load test."""
    return Catalogue({**CATALOGUE, **LOAD})


@LOAD.operation(8)
def read_shared(client: Client) -> None:
    """Read an object that all threads read, whole and a part of it."""
    fs, path = client.fs(), client.chance.choice(sorted(client.shared))
    data = client.shared[path].data
    client.compare(path, fs.cat_file(path), data, "cat_file")
    start, stop = sorted(client.chance.randint(0, len(data)) for _ in range(2))
    with fs.open(path, "rb") as file:
        file.seek(start)
        client.compare(path, file.read(stop - start), data[start:stop], f"reading from {start}")


@LOAD.operation(4)
def leave_upload(client: Client) -> None:
    """Leave an unfinished upload as a dead process does, see it, and clean it up."""
    fs, folder = client.fs(), f"{client.home}/dead"
    path, bucket = f"{folder}/object", BUCKETS[0]
    key = "/" + path.partition("/")[2]
    session = fs.client.upload_slice_init(bucket, key, filesize=2_000_000, slice_size=MIB)
    client.require(isinstance(session, SliceSession), f"init at {path} opened no session")
    fs.client.upload_slice_data(bucket, key, session.session, 0, memoryview(bytes(MIB)))
    client.sent += MIB
    found = [(upload["name"], upload["stored"]) for upload in fs.uploads(folder)]
    client.require(found == [(path, MIB)], f"uploads in {folder}: {found}")
    client.require(not fs.exists(path) and fs.find(folder) == [], f"{path} is visible")
    if client.chance.random() < 0.5:
        fs.abort_upload(path)
    else:
        cleaned = fs.clean_uploads(client.home, older_than=-5)
        client.require(path in [upload["name"] for upload in cleaned], f"{path} was not cleaned up")
    client.require(fs.uploads(folder) == [], f"{path} is still there")
    fs.rm(folder, recursive=True)
