"""`CosV4FileSystem` and `CosV3FileSystem`: filesystems for buckets behind the JSON API."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar

from fsspec.core import has_magic

from cosv4fs import bulk
from cosv4fs.api import CosClient, CosV3Client, CosV4Client
from cosv4fs.errors import CosFileExistsError, CosPossiblyCreatedError
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.info import Attributes
from cosv4fs.metadata import Metadata
from cosv4fs.namespace import BucketNamespace
from cosv4fs.options import lists_options
from cosv4fs.rearranging import Rearranging
from cosv4fs.service import V3, V4

C = TypeVar("C", bound=CosClient)


class BucketFileSystem(ObjectFileSystem[C, BucketNamespace]):
    """Base of the filesystems for buckets: everything that both versions of the JSON API can do."""

    @property
    def _rearranging(self) -> Rearranging:
        copies_on_server = self.capabilities.copies_on_server
        return Rearranging(self.client, self.pool, self.namespace, copies_on_server=copies_on_server)

    @property
    def _metadata(self) -> Metadata:
        return Metadata(self.client, self.namespace.cache)

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
        """Create a directory.

        Parameters
        ----------
        path : str
            The directory.
        create_parents : bool
            Also create missing parents.
        mode : int, optional
            Ignored: the service has no such permissions.

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

        Files are removed first, several at once, then directories, the deepest first.

        Parameters
        ----------
        path : str or list of str
            Paths or patterns.
        recursive : bool
            Also remove directories.
        maxdepth : int, optional
            Levels to remove under each path; directories that are not empty then remain.

        Raises
        ------
        FileNotFoundError
            Nothing matches.
        """
        self._rearranging.remove(self.expand_path(path), recursive=recursive, maxdepth=maxdepth)

    def cp_file(self, path1: str, path2: str) -> None:
        """Copy one file, replacing the target; within a bucket the server copies if the API can.

        A directory is created without its contents.

        Raises
        ------
        FileNotFoundError
            The source does not exist.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        self._rearranging.copy_file(source, target, self._copy_through)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Move files, one by one, replacing targets; within a bucket the server moves them.

        A source is removed only after its own move has succeeded.

        Raises
        ------
        IsADirectoryError
            A source is a directory, and `recursive` is False.
        OSError
            EINVAL, before anything is moved: one move of a list would replace the source or target of another.
            ESTALE: a file changed while it was copied to another bucket; it is not removed.
        """
        rearranging = self._rearranging
        if isinstance(path1, (str, os.PathLike)) and not recursive:
            source = self._strip_protocol(path1)
            if not has_magic(source) or bulk.is_literal(self, source):
                rearranging.move_file(source, self._into(path2, source), self._copy_through)
                return
        planned = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        pairs = [(self._strip_protocol(source), self._strip_protocol(target)) for source, target in planned]
        rearranging.move_pairs(bulk.check_moves(pairs), self._copy_through)

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
        return self._metadata.get(self._strip_protocol(path))

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
        path : str
            A file, or a directory, which only has `biz_attr`.
        biz_attr : str, optional
            Any text.
        authority : str, optional
            ``eInvalid`` (that of the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            Headers of downloads to add or change: Cache-Control, Content-Type, Content-Disposition,
            Content-Language, Content-Encoding and ``x-cos-meta-*``. Other headers are kept.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        self._metadata.update(self._strip_protocol(path), biz_attr, authority, custom_headers)

    def sign(self, path: str, expiration: int = 100) -> str:
        """Return a URL that reads one file without credentials.

        The service also accepts the signature for files whose paths begin with this one. The URL cannot be used to
        write, list or delete.

        Parameters
        ----------
        path : str
            The file.
        expiration : int
            Validity in seconds, at most 92 days.

        Raises
        ------
        ValueError
            `expiration` is not a whole number, or out of range.
        IsADirectoryError
            The path is a bucket.
        """
        return self._metadata.url(self._strip_protocol(path), expiration)

    def url(self, path: str, expiration: int = 100, expires: int | None = None) -> str:
        """Return the same as `sign`, with the names of s3fs: `expires` overrides `expiration`."""
        return self.sign(path, expiration if expires is None else expires)


@lists_options(V4.protocol)
class CosV4FileSystem(BucketFileSystem[CosV4Client]):
    """Filesystem for buckets of Tencent Cloud COS behind the JSON API v4 (``cosv4://bucket/dir/name``).

    Options that are not given come from the environment, from a profile, or from the section ``cosv4`` of fsspec's
    configuration.

    Raises
    ------
    MissingCredentialsError
        A part of the account is given nowhere; a `PermissionError` and `ValueError` that names the ways to set it.
    TypeError
        An option is unknown, or has the wrong type.
    ValueError
        An option has an invalid value, or is of no use for COS v4.

    Examples
    --------
    >>> fs = CosV4FileSystem(appid=1250000000, secret_id="…", secret_key="…", region="gz")
    >>> fs.pipe_file("bucket/dir/hello.txt", b"hello")  # doctest: +SKIP
    """

    protocol = "cosv4"
    service = V4

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


@lists_options(V3.protocol)
class CosV3FileSystem(BucketFileSystem[CosV3Client]):
    """Filesystem for buckets of Tencent Cloud COS behind the JSON API v3 (``cosv3://bucket/dir/name``).

    It is used like `CosV4FileSystem`. Options that are not given come from the environment, from a profile, or from
    the section ``cosv3`` of fsspec's configuration.

    The service needs the SHA-1 of an object before its first slice (cos.md#v3). An object that is written in steps is
    therefore spooled until it is closed, even if its size is known. Copies pass through this machine, and ``biz_attr``
    is the only attribute that can be changed.

    Raises
    ------
    MissingCredentialsError
        A part of the account is given nowhere; a `PermissionError` and `ValueError` that names the ways to set it.
    TypeError
        An option is unknown, or has the wrong type.
    ValueError
        An option has an invalid value, or is of no use for COS v3.
    """

    protocol = "cosv3"
    service = V3

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
