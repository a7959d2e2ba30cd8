"""One file of a migration: looked for at the target, copied, checked. Knows no manifest, so that it runs anywhere."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback

from cosv4fs.localfiles import is_part, remove_abandoned
from cosv4fs.migrate.copying import make_directory, read_sha1, recorded_sha1, stream
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, Job, Outcome
from cosv4fs.migrate.places import FLAT, Instances, Place, protocols

__all__ = ["Mover", "Stopped"]

_S3 = frozenset({"s3", "s3a"})
_LONGEST_KEY = 1024
"""Bytes in a key of S3."""


class Stopped(Exception):  # noqa: N818 - it is no error
    """The copy of a file was given up because all work has to end."""


class Mover:
    """Moves files, one after another or on several threads.

    Parameters
    ----------
    source, target : Place
        Two directories.
    verify : bool
        Compare the target's content with what was read, after copying.
    overwrite : bool
        Replace what the target has with another content; if not, or where nothing can be replaced, that is a failure.
    begin : callable, optional
        Called with a path before it is written at the target.
    """

    def __init__(
        self,
        source: Place,
        target: Place,
        *,
        verify: bool,
        overwrite: bool = True,
        begin: Callable[[str], None] = lambda _path: None,
    ) -> None:
        self._source, self._target, self._own = source, target, Instances()
        # where nothing can be replaced, a listing that is late must not be believed either
        overwrite = overwrite and target.capabilities.replaces_files
        self._verify, self._overwrite, self._begin = verify, overwrite, begin
        self._there = _Sizes(target, self._own)

    def move(self, job: Job, callback: Callback) -> Outcome:
        """Bring a file to the target, if it is not there; failures are returned.

        Raises
        ------
        Stopped
            By `callback`, to end this.
        """
        begun: list[str] = []
        try:
            return self._move(job, callback, begun)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other files go on
            return Outcome(job.path, FAILED, error=_describe(error), is_begun=bool(begun))

    def _move(self, job: Job, callback: Callback, begun: list[str]) -> Outcome:
        source, target = (self._own.of(place).below(job.path) for place in (self._source, self._target))
        _check_name(target)
        if job.state == COPIED and job.content is not None and _holds(target, job.size, job.content, callback):
            callback.relative_update(job.size)
            return Outcome(job.path, VERIFIED, job.how, job.content)
        size = self._there.of(job.path, fresh=not self._overwrite)
        if size is not None:
            content = (job.sha or read_sha1(source, callback)) if size == job.size else None
            if content is not None and _sha1(target, callback) == content:
                callback.relative_update(job.size)
                return Outcome(job.path, VERIFIED, "copied" if job.is_written else "found", content)
            if not (self._overwrite or job.is_written):
                raise FileExistsError(errno.EEXIST, "the target has another content, which is kept", target.url)
        begun.append(job.path)
        return self._copy(job, source, target, callback)

    def _copy(self, job: Job, source: Place, target: Place, callback: Callback) -> Outcome:
        if not FLAT & protocols(target):
            self._there.make_folder(job.path)
        self._begin(job.path)

        def accept(count: int, sha: str) -> None:
            if count != job.size:
                text = f"{count} bytes came, {job.size} were listed: it has changed; the next run takes it as it is"
                raise OSError(errno.EIO, text, source.url)
            if job.sha is not None and sha != job.sha:
                text = f"its content has SHA-1 {sha}, the source's record says {job.sha}"
                raise OSError(errno.EIO, text, source.url)

        md5 = hashlib.md5(usedforsecurity=False)
        hashes = (md5,) if self._verify and _S3 & protocols(target) else ()
        _, sha = stream(source, target, callback, hashes=hashes, accept=accept)
        info = _fresh_info(target)
        if info["size"] != job.size:
            text = f"it has {info['size']} bytes instead of {job.size} after copying"
            raise OSError(errno.EIO, text, target.url)
        if self._verify and not (hashes and _is_proven(info, md5.hexdigest())) and _sha1(target, callback, info) != sha:
            raise OSError(errno.EIO, "its content is not what was written", target.url)
        return Outcome(job.path, VERIFIED if self._verify else COPIED, "copied", sha, size=job.size, is_begun=True)


def _holds(target: Place, size: int, content: str, callback: Callback) -> bool:
    try:
        info = _fresh_info(target)
    except FileNotFoundError:
        return False
    return info["size"] == size and _sha1(target, callback, info) == content


def _is_proven(info: dict[str, Any], md5: str) -> bool:
    """Return whether the service has computed the MD5 of what was sent; only then is an ETag that."""
    return str(info.get("ETag", "")).strip('"').lower() == md5


def _sha1(place: Place, callback: Callback, info: dict[str, Any] | None = None) -> str:
    """Return the SHA-1 of a file at the target: the service's own, else that of its bytes."""
    return recorded_sha1(place, info or _fresh_info(place)) or read_sha1(place, callback)


def _fresh_info(place: Place) -> dict[str, Any]:
    place.fs.invalidate_cache(place.path)
    # a listing that another thread has asked for before may be cached only now: who can be told to ask, is told
    refresh = {"refresh": True} if "refresh" in signature(place.fs.info).parameters else {}
    return dict(place.fs.info(place.path, **refresh))


def _check_name(target: Place) -> None:
    if _S3 & protocols(target) and len(target.path.partition("/")[2].encode()) > _LONGEST_KEY:
        raise OSError(errno.ENAMETOOLONG, f"S3 allows {_LONGEST_KEY} bytes for a key", target.url)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class _Sizes:
    """What the target has, by one listing per directory; the last few are cached."""

    _MOST = 16

    def __init__(self, target: Place, own: Instances) -> None:
        self._target, self._own = target, own
        self._known: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._made: set[str] = set()
        self._mutex = threading.Lock()

    def of(self, path: str, *, fresh: bool) -> int | None:
        """Return the size of a file, or None when there is none; `fresh` asks for this one."""
        place = self._own.of(self._target).below(path)
        if fresh:
            try:
                info = _fresh_info(place)
            except FileNotFoundError:
                return None
            return int(info["size"] or 0)
        folder = path.rpartition("/")[0]
        with self._mutex:
            # one listing at a time: all others would ask for the same
            if folder not in self._known:
                self._known[folder] = self._list(folder)
                while len(self._known) > self._MOST:
                    self._known.popitem(last=False)
            self._known.move_to_end(folder)
            return self._known[folder].get(place.name)

    def _list(self, folder: str) -> dict[str, int]:
        place = self._place_of(folder)
        place.fs.invalidate_cache(place.path)
        try:
            found = place.fs.ls(place.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        if place.is_local:
            for info in found:
                if is_part(Path(info["name"]).name):
                    remove_abandoned(info["name"])
        return {info["name"].rpartition("/")[2]: int(info["size"] or 0) for info in found if info["type"] == "file"}

    def make_folder(self, path: str) -> None:
        """Make the directory of a file, unless that was done."""
        folder = path.rpartition("/")[0]
        if folder not in self._made:
            make_directory(self._place_of(folder))
            self._made.add(folder)

    def _place_of(self, folder: str) -> Place:
        target = self._own.of(self._target)
        return target.below(folder) if folder else target
