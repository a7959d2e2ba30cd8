"""`CofferFileSystem`: the Data Coffer Service as fsspec sees it, and why it cannot do what it cannot."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from cosv4fs import paths
from cosv4fs.api import CofferClient
from cosv4fs.capabilities import COFFERS
from cosv4fs.documentation import lists_options
from cosv4fs.errors import make_error
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.namespace import CofferNamespace
from cosv4fs.protocols import CDCS
from cosv4fs.runtime import CofferRuntime
from cosv4fs.transfer.writeonce import WRITE_ONCE


@lists_options(CDCS)
class CofferFileSystem(ObjectFileSystem):
    """Filesystem for coffers of Tencent Cloud's Data Coffer Service (``cdcs://examplecoffer-1250000000/dir/name``).

    A coffer is write-once: objects can be neither replaced nor moved nor removed, and expire only by the lifecycle of
    their coffer (`set_lifecycle`). Writing to the path of an object raises `FileExistsError`, removing or moving one
    `NotImplementedError`. An object appears when it is complete; objects of unknown size are uploaded while they are
    written.

    Directories are common prefixes of keys. Some services refuse empty objects. Downloads are not verified, because
    the service has no checksum that holds for every object.

    Options that are not given come from the environment, from a profile, or from the section ``cdcs`` of fsspec's
    configuration.

    Raises
    ------
    MissingCredentialsError
        A part of the account is given nowhere; a `PermissionError` and `ValueError` that names the ways to set it.
    TypeError
        An option is unknown, or has the wrong type.
    ValueError
        An option has an invalid value, or is of no use for coffers.
    """

    protocol = "cdcs"
    spec = CDCS
    capabilities = COFFERS
    _no_append = WRITE_ONCE

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
        spool_memory: int | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
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
        super().__init__(locals())

    @property
    def runtime(self) -> CofferRuntime:
        """What all instances with this configuration share in this process."""
        return cast(CofferRuntime, super().runtime)

    @property
    def client(self) -> CofferClient:
        """The typed client of the API, for what a filesystem cannot express."""
        return self.runtime.client

    @property
    def namespace(self) -> CofferNamespace:
        """What exists, asked through the caches."""
        return self.runtime.namespace

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty object, where the service takes such objects (cdcs.md#put-object).

        Raises
        ------
        FileExistsError
            There is an object: it can neither be emptied nor given another time.
        OSError
            EINVAL: the service takes no empty objects.
        """
        path = self._strip_protocol(path)
        self.namespace.check_free(path, create=True)
        self.pipe_file(path, b"", **kwargs)

    def cp_file(self, path1: str, path2: str) -> None:
        """Copy one object through this machine: the service cannot. A directory needs no copy of its own.

        Raises
        ------
        FileNotFoundError
            There is no source.
        FileExistsError
            There is a target.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.info(source)["type"] == "directory":
            self.makedirs(target, exist_ok=True)
            return
        self._copy_through(source, target)

    def _impossible(self, what: str, path: Any) -> NoReturn:
        raise NotImplementedError(f"{what} {path!r} is impossible: {WRITE_ONCE}")

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> NoReturn:
        """Refuse: nothing can be removed; see `set_lifecycle`.

        Raises
        ------
        NotImplementedError
            Always.
        """
        self._impossible("to remove", path)

    def rm_file(self, path: str) -> NoReturn:
        """Refuse, as `rm` does."""
        self._impossible("to remove", path)

    def rmdir(self, path: str) -> NoReturn:
        """Refuse: a directory is there as long as an object in it; `delete_coffer` deletes an empty coffer."""
        self._impossible("to remove", path)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> NoReturn:
        """Refuse: what is at `path1` would have to vanish."""
        self._impossible("to move", path1)

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> NoReturn:
        """Refuse: the service documents signatures in headers only (cdcs.md#signature)."""
        raise NotImplementedError(f"there are no signed URLs for {path!r}: coffers want signatures in headers only")

    def mkdir(
        self,
        path: str,
        create_parents: bool = True,
        mode: int | None = None,
        locations: Sequence[str] | None = None,
        **encryption: Any,
    ) -> None:
        """Create a coffer; in one, do nothing but look: there directories are only what names have in common.

        Parameters
        ----------
        path : str
            A coffer's full name, or a path in one.
        create_parents : bool
            Taken because others hand it over: above a directory in a coffer there is nothing to be made.
        mode : int, optional
            Taken because others hand it over, and of no effect: the service has no such permissions.
        locations, **encryption
            Of a coffer, as for `create_coffer`.

        Raises
        ------
        FileExistsError
            Something exists at the path.
        """
        path = self._strip_protocol(path)
        if "/" not in path:
            self.create_coffer(path, locations, **encryption)
            return
        if locations is not None or encryption:
            raise ValueError(f"only coffers have locations and encryption, not directories in them: {path}")
        self.makedirs(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing for a path in a coffer: directories are only what names have in common.

        Raises
        ------
        FileExistsError
            Without `exist_ok`: something exists at the path.
        """
        path = self._strip_protocol(path)
        paths.directory_key(path)
        if exist_ok:
            # asked for before every write: a missing coffer shows at the write itself
            return
        if "/" not in path:
            self.create_coffer(path)
        elif self.exists(path):
            raise make_error(errno.EEXIST, "a file or directory of this name exists", path)

    # -- coffers ---------------------------------------------------------------------------------------------------

    def coffers(self) -> list[dict[str, Any]]:
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
            Its full name, as in ``examplecoffer-1250000000``.
        locations : sequence of str, optional
            The regions that shall hold its objects; the filesystem's own unless given.
        encrypt_type : int
            0 for no encryption, 1 by the vendor's key, 2 by a key of KMS.
        key_id, key_region : str
            That key.

        Raises
        ------
        FileExistsError
            There is a coffer of this name.
        ValueError
            No region is known.
        """
        coffer = self._coffer(coffer)
        if locations is None:
            if not self.config.region:
                raise ValueError("name the regions that shall hold the coffer: locations=['ap-tianjin']")
            locations = [self.config.region]
        try:
            self.client.put_coffer(coffer, locations, encrypt_type=encrypt_type, key_id=key_id, key_region=key_region)
        finally:
            self.namespace.cache.forget()

    def delete_coffer(self, coffer: str) -> None:
        """Delete an empty coffer.

        Raises
        ------
        OSError
            ENOTEMPTY while it holds objects that have not expired, or unfinished uploads.
        """
        coffer = self._coffer(coffer)
        try:
            self.client.delete_coffer(coffer)
            self.namespace.forget_coffer(coffer)
        finally:
            self.namespace.cache.forget()

    def lifecycle(self, path: str) -> int | None:
        """Return after how many days objects of a coffer vanish; None when they stay for ever."""
        return self.client.get_lifecycle(self._coffer(path))

    def set_lifecycle(self, path: str, days: int) -> None:
        """Have the objects of a coffer vanish so many days (1 to 3650) after they were stored.

        It is the only way for objects to vanish, counts for all of them, and cannot be taken back, only changed.
        """
        self.client.put_lifecycle(self._coffer(path), days)

    def policy(self, path: str) -> dict[str, Any] | None:
        """Return who may do what with a coffer, in the vendor's policy language; None when nothing is set."""
        return self.client.get_policy(self._coffer(path))

    def set_policy(self, path: str, policy: Mapping[str, Any]) -> None:
        """Set who may do what with a coffer, in the vendor's policy language; replaces what was set."""
        self.client.put_policy(self._coffer(path), policy)

    def delete_policy(self, path: str) -> None:
        """Remove the policy of a coffer, if it has one."""
        self.client.delete_policy(self._coffer(path))

    def _coffer(self, path: str) -> str:
        coffer, rest = paths.split(self._strip_protocol(path))
        if not coffer or rest:
            raise ValueError(f"name a coffer in full, as in examplecoffer-1250000000, not {path!r}")
        return coffer
