"""What strangers do: beside a step of ours, between a request and its repetition, or as a step of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from cosv4fs import paths
from cosv4fs.emulator import Emulator, faults
from cosv4fs.errors import CosError
from cosv4fs.protocols import V3
from tests.model.state import Change, Content, State
from tests.model.steps import CONTENTS, NAMES, Plan, Step, operation, plan
from tests.model.world import World
from tests.model.writing import writes
from tests.strangers import BETWEEN, Meanwhile

__all__ = ["UNVISITED", "Stranger", "Visit", "beside", "legal_states", "strangers"]

UNVISITED = {"others_write", "transaction", "rivals", "put_again"}
"""Steps that look at the service themselves, or order faults: strangers would only meet their assertions."""

_REMOVING = ("delete",)
_STEP = 512 * 1024
_SECONDS = 30.0


@dataclass(frozen=True)
class Stranger:
    """Another client that acts beside a step.

    Parameters
    ----------
    fault : str
        What happens to the request (see `tests.strangers.BETWEEN`).
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


@dataclass
class Visit:
    """What a stranger saw and did.

    Parameters
    ----------
    stranger : Stranger
        Who.
    name : str
        The file.
    seen, wrote : bytes or None
        What was at the name just before, and what the stranger made of it.
    acted, happened : bool
        Whether it came at all, and whether its call returned.
    """

    stranger: Stranger
    name: str
    seen: bytes | None = None
    wrote: bytes | None = None
    acted: bool = False
    happened: bool = False

    def applied(self, state: State) -> State:
        """Return the state that the stranger makes of another one."""
        return state.after(Change({self.name: self.wrote}))


def strangers() -> st.SearchStrategy[Stranger]:
    """Return a strategy for strangers, most of whom act where there is something to spoil."""
    return st.builds(
        Stranger,
        st.sampled_from([*BETWEEN]),
        st.sampled_from([1, 1, 2, 3, 4, 5, 6]),
        st.sampled_from(["creates", "replaces", "removes"]),
        st.one_of(st.none(), st.none(), NAMES.filter(lambda name: name not in ("dir/sub", "a/under", "b"))),
        st.one_of(st.none(), CONTENTS),
    )


@contextmanager
def beside(world: World, planned: Plan, stranger: Stranger, emulator: Emulator) -> Iterator[Visit]:
    """Let a stranger act while the block does what is planned; yield what it saw and did.

    It never comes between the last question and a removal: the service removes without conditions.
    """
    changed = sorted({*planned.change.writes, *planned.change.given_up}) or ["a"]
    visit = Visit(stranger, changed[stranger.nth % len(changed)] if stranger.name is None else stranger.name)
    acting, below = [False], f"/{world.root.partition('/')[2]}/"

    def match(call: Any) -> bool:
        unseen = stranger.fault == "nothing wrong" and call.op in _REMOVING
        return not acting[0] and not unseen and f"{call.path.text}/".startswith(below)

    def act() -> None:
        acting[0] = True
        try:
            _act(world, planned, visit)
        finally:
            acting[0] = False

    action = Meanwhile(act, BETWEEN[stranger.fault])
    rule = emulator.faults.add(action=action, op=stranger.op, nth=stranger.nth, match=match)
    try:
        yield visit
    finally:
        emulator.faults.remove(rule)
        assert not rule.hits or action.done.wait(_SECONDS)


def _act(world: World, planned: Plan, visit: Visit) -> None:
    stranger, name = visit.stranger, visit.name
    same = planned.change.writes.get(name) or world.state.files.get(name) or b""
    data = same if stranger.content is None else stranger.content.data
    visit.acted, visit.seen = True, world.bytes_of(name)
    with suppress(CosError):
        if stranger.act == "removes":
            world.second.rm_file(world.path(name))
        else:
            mode = "create" if stranger.act == "creates" else "overwrite"
            world.second.pipe_file(world.path(name), data, mode=mode)
            visit.wrote = data
        visit.happened = True


def legal_states(world: World, step: Step, planned: Plan, visit: Visit, *, failed: bool) -> tuple[list[State], Change]:
    """Return the states that may come of a step and a stranger, file by file, and what the step means after the act.

    The step happened once, before the stranger or after it, where it means something else; after an error it need not
    have happened.
    """
    before, there = world.state, visit.applied(world.state)
    world.state = there
    try:
        again = plan(world, step)
    finally:
        world.state = before
    change = again.change if again is not None else Change()
    happened = [visit.applied(before.after(planned.change)), there.after(change)]
    return [*happened, *([there] if failed or planned.errors or change.given_up else [])], change


def check_visit(before: State, after: State, planned: Plan, visit: Visit, *, failed: bool) -> None:
    """Assert that what the stranger did is still there, unless the step legally came after it."""
    name, wrote, found = visit.name, visit.wrote, after.files.get(visit.name)
    ours = planned.change.writes.get(name)
    taken = visit.seen != before.files.get(name)
    created = ours is not None and planned.creates and not failed
    assert not (created and visit.stranger.act == "creates"), f"two clients created {name}"
    if taken:
        # the step had taken effect: it happens once, but for what it stores
        legal = {wrote} | ({ours} if ours is not None and not (planned.creates and wrote is not None) else set())
        assert found in legal, f"what the stranger wrote at {name} is lost"
    for source, target in planned.change.moves:
        if source == name and wrote is not None and found is None and not taken:
            assert after.files.get(target) == wrote, f"what the stranger wrote at {name} is nowhere"


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


@operation(
    name=st.sampled_from(["a", "dir/a", "dir/sub/a", "other/a"]),
    first=CONTENTS,
    seed=st.integers(0, 5),
    how=st.sampled_from(["the same", "in place", "replaced"]),
    late=st.booleans(),
)
def put_again(world: World, name: str, first: Content, seed: int, how: str, late: bool) -> Plan | None:
    """Continue an interrupted upload of a local file, of which only size and modification time are the same."""
    if world.emulator is None or not first.size:
        return None
    then = first if how == "the same" else Content(seed + 10, first.size)
    local = world.local()

    def act() -> None:
        local.write_bytes(first.data)
        times = local.stat()
        ops = {"upload_slice_finish": 1} if late else {"upload_slice_data": 2, "upload_slice": 3}
        with _refusing(world, ops, faults.DropBefore()), suppress(CosError):
            world.fs.put_file(local, world.path(name))
        other = local if how == "in place" else local.with_suffix(".new")
        other.write_bytes(then.data)
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(local)
        world.fs.put_file(local, world.path(name))

    planned = writes(world, {name: then.data}, act)
    return Plan(act, Change(planned.change.writes, given_up={name: first.data}), planned.errors)


@operation(name=st.sampled_from(["dir/a", "other/a"]), content=CONTENTS)
def others_leave_upload(world: World, name: str, content: Content) -> Plan | None:
    """Let an old client of a stranger's begin an upload in place and never end it."""
    if content.size < 2 or name in world.state.files or world.state.blocks_file(name):
        return None
    client, data = world.second.client, content.data
    bucket, key = paths.file_key(world.path(name))

    def act() -> None:
        with suppress(CosError):
            client.upload_slice_init(bucket, key, filesize=len(data), slice_size=_STEP)
        world.fs.invalidate_cache(world.root)

    return Plan(act, Change(given_up={name: b""}))


@operation(name=st.sampled_from(["a", "dir/a", "other/a"]), content=CONTENTS, by=st.sampled_from(["put", "pipe"]))
def rivals(world: World, name: str, content: Content, by: str) -> Plan | None:
    """Give up an upload that a stranger, who sends the same content to the same path, can complete."""
    state = world.state
    blocked = name in state.files or state.blocks_file(name) or name in world.hidden()
    if world.emulator is None or world.fs.spec is V3 or content.size <= 64 * 1024 or blocked:
        return None
    client, data = world.second.client, content.data
    bucket, key = paths.file_key(world.path(name))
    sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()

    def act() -> None:
        session = client.upload_slice_init(bucket, key, filesize=len(data), slice_size=_STEP, sha=sha)
        for offset in range(0, len(data), session.slice_size):
            piece = memoryview(data)[offset : offset + session.slice_size]
            client.upload_slice_data(bucket, key, session.session, offset, piece, sha=sha)
        with _refusing(world, {"upload_slice_finish": 1}, faults.Refuse(-182)):
            try:
                _send(world, name, content, by)
            except CosError:
                pass
            else:
                raise AssertionError("the upload was refused, and succeeds")
        client.upload_slice_finish(bucket, key, session.session, len(data), sha=sha)
        world.fs.invalidate_cache(world.root)

    return Plan(act, Change({name: data}))


def _send(world: World, name: str, content: Content, by: str) -> None:
    if by == "put":
        world.fs.put_file(world.local_file(content), world.path(name))
    else:
        world.fs.pipe_file(world.path(name), content.data)


@operation(name=NAMES)
def mv_between_buckets(world: World, name: str) -> Plan | None:
    """Move a file into the other bucket, where nothing else happens."""
    if name not in world.state.files:
        return None
    target = world.beyond()
    act = lambda: world.fs.mv(world.path(name), target)  # noqa: E731
    return Plan(act, Change({name: None}), beyond=(name, target))


def check_beyond(world: World, planned: Plan, data: bytes, visit: Visit | None, *, failed: bool) -> None:
    """Assert that what was moved into the other bucket is there, or still here."""
    assert planned.beyond is not None
    name, target = planned.beyond
    try:
        arrived = world.second.cat_file(target)
    except FileNotFoundError:
        arrived = None
    happened = visit is not None and visit.happened and visit.name == name
    theirs = visit.wrote if happened and visit is not None else None
    assert arrived in (data, theirs, *((None,) if failed else ())), f"neither the old nor the new content at {target}"
    if name not in world.state.files and not (happened and theirs is None):
        taken = visit is not None and visit.seen is None
        expected = data if theirs is None or taken else theirs
        assert arrived == expected, f"{name} is gone and not in the other bucket"
