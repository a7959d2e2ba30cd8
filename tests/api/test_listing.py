"""Paging with every variant of the last page."""

import bisect
import errno
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.api.cos.listing import DirectoryPager
from cosv4fs.api.cos.replies import Entry, Page
from cosv4fs.api.quirks import Quirks
from cosv4fs.errors import Origin, make_error
from tests.support import BUCKET, fill


class Directory:
    """A directory with one of the variants; records the sizes of its pages."""

    def __init__(self, size, *, limit=1000, clamp=False, more=False, last="empty", short=False, silent=False):
        self.names = [f"{number:05}" for number in range(size)]
        self.limit, self.clamp, self.more = limit, clamp, more
        self.last, self.short, self.silent = last, short, silent
        self.asked = []

    def list_page(self, bucket, key, *, num, context="", prefix=""):
        self.asked.append(num)
        if num > self.limit:
            if not self.clamp:
                code = -165 if self.limit == 199 else -170
                raise make_error(errno.EINVAL, "too many", f"{bucket}{key}", Origin(code=code))
            num = self.limit
        start = bisect.bisect_right(self.names, context)
        stop = start + max(1, num - self.short)
        shown, is_last = self.names[start:stop], stop >= len(self.names)
        following = context if self.last == "kept" else ""
        if shown and (self.last == "next" or not is_last):
            following = shown[-1]
        listover = None if self.silent else is_last != self.more
        return Page(tuple(Entry(name, is_directory=False) for name in shown), following, listover)

    def list(self, pager=None, page_size=1000):
        pager = pager or DirectoryPager(self.list_page, page_size, Quirks())
        return [entry.name for entry in pager.entries("b", "/dir/")]


VARIANTS = st.fixed_dictionaries(
    {
        "limit": st.sampled_from([1000, 199]),
        "clamp": st.booleans(),
        "more": st.booleans(),
        "last": st.sampled_from(["empty", "kept", "next"]),
        "short": st.booleans(),
    }
)
SIZES = st.one_of(st.integers(0, 2500), st.sampled_from([0, 1, 197, 198, 199, 200, 398, 999, 1000, 1001, 1998, 2000]))


@given(st.lists(SIZES, min_size=1, max_size=4), VARIANTS, st.sampled_from([1000, 199, 50]))
def test_every_name_once_in_order(sizes, variant, page_size):
    directory = Directory(0, **variant)
    pager = DirectoryPager(directory.list_page, page_size, Quirks())
    for size in sizes:
        directory.names = [f"{number:05}" for number in range(size)]
        assert directory.list(pager) == directory.names


NAMES = st.integers(0, 99_999).map("{:05}".format)
CHANGES = st.lists(st.tuples(st.booleans(), st.lists(NAMES, min_size=1, max_size=30)), max_size=5)


@given(st.lists(st.tuples(SIZES, CHANGES), min_size=1, max_size=3), VARIANTS, st.sampled_from([1000, 199, 50]))
@settings(max_examples=60)
def test_what_was_there_all_the_time_is_listed_however_a_directory_changes(listings, variant, page_size):
    directory = Directory(0, **variant)

    def list_page(*args, **more):
        page = directory.list_page(*args, **more)
        if changes:
            grows, some = changes.pop(0)
            directory.names = sorted({*directory.names, *some} if grows else {*directory.names} - {*some})
            stayed.intersection_update(directory.names)
        return page

    pager = DirectoryPager(list_page, page_size, Quirks())
    for size, planned in listings:
        # far apart, so that new names come between as well as behind them
        directory.names = [f"{number * 30 % 100_000:05}" for number in range(size)]
        directory.names.sort()
        stayed, changes = set(directory.names), list(planned)
        assert stayed <= set(directory.list(pager))


@pytest.mark.parametrize("more", [False, True])
def test_directories_that_grow_behind_their_last_page_spoil_no_later_listing(more):
    directory = Directory(300, limit=199, clamp=True, more=more, last="next")
    pager = DirectoryPager(directory.list_page, 1000, Quirks())
    ask = directory.list_page

    def grow(*args, **more):
        page = ask(*args, **more)
        if len(directory.names) < 330:
            directory.names.append(f"{len(directory.names):05}")
        return page

    pager._list_page = grow
    for _ in range(10):
        directory.list(pager)
    pager._list_page = ask
    directory.names = [f"{number:05}" for number in range(2500)]
    assert directory.list(pager) == directory.names
    assert not pager.first("b", "/dir/")[1]


@given(SIZES, VARIANTS)
def test_hardly_a_request_too_many(size, variant):
    directory = Directory(size, **variant)
    directory.list()
    per_page = (1000 if variant["limit"] == 1000 else 199) - variant["short"]
    refused = variant["limit"] == 199 and not variant["clamp"]
    assert len(directory.asked) <= max(1, math.ceil(size / per_page)) + refused + 1


@pytest.mark.parametrize(("more", "last"), [(False, "empty"), (False, "kept"), (False, "next"), (True, "empty")])
@pytest.mark.parametrize("size", [0, 1, 150])
def test_a_short_directory_costs_one_request(size, more, last):
    directory = Directory(size, more=more, last=last)
    assert directory.list() == directory.names
    assert len(directory.asked) == 1


def test_a_page_size_that_is_refused_is_not_asked_for_again():
    directory = Directory(300, limit=199)
    pager = DirectoryPager(directory.list_page, 1000, Quirks())
    assert directory.list(pager) == directory.list(pager) == directory.names
    assert directory.asked == [1000, 199, 199, 199, 199]


def test_one_odd_refusal_does_not_make_all_pages_small():
    directory = Directory(300)
    odd = [make_error(errno.EINVAL, "too many", "b/dir", Origin(code=-170)), make_error(errno.EIO, "no", "b/dir")]

    def list_page(*args, **more):
        if odd:
            raise odd.pop(0)
        return directory.list_page(*args, **more)

    pager = DirectoryPager(list_page, 1000, Quirks())
    with pytest.raises(OSError, match="no"):
        directory.list(pager)
    assert directory.list(pager) == directory.names
    assert directory.asked == [1000]


def test_other_refusals_are_raised():
    def list_page(bucket, key, **_):
        raise make_error(errno.EINVAL, "no", "b/dir", Origin(code=-170))

    with pytest.raises(OSError, match="no"):
        list(DirectoryPager(list_page, 100, Quirks()).entries("b", "/dir/"))


@pytest.mark.parametrize("size", [0, 5, 1000, 2500])
def test_without_listover(size):
    directory = Directory(size, silent=True)
    assert directory.list() == directory.names


def test_pages_in_circles():
    pages = {
        "": Page((Entry("a", False),) * 1000, "1", False),
        "1": Page((Entry("b", False),) * 1000, "2", False),
        "2": Page((Entry("c", False),) * 1000, "1", False),
    }
    pager = DirectoryPager(lambda bucket, key, *, num, context="", prefix="": pages[context], 1000, Quirks())
    with pytest.raises(OSError, match="circles") as caught:
        list(pager.entries("b", "/dir/"))
    assert (caught.value.errno, caught.value.filename) == (errno.EBADMSG, "b/dir")


def test_a_failed_page_is_an_error():
    directory = Directory(1500)

    def list_page(*args, context="", **more):
        if context:
            raise make_error(errno.EIO, "broken", "b/dir")
        return directory.list_page(*args, context=context, **more)

    with pytest.raises(OSError, match="broken"):
        list(DirectoryPager(list_page, 1000, Quirks()).entries("b", "/dir/"))


@pytest.mark.parametrize("last_context", ["empty", "kept", "next"])
@pytest.mark.parametrize("listover", ["finished", "more"])
@pytest.mark.parametrize("short_pages", [False, True])
def test_over_http(make_service, listover, last_context, short_pages):
    service = make_service(
        listover=listover, last_context=last_context, short_pages=short_pages, options={"page_size": 4}
    )
    for size in range(10):
        expected = [str(number) for number in range(size)]
        assert service.names("/") == expected
        before = service.emulator.count()["list"]
        assert service.names("/") == expected
        pages = max(1, math.ceil(size / (3 if short_pages else 4)))
        assert service.emulator.count()["list"] - before <= pages + 1
        service.put(f"/{size}", b"")


@pytest.mark.parametrize("oversize_list", ["refuse", "clamp"])
@pytest.mark.parametrize("listover", ["finished", "more"])
def test_an_older_server_over_http(make_service, oversize_list, listover):
    service = make_service(max_list=199, oversize_list=oversize_list, listover=listover)
    fill(service.emulator, BUCKET, [f"/{number}" for number in range(205)])
    assert len(set(service.names())) == 205
    assert len([entry.name for entry in service.client.list(BUCKET, "/", "1")]) == 111
