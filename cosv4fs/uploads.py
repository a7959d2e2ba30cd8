"""Uploads that were never finished: seeing them, giving them up, and cleaning up after dead processes."""

from __future__ import annotations

import time
from typing import Any

from cosv4fs import paths
from cosv4fs.api import Entry
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.rearranging import Rearranging
from cosv4fs.transfer.publish import discard_sibling, remove_unfinished
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
            folder = paths.parent(path)
        try:
            return [found for found in self._uploads_in(folder)[0] if _is_for(found, path)]
        except CosFileNotFoundError:
            return []

    def abort_upload(self, path: str) -> None:
        """Give up the unfinished uploads of one file: they are removed, a complete object stays.

        Raises
        ------
        FileNotFoundError
            There is no unfinished upload.
        """
        path = self._strip_protocol(path)
        found = [upload for upload in self._uploads_in(paths.parent(path))[0] if _is_for(upload, path)]
        if not found:
            raise missing(path)
        for upload in found:
            self._abort(upload)

    def clean_uploads(self, path: str, older_than: float = 86400.0) -> list[dict[str, Any]]:
        """Remove unfinished uploads below a directory, hidden siblings of dead uploads included.

        Parameters
        ----------
        older_than : float
            Only those that were begun, or last changed, at least so many seconds ago: others may be under way.

        Returns
        -------
        list of dict
            What was removed, as `uploads` describes it.
        """
        limit = time.time() - older_than
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

    def _uploads_in(self, path: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the uploads in one directory, and its directories."""
        entries = self.namespace.everything(path)
        files = [entry for entry in entries if not entry.is_directory]
        uploads = [_describe(path, entry) for entry in files if entry.is_unfinished or paths.is_sibling(entry.name)]
        return uploads, [f"{path}/{entry.name}" for entry in entries if entry.is_directory]


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
