"""Read and change what buckets store beside the content of files and directories."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

from cosv4fs import paths
from cosv4fs.api import CosClient, PathStatus
from cosv4fs.attributes import Attributes, Changes, acl_name, attributes_in
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosFileNotFoundError, make_error
from cosv4fs.namespace import BucketNamespace


class StoredAttributes:
    """Reads and changes attributes (cos.md#stat and cos.md#update); `namespace` has the cache to invalidate."""

    def __init__(self, client: CosClient, pool: Pool, namespace: BucketNamespace) -> None:
        self._client, self._pool, self._namespace = client, pool, namespace

    def read(self, path: str) -> Attributes:
        """Return the attributes of a file or directory; see `attributes` of the filesystem."""
        revision = self._namespace.cache.revision
        status = self._status(path)[2]
        # a copy reads the content next
        self._namespace.store_status(path, status, revision)
        shows_headers = not status.is_directory and self._client.protocol.reports_headers
        found = attributes_in(status.custom_headers) if shows_headers else Attributes()
        found["biz_attr"] = status.biz_attr
        if status.authority and not status.is_directory:
            found["authority"] = acl_name(status.authority)
        return found

    def change(self, path: str, changes: Changes) -> None:
        """Change attributes; see `setxattrs` of the filesystem."""
        bucket, key, status = self._status(path)
        if status.is_directory and (changes.headers or changes.authority is not None):
            raise make_error(errno.EISDIR, "a directory has no attribute but biz_attr", path)
        values: dict[str, Any] = {"biz_attr": changes.biz_attr, "authority": changes.authority}
        if changes.headers:
            # some servers replace all headers by those that are sent
            values["custom_headers"] = changes.applied_to(status.custom_headers)
        if all(value is None for value in values.values()):
            return
        try:
            self._client.update(bucket, key, **values)
            if changes.removed:
                self._check_removed(path, changes)
        finally:
            self._namespace.cache.invalidate(path)

    def _check_removed(self, path: str, changes: Changes) -> None:
        """Raise ENOTSUP if the service kept headers that were to be removed (cos.md#custom-headers)."""
        stored = {name.lower() for name in self._status(path)[2].custom_headers}
        kept = [name for name in changes.removed if name.lower() in stored]
        if kept:
            others = "the other attributes were changed; " if changes.changes_more_than(kept) else ""
            text = f"the service has not removed {', '.join(kept)}: {others}to drop it, write the file again without it"
            raise make_error(errno.ENOTSUP, text, path)

    def set_authority(self, path: str, authority: str, *, recursive: bool) -> None:
        """Set the permission of one file, or of all files under a directory; see `chmod` of the filesystem."""
        if not recursive:
            self._set_authority_of_file(path, authority)
            return
        # a file that is missing in a stale listing would keep its permission
        self._namespace.cache.invalidate(path)
        found = list(self._namespace.find(path, None, "", withdirs=False))
        if not found:
            self._namespace.directory(path)

        def change(name: str) -> None:
            # another client may have removed it
            with suppress(CosFileNotFoundError):
                self._set_authority_of_file(name, authority)

        self._pool.map(change, found)

    def _set_authority_of_file(self, path: str, authority: str) -> None:
        try:
            self._client.update(*paths.file_key(path), authority=authority)
        except CosFileNotFoundError as error:
            if self._namespace.has_directory_now(path):
                text = "a directory has no permission: use recursive=True to change those of all files in it"
                raise make_error(errno.EISDIR, text, path) from error
            raise
        finally:
            self._namespace.cache.invalidate(path)

    def _status(self, path: str) -> tuple[str, str, PathStatus]:
        """Return the bucket, the key and the status of a file or directory."""
        bucket, rest = paths.split(path)
        if rest:
            with suppress(CosFileNotFoundError):
                status = self._client.stat(bucket, f"/{rest}")
                if not status.is_unfinished:
                    return bucket, f"/{rest}", status
        key = f"/{rest}/" if rest else "/"
        return bucket, key, self._client.stat(bucket, key)
