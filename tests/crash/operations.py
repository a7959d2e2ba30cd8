"""The operations during which a process dies: random cases of the catalogue, with all that readers may see."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.catalogue import CATALOGUE, Content, Place, State, Step, View

CHANGING = frozenset({
    "create", "update", "delete", "move", "copy", "upload", "upload_slice_init", "upload_slice_data",
    "upload_slice_finish", "upload_slice", "abort",
})  # fmt: skip
"""The requests that change what is stored; a process that dies between two others has changed nothing more."""

ANY_CHANGE = "any change"
"""Stands for all of them where an operation is named."""

SLICE = 512 * 1024
"""Bytes per slice, and of the largest object that one request uploads."""

_WAYS = ("open", "open sized", "pipe_file", "put_file")


@dataclass(frozen=True)
class Operation:
    """One step of the catalogue, what is there before it, and what is there when it has succeeded."""

    name: str
    # `bucket/dir` that has everything, or a bucket
    folder: str
    local: Path
    step: Step
    state: State
    final: State
    # about how many requests change something
    requests: int
    # the methods of the service's store that it uses (see `tests.crash.server`)
    places: tuple[str, ...]
    # target by source: what was at the source is whole at one of both, always
    pairs: Mapping[str, str]
    # directories that are no longer there afterwards
    dropped: tuple[str, ...] = ()

    @cached_property
    def before(self) -> dict[str, bytes]:
        """The bytes by path before the step."""
        return self._bytes(self.state)

    @cached_property
    def after(self) -> dict[str, bytes]:
        """The bytes by path after the step."""
        return self._bytes(self.final)

    def _bytes(self, state: State) -> dict[str, bytes]:
        return {self._path(name): content.data for name, content in state.files.items()}

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    @property
    def moves(self) -> dict[str, str]:
        """Target paths by source."""
        return {self._path(source): self._path(target) for source, target in self.pairs.items()}

    @property
    def gone(self) -> tuple[str, ...]:
        """Paths of directories that are no longer there afterwards."""
        return tuple(map(self._path, self.dropped))

    @property
    def resumes(self) -> bool:
        """Whether the same call continues an unfinished upload."""
        return dict(self.step.arguments).get("way") == "put_file"

    @property
    def task(self) -> dict[str, Any]:
        """The task as `tests.crash.child` takes it."""
        arguments = (self.folder, str(self.local), pickle.dumps(self.step).hex())
        return {"action": "step", "arguments": arguments, "keywords": {}}

    @property
    def paths(self) -> list[str]:
        """Every path of a file; sources of moves before their targets."""
        return list(dict.fromkeys([*self.moves, *self.before, *self.after]))

    def allowed(self, path: str) -> tuple[bytes | None, bytes | None]:
        """Return the two contents that a reader may find; None: no file."""
        return self.before.get(path), self.after.get(path)

    def stopped_at(self, stored: dict[str, bytes]) -> Operation:
        """Return the operation with what it can come to where only these of its files can still be stored."""
        files = {name: content for name, content in self.final.files.items() if self._path(name) in stored}
        return replace(self, final=State({**self.state.files, **files}, self.final.folders))


Kind = Callable[["Maker"], Operation]


class Maker:
    """What operations are made of: a folder, local files, and chance.

    `size`: bytes of the largest object. `write_once`: nothing is where something is to be stored.
    """

    def __init__(self, folder: str, local: Path, chance: random.Random, size: int, write_once: bool = False) -> None:
        self.folder, self.local, self.chance, self.size, self.write_once = folder, local, chance, size, write_once

    def operation(
        self,
        name: str,
        step: Step,
        files: dict[str, Content],
        requests: int,
        places: tuple[str, ...],
        *,
        whole: bool = False,
    ) -> Operation:
        """Return an operation whose effect is that of the catalogue, with its local files made.

        `whole`: it takes place in the bucket itself, in which nothing else is then.
        """
        state, folder = State.of(files), self.folder.partition("/")[0] if whole else self.folder
        effect = CATALOGUE.expect(View(state, write_once=self.write_once, is_bucket=whole), step)
        assert effect is not None
        assert not effect.errors, f"{step} is refused"
        CATALOGUE.prepare(Place(None, folder, self.local), step)
        change = effect.change
        # a write-once store has its own methods for contents
        used = tuple(place for place in places if place == "writing") if self.write_once else places
        return Operation(
            name, folder, self.local, step, state, state.after(change), requests, used,
            dict(change.moves), tuple(change.drops),
        )  # fmt: skip

    def content(self, large: bool) -> Content:
        """Return a content of its own."""
        size = self.chance.randint(SLICE + 1, self.size) if large else self.chance.randint(1, 60_000)
        return Content(self.chance.randrange(1 << 30), size)

    def tree(self, folder: str) -> dict[str, Content]:
        """Return small files in nested directories, by name."""
        names = ("a", "b é", "sub/c", "sub/d", "sub/deep/e", "other/f")
        chosen = sorted(self.chance.sample(names, self.chance.randint(4, len(names))))
        return {f"{folder}/{name}": self.content(False) for name in chosen}

    def tree_onto(self, source: str, target: str) -> tuple[dict[str, Content], dict[str, Content]]:
        """Return the files of a tree, and some that are where its files go."""
        tree = self.tree(source)
        targets = [f"{target}{name[len(source) :]}" for name in tree]
        taken = [name for name in targets if not self.write_once and self.chance.random() < 0.3]
        return tree, {name: self.content(False) for name in taken}


def _requests(new: Content, old: Content | None, write_once: bool) -> int:
    """Return how many changing requests an upload makes; parts of coffers are twice as large."""
    slices = 0 if new.size <= SLICE else -(-new.size // (2 * SLICE if write_once else SLICE))
    return 1 if not slices else slices + (2 if old is None else 4)


def write(maker: Maker) -> Operation:
    """One object is stored, in one request or in slices, where nothing, a small or a large one was."""
    chance = maker.chance
    way, large = chance.choice(_WAYS), chance.random() < 0.7
    was = "nothing" if maker.write_once else chance.choice(("nothing", "small", "large"))
    old = None if was == "nothing" else maker.content(was == "large")
    new, name = maker.content(large), "deep/object"
    # something beside it, which has to stay
    files = {"beside": maker.content(False), **({} if old is None else {name: old})}
    places = ("write_blob", "_write", "resize_blob") if large else ("new_blob", "_write")
    return maker.operation(
        f"{way}, {'large' if large else 'small'} over {was}",
        CATALOGUE["write"].step(name=name, content=new, way=way),
        files,
        _requests(new, old, maker.write_once),
        (*places, "writing"),
    )


def move_file(maker: Maker) -> Operation:
    """A file is moved, onto another or where nothing is."""
    target = maker.chance.choice(("to", "new/dir/to"))
    files, taken = {"from": maker.content(maker.chance.random() < 0.5)}, maker.chance.random() < 0.5
    if taken:
        files[target] = maker.content(maker.chance.random() < 0.5)
    step = CATALOGUE["mv_file"].step(source="from", target=target)
    name = f"mv file {'onto another' if taken else 'to a new path'}"
    return maker.operation(name, step, files, 1, ("writing", "_remove_blobs"))


def move_directory(maker: Maker) -> Operation:
    """A directory is moved, perhaps onto files that are there."""
    tree, taken = maker.tree_onto("from", "to")
    step = CATALOGUE["mv_recursive"].step(source="from", target="to")
    name = f"mv directory of {len(tree)}"
    return maker.operation(name, step, {**tree, **taken}, len(tree) + 4, ("writing", "_remove_blobs"))


def copy(maker: Maker) -> Operation:
    """A file or a directory is copied, perhaps onto what is there."""
    tree, taken = maker.tree_onto("from", "to")
    step, name, requests = CATALOGUE["cp_recursive"].step(source="from", target="to"), "directory", len(tree) + 3
    if maker.chance.random() < 0.4:
        source = next(iter(tree))
        step = CATALOGUE["cp_file"].step(source=source, target=f"to{source[len('from') :]}")
        name, requests = "file", 1
    places = ("copy_blob", "writing", "_remove_blobs")
    return maker.operation(f"cp {name} onto {len(taken)}", step, {**tree, **taken}, requests, places)


def remove(maker: Maker) -> Operation:
    """A directory is removed with all that is in it; what is beside it stays."""
    tree, beside = maker.tree("dir"), maker.tree("dir beside")
    step = CATALOGUE["rm_recursive"].step(name="dir")
    return maker.operation(
        f"rm -r of {len(tree)}", step, {**tree, **beside}, len(tree) + 3, ("writing", "_remove_blobs")
    )


def transaction(maker: Maker) -> Operation:
    """Several files appear when a transaction ends."""
    chance, before, contents = maker.chance, dict[str, Content](), dict[str, Content]()
    for number in range(chance.randint(2, 4)):
        name = f"{number % 2}/file{number}"
        contents[name] = maker.content(chance.random() < 0.3)
        if not maker.write_once and chance.random() < 0.5:
            before[name] = maker.content(chance.random() < 0.3)
    requests = sum(_requests(new, None, maker.write_once) + (not maker.write_once) for new in contents.values())
    step, name = CATALOGUE["transaction"].step(contents=contents, sized=chance.random() < 0.5), "transaction"
    if chance.random() < 0.3:
        inner = {last: contents.pop(last) for last in list(contents)[-1:]}
        step = CATALOGUE["nested_transaction"].step(contents=contents, inner=inner, fails=chance.random() < 0.5)
        name = "transaction with another in it"
    name = f"{name}, of {len(contents)}, {len(before)} there"
    return maker.operation(name, step, before, requests, ("_write", "writing", "new_blob"))


def several(maker: Maker) -> Operation:
    """A list of files is uploaded or copied, each to its own target."""
    tree, taken = maker.tree_onto("from", "to")
    targets = {name: f"to{name[len('from') :]}" for name in tree}
    if maker.chance.random() < 0.5:
        contents = {target: tree[name] for name, target in targets.items()}
        step, places, there = CATALOGUE["put_list"].step(contents=contents), ("new_blob", "_write", "writing"), taken
    else:
        step, places = CATALOGUE["cp_list"].step(pairs=targets), ("copy_blob", "writing", "_remove_blobs")
        there = {**tree, **taken}
    return maker.operation(f"{step.name} of {len(tree)} onto {len(taken)}", step, there, len(tree), places)


def empty_bucket(maker: Maker) -> Operation:
    """All that is in a bucket is removed."""
    tree = maker.tree("dir") | maker.tree("other")
    step = CATALOGUE["empty_bucket"].step()
    return maker.operation(
        f"rm -r of a bucket with {len(tree)}", step, tree, len(tree) + 6, ("writing", "_remove_blobs"), whole=True
    )


KINDS: tuple[Kind, ...] = (
    write, write, write, write, move_file, move_directory, move_directory, copy, remove, transaction, transaction,
    several, empty_bucket,
)  # fmt: skip
"""What is chosen from; often what has many variants."""

WRITE_ONCE_KINDS: tuple[Kind, ...] = (write, write, write, write, copy, transaction, several)
"""What is chosen from where nothing can be replaced, moved or removed."""
