"""Paging through directories; the documentation disputes how the last page is told (cos.md#list, cos.md#listover).

``listover`` is true on the last page, or on every page but the last: the vendor's texts disagree. The pager works
under both, and learns nothing from one listing for the next: a directory may change while it is listed, so that pages
prove neither. An empty page, and a context that is empty or does not change, end the listing; ``listover`` alone ends
it only after a page that is too short to have been cut off. A server that has none of these signs on a last page that
may have been cut off costs one request more.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from cosv4fs.api.cos.replies import Entry, Page
from cosv4fs.errors import CosError, make_error
from cosv4fs.paths import join

__all__ = ["Pager", "bounded"]

_SMALL_PAGE = 199
"""The page limit of older servers (cos.md#page-limit)."""

_MOST_PAGES = 100_000
"""No directory has more pages: a server that always has another one would be asked for ever."""

_TOO_MANY = (-165, -170)


MOST_HELD = 3_000_000
"""Entries of one listing that are held in memory at once: they take about 3 GB."""

T = TypeVar("T")


def bounded(entries: Iterable[T], path: str) -> Iterator[T]:
    """Yield the entries of a listing for a caller that holds them all.

    Raises
    ------
    OSError
        EFBIG when there are more than memory should be filled with: a server may list names without end.
    """
    for count, entry in enumerate(entries):
        if count >= MOST_HELD:
            text = f"the listing has more than {MOST_HELD:,} entries, too many to hold in memory"
            raise make_error(errno.EFBIG, f"{text}: go through them one by one with fs.client.list()", path)
        yield entry


class _ListPage(Protocol):
    def __call__(self, bucket: str, key: str, *, num: int, context: str = "", prefix: str = "") -> Page: ...


class Pager:
    """Lists directories page by page.

    Parameters
    ----------
    list_page : callable
        Fetches one page.
    page_size : int
        Entries to ask for, as long as the server accepts it.
    """

    def __init__(self, list_page: _ListPage, page_size: int) -> None:
        self._list_page = list_page
        self._page_size = page_size

    def entries(self, bucket: str, key: str, prefix: str = "") -> Iterator[Entry]:
        """Yield all entries of a directory whose names start with `prefix`.

        Raises
        ------
        FileNotFoundError
            There is no such directory.
        OSError
            A page failed: what was yielded before is not the whole listing.
        """
        # hashes: contexts may be long, and pages many
        context, before, seen = "", None, {hash("")}
        while True:
            page = self._page(bucket, key, context, prefix)
            yield from page.entries
            if self._ends(page, context):
                return
            repeats = before is not None and page.entries == before.entries
            if repeats or hash(page.context) in seen or len(seen) > _MOST_PAGES:
                text = "the pages of the listing go round in circles or never end"
                raise make_error(errno.EBADMSG, text, join(bucket, key))
            seen.add(hash(page.context))
            context, before = page.context, page

    def first(self, bucket: str, key: str) -> tuple[tuple[Entry, ...], bool]:
        """Return the first page, of a size that every server allows, and whether it is certainly the whole listing."""
        page = self._list_page(bucket, key, num=min(self._page_size, _SMALL_PAGE))
        return page.entries, self._ends(page, "")

    def _page(self, bucket: str, key: str, context: str, prefix: str) -> Page:
        try:
            return self._list_page(bucket, key, num=self._page_size, context=context, prefix=prefix)
        except CosError as error:
            if error.code not in _TOO_MANY or self._page_size <= _SMALL_PAGE:
                raise
        page = self._list_page(bucket, key, num=_SMALL_PAGE, context=context, prefix=prefix)
        # the smaller size was the remedy: so the other one was the reason
        self._page_size = _SMALL_PAGE
        return page

    def _ends(self, page: Page, asked: str) -> bool:
        """Return whether nothing follows a page for which the context `asked` was sent."""
        if not page.entries or page.context in ("", asked):
            return True
        return page.listover is not False and not self._is_full(page)

    def _is_full(self, page: Page) -> bool:
        # a real directory lists one entry less than asked for (a note in one of the vendor's clients)
        return len(page.entries) >= min(self._page_size, _SMALL_PAGE) - 1
