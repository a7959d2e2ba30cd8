"""`CosV4FileSystem` and `CosV3FileSystem`: filesystems for buckets behind the JSON API."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar

from fsspec.core import has_magic

from cosv4fs import bulk, paths
from cosv4fs.api import CosClient, CosV3Client, CosV4Client, PathStatus
from cosv4fs.errors import CosFileExistsError, CosFileNotFoundError, CosPossiblyCreatedError, make_error
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.info import Attributes
from cosv4fs.namespace import BucketNamespace, not_found_error
from cosv4fs.options import lists_options
from cosv4fs.protocols import V3, V4
from cosv4fs.rearranging import Rearranging
from cosv4fs.runtime import Service
from cosv4fs.transfer.v3 import V3Upload
from cosv4fs.transfer.v4 import V4Upload

_C = TypeVar("_C", bound=CosClient)


class BucketFileSystem(ObjectFileSystem[_C, BucketNamespace]):
    """Base of the filesystems for buckets: everything that both versions of the JSON API can do."""

    @property
    def _rearranging(self) -> Rearranging:
        return Rearranging(self.client, self.pool, self.namespace, self._copy_through)

    # -- directories -----------------------------------------------------------------------------------------------

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty file, or empty an existing one.

        Raises
        ------
        NotImplementedError
            The file exists and `truncate` is False: the service cannot set times.
        FileExistsError
            `truncate` is False, and an unfinished upload of another client blocks the name, or the reply was lost, so
            that the file may be the one that this call has created.
        """
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except CosFileExistsError as error:
            if isinstance(error, CosPossiblyCreatedError) or not self.exists(path):
                raise
            raise NotImplementedError("the service cannot set the time of an existing file") from error

    def mkdir(self, path: str, create_parents: bool = True, mode: int | None = None) -> None:
        """Create a directory, with `create_parents` also missing parents.

        `mode` is ignored: the service has no such permissions.

        Raises
        ------
        FileExistsError
            The path exists.
        FileNotFoundError
            The parent does not exist, and `create_parents` is False.
        NotImplementedError
            The path is a bucket, which the API cannot create.
        """
        path = self._strip_protocol(path)
        if not create_parents:
            self._rearranging.check_parent(path)
        self._rearranging.make_directory(path, exist_ok=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a directory and its parents.

        With `exist_ok`, a bucket costs no request: if it does not exist, the first write fails.

        Raises
        ------
        FileExistsError
            The path is a file, or a directory and `exist_ok` is False.
        """
        self._rearranging.make_directory(self._strip_protocol(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            The path is not a directory.
        OSError
            ENOTEMPTY: the directory is not empty.
        NotImplementedError
            The path is an empty bucket, which the API cannot delete.
        """
        self._rearranging.remove_directory(self._strip_protocol(path))

    # -- removing, copying and moving ------------------------------------------------------------------------------

    def rm_file(self, path: str) -> None:
        """Remove one file.

        An unfinished upload is not a file (see `abort_upload`); with a cold cache it takes one more request to tell.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            The path is not a file.
        """
        self._rearranging.remove_file(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files; with `recursive` also directories, including their unfinished uploads.

        Files are removed first, several at once, then directories, the deepest first. A bucket is emptied and stays,
        because the API cannot delete it.

        Parameters
        ----------
        path : str or list of str
            Paths or patterns.
        maxdepth : int, optional
            Levels to remove under each path; directories that are not empty then remain.

        Raises
        ------
        FileNotFoundError
            Nothing matches a pattern, or one of the paths does not exist: nothing is removed.
        IsADirectoryError
            One of the paths, or a match, is a directory, and `recursive` is False: nothing is removed.
        NotImplementedError
            The path is empty: the API cannot list buckets.
        """
        found = self.expand_path(path)
        if recursive:
            self._rearranging.remove_trees(found, maxdepth)
        else:
            self._rearranging.remove_files(found)

    def cp_file(self, path1: str, path2: str) -> None:
        """Copy one file, replacing the target; within a bucket the server copies if the API can.

        A directory is created without its contents.

        Raises
        ------
        FileNotFoundError
            The source does not exist.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        self._rearranging.copy_file(source, target)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Move files, one by one, replacing targets; within a bucket the server moves them.

        A source is removed only after its own move has succeeded. A bucket that was moved stays, empty.

        Raises
        ------
        FileNotFoundError
            A source does not exist; of several, nothing is moved.
        IsADirectoryError
            A source is a directory, and `recursive` is False; of several, nothing is moved.
        OSError
            EINVAL, before anything is moved: one move of a list would replace the source or target of another.
            ESTALE: a file changed while it was copied to another bucket; it is not removed.
        """
        rearranging = self._rearranging
        if isinstance(path1, (str, os.PathLike)) and not recursive:
            source = self._strip_protocol(path1)
            if not has_magic(source) or bulk.is_literal(self, source):
                rearranging.move_file(source, self._into(path2, source))
                return
        planned = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        checked = bulk.checked_moves(self, planned)
        if not recursive:
            rearranging.check_files(self.expand_path(path1))
        rearranging.move_pairs(checked)

    def _into(self, target: Any, source: str) -> str:
        """Return the target of a file: a path in `target` if that is a directory, or ends with a slash."""
        stripped: str = self._strip_protocol(target)
        inside = str(target).endswith("/") or self.isdir(stripped)
        return f"{stripped}/{source.rpartition('/')[2]}" if inside else stripped

    # -- metadata --------------------------------------------------------------------------------------------------

    def attributes(self, path: str) -> Attributes:
        """Return the metadata of a file or directory that `info` does not have.

        Returns
        -------
        dict
            ``biz_attr`` (str), ``authority`` (``eInvalid``: that of the bucket), ``custom_headers`` (dict of str),
            ``forbid`` (0 unless the file is blocked) and ``slice_size`` (bytes; 0 for a single upload).

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        _, _, status = self._status(self._strip_protocol(path))
        return {
            "biz_attr": status.biz_attr,
            "authority": status.authority,
            "custom_headers": status.custom_headers,
            "forbid": status.forbid,
            "slice_size": status.slice_size,
        }

    def _status(self, path: str) -> tuple[str, str, PathStatus]:
        """Return the bucket, the key and the status of a file or directory."""
        bucket, rest = paths.split(path)
        if not bucket:
            raise not_found_error(path)
        for key in (f"/{rest}", f"/{rest}/") if rest else ("/",):
            try:
                status = self.client.stat(bucket, key)
            except CosFileNotFoundError:
                continue
            if not status.is_unfinished:
                return bucket, key, status
        raise not_found_error(path)

    def update_attributes(
        self,
        path: str,
        biz_attr: str | None = None,
        authority: str | None = None,
        custom_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change metadata; attributes that are not given are left as they are.

        Parameters
        ----------
        biz_attr : str, optional
            Any text; the only attribute of a directory.
        authority : str, optional
            ``eInvalid`` (that of the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            Headers of downloads to add or change: Cache-Control, Content-Type, Content-Disposition,
            Content-Language, Content-Encoding and ``x-cos-meta-*``. Other headers are kept. COS v3 does not show
            them: give all of them there, since some services replace the earlier ones.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        IsADirectoryError
            `authority` or `custom_headers` for a directory.
        """
        path = self._strip_protocol(path)
        bucket, key, status = self._status(path)
        if biz_attr is None and authority is None and custom_headers is None:
            return
        if status.is_directory and (authority or custom_headers):
            text = "a directory has no authority and headers: change those of the files in it, or biz_attr"
            raise make_error(errno.EISDIR, text, path)
        headers = None if custom_headers is None else {**status.custom_headers, **custom_headers}
        try:
            self.client.update(bucket, key, biz_attr=biz_attr, authority=authority, custom_headers=headers)
        finally:
            self.namespace.cache.invalidate(path)

    def sign(self, path: str, expiration: int = 100) -> str:
        """Return a URL that reads one file without credentials.

        The service also accepts the signature for files whose paths begin with this one. The URL cannot be used to
        write, list or delete.

        Parameters
        ----------
        expiration : int
            Validity in seconds, at most 92 days.

        Raises
        ------
        ValueError
            `expiration` is not a whole number, or out of range.
        IsADirectoryError
            The path is a bucket.
        """
        return self.client.download_url(*paths.file_key(self._strip_protocol(path)), expiration)

    def url(self, path: str, expiration: int = 100, expires: int | None = None) -> str:
        """Return the same as `sign`, with the names of s3fs: `expires` overrides `expiration`."""
        return self.sign(path, expiration if expires is None else expires)


@lists_options(V4)
class CosV4FileSystem(BucketFileSystem[CosV4Client]):
    """Filesystem for buckets of Tencent Cloud COS behind the JSON API v4 (``cosv4://bucket/dir/name``).

    Examples
    --------
    >>> fs = CosV4FileSystem(appid=1250000000, secret_id="…", secret_key="…", region="gz")
    >>> fs.pipe_file("bucket/dir/hello.txt", b"hello")  # doctest: +SKIP
    """

    protocol = "cosv4"
    service = Service(V4, CosV4Client, BucketNamespace, V4Upload)

    def __init__(
        self,
        appid: str | int | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        *,
        endpoint_url: str | None = None,
        profile: str | None = None,
        credentials: Callable[[], Mapping[str, Any]] | None = None,
        anon: bool | None = None,
        download_endpoint: str | None = None,
        use_ssl: bool | None = None,
        verify: bool | str | os.PathLike[str] | None = None,
        proxies: Mapping[str, str] | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        max_retries: int | None = None,
        retry_deadline: float | None = None,
        max_concurrency: int | None = None,
        max_requests: int | None = None,
        slice_size: int | None = None,
        single_upload_limit: int | None = None,
        range_size: int | None = None,
        spool_memory: int | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        streaming: Literal["auto", "never", "always"] | None = None,
        checksum: bool | None = None,
        verify_downloads: Literal["known", "always", "never"] | None = None,
        instant_upload: bool | None = None,
        journal_dir: str | os.PathLike[str] | None = None,
        sign_expiry: int | None = None,
        page_size: int | None = None,
        progress: bool | None = None,
        use_listings_cache: bool | None = None,
        listings_expiry_time: float | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        skip_instance_cache: bool = False,
        **unknown: NoReturn,
    ) -> None:
        # all options by name: the base gives them to the table
        super().__init__(locals())


@lists_options(V3)
class CosV3FileSystem(BucketFileSystem[CosV3Client]):
    """Filesystem for buckets of Tencent Cloud COS behind the JSON API v3 (``cosv3://bucket/dir/name``).

    It is used like `CosV4FileSystem`. The service needs the SHA-1 of an object before its first slice (cos.md#v3): an
    object that is written in steps is spooled until it is closed, even if its size is known. Copies pass through this
    machine, and of the attributes that can be changed, only ``biz_attr`` is shown.
    """

    protocol = "cosv3"
    service = Service(V3, CosV3Client, BucketNamespace, V3Upload)

    def __init__(
        self,
        appid: str | int | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        *,
        endpoint_url: str | None = None,
        profile: str | None = None,
        credentials: Callable[[], Mapping[str, Any]] | None = None,
        anon: bool | None = None,
        download_endpoint: str | None = None,
        use_ssl: bool | None = None,
        verify: bool | str | os.PathLike[str] | None = None,
        proxies: Mapping[str, str] | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        max_retries: int | None = None,
        retry_deadline: float | None = None,
        max_concurrency: int | None = None,
        max_requests: int | None = None,
        slice_size: int | None = None,
        single_upload_limit: int | None = None,
        range_size: int | None = None,
        spool_memory: int | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        verify_downloads: Literal["known", "always", "never"] | None = None,
        journal_dir: str | os.PathLike[str] | None = None,
        sign_expiry: int | None = None,
        page_size: int | None = None,
        progress: bool | None = None,
        use_listings_cache: bool | None = None,
        listings_expiry_time: float | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        skip_instance_cache: bool = False,
        **unknown: NoReturn,
    ) -> None:
        # all options by name: the base gives them to the table
        super().__init__(locals())
