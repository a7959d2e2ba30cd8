"""Other clients: what they do during a step, between a request and its retry, or in a step of their own."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from cosv4fs import paths
from cosv4fs.emulator import faults
from cosv4fs.errors import CosError
from tests.catalogue import EMPTY, Change, Content, Draws, Effect, State, Step, View
from tests.catalogue.operations import REPLACING, pick
from tests.catalogue.writing import WAYS, writes
from tests.faults.history import Event, Unit, explain, removes, stores, units_of, without_directories
from tests.meanwhile import BETWEEN, PUBLISHING, Meanwhile, change
from tests.model.world import MODEL, NAMES, SIZES, World, expect, without_pauses

ORDER_FAULTS = {"rivals", "put_changed"}
"""Steps that order faults themselves."""

UNDISTURBED = {*ORDER_FAULTS, "others_leave_upload", "clear_mapping"}
"""Steps that no fault and no other client meets: they order faults, act as another client, or hide what they meet."""

UNVISITED = {
    "others_write", "transaction", "nested_transaction", "incomplete_transaction", "write_beside_transaction",
}  # fmt: skip
"""Steps that read what they have written, or should not yet: another client would fail their assertions."""

_REMOVING = ("delete",)
_STEP = 512 * 1024
_SECONDS = 30.0


@dataclass(frozen=True)
class OtherClient:
    """Another client that acts beside a step."""

    # what happens to the request (see `tests.meanwhile.BETWEEN`)
    fault: str
    # which request of the step it is
    nth: int
    # `creates`, `replaces` or `removes`
    act: str
    # the file; None: one that the step changes
    name: str | None
    # what is written; None: the same that the step writes, or that is there
    content: Content | None
    # only requests of this operation of the API are counted
    op: str | None = None

    @property
    def label(self) -> str:
        return f"{self.fault}, another client {self.act}"


@dataclass
class Visit:
    """What another client saw and did."""

    client: OtherClient
    name: str
    content: Content
    # the effect that the step has when it comes after the act; None where it does not apply then
    later: Effect | None = None
    # what was there just before: the file, and what the step makes of it or from it
    seen: dict[str, bytes] = field(default_factory=dict)
    # whether it came at all, and whether its call returned
    acted: bool = False
    happened: bool = False

    @property
    def wrote(self) -> Content | None:
        return None if self.client.act == "removes" else self.content

    def applied(self, state: State) -> State:
        """Return the state that the other client makes of another one."""
        return state.after(Change({self.name: self.wrote}))

    def involved(self, effect: Effect) -> set[str]:
        """Return the file, and those that the step moves or copies to it or from it."""
        pairs = [pair for one in (effect, self.later) if one for pair in (*one.change.moves, *one.change.copies)]
        return {self.name, *(name for pair in pairs if self.name in pair for name in pair)}


_FILES = [name for name in NAMES if name not in ("dir/sub", "a/under", "b")]
"""Names that are those of files only."""


def other_clients() -> st.SearchStrategy[OtherClient]:
    """Return a strategy for other clients, most of which act on a file that the step changes."""
    return st.builds(
        OtherClient,
        st.sampled_from([*BETWEEN]),
        st.sampled_from([1, 1, 2, 3, 4, 5, 6]),
        st.sampled_from(["creates", "replaces", "removes"]),
        st.one_of(st.none(), st.none(), st.sampled_from(_FILES)),
        st.one_of(st.none(), st.builds(Content, st.integers(0, 5), st.sampled_from(SIZES))),
    )


@contextmanager
def beside(world: World, step: Step, effect: Effect, client: OtherClient) -> Iterator[Visit]:
    """Let another client act while the block carries out a step; yield what it saw and did.

    It never comes between the last question and a removal, or the publication of what was appended to: the service does
    both without conditions.
    """
    changed = sorted({*effect.change.writes, *effect.change.given_up}) or ["a"]
    name = changed[client.nth % len(changed)] if client.name is None else client.name
    same = effect.change.writes.get(name) or world.state.files.get(name) or EMPTY
    visit = Visit(client, name, same if client.content is None else client.content)
    visit.later = expect(world, step, visit.applied(world.state))
    acting = [False]

    def match(call: Any) -> bool:
        unseen = client.fault == "nothing wrong" and call.op in _REMOVING
        unseen |= effect.adds is not None and call.op in PUBLISHING
        return not acting[0] and not unseen and f"{call.path.text}/".startswith(world.key)

    def act() -> None:
        acting[0] = True
        try:
            _act(world, effect, visit)
        finally:
            acting[0] = False

    action = Meanwhile(act, BETWEEN[client.fault])
    rule = world.emulator.faults.add(action=action, op=client.op, nth=client.nth, match=match)
    try:
        yield visit
    finally:
        world.emulator.faults.remove(rule)
        assert not rule.hits or action.done.wait(_SECONDS)


def _act(world: World, effect: Effect, visit: Visit) -> None:
    found = {name: world.bytes_of(name) for name in visit.involved(effect)}
    visit.acted, visit.seen = True, {name: data for name, data in found.items() if data is not None}
    with suppress(CosError):
        change(world.second, visit.client.act, world.path(visit.name), visit.content.data)
        visit.happened = True


def legal_states(before: State, effect: Effect, visit: Visit, *, failed: bool) -> list[State]:
    """Return the legal states after a step and another client, file by file.

    The step happened once, before the other client acted or after it, where its effect may differ; after an error it
    need not have happened.
    """
    there, later = visit.applied(before), visit.later.change if visit.later is not None else Change()
    happened = [visit.applied(before.after(effect.change)), there.after(later)]
    return [*happened, *([there] if failed or effect.errors or later.given_up else [])]


def check_visit(before: State, after: State, effect: Effect, visit: Visit, *, failed: bool) -> None:
    """Assert that an order of the step and the act explains the file that the other client has changed."""
    names, data = visit.involved(effect), visit.content.data
    acts = {"creates": stores(visit.name, data, create=True), "replaces": stores(visit.name, data)}
    act = acts.get(visit.client.act, removes(visit.name))
    event = Event(visit.name, dict(visit.seen), without_directories(act), succeeded=True)
    old, new = ({name: state.files[name].data for name in names if name in state.files} for state in (before, after))
    for one in (effect, visit.later):
        # what creates a file where there is one has to fail
        if one is None or (one.creates and one.errors and not failed):
            continue
        uncertain = failed or bool(one.errors) or bool(one.change.given_up)
        if explain(old, _units(one, visit.name), [event], new, failed=uncertain) is not None:
            return
    raise AssertionError(f"no order explains what is at {visit.name}: {[*old]}, {[*visit.seen]}, {[*new]}")


def _units(effect: Effect, name: str) -> list[Unit]:
    """Return what the effect means for one file, without directories."""
    pairs = [tuple(pair for pair in some if name in pair) for some in (effect.change.moves, effect.change.copies)]
    names = {name, *(one for some in pairs for pair in some for one in pair)}
    writes = {one: content for one, content in effect.change.writes.items() if one in names}
    part = replace(effect.change, writes=writes, makes=frozenset(), moves=pairs[0], copies=pairs[1])
    units = units_of(replace(effect, change=part))
    return [replace(unit, transition=without_directories(unit.transition)) for unit in units]


# -- steps ----------------------------------------------------------------------------------------------------------


@contextmanager
def _refusing(world: World, ops: dict[str, int], action: faults.Action) -> Iterator[None]:
    """Refuse requests below the root, from the nth of an operation on; those of the second filesystem pass."""
    add = world.emulator.faults.add
    match = lambda call: call.path.text.startswith(world.key)  # noqa: E731
    rules = [add(action=action, op=op, nth=nth, times=None, match=match) for op, nth in ops.items()]
    try:
        yield
    finally:
        for rule in rules:
            world.emulator.faults.remove(rule)


@MODEL.operation(
    4,
    protocols=REPLACING,
    name=pick("a", "dir/a", "dir/sub/a", "other/a"),
    first=Draws.content,
    seed=lambda draws: draws.chance.randint(0, 5),
    how=pick("the same", "in place", "replaced"),
    late=Draws.flag,
)
def put_changed(world: World, name: str, first: Content, seed: int, how: str, late: bool) -> None:
    """Continue an interrupted upload of a local file, of which only size and modification time are the same."""
    local = world.place.local("changing")
    local.write_bytes(first.data)
    times = local.stat()
    ops = {"upload_slice_finish": 1} if late else {"upload_slice_data": 2, "upload_slice": 3}
    with _refusing(world, ops, faults.DropBefore()), suppress(CosError):
        world.fs.put_file(local, world.path(name))
    other = local if how == "in place" else local.with_suffix(".new")
    other.write_bytes(_changed(first, seed, how).data)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(local)
    world.fs.put_file(local, world.path(name))


def _changed(first: Content, seed: int, how: str) -> Content:
    return first if how == "the same" else Content(seed + 10, first.size)


@put_changed.effect
def _(view: View, name: str, first: Content, seed: int, how: str, late: bool) -> Effect | None:
    if not first.size:
        return None
    effect = writes(view, {name: _changed(first, seed, how)})
    return Effect(Change(effect.change.writes, given_up={name: first}), errors=effect.errors)


@MODEL.operation(protocols=REPLACING, name=pick("dir/a", "other/a"), content=Draws.content)
def others_leave_upload(world: World, name: str, content: Content) -> None:
    """Let another client start an upload in place and never finish it."""
    bucket, key = paths.file_key(world.path(name))
    with suppress(CosError):
        world.second.client.upload_slice_init(bucket, key, filesize=content.size, slice_size=_STEP)
    world.fs.invalidate_cache(world.root)


@others_leave_upload.effect
def _(view: View, name: str, content: Content) -> Effect | None:
    if content.size < 2 or name in view.state.files or view.state.blocks_file(name):
        return None
    return Effect(Change(given_up={name: EMPTY}))


@MODEL.operation(
    protocols=("cosv4",), name=pick("a", "dir/a", "other/a"), content=Draws.content, way=pick("put_file", "pipe_file")
)
def rivals(world: World, name: str, content: Content, way: str) -> None:
    """Give up an upload that another client, which sends the same content to the same path, can complete."""
    client, data = world.second.client, content.data
    bucket, key = paths.file_key(world.path(name))
    sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    session = client.upload_slice_init(bucket, key, filesize=len(data), slice_size=_STEP, sha=sha)
    for offset in range(0, len(data), session.slice_size):
        piece = memoryview(data)[offset : offset + session.slice_size]
        client.upload_slice_data(bucket, key, session.session, offset, piece, sha=sha)
    with _refusing(world, {"upload_slice_finish": 1}, faults.Refuse(-182)):
        try:
            WAYS[way].write(world.place, world.path(name), data, _STEP)
        except CosError:
            pass
        else:
            raise AssertionError("the upload was refused, and succeeds")
    client.upload_slice_finish(bucket, key, session.session, len(data), sha=sha)
    world.fs.invalidate_cache(world.root)


@rivals.effect
def _(view: View, name: str, content: Content, way: str) -> Effect | None:
    blocked = name in view.state.files or view.state.blocks_file(name) or name in view.hidden()
    return None if content.size <= 64 * 1024 or blocked else Effect(Change({name: content}))


@MODEL.operation(name=Draws.name, content=Draws.content, how=pick("refresh", "invalidate"))
def others_write(world: World, name: str, content: Content, how: str) -> None:
    """Let another program write: a refresh has to show it."""
    path = world.path(name)
    try:
        world.second.pipe_file(path, content.data)
        if how == "refresh":
            assert world.fs.info(path, refresh=True)["size"] == content.size
    finally:
        world.fs.invalidate_cache(world.root)


@others_write.effect
def _(view: View, name: str, content: Content, how: str) -> Effect:
    return writes(view, {name: content})


@MODEL.operation(alone=True, fresh=Draws.flag)
def travel(world: World, fresh: bool) -> None:
    """Go on with a copy of the filesystem."""
    copy = pickle.loads(pickle.dumps(world.fs))
    world.place.fs = without_pauses(type(copy).from_json(copy.to_json()) if fresh else copy)


@travel.effect
def _(view: View, fresh: bool) -> Effect:
    return Effect()


def check_beyond(world: World, effect: Effect, content: Content, visit: Visit | None, *, failed: bool) -> None:
    """Assert that what was moved into the other bucket is there, or still here."""
    assert effect.beyond is not None
    name, target = effect.beyond, world.place.beyond_path
    try:
        found = world.second.cat_file(target)
    except FileNotFoundError:
        found = None
    happened = visit is not None and visit.happened and visit.name == name
    theirs = visit.wrote if happened and visit is not None else None
    legal = [content.data, *([theirs.data] if theirs is not None else []), *([None] if failed else [])]
    assert found in legal, f"neither the old nor the new content at {target}"
    if name not in world.state.files and not (happened and theirs is None):
        taken = visit is not None and name not in visit.seen
        expected = content if theirs is None or taken else theirs
        assert found == expected.data, f"{name} is gone and not in the other bucket"
