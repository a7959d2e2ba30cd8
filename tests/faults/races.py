"""Cases during which other clients act: what the case means step by step, and what the others do where."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cosv4fs import paths
from cosv4fs.emulator import faults
from tests.catalogue import EMPTY, Content, Place
from tests.catalogue.cases import CASES, LARGE, OLD, ONE_BY_ONE, SMALL, TREE, Case, case
from tests.faults import history
from tests.faults.bench import Bench
from tests.faults.history import Transition, Unit
from tests.meanwhile import change

BEYOND = "beyond:"
"""Before names of what is in the other bucket."""

THEIRS = Content(90, 777)
CHANGED = Content(91, LARGE.size)
"""What a local file holds after it was replaced by a file of equal size and modification time."""


# -- what other clients do -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """What another client does with a path."""

    # does it: gets the other client's filesystem, the path, and the bytes that our operation puts or finds there
    run: Callable[[Any, str, bytes], object]
    # returns what a success makes of the state: gets the name and those bytes
    transition: Callable[[str, bytes], Transition]
    # where it makes sense: `file` or `directory`, which is what our operation puts or finds there, or `upload`, where
    # an unfinished upload of the other client is
    on: str = "file"


def _writing(data: Callable[[bytes], bytes], *, create: bool = False, on: str = "file") -> Act:
    return Act(
        lambda fs, path, ours: change(fs, "creates" if create else "replaces", path, data(ours)),
        lambda name, ours: history.stores(name, data(ours), create=create),
        on,
    )


def _finish(fs: Any, path: str, ours: bytes) -> None:
    bucket, key = paths.file_key(path)
    found = fs.client.upload_slice_list(bucket, key)
    if found is None:
        raise FileNotFoundError(path)
    fs.client.upload_slice_finish(bucket, key, found.session, len(ours), sha=found.sha)


ACTS: Mapping[str, Act] = {
    "creates": _writing(lambda ours: THEIRS.data, create=True),
    "creates the same": _writing(lambda ours: ours, create=True),
    "replaces": _writing(lambda ours: THEIRS.data),
    "replaces in equal size": _writing(lambda ours: Content(92, len(ours)).data),
    "replaces by the same": _writing(lambda ours: ours),
    "removes": Act(lambda fs, path, ours: change(fs, "removes", path), lambda name, ours: history.removes(name)),
    "makes the directory": Act(
        lambda fs, path, ours: fs.mkdir(path), lambda name, ours: history.makes(name), "directory"
    ),
    "puts a file there": _writing(lambda ours: THEIRS.data, create=True, on="directory"),
    "puts a file into it": Act(
        lambda fs, path, ours: fs.pipe_file(f"{path}/theirs", THEIRS.data),
        lambda name, ours: history.stores(f"{name}/theirs", THEIRS.data),
        "directory",
    ),
    "removes the directory": Act(
        lambda fs, path, ours: fs.rmdir(path), lambda name, ours: history.drops(name), "directory"
    ),
    "finishes its upload": Act(_finish, lambda name, ours: history.stores(name, ours, create=True), "upload"),
}
"""What other clients do, by name."""


# -- races --------------------------------------------------------------------------------------------------------


def _begin_nothing(bench: Bench, at: Place) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Race:
    """A case during which other clients act."""

    case: Case
    units: tuple[Unit, ...]
    # where other clients act, with the content that the case puts or finds there
    spots: Mapping[str, Content]
    # what is, or will be, at the spots; see `Act`
    kinds: str = "file"
    # what has happened before, after the case was set up: gets the bench and the place of the client under test
    begin: Callable[[Bench, Place], None] = _begin_nothing
    # what is refused all the time, so that the case fails: protocol → operation of the API → from which request on
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # it removes or replaces what it has asked about just before: only what happens in between is not noticed
    asks_first: bool = False

    @property
    def acts(self) -> list[tuple[str, str]]:
        """Names of acts and spots that make sense together."""
        known = [name for name, act in ACTS.items() if act.on == self.kinds]
        if self.case.write_once:
            known = [name for name in known if name.startswith("creates")]
        return [(name, spot) for spot in self.spots for name in known]


ADDED = "d/new"
"""A file that another client adds to a directory that is moved or removed."""


def race(made: Case, *spots: str, **more: Any) -> Race:
    """Return a race of a case at these paths; without any, at all files that it writes or removes."""
    known = {**made.files, **made.unfinished, ADDED: OLD, **made.effect.change.written}
    names = spots or tuple(made.effect.change.writes)
    if made.several:
        made = replace(made, options={**made.options, **ONE_BY_ONE})
    exist_ok = bool(dict(made.step.arguments).get("exist_ok"))
    units = history.units_of(made.effect, write_once=made.write_once, exist_ok=exist_ok, added=ADDED)
    return Race(made, tuple(units), {name: known.get(name, EMPTY) for name in names}, **more)


SPOTS: Mapping[str, tuple[str, ...]] = {
    "rm tree": ("d/1", "d/e/deep", ADDED),
    "rm bucket": ("d/1", "d/e/deep", ADDED),
    "mv list": ("d/0", "m/1"),
    "cp list": ("d/0", "m/1"),
    "mv tree": ("d/1", "m/1"),
    "cp_file": ("x", "y"),
    "cp_file over": ("y", "d/0"),
    "put tree": ("copy/1",),
}
"""Where other clients act, where that is not at all files that a case writes or removes."""

DIRECTORIES: Mapping[str, tuple[str, ...]] = {
    "rmdir": ("d",),
    "mkdir": ("new/dir", "new"),
    "makedirs": ("new/dir", "new"),
}
"""Where other clients act on directories."""


CHECKED = "write beside a transaction"
"""A case that looks at what it has written: another client would fail its assertions."""


def _changing(cases: Mapping[str, Case]) -> list[Race]:
    """Return a race of every case that changes files or directories."""
    directories = [race(cases[name], *spots, kinds="directory") for name, spots in DIRECTORIES.items() if name in cases]
    files = [
        race(made, *SPOTS.get(name, ()), asks_first=made.effect.adds is not None)
        for name, made in cases.items()
        if made.effect.change.writes and made.effect.beyond is None and name not in (*DIRECTORIES, CHECKED)
    ]
    return [*files, *directories, *_unfinished(cases)]


def _unfinished(cases: Mapping[str, Case]) -> list[Race]:
    return [race(cases[name], "x", asks_first=True) for name in ("abort_upload", "clean_uploads")]


def _between_buckets(cases: Mapping[str, Case]) -> list[Race]:
    # what is transferred through the client may be the content of an earlier moment, and a move takes two requests
    source, target = "y", f"{BEYOND}x"
    transferred, copied = history.stores(target, SMALL.data), history.copies(source, target)
    move = Unit(
        transferred,
        then=history.removes(source, tolerant=True, only=SMALL.data),
        repeats=True,
        others=(history.moves(source, target),),
        partial=(transferred, copied),
        source=source,
    )
    copy = Unit(copied, repeats=True, others=(transferred,))
    spots = {source: SMALL, target: SMALL}
    return [
        Race(cases["mv between buckets"], (move,), spots, asks_first=True),
        Race(cases["cp between buckets"], (copy,), spots),
    ]


# -- uploads that fail, or continue others ---------------------------------------------------------------------------

REFUSED = {
    "cosv4": {"upload_slice_finish": 1},
    "cosv3": {"upload_slice": 4},
    "cdcs": {"CompleteMultipartUpload": 1},
}
# v3 may have the content of an earlier cell already: then only the move is left to be interrupted
_BEFORE_THE_SECOND_SLICE = {"upload_slice_data": 2, "upload_slice": 3, "move": 1}
_BEFORE_THE_END = {"upload_slice_finish": 1, "move": 1}

_SOURCE = "changing"


def _put_source(name: str, content: Content, *, create: bool = False, **more: Any) -> Race:
    """Return a race of uploading a local file that changes meanwhile."""
    arguments = {"name": "x", "source": _SOURCE, "create": create}
    made = case(name, "put_local", {**arguments, "content": content}, options=more.pop("options", {}))
    return race(made, **more)


def _interrupt(bench: Bench, at: Place, ops: Mapping[str, int] = _BEFORE_THE_SECOND_SLICE) -> None:
    """Let an upload of the local file fail for good, so that the next call continues what was left."""
    at.local(_SOURCE).write_bytes(LARGE.data)
    for op, nth in ops.items():
        bench.emulator.faults.add(action=faults.DropBefore(), op=op, nth=nth, times=None)
    try:
        at.fs.put_file(str(at.local(_SOURCE)), at / "x")
    except OSError:
        pass
    else:
        raise AssertionError("nothing was interrupted")
    bench.emulator.faults.clear()


def _change_source(at: Place) -> None:
    """Replace the local file by other content with the same size and modification time."""
    source = at.local(_SOURCE)
    times = source.stat()
    other = source.with_name("other")
    other.write_bytes(CHANGED.data)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(source)


def _interrupt_and_change(bench: Bench, at: Place) -> None:
    _interrupt(bench, at)
    _change_source(at)


def _interrupt_late_and_change(bench: Bench, at: Place) -> None:
    _interrupt(bench, at, _BEFORE_THE_END)
    _change_source(at)


def _rival(bench: Bench, at: Place) -> None:
    """Let another client send all slices of the same content to the same path, without finishing."""
    client, step, data = bench.second.client, 512 * 1024, LARGE.data
    bucket, key = paths.file_key(at / "x")
    sha = hashlib.sha1(data).hexdigest()
    session = client.upload_slice_init(bucket, key, filesize=len(data), slice_size=step, sha=sha).session
    for offset in range(0, len(data), step):
        client.upload_slice_data(bucket, key, session, offset, memoryview(data)[offset : offset + step], sha=sha)


def _failing(cases: Mapping[str, Case]) -> list[Race]:
    """Return races of uploads that are refused at the end."""
    sliced = cases["pipe sliced"]
    return [
        race(replace(sliced, name="pipe refused"), refused=REFUSED),
        race(replace(cases["put sliced"], name="put refused"), refused=REFUSED),
    ]


def _resumed() -> list[Race]:
    unchecked = {"checksum": False}
    return [
        _put_source("put resumed", LARGE, begin=_interrupt),
        _put_source("put create resumed", LARGE, create=True, begin=_interrupt),
        _put_source("put changed", CHANGED, begin=_interrupt_and_change),
        _put_source("put changed unchecked", CHANGED, options=unchecked, begin=_interrupt_and_change),
    ]


def _given_up(name: str, how: str) -> Race:
    """Return a race of an upload that is discarded after most of it was written."""
    arguments = {"name": "x", "content": LARGE, "sized": True, "how": how}
    return replace(race(case(name, "fail_to_write", arguments), "x"), spots={"x": LARGE})


def _sessions(cases: Mapping[str, Case]) -> list[Race]:
    """Return races of sessions of v4 only, which end with a request of their own."""
    return [
        _put_source("put changed late", CHANGED, begin=_interrupt_late_and_change),
        race(
            replace(cases["pipe sliced"], name="pipe refused beside a rival"),
            kinds="upload",
            begin=_rival,
            refused=REFUSED,
        ),
        # v3 is sent nothing before a file is closed
        _given_up("wb discarded", "discard"),
        _given_up("wb raised", "raise"),
    ]


def _named(*races: Race) -> dict[str, Race]:
    return {made.case.name: made for made in races}


def _races(protocol: str) -> dict[str, Race]:
    cases = CASES[protocol]
    known = [*_changing(cases), *_failing(cases)]
    if protocol != "cdcs":
        known += [*_between_buckets(cases), *_resumed(), race(cases["setxattrs"], "x")]
    if protocol == "cosv4":
        known += _sessions(cases)
    return _named(*known)


RACES: Mapping[str, Mapping[str, Race]] = {protocol: _races(protocol) for protocol in CASES}
"""The races of each protocol, by the name of the case."""

assert set(TREE) >= {"d/0", "d/1", "d/e/deep"}
