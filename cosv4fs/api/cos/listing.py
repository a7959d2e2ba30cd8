"""Listing directories; the documentation disputes what marks the last page (cos.md#list, cos.md#listover).

``listover`` is true on the last page, or on every page but the last: the vendor's texts disagree. The pager works
with both, and learns nothing from one listing for the next: a directory may change while it is listed, so pages prove
neither. An empty page, and a context that is empty or does not change, end the listing; ``listover`` alone ends it only
after a page that is too short to have been cut off. A server without any of these marks on a last page that may have
been cut off costs one more request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cosv4fs.api.cos.replies import Entry, Page
from cosv4fs.api.paging import pages
from cosv4fs.api.quirks import Quirks
from cosv4fs.errors import CosError
from cosv4fs.paths import join

_SMALL_PAGE = 199
"""The page limit of older servers (cos.md#page-limit)."""

_TOO_MANY = (-165, -170)

_RECENT = 2000
"""Entries at least that are compared with the next one: two pages."""


class DirectoryPager:
    """Lists directories page by page: of `page_size` entries, unless the server refuses that many."""

    def __init__(self, list_page: Callable[..., Page], page_size: int, quirks: Quirks) -> None:
        self._list_page = list_page
        self._wanted = page_size
        self._quirks = quirks

    def entries(self, bucket: str, key: str, prefix: str = "") -> Iterator[Entry]:
        """Yield all entries of a directory whose names start with `prefix`, each once; see `pages`."""

        def fetch(context: str) -> tuple[tuple[Entry, ...], str | None]:
            page = self._page(bucket, key, context, prefix)
            return page.entries, None if self._ends(page, context) else page.context

        return _once(pages(fetch, "", join(bucket, key)))

    def first(self, bucket: str, key: str) -> tuple[tuple[Entry, ...], bool]:
        """Return the first page, of a size that every server allows, and whether it is certainly the whole listing."""
        page = self._list_page(bucket, key, num=min(self._wanted, _SMALL_PAGE))
        return page.entries, self._ends(page, "")

    @property
    def _page_size(self) -> int:
        return min(self._wanted, self._quirks.max_list or self._wanted)

    def _page(self, bucket: str, key: str, context: str, prefix: str) -> Page:
        try:
            return self._list_page(bucket, key, num=self._page_size, context=context, prefix=prefix)
        except CosError as error:
            if error.code not in _TOO_MANY or self._page_size <= _SMALL_PAGE:
                raise
        page = self._list_page(bucket, key, num=_SMALL_PAGE, context=context, prefix=prefix)
        # the smaller page was accepted, so the size was the reason
        self._quirks.learn(max_list=_SMALL_PAGE)
        return page

    def _ends(self, page: Page, context: str) -> bool:
        """Return whether nothing follows a page that was fetched with a context."""
        if not page.entries or page.context in ("", context):
            return True
        # a real directory lists one entry less than was asked for (a note in one of the vendor's clients)
        is_full = len(page.entries) >= min(self._page_size, _SMALL_PAGE) - 1
        return page.listover is not False and not is_full


def _once(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Leave out entries that were listed shortly before.

    A context may be a position (cos.md#context): then what others add to the pages before moves the last entries of one
    page to the next one.
    """
    older: set[tuple[str, bool, bool]] = set()
    newer: set[tuple[str, bool, bool]] = set()
    for entry in entries:
        key = entry.name, entry.is_directory, entry.is_unfinished
        if key in newer or key in older:
            continue
        newer.add(key)
        if len(newer) >= _RECENT:
            older, newer = newer, set()
        yield entry
