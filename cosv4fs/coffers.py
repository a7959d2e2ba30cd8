"""`CofferFileSystem`: the filesystem for write-once coffers of the Data Coffer Service."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from cosv4fs import paths
from cosv4fs.api import CofferClient
from cosv4fs.arguments import at_once, shows_keywords
from cosv4fs.attributes import Attributes, attribute_in
from cosv4fs.errors import CosFileNotFoundError, CosIsADirectoryError, make_error
from cosv4fs.files import copy_through
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.info import CofferInfo
from cosv4fs.namespace import CofferNamespace
from cosv4fs.options import lists_options
from cosv4fs.paths import StrPath
from cosv4fs.protocols import CDCS
from cosv4fs.runtime import Service
from cosv4fs.transfer.coffers import WRITE_ONCE, CofferUpload

if TYPE_CHECKING:
    from typing_extensions import Unpack


@lists_options(CDCS)
class CofferFileSystem(ObjectFileSystem[CofferClient, CofferNamespace]):
    """Filesystem for coffers of Tencent Cloud's Data Coffer Service (``cdcs://examplecoffer-1250000000/dir/name``).

    A coffer is write-once: objects can be neither replaced nor moved nor removed, and expire only by the lifecycle of
    their coffer (`set_lifecycle`). Writing to the path of an object raises `FileExistsError`, removing or moving one
    `NotImplementedError`. An object appears when it is complete; objects of unknown size are uploaded while they are
    written.

    Directories are common prefixes of keys. Some services refuse empty objects. Downloads are not verified, because
    the service has no checksum that holds for every object.
    """

    protocol = "cdcs"
    service = Service(CDCS, CofferClient, CofferNamespace, CofferUpload)
    _no_update = WRITE_ONCE

    def __init__(
        self,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        *,
        security_token: str | None = None,
        endpoint_url: str | None = None,
        profile: str | None = None,
        credentials: Callable[[], Mapping[str, Any]] | None = None,
        anon: bool | None = None,
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

    @shows_keywords(Attributes)
    def touch(self, path: StrPath, truncate: bool = True, **attributes: Unpack[Attributes]) -> None:
        """Create an empty object, if the service accepts empty objects (cdcs.md#put-object).

        `truncate` is ignored: an object that exists is never changed. For `attributes` see `pipe_file`.

        Raises
        ------
        FileExistsError
            The object exists, and neither its content nor its time can be changed.
        OSError
            EINVAL: the service refuses empty objects.
        """
        path = self._path(path)
        self.namespace.check_free(path, create=True)
        self.pipe_file(path, b"", **attributes)

    def cp_file(self, path1: StrPath, path2: StrPath) -> None:
        """Copy one object and its content type by reading and writing it: the service has no copies.

        Directories need no copy.

        Raises
        ------
        FileNotFoundError
            The source does not exist.
        FileExistsError
            The target exists.
        """
        source, target = self._path(path1), self._path(path2)
        if self.namespace.file(source) is None:
            # what is cached as a directory may be an object, too
            self.namespace.directory(source)
            self.makedirs(target, exist_ok=True)
            return
        copy_through(self, source, target)

    def _impossible(self, what: str, path: Any) -> NoReturn:
        raise NotImplementedError(f"{what} {path!r} is impossible: {WRITE_ONCE}")

    def rm(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, batch_size: int | None = None
    ) -> None:
        """Raise: objects cannot be removed, they expire (see `set_lifecycle`).

        Only an empty coffer passes with `recursive`: there is nothing to remove from it. `maxdepth` is ignored, and
        `batch_size` limits the requests that look.

        Raises
        ------
        FileNotFoundError
            Nothing matches a pattern, or one of the paths does not exist.
        NotImplementedError
            There is something to remove.
        """
        found = self.expand_path(path)
        infos = self.pool.share(at_once("batch_size", batch_size)).map(partial(self.info, refresh=True), found)
        are_empty = all(info["type"] == "directory" and not self.namespace.ls(info["name"]) for info in infos)
        if not (recursive and are_empty):
            self._impossible("to remove", path)

    def rm_file(self, path: StrPath) -> NoReturn:
        """Raise: the object does not exist, or cannot be removed; see `rm`."""
        self.info(path, refresh=True)
        self._impossible("to remove", path)

    def rmdir(self, path: StrPath) -> NoReturn:
        """Raise: a directory exists as long as an object in it; `delete_coffer` deletes an empty coffer.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            The path is not a directory.
        NotImplementedError
            It is one.
        """
        if self.info(path, refresh=True)["type"] != "directory":
            raise make_error(errno.ENOTDIR, "this is an object, and cannot be removed", self._path(path))
        self._impossible("to remove", path)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
    ) -> NoReturn:
        """Raise: a source does not exist (`FileNotFoundError`), or could not be removed."""
        self.pool.share(at_once("batch_size", batch_size)).map(
            partial(self.info, refresh=True), self.expand_path(path1)
        )
        self._impossible("to move", path1)

    def sign(self, path: StrPath, expiration: int = 100, **kwargs: Any) -> NoReturn:
        """Raise: signatures are documented in headers only (cdcs.md#signature)."""
        raise NotImplementedError(f"there are no signed URLs for {path!r}: coffers take signatures in headers only")

    def url(self, path: StrPath, expiration: int = 100, **kwargs: Any) -> NoReturn:
        """Raise, as `sign` does."""
        self.sign(path, expiration, **kwargs)

    def attributes(self, path: StrPath) -> Attributes:
        """Return the content type of an object, the only attribute in a coffer (cdcs.md#immutability).

        Returns
        -------
        dict
            ``content_type`` (str); empty for a directory.

        Raises
        ------
        FileNotFoundError
            The path does not exist.
        """
        path = self._path(path)
        try:
            found = self.client.head(*paths.file_key(path)).content_type
        except (CosFileNotFoundError, CosIsADirectoryError):
            if not self.namespace.has_directory_now(path):
                raise
            found = None
        return {"content_type": found} if found else {}

    def metadata(self, path: StrPath, refresh: bool = False) -> dict[str, str]:
        """Return an empty dict for what exists: coffers have no user metadata (`refresh`: see `info`)."""
        return dict(self.attributes(self._path(path, refresh)).get("metadata", {}))

    def getxattr(self, path: StrPath, attr_name: str) -> Any:
        """Return the content type of an object if `attr_name` is ``content_type``, and None for anything else."""
        return attribute_in(self.attributes(path), attr_name)

    def setxattrs(self, path: StrPath, **attributes: Any) -> NoReturn:
        """Raise: objects cannot be changed; their content type is set when they are written."""
        self._impossible("to change the attributes of", path)

    def setxattr(self, path: StrPath, **attributes: Any) -> NoReturn:
        """Raise, as `setxattrs` does."""
        self.setxattrs(path, **attributes)

    def chmod(self, path: StrPath, acl: str, recursive: bool = False) -> NoReturn:
        """Raise: only coffers have permissions (`set_policy`)."""
        raise NotImplementedError(f"only coffers have permissions (set_policy), not the objects in them: {path}")

    def mkdir(
        self,
        path: StrPath,
        create_parents: bool = True,
        mode: int | None = None,
        locations: Sequence[str] | None = None,
        exist_ok: bool = False,
        **encryption: Any,
    ) -> None:
        """Create a coffer; a directory in a coffer needs no creation, and is only checked.

        Parameters
        ----------
        create_parents, mode
            Ignored: directories in a coffer are common prefixes of keys, and the service has no such permissions.
        locations, **encryption
            See `create_coffer`; only for coffers.
        exist_ok : bool
            The directory may exist.

        Raises
        ------
        FileExistsError
            The path exists, and `exist_ok` is False, or it is an object.
        """
        path = self._path(path)
        if exist_ok and self.isdir(path):
            return
        if "/" not in path:
            self.create_coffer(path, locations, **encryption)
            return
        if locations is not None or encryption:
            raise ValueError(f"only coffers have locations and encryption, not directories in them: {path}")
        self.makedirs(path)

    def makedirs(self, path: StrPath, exist_ok: bool = False) -> None:
        """Create a coffer; a directory in a coffer needs no creation. With `exist_ok` no request is sent.

        Raises
        ------
        FileExistsError
            The path exists, and `exist_ok` is False.
        """
        path = self._path(path)
        self.namespace.check_name(path)
        if exist_ok:
            # fsspec calls this before every write, which fails if the coffer is missing
            return
        if "/" not in path:
            self.create_coffer(path)
        elif self.namespace.exists_now(path):
            raise make_error(errno.EEXIST, "a file or directory of this name exists", path)

    # -- coffers ---------------------------------------------------------------------------------------------------

    def coffers(self) -> list[CofferInfo]:
        """Return the coffers of the account.

        Returns
        -------
        list of dict
            ``name`` (in full), ``locations`` (regions) and ``created`` (Unix seconds, or None).
        """
        found = self.client.list_coffers()
        return [{"name": c.name, "locations": list(c.locations), "created": c.created or None} for c in found]

    def create_coffer(
        self,
        coffer: str,
        locations: Sequence[str] | None = None,
        encrypt_type: int = 0,
        key_id: str = "",
        key_region: str = "",
    ) -> None:
        """Create a coffer.

        Parameters
        ----------
        coffer : str
            Its full name, such as ``examplecoffer-1250000000``.
        locations : sequence of str, optional
            The regions of its objects; the region of the filesystem unless given.
        encrypt_type : int
            0 for no encryption, 1 for the vendor's key, 2 for a key of KMS.
        key_id, key_region : str
            The key of KMS.

        Raises
        ------
        FileExistsError
            The coffer exists.
        ValueError
            No region is known.
        """
        coffer = self._coffer(coffer)
        if locations is None:
            if not self.config.region:
                raise ValueError("name the regions of the coffer, such as locations=['ap-tianjin']")
            locations = [self.config.region]
        try:
            self.client.put_coffer(coffer, locations, encrypt_type=encrypt_type, key_id=key_id, key_region=key_region)
        finally:
            self.namespace.cache.invalidate()

    def delete_coffer(self, coffer: str) -> None:
        """Delete `coffer`, which must be empty.

        Raises
        ------
        OSError
            ENOTEMPTY: it holds objects that have not expired, or unfinished uploads.
        """
        coffer = self._coffer(coffer)
        try:
            self.client.delete_coffer(coffer)
            self.namespace.forget_coffer(coffer)
        finally:
            self.namespace.cache.invalidate()

    def lifecycle(self, path: StrPath) -> int | None:
        """Return the days after which objects of a coffer expire; None if they never do."""
        return self.client.get_lifecycle(self._coffer(path))

    def set_lifecycle(self, path: StrPath, days: int) -> None:
        """Let the objects of a coffer expire `days` (1 to 3650) after their upload.

        Expiration is the only way to remove objects. It applies to all objects of the coffer, and can be changed, but
        not cancelled.
        """
        self.client.put_lifecycle(self._coffer(path), days)

    def policy(self, path: StrPath) -> dict[str, Any] | None:
        """Return the access policy of a coffer, in the vendor's policy language; None if it has none."""
        return self.client.get_policy(self._coffer(path))

    def set_policy(self, path: StrPath, policy: Mapping[str, Any]) -> None:
        """Replace the access policy of a coffer; `policy` is written in the vendor's policy language, as a dict."""
        self.client.put_policy(self._coffer(path), policy)

    def delete_policy(self, path: StrPath) -> None:
        """Remove the access policy of a coffer, if it has one."""
        self.client.delete_policy(self._coffer(path))

    def invalid_keys(self, path: StrPath) -> list[str]:
        """Return the keys under a directory that are not valid paths, such as ``coffer/a//b``.

        Only this method shows them: they are left out of all listings. Costs one request per page of keys.
        """
        return self.namespace.invalid_keys(self._path(path))

    def _coffer(self, path: StrPath) -> str:
        coffer, rest = paths.split(self._path(path))
        if not coffer or rest:
            raise ValueError(f"name a coffer in full, as in examplecoffer-1250000000, not {path!r}")
        return coffer
