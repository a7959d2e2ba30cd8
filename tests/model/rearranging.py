"""Steps that change what is where: directories, removing, copying, moving."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.model.state import Change, is_below
from tests.model.steps import CONFLICT, FOLDERS, NAMES, NOT_THERE, Plan, operation
from tests.model.world import World

ANYTHING = st.one_of(NAMES, FOLDERS)


@operation(folder=FOLDERS, create_parents=st.booleans())
def mkdir(world: World, folder: str, create_parents: bool) -> Plan:
    state = world.state
    act = lambda: world.fs.mkdir(world.path(folder), create_parents=create_parents)  # noqa: E731
    if state.is_under_file(folder):
        return Plan(act, Change(given_up={folder: b""}), (*CONFLICT, FileNotFoundError))
    if not create_parents and not state.is_folder(folder.rpartition("/")[0]):
        return Plan(act, errors=(FileNotFoundError,))
    if folder in state.files or folder in state.folders:
        return Plan(act, errors=(FileExistsError,), may_succeed=is_vague(world, folder), unclear=True)
    return Plan(act, Change(makes=frozenset([folder])))


@operation(folder=FOLDERS, exist_ok=st.booleans())
def makedirs(world: World, folder: str, exist_ok: bool) -> Plan:
    state = world.state
    act = lambda: world.fs.makedirs(world.path(folder), exist_ok=exist_ok)  # noqa: E731
    if state.blocks_folder(folder):
        return Plan(act, Change(given_up={folder: b""}), CONFLICT, unclear=folder in state.files)
    if folder in state.folders and not exist_ok:
        return Plan(act, errors=(FileExistsError,), may_succeed=is_vague(world, folder), unclear=True)
    return Plan(act, Change(makes=frozenset([folder])))


def is_vague(world: World, folder: str) -> bool:
    """Return whether a directory may be there only because of what is in it: it can be made all the same then."""
    return not world.exact_folders and folder in world.state.folders


@operation(folder=ANYTHING)
def rmdir(world: World, folder: str) -> Plan:
    state = world.state
    act = lambda: world.fs.rmdir(world.path(folder))  # noqa: E731
    if folder in state.files:
        return Plan(act, errors=(NotADirectoryError,))
    if folder not in state.folders:
        return Plan(act, errors=NOT_THERE, unclear=True)
    if state.entries(folder) or world.hidden(folder):
        return Plan(act, errors=(OSError,))
    return Plan(act, Change(drops=frozenset([folder])))


@operation(name=ANYTHING)
def rm_file(world: World, name: str) -> Plan:
    state = world.state
    act = lambda: world.fs.rm_file(world.path(name))  # noqa: E731
    if name in state.files:
        return Plan(act, Change({name: None}))
    if name in state.folders:
        return Plan(act, errors=(IsADirectoryError,), unclear=True)
    # an unfinished upload can be removed like a file
    return Plan(act, errors=NOT_THERE, may_succeed=name in world.hidden(), unclear=True)


@operation(names=st.lists(NAMES, min_size=1, max_size=3, unique=True))
def rm_list(world: World, names: list[str]) -> Plan:
    state = world.state
    there = {name: None for name in names if name in state.files}
    # a pattern that matches nothing stands for nothing
    wanted = [name for name in names if name in state.files or "[" not in name]
    errors = () if wanted and len(there) == len(wanted) else (*NOT_THERE, IsADirectoryError)
    unfinished = bool(errors) and not world.hidden().isdisjoint(names)
    act = lambda: world.fs.rm([world.path(name) for name in names])  # noqa: E731
    return Plan(act, Change(dict(there)), errors, unfinished, unclear=True)


@operation(folder=st.sampled_from(["", "dir", "other"]), pattern=st.sampled_from(["*", "[ab]", "?", "*/a"]))
def rm_pattern(world: World, folder: str, pattern: str) -> Plan:
    pattern = f"{folder}/{pattern}".lstrip("/")
    found = matches(world, pattern)
    act = lambda: world.fs.rm(world.path(pattern))  # noqa: E731
    files = {name: None for name in found if name in world.state.files}
    errors = (FileNotFoundError,) if not found else (IsADirectoryError,) if len(files) < len(found) else ()
    return Plan(act, Change(dict(files)), errors, unclear=True)


def matches(world: World, pattern: str) -> set[str]:
    """Return the names of files and directories that match a pattern with the signs ``*``, ``?`` and ``[``."""
    import fnmatch

    parts = pattern.split("/")
    names = [name for name in {*world.state.files, *world.state.folders} if name.count("/") == len(parts) - 1]
    return {
        name
        for name in names
        if all(fnmatch.fnmatchcase(have, want) for have, want in zip(name.split("/"), parts, strict=True))
    }


@operation(name=ANYTHING)
def rm_recursive(world: World, name: str) -> Plan:
    state = world.state
    act = lambda: world.fs.rm(world.path(name), recursive=True)  # noqa: E731
    if name in state.folders:
        files: dict[str, bytes | None] = dict.fromkeys(state.files_below(name))
        return Plan(act, Change(files, drops=frozenset({name} | state.folders_below(name))))
    if name in state.files:
        return Plan(act, Change({name: None}))
    return Plan(act, errors=NOT_THERE, may_succeed=name in world.hidden(), unclear=True)


@operation(source=ANYTHING, target=ANYTHING)
def cp_file(world: World, source: str, target: str) -> Plan:
    state = world.state
    act = lambda: world.fs.cp_file(world.path(source), world.path(target))  # noqa: E731
    if source not in state.files and source not in state.folders:
        return Plan(act, errors=NOT_THERE)
    if source == target:
        return Plan(act)
    if source in state.folders:
        if state.blocks_folder(target):
            return Plan(act, Change(given_up={target: b""}), CONFLICT, unclear=target in state.files)
        # an upload of somebody else may hold the name
        taken = (FileExistsError,) if target in world.hidden() else ()
        return Plan(act, Change(makes=frozenset([target])), taken, may_succeed=bool(taken))
    if state.blocks_file(target):
        return Plan(act, Change(given_up={target: b""}), CONFLICT)
    return Plan(act, Change({target: state.files[source]}))


@operation(source=ANYTHING, target=ANYTHING)
def mv_file(world: World, source: str, target: str) -> Plan:
    state = world.state
    act = lambda: world.fs.mv(world.path(source), world.path(target))  # noqa: E731
    if target in state.folders:
        target = f"{target}/{source.rpartition('/')[2]}"
    if source in state.folders:
        return Plan(act, errors=(IsADirectoryError,))
    if source not in state.files:
        return Plan(act, errors=NOT_THERE, unclear=target in state.files)
    if source == target:
        return Plan(act)
    if state.blocks_file(target):
        return Plan(act, Change(given_up={target: b""}), CONFLICT)
    return Plan(act, Change({source: None, target: state.files[source]}, moves=((source, target),)))


def tree_pairs(world: World, source: str, target: str) -> tuple[dict[str, str], set[str], bool]:
    """Return targets by source file, target directories, and whether something is in their way."""
    state = world.state
    there = lambda name: target + name[len(source) :]  # noqa: E731
    files = {name: there(name) for name in state.files_below(source)}
    folders = {target} | {there(name) for name in state.folders_below(source)}
    blocked = any(map(state.blocks_folder, folders)) or any(map(state.blocks_file, files.values()))
    return files, folders, blocked


@operation(source=FOLDERS, target=FOLDERS)
def cp_recursive(world: World, source: str, target: str) -> Plan | None:
    state = world.state
    if source == target or is_below(source, target) or is_below(target, source) or source in state.files:
        return None
    act = lambda: world.fs.cp(world.path(source) + "/", world.path(target) + "/", recursive=True)  # noqa: E731
    if source not in state.folders:
        return Plan(act, errors=NOT_THERE)
    files, folders, blocked = tree_pairs(world, source, target)
    contents = {to: state.files[name] for name, to in files.items() if not state.blocks_file(to)}
    change = Change(dict(contents), frozenset(folders))
    return Plan(act, change, CONFLICT if blocked else ())


@operation(source=FOLDERS, target=FOLDERS)
def mv_recursive(world: World, source: str, target: str) -> Plan | None:
    state = world.state
    if is_below(source, target) or source in state.files:
        return None
    act = lambda: world.fs.mv(world.path(source) + "/", world.path(target) + "/", recursive=True)  # noqa: E731
    if source not in state.folders:
        return Plan(act, errors=NOT_THERE)
    if source == target:
        return Plan(act)
    if is_below(target, source):
        return Plan(act, errors=(OSError,))
    files, folders, blocked = tree_pairs(world, source, target)
    free = {name: to for name, to in files.items() if not state.blocks_file(to)}
    contents: dict[str, bytes | None] = {to: state.files[name] for name, to in free.items()}
    drops = frozenset({source} | state.folders_below(source))
    change = Change(contents | dict.fromkeys(free), frozenset(folders), drops, tuple(free.items()))
    # what is hidden in a directory keeps it from going
    errors = CONFLICT if blocked else (OSError,) if world.hidden(source) else ()
    return Plan(act, change, errors)
