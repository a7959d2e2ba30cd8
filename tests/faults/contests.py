"""Operations that change something, where strangers may act beside them, and what the operations mean."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cosv4fs import paths
from cosv4fs.emulator import faults
from tests.faults import history
from tests.faults.history import Effect, Unit
from tests.faults.operations import LARGE, OLD, PROTOCOLS, SMALL, Operation
from tests.faults.stage import Place, Stage
from tests.support import content

__all__ = ["ACTS", "BEYOND", "CONTESTS", "Act", "Contest"]

BEYOND = "beyond:"
"""Before names of what is in the other bucket."""

THEIRS = content(777, 90)
CHANGED = content(len(LARGE), 91)
"""What a local file holds after it was replaced by a file of equal size and modification time."""

ONE_BY_ONE = {"max_concurrency": 1, "max_requests": 1}
"""Options with which the units of an operation follow one another, so that it is known which of them have happened."""


@dataclass(frozen=True)
class Act:
    """What a stranger does with a path.

    Parameters
    ----------
    run : callable
        Does it: gets the stranger's filesystem, the path, and the content that our operation puts or finds there.
    effect : callable
        Returns what a success makes of the state: gets the name and that content.
    on : str
        Where it makes sense: ``file`` or ``directory``, which is what our operation puts or finds there, or
        ``upload``, where an upload of the stranger stands.
    """

    run: Callable[[Any, str, bytes], object]
    effect: Callable[[str, bytes], Effect]
    on: str = "file"


def _writing(data: Callable[[bytes], bytes], *, create: bool = False, on: str = "file") -> Act:
    mode = "create" if create else "overwrite"
    return Act(
        lambda fs, path, ours: fs.pipe_file(path, data(ours), mode=mode),
        lambda name, ours: history.stores(name, data(ours), create=create),
        on,
    )


def _finish(fs: Any, path: str, ours: bytes) -> None:
    bucket, key = paths.file_key(path)
    found = fs.client.upload_slice_list(bucket, key)
    if found is None:
        raise FileNotFoundError(path)
    fs.client.upload_slice_finish(bucket, key, found.session, len(ours), sha=found.sha)


def _same_size(ours: bytes) -> bytes:
    return content(len(ours), 92)


ACTS: Mapping[str, Act] = {
    "creates": _writing(lambda ours: THEIRS, create=True),
    "creates the same": _writing(lambda ours: ours, create=True),
    "replaces": _writing(lambda ours: THEIRS),
    "replaces in equal size": _writing(_same_size),
    "replaces by the same": _writing(lambda ours: ours),
    "removes": Act(lambda fs, path, ours: fs.rm_file(path), lambda name, ours: history.removes(name)),
    "makes the directory": Act(
        lambda fs, path, ours: fs.mkdir(path), lambda name, ours: history.makes(name), "directory"
    ),
    "puts a file there": _writing(lambda ours: THEIRS, create=True, on="directory"),
    "puts a file into it": Act(
        lambda fs, path, ours: fs.pipe_file(f"{path}/theirs", THEIRS),
        lambda name, ours: history.stores(f"{name}/theirs", THEIRS),
        "directory",
    ),
    "removes the directory": Act(
        lambda fs, path, ours: fs.rmdir(path), lambda name, ours: history.drops(name), "directory"
    ),
    "finishes its upload": Act(_finish, lambda name, ours: history.stores(name, ours, create=True), "upload"),
}
"""What strangers do, by name."""


def _begin_nothing(stage: Stage, fs: Any, place: Place) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Contest:
    """An operation beside which strangers act.

    Parameters
    ----------
    operation : Operation
        What the client under test does.
    units : tuple of Unit
        What that means.
    spots : mapping of str to bytes
        Where strangers act, with the content that the operation puts or finds there.
    kinds : str
        What stands, or will stand, at the spots; see `Act`.
    begin : callable
        What has happened before, after the operation's own preparations: gets stage, client and place.
    spoil : mapping
        What is refused all the time, so that the operation fails: operation of the API → from which request on.
    once : bool
        Nothing can be replaced or removed by anybody.
    asks_first : bool
        It removes what it has asked about just before: only what comes in between goes unnoticed.
    """

    operation: Operation
    units: tuple[Unit, ...]
    spots: Mapping[str, bytes]
    kinds: str = "file"
    begin: Callable[[Stage, Any, Place], None] = _begin_nothing
    spoil: Mapping[str, int] = field(default_factory=dict)
    once: bool = False
    asks_first: bool = False

    @property
    def acts(self) -> list[tuple[str, str]]:
        """Names of acts and spots that make sense together."""
        known = [name for name, act in ACTS.items() if act.on == self.kinds]
        if self.once:
            known = [name for name in known if name.startswith("creates")]
        return [(name, spot) for spot in self.spots for name in known]


# -- uploads ---------------------------------------------------------------------------------------------------------


def _write(data: bytes, name: str = "x", *, create: bool = False) -> Unit:
    return Unit(history.stores(name, data, create=create), repeats=True)


def _upload(operation: Operation, data: bytes, *, create: bool = False, **more: Any) -> Contest:
    return Contest(operation, (_write(data, create=create),), {"x": data}, **more)


def _pipe(data: bytes, mode: str = "overwrite") -> Callable[[Any, Place], object]:
    return lambda fs, place: fs.pipe_file(place / "x", data, mode=mode)


def _put(fs: Any, place: Place, **options: Any) -> None:
    fs.put_file(str(place.local / "source"), place / "x", **options)


def _write_and_discard(fs: Any, place: Place) -> None:
    with fs.open(place / "x", "wb", size=len(LARGE)) as file:
        file.write(LARGE[: len(LARGE) - 1])
        file.discard()


def _write_and_raise(fs: Any, place: Place) -> None:
    try:
        with fs.open(place / "x", "wb", size=len(LARGE)) as file:
            file.write(LARGE[: len(LARGE) - 1])
            raise InterruptedError
    except InterruptedError:
        return


def _source(data: bytes) -> Callable[[Stage, Place], None]:
    return lambda stage, place: (place.local / "source").write_bytes(data) and None


# v3 may have the content of an earlier cell already: then only the move is left to be interrupted
_BEFORE_THE_SECOND_SLICE = {"upload_slice_data": 2, "upload_slice": 3, "move": 1}
_BEFORE_THE_END = {"upload_slice_finish": 1, "move": 1}


def _interrupt(stage: Stage, fs: Any, place: Place, at: Mapping[str, int] = _BEFORE_THE_SECOND_SLICE) -> None:
    """Let an upload of the local file fail for good, so that the next call goes on with what was left."""
    for op, nth in at.items():
        stage.emulator.faults.add(action=faults.DropBefore(), op=op, nth=nth, times=None)
    try:
        _put(fs, place)
    except OSError:
        pass
    else:
        raise AssertionError("nothing was interrupted")
    stage.emulator.faults.clear()


def _change_source(place: Place) -> None:
    """Replace the local file by other content with the same size and modification time."""
    source = place.local / "source"
    times = source.stat()
    other = source.with_name("other")
    other.write_bytes(CHANGED)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(source)


def _interrupt_and_change(stage: Stage, fs: Any, place: Place) -> None:
    _interrupt(stage, fs, place)
    _change_source(place)


def _interrupt_late_and_change(stage: Stage, fs: Any, place: Place) -> None:
    _interrupt(stage, fs, place, _BEFORE_THE_END)
    _change_source(place)


def _rival(stage: Stage, fs: Any, place: Place) -> None:
    """Let a stranger send all slices of the same content to the same path, without an end."""
    client, step = stage.second.client, 512 * 1024
    bucket, key = paths.file_key(place / "x")
    sha = hashlib.sha1(LARGE).hexdigest()
    session = client.upload_slice_init(bucket, key, filesize=len(LARGE), slice_size=step, sha=sha).session
    for offset in range(0, len(LARGE), step):
        client.upload_slice_data(bucket, key, session, offset, memoryview(LARGE)[offset : offset + step], sha=sha)


_SPOILED = {"upload_slice_finish": 1, "upload_slice": 4, "CompleteMultipartUpload": 1}

_UPLOADS = {
    "pipe small": (SMALL, False),
    "pipe small over": (SMALL, False),
    "pipe create": (SMALL, True),
    "pipe typed": (SMALL, False),
    "pipe sliced": (LARGE, False),
    "pipe sliced over": (LARGE, False),
    "pipe instant": (LARGE, False),
    "wb small over": (SMALL, False),
    "wb spooled": (LARGE, False),
    "wb spooled over": (LARGE, False),
    "wb probed": (LARGE, False),
    "wb sized": (LARGE, False),
    "wb sized over": (LARGE, False),
    "xb small": (SMALL, True),
    "xb spooled": (LARGE, True),
    "put small over": (SMALL, False),
    "put sliced": (LARGE, False),
    "put sliced over": (LARGE, False),
}
"""Columns of the table: what they store, and whether they create only."""


def _uploads(known: Mapping[str, Operation]) -> list[Contest]:
    put = Operation("put resumed", _put, setup=_source(LARGE))
    found = [_upload(known[name], data, create=create) for name, (data, create) in _UPLOADS.items()]
    return [
        *found,
        _upload(Operation("pipe create sliced", _pipe(LARGE, "create")), LARGE, create=True),
        _upload(put, LARGE, begin=_interrupt),
        _upload(
            replace(put, name="put create resumed", run=lambda fs, at: _put(fs, at, mode="create")),
            LARGE,
            create=True,
            begin=_interrupt,
        ),
        _upload(replace(put, name="put changed"), CHANGED, begin=_interrupt_and_change),
        _upload(
            replace(put, name="put changed unchecked", options={"checksum": False}),
            CHANGED,
            begin=_interrupt_and_change,
        ),
        _upload(replace(put, name="pipe refused", run=_pipe(LARGE)), LARGE, spoil=_SPOILED),
        _upload(replace(put, name="put refused"), LARGE, spoil=_SPOILED),
        replace(_upload(Operation("wb discarded", _write_and_discard), LARGE), units=()),
        replace(_upload(Operation("wb raised", _write_and_raise), LARGE), units=()),
        Contest(
            replace(known["transaction"], options=ONE_BY_ONE),
            (_write(SMALL), _write(LARGE, "z")),
            {"x": SMALL, "z": LARGE},
        ),
    ]


_SESSIONS = [
    _upload(Operation("put changed late", _put, setup=_source(LARGE)), CHANGED, begin=_interrupt_late_and_change),
    _upload(
        Operation("pipe refused beside a rival", _pipe(LARGE)), LARGE, kinds="upload", begin=_rival, spoil=_SPOILED
    ),
]
"""With the sessions of v4 only: they end with a request of their own."""


# -- everything else -------------------------------------------------------------------------------------------------

_IN_TREE = {name: content(500, 10 + number) for number, name in enumerate(["d/0", "d/1", "d/2", "d/e/deep"])}


def _twin(name: str) -> bytes:
    return _IN_TREE[name]


def _between(run: Callable[[Any, str, str], object]) -> Callable[[Any, Place], object]:
    return lambda fs, place: run(fs, place / "y", f"{place.beyond}/x")


def _lists(run: Callable[[Any, list[str], list[str]], object]) -> Callable[[Any, Place], object]:
    return lambda fs, at: run(fs, [at / "d/0", at / "d/1"], [at / "m/0", at / "m/1"])


def _moved_tree() -> tuple[Unit, ...]:
    folders = tuple(Unit(history.makes(name, exist_ok=True)) for name in ("m", "m/e"))
    files = tuple(Unit(history.moves(name, f"m{name[1:]}", tolerant=True)) for name in (*_IN_TREE, "d/new"))
    return (*folders, *files, Unit(history.drops("d/e", tolerant=True)), Unit(history.drops("d", tolerant=True)))


def _removed_tree() -> tuple[Unit, ...]:
    files = tuple(Unit(history.removes(name, tolerant=True)) for name in (*_IN_TREE, "d/new"))
    return (*files, Unit(history.drops("d/e", tolerant=True)), Unit(history.drops("d", tolerant=True)))


def _changing(known: Mapping[str, Operation]) -> list[Contest]:
    one_by_one = replace(known["rm tree"], options=ONE_BY_ONE, mixes=False)
    file = known["mv"].setup
    here, there = "y", "beyond:x"
    # what travels through the client may be the content of an earlier moment, and a move takes two requests
    carried, copied = history.stores(there, SMALL), history.copies(here, there)
    move = Unit(
        carried,
        then=history.removes(here, tolerant=True, only=SMALL),
        repeats=True,
        others=(history.moves(here, there),),
        partial=(carried, copied),
        source=here,
    )
    copy = Unit(copied, repeats=True, others=(carried,))
    several = replace(one_by_one, name="mv list", run=_lists(lambda fs, sources, targets: fs.mv(sources, targets)))
    return [
        Contest(known["rm_file"], (Unit(history.removes("x", tolerant=True)),), {"x": OLD}),
        Contest(
            replace(one_by_one, name="rm list", run=lambda fs, at: fs.rm([at / "d/0", at / "d/1"])),
            tuple(Unit(history.removes(name, tolerant=True)) for name in ("d/0", "d/1")),
            {"d/0": _twin("d/0"), "d/1": _twin("d/1")},
        ),
        Contest(one_by_one, _removed_tree(), {"d/1": _twin("d/1"), "d/e/deep": _twin("d/e/deep"), "d/new": OLD}),
        Contest(known["rmdir"], (Unit(history.drops("d", tolerant=True)),), {"d": b""}, "directory"),
        Contest(
            known["mkdir"], (Unit(history.makes("new/dir"), repeats=True),), {"new/dir": b"", "new": b""}, "directory"
        ),
        Contest(
            Operation("makedirs", lambda fs, at: fs.makedirs(at / "new/dir", exist_ok=True)),
            (Unit(history.makes("new/dir", exist_ok=True), repeats=True),),
            {"new/dir": b"", "new": b""},
            "directory",
        ),
        Contest(known["cp_file"], (Unit(history.copies("y", "x"), repeats=True),), {"x": SMALL, "y": SMALL}),
        Contest(
            known["cp_file over"],
            (Unit(history.copies("d/0", "y"), repeats=True),),
            {"y": _twin("d/0"), "d/0": _twin("d/0")},
        ),
        Contest(known["mv"], (Unit(history.moves("y", "x")),), {"x": SMALL, "y": SMALL}),
        Contest(known["mv over"], (Unit(history.moves("d/0", "y")),), {"y": _twin("d/0"), "d/0": _twin("d/0")}),
        Contest(
            several,
            (Unit(history.moves("d/0", "m/0")), Unit(history.moves("d/1", "m/1"))),
            {"d/0": _twin("d/0"), "m/1": _twin("d/1")},
        ),
        Contest(
            replace(one_by_one, name="mv tree", run=lambda fs, at: fs.mv(at / "d/", at / "m/", recursive=True)),
            _moved_tree(),
            {"d/1": _twin("d/1"), "m/1": _twin("d/1")},
        ),
        Contest(
            Operation("mv between buckets", _between(lambda fs, source, target: fs.mv(source, target)), setup=file),
            (move,),
            {"y": SMALL, "beyond:x": SMALL},
            asks_first=True,
        ),
        Contest(
            Operation(
                "cp between buckets", _between(lambda fs, source, target: fs.cp_file(source, target)), setup=file
            ),
            (copy,),
            {"y": SMALL, "beyond:x": SMALL},
        ),
        Contest(replace(known["update_attributes"], extra=None), (), {"x": OLD}),
        *_giving_up(known),
    ]


def _giving_up(known: Mapping[str, Operation]) -> list[Contest]:
    clean = lambda fs, at: fs.clean_uploads(at.remote, older_than=-60)  # noqa: E731
    return [
        Contest(replace(known["abort_upload"], extra=None), (), {"x": LARGE}, asks_first=True),
        Contest(replace(known["clean_uploads"], extra=None, run=clean), (), {"x": LARGE}, asks_first=True),
    ]


# -- where nothing is replaced ---------------------------------------------------------------------------------------

_ONCE = {name: given for name, given in _UPLOADS.items() if not name.endswith(" over") and name != "pipe instant"}
_ONCE |= {"wb small": (SMALL, False), "put small": (SMALL, False)}


_COPIED = ("copy/0", "copy/1", "copy/e/deep")


def _once(data: bytes, name: str = "x") -> Unit:
    return Unit(history.stores_once(name, data), repeats=True)


def _written_once(known: Mapping[str, Operation]) -> list[Contest]:
    def upload(operation: Operation, data: bytes, *, create: bool = False, **more: Any) -> Contest:
        unit = Unit(history.stores_once("x", data, create=create), repeats=True)
        return Contest(operation, (unit,), {"x": data}, once=True, **more)

    found = [upload(known[name], data, create=create) for name, (data, create) in _ONCE.items() if name in known]
    return [
        *found,
        upload(Operation("pipe create sliced", _pipe(LARGE, "create"), once=True), LARGE, create=True),
        upload(Operation("pipe refused", _pipe(LARGE), once=True), LARGE, spoil=_SPOILED),
        upload(known["cp_file"], SMALL),
        Contest(
            replace(known["transaction"], options=ONE_BY_ONE),
            (_once(SMALL), _once(LARGE, "z")),
            {"x": SMALL, "z": LARGE},
            once=True,
        ),
        Contest(
            replace(known["put tree"], options=ONE_BY_ONE),
            tuple(_once(content(500, 20 + number), name) for number, name in enumerate(_COPIED)),
            {"copy/1": content(500, 21)},
            once=True,
        ),
        *(replace(contest, once=True) for contest in _giving_up(known)),
    ]


def _named(*contests: Contest) -> dict[str, Contest]:
    return {contest.operation.name: contest for contest in contests}


CONTESTS: Mapping[str, Mapping[str, Contest]] = {
    "cosv4": _named(*_uploads(PROTOCOLS["cosv4"]), *_SESSIONS, *_changing(PROTOCOLS["cosv4"])),
    # v3 is sent nothing before a file is closed: one that fails meets nobody
    "cosv3": {
        name: contest
        for name, contest in _named(*_uploads(PROTOCOLS["cosv3"]), *_changing(PROTOCOLS["cosv3"])).items()
        if name not in ("wb discarded", "wb raised")
    },
    "cdcs": _named(*_written_once(PROTOCOLS["cdcs"])),
}
"""Of each protocol, by the operation's name."""
