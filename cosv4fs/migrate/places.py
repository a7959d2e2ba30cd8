"""A URL as the two things that every operation needs: a filesystem, and a path on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from cosv4fs.capabilities import UNKNOWN, Capabilities

__all__ = ["FLAT", "Instances", "Options", "Place", "open_place", "protocols"]

FLAT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "obs", "r2", "oci", "cdcs"})
"""Protocols of stores that know keys only: directories need not, and cannot, be made there."""

_MEANT_EMPTY = "an empty path: a variable without a value, perhaps? The working directory is ."

_FOR_ALL = (LocalFileSystem, MemoryFileSystem)

Options = Mapping[str, Mapping[str, Any]]
"""Options of filesystems by protocol."""


@dataclass(frozen=True)
class Place:
    """A path on a filesystem.

    Parameters
    ----------
    fs : AbstractFileSystem
        The filesystem.
    path : str
        Without protocol, and without a slash at the end.
    is_folder : bool
        Whether it was written with a slash at the end: it is to be a directory.
    """

    fs: AbstractFileSystem
    path: str
    is_folder: bool = False

    @property
    def url(self) -> str:
        """The path with its protocol; local paths as they are."""
        return self.path if self.is_local else str(self.fs.unstrip_protocol(self.path))

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disk."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def exact(self) -> str:
        """The path by which two places of one filesystem are compared; of local ones without symbolic links."""
        return os.path.realpath(self.path) if self.is_local else self.path

    def is_same(self, other: Place) -> bool:
        """Return whether both are one file or directory."""
        if self.fs != other.fs:
            return False
        if self.is_local:
            with suppress(OSError):
                # two names of one file, too
                return Path(self.path).samefile(other.path)
        return self.exact == other.exact

    def is_within(self, other: Place) -> bool:
        """Return whether this one lies below the other."""
        return bool(self.fs == other.fs) and self.exact.startswith(_prefix(other.exact)) and not self.is_same(other)

    @property
    def prefix(self) -> str:
        """What all paths below this one begin with; nothing below a root that has no name, as in archives."""
        return _prefix(self.path)

    @property
    def capabilities(self) -> Capabilities:
        """What its filesystem says that it can do."""
        found = getattr(self.fs, "capabilities", None)
        return found if isinstance(found, Capabilities) else UNKNOWN

    @property
    def is_archive_to_be(self) -> bool:
        """Whether it lies in an archive that is being written: by one instance only, and one file at a time."""
        return getattr(self.fs, "mode", "r") not in ("r", "rb")

    def mine(self) -> Place:
        """Return this place on an instance of its filesystem that is for the calling thread.

        Most filesystems are for one thread at a time, and fsspec keeps their instances apart by thread; handed from
        one to another, they may mix up contents. Ours, local ones and asynchronous ones are for all threads.
        """
        if isinstance(self.fs, DirFileSystem):
            # it is as good for threads as what it wraps
            inner = replace(self, fs=self.fs.fs).mine().fs
            return self if inner is self.fs.fs else replace(self, fs=DirFileSystem(self.fs.path, inner))
        if isinstance(self.fs, _FOR_ALL) or self.fs.async_impl or self.capabilities.is_thread_safe:
            return self
        if self.is_archive_to_be:
            return self
        # not one that fsspec keeps: it goes with the thread, and its connection too
        fs = type(self.fs)(*self.fs.storage_args, **self.fs.storage_options, skip_instance_cache=True)
        return replace(self, fs=fs)

    def at(self, path: str) -> Place:
        """Return another path of the same filesystem."""
        return replace(self, path=path, is_folder=False)

    def below(self, relative: str) -> Place:
        """Return a path below this one.

        Raises
        ------
        ValueError
            `relative` would lead elsewhere: a listing is not to be believed then.
        """
        parts = relative.split("/")
        if any(part in ("", ".", "..") for part in parts) or (self.is_local and _escapes(parts)):
            raise ValueError(f"the name {relative!r} cannot be used below {self.url}")
        return self.at(self.prefix + relative)


def _prefix(path: str) -> str:
    return path.rstrip("/") + "/" if path else ""


class _Known(threading.local):
    """What one thread has: instances, and those that they stand for, by the id of the latter."""

    def __init__(self) -> None:
        self.instances: dict[int, tuple[AbstractFileSystem, AbstractFileSystem]] = {}


class Instances:
    """Places on every thread's own instances of their filesystems.

    An instance is made once for a thread: another one is another connection, or reads an archive anew. The thread that
    made this object is taken to be that of the places.
    """

    def __init__(self) -> None:
        self._home, self._known = threading.get_ident(), _Known()

    def of(self, place: Place) -> Place:
        """Return a place for the thread that asks; see `Place.mine`."""
        if threading.get_ident() == self._home:
            return place
        known = self._known.instances
        if id(place.fs) not in known:
            # kept with the one that it stands for, so that no other can get its id
            known[id(place.fs)] = place.fs, place.mine().fs
        return replace(place, fs=known[id(place.fs)][1])


def _escapes(parts: list[str]) -> bool:
    return any("\0" in part or (os.sep != "/" and (os.sep in part or ":" in part)) for part in parts)


def open_place(url: str, options: Options | None = None) -> Place:
    """Return the place of a URL, or of a local path.

    Parameters
    ----------
    url : str
        ``cosv4://bucket/dir``, ``s3://…``, ``dir/file``, a chain of fsspec such as ``zip://*::cosv4://…``.
    options : mapping, optional
        Options of filesystems by protocol.

    Raises
    ------
    ValueError, ImportError
        The URL is empty, the protocol is unknown, or its package is not installed.
    """
    if not url:
        raise ValueError(_MEANT_EMPTY)
    protocols = {get_protocol(part) for part in url.split("::")}
    given = {name: dict(values) for name, values in (options or {}).items() if name in protocols}
    single = given.pop(get_protocol(url), {}) if "::" not in url else {}
    fs, path = url_to_fs(url, **single, **given)
    return Place(fs, path.rstrip("/") or path or fs.root_marker, url.endswith("/"))


def protocols(place: Place) -> frozenset[str]:
    """Return all names of the protocol of a place."""
    known = place.fs.protocol
    return frozenset({known} if isinstance(known, str) else known)
