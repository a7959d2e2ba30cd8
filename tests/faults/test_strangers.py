"""A few cells in which strangers act between a request and its repetition; and that the judge would see a loss."""

import functools
from contextlib import ExitStack

import pytest

from cosv4fs.emulator import faults
from tests.faults import history
from tests.faults.contests import ACTS, CONTESTS
from tests.faults.history import Event, Unit, explain
from tests.faults.judge import Verdict
from tests.faults.operations import PROTOCOLS
from tests.faults.stage import Stage
from tests.faults.strangers import ROWS, Stranger, cells_of, play, rehearse
from tests.meanwhile import BETWEEN, Meanwhile
from tests.support import BUCKET

LOST, GATEWAY, SILENCE, FREE = "reply lost", "502 without effect", "reply lost, and silence", "nothing wrong"
CORE = {
    "rm_file": [(LOST, "creates", "x", "delete", 1), (LOST, "replaces by the same", "x", "delete", 1)],
    "rm list": [(LOST, "replaces in equal size", "d/1", "delete", 2)],
    "rm tree": [(LOST, "creates", "d/1", "delete", 2), (FREE, "creates", "d/new", "delete", 3)],
    "rmdir": [(LOST, "makes the directory", "d", "delete", 1), (FREE, "puts a file into it", "d", "delete", 1)],
    "mkdir": [
        (GATEWAY, "makes the directory", "new/dir", "create", 1),
        (GATEWAY, "puts a file there", "new/dir", "create", 1),
        (LOST, "removes the directory", "new/dir", "create", 1),
    ],
    "makedirs": [
        (GATEWAY, "puts a file there", "new", "create", 1),
        (LOST, "makes the directory", "new/dir", "create", 1),
    ],
    "cp_file": [(LOST, "replaces", "x", "copy", 1), (LOST, "removes", "y", "copy", 1)],
    "mv": [
        (LOST, "creates", "y", "move", 1),
        (LOST, "replaces", "x", "move", 1),
        (SILENCE, "replaces in equal size", "y", "move", 1),
    ],
    "mv over": [(GATEWAY, "removes", "d/0", "move", 1), (LOST, "replaces by the same", "d/0", "move", 1)],
    "mv list": [(LOST, "creates the same", "d/0", "move", 1)],
    "mv tree": [(LOST, "replaces", "d/1", "move", 2)],
    "mv between buckets": [
        (LOST, "creates", "y", "delete", 1),
        (GATEWAY, "replaces", "y", "delete", 1),
        (FREE, "replaces in equal size", "y", "upload", 1),
    ],
    "pipe small over": [(LOST, "replaces", "x", "upload", 1), (LOST, "removes", "x", "upload", 1)],
    "pipe create": [(GATEWAY, "creates the same", "x", "upload", 1), (LOST, "replaces", "x", "upload", 1)],
    "pipe create sliced": [(GATEWAY, "creates the same", "x", "upload_slice_finish", 1)],
    "pipe sliced": [
        (FREE, "removes", "x", "upload_slice_finish", 1),
        (SILENCE, "creates", "x", "upload_slice_data", 2),
    ],
    "xb small": [(GATEWAY, "creates the same", "x", "upload", 1)],
    "wb sized over": [(LOST, "replaces", "x", "move", 1), (SILENCE, "removes", "x", "move", 1)],
    "transaction": [(LOST, "replaces", "x", "move", 1)],
    "put resumed": [(GATEWAY, "creates", "x", "upload_slice_list", 1)],
    "put changed": [],
    "put changed unchecked": [],
    "put changed late": [],
    "pipe refused": [(FREE, "replaces", "x", "delete", 1), (LOST, "creates", "x", "delete", 1)],
    "pipe refused beside a rival": [(GATEWAY, "finishes its upload", "x", "delete", 1)],
    "abort_upload": [(LOST, "creates", "x", "delete", 1), (GATEWAY, "replaces", "x", "delete", 1)],
    "clean_uploads": [(LOST, "creates the same", "x", "delete", 1)],
}
CORE_OF_PREDECESSOR = {
    "rm_file": [(LOST, "replaces", "x", "delete", 1)],
    "mv": [(LOST, "creates the same", "y", "move", 1)],
    "pipe create": [(GATEWAY, "creates the same", "x", "upload", 1)],
    "put changed": [],
    "put changed unchecked": [],
    "pipe refused": [(LOST, "creates", "x", "delete", 1)],
}
CORE_OF_COFFERS = {
    "pipe create": [(GATEWAY, "creates the same", "x", "PutObject", 1)],
    "pipe small": [(GATEWAY, "creates", "x", "PutObject", 1)],
    "pipe sliced": [(LOST, "creates", "x", "InitiateMultipartUpload", 1)],
}
CORES = {"cosv4": CORE, "cosv3": CORE_OF_PREDECESSOR, "cdcs": CORE_OF_COFFERS}
"""Of each protocol, the operations, and what strangers do beside them: fault, act, spot, request."""


@pytest.fixture(scope="module")
def stages():
    """A function that returns the stage of a protocol."""
    with ExitStack() as running:
        yield functools.cache(lambda protocol: running.enter_context(Stage(protocol)))


@pytest.mark.parametrize(("protocol", "name"), [(protocol, name) for protocol in CORES for name in CORES[protocol]])
def test_nothing_is_lost(stages, protocol, name):
    stage, contest = stages(protocol), CONTESTS[protocol][name]
    known = rehearse(stage, contest)
    cells = [known.cell]
    for given in CORES[protocol][name]:
        stranger = Stranger(*given)
        assert known.requests.count(stranger.op) >= stranger.nth, f"{stranger} strikes nothing"
        cells.append(play(stage, contest, known, stranger))
    lost = [cell for cell in cells if cell.verdict in (Verdict.LOST, Verdict.NOT_HIT)]
    assert not lost, "\n".join(f"{cell.fault} / {cell.moment}: {cell.verdict.name}, {cell.detail}" for cell in lost)


def test_everything_that_changes_something_is_contested():
    """A column whose operation leaves another state than it found is also one of strangers."""
    for protocol, operations in PROTOCOLS.items():
        with Stage(protocol) as stage:
            for name, operation in operations.items():
                if name in CONTESTS[protocol] or operation.extra is not None:
                    continue
                assert not changes(stage, operation), f"{protocol}: nobody contests {name}"


def changes(stage, operation):
    place = stage.place()
    operation.setup(stage, place)
    fs, before = stage.client(**operation.options), stage.look(place)[0]
    try:
        operation.run(fs, place)
        after = stage.look(place)[0]
    finally:
        fs.client.close()
    return remote(before) != remote(after)


def remote(state):
    return {name: data for name, data in state.items() if not name.startswith("local/")}


def test_rows_and_acts_are_used():
    acts = {act for contest in CONTESTS["cosv4"].values() for act, _ in contest.acts}
    assert acts == set(ACTS)
    assert len(ROWS) == 1 + (len(BETWEEN) + 1) * len(ACTS)


def test_cells_strike_the_first_and_the_last_request(stages):
    contest = CONTESTS["cosv4"]["rm tree"]
    known = rehearse(stages("cosv4"), contest)
    found = [stranger for stranger in cells_of(contest, known, LOST, "creates") if stranger.op == "delete"]
    last = known.requests.count("delete")
    assert {stranger.spot for stranger in found} == set(contest.spots)
    assert {stranger.nth for stranger in found} == {1, 2, 3, last}


class TestMeanwhile:
    @pytest.mark.parametrize("fault", BETWEEN)
    def test_the_stranger_acts_after_the_service_and_before_the_client(self, service, fault):
        seen = []

        def act():
            seen.append(service.names())

        rule = service.fault(Meanwhile(act, BETWEEN[fault]), op="upload")
        service.put("/x", b"content")
        assert seen == [["x"] if fault == LOST else []]
        assert rule.hits == 1
        assert service.read("/x") == b"content"

    def test_it_acts_once(self, service):
        acts = []
        action = Meanwhile(lambda: acts.append(1), faults.DropReply())
        service.fault(action, op="stat", times=3)
        service.put("/x", b"content")
        assert service.client.stat(BUCKET, "/x").size == 7
        assert acts == [1]
        assert action.done.is_set()


OURS, THEIRS = b"ours", b"theirs"
REMOVE = (Unit(history.removes("x", tolerant=True)),)
CREATE = (Unit(history.stores("x", OURS, create=True), repeats=True),)
REPLACE = (Unit(history.stores("x", OURS), repeats=True),)
MOVE = (Unit(history.moves("y", "x")),)


def stranger(seen, effect, spot="x", succeeded=True):
    return Event(spot, seen, effect, succeeded)


class TestHistory:
    """What is legal is decided by hand here, and has to be found."""

    def test_what_is_removed_is_not_removed_again(self):
        created = stranger({}, history.stores("x", THEIRS, create=True))
        assert explain({"x": OURS}, REMOVE, [created], {"x": THEIRS}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [created], {}, failed=False) is None
        assert explain({"x": OURS}, REMOVE, [created], {}, failed=True) is None

    def test_what_is_not_yet_removed_may_go_with_what_a_stranger_wrote(self):
        replaced = stranger({"x": OURS}, history.stores("x", THEIRS))
        assert explain({"x": OURS}, REMOVE, [replaced], {}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [replaced], {"x": THEIRS}, failed=True) == 0
        # the stranger may just as well have written after the removal
        assert explain({"x": OURS}, REMOVE, [replaced], {"x": THEIRS}, failed=False) == 1

    def test_two_clients_never_both_create(self):
        created = stranger({}, history.stores("x", OURS, create=True))
        assert explain({}, CREATE, [created], {"x": OURS}, failed=False) is None
        assert explain({}, CREATE, [created], {"x": OURS}, failed=True) == 0

    def test_a_refused_stranger_has_changed_nothing(self):
        refused = stranger({"x": OURS}, history.stores("x", THEIRS, create=True), succeeded=False)
        assert explain({}, CREATE, [refused], {"x": OURS}, failed=False) == 1

    def test_the_last_overwrite_wins_and_may_come_twice(self):
        replaced = stranger({"x": OURS}, history.stores("x", THEIRS))
        for final in (OURS, THEIRS):
            assert explain({}, REPLACE, [replaced], {"x": final}, failed=False) == 1
        assert explain({}, REPLACE, [replaced], {"x": b"our"}, failed=False) is None
        assert explain({}, REPLACE, [replaced], {}, failed=True) is None

    def test_what_was_created_and_removed_may_be_created_again_but_replaces_nothing(self):
        removed = stranger({"x": OURS}, history.removes("x"))
        replaced = stranger({"x": OURS}, history.stores("x", THEIRS))
        assert explain({}, CREATE, [removed], {"x": OURS}, failed=False) == 1
        assert explain({}, CREATE, [replaced], {"x": OURS}, failed=False) is None

    def test_a_second_object_is_not_moved_over_the_first(self):
        created = stranger({"x": OURS}, history.stores("y", THEIRS, create=True), "y")
        assert explain({"y": OURS}, MOVE, [created], {"x": OURS, "y": THEIRS}, failed=True) == 1
        assert explain({"y": OURS}, MOVE, [created], {"x": THEIRS}, failed=False) is None

    def test_two_strangers(self):
        first = stranger({"x": OURS}, history.removes("x"))
        then = stranger({}, history.stores("x", THEIRS, create=True))
        assert explain({"x": OURS}, REMOVE, [first, then], {}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [stranger({}, then.effect)], {}, failed=False) is None
        assert explain({"x": OURS}, REMOVE, [first, then], {"x": THEIRS}, failed=False) == 1

    def test_two_steps_take_only_what_was_carried(self):
        move = Unit(history.stores("x", OURS), then=history.removes("y", only=OURS), source="y")
        replaced = stranger({"x": OURS, "y": OURS}, history.stores("y", THEIRS), "y")
        assert explain({"y": OURS}, [move], [replaced], {"x": OURS}, failed=False) is None

    def test_directories(self):
        make, drop = Unit(history.makes("d/e")), Unit(history.drops("d"))
        assert explain({}, [make], [], {"d": None, "d/e": None}, failed=False) == 1
        assert explain({"d": OURS}, [make], [], {"d": OURS}, failed=False) is None
        assert explain({"d": None, "d/x": OURS}, [drop], [], {"d/x": OURS}, failed=False) is None
        assert explain({"d": None, "d/x": OURS}, [drop], [], {"d": None, "d/x": OURS}, failed=True) == 0


def test_a_loss_is_seen(stages):
    """A client that removes twice loses what a stranger wrote: that the table would say so is tried here."""
    stage, contest = stages("cosv4"), CONTESTS["cosv4"]["rm_file"]
    known = rehearse(stage, contest)
    twice = type(contest)(
        type(contest.operation)("rm twice", removes_twice, setup=contest.operation.setup), contest.units, contest.spots
    )
    cell = play(stage, twice, known, Stranger(FREE, "creates", "x", "stat", 2))
    assert cell.verdict is Verdict.LOST
    assert "a stranger saw {} and changed x" in cell.detail


def removes_twice(fs, place):
    fs.rm_file(place / "x")
    fs.invalidate_cache()
    fs.rm_file(place / "x")
