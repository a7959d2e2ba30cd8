"""Listings in pages: one loop for all of them, which ends even if the server does not."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from cosv4fs.errors import make_error

_MOST_PAGES = 1_000_000
"""No listing has more pages: a server may always announce another one."""

_MOST_HELD = 3_000_000
"""Entries of one listing that are held in memory at once: they take about 3 GB."""

T = TypeVar("T")
M = TypeVar("M", bound=Hashable)


def pages(fetch: Callable[[M], tuple[Sequence[T], M | None]], first: M, path: str) -> Iterator[T]:
    """Yield all items of a listing, page by page; refuse (EBADMSG) a marker or a page that comes again.

    `fetch` takes the marker of a page, and returns its items and the marker of the next page, None after the last. If
    it fails, what was yielded before is not the whole listing.
    """
    # hashes: markers may be long, and pages many
    marker, before, seen = first, None, {hash(first)}
    while True:
        items, following = fetch(marker)
        yield from items
        if following is None:
            return
        is_repeated = bool(items) and items == before
        if is_repeated or hash(following) in seen or len(seen) > _MOST_PAGES:
            raise make_error(errno.EBADMSG, "the pages of the listing go round in circles or never end", path)
        seen.add(hash(following))
        marker, before = following, items


def bounded(entries: Iterable[T], path: str) -> Iterator[T]:
    """Yield the entries of a listing for a caller that holds them all; refuse (EFBIG) too many for the memory."""
    for count, entry in enumerate(entries):
        if count >= _MOST_HELD:
            text = f"the listing has more than {_MOST_HELD:,} entries, too many to hold in memory"
            raise make_error(errno.EFBIG, f"{text}: go through them one by one with fs.client.list()", path)
        yield entry
