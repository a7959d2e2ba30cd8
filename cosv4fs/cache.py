"""What is cached of the service: listings and statuses, for a short time.

Policy: an entry lives for `seconds`. Every mutation made through this package forgets what it touches and advances a
generation; an answer that was asked for before a mutation is never stored after it. Misses are not stored, and a
listing only when all its pages arrived. A fresh listing of a directory also answers for the absence of names in it.

Caches of other configurations may remember the same paths: what one of `Kin` forgets, all of them forget. None ever
tells another what it remembers.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from cachetools import TTLCache

from cosv4fs.info import Info

__all__ = ["Kin", "PathCache"]

T = TypeVar("T")
P = ParamSpec("P")

_MOST_LISTINGS = 2048
_MOST_STATUSES = 65536


class Kin:
    """The caches of one process that may remember the same paths."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caches: tuple[weakref.ref[PathCache], ...] = ()

    def join(self, cache: PathCache) -> None:
        """Have a cache, as long as somebody uses it, forget what the others forget."""
        with self._lock:
            self._caches = (*(known for known in self._caches if known() is not None), weakref.ref(cache))

    def forget(self, path: str | None, gone: bool) -> None:
        """Have all of them forget; see `PathCache.forget`."""
        for known in self._caches:
            cache = known()
            if cache is not None:
                cache.forget_alone(path, gone)


def _whole(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Have a method run under the lock, and forget everything when it is broken off.

    Ctrl-C between two steps of a `TTLCache` leaves it broken: its clock may stand still from then on.
    """

    @wraps(method)
    def whole(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            try:
                return method(self, *args, **kwargs)
            except BaseException:
                self._generation += 1
                self._begin_empty()
                raise

    return whole


class PathCache:
    """Listings by directory and statuses by path, for all instances with one configuration.

    Parameters
    ----------
    seconds : float
        How long an entry lives; 0 remembers nothing.
    clock : callable
        Returns seconds; replaceable for tests.
    kin : Kin, optional
        The caches that shall forget what this one forgets.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic, kin: Kin | None = None) -> None:
        self._enabled = seconds > 0
        self._seconds, self._clock = max(seconds, 1e-9), clock
        self._begin_empty()
        self._lock = threading.Lock()
        self._generation = 0
        self._kin = kin or Kin()
        self._kin.join(self)

    def _begin_empty(self) -> None:
        self._listings: TTLCache[str, dict[str, Info]] = TTLCache(_MOST_LISTINGS, self._seconds, timer=self._clock)
        self._infos: TTLCache[str, Info] = TTLCache(_MOST_STATUSES, self._seconds, timer=self._clock)
        self._folders: TTLCache[str, bool] = TTLCache(_MOST_STATUSES, self._seconds, timer=self._clock)

    @property
    @_whole
    def generation(self) -> int:
        """A number that every mutation advances: read it before asking the service."""
        return self._generation

    @_whole
    def listing(self, path: str) -> list[Info] | None:
        """Return the infos of a directory's entries, or None when they are not known."""
        found = self._listings.get(path)
        return None if found is None else [info.copy() for info in found.values()]

    @_whole
    def info(self, path: str) -> Info | None:
        """Return what is known of a path, or None."""
        found = self._infos.get(path)
        if found is None:
            found = self._listings.get(_parent(path), {}).get(path)
        return None if found is None else found.copy()

    @_whole
    def is_directory(self, path: str) -> bool:
        """Return whether the path is known to be a directory."""
        found = self._infos.get(path) or self._listings.get(_parent(path), {}).get(path)
        if found is not None:
            return found["type"] == "directory"
        return path in self._folders or path in self._listings

    @_whole
    def is_absent(self, path: str) -> bool:
        """Return whether a fresh listing of the parent shows that the path does not exist."""
        listing = self._listings.get(_parent(path))
        return listing is not None and not any(path in known for known in (listing, self._infos, self._folders))

    @_whole
    def store_listing(self, path: str, infos: list[Info], generation: int) -> None:
        """Remember a complete listing that was asked for in `generation`."""
        if self._enabled and generation == self._generation:
            self._listings[path] = {info["name"]: info.copy() for info in infos}

    @_whole
    def store_info(self, info: Info, generation: int) -> None:
        """Remember a status that was asked for in `generation`."""
        if self._enabled and generation == self._generation:
            self._infos[info["name"]] = info.copy()

    @_whole
    def store_directory(self, path: str, generation: int) -> None:
        """Remember that a path is a directory, when no more than that is known."""
        if self._enabled and generation == self._generation:
            self._folders[path] = True

    def forget(self, path: str | None = None, gone: bool = False) -> None:
        """Forget a path, its parents' listings and everything below it; everything without a path.

        Parameters
        ----------
        gone : bool
            Something was removed: forget also that there are directories above it, as some services let a directory go
            with the last thing in it.
        """
        self._kin.forget(path, gone)

    @_whole
    def forget_alone(self, path: str | None, gone: bool) -> None:
        """Forget the same in this cache, and in none of its kin."""
        self._generation += 1
        if path is None:
            for everything in (self._listings, self._infos, self._folders):
                everything.clear()
            return
        below = path + "/"
        for store in (self._listings, self._infos, self._folders):
            for name in [name for name in store if name == path or name.startswith(below)]:
                store.pop(name, None)
        # writing a file may create the directories above it
        above = _parent(path)
        while above:
            for store in (self._listings, self._infos, self._folders) if gone else (self._listings,):
                store.pop(above, None)
            above = _parent(above)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
