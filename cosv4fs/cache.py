"""The cache of listings and statuses.

Entries live for `seconds`. Every change made through this package invalidates the paths it affects and advances a
revision number; a reply requested before a change is never stored after it. Misses are not cached, and listings only
when complete. A cached listing of a directory also shows which names do not exist in it. In coffers, a name in a
listing may be both a file and a directory.

Caches of several configurations may hold the same paths. They form a `CacheGroup`: an invalidation in one applies to
all of them, but entries are never shared.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from cachetools import TTLCache

from cosv4fs.forking import shared_lock
from cosv4fs.info import Info

_T = TypeVar("_T")
_P = ParamSpec("_P")

_MAX_STATUSES = 65536
_MAX_ABOVE = 4 * _MAX_STATUSES
"""Directories that are noted before those are dropped under which everything has expired."""


class CacheGroup:
    """Caches of one process that may hold the same paths, and are invalidated together."""

    def __init__(self) -> None:
        self._lock = shared_lock()
        self._caches: tuple[weakref.ref[PathCache], ...] = ()

    def join(self, cache: PathCache) -> None:
        """Add a cache; it leaves the group when it is no longer used."""
        with self._lock:
            self._caches = (*(member for member in self._caches if member() is not None), weakref.ref(cache))

    def invalidate(self, path: str | None, gone: bool) -> None:
        """Invalidate a path in all caches; see `PathCache.invalidate`."""
        for member in self._caches:
            cache = member()
            if cache is not None:
                cache._invalidate(path, gone)


def _locked(method: Callable[Concatenate[Any, _P], _T]) -> Callable[Concatenate[Any, _P], _T]:
    """Run a method under the lock, and clear the cache if it is interrupted.

    Ctrl-C inside a `TTLCache` method can leave it inconsistent; for example, its clock may stop. Another signal's
    handler may call a method in the middle of one: it gets an empty cache, and so does whatever comes after both.
    """

    @wraps(method)
    def locked(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            is_nested, self._is_busy = self._is_busy, True
            if is_nested:
                self._was_disturbed = True
                self._start_anew()
            try:
                return method(self, *args, **kwargs)
            except BaseException:
                self._start_anew()
                raise
            finally:
                self._is_busy = is_nested
                if self._was_disturbed and not is_nested:
                    self._was_disturbed = False
                    self._start_anew()

    return locked


class PathCache:
    """Listings and statuses by path, shared by all instances with one configuration; thread-safe.

    An entry lives for `seconds`; 0 disables the cache. At most `most_listings` are kept.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        group: CacheGroup | None = None,
        most_listings: int = 2048,
    ) -> None:
        self._most_listings = most_listings
        self._enabled = seconds > 0
        self._seconds, self._clock = max(seconds, 1e-9), clock
        self._clear()
        # held by the thread that a signal interrupts, it must not keep the handler waiting
        self._lock = shared_lock()
        self._is_busy = self._was_disturbed = False
        self._revision = 0
        self._group = group or CacheGroup()
        self._group.join(self)

    def _clear(self) -> None:
        # each listing by name and type
        self._listings: TTLCache[str, dict[tuple[str, str], Info]] = TTLCache(
            self._most_listings, self._seconds, timer=self._clock
        )
        self._infos: TTLCache[str, Info] = TTLCache(_MAX_STATUSES, self._seconds, timer=self._clock)
        self._folders: TTLCache[str, bool] = TTLCache(_MAX_STATUSES, self._seconds, timer=self._clock)
        # the directories above all cached paths, and some above those that have expired
        self._above: set[str] = set()
        self._most_above = _MAX_ABOVE

    def _start_anew(self) -> None:
        self._revision += 1
        self._clear()

    @property
    @_locked
    def revision(self) -> int:
        """A number that every invalidation advances: read it before sending a request."""
        return self._revision

    @_locked
    def listing(self, path: str) -> list[Info] | None:
        """Return the infos of a directory's entries, or None if they are not cached."""
        found = self._listings.get(path)
        return None if found is None else [info.copy() for info in found.values()]

    @_locked
    def info(self, path: str) -> Info | None:
        """Return the info of a path, or None if it is not cached; that of the file if it is also a directory."""
        found = self._known(path)
        return None if found is None else found.copy()

    def _known(self, path: str) -> Info | None:
        siblings = self._listings.get(_parent(path), {})
        return self._infos.get(path) or siblings.get((path, "file")) or siblings.get((path, "directory"))

    @_locked
    def is_directory(self, path: str) -> bool:
        """Return whether the path is cached as a directory, and not as a file."""
        found = self._known(path)
        return self._shows_directory(path) if found is None else found["type"] == "directory"

    def _shows_directory(self, path: str) -> bool:
        is_listed = (path, "directory") in self._listings.get(_parent(path), {})
        return is_listed or path in self._folders or path in self._listings

    @_locked
    def shows_directory(self, path: str) -> bool | None:
        """Return whether the path is a directory, even if it is also a file; None if that is not cached."""
        if self._shows_directory(path):
            return True
        return False if _parent(path) in self._listings else None

    @_locked
    def is_absent(self, path: str) -> bool:
        """Return whether a cached listing of the parent shows that the path does not exist."""
        is_listed = _parent(path) in self._listings
        return is_listed and self._known(path) is None and path not in self._folders

    @_locked
    def store_listing(self, path: str, infos: list[Info], revision: int) -> None:
        """Cache a complete listing that was requested at `revision`."""
        if self._enabled and revision == self._revision:
            self._listings[path] = {(info["name"], info["type"]): info.copy() for info in infos}
            self._note_above(path)

    @_locked
    def store_info(self, info: Info, revision: int) -> None:
        """Cache a status that was requested at `revision`."""
        if self._enabled and revision == self._revision:
            self._infos[info["name"]] = info.copy()
            self._note_above(info["name"])

    @_locked
    def store_directory(self, path: str, revision: int) -> None:
        """Cache that a path is a directory, when nothing else is known about it."""
        if self._enabled and revision == self._revision:
            self._folders[path] = True
            self._note_above(path)

    def _note_above(self, path: str) -> None:
        """Note the directories above a cached path: only under them is anything to invalidate."""
        above = _parent(path)
        while above and above not in self._above:
            self._above.add(above)
            above = _parent(above)
        if len(self._above) > self._most_above:
            self._above, self._most_above = set(), sys.maxsize
            for name in [name for store in self._stores for name in store]:
                self._note_above(name)
            self._most_above = max(_MAX_ABOVE, 2 * len(self._above))

    @property
    def _stores(self) -> tuple[TTLCache[str, Any], ...]:
        return self._listings, self._infos, self._folders

    def invalidate(self, path: str | None = None, gone: bool = False) -> None:
        """Drop a path, everything inside it and the listings of its parents, in all caches of the group.

        Without a path, drop everything. If something is `gone`, also drop the parents: some services remove a directory
        with its last entry.
        """
        self._group.invalidate(path, gone)

    @_locked
    def _invalidate(self, path: str | None, gone: bool) -> None:
        """Invalidate a path in this cache only; see `invalidate`."""
        self._revision += 1
        if path is None:
            self._clear()
            return
        below, stores = path + "/", self._stores
        for store in stores:
            store.pop(path, None)
            # looking through all paths for each of many files that change would take very long
            for name in [name for name in store if name.startswith(below)] if path in self._above else ():
                store.pop(name, None)
        # writing a file may create its parent directories
        above = _parent(path)
        while above:
            for store in stores if gone else stores[:1]:
                store.pop(above, None)
            above = _parent(above)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
