"""Steps that put bytes in, and their ways to fail on purpose."""

from __future__ import annotations

import dataclasses
import gc
from typing import Any

from hypothesis import strategies as st

from cosv4fs.protocols import V3
from cosv4fs.transfer.janitor import wait_for_janitor
from tests.model.state import Change, Content, clashes
from tests.model.steps import CONFLICT, CONTENTS, FOLDERS, NAMES, Plan, operation
from tests.model.world import World

KIB = 1024

several = st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=3)
pieces = st.sampled_from([50 * KIB, 200 * KIB, 2000 * KIB])


class BoomError(Exception):
    """What goes wrong on purpose in the caller's own code."""


def writes(world: World, contents: dict[str, bytes], act: Any, *, create: bool = False) -> Plan:
    """Return the plan of an operation that writes these files, each for itself."""
    state = world.state
    free = {name: data for name, data in contents.items() if not state.blocks_file(name)}
    if len(free) < len(contents):
        # the directories above may be made before the conflict shows
        return Plan(act, Change(free, given_up=contents), CONFLICT)
    taken = {name: data for name, data in contents.items() if name in state.files}
    if create and taken:
        same = all(state.files[name] == data for name, data in taken.items())
        return Plan(act, Change(), (FileExistsError,), unclear=same, creates=True)
    if create and not world.hidden().isdisjoint(contents):
        # an upload of somebody else may hold the name
        return Plan(act, Change(dict(free)), (FileExistsError,), may_succeed=True, creates=True)
    return Plan(act, Change(dict(free)), creates=create)


@operation(name=NAMES, content=CONTENTS, create=st.booleans())
def pipe_file(world: World, name: str, content: Content, create: bool) -> Plan:
    mode = "create" if create else "overwrite"
    act = lambda: world.fs.pipe_file(world.path(name), content.data, mode=mode)  # noqa: E731
    return writes(world, {name: content.data}, act, create=create)


@operation(contents=several)
def pipe(world: World, contents: dict[str, Content]) -> Plan | None:
    if clashes(contents):
        return None
    data = {name: content.data for name, content in contents.items()}
    return writes(world, data, lambda: world.fs.pipe({world.path(name): value for name, value in data.items()}))


def fill(file: Any, data: bytes, piece: int) -> None:
    for start in range(0, len(data), piece):
        file.write(data[start : start + piece])


@operation(name=NAMES, content=CONTENTS, sized=st.booleans(), create=st.booleans(), piece=pieces)
def open_to_write(world: World, name: str, content: Content, sized: bool, create: bool, piece: int) -> Plan:
    def act() -> None:
        size = content.size if sized else None
        with world.fs.open(world.path(name), "xb" if create else "wb", size=size) as file:
            fill(file, content.data, piece)

    planned = writes(world, {name: content.data}, act, create=create)
    # "xb" asks before it writes
    return dataclasses.replace(planned, act=act)


@operation(
    name=NAMES,
    content=CONTENTS,
    sized=st.booleans(),
    piece=pieces,
    how=st.sampled_from(["raise", "discard", "lose", "too little", "too much"]),
)
def fail_to_write(world: World, name: str, content: Content, sized: bool, piece: int, how: str) -> Plan:
    wrong_size = how in ("too little", "too much")

    def act() -> None:
        size = content.size + {"too little": 1, "too much": -1}.get(how, 0)
        file = world.fs.open(world.path(name), "wb", size=max(0, size) if sized or wrong_size else None)
        if how == "lose":
            fill(file, content.data, piece)
            # its warning is ignored by whoever runs the steps: what ignores warnings here would do so for all threads
            del file
            gc.collect()
            wait_for_janitor()
            return
        with file:
            fill(file, content.data, piece)
            if how == "raise":
                raise BoomError
            if how == "discard":
                file.discard()

    if how == "too much" and not content.size:
        return Plan(lambda: None)
    errors = {"raise": (BoomError,), "too little": (OSError,), "too much": (OSError,)}.get(how, ())
    conflict = world.state.blocks_file(name) and content.size > 64 * KIB
    return Plan(act, Change(given_up={name: content.data}), (*errors, *(CONFLICT if conflict else ())), conflict)


@operation(name=NAMES)
def append(world: World, name: str) -> Plan:
    return Plan(lambda: world.fs.open(world.path(name), "ab"), errors=(NotImplementedError,))


@operation(name=NAMES, content=CONTENTS, create=st.booleans())
def put_file(world: World, name: str, content: Content, create: bool) -> Plan:
    local, mode = world.local_file(content), "create" if create else "overwrite"
    act = lambda: world.fs.put_file(local, world.path(name), mode=mode)  # noqa: E731
    return writes(world, {name: content.data}, act, create=create)


@operation(folder=FOLDERS, contents=st.dictionaries(st.sampled_from(["a", "b", "sub/a"]), CONTENTS, max_size=3))
def put(world: World, folder: str, contents: dict[str, Content]) -> Plan | None:
    tree = world.local()
    for name, content in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content.data)
    tree.mkdir(exist_ok=True)
    act = lambda: world.fs.put(f"{tree}/", f"{world.path(folder)}/", recursive=True)  # noqa: E731
    files = {f"{folder}/{name}": content.data for name, content in contents.items()}
    folders = {folder} | {f"{folder}/sub" for name in contents if name.startswith("sub/")}
    planned = writes(world, files, act)
    blocked = any(world.state.blocks_folder(name) for name in folders)
    change = Change(planned.change.writes, frozenset(folders), given_up=planned.change.given_up)
    return Plan(act, change, CONFLICT if blocked or planned.errors else ())


@operation(name=NAMES, truncate=st.booleans())
def touch(world: World, name: str, truncate: bool) -> Plan:
    creates = not truncate and name not in world.state.files
    act = lambda: world.fs.touch(world.path(name), truncate=truncate)  # noqa: E731
    planned = writes(world, {name: b""}, act, create=creates)
    if not truncate and name in world.state.files:
        same = not world.state.files[name]
        return Plan(planned.act, errors=(NotImplementedError,), unclear=same)
    # a conflict is told as what an existing file is told as
    errors = (*planned.errors, NotImplementedError) if planned.errors and not truncate else planned.errors
    return dataclasses.replace(planned, errors=errors)


@operation(alone=True, contents=several, piece=pieces, fails=st.booleans())
def transaction(world: World, contents: dict[str, Content], piece: int, fails: bool) -> Plan | None:
    """Write several files that appear at the end of a transaction, or not at all."""
    if clashes(contents):
        return None
    data = {name: content.data for name, content in contents.items()}

    def act() -> None:
        with world.fs.transaction:
            for name, value in data.items():
                with world.fs.open(world.path(name), "wb") as file:
                    fill(file, value, piece)
                assert world.bytes_of(name) == world.state.files.get(name), "visible before the end"
            if fails:
                raise BoomError

    planned = writes(world, data, act)
    if fails:
        return Plan(act, Change(given_up=data), (BoomError, *planned.errors))
    return planned


@operation(name=NAMES, text=st.sampled_from(["one", "two"]))
def update_attributes(world: World, name: str, text: str) -> Plan:
    path = world.path(name)
    # v3 can change nothing but the free text (cos.md#v3)
    headers = None if world.fs.spec is V3 else {"x-cos-meta-of": text}

    def act() -> str:
        world.fs.update_attributes(path, biz_attr=text, custom_headers=headers)
        return str(world.second.attributes(path)["biz_attr"])

    def check(found: str) -> None:
        assert found == text

    there = name in world.state.files or name in world.state.folders
    return Plan(act, errors=() if there else (FileNotFoundError, NotADirectoryError), check=check)
