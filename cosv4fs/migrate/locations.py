"""Locations: a URL resolved to a filesystem and a path on it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from fsspec.archive import AbstractArchiveFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import available_protocols, registry
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from cosv4fs.localnames import are_possible, slashed
from cosv4fs.missing_packages import missing_package
from cosv4fs.protocols import Capabilities

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "obs", "r2", "oci"})
"""Protocols of other object stores without directories."""

S3 = frozenset({"s3", "s3a"})
"""Protocols of S3."""

VERSION_MARK = "?versionId="
"""What s3fs takes for the end of a key, whether it uses versions or not."""

_OTHER_CLIENTS = frozenset({"cos", "cosn", "cosv5", "cdc"})
"""Protocols under which other clients have such buckets and coffers."""

_NO_NAMES = frozenset(("", ".", ".."))
"""Parts of keys that are no names in a path."""

_THREAD_SAFE = (LocalFileSystem, MemoryFileSystem)

Options = Mapping[str, Mapping[str, Any]]
"""Filesystem options by protocol."""


@dataclass(frozen=True)
class Location:
    """A filesystem and a path on it, without protocol and without a trailing slash."""

    fs: AbstractFileSystem
    path: str
    trailing_slash: bool = False
    """Whether the URL ended with a slash, and therefore names a directory."""

    @property
    def url(self) -> str:
        """The path with its protocol; local paths have none."""
        return self.path if self.is_local else str(self.fs.unstrip_protocol(self.path))

    @property
    def is_local(self) -> bool:
        """Whether this is a path on the local disk."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def protocols(self) -> frozenset[str]:
        """All protocol names of the filesystem."""
        known = self.fs.protocol
        return frozenset({known} if isinstance(known, str) else known)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def canonical(self) -> str:
        """The path to compare with others of this filesystem; local ones are real paths, with slashes."""
        return slashed(os.path.normcase(os.path.realpath(self.path))) if self.is_local else self.path

    def is_same(self, other: Location) -> bool:
        """Return whether both are the same file or directory."""
        if self.fs != other.fs:
            return False
        if self.is_local:
            with suppress(OSError):
                # hard links count as the same file
                return Path(self.path).samefile(other.path)
        return self.canonical == other.canonical

    def is_within(self, other: Location) -> bool:
        """Return whether this path is inside the other."""
        return (
            bool(self.fs == other.fs)
            and self.canonical.startswith(_prefix(other.canonical))
            and not self.is_same(other)
        )

    @property
    def prefix(self) -> str:
        """The common prefix of all paths inside this one; empty for an unnamed root, as archives have."""
        return _prefix(self.path)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities that the filesystem declares, or the defaults."""
        declared = getattr(self.fs, "capabilities", None)
        return declared if isinstance(declared, Capabilities) else Capabilities()

    @property
    def has_directories(self) -> bool:
        """Whether directories exist by themselves, so that they can be created; object stores only have keys."""
        return self.capabilities.has_directories and not self.protocols & _OBJECT_STORES

    @property
    def address(self) -> str | None:
        """The account, and the region or endpoint, where the filesystem declares them."""
        return str(self.fs.address) if self.capabilities.container else None

    @property
    def is_here(self) -> bool:
        """Whether the files are on the disk or in the memory of this machine, so that reading them is cheap."""
        return isinstance(self.fs, _THREAD_SAFE)

    @property
    def lists_hide_directories(self) -> bool:
        """Whether a listing may show a file instead of a directory of the same name, where there are both."""
        return isinstance(self.fs, (AbstractArchiveFileSystem, MemoryFileSystem))

    def clock_difference(self) -> float | None:
        """Return by how many seconds the filesystem's clock is ahead of this machine's, in one request.

        None if it cannot be read.
        """
        bucket = self.path.partition("/")[0]
        if self.is_here:
            return 0.0
        if self.capabilities.container:
            known: float | None = self.fs.client.clock_difference(bucket)
            return known
        if self.protocols & S3:
            with suppress(Exception):
                reply = self.fs.call_s3("head_bucket", Bucket=bucket)
                date = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
                return date.timestamp() - time.time()
        return None

    def invalid_keys(self) -> list[str]:
        """Return what is in this directory, and left out of listings because its name is not a valid path."""
        look_up = getattr(self.fs, "invalid_keys", None)
        return list(look_up(self.path)) if look_up is not None else []

    @property
    def is_open_archive(self) -> bool:
        """Whether this is inside an archive opened for writing, which only one instance can do, file by file."""
        return getattr(self.fs, "mode", "r") not in ("r", "rb")

    def at(self, path: str) -> Location:
        """Return another path of the same filesystem."""
        return Location(self.fs, path)

    def join(self, relative: str) -> Location:
        """Return a path inside this one; a ValueError if it cannot be used, see `problem_with`."""
        if problem := self.problem_with(relative):
            raise ValueError(problem)
        return self.at(self.prefix + relative)

    def problem_with(self, relative: str) -> str:
        """Return why a path cannot be used inside this one; empty if it can.

        It leads outside, so that its listing cannot be trusted, or names another file to its filesystem.
        """
        parts, text = relative.split("/"), f"the name {relative!r} cannot be used inside {self.url}"
        if not _NO_NAMES.isdisjoint(parts):
            return f"{text}: a component is empty, '.' or '..'"
        if self.is_local and not are_possible(parts):
            return f"{text}: local files cannot have it"
        if VERSION_MARK in relative and self.protocols & S3:
            other = relative.partition(VERSION_MARK)[0]
            return f"the name {relative!r} cannot be used: s3fs would take it for a version of {other!r}"
        return ""


def _prefix(path: str) -> str:
    return path.rstrip("/") + "/" if path else ""


class ThreadInstances:
    """Filesystem instances per thread.

    Most filesystems are not thread-safe, so fsspec makes one instance per thread; sharing one may mix up contents.
    Each thread gets one instance per filesystem, because every further one opens a connection or reads an archive
    again. The thread that creates this object keeps the original instances.
    """

    def __init__(self) -> None:
        self._owner, self._mine = threading.get_ident(), threading.local()

    def of(self, location: Location) -> Location:
        """Return the location on a filesystem instance that the calling thread may use."""
        if threading.get_ident() == self._owner:
            return location
        # pairs of the original and its replacement: the original is kept, too, so that its id is not reused
        instances: dict[int, tuple[AbstractFileSystem, AbstractFileSystem]]
        instances = vars(self._mine).setdefault("instances", {})
        if id(location.fs) not in instances:
            instances[id(location.fs)] = location.fs, _instance_for_thread(location)
        own = instances[id(location.fs)][1]
        return location if own is location.fs else replace(location, fs=own)


def _instance_for_thread(location: Location) -> AbstractFileSystem:
    fs = location.fs
    if isinstance(fs, DirFileSystem):
        # it is as thread-safe as the filesystem that it wraps
        inner = _instance_for_thread(replace(location, fs=fs.fs))
        return fs if inner is fs.fs else DirFileSystem(fs.path, inner)
    if isinstance(fs, _THREAD_SAFE) or fs.async_impl or location.capabilities.is_thread_safe:
        return fs
    if location.is_open_archive:
        return fs
    # fsspec would cache the instance, and its connection, beyond the end of the thread
    return type(fs)(*fs.storage_args, **fs.storage_options, skip_instance_cache=True)


def open_location(url: str, options: Options | None = None) -> Location:
    """Return the location of a URL, a local path, or an fsspec chain such as ``zip://*::cosv4://…``."""
    if not url:
        raise ValueError("the path is empty: check for an unset variable, or use . for the working directory")
    protocols = {get_protocol(part) for part in url.split("::")}
    if protocols == {"file"}:
        _refuse_missing_slashes(url)
    for protocol in sorted(protocols & _OTHER_CLIENTS - {*available_protocols(), *registry}):
        text = f"Protocol not known: {protocol}: use cosv4:// or cosv3:// for buckets and cdcs:// for coffers; for the"
        xml = "XML API (v5), use s3:// with endpoint_url=https://cos.REGION.myqcloud.com and addressing_style=virtual"
        raise ValueError(f"{text} {xml}")
    given = {name: dict(values) for name, values in (options or {}).items() if name in protocols}
    single = given.pop(get_protocol(url), {}) if "::" not in url else {}
    try:
        fs, path = url_to_fs(url, **single, **given)
    except ImportError as error:
        raise missing_package(error) from error
    bare = path.rstrip("/") or path or fs.root_marker
    if isinstance(fs, LocalFileSystem) and os.sep != "/":
        # a drive without its slash would be the working directory there
        return Location(fs, f"{bare}/" if bare.endswith(":") else bare, url.endswith(("/", os.sep)))
    return Location(fs, bare, url.endswith("/"))


def _refuse_missing_slashes(path: str) -> None:
    """Refuse ``s3:bucket``, as rclone writes it, and ``s3:/bucket``: copies would fill the local disk."""
    protocol, colon, rest = path.partition(":")
    if not colon or protocol in LocalFileSystem.protocol or protocol not in available_protocols():
        return
    if not os.path.lexists(path):
        text = f"{path} is a local path, not a URL"
        raise ValueError(f"{text}: use {protocol}://{rest.lstrip('/')}, or ./{path} if the path is meant")
