"""Unfinished uploads: list them, abort them, and clean up stale ones.

Readers never see them. In a bucket, the bytes of an unfinished upload are at its path or at a hidden sibling beside it.
In a coffer, an unfinished upload blocks the key of its object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress

from cosv4fs import paths
from cosv4fs.api import Client, CofferClient, CosClient, Entry, PendingUpload
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError, CosUploadSessionError
from cosv4fs.info import UploadInfo
from cosv4fs.namespace import BucketNamespace, not_found_error
from cosv4fs.transfer.publish import discard_sibling, holds_unfinished, remove_unfinished


class UnfinishedUploads(ABC):
    """The unfinished uploads of one service. Paths have no protocol.

    Parameters
    ----------
    client, pool : Client, Pool
        Shared by all instances with one configuration.
    """

    def __init__(self, client: Client, pool: Pool) -> None:
        self._client, self._pool = client, pool

    @abstractmethod
    def find(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one file, or under a directory."""

    @abstractmethod
    def abort(self, path: str) -> None:
        """Remove the unfinished uploads of one file.

        Raises
        ------
        FileNotFoundError
            The file has no unfinished upload.
        """

    @abstractmethod
    def _remove(self, upload: UploadInfo) -> None:
        """Remove one upload, if it is still unfinished."""

    def clean(self, path: str, older_than: float) -> list[UploadInfo]:
        """Remove stale uploads under a directory, and return them.

        Parameters
        ----------
        older_than : float
            Age in seconds since the upload began or last changed. With 0 all are removed; with more, those of unknown
            age stay, because they may be in flight.
        """
        found = self.find(path)
        # the times are the service's: by a local clock that is ahead, uploads in flight would look stale
        limit = self._client.server_time(paths.split(path)[0]) - older_than
        aged = [upload for upload in found if upload["mtime"] or older_than <= 0]
        old = [upload for upload in aged if upload["mtime"] <= limit]
        self._pool.map(self._remove, old)
        return old


class BucketUploads(UnfinishedUploads):
    """Unfinished uploads in buckets.

    Parameters
    ----------
    client, pool, namespace : CosClient, Pool, BucketNamespace
        Shared by all instances with one configuration.
    """

    _client: CosClient

    def __init__(self, client: CosClient, pool: Pool, namespace: BucketNamespace) -> None:
        super().__init__(client, pool)
        self._namespace = namespace

    def find(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one file, or under a directory."""
        try:
            return self._under(path)
        except CosFileNotFoundError:
            return self._of_file(path)

    def abort(self, path: str) -> None:
        """Remove the unfinished uploads of one file; a complete object stays."""
        found = self._of_file(path)
        if not found:
            raise not_found_error(path)
        for upload in found:
            self._remove(upload)

    def _remove(self, upload: UploadInfo) -> None:
        bucket, key = paths.file_key(upload["place"])
        if upload["place"] == upload["name"]:
            remove_unfinished(self._client, bucket, key)
        else:
            discard_sibling(self._client, bucket, key)
        self._namespace.cache.invalidate(upload["place"])

    def _under(self, path: str) -> list[UploadInfo]:
        out: list[UploadInfo] = []
        level = [path]
        while level:
            answers = self._pool.map(self._in_directory, level)
            out += [upload for uploads, _ in answers for upload in uploads]
            level = [folder for _, folders in answers for folder in folders]
        return out

    def _of_file(self, path: str) -> list[UploadInfo]:
        folder, _, name = path.rpartition("/")
        try:
            entries = self._namespace.everything(folder)
        except CosFileNotFoundError:
            return []
        found = [upload for upload in _described(folder, entries) if _is_for(upload, path)]
        whole = [entry for entry in entries if entry.name == name and not (entry.is_directory or entry.is_unfinished)]
        if whole and holds_unfinished(self._client, *paths.file_key(path)):
            # all slices were sent, but the upload was not finished: listings show it as an object
            found.append(_describe(folder, whole[0]))
        return found

    def _in_directory(self, path: str) -> tuple[list[UploadInfo], list[str]]:
        """Return the uploads and the directories in a directory."""
        entries = self._namespace.everything(path)
        return _described(path, entries), [f"{path}/{entry.name}" for entry in entries if entry.is_directory]


def _described(folder: str, entries: list[Entry]) -> list[UploadInfo]:
    files = [entry for entry in entries if not entry.is_directory]
    return [_describe(folder, entry) for entry in files if entry.is_unfinished or paths.is_sibling(entry.name)]


def _is_for(upload: UploadInfo, path: str) -> bool:
    return upload["place"] == path or upload["name"] in (path, paths.shortened(path))


def _describe(folder: str, entry: Entry) -> UploadInfo:
    place = f"{folder}/{entry.name}"
    return {
        "name": paths.sibling_target(place) or place,
        "place": place,
        "size": entry.size,
        "stored": entry.stored,
        "mtime": float(entry.modified),
    }


class CofferUploads(UnfinishedUploads):
    """Unfinished uploads in coffers.

    Parameters
    ----------
    client, pool : CofferClient, Pool
        Shared by all instances with one configuration.
    """

    _client: CofferClient

    def find(self, path: str) -> list[UploadInfo]:
        """Return the unfinished uploads of one object, or under a directory."""
        coffer = paths.split(path)[0]
        found = self._pool.map(lambda upload: self._described(coffer, upload), self._pending(path))
        return [upload for upload in found if upload is not None]

    def abort(self, path: str) -> None:
        """Abort the unfinished uploads of one object, which frees its key."""
        coffer = paths.split(path)[0]
        found = [upload for upload in self._pending(path) if paths.join(coffer, upload.key) == path]
        if not found:
            raise not_found_error(path)
        self._pool.map(lambda upload: self._abort(coffer, upload.key, upload.upload_id), found)

    def _described(self, coffer: str, upload: PendingUpload) -> UploadInfo | None:
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

    def _remove(self, upload: UploadInfo) -> None:
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
