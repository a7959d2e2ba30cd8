"""What is cached, for how long, and what a mutation invalidates."""

import threading

import pytest
from cachetools import TTLCache
from hypothesis import example, given
from hypothesis import strategies as st

from cosv4fs.cache import PathCache
from tests.support import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return PathCache(10, clock)


def file(name, **more):
    return {"name": name, "type": "file", "size": 1, **more}


def folder(name):
    return {"name": name, "type": "directory", "size": 0}


def test_an_entry_lives_for_a_while(cache, clock):
    cache.store_listing("b/d", [file("b/d/x")], cache.revision)
    cache.store_info(file("b/y"), cache.revision)
    clock.now += 9.9
    assert cache.listing("b/d") == [file("b/d/x")]
    assert cache.info("b/d/x") == file("b/d/x")
    assert cache.info("b/y") == file("b/y")
    clock.now += 0.2
    assert cache.listing("b/d") is cache.info("b/d/x") is cache.info("b/y") is None
    assert not cache.is_absent("b/d/z")


def test_zero_seconds_remember_nothing(clock):
    cache = PathCache(0, clock)
    cache.store_listing("b/d", [], cache.revision)
    cache.store_info(file("b/y"), cache.revision)
    assert cache.listing("b/d") is cache.info("b/y") is None
    assert not cache.is_absent("b/d/z")


def test_a_listing_knows_what_is_not_there(cache):
    assert not cache.is_absent("b/d/z")
    cache.store_listing("b/d", [file("b/d/x")], cache.revision)
    assert cache.is_absent("b/d/z")
    assert not cache.is_absent("b/d/x")
    assert not cache.is_absent("b/d/z/deeper")
    cache.store_info(file("b/d/z"), cache.revision)
    assert not cache.is_absent("b/d/z")


def test_an_empty_listing_is_a_listing(cache):
    cache.store_listing("b/d", [], cache.revision)
    assert cache.listing("b/d") == []


def test_what_was_asked_for_before_a_mutation_is_not_stored_after_it(cache):
    before = cache.revision
    cache.invalidate("b/other")
    cache.store_listing("b/d", [file("b/d/x")], before)
    cache.store_info(file("b/y"), before)
    assert cache.listing("b/d") is cache.info("b/y") is None
    cache.store_info(file("b/y"), cache.revision)
    assert cache.info("b/y") is not None


class TestInvalidate:
    @pytest.fixture
    def cache(self, cache):
        for path in ("b", "b/d", "b/d/e", "b/dd", "b/d/e/f"):
            cache.store_listing(path, [file(f"{path}/x")], cache.revision)
            cache.store_info(file(f"{path}/own"), cache.revision)
        return cache

    def known(self, cache):
        return [path for path in ("b", "b/d", "b/d/e", "b/dd", "b/d/e/f") if cache.listing(path) is not None]

    def test_a_path_with_what_is_above_and_below(self, cache):
        cache.invalidate("b/d/e")
        assert self.known(cache) == ["b/dd"]
        assert cache.info("b/d/e/own") is cache.info("b/d/e/f/own") is None
        assert cache.info("b/dd/own") is not None
        assert cache.info("b/d/own") is not None  # what stands beside it has not changed

    def test_a_file(self, cache):
        cache.invalidate("b/d/own")
        assert cache.info("b/d/own") is None
        assert self.known(cache) == ["b/d/e", "b/dd", "b/d/e/f"]

    def test_everything(self, cache):
        cache.invalidate()
        assert self.known(cache) == []
        assert cache.info("b/own") is None


def test_directories(cache):
    assert not cache.is_directory("b/d")
    cache.store_directory("b/d", cache.revision)
    assert cache.is_directory("b/d")
    cache.store_listing("b", [folder("b/e"), file("b/x")], cache.revision)
    assert cache.is_directory("b")
    assert cache.is_directory("b/e")
    assert not cache.is_directory("b/x")
    cache.invalidate("b/d")
    assert not cache.is_directory("b/d")


def test_what_is_handed_out_is_a_copy(cache):
    info = file("b/d/x")
    cache.store_listing("b/d", [info], cache.revision)
    cache.store_info(info, cache.revision)
    info["size"] = 99
    cache.listing("b/d")[0]["size"] = 98
    cache.info("b/d/x")["size"] = 97
    assert cache.info("b/d/x")["size"] == cache.listing("b/d")[0]["size"] == 1


def test_many_threads(cache):
    failures = []

    def work(number):
        try:
            for step in range(200):
                cache.store_listing(f"b/{number}", [file(f"b/{number}/{step}")], cache.revision)
                cache.info(f"b/{number}/{step}")
                cache.invalidate(f"b/{step % 7}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("place", ["before the store is looked up", "within the store"])
def test_a_handler_in_the_middle_of_a_method(place):
    """A signal may come at any moment, and its handler may change what the interrupted method stores."""
    interruption, listed = [], []

    def interrupt():
        if interruption:
            interruption.pop()()

    class Interrupted(dict):
        def copy(self):
            if place.startswith("before"):
                interrupt()
            return dict(self)

    def clock():
        if place.startswith("within"):
            interrupt()
        return 0.0

    cache = PathCache(10, clock)

    def handle():
        listed.append(cache.listing("b/old"))
        cache.invalidate("b/d")
        cache.store_listing("b/handled", [], cache.revision)

    cache.store_listing("b/old", [], cache.revision)
    revision = cache.revision
    interruption.append(handle)
    cache.store_listing("b/d", [Interrupted(file("b/d/x"))], revision)
    assert listed == [None]
    # what was asked before the change is not stored after it, and nothing is left of what both have touched
    assert [cache.listing(path) for path in ("b/d", "b/old", "b/handled")] == [None] * 3
    cache.store_listing("b/d", [], cache.revision)
    assert cache.listing("b/d") == []


def test_invalidating_a_file_does_not_look_through_all_others(cache, monkeypatch):
    """Removing many files after their statuses were requested would take a time that grows with the square."""
    for number in range(100):
        cache.store_info(file(f"b/d/{number}"), cache.revision)
    cache.store_listing("b/d", [file("b/d/0")], cache.revision)
    looked = []
    monkeypatch.setattr(TTLCache, "__iter__", lambda self: looked.append(self) or iter(()))
    for number in range(100):
        cache.invalidate(f"b/d/{number}", gone=True)
    assert looked == []
    assert all(cache.info(f"b/d/{number}") is None for number in range(100))
    cache.invalidate("b/d")
    assert looked


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
STORED = st.tuples(st.sampled_from(["info", "listing", "directory"]), PATHS)


@given(st.lists(st.one_of(STORED, PATHS), max_size=30), st.sampled_from([1, 1000]))
@example([("info", "a/b/c"), "a"], 1000)
@example([("listing", "a/b/c"), "a"], 1000)
@example([("directory", "a/b/c"), "a"], 1000)
@example([("directory", "a/b/c"), ("info", "b/c/a"), ("info", "c/a/b"), "a"], 1)
def test_everything_under_an_invalidated_path_goes(steps, most):
    """What is noted of the directories above cached paths never hides one of these."""
    cache = PathCache(10, Clock())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cosv4fs.cache._MAX_ABOVE", most)
        for step in steps:
            if isinstance(step, str):
                cache.invalidate(step)
                names = [*cache._infos, *cache._listings, *cache._folders]
                assert not [name for name in names if f"{name}/".startswith(f"{step}/")]
            elif step[0] == "info":
                cache.store_info(file(step[1]), cache.revision)
            elif step[0] == "listing":
                cache.store_listing(step[1], [file(f"{step[1]}/x")], cache.revision)
            else:
                cache.store_directory(step[1], cache.revision)
