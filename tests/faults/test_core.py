"""The core of the table, every fault in a few operations; and that the judge would see a loss."""

import dataclasses
import functools
import random
from contextlib import ExitStack

import pytest

from cosv4fs.emulator import faults
from cosv4fs.errors import make_error
from tests.catalogue.cases import CASES
from tests.faults.bench import FAULTS, Bench
from tests.faults.cells import Cell, markdown, moments, play, run_baseline, summary
from tests.faults.judge import Moment, Outcome, Verdict, judge

FIRST, SECOND, ALWAYS = Moment(None, 1, False), Moment(None, 2, False), Moment(None, 1, True)
CORE = {
    "pipe small over": (FIRST, ALWAYS),
    "pipe sliced over": (SECOND, Moment("move", 1, False)),
    "cat known": (FIRST, ALWAYS),
    "cat large known": (SECOND,),
    "exists": (FIRST, ALWAYS),
    "mv": (SECOND,),
    "rm_file": (FIRST,),
    "ab small over": (FIRST,),
    "write beside a transaction": (FIRST, SECOND),
    "wb without threads": (SECOND,),
    "cp list": (SECOND,),
    "rm bucket": (SECOND,),
}
CORE_OF_V3 = {
    # the opening, a slice, the last slice, the move
    "pipe sliced over": (FIRST, SECOND, Moment("upload_slice", 4, False), Moment("move", 1, False)),
    "put sliced": (SECOND, ALWAYS),
    "info": (FIRST, SECOND),
    "cp_file": (FIRST, SECOND),
    "abort_upload": (SECOND,),
    "transaction with one that fails": (SECOND,),
    "pipe at exit": (FIRST,),
}
CORE_OF_COFFERS = {
    "pipe sliced": (FIRST, SECOND, Moment("CompleteMultipartUpload", 1, False), Moment("UploadPart", 1, True)),
    "put sliced": (SECOND, ALWAYS, Moment("CompleteMultipartUpload", 1, True)),
    "wb spooled": (FIRST, SECOND, Moment("UploadPart", 2, False)),
    "pipe taken": (FIRST, SECOND),
    "info": (FIRST, ALWAYS),
    "cat part": (FIRST, SECOND),
    "uploads": (FIRST, SECOND),
    "abort_upload": (SECOND,),
    "set_lifecycle": (FIRST,),
    "transaction without one": (SECOND,),
    "put after the main thread": (SECOND,),
    "rb across a fork": (SECOND,),
    "rm missing": (FIRST,),
    "ls root": (FIRST,),
}
CORES = {
    # a fault of connections strikes at any request only; one of ranges, a large read
    "cosv4": (CORE, [("pipe small over", FIRST), ("cat large known", SECOND)]),
    # both are seen by cp_file
    "cosv3": (CORE_OF_V3, [("cp_file", FIRST), ("cp_file", SECOND)]),
    # a reply in JSON, and a range
    "cdcs": (CORE_OF_COFFERS, [("uploads", FIRST), ("cat part", SECOND)]),
}
"""Of each protocol: the cells to choose from, and those of which one is struck by any fault."""


@pytest.fixture(scope="module")
def prepared():
    """A function that returns the bench of a protocol and what its operations do without faults."""
    with ExitStack() as running:

        @functools.cache
        def of(protocol):
            bench = running.enter_context(Bench(protocol))
            return bench, {name: run_baseline(bench, CASES[protocol][name]) for name in CORES[protocol][0]}

        yield of


@pytest.fixture
def bench(prepared):
    return prepared("cosv4")[0]


@pytest.fixture
def baselines(prepared):
    return prepared("cosv4")[1]


@pytest.mark.parametrize(("protocol", "fault"), [(protocol, fault) for protocol in CORES for fault in FAULTS[protocol]])
def test_nothing_is_lost(prepared, protocol, fault):
    """Each fault strikes one cell that is always the same, and one that is chosen by its name."""
    (core, certain), (bench, baselines) = CORES[protocol], prepared(protocol)
    pairs = [(name, moment) for name, chosen in core.items() for moment in chosen]
    chosen = random.Random(fault).choice([pair for pair in pairs if pair not in certain])
    verdicts = []
    for name, moment in (*certain, chosen):
        if (name, moment) == chosen or set(verdicts) <= {Verdict.NOT_HIT}:
            cell = play(bench, CASES[protocol][name], baselines[name], fault, moment)
            assert cell.verdict is not Verdict.LOST, cell
            verdicts.append(cell.verdict)
    assert set(verdicts) != {Verdict.NOT_HIT}


@pytest.mark.parametrize("protocol", CORES)
def test_all_of_a_core_strikes(prepared, protocol):
    """No moment names a request that is not made."""
    for name, chosen in CORES[protocol][0].items():
        requests = prepared(protocol)[1][name].requests
        assert all(requests.count(moment.op) >= moment.nth for moment in chosen if moment.op), name
        assert all(len(requests) >= moment.nth for moment in chosen), name


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"hidden": ["x"], "cleaned": ["x"]}, "clean_uploads leaves"),
        ({"hidden": ["x"]}, "stays"),
        ({"hidden": ["x"], "stuck": True}, "could not go on"),
        ({"last": {}}, "after the repetition"),
    ],
    ids=str,
)
def test_an_upload_that_keeps_a_name_is_lost(prepared, changes, text):
    bench, baselines = prepared("cdcs")
    # the file is put in parts: only that may be left for the same call, and only where it can go on
    name = "put sliced" if "stuck" in changes else "pipe sliced"
    operation, known, place = CASES["cdcs"][name], baselines[name], bench.place()
    error = make_error(5, "the service is failing", place / "x")
    again = Outcome(True, place, None, error, known.before, [], [], (None, None), known.after)
    moment = Moment("UploadPart", 1, forever=True)
    assert judge(operation, known, again, faults.HttpError(500), moment)[0] is Verdict.REPORTED
    seen = dataclasses.replace(again, **changes)
    verdict, detail = judge(operation, known, seen, faults.HttpError(500), moment)
    assert verdict is Verdict.LOST
    assert text in detail


def test_a_size_that_only_head_tells_is_undetectable(prepared):
    bench, baselines = prepared("cdcs")
    operation, known, action = CASES["cdcs"]["info"], baselines["info"], faults.WrongLength(7)
    seen = Outcome(True, bench.place(), ("x", "file", 1007), None, known.before)
    assert judge(operation, known, seen, action, FIRST)[0] is Verdict.BLIND
    assert judge(operation, known, dataclasses.replace(seen, result=("x", "file", 1)), action, FIRST)[0] is Verdict.LOST


def test_a_fault_that_strikes_nothing_is_not_counted(bench, baselines):
    cell = play(bench, CASES["cosv4"]["exists"], baselines["exists"], "500 with JSON", Moment("move", 1, False))
    assert cell.verdict is Verdict.NOT_HIT
    assert summary([cell]).startswith("injected 1, fired 0,")


def test_moments_reach_every_kind_of_request():
    found = set(moments(("init", "data", "data", "data", "finish", "move")))
    assert {Moment("finish", 1, False), Moment("move", 1, False), Moment("finish", 1, True)} < found
    assert {moment.nth for moment in found if moment.op is None} == {1, 2, 3}


class TestJudge:
    @pytest.fixture
    def verdict(self, bench, baselines):
        operation, known = CASES["cosv4"]["pipe small over"], baselines["pipe small over"]
        place = bench.place()
        error = make_error(5, "the service is failing", place / "x")
        seen = Outcome(True, place, None, error, known.before, [], [], (None, None), known.after)

        def of(**changes):
            return judge(operation, known, dataclasses.replace(seen, **changes), faults.HttpError(500), FIRST)[0]

        return of

    def test_an_error_is_reported(self, verdict, baselines):
        assert verdict() is Verdict.REPORTED
        assert verdict(state=baselines["pipe small over"].after) is Verdict.DONE

    def test_a_success_has_to_be_one(self, verdict, baselines):
        assert verdict(error=None, state=baselines["pipe small over"].after) is Verdict.SURVIVED
        assert verdict(error=None) is Verdict.LOST
        assert verdict(error=None, state=baselines["pipe small over"].after, result=1) is Verdict.LOST

    @pytest.mark.parametrize(
        "changes",
        [
            {"state": {"x": b"a part"}},
            {"state": {}},
            {"error": ValueError("what?")},
            {"error": make_error(5, "no path", None)},
            {"error": make_error(5, "another path", "other/x")},
            {"hidden": [".x.cosv4-0123456789abcdef"]},
            {"hidden": ["x"], "cleaned": ["x"]},
            {"again": (None, make_error(5, "still failing", "box"))},
            {"last": {"x": b"wrong"}},
        ],
        ids=str,
    )
    def test_everything_else_is_lost(self, verdict, changes):
        assert verdict(**changes) is Verdict.LOST


def test_the_table_shows_losses():
    cells = [
        Cell("cat", "reply lost", "request 1", Verdict.SURVIVED, "", 0.1),
        Cell("cat", "reply lost", "request 2", Verdict.LOST, "wrong bytes", 0.1),
        Cell("ls", "reply lost", "request 1", Verdict.NOT_HIT, "", 0.1),
    ]
    text = markdown(cells)
    assert "| reply lost | 1L 1s |  |" in text
    assert "* cat / reply lost / request 2: wrong bytes" in text
    assert "injected 3, fired 2, survived 1, reported 0 (done all the same 0), undetectable 0, lost 1" in text
