"""The operations of the table's columns: what is there before, what is done, and what has to come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.stage import Place, Stage
from tests.support import KIB, content

__all__ = ["OPERATIONS", "PROTOCOLS", "Operation"]

SMALL, LARGE = content(1000, 1), content(1200 * KIB + 7, 2)
OLD, OLD_LARGE = content(900, 3), content(1100 * KIB + 3, 4)


def _nothing(stage: Stage, place: Place) -> None:
    """Leave the place empty."""


@dataclass(frozen=True)
class Operation:
    """One column.

    Parameters
    ----------
    name : str
        Its heading.
    run : callable
        Does it with the client under test; returns what can be compared.
    expected : object
        What has to be returned.
    setup : callable
        Prepares the place, through the second instance.
    warm : callable
        What the client under test has done just before, without faults.
    options : mapping
        Of the client under test.
    mixes : bool
        It is made of several steps, of which an error may leave some done; each path is then old or new by itself.
    keeps : bool
        A failure may leave an unfinished upload, to be continued (README: "Unfinished uploads").
    blind : bool
        Nothing tells the bytes' SHA-1 to the client: a part of an object, or one that was never listed.
    extra : callable, optional
        What else belongs to the state, through the second instance.
    teardown : callable
        Removes what is not in the place, through the second instance.
    once : bool
        Nothing can be replaced: what is there stays, and an unfinished upload keeps its name from everybody.
    sized : callable, optional
        What is returned where a reply to HEAD tells so many bytes more: nothing else says the size.
    """

    name: str
    run: Callable[[Any, Place], object]
    expected: object = None
    setup: Callable[[Stage, Place], None] = _nothing
    warm: Callable[[Any, Place], object] = lambda fs, place: None
    options: Mapping[str, Any] = field(default_factory=dict)
    mixes: bool = False
    keeps: bool = False
    blind: bool = False
    extra: Callable[[Stage, Place], str] | None = None
    teardown: Callable[[Stage, Place], None] = _nothing
    once: bool = False
    sized: Callable[[int], object] | None = None


def _file(data: bytes, name: str = "x") -> Callable[[Stage, Place], None]:
    return lambda stage, place: stage.second.pipe_file(place / name, data)


def _local(data: bytes, remote: bytes | None = None) -> Callable[[Stage, Place], None]:
    def setup(stage: Stage, place: Place) -> None:
        (place.local / "source").write_bytes(data)
        if remote is not None:
            stage.second.pipe_file(place / "x", remote)

    return setup


def _fetched(data: bytes, old: bytes | None = None) -> Callable[[Stage, Place], None]:
    def setup(stage: Stage, place: Place) -> None:
        stage.second.pipe_file(place / "x", data)
        if old is not None:
            (place.local / "target").write_bytes(old)

    return setup


def _tree(stage: Stage, place: Place) -> None:
    for number in range(3):
        stage.second.pipe_file(place / f"d/{number}", content(500, 10 + number))
    stage.second.pipe_file(place / "d/e/deep", content(500, 13))
    stage.second.pipe_file(place / "y", content(500, 14))


def _uploads(stage: Stage, place: Place) -> None:
    stage.second.pipe_file(place / "y", OLD)
    stage.unfinished(place, "x", LARGE)


def _write(mode: str, data: bytes, announce: bool = False) -> Callable[[Any, Place], None]:
    def run(fs: Any, place: Place) -> None:
        with fs.open(place / "x", mode, **({"size": len(data)} if announce else {})) as file:
            for offset in range(0, len(data), 200_000):
                file.write(data[offset : offset + 200_000])

    return run


def _pipe(data: bytes, **options: Any) -> Callable[[Any, Place], None]:
    return lambda fs, place: fs.pipe_file(place / "x", data, **options)


def _put(fs: Any, place: Place) -> None:
    fs.put_file(str(place.local / "source"), place / "x")


def _cat(fs: Any, place: Place) -> object:
    return fs.cat_file(place / "x")


def _get(fs: Any, place: Place) -> None:
    fs.get_file(place / "x", str(place.local / "target"))


def _get_some(fs: Any, place: Place) -> None:
    names = ["0", "1", "2"]
    fs.get([place / f"d/{name}" for name in names], [str(place.local / name) for name in names])


def _get_tree(fs: Any, place: Place) -> None:
    # with slashes it means the same whether or not a first attempt has made the local directory
    fs.get(place / "d/", f"{place.local}/copy/", recursive=True)


def _read(fs: Any, place: Place) -> bytes:
    with fs.open(place / "x", "rb") as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def _info(fs: Any, place: Place) -> object:
    info = fs.info(place / "x")
    return info["type"], info["size"]


def _info_missing(fs: Any, place: Place) -> str:
    try:
        return str(fs.info(place / "nothing"))
    except FileNotFoundError:
        return "missing"


def _names(found: list[str], place: Place) -> list[str]:
    return [name.removeprefix(place.remote) for name in found]


def _commit(fs: Any, place: Place) -> None:
    with fs.transaction:
        for name, data in (("x", SMALL), ("z", LARGE)):
            with fs.open(place / name, "wb") as file:
                file.write(data)


def _clean(fs: Any, place: Place) -> list[str]:
    return _names([found["name"] for found in fs.clean_uploads(place.remote, older_than=-60)], place)


def _hidden(stage: Stage, place: Place) -> str:
    return str(_names([found["place"] for found in stage.second.uploads(place.remote)], place))


def _attributes(stage: Stage, place: Place) -> str:
    found = stage.second.attributes(place / "x")
    return str((found["biz_attr"], found["custom_headers"].get("Cache-Control")))


def _update(fs: Any, place: Place) -> None:
    fs.update_attributes(place / "x", biz_attr="note", custom_headers={"Cache-Control": "no-store"})


_PAGES = {"page_size": 2}
_TREE = ["/d/0", "/d/1", "/d/2", "/d/e/deep", "/y"]
_FLAT = ["/d/0", "/d/1", "/d/2", "/d/e"]

_WRITING = [
    Operation("pipe small", _pipe(SMALL)),
    Operation("pipe small over", _pipe(SMALL), setup=_file(OLD)),
    Operation("pipe create", _pipe(SMALL, mode="create")),
    Operation("pipe typed", _pipe(SMALL, content_type="text/x-none")),
    Operation("pipe sliced", _pipe(LARGE)),
    Operation("pipe sliced over", _pipe(LARGE), setup=_file(OLD)),
    Operation("pipe instant", _pipe(LARGE), setup=_file(LARGE, "y"), options={"instant_upload": True}),
    Operation("wb small over", _write("wb", SMALL), setup=_file(OLD)),
    Operation("wb spooled", _write("wb", LARGE)),
    Operation("wb spooled over", _write("wb", LARGE), setup=_file(OLD_LARGE)),
    Operation("wb probed", _write("wb", LARGE), options={"spool_memory": 600 * KIB}),
    Operation("wb sized", _write("wb", LARGE, announce=True)),
    Operation("wb sized over", _write("wb", LARGE, announce=True), setup=_file(OLD)),
    Operation("xb small", _write("xb", SMALL)),
    Operation("xb spooled", _write("xb", LARGE)),
    Operation("put small over", _put, setup=_local(SMALL, OLD)),
    Operation("put sliced", _put, setup=_local(LARGE), keeps=True),
    Operation("put sliced over", _put, setup=_local(LARGE, OLD), keeps=True),
    Operation("transaction", _commit, setup=_file(OLD), mixes=True),
]

_READING = [
    Operation("cat", _cat, SMALL, _file(SMALL), blind=True),
    Operation("cat known", _cat, SMALL, _file(SMALL), warm=_info),
    Operation(
        "cat verified",
        lambda fs, at: fs.cat_file(at / "x"),
        SMALL,
        _file(SMALL),
        options={"verify_downloads": "always"},
    ),
    Operation("cat large", _cat, LARGE, _file(LARGE), blind=True),
    Operation("cat large known", _cat, LARGE, _file(LARGE), warm=_info),
    Operation("cat part", lambda fs, at: fs.cat_file(at / "x", 100, 300), SMALL[100:300], _file(SMALL), blind=True),
    Operation(
        "cat large part", lambda fs, at: fs.cat_file(at / "x", 9, 700_000), LARGE[9:700_000], _file(LARGE), blind=True
    ),
    Operation("cat tail", lambda fs, at: fs.cat_file(at / "x", -300), SMALL[-300:], _file(SMALL), blind=True),
    Operation("rb", _read, SMALL, _file(SMALL)),
    Operation("rb large", _read, LARGE, _file(LARGE)),
    Operation("get_file", _get, setup=_fetched(SMALL), blind=True),
    Operation("get_file known", _get, setup=_fetched(SMALL, OLD), warm=_info),
    Operation("get_file large", _get, setup=_fetched(LARGE, OLD_LARGE), blind=True),
    Operation("get_file large known", _get, setup=_fetched(LARGE), warm=_info),
    Operation("get some", _get_some, setup=_tree, mixes=True, blind=True),
    Operation("get tree", _get_tree, setup=_tree, mixes=True),
]

_LOOKING = [
    Operation("ls pages", lambda fs, at: _names(fs.ls(at / "d", detail=False), at), _FLAT, _tree, options=_PAGES),
    Operation("info", _info, ("file", 1000), _file(SMALL)),
    Operation("info missing", _info_missing, "missing"),
    Operation("exists", lambda fs, at: fs.exists(at / "x"), True, _file(SMALL)),
    Operation("exists missing", lambda fs, at: fs.exists(at / "nothing"), False),
    Operation("isfile", lambda fs, at: fs.isfile(at / "x"), True, _file(SMALL)),
    Operation("isdir", lambda fs, at: fs.isdir(at / "d"), True, _tree),
    Operation("find", lambda fs, at: _names(fs.find(at.remote), at), _TREE, _tree, options=_PAGES),
    Operation(
        "uploads",
        lambda fs, at: _names([f["name"] for f in fs.uploads(at.remote)], at),
        ["/x"],
        _uploads,
        extra=_hidden,
    ),
]

_CHANGING = [
    Operation("mkdir", lambda fs, at: fs.mkdir(at / "new/dir")),
    Operation("rmdir", lambda fs, at: fs.rmdir(at / "d"), setup=lambda stage, at: stage.second.mkdir(at / "d")),
    Operation("rm_file", lambda fs, at: fs.rm_file(at / "x"), setup=_file(OLD)),
    Operation("rm tree", lambda fs, at: fs.rm(at / "d", recursive=True), setup=_tree, mixes=True),
    Operation("cp_file", lambda fs, at: fs.cp_file(at / "y", at / "x"), setup=_file(SMALL, "y")),
    Operation("cp_file over", lambda fs, at: fs.cp_file(at / "d/0", at / "y"), setup=_tree),
    Operation("mv", lambda fs, at: fs.mv(at / "y", at / "x"), setup=_file(SMALL, "y")),
    Operation("mv over", lambda fs, at: fs.mv(at / "d/0", at / "y"), setup=_tree),
    Operation("update_attributes", _update, setup=_file(OLD), extra=_attributes),
    Operation("abort_upload", lambda fs, at: fs.abort_upload(at / "x"), setup=_uploads, extra=_hidden),
    Operation("clean_uploads", _clean, ["/x"], _uploads, extra=_hidden),
]

OPERATIONS = {operation.name: operation for operation in (*_WRITING, *_READING, *_LOOKING, *_CHANGING)}
"""All columns by name."""

# v3 documents no attribute but this one (cos.md#v3)
_FREE_ATTRIBUTE = Operation(
    "update_attributes",
    lambda fs, at: fs.update_attributes(at / "x", biz_attr="note"),
    setup=_file(OLD),
    extra=_attributes,
)


def _taken(run: Callable[[Any, Place], object]) -> Callable[[Any, Place], str]:
    def attempt(fs: Any, place: Place) -> str:
        try:
            run(fs, place)
        except FileExistsError:
            return "taken"
        return "stored"

    return attempt


def _put_tree(fs: Any, place: Place) -> None:
    fs.put(f"{place.local}/tree/", place / "copy/", recursive=True)


def _local_tree(stage: Stage, place: Place) -> None:
    (place.local / "tree/e").mkdir(parents=True)
    for number, name in enumerate(("0", "1", "e/deep")):
        (place.local / "tree" / name).write_bytes(content(500, 20 + number))


def _own_coffer(stage: Stage, place: Place) -> None:
    stage.second.create_coffer(place.coffer)


def _no_coffer(stage: Stage, place: Place) -> None:
    if place.coffer in stage.second.ls("", detail=False):
        stage.second.delete_coffer(place.coffer)


def _of_coffer(ask: Callable[[Any, str], object]) -> Callable[[Stage, Place], str]:
    def extra(stage: Stage, place: Place) -> str:
        return str(ask(stage.second, place.coffer)) if place.coffer in stage.second.ls("", detail=False) else "none"

    return extra


def _managing(name: str, run: Callable[[Any, str], object], expected: object = None, **more: Any) -> Operation:
    """Return what is done with a coffer of the cell's own."""
    given = {"setup": _own_coffer, "extra": _of_coffer(lambda fs, coffer: "there"), **more}
    return Operation(name, lambda fs, at: run(fs, at.coffer), expected, teardown=_no_coffer, **given)


_POLICY = {"version": "2.0", "statement": [{"effect": "allow", "action": ["name/cdcs:GetObject"], "resource": ["*"]}]}


def _elements(fs: Any, coffer: str) -> dict[str, Any]:
    # a policy comes as the service says it, with elements that nobody here knows
    return {name: value for name, value in (fs.policy(coffer) or {}).items() if name in _POLICY}


def _set_both(stage: Stage, place: Place) -> None:
    _own_coffer(stage, place)
    stage.second.set_lifecycle(place.coffer, 30)
    stage.second.set_policy(place.coffer, _POLICY)


_MANAGING = [
    Operation("coffers", lambda fs, at: [found["name"] == at.bucket for found in fs.coffers()], [True]),
    _managing("create_coffer", lambda fs, coffer: fs.create_coffer(coffer), setup=_nothing),
    _managing("delete_coffer", lambda fs, coffer: fs.delete_coffer(coffer)),
    _managing("lifecycle", lambda fs, coffer: fs.lifecycle(coffer), 30, setup=_set_both),
    _managing(
        "set_lifecycle",
        lambda fs, coffer: fs.set_lifecycle(coffer, 7),
        extra=_of_coffer(lambda fs, coffer: fs.lifecycle(coffer)),
    ),
    _managing("policy", _elements, _POLICY, setup=_set_both),
    _managing(
        "set_policy",
        lambda fs, coffer: fs.set_policy(coffer, _POLICY),
        extra=_of_coffer(lambda fs, coffer: fs.policy(coffer)),
    ),
    _managing(
        "delete_policy",
        lambda fs, coffer: fs.delete_policy(coffer),
        setup=_set_both,
        extra=_of_coffer(lambda fs, coffer: fs.policy(coffer)),
    ),
]

_NOT_WITHOUT_REPLACING = {"pipe instant", "wb probed", "cat verified"}
_NEW = [
    replace(operation, setup=_nothing) if operation.name == "transaction" else operation
    for operation in _WRITING
    if not operation.name.endswith(" over") and operation.name not in _NOT_WITHOUT_REPLACING
]
_SAME_SIZE = content(len(SMALL), 5)
_ONCE = [
    *_NEW,
    Operation("wb small", _write("wb", SMALL)),
    Operation("put small", _put, setup=_local(SMALL)),
    Operation("put tree", _put_tree, setup=_local_tree, mixes=True),
    Operation("pipe taken", _taken(_pipe(SMALL)), "taken", _file(_SAME_SIZE)),
    Operation("pipe sliced taken", _taken(_pipe(LARGE)), "taken", _file(content(len(LARGE), 6))),
    Operation("wb taken", _taken(_write("wb", SMALL)), "taken", _file(_SAME_SIZE)),
    Operation("put sliced taken", _taken(_put), "taken", _local(LARGE, content(len(LARGE), 6))),
    *(replace(operation, blind=True) for operation in _READING if operation.name not in _NOT_WITHOUT_REPLACING),
    *_LOOKING,
    # what is copied goes through the client
    replace(OPERATIONS["cp_file"], blind=True),
    *(OPERATIONS[name] for name in ("abort_upload", "clean_uploads")),
    *_MANAGING,
]
_TOLD_BY_HEAD: dict[str, Callable[[int], object]] = {"info": lambda more: ("file", len(SMALL) + more)}

PROTOCOLS: Mapping[str, Mapping[str, Operation]] = {
    "cosv4": OPERATIONS,
    "cosv3": {**OPERATIONS, _FREE_ATTRIBUTE.name: _FREE_ATTRIBUTE},
    "cdcs": {
        operation.name: replace(operation, once=True, sized=_TOLD_BY_HEAD.get(operation.name)) for operation in _ONCE
    },
}
"""The columns of each protocol."""
