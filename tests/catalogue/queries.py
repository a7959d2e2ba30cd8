"""Operations that ask what exists, and those that take care of unfinished uploads."""

from __future__ import annotations

from typing import Any

from tests.catalogue.operations import NOT_FOUND, Draws, Effect, Place, View, operation, pick
from tests.catalogue.rearranging import matches
from tests.catalogue.state import is_below


@operation(5, name=Draws.anything, question=pick("exists", "isfile", "isdir"))
def exists(at: Place, name: str, question: str = "exists") -> bool:
    """Ask one of the yes-or-no questions."""
    return bool(getattr(at.fs, question)(at / name))


@exists.effect
def _(view: View, name: str, question: str = "exists") -> Effect:
    is_file, is_folder = name in view.state.files, name in view.state.folders
    return Effect(returns={"exists": is_file or is_folder, "isfile": is_file, "isdir": is_folder}[question])


@operation(5, name=Draws.anything, refresh=Draws.flag)
def info(at: Place, name: str, refresh: bool = False) -> tuple[str, str, int]:
    found = at.fs.info(at / name, refresh=True) if refresh else at.fs.info(at / name)
    return at.name(found["name"]), found["type"], found["size"]


@info.effect
def _(view: View, name: str, refresh: bool = False) -> Effect:
    state = view.state
    if name in state.files:
        return Effect(returns=(name, "file", state.files[name].size))
    return Effect(returns=(name, "directory", 0), errors=() if name in state.folders else NOT_FOUND)


@operation(4, name=Draws.tree, detail=Draws.flag, refresh=Draws.flag)
def ls(at: Place, name: str, detail: bool = False, refresh: bool = False) -> list[Any]:
    found = at.fs.ls(at / name, detail=detail, refresh=refresh)
    return [(at.name(entry["name"]), entry["size"]) for entry in found] if detail else at.names(found)


@ls.effect
def _(view: View, name: str, detail: bool = False, refresh: bool = False) -> Effect:
    state = view.state
    names = [name] if name in state.files else sorted(state.entries(name))
    sizes = {name: content.size for name, content in state.files.items()}
    listed: list[Any] = [(name, sizes.get(name, 0)) for name in names] if detail else names
    return Effect(returns=listed, errors=() if state.is_folder(name) or name in state.files else NOT_FOUND)


@operation(name=Draws.tree, recursive=Draws.flag)
def scandir(at: Place, name: str, recursive: bool = False) -> list[tuple[str, int]]:
    return sorted((at.name(entry["name"]), entry["size"]) for entry in at.fs.scandir(at / name, recursive=recursive))


@scandir.effect
def _(view: View, name: str, recursive: bool = False) -> Effect:
    state = view.state
    found = {*state.files_below(name), *state.folders_below(name)} if recursive else state.entries(name)
    sizes = {path: state.files[path].size if path in state.files else 0 for path in found}
    return Effect(returns=sorted(sizes.items()), errors=() if state.is_folder(name) else NOT_FOUND)


@operation(4, name=Draws.tree, withdirs=Draws.flag, maxdepth=pick(None, 1, 2))
def find(at: Place, name: str, withdirs: bool = False, maxdepth: int | None = None) -> list[str]:
    return at.names(at.fs.find(at / name, maxdepth=maxdepth, withdirs=withdirs))


@find.effect
def _(view: View, name: str, withdirs: bool = False, maxdepth: int | None = None) -> Effect:
    state = view.state
    if name in state.files:
        return Effect(returns=[name])
    below = {*state.files_below(name), *(state.folders_below(name) if withdirs else ())}
    level = name.count("/") + 1 if name else 0
    names = {item for item in below if maxdepth is None or item.count("/") < level + maxdepth}
    names |= {name} if withdirs and state.is_folder(name) else set()
    return Effect(returns=sorted(names))


@operation(name=Draws.tree)
def walk(at: Place, name: str) -> dict[str, tuple[set[str], set[str]]]:
    return {at.name(path): (set(inside), set(files)) for path, inside, files in at.fs.walk(at / name)}


@walk.effect
def _(view: View, name: str) -> Effect | None:
    state = view.state
    if name in state.files:
        return None
    folders = {name} | state.folders_below(name) if state.is_folder(name) else set()

    def last(names: set[str]) -> set[str]:
        return {item.rpartition("/")[2] for item in names}

    return Effect(
        returns={
            folder: (last(state.entries(folder) & state.folders), last(state.entries(folder) - state.folders))
            for folder in folders
        }
    )


@operation(pattern=pick("*", "dir/*", "*/a", "dir/[ab]", "*/*", "dir/s?b/*", "other/ä*", "no/*", "**/a"))
def glob(at: Place, pattern: str) -> list[str]:
    return sorted(at.names(at.fs.glob(at / pattern)))


@glob.effect
def _(view: View, pattern: str) -> Effect:
    state = view.state
    if pattern == "**/a":
        return Effect(returns=sorted(n for n in {*state.files, *state.folders} if n.rpartition("/")[2] == "a"))
    return Effect(returns=sorted(matches(state, pattern)))


@operation(name=Draws.tree, total=Draws.flag)
def du(at: Place, name: str, total: bool) -> Any:
    found = at.fs.du(at / name, total=total)
    return found if total else {at.name(path): size for path, size in found.items()}


@du.effect
def _(view: View, name: str, total: bool) -> Effect:
    state = view.state
    files = {name: state.files[name]} if name in state.files else state.files_below(name)
    sizes = {item: content.size for item, content in files.items()}
    return Effect(returns=sum(sizes.values()) if total else sizes)


@operation(name=Draws.tree)
def uploads(at: Place, name: str) -> list[str]:
    """List unfinished uploads."""
    found = at.fs.uploads(at / name)
    # coffers do not tell the size of what is unfinished
    assert all(upload["size"] is None or upload["stored"] <= upload["size"] for upload in found), found
    return sorted({at.name(upload["name"]) for upload in found})


@uploads.effect
def _(view: View, name: str) -> Effect:
    hidden = sorted({item for item in view.hidden() if item == name or is_below(item, name)})
    there = view.state.is_folder(name) or name in view.state.files or bool(hidden)
    return Effect(returns=hidden, errors=() if there else NOT_FOUND, may_succeed=not there)


@operation(1)
def clean_uploads(at: Place) -> list[str]:
    """Remove all unfinished uploads."""
    return sorted({at.name(upload["name"]) for upload in at.fs.clean_uploads(at.root, older_than=-60)})


@clean_uploads.effect
def _(view: View) -> Effect:
    return Effect(returns=sorted(view.hidden()))


@operation(name=Draws.name)
def abort_upload(at: Place, name: str) -> None:
    """Remove an unfinished upload."""
    at.fs.abort_upload(at / name)


@abort_upload.effect
def _(view: View, name: str) -> Effect:
    return Effect(errors=() if name in view.hidden() else NOT_FOUND)


@operation(1, name=Draws.tree)
def invalidate_cache(at: Place, name: str) -> None:
    at.fs.invalidate_cache(at / name or None)


@invalidate_cache.effect
def _(view: View, name: str) -> Effect:
    return Effect()
