"""A few examples of each kind; ``python -m tests.model`` runs as many as one likes."""

import multiprocessing
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.catalogue import Content, Step
from tests.model.faults import StepFault
from tests.model.machines import Bench, machine, programs, run_together
from tests.model.processes import process_programs, run_processes
from tests.model.runner import LostError, Tally, run

EVERYTHING = list(HealthCheck)
# some steps lose files on purpose
pytestmark = pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning")


def few(examples, **more):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=EVERYTHING,
        # the long command shrinks what fails: here it would only take time
        phases=[Phase.generate],
        **more,
    )


@pytest.fixture
def bench(request):
    settings, protocol = getattr(request, "param", ((), "cosv4"))
    with Bench(*settings, protocol=protocol) as running:
        yield running


BENCHES = {
    "plain": ((), "cosv4"),
    "small": (("slice_size=65536", "finish_size=any"), "cosv4"),
    "cosv3": (("slice_size=65536",), "cosv3"),
}


@pytest.mark.parametrize("bench", BENCHES.values(), indirect=True, ids=BENCHES)
def test_steps_with_faults(bench):
    run_state_machine_as_test(machine(bench), settings=few(4, stateful_step_count=20))
    assert bench.tally.steps.total() > 30
    assert bench.tally.injected.total() > 3
    assert bench.tally.lost == 0


def test_eight_threads_on_one_filesystem(bench):
    @few(2)
    @given(st.lists(programs(10), min_size=8, max_size=8))
    def together(work):
        run_together(bench, work)

    together()
    assert bench.tally.steps.total() > 20
    assert bench.tally.lost == 0


def test_a_parent_a_forked_child_and_a_spawned_one(bench):
    @few(2)
    @given(process_programs(10))
    def processes(work):
        run_processes(bench, work)

    processes()
    assert bench.tally.steps.total() > 5


def read_on(end, file, expected):
    with file:
        end.send(file.read() == expected)


def test_an_open_file_is_read_on_in_a_forked_child(bench):
    """The threads that fetch ahead do not exist in the child."""
    world, data, context = bench.world(), Content(3, 300_000).data, multiprocessing.get_context("fork")
    world.fs.pipe_file(world.path("a"), data)
    here, there = context.Pipe(duplex=False)
    with world.fs.open(world.path("a"), block_size=50_000) as file:
        assert file.read(60_000) == data[:60_000]
        child = context.Process(target=read_on, args=(there, file, data[60_000:]), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        try:
            assert here.poll(60), "the child hangs"
            assert here.recv() is True
        finally:
            child.kill()
            child.join()
        assert file.read() == data[60_000:]
    here.close()
    there.close()


def write(name, size):
    return Step("write", (("name", name), ("content", Content(1, size))))


def test_a_wrong_byte_is_found(bench):
    """The comparison itself can fail: a content that changed behind the model's back is a loss."""
    world, tally = bench.world(), Tally()
    run(world, write("a", 100), None, tally)
    world.second.pipe_file(world.path("a"), bytes(100))
    with pytest.raises(LostError, match="another content"):
        run(world, write("b", 1), None, tally)


@pytest.mark.parametrize("what", ["missing", "surplus", "stale"])
def test_wrong_listings_are_found(bench, what):
    world, tally = bench.world(), Tally()
    run(world, write("a", 100), None, tally)
    if what == "missing":
        world.second.rm_file(world.path("a"))
    elif what == "surplus":
        world.second.pipe_file(world.path("dir/b"), b"")
    else:
        world.state.files["a"] = Content(1, 101)
    with pytest.raises(LostError):
        run(world, write("b", 1), None, tally)
    assert tally.lost == 1


def test_a_half_replaced_file_is_found(bench, monkeypatch):
    """After a fault the old and the new content are legal, and nothing else."""
    world, tally = bench.world(), Tally()
    run(world, write("a", 100), None, tally)
    pipe_file = type(world.fs).pipe_file

    def breaking(fs, path, value, **options):
        pipe_file(fs, path, value[: len(value) // 2])
        fs.ls("no-such-bucket/at/all", refresh=True)

    monkeypatch.setattr(type(world.fs), "pipe_file", breaking)
    with pytest.raises(LostError, match="neither the old nor the new"):
        run(world, write("a", 1000), StepFault("reply lost", 1, 1, tidy=False), tally)


@pytest.mark.parametrize("bench", BENCHES.values(), indirect=True, ids=BENCHES)
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_list_is_removed_although_one_of_it_was_never_there(bench, nth):
    """A repeated deletion that finds nothing counts as done: then the others are gone all the same."""
    world, tally = bench.world(), Tally()
    run(world, write("a", 100), None, tally)
    step = Step("rm_list", (("names", ["a", "b"]),))
    run(world, step, StepFault("503 with XML", nth, 1, tidy=False), tally)
    assert tally.lost == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_directory_whose_reply_was_lost_is_seen(bench, again):
    """A directory may have been made although the request for it failed: listings from before are invalidated."""
    world, tally = bench.world(), Tally()
    assert world.fs.ls(world.root) == []
    step = Step("makedirs", (("folder", "dir/sub" if again else "dir"), ("exist_ok", True)))
    run(world, step, StepFault("reply lost", 1, 40, tidy=False), tally)
    assert tally.reported == 1
    assert world.state.folders


def test_a_directory_made_for_a_lost_writer_is_seen(bench):
    world, tally = bench.world(), Tally()
    assert world.fs.ls(world.root) == []
    arguments = {"name": "dir/b", "content": Content(2, 600_000), "sized": True, "piece": 200_000, "how": "lose"}
    run(world, Step("fail_to_write", tuple(arguments.items())), None, tally)
    assert world.state.folders == {"dir"}
