"""What a dying process, or a client of a dying service, was doing: operations with all that readers may see."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ANY_CHANGE", "CHANGING", "KINDS", "KINDS_ONCE", "SLICE", "Operation"]

CHANGING = frozenset({
    "create", "update", "delete", "move", "copy", "upload", "upload_slice_init", "upload_slice_data",
    "upload_slice_finish", "upload_slice", "abort",
})  # fmt: skip
"""The requests that change what is stored; a process that dies between two others has changed nothing more."""

ANY_CHANGE = "any change"
"""Stands for all of them where an operation is named."""

SLICE = 512 * 1024
"""Bytes per slice, and of the largest object that one request uploads."""

_WAYS = ("write", "write sized", "pipe_file", "put_file")


@dataclass(frozen=True)
class Operation:
    """One call, what is there before it, and what is there when it has succeeded.

    Parameters
    ----------
    name : str
        For people.
    folder : str
        ``bucket/dir`` that has everything.
    action, arguments, keywords : str, tuple, dict
        The task, as `tests.crash.child` takes it.
    before, after : dict
        Content by path.
    moves : dict
        Target by source: what was at the source is whole at one of both, always.
    gone : tuple of str
        Directories that are no longer there afterwards.
    requests : int
        About how many requests change something.
    places : tuple of str
        What of the service's store it needs (see `tests.crash.server`).
    """

    name: str
    folder: str
    action: str
    arguments: tuple[Any, ...]
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    requests: int
    places: tuple[str, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Every path of a file; sources of moves before their targets."""
        return list(dict.fromkeys([*self.moves, *self.before, *self.after]))

    def allowed(self, path: str) -> tuple[bytes | None, bytes | None]:
        """Return the two contents that a reader may find; None: no file."""
        return self.before.get(path), self.after.get(path)


Kind = Callable[["Stage"], Operation]


class Stage:
    """What operations are made of: a folder, local files, and chance.

    Parameters
    ----------
    folder : str
        ``bucket/dir``, empty.
    local : Path
        A folder for local files.
    chance : random.Random
        Chooses names, sizes and contents.
    size : int
        Bytes of the largest object.
    once : bool
        Whether nothing can be replaced: then nothing is where something is to be stored.
    """

    def __init__(self, folder: str, local: Path, chance: random.Random, size: int, once: bool = False) -> None:
        self.folder, self.local, self.chance, self.size, self.once = folder, local, chance, size, once

    def places(self, *names: str) -> tuple[str, ...]:
        """Return those methods of the service's store that it uses: a write-once one has its own for contents."""
        return tuple(name for name in names if name == "writing") if self.once else names

    def content(self, large: bool) -> bytes:
        """Return bytes of their own."""
        return self.chance.randbytes(
            self.chance.randint(SLICE + 1, self.size) if large else self.chance.randint(1, 60_000)
        )

    def file(self, content: bytes) -> str:
        """Return the path of a local file with a content."""
        path = self.local / f"local {len(list(self.local.iterdir()))}"
        path.write_bytes(content)
        return str(path)

    def tree(self, name: str, prefix: str = "") -> dict[str, bytes]:
        """Return small files in nested directories, by path."""
        names = ("a", "b é", "sub/c", "sub/d", "sub/deep/e", "other/f")
        chosen = sorted(self.chance.sample(names, self.chance.randint(4, len(names))))
        return {f"{self.folder}/{name}/{prefix}{path}": self.content(False) for path in chosen}


def _requests(new: bytes, old: bytes | None, once: bool) -> int:
    """Return how many changing requests an upload makes; parts of coffers are twice as large."""
    slices = 0 if len(new) <= SLICE else -(-len(new) // (2 * SLICE if once else SLICE))
    return 1 if not slices else slices + (2 if old is None else 4)


def _store(path: str, way: str, new: bytes, stage: Stage) -> tuple[str, tuple[Any, ...]]:
    return way, (stage.file(new), path)


def write(stage: Stage) -> Operation:
    """One object is stored, in one request or in slices, where nothing, a small or a large one was."""
    chance = stage.chance
    way, large = chance.choice(_WAYS), chance.random() < 0.7
    was = "nothing" if stage.once else chance.choice(("nothing", "small", "large"))
    old = None if was == "nothing" else stage.content(was == "large")
    new, path = stage.content(large), f"{stage.folder}/deep/object"
    action, arguments = _store(path, way, new, stage)
    # something beside it, which has to stay
    beside = {f"{stage.folder}/beside": stage.content(False)}
    return Operation(
        f"{way}, {'large' if large else 'small'} over {was}",
        stage.folder,
        action,
        arguments,
        {**beside, **({} if old is None else {path: old})},
        {**beside, path: new},
        _requests(new, old, stage.once),
        stage.places(*(("write_blob", "_write", "resize_blob") if large else ("new_blob", "_write")), "writing"),
    )


def move_file(stage: Stage) -> Operation:
    """A file is moved, onto another or where nothing is."""
    source, target = f"{stage.folder}/from", f"{stage.folder}/{stage.chance.choice(('to', 'new/dir/to'))}"
    content, taken = stage.content(stage.chance.random() < 0.5), stage.chance.random() < 0.5
    before = {source: content, **({target: stage.content(stage.chance.random() < 0.5)} if taken else {})}
    name = f"mv file {'onto another' if taken else 'to a new path'}"
    return Operation(
        name, stage.folder, "mv", (source, target), before, {target: content}, 1, ("writing", "remove_blobs"),
        moves={source: target},
    )  # fmt: skip


def _onto(stage: Stage, source: str, target: str) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, str]]:
    """Return the files of a tree, some that stand where its files go, and where they go."""
    tree = stage.tree(source)
    pairs = {path: path.replace(f"/{source}/", f"/{target}/", 1) for path in tree}
    taken = {path: stage.content(False) for path in pairs.values() if not stage.once and stage.chance.random() < 0.3}
    return tree, taken, pairs


def move_directory(stage: Stage) -> Operation:
    """A directory is moved, perhaps onto files that are there."""
    tree, taken, pairs = _onto(stage, "from", "to")
    source, target = f"{stage.folder}/from", f"{stage.folder}/to"
    after = {pairs[path]: content for path, content in tree.items()}
    return Operation(
        f"mv directory of {len(tree)}", stage.folder, "mv", (source + "/", target), {**tree, **taken}, after,
        len(tree) + 4, ("writing", "remove_blobs"), {"recursive": True}, pairs, (source,),
    )  # fmt: skip


def copy(stage: Stage) -> Operation:
    """A file or a directory is copied, perhaps onto what is there."""
    tree, taken, pairs = _onto(stage, "from", "to")
    source, target, more = f"{stage.folder}/from/", f"{stage.folder}/to", {"recursive": True}
    if stage.chance.random() < 0.4:
        [(source, target), *_], more = pairs.items(), {}
        pairs = {source: target}
    copies = {pairs[path]: tree[path] for path in pairs}
    name = f"cp directory of {len(pairs)}" if more else f"cp file {'onto another' if target in taken else 'to new'}"
    return Operation(
        name, stage.folder, "cp", (source, target), {**tree, **taken}, {**tree, **taken, **copies},
        len(pairs) + (3 if more and not stage.once else 0),
        stage.places("copy_blob", "writing", "remove_blobs"), more,
    )  # fmt: skip


def remove(stage: Stage) -> Operation:
    """A directory is removed with all that is in it; what is beside it stays."""
    tree, beside = stage.tree("dir"), stage.tree("dir beside")
    path = f"{stage.folder}/dir"
    return Operation(
        f"rm -r of {len(tree)}", stage.folder, "rm", (path,), {**tree, **beside}, beside, len(tree) + 3,
        ("writing", "remove_blobs"), {"recursive": True}, gone=(path,),
    )  # fmt: skip


def transaction(stage: Stage) -> Operation:
    """Several files appear when a transaction ends."""
    chance, before, after, tasks = stage.chance, {}, {}, []
    requests = 0
    for number in range(chance.randint(2, 4)):
        path, new = f"{stage.folder}/{number % 2}/file{number}", stage.content(chance.random() < 0.3)
        if not stage.once and chance.random() < 0.5:
            before[path] = stage.content(chance.random() < 0.3)
        after[path] = new
        tasks.append((stage.file(new), path, chance.random() < 0.5))
        requests += _requests(new, None, stage.once) + (0 if stage.once else 1)
    return Operation(
        f"transaction of {len(after)}, {len(before)} there", stage.folder, "transaction", (tasks,), before, after,
        requests, stage.places("_write", "writing", "new_blob"),
    )  # fmt: skip


KINDS: tuple[Kind, ...] = (
    write, write, write, write, move_file, move_directory, move_directory, copy, remove, transaction, transaction,
)  # fmt: skip
"""What is chosen from; often what has many variants."""

KINDS_ONCE: tuple[Kind, ...] = (write, write, write, write, copy, transaction)
"""What is chosen from where nothing can be replaced, moved or removed."""
