"""Steps that ask what is there, that take care of leftovers, and that another program or a copy does."""

from __future__ import annotations

import pickle
from typing import Any

from hypothesis import strategies as st

from tests.model.rearranging import ANYTHING, matches
from tests.model.state import Content
from tests.model.steps import CONTENTS, FOLDERS, NAMES, NOT_THERE, Plan, operation
from tests.model.world import World, hurry
from tests.model.writing import writes

PLACES = st.one_of(st.just(""), FOLDERS)


def ask(act: Any, expected: Any, *, found: bool) -> Plan:
    """Return the plan of a question with this answer; with `NOT_THERE` for what is not found."""

    def check(answer: Any) -> None:
        assert answer == expected, f"{answer!r} instead of {expected!r}"

    return Plan(act, errors=() if found else NOT_THERE, check=check)


@operation(name=ANYTHING)
def exists(world: World, name: str) -> Plan:
    fs, state, path = world.fs, world.state, world.path(name)
    is_file, is_folder = name in state.files, name in state.folders
    act = lambda: (fs.exists(path), fs.isfile(path), fs.isdir(path))  # noqa: E731
    return ask(act, (is_file or is_folder, is_file, is_folder), found=True)


@operation(name=ANYTHING, refresh=st.booleans())
def info(world: World, name: str, refresh: bool) -> Plan:
    state = world.state

    def act() -> tuple[str, str, int]:
        found = world.fs.info(world.path(name), refresh=refresh)
        return found["name"], found["type"], found["size"]

    is_file = name in state.files
    expected = world.path(name), "file" if is_file else "directory", len(state.files.get(name, b""))
    return ask(act, expected, found=is_file or name in state.folders)


@operation(name=st.one_of(PLACES, NAMES), detail=st.booleans(), refresh=st.booleans())
def ls(world: World, name: str, detail: bool, refresh: bool) -> Plan:
    state = world.state
    names = [name] if name in state.files else sorted(state.entries(name))
    expected: Any = sorted(map(world.path, names))
    if detail:
        expected = [(path, len(state.files.get(world.name(path), b""))) for path in expected]

    def act() -> list[Any]:
        found = world.fs.ls(world.path(name), detail=detail, refresh=refresh)
        return [(entry["name"], entry["size"]) for entry in found] if detail else list(found)

    return ask(act, expected, found=state.is_folder(name) or name in state.files)


@operation(name=st.one_of(PLACES, NAMES), withdirs=st.booleans(), maxdepth=st.sampled_from([None, 1, 2]))
def find(world: World, name: str, withdirs: bool, maxdepth: int | None) -> Plan:
    state = world.state
    if name in state.files:
        names = {name}
    else:
        below = {*state.files_below(name), *(state.folders_below(name) if withdirs else ())}
        level = name.count("/") + 1 if name else 0
        names = {item for item in below if maxdepth is None or item.count("/") < level + maxdepth}
        names |= {name} if withdirs and state.is_folder(name) else set()
    act = lambda: world.fs.find(world.path(name), maxdepth=maxdepth, withdirs=withdirs)  # noqa: E731
    return ask(act, sorted(map(world.path, names)), found=True)


@operation(name=PLACES)
def walk(world: World, name: str) -> Plan:
    state = world.state
    folders = {name} | state.folders_below(name) if state.is_folder(name) else set()

    def last(names: set[str]) -> set[str]:
        return {item.rpartition("/")[2] for item in names}

    expected = {
        world.path(folder): (last(state.entries(folder) & state.folders), last(state.entries(folder) - state.folders))
        for folder in folders
    }
    act = lambda: {at: (set(inside), set(files)) for at, inside, files in world.fs.walk(world.path(name))}  # noqa: E731
    if name in state.files:
        return Plan(lambda: None)
    return ask(act, expected, found=True)


@operation(pattern=st.sampled_from(["*", "dir/*", "*/a", "dir/[ab]", "*/*", "dir/s?b/*", "other/ä*", "no/*", "**/a"]))
def glob(world: World, pattern: str) -> Plan:
    if pattern == "**/a":
        names = {name for name in [*world.state.files, *world.state.folders] if name.rpartition("/")[2] == "a"}
    else:
        names = matches(world, pattern)
    return ask(lambda: sorted(world.fs.glob(world.path(pattern))), sorted(map(world.path, names)), found=True)


@operation(name=st.one_of(PLACES, NAMES), total=st.booleans())
def du(world: World, name: str, total: bool) -> Plan:
    state = world.state
    files = {name: state.files[name]} if name in state.files else state.files_below(name)
    sizes = {world.path(item): len(data) for item, data in files.items()}
    return ask(lambda: world.fs.du(world.path(name), total=total), sum(sizes.values()) if total else sizes, found=True)


@operation(name=st.one_of(PLACES, NAMES))
def uploads(world: World, name: str) -> Plan:
    hidden = world.hidden()

    def check(found: list[dict[str, Any]]) -> None:
        for upload in found:
            assert world.name(upload["name"]) in hidden
            assert upload["stored"] <= upload["size"]

    return Plan(lambda: world.fs.uploads(world.path(name)), errors=NOT_THERE, may_succeed=True, check=check)


@operation()
def clean_uploads(world: World) -> Plan:
    def check(_: object) -> None:
        assert world.hidden() == set()

    return Plan(lambda: world.fs.clean_uploads(world.root, older_than=0), check=check)


@operation(name=NAMES)
def abort_upload(world: World, name: str) -> Plan:
    def check(_: object) -> None:
        assert name not in world.hidden()

    act = lambda: world.fs.abort_upload(world.path(name))  # noqa: E731
    return Plan(act, errors=NOT_THERE, may_succeed=True, check=check)


@operation(name=st.one_of(st.none(), PLACES))
def invalidate_cache(world: World, name: str | None) -> Plan:
    return Plan(lambda: world.fs.invalidate_cache(None if name is None else world.path(name)))


@operation(name=NAMES, content=CONTENTS, how=st.sampled_from(["refresh", "invalidate"]))
def others_write(world: World, name: str, content: Content, how: str) -> Plan:
    """Let another program write: who refreshes has to see it."""
    path = world.path(name)

    def act() -> None:
        world.second.pipe_file(path, content.data)
        if how == "refresh":
            assert world.fs.info(path, refresh=True)["size"] == content.size
        world.fs.invalidate_cache(world.root)

    planned = writes(world, {name: content.data}, act)

    def aftermath() -> None:
        world.fs.invalidate_cache(world.root)

    return Plan(act, planned.change, planned.errors, aftermath=aftermath)


@operation(alone=True, fresh=st.booleans())
def travel(world: World, fresh: bool) -> Plan:
    """Go on with a copy of the filesystem."""

    def act() -> None:
        copy = pickle.loads(pickle.dumps(world.fs))
        world.fs = hurry(type(copy).from_json(copy.to_json()) if fresh else copy)

    return Plan(act)
