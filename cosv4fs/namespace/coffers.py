"""The namespace of coffers: keys without directories, listed in byte order.

A directory is a common prefix of keys up to a slash. The service lists all keys with a prefix, across levels, so one
listing answers for every level under it. A listing may be late (cdcs.md#get-coffer): only HEAD decides whether an
object exists, and every listing includes what this process has written. Readers never see an unfinished upload, which
blocks the key of its object.

A path can be both an object and a directory: the keys ``report`` and ``report/2024.csv`` exist beside each other. Both
`is_file` and `is_directory` are true of it. `info` returns the object; `ls` and `find` return what is under the path.
In listings of its parent it is twice in `ls`, in both lists of a walk, and as the object in `find` and `glob`, beside
what is under it. Copies take both. What is cached makes no difference.

Keys that are not valid paths (with empty parts, ``.`` or ``..``, or with a slash at the end) are left out of listings;
the directories above them are shown. `invalid_keys` returns them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from fsspec.utils import glob_translate

from cosv4fs import paths
from cosv4fs.api import Coffer, CofferClient, PendingUpload, StoredObject, Version
from cosv4fs.api.paging import bounded
from cosv4fs.cache import PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError, CosUploadSessionError
from cosv4fs.forking import Registry, shared_lock
from cosv4fs.info import Info, UploadInfo, directory_info
from cosv4fs.namespace.base import ErrorHandler, Namespace, not_found_error
from cosv4fs.transfer.coffers import exists_error

_LATE = 3600.0
"""Seconds after which listings are expected to include a written object; the documentation names no limit."""

_MOST_WRITTEN = 65536


class Levels:
    """The directories in a listing of the keys under one, each with the infos of its entries."""

    def __init__(self, path: str, objects: Iterable[StoredObject]) -> None:
        self.path = path
        # by name and type
        self.by_folder: dict[str, dict[tuple[str, str], Info]] = {path: {}}
        start = len(paths.directory_key(path)[1])
        for found in objects:
            self._add(found, found.key[start:].split("/"))

    def _add(self, found: StoredObject, parts: list[str]) -> None:
        folder = self.path
        for part in parts[:-1]:
            if not _can_be_named(part):
                return
            child = f"{folder}/{part}"
            if child not in self.by_folder:
                self.by_folder[folder][child, "directory"] = directory_info(child)
                self.by_folder[child] = {}
            folder = child
        if _can_be_named(parts[-1]):
            path = f"{folder}/{parts[-1]}"
            self.by_folder[folder][path, "file"] = _object_info(path, found)

    def infos(self) -> list[Info]:
        """Return the infos of everything."""
        return [info for entries in self.by_folder.values() for info in entries.values()]


class _Written:
    """The objects that this process has written with the keys of one account, with their status once it is known.

    Objects never change, so one request for the status is enough.
    """

    def __init__(self) -> None:
        self._lock = shared_lock()
        # by coffer and key, the oldest first. Every change is one step: Ctrl-C can come between any two
        self._objects: dict[tuple[str, str], tuple[float, StoredObject | None]] = {}

    def note(self, coffer: str, key: str) -> None:
        """Add an object."""
        with self._lock:
            self._objects.pop((coffer, key), None)
            self._objects[coffer, key] = (time.monotonic() + _LATE, None)
            while len(self._objects) > _MOST_WRITTEN or next(iter(self._objects.values()))[0] < time.monotonic():
                del self._objects[next(iter(self._objects))]

    def forget_coffer(self, coffer: str) -> None:
        """Remove all objects of a coffer."""
        with self._lock:
            for place in [place for place in self._objects if place[0] == coffer]:
                self._objects.pop(place, None)

    def with_prefix(self, coffer: str, prefix: str) -> dict[str, StoredObject | None]:
        """Return the objects of a coffer by key, where that starts with a prefix; None for an unknown status."""
        with self._lock:
            now = time.monotonic()
            fresh = ((place, found) for place, (until, found) in self._objects.items() if until >= now)
            return {key: found for (name, key), found in fresh if name == coffer and key.startswith(prefix)}

    def store_status(self, coffer: str, found: StoredObject) -> None:
        """Store a status, unless the coffer was deleted meanwhile."""
        with self._lock:
            known = self._objects.get((coffer, found.key))
            if known is not None:
                self._objects[coffer, found.key] = (known[0], found)


_written_by_account: Registry[_Written] = Registry()


class CofferNamespace(Namespace):
    """The namespace of coffers; see `Namespace`."""

    _client: CofferClient

    def __init__(self, client: CofferClient, pool: Pool, cache: PathCache) -> None:
        super().__init__(client, pool, cache)
        config = client.config
        keys = (config.secret_id, config.secret_key, config.security_token, config.credentials, config.anon)
        self._written = _written_by_account.get((config.api_root, *keys, config.verify, config.proxies), _Written)

    def check_name(self, path: str) -> None:
        """Refuse paths that URLs cannot express: the documentation excludes no other keys."""
        paths.check_valid(path)

    def check_empty_directory(self, path: str) -> None:
        """Accept any: a coffer has no empty directories."""

    def check_free(self, path: str, *, create: bool) -> None:
        """Refuse the path of an object before it is written: nothing can be replaced."""
        self.check_name(path)
        paths.file_key(path)
        # it may have expired
        self.cache.invalidate(path)
        if self.file(path) is not None:
            raise exists_error(path)

    def note_change(self, path: str, *, written: bool) -> None:
        """Invalidate the cache for a path; from now on, listings include an object that was written there."""
        if written:
            self._written.note(*paths.file_key(path))
        super().note_change(path, written=written)

    def forget_coffer(self, coffer: str) -> None:
        """Drop the names of objects that were written to a coffer that was deleted."""
        self._written.forget_coffer(coffer)

    def info(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of an object or directory: one request for an object, two for a directory.

        `trust_absence` has no effect: a listing without the path does not prove that there is no object.
        """
        if not path:
            return directory_info("")
        return self.cache.info(path) or self.file(path) or self.directory(path)

    def version(self, path: str, info: Info | None = None) -> Version | None:
        """Return the version of an object, whose size is needed because only ranges within it are documented."""
        info = info or self.file_info(path)
        return Version(info["size"], info["etag"])

    def file(self, path: str) -> Info | None:
        """Return the info of an object, or None if it does not exist; one request unless it is cached."""
        known = self.cache.info(path)
        if known is not None and known["type"] == "file":
            return known
        coffer, rest = paths.split(path)
        if not rest:
            return None
        revision = self.cache.revision
        found = self._head(coffer, "/" + rest)
        if found is None:
            return None
        info = _object_info(path, found)
        self.cache.store_info(info, revision)
        return info

    def _head(self, coffer: str, key: str) -> StoredObject | None:
        try:
            return self._client.head(coffer, key)
        except CosFileNotFoundError:
            return None

    def directory(self, path: str) -> Info:
        """Return the info of a coffer, or of a directory in one: one page of its keys.

        A page that is the whole listing is cached for all levels.
        """
        is_known = self.cache.shows_directory(path)
        if not path or is_known:
            return directory_info(path)
        coffer, key = paths.directory_key(path)
        if key != "/" and is_known is False:
            # only listings show directories: another one would have the same result
            raise not_found_error(path)
        revision = self.cache.revision
        page = self._client.list_page(coffer, prefix=key)
        entries = [found for found in page.entries if found.key.startswith(key)]
        if page.marker is None:
            entries += self._unlisted(coffer, key, entries)
            if not entries and key != "/":
                raise not_found_error(path)
            self._store(Levels(path, entries), revision)
        self.cache.store_directory(path, revision)
        return directory_info(path)

    def is_directory(self, path: str) -> bool:
        """Return whether the path is a coffer, or a prefix of keys; it may also be an object."""
        return self.has_directory(path)

    def _entries(self, path: str) -> list[Info]:
        """Return the infos of a directory's entries, or of all coffers for the empty path."""
        known = self.cache.listing(path)
        if known is not None:
            return known
        if not path:
            return self._coffers()
        return list(self._listed(path, *paths.directory_key(path)).by_folder[path].values())

    def _descendants(self, path: str, maxdepth: int | None, name_prefix: str, on_error: ErrorHandler) -> list[Info]:
        """Return the infos of everything under a directory: one request per page of keys."""
        if not path:
            return self._in_all_coffers(maxdepth, name_prefix, on_error)
        if name_prefix:
            coffer, rest = paths.split(path)
            found, start = self._with_prefix(coffer, f"{rest}/{name_prefix}".lstrip("/")), f"{path}/{name_prefix}"
            found = [info for info in found if info["name"].startswith(start)]
        else:
            known = self._known_below(path)
            found = self._listed(path, *paths.directory_key(path)).infos() if known is None else known
        if maxdepth is None:
            return found
        return [info for info in found if info["name"].count("/") <= path.count("/") + maxdepth]

    def _in_all_coffers(self, maxdepth: int | None, name_prefix: str, on_error: ErrorHandler) -> list[Info]:
        infos = [info for info in self._entries("") if info["name"].startswith(name_prefix)]
        if maxdepth == 1:
            return infos
        depth = None if maxdepth is None else maxdepth - 1

        def in_coffer(coffer: str) -> list[Info]:
            try:
                return self._descendants(coffer, depth, "", on_error)
            except OSError as error:
                on_error(error)
                return []

        found = self._pool.map(in_coffer, [info["name"] for info in infos])
        return [*infos, *(info for inside in found for info in inside)]

    def _matches(self, pattern: str) -> list[Info]:
        """Return the infos of everything that matches a pattern without ``**``.

        Only keys with the literal prefix of the pattern are listed.
        """
        first, _, rest = pattern.partition("/")
        wanted = re.compile(glob_translate(pattern))
        coffers = [first]
        if paths.MAGIC.search(first):
            named = re.compile(glob_translate(first))
            infos = [info for info in self._entries("") if named.match(info["name"])]
            if not rest:
                return infos
            coffers = [info["name"] for info in infos]
        literal = paths.literal_start(rest)
        found = self._pool.map(lambda coffer: self._with_prefix(coffer, literal), coffers)
        return [info for infos in found for info in infos if wanted.match(info["name"])]

    def _with_prefix(self, coffer: str, literal: str) -> list[Info]:
        """Return the infos of everything in a coffer with a literal prefix; nothing if the coffer does not exist."""
        folder = f"{coffer}/{literal.rpartition('/')[0]}".rstrip("/")
        known = self._known_below(folder)
        if known is not None:
            return known
        try:
            return self._listed(folder, coffer, "/" + literal).infos()
        except CosFileNotFoundError:
            return []

    def _listed(self, folder: str, coffer: str, prefix: str) -> Levels:
        """List the keys in a directory that start with a prefix, and cache the levels that are complete."""
        revision = self.cache.revision
        objects = self._objects(coffer, prefix)
        # without keys there is no directory, but a coffer may be empty
        if not objects and folder != coffer:
            raise not_found_error(folder)
        levels = Levels(folder, objects)
        self._store(levels, revision, is_partial=not prefix.endswith("/"))
        return levels

    def _scanned(self, path: str, *, recursive: bool) -> Iterator[Info]:
        """Yield the infos of a directory's visible entries: its keys come in order, so each directory comes once."""
        if not path:
            for info in [_coffer_info(found) for found in self._client.list_coffers()]:
                yield info
                if recursive:
                    yield from self._scanned(info["name"], recursive=True)
            return
        coffer, prefix = paths.directory_key(path)
        is_empty, above = True, [path]
        for found in self._objects_in_order(coffer, prefix):
            is_empty = False
            parts = found.key[len(prefix) :].split("/")
            *folders, name = parts if recursive else parts[:2]
            yield from self._new_folders(folders, above)
            if _can_be_named(name) and len(folders) == len(above) - 1 and (recursive or len(parts) == 1):
                yield _object_info(f"{above[-1]}/{name}", found)
        # without keys there is no directory, but a coffer may be empty
        if is_empty and path != coffer:
            raise not_found_error(path)

    def _new_folders(self, names: list[str], above: list[str]) -> Iterator[Info]:
        """Yield the directories of a key that those of the key before, which are in `above`, do not include.

        Afterwards, `above` has those of this key, as far as their names are valid.
        """
        folder = above[0]
        for depth, name in enumerate(names, 1):
            folder = f"{folder}/{name}"
            if len(above) > depth and above[depth] == folder:
                continue
            del above[depth:]
            if not _can_be_named(name):
                return
            above.append(folder)
            yield directory_info(folder)
        del above[len(names) + 1 :]

    def _objects_in_order(self, coffer: str, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects with a prefix by key, with those that this process has written and the listing leaves out.

        The service compares bytes. A server that does not keep that order may let a directory come twice.
        """
        ours = self._written.with_prefix(coffer, prefix)
        keys = sorted(ours, key=str.encode, reverse=True)
        listed = (found for found in self._client.list(coffer, prefix) if found.key.startswith(prefix))
        while page := list(islice(listed, self._client.config.page_size)):
            known, last = {found.key for found in page}, page[-1].key.encode()
            late = []
            while keys and keys[-1].encode() <= last:
                late.append(keys.pop())
            late = [key for key in late if key not in known]
            page += self._stored(coffer, {key: ours[key] for key in late})
            yield from sorted(page, key=lambda found: found.key.encode()) if late else page
        yield from self._stored(coffer, {key: ours[key] for key in reversed(keys)})

    def _is_file_now(self, path: str) -> bool:
        coffer, rest = paths.split(path)
        return bool(rest) and self._head(coffer, f"/{rest}") is not None

    def _objects(self, coffer: str, prefix: str) -> list[StoredObject]:
        found = bounded(self._client.list(coffer, prefix), paths.join(coffer, prefix))
        listed = [each for each in found if each.key.startswith(prefix)]
        return listed + self._unlisted(coffer, prefix, listed)

    def _unlisted(self, coffer: str, prefix: str, listed: list[StoredObject]) -> list[StoredObject]:
        """Return the objects that this process has written and a listing leaves out, confirmed by HEAD."""
        ours = self._written.with_prefix(coffer, prefix)
        if not ours:
            return []
        known = {found.key for found in listed}
        return self._stored(coffer, {key: status for key, status in ours.items() if key not in known})

    def _stored(self, coffer: str, ours: dict[str, StoredObject | None]) -> list[StoredObject]:
        """Return the objects by key that exist; those without a status are confirmed by HEAD."""
        found = self._pool.map(lambda key: ours[key] or self._confirmed(coffer, key), ours)
        return [status for status in found if status is not None]

    def _confirmed(self, coffer: str, key: str) -> StoredObject | None:
        found = self._head(coffer, key)
        if found is not None:
            self._written.store_status(coffer, found)
        return found

    def _coffers(self) -> list[Info]:
        revision = self.cache.revision
        infos = [_coffer_info(found) for found in self._client.list_coffers()]
        self.cache.store_listing("", infos, revision)
        return infos

    def invalid_keys(self, path: str) -> list[str]:
        """Return the keys under a directory, or in all coffers, that are not valid paths; never from the cache.

        The empty object that other clients store for a directory, with a slash at the end, is none.
        """
        if not path:
            return [key for info in self._coffers() for key in self.invalid_keys(info["name"])]
        coffer, prefix = paths.directory_key(path)
        return [
            coffer + found.key
            for found in bounded(self._client.list(coffer, prefix), path)
            if found.key.startswith(prefix) and not _is_path(found)
        ]

    def _known_below(self, path: str) -> list[Info] | None:
        """Return the infos of everything under a directory, or None unless all of its levels are cached."""
        out: list[Info] = []
        folders = [path]
        for folder in folders:
            listing = self.cache.listing(folder)
            if listing is None:
                return None
            out += listing
            folders += [info["name"] for info in listing if info["type"] == "directory"]
        return out

    def _store(self, levels: Levels, revision: int, is_partial: bool = False) -> None:
        """Cache all levels; not the first one if only a part of its entries was listed."""
        for folder, entries in levels.by_folder.items():
            if not (is_partial and folder == levels.path):
                self.cache.store_listing(folder, list(entries.values()), revision)

    # -- unfinished uploads ----------------------------------------------------------------------------------------

    def uploads(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one object, or under a directory."""
        coffer = paths.split(path)[0]
        found = self._pool.map(lambda upload: self._upload_info(coffer, upload), self._pending(path))
        return [upload for upload in found if upload is not None]

    def abort_upload(self, path: str) -> None:
        """Abort the unfinished uploads of one object, which frees its key."""
        coffer = paths.split(path)[0]
        found = [upload for upload in self._pending(path) if paths.join(coffer, upload.key) == path]
        if not found:
            raise not_found_error(path)
        self._pool.map(lambda upload: self._abort(coffer, upload.key, upload.upload_id), found)

    def _upload_info(self, coffer: str, upload: PendingUpload) -> UploadInfo | None:
        try:
            parts = self._client.list_parts(coffer, upload.key, upload.upload_id)
        except CosUploadSessionError:
            # the upload has ended meanwhile
            return None
        path = f"{coffer}{upload.key}"
        return {
            "name": path,
            "place": path,
            "upload_id": upload.upload_id,
            "size": None,
            "stored": sum(part.size for part in parts),
            "mtime": float(upload.initiated),
        }

    def _remove_upload(self, upload: UploadInfo) -> None:
        coffer = paths.split(upload["name"])[0]
        self._abort(coffer, upload["name"].removeprefix(coffer), str(upload["upload_id"]))

    def _abort(self, coffer: str, key: str, upload_id: str) -> None:
        with suppress(CosUploadSessionError, CosFileNotFoundError):
            self._client.abort(coffer, key, upload_id)

    def _pending(self, path: str) -> list[PendingUpload]:
        coffer, rest = paths.split(path)
        if not coffer:
            raise ValueError("name a coffer in full, such as examplecoffer-1250000000")
        found = self._client.list_uploads(coffer, f"/{rest}" if rest else "")
        return [upload for upload in found if not rest or f"{upload.key}/".startswith(f"/{rest}/")]


def _object_info(path: str, found: StoredObject) -> Info:
    """Return the info of an object."""
    info: Info = {"name": path, "size": found.size, "type": "file", "etag": found.etag or None}
    if found.modified:
        info.update({"created": float(found.modified), "mtime": float(found.modified)})
    if found.content_type:
        info["content_type"] = found.content_type
    return info


def _coffer_info(found: Coffer) -> Info:
    info = directory_info(found.name)
    if found.created:
        info["created"] = float(found.created)
    return info


def _is_path(found: StoredObject) -> bool:
    """Return whether the key of an object is a path, or a directory's if the object is empty."""
    key = found.key.removesuffix("/") if not found.size else found.key
    return all(map(_can_be_named, key.split("/")[1:]))


def _can_be_named(part: str) -> bool:
    return part not in ("", ".", "..")
