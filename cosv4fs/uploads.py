"""Uploads that were never finished: seeing them, giving them up, and cleaning up after dead processes."""

from __future__ import annotations

from typing import Any

from cosv4fs import paths
from cosv4fs.api import Entry
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.rearranging import Rearranging
from cosv4fs.transfer.publish import discard_sibling, holds_unfinished, remove_unfinished
from cosv4fs.tree import missing

__all__ = ["Uploads"]


class Uploads(Rearranging):
    """The questions and actions about what readers do not see."""

    def uploads(self, path: str) -> list[dict[str, Any]]:
        """Return the unfinished uploads of one file, or below a directory.

        Returns
        -------
        list of dict
            ``name`` (the path that the upload is for), ``place`` (the path that holds its bytes: the same, or a
            hidden sibling), ``size`` and ``stored`` (bytes declared and received) and ``mtime`` (Unix seconds).
        """
        path = self._strip_protocol(path)
        try:
            return self._uploads_below(path)
        except CosFileNotFoundError:
            return self._uploads_of(path)

    def abort_upload(self, path: str) -> None:
        """Give up the unfinished uploads of one file: they are removed, a complete object stays.

        Raises
        ------
        FileNotFoundError
            There is no unfinished upload.
        """
        path = self._strip_protocol(path)
        found = self._uploads_of(path)
        if not found:
            raise missing(path)
        for upload in found:
            self._abort(upload)

    def clean_uploads(self, path: str, older_than: float = 86400.0) -> list[dict[str, Any]]:
        """Remove unfinished uploads below a directory, hidden siblings of dead uploads included.

        Parameters
        ----------
        older_than : float
            Only those that were begun, or last changed, at least so many seconds ago by the service's clock: others may
            be in flight.

        Returns
        -------
        list of dict
            What was removed, as `uploads` describes it.
        """
        # the times of uploads are the service's: by a clock that is ahead of it, those in flight would look stale
        limit = self.client.server_time(paths.split(self._strip_protocol(path))[0]) - older_than
        old = [upload for upload in self.uploads(path) if upload["mtime"] <= limit]
        self.workers.each(self._abort, old)
        return old

    def _abort(self, upload: dict[str, Any]) -> None:
        bucket, key = paths.file_key(upload["place"])
        if upload["place"] == upload["name"]:
            remove_unfinished(self.client, bucket, key)
        else:
            discard_sibling(self.client, bucket, key)
        self._remembered.forget(upload["place"])

    def _uploads_below(self, path: str) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        level = [path]
        while level:
            answers = self.workers.each(self._uploads_in, level)
            out += [upload for uploads, _ in answers for upload in uploads]
            level = [folder for _, folders in answers for folder in folders]
        return out

    def _uploads_of(self, path: str) -> list[dict[str, Any]]:
        """Return the uploads of one file."""
        folder, _, name = path.rpartition("/")
        try:
            entries = self.namespace.everything(folder)
        except CosFileNotFoundError:
            return []
        found = [upload for upload in _described(folder, entries) if _is_for(upload, path)]
        whole = [entry for entry in entries if entry.name == name and not (entry.is_directory or entry.is_unfinished)]
        if whole and holds_unfinished(self.client, *paths.file_key(path)):
            # another client has sent all slices and has not finished: in a listing it looks like an object
            found.append(_describe(folder, whole[0]))
        return found

    def _uploads_in(self, path: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the uploads in one directory, and its directories."""
        entries = self.namespace.everything(path)
        return _described(path, entries), [f"{path}/{entry.name}" for entry in entries if entry.is_directory]


def _described(folder: str, entries: list[Entry]) -> list[dict[str, Any]]:
    files = [entry for entry in entries if not entry.is_directory]
    return [_describe(folder, entry) for entry in files if entry.is_unfinished or paths.is_sibling(entry.name)]


def _is_for(upload: dict[str, Any], path: str) -> bool:
    return upload["place"] == path or upload["name"] in (path, paths.shortened(path))


def _describe(folder: str, entry: Entry) -> dict[str, Any]:
    place = f"{folder}/{entry.name}"
    return {
        "name": paths.sibling_target(place) or place,
        "place": place,
        "size": entry.size,
        "stored": entry.stored,
        "mtime": float(entry.modified),
    }
