"""The namespace of buckets: a tree of files and real directories.

The service distinguishes files and directories by a trailing slash, so a path may need two requests. The bytes of an
unfinished upload are at its path or at a hidden sibling beside it: readers never see either; `everything` includes them
for callers that have to remove them.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fsspec.utils import glob_translate

from cosv4fs import paths
from cosv4fs.api import CosClient, Entry, PathStatus
from cosv4fs.api.paging import bounded
from cosv4fs.errors import CosFileNotFoundError, CosPermissionError, make_error, refused_before
from cosv4fs.info import Info, UploadInfo, directory_info
from cosv4fs.namespace.base import ErrorHandler, Namespace, not_found_error, omit_missing
from cosv4fs.transfer.target import discard_sibling


def _info(path: str, found: Entry | PathStatus) -> Info:
    info = directory_info(path)
    if not found.is_directory:
        info.update({"size": found.size, "type": "file", "sha": found.sha})
        if isinstance(found, PathStatus) and found.content_type:
            info["content_type"] = found.content_type
    if found.created or found.modified:
        info["created"] = float(found.created or found.modified)
    if found.modified:
        info["mtime"] = float(found.modified)
    return info


class BucketNamespace(Namespace):
    """The namespace of buckets; see `Namespace`."""

    _client: CosClient

    @property
    def _anon(self) -> bool:
        """Whether requests are not signed: the service then only answers those for files."""
        return self._client.config.anon

    def check_name(self, path: str) -> None:
        """Refuse names that are not valid in directories, and those of hidden siblings."""
        paths.check_new(path)

    def check_empty_directory(self, path: str) -> None:
        """Refuse a directory that cannot be created, and does not exist either; see `Namespace`."""
        if paths.uncreatable(path) and not self.is_directory(path):
            paths.check_directory_names(path)

    def info(self, path: str, trust_absence: bool = False) -> Info:
        """Return the info of a file or directory; at most two requests."""
        if not path:
            return directory_info("")
        known = self.cache.info(path)
        if known is not None:
            return known
        if trust_absence and self.cache.is_absent(path):
            raise not_found_error(path)
        return self._file_status(path) or self._directory_or_nothing(path)

    def _directory_or_nothing(self, path: str) -> Info:
        try:
            return self.directory(path)
        except CosPermissionError:
            # without keys, the service only answers requests for files, and there is no such file
            if not self._anon or "/" not in path:
                raise
            text = "no such file; without keys (anon=True), it is unknown whether this is a directory"
            raise make_error(errno.ENOENT, text, path) from None

    def directory(self, path: str) -> Info:
        """Return the info of a directory; at most one request."""
        if not path:
            return directory_info("")
        known = self.cache.info(path)
        if known is not None:
            if known["type"] != "directory":
                raise not_found_error(path)
            return known
        revision = self.cache.revision
        with self._explained(path):
            info = _info(path, self._client.stat(*paths.directory_key(path)))
        self.cache.store_info(info, revision)
        return info

    def is_directory(self, path: str) -> bool:
        """Return whether the path is a directory, by its first page of entries.

        It costs one request, as a status would. A page that is the whole listing is cached, because callers usually
        list the directory next.
        """
        if not path or self.cache.is_directory(path):
            return True
        if self.cache.info(path) is not None or self.cache.is_absent(path):
            return False
        revision = self.cache.revision
        try:
            with self._explained(path):
                entries, is_complete = self._client.list_first(*paths.directory_key(path))
            if not entries:
                # some servers return an empty listing for a missing directory
                self.directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self.cache.store_directory(path, revision)
        if is_complete:
            self.cache.store_listing(path, _visible(path, entries), revision)
        return True

    def _file_status(self, path: str) -> Info | None:
        bucket, rest = paths.split(path)
        if not rest or paths.is_sibling(rest):
            # a sibling may already be complete, waiting for the end of its transaction
            return None
        revision = self.cache.revision
        try:
            status = self._client.file_status(bucket, "/" + rest)
        except CosFileNotFoundError:
            return None
        return None if status.is_unfinished else self.store_status(path, status, revision)

    def store_status(self, path: str, status: PathStatus, revision: int) -> Info:
        """Cache a status that was requested at a revision of the cache, and return it as an info."""
        info = _info(path, status)
        self.cache.store_info(info, revision)
        return info

    def exists(self, path: str) -> bool:
        """Return whether the path is a file or directory."""
        # without keys, `info` only knows that there is no such file
        return super().exists(path) or (self._anon and self.is_directory(path))

    def has_directory(self, path: str) -> bool:
        """Return whether the path is a directory, in one request; False if that is unknown without keys."""
        try:
            return super().has_directory(path)
        except PermissionError:
            if not self._anon:
                raise
            return False

    def _entries(self, path: str, prefix: str = "") -> list[Info]:
        """Return the infos of a directory's visible entries whose names start with `prefix`."""
        known = self.cache.listing(path)
        if known is not None:
            return [info for info in known if _name(info).startswith(prefix)]
        revision = self.cache.revision
        # a prefix of dots would be a relative URL
        prefix = "" if prefix in (".", "..") else prefix
        found = self.everything(path, prefix)
        infos = _visible(path, found)
        if not prefix:
            if not found:
                # some servers return an empty listing for a missing directory
                self.directory(path)
            self.cache.store_listing(path, infos, revision)
        return infos

    @property
    def _scheme(self) -> str:
        return f"{self._client.protocol.name}://"

    def _scanned(self, path: str, *, recursive: bool) -> Iterator[Info]:
        """Yield the infos of a directory's visible entries, with `recursive` the deepest directories first."""
        folders = [path]
        while folders:
            folder = folders.pop()
            try:
                for info in self._scanned_folder(folder):
                    yield info
                    if recursive and info["type"] == "directory":
                        folders.append(info["name"])
            except CosFileNotFoundError:
                # a directory that was removed meanwhile
                if folder == path:
                    raise

    def _scanned_folder(self, path: str) -> Iterator[Info]:
        is_empty = True
        for entry in self.each(path):
            is_empty = False
            if entry.is_directory or not _is_hidden(entry):
                yield _info(f"{path}/{entry.name}", entry)
        if is_empty:
            # some servers return an empty listing for a missing directory
            with self._explained(path):
                self._client.stat(*paths.directory_key(path))

    def _is_file_now(self, path: str) -> bool:
        return self._file_status(path) is not None

    def everything(self, path: str, prefix: str = "") -> list[Entry]:
        """Return all entries of a directory, including unfinished uploads and hidden siblings, never from the cache."""
        return list(bounded(self.each(path, prefix), path))

    def each(self, path: str, prefix: str = "") -> Iterator[Entry]:
        """Yield what `everything` returns as its pages arrive."""
        if not path:
            raise NotImplementedError(f"the JSON API cannot list buckets: name one, as in {self._scheme}bucket/")
        bucket, key = paths.directory_key(path)
        with self._explained(path):
            yield from (entry for entry in self._client.list(bucket, key, prefix) if entry.name)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        """Explain refused requests for directories without keys, unless the text says what was wrong with keys."""
        before = refused_before()
        try:
            yield
        except CosPermissionError as error:
            if self._anon and not before:
                text = "without keys (anon=True), directories cannot be read: name a file in full"
                raise make_error(errno.EACCES, f"{text} ({error.strerror})", path, error) from error
            raise

    def _descendants(self, path: str, maxdepth: int | None, name_prefix: str, on_error: ErrorHandler) -> list[Info]:
        """Return the infos of everything under a directory: one request per page, several directories at once."""
        out: list[Info] = []
        first = self._entries(path, name_prefix)
        level, depth = [[info for info in first if _name(info).startswith(name_prefix)]], 1
        while level:
            infos = [info for listing in level for info in listing]
            out += infos
            folders = [info["name"] for info in infos if info["type"] == "directory"]
            if maxdepth is not None and depth >= maxdepth:
                break
            level = self._pool.map(lambda folder: self._entries_or(on_error, folder), folders)
            depth += 1
        return out

    def _matches(self, pattern: str) -> list[Info]:
        """Return the infos of what matches a pattern without ``**``, level by level.

        Only directories that match so far are listed, each by the literal start of the next part.
        """
        parts = pattern.split("/")
        first = next(index for index, part in enumerate(parts) if paths.MAGIC.search(part))
        if first == 0:
            raise NotImplementedError(
                f"the JSON API cannot list buckets: a pattern needs one, as in {self._scheme}bucket/*"
            )
        level, matched = ["/".join(parts[:first])], []
        for index in range(first, len(parts)):
            matched = self._match_level(level, parts[index])
            level = [info["name"] for info in matched if info["type"] == "directory"]
        return matched

    def _match_level(self, folders: list[str], part: str) -> list[Info]:
        prefix = paths.literal_start(part)
        wanted = re.compile(glob_translate(part))

        def matching(folder: str) -> list[Info]:
            found = self._entries_or(omit_missing, folder, prefix)
            return [info for info in found if wanted.match(_name(info))]

        return [info for infos in self._pool.map(matching, folders) for info in infos]

    def _entries_or(self, on_error: ErrorHandler, path: str, prefix: str = "") -> list[Info]:
        """Return the same as `_entries`; nothing after an error that is handled."""
        try:
            return self._entries(path, prefix)
        except OSError as error:
            on_error(error)
            return []

    # -- unfinished uploads ----------------------------------------------------------------------------------------

    def uploads(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one file, or under a directory."""
        try:
            return self._uploads_under(path)
        except CosFileNotFoundError:
            return self._uploads_of_file(path)

    def abort_upload(self, path: str) -> None:
        """Remove the unfinished uploads of one file; a complete object stays."""
        found = self._uploads_of_file(path)
        if not found:
            raise not_found_error(path)
        for upload in found:
            self._remove_upload(upload)

    def _remove_upload(self, upload: UploadInfo) -> None:
        bucket, key = paths.file_key(upload["place"])
        if upload["place"] != upload["name"]:
            discard_sibling(self._client, bucket, key)
        elif self._holds_upload(bucket, key):
            # the service knows no condition for a removal: an upload that its owner completes in between is lost
            self._client.delete(bucket, key)
        self.cache.invalidate(upload["place"])

    def _uploads_under(self, path: str) -> list[UploadInfo]:
        out: list[UploadInfo] = []
        level = [path]
        while level:
            found = self._pool.map(self._uploads_in, level)
            out += [upload for uploads, _ in found for upload in uploads]
            level = [folder for _, folders in found for folder in folders]
        return out

    def _uploads_in(self, path: str) -> tuple[list[UploadInfo], list[str]]:
        """Return the uploads and the directories in a directory; its files, which may be many, are not kept."""
        entries = self.everything(path)
        return _upload_infos(path, entries), [f"{path}/{entry.name}" for entry in entries if entry.is_directory]

    def _uploads_of_file(self, path: str) -> list[UploadInfo]:
        folder, _, name = path.rpartition("/")
        try:
            entries = self.everything(folder)
        except CosFileNotFoundError:
            return []
        found = [upload for upload in _upload_infos(folder, entries) if _is_for(upload, path)]
        whole = [entry for entry in entries if entry.name == name and not (entry.is_directory or entry.is_unfinished)]
        if whole and self._holds_upload(*paths.file_key(path)):
            # all slices were sent, but the upload was not finished: listings show it as an object
            found.append(_upload_info(folder, whole[0]))
        return found

    def _holds_upload(self, bucket: str, key: str) -> bool:
        """Return whether an unfinished upload stands at a key, and no object that can be read.

        Such an object is never removed, not even together with an upload that was to replace it.
        """
        return self._client.is_uploading(bucket, key) and not self._is_readable(bucket, key)

    def _is_readable(self, bucket: str, key: str) -> bool:
        """Return whether there is an object: an upload that has all its slices only looks like one."""
        if self._client.stat(bucket, key).is_unfinished:
            return False
        try:
            self._client.fetch(bucket, key, lambda length, _: memoryview(bytearray(length)), 0, 1)
        except CosFileNotFoundError:
            return False
        return True


def _visible(path: str, entries: Iterable[Entry]) -> list[Info]:
    """Return the infos of entries other than unfinished uploads and hidden siblings."""
    shown = (entry for entry in entries if entry.is_directory or not _is_hidden(entry))
    return [_info(f"{path}/{entry.name}", entry) for entry in shown if entry.name]


def _is_hidden(entry: Entry) -> bool:
    return entry.is_unfinished or paths.is_sibling(entry.name)


def _name(info: Info) -> str:
    return str(info["name"]).rpartition("/")[2]


def _upload_infos(folder: str, entries: list[Entry]) -> list[UploadInfo]:
    return [_upload_info(folder, entry) for entry in entries if not entry.is_directory and _is_hidden(entry)]


def _is_for(upload: UploadInfo, path: str) -> bool:
    return upload["place"] == path or upload["name"] in (path, paths.shortened(path))


def _upload_info(folder: str, entry: Entry) -> UploadInfo:
    place = f"{folder}/{entry.name}"
    return {
        "name": paths.sibling_target(place) or place,
        "place": place,
        "size": entry.size,
        "stored": entry.stored,
        "mtime": float(entry.modified),
    }
