"""Strangers beside the steps of the model, at chosen moments; and that the comparison would see what they lose."""

import pytest

from cosv4fs.protocols import V3
from tests.model.machines import Site
from tests.model.runner import LostError, Tally, run, settle
from tests.model.state import Content
from tests.model.steps import Step
from tests.model.strangers import Stranger

SMALL, OTHER, LARGE = Content(1, 1000), Content(2, 1000), Content(3, 1126400)
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module", params=["cosv4", "cosv3"])
def site(request):
    with Site(protocol=request.param) as running:
        yield running


@pytest.fixture
def world(site):
    return site.world()


@pytest.fixture
def play(site, world):
    """A function that does steps, the last one with a stranger, and compares everything."""

    def do(*steps, stranger=None):
        tally = Tally()
        for number, step in enumerate(steps, 1):
            run(world, step, stranger if number == len(steps) else None, site.emulator, tally)
        settle(world)
        assert tally.injected.total() == (stranger is not None)

    return do


def step(operation, **arguments):
    return Step(operation, tuple(arguments.items()))


def pipe(name="a", content=SMALL, create=False):
    return step("pipe_file", name=name, content=content, create=create)


BESIDE = {
    "rm": ([pipe(), step("rm_file", name="a")], Stranger("reply lost", 1, "creates", "a", OTHER, "delete")),
    "rm of the same": ([pipe(), step("rm_file", name="a")], Stranger("reply lost", 1, "replaces", "a", None, "delete")),
    "rm -r": (
        [pipe("dir/a"), step("rm_recursive", name="dir")],
        Stranger("reply lost", 1, "creates", "dir/a", OTHER, "delete"),
    ),
    "mv": (
        [pipe(), step("mv_file", source="a", target="other/a")],
        Stranger("reply lost", 1, "creates", "a", OTHER, "move"),
    ),
    "create": ([pipe(create=True)], Stranger("502 without effect", 1, "creates", "a", None, "upload")),
    "overwrite": ([pipe(), pipe(content=OTHER)], Stranger("reply lost", 1, "replaces", "a", LARGE, "upload")),
    "mv between buckets": (
        [pipe(), step("mv_between_buckets", name="a")],
        Stranger("502 without effect", 1, "replaces", "a", OTHER, "delete"),
    ),
}


@pytest.mark.parametrize(("steps", "stranger"), BESIDE.values(), ids=BESIDE)
def test_a_stranger_beside_a_step(play, steps, stranger):
    play(*steps, stranger=stranger)


@pytest.mark.parametrize("late", [False, True], ids=["between slices", "before the end"])
@pytest.mark.parametrize("how", ["the same", "in place", "replaced"])
def test_an_upload_goes_on_only_with_what_the_file_holds_now(play, how, late):
    play(step("put_again", name="dir/a", first=LARGE, seed=1, how=how, late=late))


@pytest.mark.parametrize("by", ["put", "pipe"])
def test_who_gives_up_leaves_the_upload_of_a_rival(play, world, by):
    if world.fs.spec is V3:
        return  # its uploads have no end that could be refused
    play(step("rivals", name="dir/a", content=LARGE, by=by))


@pytest.mark.parametrize("then", [pipe("dir/a", LARGE), step("put_file", name="dir/a", content=LARGE, create=False)])
def test_an_upload_that_a_stranger_left_is_in_nobodys_way(play, then):
    play(step("others_leave_upload", name="dir/a", content=OTHER), then)


def test_a_stranger_whose_file_is_removed_is_seen(site, world, monkeypatch):
    rm_file = type(world.fs).rm_file

    def removes_twice(fs, path):
        rm_file(fs, path)
        fs.exists(path, refresh=True)
        fs.client.delete(*path.split("/", 1)[:1], "/" + path.split("/", 1)[1])

    tally = Tally()
    run(world, pipe(), None, site.emulator, tally)
    monkeypatch.setattr(type(world.fs), "rm_file", removes_twice)
    with pytest.raises(LostError, match=r"is lost|neither the old"):
        run(world, step("rm_file", name="a"), Stranger("nothing wrong", 2, "creates", "a", OTHER), site.emulator, tally)


def test_two_who_create_are_seen(site, world, monkeypatch):
    def takes_it_for_its_own(fs, path, value, mode="overwrite", **options):
        fs.exists(path)

    monkeypatch.setattr(type(world.fs), "pipe_file", takes_it_for_its_own)
    stranger = Stranger("nothing wrong", 1, "creates", "a", SMALL)
    world.second.pipe_file = lambda path, value, mode: world.second.client.upload(
        path.split("/", 1)[0], "/" + path.split("/", 1)[1], value, insert_only=True
    )
    with pytest.raises(LostError, match="two clients created a"):
        run(world, pipe(create=True), stranger, site.emulator, Tally())
