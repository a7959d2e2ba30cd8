"""Metadata of files in buckets, and signed URLs."""

from __future__ import annotations

from collections.abc import Mapping

from cosv4fs import paths
from cosv4fs.api import CosClient, PathStatus
from cosv4fs.cache import PathCache
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.info import Attributes
from cosv4fs.namespace import not_found_error


class Metadata:
    """Reads and changes the metadata of files in buckets. Paths have no protocol.

    Parameters
    ----------
    client, cache : CosClient, PathCache
        Shared by all instances with one configuration.
    """

    def __init__(self, client: CosClient, cache: PathCache) -> None:
        self._client, self._cache = client, cache

    def get(self, path: str) -> Attributes:
        """Return the metadata of a path; see `attributes` of the filesystem."""
        status = self._status(path)[1]
        return {
            "biz_attr": status.biz_attr,
            "authority": status.authority,
            "custom_headers": status.custom_headers,
            "forbid": status.forbid,
            "slice_size": status.slice_size,
        }

    def update(
        self, path: str, biz_attr: str | None, authority: str | None, custom_headers: Mapping[str, str] | None
    ) -> None:
        """Change the metadata of a path; see `update_attributes` of the filesystem."""
        key, status = self._status(path)
        if biz_attr is None and authority is None and custom_headers is None:
            return
        headers = None if custom_headers is None else {**status.custom_headers, **custom_headers}
        bucket = paths.split(path)[0]
        try:
            self._client.update(bucket, key, biz_attr=biz_attr, authority=authority, custom_headers=headers)
        finally:
            self._cache.invalidate(path)

    def url(self, path: str, seconds: int) -> str:
        """Return a URL that downloads a file without credentials, valid for `seconds`."""
        return self._client.download_url(*paths.file_key(path), seconds)

    def _status(self, path: str) -> tuple[str, PathStatus]:
        """Return the key and the status of a file or directory."""
        bucket, rest = paths.split(path)
        if not bucket:
            raise not_found_error(path)
        for key in ("/" + rest, f"/{rest}/") if rest else ("/",):
            try:
                status = self._client.stat(bucket, key)
            except CosFileNotFoundError:
                continue
            if not status.is_unfinished:
                return key, status
        raise not_found_error(path)
