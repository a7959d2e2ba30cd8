"""Other clients: what they do during a step, between a request and its retry, or in a step of their own."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from cosv4fs import paths
from cosv4fs.emulator import Emulator, faults
from cosv4fs.errors import CosError
from tests.catalogue import EMPTY, Change, Content, Draws, Effect, State, Step, View
from tests.catalogue.operations import REPLACING, pick
from tests.catalogue.writing import WAYS, writes
from tests.meanwhile import BETWEEN, Meanwhile
from tests.model.steps import MODEL, NAMES, SIZES, expect
from tests.model.world import World, without_pauses

UNVISITED = {"others_write", "transaction", "rivals", "put_changed"}
"""Steps that read through the second filesystem, or order faults: another client would fail their assertions."""

NEED_EMULATOR = {"rivals", "put_changed"}
"""Steps that order faults."""

_REMOVING = ("delete",)
_STEP = 512 * 1024
_SECONDS = 30.0


@dataclass(frozen=True)
class OtherClient:
    """Another client that acts beside a step.

    Parameters
    ----------
    fault : str
        What happens to the request (see `tests.meanwhile.BETWEEN`).
    nth : int
        Which request of the step it is.
    act : str
        ``creates``, ``replaces`` or ``removes``.
    name : str or None
        The file; None: one that the step changes.
    content : Content or None
        What is written; None: the same that the step writes, or that is there.
    op : str, optional
        Only requests of this operation of the API are counted.
    """

    fault: str
    nth: int
    act: str
    name: str | None
    content: Content | None
    op: str | None = None

    @property
    def label(self) -> str:
        return f"{self.fault}, another client {self.act}"


@dataclass
class Visit:
    """What another client saw and did.

    Parameters
    ----------
    client : OtherClient
        Which it is.
    name : str
        The file.
    seen : bytes or None
        What was at the name just before.
    wrote : Content or None
        What it left there.
    acted, happened : bool
        Whether it came at all, and whether its call returned.
    """

    client: OtherClient
    name: str
    seen: bytes | None = None
    wrote: Content | None = None
    acted: bool = False
    happened: bool = False

    def applied(self, state: State) -> State:
        """Return the state that the other client makes of another one."""
        return state.after(Change({self.name: self.wrote}))


_FILES = [name for name in NAMES if name not in ("dir/sub", "a/under", "b")]
"""Names that are those of files only."""


def other_clients() -> st.SearchStrategy[OtherClient]:
    """Return a strategy for other clients, most of which act on a file that the step changes."""
    return st.builds(
        OtherClient,
        st.sampled_from([*BETWEEN]),
        st.sampled_from([1, 1, 2, 3, 4, 5, 6]),
        st.sampled_from(["creates", "replaces", "removes"]),
        st.one_of(
            st.none(), st.none(), st.sampled_from([name for name in NAMES if name not in ("dir/sub", "a/under", "b")])
        ),
        st.one_of(st.none(), st.builds(Content, st.integers(0, 5), st.sampled_from(SIZES))),
    )


@contextmanager
def beside(world: World, effect: Effect, client: OtherClient, emulator: Emulator) -> Iterator[Visit]:
    """Let another client act while the block carries out a step; yield what it saw and did.

    It never comes between the last question and a removal: the service removes without conditions.
    """
    changed = sorted({*effect.change.writes, *effect.change.given_up}) or ["a"]
    visit = Visit(client, changed[client.nth % len(changed)] if client.name is None else client.name)
    acting, below = [False], f"/{world.root.partition('/')[2]}/"

    def match(call: Any) -> bool:
        unseen = client.fault == "nothing wrong" and call.op in _REMOVING
        return not acting[0] and not unseen and f"{call.path.text}/".startswith(below)

    def act() -> None:
        acting[0] = True
        try:
            _act(world, effect, visit)
        finally:
            acting[0] = False

    action = Meanwhile(act, BETWEEN[client.fault])
    rule = emulator.faults.add(action=action, op=client.op, nth=client.nth, match=match)
    try:
        yield visit
    finally:
        emulator.faults.remove(rule)
        assert not rule.hits or action.done.wait(_SECONDS)


def _act(world: World, effect: Effect, visit: Visit) -> None:
    client, name = visit.client, visit.name
    same = effect.change.writes.get(name) or world.state.files.get(name) or EMPTY
    content = same if client.content is None else client.content
    visit.acted, visit.seen = True, world.bytes_of(name)
    with suppress(CosError):
        if client.act == "removes":
            world.second.rm_file(world.path(name))
        else:
            mode = "create" if client.act == "creates" else "overwrite"
            world.second.pipe_file(world.path(name), content.data, mode=mode)
            visit.wrote = content
        visit.happened = True


def legal_states(world: World, step: Step, effect: Effect, visit: Visit, *, failed: bool) -> tuple[list[State], Change]:
    """Return the legal states after a step and another client, file by file, and what the step changes after the act.

    The step happened once, before the other client acted or after it, where its effect may differ; after an error it
    need not have happened.
    """
    before, there = world.state, visit.applied(world.state)
    world.state = there
    try:
        again = expect(world, step)
    finally:
        world.state = before
    change = again.change if again is not None else Change()
    happened = [visit.applied(before.after(effect.change)), there.after(change)]
    return [*happened, *([there] if failed or effect.errors or change.given_up else [])], change


def check_visit(before: State, after: State, effect: Effect, visit: Visit, *, failed: bool) -> None:
    """Assert that what the other client did is still there, unless the step legally came after it."""
    name, wrote, found = visit.name, visit.wrote, after.files.get(visit.name)
    ours = effect.change.writes.get(name)
    stored = before.files.get(name)
    taken = visit.seen != (None if stored is None else stored.data)
    created = ours is not None and effect.creates and not failed
    assert not (created and visit.client.act == "creates"), f"two clients created {name}"
    if taken:
        # the step had taken effect: it happens once, but for what it stores
        legal = {wrote} | ({ours} if ours is not None and not (effect.creates and wrote is not None) else set())
        assert found in legal, f"what the other client wrote at {name} is lost"
    for source, target in effect.change.moves:
        if source == name and wrote is not None and found is None and not taken:
            assert after.files.get(target) == wrote, f"what the other client wrote at {name} is nowhere"


# -- steps ----------------------------------------------------------------------------------------------------------


@contextmanager
def _refusing(world: World, ops: dict[str, int], action: faults.Action) -> Iterator[None]:
    """Refuse requests below the root, from the nth of an operation on; those of the second filesystem pass."""
    below, add = f"/{world.root.partition('/')[2]}/", world.emulator.faults.add
    match = lambda call: call.path.text.startswith(below)  # noqa: E731
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
        taken = visit is not None and visit.seen is None
        expected = content if theirs is None or taken else theirs
        assert found == expected.data, f"{name} is gone and not in the other bucket"
