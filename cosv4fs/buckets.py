"""`CosV4FileSystem` and `CosV3FileSystem`: filesystems for buckets behind the JSON API."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from fsspec.core import has_magic

from cosv4fs import expansion, pairing, paths
from cosv4fs.api import CosClient, CosV3Client, CosV4Client
from cosv4fs.arguments import at_once, shows_keywords, whole_or_none
from cosv4fs.attributes import Attributes, attribute_in, parsed_authority, parsed_changes, refuse_in_url
from cosv4fs.errors import CosFileExistsError, CosPossiblyCreatedError
from cosv4fs.files import copy_through
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.namespace import BucketNamespace
from cosv4fs.options import lists_options
from cosv4fs.paths import StrPath
from cosv4fs.protocols import V3, V4
from cosv4fs.rearranging import Rearranging
from cosv4fs.runtime import Service
from cosv4fs.stored_attributes import StoredAttributes
from cosv4fs.transfer.v3 import V3Upload
from cosv4fs.transfer.v4 import V4Upload

if TYPE_CHECKING:
    from typing_extensions import Unpack

_C = TypeVar("_C", bound=CosClient)


class BucketFileSystem(ObjectFileSystem[_C, BucketNamespace]):
    """Base of the filesystems for buckets: everything that both versions of the JSON API can do."""

    @property
    def _rearranging(self) -> Rearranging:
        return Rearranging(self.client, self.pool, self.namespace, partial(copy_through, self))

    # -- directories -----------------------------------------------------------------------------------------------

    @shows_keywords(Attributes)
    def touch(self, path: StrPath, truncate: bool = True, **attributes: Unpack[Attributes]) -> None:
        """Create an empty file, or empty an existing one; for `attributes` see `pipe_file`.

        Raises
        ------
        NotImplementedError
            The file exists and `truncate` is False: the service cannot set times.
        FileExistsError
            `truncate` is False, and an unfinished upload of another client blocks the name, or the reply was lost, so
            that the file may be the one that this call has created.
        """
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **attributes)
        except CosFileExistsError as error:
            if isinstance(error, CosPossiblyCreatedError) or not self.exists(path):
                raise
            raise NotImplementedError("the service cannot set the time of an existing file") from error

    def mkdir(
        self, path: StrPath, create_parents: bool = True, mode: int | None = None, exist_ok: bool = False
    ) -> None:
        """Create a directory, with `create_parents` also missing parents; with `exist_ok` it may exist.

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
        path = self._path(path)
        if not create_parents:
            self._rearranging.check_parent(path)
        if not (exist_ok and self.isdir(path)):
            self._rearranging.make_directory(path, exist_ok=exist_ok)

    def makedirs(self, path: StrPath, exist_ok: bool = False) -> None:
        r"""Create a directory and its parents.

        With `exist_ok`, a bucket costs no request: if it does not exist, the first write fails. Nor is a directory
        created with one of ``? * : | \ < > "`` in its path: many services make it with the first file in it.

        Raises
        ------
        FileExistsError
            The path is a file, or a directory and `exist_ok` is False.
        OSError
            EINVAL: the path has such a character, and `exist_ok` is False.
        """
        self._rearranging.make_directory(self._path(path), exist_ok=exist_ok)

    def rmdir(self, path: StrPath) -> None:
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
        self._rearranging.remove_directory(self._path(path))

    # -- removing, copying and moving ------------------------------------------------------------------------------

    def rm_file(self, path: StrPath) -> None:
        """Remove one file.

        An unfinished upload is not a file (see `abort_upload`); with a cold cache it takes one more request to tell.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            The path is not a file.
        """
        self._rearranging.remove_file(self._path(path))

    def rm(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, batch_size: int | None = None
    ) -> None:
        """Remove files; with `recursive` also directories, including their unfinished uploads.

        Files are removed first, several at once, then directories, the deepest first. A bucket is emptied and stays,
        because the API cannot delete it.

        Parameters
        ----------
        path : str or list of str
            Paths or patterns.
        maxdepth : int, optional
            Levels to remove under each path; directories that are not empty then remain.
        batch_size : int, optional
            Requests in flight at once.

        Raises
        ------
        FileNotFoundError
            Nothing matches a pattern, or one of the paths does not exist: nothing is removed.
        IsADirectoryError
            One of the paths, or a match, is a directory, and `recursive` is False: nothing is removed.
        NotImplementedError
            The path is empty: the API cannot list buckets.
        """
        maxdepth = whole_or_none("maxdepth", maxdepth, 1)
        rearranging, path = self._rearranging.share(at_once("batch_size", batch_size)), expansion.plain(path)
        expansion.invalidate_listings(self, path, recursive=recursive)
        found = self.expand_path(path)
        if recursive:
            rearranging.remove_trees(found, maxdepth)
        else:
            rearranging.remove_files(found)

    def cp_file(self, path1: StrPath, path2: StrPath) -> None:
        """Copy one file with its attributes, replacing the target; within a bucket the server copies if the API can.

        Otherwise the file is read and written again: a permission other than ``private`` is then not carried, and the
        copy has that of its bucket. A directory is created without its contents.

        Raises
        ------
        FileNotFoundError
            The source does not exist.
        """
        source, target = self._path(path1), self._path(path2)
        self._rearranging.copy_file(source, target)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Move files, one by one, replacing targets; within a bucket the server moves them.

        At most `batch_size` are moved at once; `recursive` and `maxdepth` are those of `copy`. A source is removed only
        after its own move has succeeded. A bucket that was moved stays, empty.

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
        rearranging = self._rearranging.share(at_once("batch_size", batch_size))
        if isinstance(path1, (str, os.PathLike)) and not recursive:
            source = self._path(path1)
            if not has_magic(source) or expansion.is_literal(self, source):
                rearranging.move_file(source, self._into(path2, source))
                return
        path1 = expansion.plain(path1)
        pairs = pairing.plan_move(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        if not recursive:
            rearranging.check_files(self.expand_path(path1))
        rearranging.move_pairs(pairs)

    def _into(self, target: Any, source: str) -> str:
        """Return the target of a file: a path in `target` if that is a directory, or ends with a slash."""
        stripped: str = self._path(target)
        inside = str(target).endswith("/") or self.isdir(stripped)
        return f"{stripped}/{source.rpartition('/')[2]}" if inside else stripped

    # -- attributes ------------------------------------------------------------------------------------------------

    @property
    def _attributes(self) -> StoredAttributes:
        return StoredAttributes(self.client, self.pool, self.namespace)

    def attributes(self, path: StrPath) -> Attributes:
        """Return what the service stores beside the content of a file or directory; the service is always asked.

        Writing methods take the same names: ``fs.pipe_file(path, data, **fs.attributes(other))``.

        Returns
        -------
        dict
            ``biz_attr`` (str). For files by v4 also ``metadata`` (dict of str), ``authority`` (``default``: that of
            the bucket) and, if they are set, ``content_type``, ``cache_control``, ``content_disposition``,
            ``content_encoding`` and ``content_language``. The service does not report a content type that was only
            sent along with the content, such as one that was guessed from the name.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        return self._attributes.read(self._path(path))

    def metadata(self, path: StrPath, refresh: bool = False) -> dict[str, str]:
        """Return the user metadata of a file by name, as s3fs does. V3 and directories have none.

        The service is always asked; `refresh` also invalidates what is cached for the path (see `info`).

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        return dict(self.attributes(self._path(path, refresh)).get("metadata", {}))

    def getxattr(self, path: StrPath, attr_name: str) -> Any:
        """Return one attribute of a file; None if it is not set.

        Parameters
        ----------
        attr_name : str
            The name of an attribute (see `attributes`) or of user metadata, in any case.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        return attribute_in(self.attributes(path), attr_name)

    @shows_keywords(Attributes, others=True, default=...)
    def setxattrs(self, path: StrPath, **attributes: Any) -> None:
        """Change attributes of a file; those that are not named are left as they are.

        Parameters
        ----------
        **attributes : str or None
            Attributes by their names (see `attributes`); any other name is that of user metadata, unless it looks like
            a mistyped one (TypeError). ``metadata={"my-name": "text"}`` takes every name. None removes: ``biz_attr``
            becomes empty, and ``authority`` that of the bucket. A directory has only ``biz_attr``.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        NotImplementedError
            An attribute cannot be changed: of v3 any but ``biz_attr``, because no reply shows the others, and a change
            could remove headers unseen.
        ValueError, TypeError
            A name or value is invalid; nothing was changed.
        OSError
            ENOTSUP: a header was to be removed, and the service has kept it; all other changes were made. EISDIR: the
            path is a directory.
        """
        changes = parsed_changes(attributes, self.client.protocol.name)
        self._attributes.change(self._path(path), changes)

    @shows_keywords(Attributes, others=True, default=...)
    def setxattr(self, path: StrPath, **attributes: Any) -> None:
        """Do the same as `setxattrs`, by the name that s3fs has for it; gcsfs and adlfs have the other."""
        self.setxattrs(path, **attributes)

    def chmod(self, path: StrPath, acl: str, recursive: bool = False) -> None:
        """Set who may read a file; only the owner of the bucket can write it in any case.

        Parameters
        ----------
        acl : str
            ``private``, ``public-read`` or ``default`` (the permission of the bucket), or the service's names for
            them: ``eWRPrivate``, ``eWPrivateRPublic`` and ``eInvalid``.
        recursive : bool
            Change all files under a directory, several at once.

        Raises
        ------
        ValueError
            There is no such permission.
        FileNotFoundError
            The path does not exist.
        IsADirectoryError
            The path is a directory, which has no permission, and `recursive` is False.
        NotImplementedError
            On v3: no reply shows the permission, which only `CosV3Client.update` can set.
        """
        authority = parsed_authority(acl)
        parsed_changes({"authority": authority}, self.client.protocol.name)
        self._attributes.set_authority(self._path(path), authority, recursive=recursive)

    def sign(self, path: StrPath, expiration: int = 100, **headers: Unpack[Attributes]) -> str:
        """Return a URL that reads one file without credentials.

        The service also accepts the signature for files whose paths begin with this one. The URL cannot be used to
        write, list or delete. The file is not looked for: a URL of a missing file is returned as well.

        Parameters
        ----------
        expiration : int
            Validity in seconds, 100 unless given (as in fsspec); at most 92 days.
        **headers
            Refused: a URL of this API cannot name headers of the download, as ``content_disposition`` in adlfs.

        Raises
        ------
        ValueError
            `expiration` is not a whole number, or out of range.
        IsADirectoryError
            The path is a bucket.
        NotImplementedError
            A header was given.
        TypeError
            An unknown keyword was given.
        """
        refuse_in_url(headers, self.client.protocol.name)
        return self.client.download_url(*paths.file_key(self._path(path)), expiration)

    def url(
        self, path: StrPath, expiration: int = 100, expires: int | None = None, **headers: Unpack[Attributes]
    ) -> str:
        """Return the same as `sign`, with the names of s3fs: `expires` overrides `expiration`."""
        return self.sign(path, expiration if expires is None else expires, **headers)


@lists_options(V4)
class CosV4FileSystem(BucketFileSystem[CosV4Client]):
    """Filesystem for buckets of Tencent Cloud COS behind the JSON API v4 (``cosv4://bucket/dir/name``).

    Examples
    --------
    >>> fs = CosV4FileSystem(appid=1250000000, secret_id="…", secret_key="…", region="gz")
    >>> fs.pipe_file("bucket/dir/hello.txt", b"hello")  # doctest: +SKIP
    >>> fs.ls("bucket/dir", detail=False)  # doctest: +SKIP
    ['bucket/dir/hello.txt']
    >>> with fs.open("bucket/dir/hello.txt", "r", encoding="utf-8") as file:  # doctest: +SKIP
    ...     file.read()
    'hello'
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
        default_block_size: int | None = None,
        default_cache_type: str | None = None,
        cache_type: str | None = None,
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
        max_paths: int | None = None,
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
    machine. It stores no attributes but ``content_type`` and ``biz_attr``.
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
        default_block_size: int | None = None,
        default_cache_type: str | None = None,
        cache_type: str | None = None,
        spool_memory: int | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        verify_downloads: Literal["known", "always", "never"] | None = None,
        journal_dir: str | os.PathLike[str] | None = None,
        sign_expiry: int | None = None,
        page_size: int | None = None,
        progress: bool | None = None,
        use_listings_cache: bool | None = None,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        skip_instance_cache: bool = False,
        **unknown: NoReturn,
    ) -> None:
        # all options by name: the base gives them to the table
        super().__init__(locals())
