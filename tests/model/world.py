"""Where steps happen: a filesystem, a second one that shares nothing with it, and the model of one directory."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
from hypothesis import strategies as st

from cosv4fs.api.retry import RetryPolicy
from cosv4fs.errors import CosFileNotFoundError, CosIsADirectoryError
from tests.catalogue import CATALOGUE, Catalogue, Content, Draws, Effect, Place, State, Step, View
from tests.catalogue.reading import OLD
from tests.support import elsewhere

BUCKET, BEYOND, WHOLE = "model", "beyond", "whole"
"""The last one is the root itself of one world after another."""
KIB = 1024

OPTIONS = {
    "slice_size": 512 * KIB,
    "single_upload_limit": 64 * KIB,
    "range_size": 64 * KIB,
    "spool_memory": 128 * KIB,
    "max_concurrency": 4,
    "max_requests": 4,
    "max_retries": 3,
    "read_timeout": 30.0,
}
"""Small limits, so that small contents are transferred in all ways."""


def without_pauses(fs: Any) -> Any:
    """Let the filesystem's runtime of this process retry without waiting; return the filesystem."""
    config = fs.config
    fs.client._policy = RetryPolicy(config.max_retries, config.retry_deadline, sleep=lambda seconds: None)
    return fs


def outside_filesystem(storage_options: dict[str, Any]) -> Any:
    """Return a filesystem that caches nothing and has a runtime of its own."""
    return without_pauses(
        fsspec.filesystem("cosv4", **elsewhere(storage_options), use_listings_cache=False, max_requests=2)
    )


class World:
    """One directory of a bucket, or an emptied bucket, two filesystems that see it, and the model of what is in it.

    `fs` is tested, `second` shows whether it was right; nothing else writes below `root`. `exact_folders` is False
    where the service drops empty directories by itself. In another process there is no `emulator`, and no step that
    orders faults. `is_lost`: something was wrong, so there is nothing to compare any more. `latest`: the latest steps
    and their faults, for messages.
    """

    def __init__(
        self,
        fs: Any,
        second: Any,
        root: str,
        scratch: Path,
        *,
        exact_folders: bool = True,
        tells_sha1: bool = True,
        emulator: Any = None,
    ) -> None:
        self.second, self.exact_folders, self.emulator = second, exact_folders, emulator
        self._tells_sha1 = tells_sha1
        self.place = Place(fs, root, scratch, f"{BEYOND}/{scratch.name}")
        self.place.before_commit = self._check_unpublished
        self.state = State()
        self.is_lost = False
        self.latest: deque[tuple[Any, Any]] = deque(maxlen=6)
        self._turn = 0
        scratch.mkdir(parents=True, exist_ok=True)
        if self.place.is_bucket:
            second.rm(root, recursive=True)
            fs.invalidate_cache(root)
        else:
            fs.makedirs(root, exist_ok=True)

    @property
    def fs(self) -> Any:
        """The filesystem that is tested."""
        return self.place.fs

    @property
    def root(self) -> str:
        return self.place.root

    @property
    def scratch(self) -> Path:
        return self.place.scratch

    @property
    def key(self) -> str:
        """What the paths of requests below the root begin with."""
        folder = self.root.partition("/")[2]
        return f"/{folder}/" if folder else "/"

    def path(self, name: str) -> str:
        return self.place / name

    def begin(self) -> None:
        """Give the next step a local folder of its own."""
        self._turn += 1
        self.place.turn = str(self._turn)

    def check_fetched(self, effect: Effect, *, failed: bool) -> None:
        """Assert that the local files of a step are complete, or after a failure as they were before."""
        if effect.fetched is None:
            return
        folder = self.scratch / self.place.turn
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        expected = {name: content.data for name, content in effect.fetched.items()}
        if not failed:
            assert found == expected, f"other local files: {sorted(found)} instead of {sorted(expected)}"
        for name, data in found.items():
            assert data in (OLD, expected.get(name)), f"a part of {name} was left on the local disk"

    def _check_unpublished(self) -> None:
        """Assert that a transaction has published nothing so far."""
        for name, info in self.seen(self.second)[0].items():
            content = self.state.files.get(name)
            assert content is not None, f"{name} is visible before the end"
            assert content.size == info["size"], f"{name} is replaced before the end"

    def seen(self, instance: Any) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Return infos of files and names of directories as one of the filesystems finds them."""
        found = instance.find(self.root, withdirs=True, detail=True)
        files = {self.place.name(path): info for path, info in found.items() if info["type"] == "file"}
        return files, {self.place.name(path) for path, info in found.items() if info["type"] == "directory"} - {""}

    def bytes_of(self, name: str, instance: Any = None) -> bytes | None:
        """Return the bytes of the file at a name, None where there is none."""
        try:
            data: bytes = (instance or self.second).cat_file(self.path(name))
        except (CosFileNotFoundError, CosIsADirectoryError):
            return None
        return data

    def holds(self, name: str, content: Content | None) -> bool:
        """Return whether the second filesystem finds this content at a name."""
        return self.bytes_of(name) == (None if content is None else content.data)

    def hidden(self) -> set[str]:
        """Return names with unfinished uploads, or with temporary objects of dead ones."""
        try:
            return {self.place.name(upload["name"]) for upload in self.second.uploads(self.root)}
        except CosFileNotFoundError:
            return set()

    def compare(self, instance: Any, *, thoroughly: bool = False) -> None:
        """Assert that a filesystem shows the state of the model, contents included when asked."""
        files, folders = self.seen(instance)
        state = self.state
        shown = {(name, info["size"]) for name, info in files.items()}
        expected = {(name, content.size) for name, content in state.files.items()}
        which = "the first" if instance is self.fs else "the second"
        assert shown == expected, f"{which} lists {shown - expected} and not {expected - shown}"
        if self.exact_folders:
            surplus, missing = folders - state.folders, state.folders - folders
            assert not surplus | missing, f"{which} lists directories {surplus} and not {missing}"
        for name, info in files.items():
            data = state.files[name].data
            digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            told = info["sha"] if self._tells_sha1 else None
            assert told in (None, digest) or not data, f"another content at {name}"
            if thoroughly or told is None:
                assert self.bytes_of(name, instance) == data, f"another content at {name}"


# -- steps -----------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "dir/a", "dir/b", "dir/sub/a", "other/a", "other/ä %+#", "dir/q[1]", "dir/sub", "a/under")
"""Names of files; the last two are also the name of a directory and a name below a file."""

FOLDERS = ("dir", "dir/sub", "other", "other/deep", "b")
"""Names of directories; the last one is also the name of a file."""

SIZES = (0, 1, 1000, 70 * KIB, 150 * KIB, 300 * KIB, 600 * KIB, 1100 * KIB)
"""One request up to 64 KiB, slices beyond; the last two need several slices in any case."""

MODEL = Catalogue()
"""Operations of the model only; they are called with its `World`."""


def every() -> Catalogue:
    """Return the operations of the catalogue and of the model."""
    return Catalogue({**CATALOGUE, **MODEL})


def expect(world: World, step: Step, state: State | None = None) -> Effect | None:
    """Return the effect of a step in a world, or in another state of it; None when it does not apply there."""
    entry = MODEL.get(step.name) or CATALOGUE[step.name]
    view = View(
        world.state if state is None else state,
        world.hidden,
        world.exact_folders,
        is_bucket=world.place.is_bucket,
    )
    return entry.expect(view, **dict(step.arguments))


def call(world: World, step: Step) -> object:
    """Carry out a step."""
    if step.name in MODEL:
        return MODEL.call(world, step)  # type: ignore[arg-type]
    return CATALOGUE.call(world.place, step)


class _Drawn(random.Random):
    """Chance that hypothesis decides, so that it can shrink what fails."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(0)
        self._draw = draw

    def choice(self, seq: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(seq))

    def randint(self, a: int, b: int) -> int:
        return self._draw(st.integers(a, b))


@st.composite
def steps(draw: st.DrawFn, protocol: str = "cosv4", *, alone: bool = True) -> Step:
    """Draw one of all operations; without those that need an instance of their own unless `alone`."""
    return every().draw(Draws(_Drawn(draw), NAMES, FOLDERS, lambda chance: chance.choice(SIZES)), protocol, alone=alone)
