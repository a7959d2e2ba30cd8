"""Operations that make, remove, copy and move files and directories."""

from __future__ import annotations

import fnmatch

from tests.catalogue.operations import CONFLICT, NOT_FOUND, REPLACING, Draws, Effect, Place, View, operation, pick
from tests.catalogue.state import EMPTY, Change, Content, State, is_below


@operation(4, protocols=REPLACING, folder=Draws.folder, create_parents=Draws.flag)
def mkdir(at: Place, folder: str, create_parents: bool = True) -> None:
    at.fs.mkdir(at / folder, create_parents=create_parents)


@mkdir.effect
def _(view: View, folder: str, create_parents: bool = True) -> Effect:
    state = view.state
    if state.is_under_file(folder):
        return Effect(Change(given_up={folder: EMPTY}), errors=(*CONFLICT, FileNotFoundError))
    if not create_parents and not state.is_folder(folder.rpartition("/")[0]):
        return Effect(errors=(FileNotFoundError,))
    if folder in state.files or folder in state.folders:
        return Effect(errors=(FileExistsError,), may_succeed=_is_implied(view, folder), unclear=True)
    return Effect(Change(makes=frozenset([folder])))


@operation(4, protocols=REPLACING, folder=Draws.folder, exist_ok=Draws.flag)
def makedirs(at: Place, folder: str, exist_ok: bool) -> None:
    at.fs.makedirs(at / folder, exist_ok=exist_ok)


@makedirs.effect
def _(view: View, folder: str, exist_ok: bool) -> Effect:
    state = view.state
    if state.blocks_folder(folder):
        return Effect(Change(given_up={folder: EMPTY}), errors=CONFLICT, unclear=folder in state.files)
    if folder in state.folders and not exist_ok:
        return Effect(errors=(FileExistsError,), may_succeed=_is_implied(view, folder), unclear=True)
    return Effect(Change(makes=frozenset([folder])))


def _is_implied(view: View, folder: str) -> bool:
    """Return whether a directory may exist only because of what is in it: then it can still be made."""
    return not view.exact_folders and folder in view.state.folders


@operation(3, protocols=REPLACING, folder=Draws.anything)
def rmdir(at: Place, folder: str) -> None:
    at.fs.rmdir(at / folder)


@rmdir.effect
def _(view: View, folder: str) -> Effect:
    state = view.state
    if folder in state.files:
        return Effect(errors=(NotADirectoryError,))
    if folder not in state.folders:
        return Effect(errors=NOT_FOUND, unclear=True)
    if state.entries(folder) or any(is_below(name, folder) for name in view.hidden()):
        return Effect(errors=(OSError,))
    return Effect(Change(drops=frozenset([folder])))


@operation(5, protocols=REPLACING, name=Draws.anything)
def rm_file(at: Place, name: str) -> None:
    at.fs.rm_file(at / name)


@rm_file.effect
def _(view: View, name: str) -> Effect:
    state = view.state
    if name in state.files:
        return Effect(Change({name: None}))
    if name in state.folders:
        return Effect(errors=(IsADirectoryError,), unclear=True)
    # an unfinished upload can be removed like a file
    return Effect(errors=NOT_FOUND, may_succeed=name in view.hidden(), unclear=True)


@operation(3, protocols=REPLACING, several=True, names=Draws.names)
def rm_list(at: Place, names: list[str]) -> None:
    at.fs.rm([at / name for name in names])


@rm_list.effect
def _(view: View, names: list[str]) -> Effect:
    state = view.state
    existing: dict[str, Content | None] = {name: None for name in names if name in state.files}
    # a pattern that matches nothing stands for nothing
    wanted = [name for name in names if name in state.files or "[" not in name]
    errors = () if wanted and len(existing) == len(wanted) else (*NOT_FOUND, IsADirectoryError)
    unfinished = bool(errors) and not view.hidden().isdisjoint(names)
    # all of them, or none
    removed = Change(existing) if unfinished or not errors else Change()
    return Effect(removed, errors=errors, may_succeed=unfinished, unclear=True)


@operation(protocols=REPLACING, several=True, folder=pick("", "dir", "other"), pattern=pick("*", "[ab]", "?", "*/a"))
def rm_pattern(at: Place, folder: str, pattern: str) -> None:
    at.fs.rm(at / f"{folder}/{pattern}".lstrip("/"))


@rm_pattern.effect
def _(view: View, folder: str, pattern: str) -> Effect:
    found = matches(view.state, f"{folder}/{pattern}".lstrip("/"))
    files: dict[str, Content | None] = {name: None for name in found if name in view.state.files}
    errors = (FileNotFoundError,) if not found else (IsADirectoryError,) if len(files) < len(found) else ()
    return Effect(Change() if errors else Change(files), errors=errors, unclear=True)


def matches(state: State, pattern: str) -> set[str]:
    """Return the names of files and directories that match a pattern with the signs ``*``, ``?`` and ``[``."""
    parts = pattern.split("/")
    names = [name for name in {*state.files, *state.folders} if name.count("/") == len(parts) - 1]
    return {
        name
        for name in names
        if all(fnmatch.fnmatchcase(have, want) for have, want in zip(name.split("/"), parts, strict=True))
    }


@operation(2, protocols=REPLACING, several=True, name=Draws.anything)
def rm_recursive(at: Place, name: str) -> None:
    at.fs.rm(at / name, recursive=True)


@rm_recursive.effect
def _(view: View, name: str) -> Effect:
    state = view.state
    if name in state.folders:
        files: dict[str, Content | None] = dict.fromkeys(state.files_below(name))
        return Effect(Change(files, drops=frozenset({name} | state.folders_below(name))))
    if name in state.files:
        return Effect(Change({name: None}))
    return Effect(errors=NOT_FOUND, may_succeed=name in view.hidden(), unclear=True)


@operation(4, source=Draws.anything, target=Draws.anything)
def cp_file(at: Place, source: str, target: str) -> None:
    at.fs.cp_file(at / source, at / target)


@cp_file.effect
def _(view: View, source: str, target: str) -> Effect:
    state = view.state
    if source not in state.files and source not in state.folders:
        return Effect(errors=NOT_FOUND)
    if source == target:
        return Effect()
    if source in state.folders:
        if state.blocks_folder(target):
            return Effect(Change(given_up={target: EMPTY}), errors=CONFLICT, unclear=target in state.files)
        # an upload of another client may hold the name
        taken = (FileExistsError,) if target in view.hidden() else ()
        return Effect(Change(makes=frozenset([target])), errors=taken, may_succeed=bool(taken))
    if state.blocks_file(target):
        return Effect(Change(given_up={target: EMPTY}), errors=CONFLICT)
    return Effect(Change({target: state.files[source]}, copies=((source, target),)))


@operation(5, protocols=REPLACING, source=Draws.anything, target=Draws.anything)
def mv_file(at: Place, source: str, target: str) -> None:
    at.fs.mv(at / source, at / target)


@mv_file.effect
def _(view: View, source: str, target: str) -> Effect:
    state = view.state
    if target in state.folders:
        target = f"{target}/{source.rpartition('/')[2]}"
    if source == target and (source in state.files or source in state.folders):
        return Effect()
    if source in state.folders:
        return Effect(errors=(IsADirectoryError,))
    if source not in state.files:
        return Effect(errors=NOT_FOUND, unclear=target in state.files)
    if state.blocks_file(target):
        return Effect(Change(given_up={target: EMPTY}), errors=CONFLICT)
    return Effect(Change({source: None, target: state.files[source]}, moves=((source, target),)))


def _tree(state: State, source: str, target: str) -> tuple[dict[str, str], set[str], bool]:
    """Return targets by source file, target directories, and whether something is in their way."""

    def moved(name: str) -> str:
        return target + name[len(source) :]

    files = {name: moved(name) for name in state.files_below(source)}
    folders = {target} | {moved(name) for name in state.folders_below(source)}
    blocked = any(map(state.blocks_folder, folders)) or any(map(state.blocks_file, files.values()))
    return files, folders, blocked


@operation(protocols=REPLACING, several=True, source=Draws.folder, target=Draws.folder)
def cp_recursive(at: Place, source: str, target: str) -> None:
    at.fs.cp(f"{at / source}/", f"{at / target}/", recursive=True)


@cp_recursive.effect
def _(view: View, source: str, target: str) -> Effect | None:
    state = view.state
    if source == target or is_below(source, target) or is_below(target, source) or source in state.files:
        return None
    if source not in state.folders:
        return Effect(errors=NOT_FOUND)
    files, folders, blocked = _tree(state, source, target)
    pairs = {name: to for name, to in files.items() if not state.blocks_file(to)}
    copied: dict[str, Content | None] = {to: state.files[name] for name, to in pairs.items()}
    change = Change(copied, frozenset() if view.write_once else frozenset(folders), copies=tuple(pairs.items()))
    return Effect(change, errors=CONFLICT if blocked else ())


@operation(protocols=REPLACING, several=True, source=Draws.folder, target=Draws.folder)
def mv_recursive(at: Place, source: str, target: str) -> None:
    at.fs.mv(f"{at / source}/", f"{at / target}/", recursive=True)


@mv_recursive.effect
def _(view: View, source: str, target: str) -> Effect | None:
    state = view.state
    if is_below(source, target) or source in state.files:
        return None
    if source not in state.folders:
        return Effect(errors=NOT_FOUND)
    if source == target:
        return Effect()
    if is_below(target, source):
        return Effect(errors=(OSError,))
    files, folders, blocked = _tree(state, source, target)
    free = {name: to for name, to in files.items() if not state.blocks_file(to)}
    written: dict[str, Content | None] = {to: state.files[name] for name, to in free.items()}
    drops = frozenset({source} | state.folders_below(source))
    change = Change(written | dict.fromkeys(free), frozenset(folders), drops, tuple(free.items()))
    # a directory with something hidden in it stays
    hidden = any(is_below(name, source) for name in view.hidden())
    return Effect(change, errors=CONFLICT if blocked else (OSError,) if hidden else ())


@operation(protocols=REPLACING, name=Draws.name)
def mv_between_buckets(at: Place, name: str) -> None:
    """Move a file to another bucket, where nothing else happens."""
    at.fs.mv(at / name, at.beyond_path)


@mv_between_buckets.effect
def _(view: View, name: str) -> Effect | None:
    return Effect(Change({name: None}), beyond=name) if name in view.state.files else None


@operation(1, protocols=REPLACING, name=Draws.name)
def cp_between_buckets(at: Place, name: str) -> None:
    """Copy a file to another bucket."""
    at.fs.cp_file(at / name, at.beyond_path)


@cp_between_buckets.effect
def _(view: View, name: str) -> Effect | None:
    return Effect() if name in view.state.files else None
