"""Paging through directories when the record disputes how the last page is told (spec sections 7.2 and 15-16).

``listover`` is true on the last page, or on every page but the last: the vendor's texts disagree. The pager works
under both. An empty page, and a context that is empty or does not change, always end the listing. Before it is known
what ``listover`` means, a page that may have been cut off (close to a limit that some server has) is never believed
to be the last; the pages after such pages then show which reading holds. It costs a request more, twice at most.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Protocol

from cosv4fs.api.replies import Entry, Page
from cosv4fs.errors import CosError, make_error
from cosv4fs.paths import join

__all__ = ["Pager"]

_SMALL_PAGE = 199
"""The page limit of older servers (spec section 15-15)."""

_ENOUGH = 2
"""So many more observations have to speak for one reading than for the other."""

_MOST_PAGES = 100_000
"""No directory has more pages: a server that always has another one would be asked for ever."""

_TOO_MANY = (-165, -170)


class _ListPage(Protocol):
    def __call__(self, bucket: str, key: str, *, num: int, context: str = "", prefix: str = "") -> Page: ...


class Pager:
    """Lists directories page by page and learns how the server means its pages.

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
        self._seen = {True: 0, False: 0}  # how often the last page was seen to carry this value of listover

    def entries(self, bucket: str, key: str, prefix: str = "") -> Iterator[Entry]:
        """Yield all entries of a directory whose names start with `prefix`.

        Raises
        ------
        FileNotFoundError
            There is no such directory.
        OSError
            A page failed: what was yielded before is not the whole listing.
        """
        context, before, seen = "", None, {""}
        while True:
            page = self._page(bucket, key, context, prefix)
            if before is not None:
                self._learn(before, page)
            yield from page.entries
            if self._ends(page, context):
                return
            if (
                page.context in seen
                or len(seen) > _MOST_PAGES
                or (before is not None and page.entries == before.entries)
            ):
                raise make_error(
                    errno.EBADMSG, "the pages of the listing go round in circles or never end", join(bucket, key)
                )
            seen.add(page.context)
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
        self._page_size = _SMALL_PAGE
        return self._list_page(bucket, key, num=self._page_size, context=context, prefix=prefix)

    def _ends(self, page: Page, asked: str) -> bool:
        if not page.entries or page.context in ("", asked) or (page.listover is None and not self._is_full(page)):
            return True
        if page.listover is None:
            return False
        if self._last_value is not None:
            return page.listover == self._last_value
        return page.listover and not self._is_full(page)

    def _is_full(self, page: Page) -> bool:
        # a real directory lists one entry less than asked for (a note in one of the vendor's clients)
        return len(page.entries) >= min(self._page_size, _SMALL_PAGE) - 1

    def _learn(self, page: Page, following: Page) -> None:
        if page.listover is not None:
            self._seen[page.listover != bool(following.entries)] += 1

    @property
    def _last_value(self) -> bool | None:
        """The value of listover that a last page carries; None while it is not known.

        One observation is not enough: a directory may grow while it is listed.
        """
        if abs(self._seen[True] - self._seen[False]) < _ENOUGH:
            return None
        return self._seen[True] > self._seen[False]
