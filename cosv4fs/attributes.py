"""What the JSON API keeps beside contents, and the URLs that it lets others read them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cosv4fs import paths
from cosv4fs.api import CosClient, PathStatus
from cosv4fs.copying import Copying
from cosv4fs.errors import CosFileNotFoundError
from cosv4fs.tree import Tree, missing

__all__ = ["Attributes"]


class Attributes(Copying):
    """Buckets of the JSON API, and what they tell of a path beside its info."""

    @property
    def client(self) -> CosClient:
        """The typed client of the API, for what a filesystem cannot express."""
        return cast(CosClient, self.room.client)

    @property
    def namespace(self) -> Tree:
        """What exists, asked through the caches."""
        return cast(Tree, self.room.tree)

    def attributes(self, path: str) -> dict[str, Any]:
        """Return what the service keeps beside the content.

        Returns
        -------
        dict
            ``biz_attr`` (str), ``authority`` (``eInvalid``: as the bucket), ``custom_headers`` (dict of str),
            ``forbid`` (0 unless the file is blocked) and ``slice_size`` (bytes; 0 for a single upload).

        Raises
        ------
        FileNotFoundError
            There is no such file or directory.
        """
        status = self._attributes(self._strip_protocol(path))[1]
        names = ("biz_attr", "authority", "custom_headers", "forbid", "slice_size")
        return {name: getattr(status, name) for name in names}

    def _attributes(self, path: str) -> tuple[str, PathStatus]:
        bucket, rest = paths.split(path)
        if not bucket:
            raise missing(path)
        for key in ("/" + rest, f"/{rest}/") if rest else ("/",):
            try:
                status = self.client.stat(bucket, key)
            except CosFileNotFoundError:
                continue
            if not status.is_unfinished:
                return key, status
        raise missing(path)

    def update_attributes(
        self,
        path: str,
        biz_attr: str | None = None,
        authority: str | None = None,
        custom_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change what the service keeps beside the content; what is not given stays as it is.

        Parameters
        ----------
        path : str
            A file; for a directory only `biz_attr` can be set.
        biz_attr : str, optional
            A free text.
        authority : str, optional
            ``eInvalid`` (as the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            Headers of downloads to add or change: Cache-Control, Content-Type, Content-Disposition,
            Content-Language, Content-Encoding and ``x-cos-meta-*``. Others that were set before are kept.

        Raises
        ------
        FileNotFoundError
            There is no such file or directory.
        """
        path = self._strip_protocol(path)
        key, status = self._attributes(path)
        if biz_attr is None and authority is None and custom_headers is None:
            return
        headers = None if custom_headers is None else {**status.custom_headers, **custom_headers}
        bucket = paths.split(path)[0]
        try:
            self.client.update(bucket, key, biz_attr=biz_attr, authority=authority, custom_headers=headers)
        finally:
            self._remembered.forget(path)

    def sign(self, path: str, expiration: int = 100) -> str:
        """Return a URL that reads one file without credentials, for `expiration` seconds (at most 92 days).

        It also reads files whose paths go on after this one's: so the service compares signatures. It cannot be used
        to write, list or delete.

        Raises
        ------
        ValueError
            `expiration` is no whole number, or out of range.
        IsADirectoryError
            The path is a bucket.
        """
        return self.client.download_url(*paths.file_key(self._strip_protocol(path)), expiration)

    def url(self, path: str, expiration: int = 100, expires: int | None = None) -> str:
        """Return the same as `sign`, under the name that s3fs uses; as is `expires` for `expiration`."""
        return self.sign(path, expiration if expires is None else expires)
