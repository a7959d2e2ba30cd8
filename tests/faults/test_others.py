"""A few cells in which other clients act between a request and its retry; and the judge notices a loss."""

import functools
from contextlib import ExitStack

import pytest

from cosv4fs.emulator import faults
from tests.catalogue import CATALOGUE
from tests.catalogue.cases import CASES
from tests.faults import history
from tests.faults.bench import Bench
from tests.faults.history import Event, Unit, explain
from tests.faults.judge import Verdict
from tests.faults.others import ROWS, OtherClient, cells_of, play, run_baseline
from tests.faults.races import ACTS, CHECKED, RACES
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
CORE_OF_V3 = {
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
CORES = {"cosv4": CORE, "cosv3": CORE_OF_V3, "cdcs": CORE_OF_COFFERS}
"""Of each protocol, the cases, and what other clients do meanwhile: fault, act, spot, request."""


@pytest.fixture(scope="module")
def benches():
    """A function that returns the bench of a protocol."""
    with ExitStack() as running:
        yield functools.cache(lambda protocol: running.enter_context(Bench(protocol)))


@pytest.mark.parametrize(("protocol", "name"), [(protocol, name) for protocol in CORES for name in CORES[protocol]])
def test_nothing_is_lost(benches, protocol, name):
    bench, race = benches(protocol), RACES[protocol][name]
    known = run_baseline(bench, race)
    cells = [known.cell]
    for given in CORES[protocol][name]:
        other = OtherClient(*given)
        assert known.requests.count(other.op) >= other.nth, f"{other} strikes nothing"
        cells.append(play(bench, race, known, other))
    lost = [cell for cell in cells if cell.verdict in (Verdict.LOST, Verdict.NOT_HIT)]
    assert not lost, "\n".join(f"{cell.fault} / {cell.moment}: {cell.verdict.name}, {cell.detail}" for cell in lost)


@pytest.mark.parametrize("protocol", CASES)
def test_every_case_that_changes_something_has_a_race(protocol):
    for name, case in CASES[protocol].items():
        change = case.effect.change
        if (change.writes or change.makes or change.drops) and name != CHECKED:
            assert name in RACES[protocol], f"no other client acts during {name}"


def test_rows_and_acts_are_used():
    acts = {act for race in RACES["cosv4"].values() for act, _ in race.acts}
    assert acts == set(ACTS)
    assert len(ROWS) == 1 + (len(BETWEEN) + 1) * len(ACTS)


def test_cells_strike_the_first_and_the_last_request(benches):
    race = RACES["cosv4"]["rm tree"]
    known = run_baseline(benches("cosv4"), race)
    found = [other for other in cells_of(race, known, LOST, "creates") if other.op == "delete"]
    last = known.requests.count("delete")
    assert {other.spot for other in found} == set(race.spots)
    assert {other.nth for other in found} == {1, 2, 3, last}


class TestMeanwhile:
    @pytest.mark.parametrize("fault", BETWEEN)
    def test_the_other_client_acts_after_the_service_and_before_the_client(self, service, fault):
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


def act(seen, transition, spot="x", succeeded=True):
    return Event(spot, seen, transition, succeeded)


class TestHistory:
    """What is legal is decided by hand here, and has to be found."""

    def test_what_is_removed_is_not_removed_again(self):
        created = act({}, history.stores("x", THEIRS, create=True))
        assert explain({"x": OURS}, REMOVE, [created], {"x": THEIRS}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [created], {}, failed=False) is None
        assert explain({"x": OURS}, REMOVE, [created], {}, failed=True) is None

    def test_a_removal_may_come_after_what_another_client_wrote(self):
        replaced = act({"x": OURS}, history.stores("x", THEIRS))
        assert explain({"x": OURS}, REMOVE, [replaced], {}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [replaced], {"x": THEIRS}, failed=True) == 0
        # the other client may just as well have written after the removal
        assert explain({"x": OURS}, REMOVE, [replaced], {"x": THEIRS}, failed=False) == 1

    def test_two_clients_never_both_create(self):
        created = act({}, history.stores("x", OURS, create=True))
        assert explain({}, CREATE, [created], {"x": OURS}, failed=False) is None
        assert explain({}, CREATE, [created], {"x": OURS}, failed=True) == 0

    def test_a_refused_act_has_changed_nothing(self):
        refused = act({"x": OURS}, history.stores("x", THEIRS, create=True), succeeded=False)
        assert explain({}, CREATE, [refused], {"x": OURS}, failed=False) == 1

    def test_the_last_overwrite_wins_and_may_come_twice(self):
        replaced = act({"x": OURS}, history.stores("x", THEIRS))
        for final in (OURS, THEIRS):
            assert explain({}, REPLACE, [replaced], {"x": final}, failed=False) == 1
        assert explain({}, REPLACE, [replaced], {"x": b"our"}, failed=False) is None
        assert explain({}, REPLACE, [replaced], {}, failed=True) is None

    def test_what_was_created_and_removed_may_be_created_again_but_replaces_nothing(self):
        removed = act({"x": OURS}, history.removes("x"))
        replaced = act({"x": OURS}, history.stores("x", THEIRS))
        assert explain({}, CREATE, [removed], {"x": OURS}, failed=False) == 1
        assert explain({}, CREATE, [replaced], {"x": OURS}, failed=False) is None

    def test_a_second_object_is_not_moved_over_the_first(self):
        created = act({"x": OURS}, history.stores("y", THEIRS, create=True), "y")
        assert explain({"y": OURS}, MOVE, [created], {"x": OURS, "y": THEIRS}, failed=True) == 1
        assert explain({"y": OURS}, MOVE, [created], {"x": THEIRS}, failed=False) is None

    def test_two_acts(self):
        first = act({"x": OURS}, history.removes("x"))
        then = act({}, history.stores("x", THEIRS, create=True))
        assert explain({"x": OURS}, REMOVE, [first, then], {}, failed=False) == 1
        assert explain({"x": OURS}, REMOVE, [act({}, then.transition)], {}, failed=False) is None
        assert explain({"x": OURS}, REMOVE, [first, then], {"x": THEIRS}, failed=False) == 1

    def test_two_steps_take_only_what_was_carried(self):
        move = Unit(history.stores("x", OURS), then=history.removes("y", only=OURS), source="y")
        replaced = act({"x": OURS, "y": OURS}, history.stores("y", THEIRS), "y")
        assert explain({"y": OURS}, [move], [replaced], {"x": OURS}, failed=False) is None

    def test_directories(self):
        make, drop = Unit(history.makes("d/e")), Unit(history.drops("d"))
        assert explain({}, [make], [], {"d": None, "d/e": None}, failed=False) == 1
        assert explain({"d": OURS}, [make], [], {"d": OURS}, failed=False) is None
        assert explain({"d": None, "d/x": OURS}, [drop], [], {"d/x": OURS}, failed=False) is None
        assert explain({"d": None, "d/x": OURS}, [drop], [], {"d": None, "d/x": OURS}, failed=True) == 0


def test_a_loss_is_noticed(benches, monkeypatch):
    """A client that removes twice loses what another client wrote."""
    bench, race = benches("cosv4"), RACES["cosv4"]["rm_file"]
    known = run_baseline(bench, race)

    def remove_twice(at, name):
        at.fs.rm_file(at / name)
        at.fs.invalidate_cache()
        at.fs.rm_file(at / name)

    monkeypatch.setattr(CATALOGUE["rm_file"], "call", remove_twice)
    cell = play(bench, race, known, OtherClient(FREE, "creates", "x", "stat", 2))
    assert cell.verdict is Verdict.LOST
    assert "another client saw {} and changed x" in cell.detail
