"""Other clients that act during a step, at chosen moments; and the comparison notices what is lost."""

import pytest

from cosv4fs import paths
from tests.catalogue import Content, Step
from tests.model.machines import Bench
from tests.model.others import OtherClient
from tests.model.runner import LostError, Tally, run, settle

SMALL, OTHER, LARGE = Content(1, 1000), Content(2, 1000), Content(3, 1126400)
pytestmark = pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning")


@pytest.fixture(scope="module", params=["cosv4", "cosv3"])
def bench(request):
    with Bench(protocol=request.param) as running:
        yield running


@pytest.fixture
def world(bench):
    return bench.world()


@pytest.fixture
def play(world):
    """A function that carries out steps, another client acts during the last one, and compares everything."""

    def do(*steps, client=None):
        tally = Tally()
        for number, step in enumerate(steps, 1):
            run(world, step, client if number == len(steps) else None, tally)
        settle(world)
        assert tally.injected.total() == (client is not None)

    return do


def step(operation, **arguments):
    return Step(operation, tuple(arguments.items()))


def pipe(name="a", content=SMALL, create=False):
    return step("write", name=name, content=content, way="pipe_file create" if create else "pipe_file")


REMOVE = step("rm_file", name="a")
BESIDE = {
    "rm": ([pipe(), REMOVE], OtherClient("reply lost", 1, "creates", "a", OTHER, "delete")),
    "rm of the same": ([pipe(), REMOVE], OtherClient("reply lost", 1, "replaces", "a", None, "delete")),
    "rm -r": (
        [pipe("dir/a"), step("rm_recursive", name="dir")],
        OtherClient("reply lost", 1, "creates", "dir/a", OTHER, "delete"),
    ),
    "mv": (
        [pipe(), step("mv_file", source="a", target="other/a")],
        OtherClient("reply lost", 1, "creates", "a", OTHER, "move"),
    ),
    "create": ([pipe(create=True)], OtherClient("502 without effect", 1, "creates", "a", None, "upload")),
    "overwrite": ([pipe(), pipe(content=OTHER)], OtherClient("reply lost", 1, "replaces", "a", LARGE, "upload")),
    "mv between buckets": (
        [pipe(), step("mv_between_buckets", name="a")],
        OtherClient("502 without effect", 1, "replaces", "a", OTHER, "delete"),
    ),
}


@pytest.mark.parametrize(("steps", "client"), BESIDE.values(), ids=BESIDE)
def test_nothing_is_lost_when_another_client_acts_during_a_step(play, steps, client):
    play(*steps, client=client)


@pytest.mark.parametrize("late", [False, True], ids=["between slices", "before the end"])
@pytest.mark.parametrize("how", ["the same", "in place", "replaced"])
def test_an_upload_is_continued_only_with_the_current_content(play, how, late):
    play(step("put_changed", name="dir/a", first=LARGE, seed=1, how=how, late=late))


@pytest.mark.parametrize("way", ["put_file", "pipe_file"])
def test_giving_up_an_upload_leaves_the_one_of_another_client(play, world, way):
    if world.place.protocol == "cosv3":
        return  # its uploads have no end that could be refused
    play(step("rivals", name="dir/a", content=LARGE, way=way))


@pytest.mark.parametrize("then", [pipe("dir/a", LARGE), step("write", name="dir/a", content=LARGE, way="put_file")])
def test_an_upload_that_another_client_left_blocks_nothing(play, then):
    play(step("others_leave_upload", name="dir/a", content=OTHER), then)


def test_removing_the_file_of_another_client_is_noticed(world, monkeypatch):
    rm_file = type(world.fs).rm_file

    def removes_twice(fs, path):
        rm_file(fs, path)
        fs.exists(path, refresh=True)
        fs.client.delete(*paths.file_key(path))

    tally = Tally()
    run(world, pipe(), None, tally)
    monkeypatch.setattr(type(world.fs), "rm_file", removes_twice)
    with pytest.raises(LostError, match=r"no order explains|neither the old"):
        run(world, REMOVE, OtherClient("nothing wrong", 2, "creates", "a", OTHER), tally)


def test_creating_twice_is_noticed(world, monkeypatch):
    def takes_it_for_its_own(fs, path, value, mode="overwrite", **options):
        fs.exists(path)

    monkeypatch.setattr(type(world.fs), "pipe_file", takes_it_for_its_own)
    client = OtherClient("nothing wrong", 1, "creates", "a", SMALL)
    world.second.pipe_file = lambda path, value, mode: world.second.client.upload(
        *paths.file_key(path), value, insert_only=True
    )
    with pytest.raises(LostError, match="no order explains"):
        run(world, pipe(create=True), client, Tally())
