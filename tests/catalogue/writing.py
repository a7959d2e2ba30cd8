"""Operations that write objects, and the ways in which writing fails on purpose."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.callbacks import Callback

from cosv4fs.attributes import ATTRIBUTES
from tests.catalogue.operations import CONFLICT, NOT_FOUND, REPLACING, Draws, Effect, Place, View, operation, pick
from tests.catalogue.state import EMPTY, Change, Content, clashes
from tests.support import wait_for_background

KIB = 1024
PIECE = 200 * KIB
PIECES = pick(50 * KIB, PIECE, 2000 * KIB)
"""Bytes per call of ``write``."""


class BoomError(Exception):
    """An error in the caller's own code."""


@dataclass(frozen=True)
class Way:
    """One way to write an object."""

    # gets a `Place`, a path, the bytes, and how many bytes are written at a time
    write: Callable[[Place, str, bytes, int], object]
    # it fails where an object exists
    creates: bool = False


def fill(file: Any, data: bytes, piece: int) -> None:
    """Write bytes piece by piece."""
    for start in range(0, len(data), piece):
        file.write(data[start : start + piece])


def _open(mode: str, *, sized: bool = False) -> Way:
    def write(at: Place, path: str, data: bytes, piece: int) -> None:
        with at.fs.open(path, mode, size=len(data) if sized else None) as file:
            fill(file, data, piece)

    return Way(write, creates=mode == "xb")


def _text(at: Place, path: str, data: bytes, piece: int) -> None:
    with at.fs.open(path, "w", encoding="latin-1", newline="") as file:
        file.write(data.decode("latin-1"))


def _rewritten(at: Place, path: str, data: bytes, piece: int) -> None:
    """Write something else first, as libraries do that go back to complete their headers."""
    with at.fs.open(path, "wb") as file:
        file.seek(0)
        fill(file, bytes(len(data) + 10), piece)
        file.seek(0)
        fill(file, data, piece)
        file.truncate()


def _by_url(at: Place, path: str, data: bytes, piece: int) -> None:
    with fsspec.open(f"{at.protocol}://{path}", "wb", **at.fs.storage_options) as file:
        file.write(data)


WAYS: dict[str, Way] = {
    "pipe_file": Way(lambda at, path, data, piece: at.fs.pipe_file(path, data)),
    "pipe": Way(lambda at, path, data, piece: at.fs.pipe({path: data})),
    "put_file": Way(lambda at, path, data, piece: at.fs.put_file(at.local_file(data), path)),
    "put": Way(lambda at, path, data, piece: at.fs.put(str(at.local_file(data)), path)),
    "open": _open("wb"),
    "open sized": _open("wb", sized=True),
    "open text": Way(_text),
    "open rewritten": Way(_rewritten),
    "open by URL": Way(_by_url),
    "pipe_file create": Way(lambda at, path, data, piece: at.fs.pipe_file(path, data, mode="create"), creates=True),
    "put_file create": Way(
        lambda at, path, data, piece: at.fs.put_file(at.local_file(data), path, mode="create"), creates=True
    ),
    "open create": _open("xb"),
    "open create sized": _open("xb", sized=True),
}
"""Every way to write an object, by name."""

_RANDOM_WAYS = [way for way in WAYS if way not in ("pipe", "put", "open by URL")]
"""Those drawn at random: the others are what these are, for one file, or need the options of an instance."""


def writes(view: View, contents: dict[str, Content], *, create: bool = False) -> Effect:
    """Return the effect of writing these files, each by itself."""
    state = view.state
    if view.write_once:
        return _writes_once(view, contents, create=create)
    free: dict[str, Content | None] = {
        name: content for name, content in contents.items() if not state.blocks_file(name)
    }
    if len(free) < len(contents):
        # the directories above may be made before the conflict shows
        return Effect(Change(free, given_up=contents), errors=CONFLICT)
    taken = {name: content for name, content in contents.items() if name in state.files}
    if create and taken:
        same = all(state.files[name] == content for name, content in taken.items())
        return Effect(errors=(FileExistsError,), unclear=same, creates=True)
    if create and not view.hidden().isdisjoint(contents):
        # an upload of another client may hold the name
        return Effect(Change(free), errors=(FileExistsError,), may_succeed=True, creates=True)
    return Effect(Change(free), creates=create)


def _writes_once(view: View, contents: dict[str, Content], *, create: bool) -> Effect:
    files = view.state.files
    if any(name in files and (create or files[name] != content) for name, content in contents.items()):
        return Effect(errors=(FileExistsError,), creates=True)
    return Effect(Change(dict(contents)), creates=create)


@operation(16, name=Draws.name, content=Draws.content, way=pick(*_RANDOM_WAYS), piece=PIECES)
def write(at: Place, name: str, content: Content, way: str = "pipe_file", piece: int = PIECE) -> None:
    """Write an object in one of the ways."""
    WAYS[way].write(at, at / name, content.data, piece)


@write.before
def _(at: Place, name: str, content: Content, way: str = "pipe_file", piece: int = PIECE) -> None:
    if way.startswith("put"):
        at.local_file(content.data)


@write.effect
def _(view: View, name: str, content: Content, way: str = "pipe_file", piece: int = PIECE) -> Effect:
    return writes(view, {name: content}, create=WAYS[way].creates)


_EVERY_ATTRIBUTE = {
    "content_type": "text/x-none",
    "cache_control": "no-cache",
    "metadata": {"who": "me"},
    "biz_attr": "note",
    "authority": "private",
}


@operation(name=Draws.name, content=Draws.content)
def write_with_attributes(at: Place, name: str, content: Content) -> None:
    """Write an object with attributes, of every kind that the service stores."""
    stored = {name: text for name, text in _EVERY_ATTRIBUTE.items() if at.protocol in ATTRIBUTES[name].written_by}
    at.fs.pipe_file(at / name, content.data, **stored)


@write_with_attributes.effect
def _(view: View, name: str, content: Content) -> Effect:
    return writes(view, {name: content})


@operation(several=True, contents=Draws.contents)
def pipe_many(at: Place, contents: dict[str, Content]) -> None:
    at.fs.pipe({at / name: content.data for name, content in contents.items()})


@pipe_many.effect
def _(view: View, contents: dict[str, Content]) -> Effect | None:
    return None if clashes(contents) else writes(view, contents)


WRONG_SIZES = {"too little": 1, "too much": -1}
"""How many bytes more are declared than written."""


@operation(
    4,
    name=Draws.name,
    content=Draws.content,
    sized=Draws.flag,
    piece=PIECES,
    how=pick("raise", "discard", "lose", *WRONG_SIZES),
)
def fail_to_write(at: Place, name: str, content: Content, sized: bool, how: str, piece: int = PIECE) -> None:
    """Write an object and do not finish it: nothing is published."""
    data, size = content.data, content.size + WRONG_SIZES.get(how, 0)
    file = at.fs.open(at / name, "wb", size=max(0, size) if sized or how in WRONG_SIZES else None)
    if how == "lose":
        fill(file, data, piece)
        # the warning is ignored by those that run steps: ignored here, it would be ignored in all threads
        del file
        gc.collect()
        wait_for_background()
        return
    with file:
        fill(file, data, piece)
        if how == "raise":
            raise BoomError
        if how == "discard":
            file.discard()


@fail_to_write.effect
def _(view: View, name: str, content: Content, sized: bool, how: str, piece: int = PIECE) -> Effect | None:
    if how == "too much" and not content.size:
        return None
    errors = {"raise": (BoomError,), "too little": (OSError,), "too much": (OSError,)}.get(how, ())
    conflict = view.state.blocks_file(name) and content.size > 64 * KIB
    return Effect(
        Change(given_up={name: content}), errors=(*errors, *(CONFLICT if conflict else ())), may_succeed=conflict
    )


@operation(1, name=Draws.name)
def update(at: Place, name: str) -> None:
    at.fs.open(at / name, "r+b")


@update.effect
def _(view: View, name: str) -> Effect:
    return Effect(errors=(NotImplementedError,))


_LOCAL_NAMES = ("a", "b c.txt", "sub/a", "sub/deep/d")


def _local_tree(draws: Draws) -> dict[str, Content]:
    return {name: draws.content() for name in _LOCAL_NAMES if draws.flag()}


@operation(several=True, folder=Draws.folder, contents=_local_tree)
def put_tree(at: Place, folder: str, contents: dict[str, Content]) -> None:
    """Upload a local directory."""
    # with slashes it means the same whether or not the target exists
    at.fs.put(f"{at.local('tree')}/", f"{at / folder}/", recursive=True)


@put_tree.before
def _(at: Place, folder: str, contents: dict[str, Content]) -> None:
    at.local("tree").mkdir(exist_ok=True)
    for name, content in contents.items():
        at.local(f"tree/{name}").write_bytes(content.data)


@put_tree.effect
def _(view: View, folder: str, contents: dict[str, Content]) -> Effect:
    effect = writes(view, {f"{folder}/{name}": content for name, content in contents.items()})
    if view.write_once:
        return effect
    folders = {folder} | {f"{folder}/{above}" for name in contents for above in _above(name)}
    blocked = any(view.state.blocks_folder(name) for name in folders)
    change = dataclasses.replace(effect.change, makes=frozenset(folders))
    return Effect(change, errors=CONFLICT if blocked or effect.errors else ())


def _above(name: str) -> list[str]:
    return [name[:end] for end, sign in enumerate(name) if sign == "/"]


@operation(0, name=Draws.name, source=pick("source"), content=Draws.content, create=Draws.flag)
def put_local(at: Place, name: str, source: str, content: Content, create: bool = False) -> None:
    """Upload a local file that somebody else has written, and may have changed."""
    at.fs.put_file(at.local(source), at / name, mode="create" if create else "overwrite")


@put_local.effect
def _(view: View, name: str, source: str, content: Content, create: bool = False) -> Effect:
    return writes(view, {name: content}, create=create)


class _Interrupt(Callback):
    """Interrupts a transfer after some slices."""

    def __init__(self, slices: int) -> None:
        super().__init__()
        self._slices = slices

    def relative_update(self, inc: int = 1) -> None:
        self._slices -= 1
        if self._slices < 0:
            raise InterruptedError("interrupted by the test")


@operation(2, name=Draws.name, content=Draws.content, slices=pick(0, 1, 2))
def put_interrupted(at: Place, name: str, content: Content, slices: int) -> None:
    """Interrupt the upload of a local file, and continue it."""
    source = at.local_file(content.data)
    try:
        at.fs.put_file(source, at / name, callback=_Interrupt(slices))
    except InterruptedError:
        at.fs.put_file(source, at / name)


@put_interrupted.effect
def _(view: View, name: str, content: Content, slices: int) -> Effect:
    return writes(view, {name: content})


@operation(protocols=REPLACING, name=Draws.name, truncate=Draws.flag)
def touch(at: Place, name: str, truncate: bool) -> None:
    at.fs.touch(at / name, truncate=truncate)


@touch.effect
def _(view: View, name: str, truncate: bool) -> Effect:
    exists = name in view.state.files
    if exists and not truncate:
        return Effect(errors=(NotImplementedError,), unclear=not view.state.files[name].size)
    effect = writes(view, {name: EMPTY}, create=not truncate and not exists)
    # without `truncate`, a directory at the name is reported as an existing file is
    errors = (*effect.errors, NotImplementedError) if effect.errors and not truncate else effect.errors
    return dataclasses.replace(effect, errors=errors)


@operation(4, protocols=REPLACING, name=Draws.name, content=Draws.content, piece=PIECES)
def append(at: Place, name: str, content: Content, piece: int = PIECE) -> None:
    """Add bytes to an object, or create it."""
    with at.fs.open(at / name, "ab") as file:
        fill(file, content.data, piece)


@append.effect
def _(view: View, name: str, content: Content, piece: int = PIECE) -> Effect:
    old = view.state.files.get(name)
    effect = writes(view, {name: content if old is None else old.followed_by(content)}, create=old is None)
    return dataclasses.replace(effect, adds=content)


@operation(4, protocols=REPLACING, name=Draws.name, text=pick("one", "two"))
def setxattrs(at: Place, name: str, text: str) -> str:
    """Change the attributes of an object, and read them."""
    # v3 can change nothing but the free text (cos.md#v3)
    headers = {} if at.protocol == "cosv3" else {"cache_control": text, "who": text}
    at.fs.setxattrs(at / name, biz_attr=text, **headers)
    return str(at.fs.getxattr(at / name, "biz_attr"))


@setxattrs.effect
def _(view: View, name: str, text: str) -> Effect:
    if name in view.state.folders:
        # by v3 nothing but the free text is set, and a directory has that
        return Effect(errors=(IsADirectoryError,), may_succeed=True)
    return Effect(returns=text, errors=() if name in view.state.files else NOT_FOUND)


@operation(2, protocols=("cosv4",), name=Draws.name, acl=pick("private", "public-read"))
def chmod(at: Place, name: str, acl: str) -> str:
    """Set the permission of an object, and read it."""
    at.fs.chmod(at / name, acl)
    return str(at.fs.getxattr(at / name, "authority"))


@chmod.effect
def _(view: View, name: str, acl: str) -> Effect:
    if name in view.state.folders:
        return Effect(errors=(IsADirectoryError,))
    return Effect(returns=acl, errors=() if name in view.state.files else NOT_FOUND)
