"""`CosV4FileSystem` and `CosV3FileSystem`: what fsspec sees. Paths in, infos and bytes out; no HTTP, no threads."""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from typing import Any

from fsspec.caching import caches
from fsspec.compression import compr
from fsspec.config import conf
from fsspec.core import get_compression

from cosv4fs import paths
from cosv4fs.config import SLICE_SIZES, Config, EnvironmentToken, resolve
from cosv4fs.display import filesystem_html
from cosv4fs.errors import make_error
from cosv4fs.file import CompressedWriter, CosV4Reader, CosV4Writer, TextWriter
from cosv4fs.generation import V3, V4, Generation
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.writer import ObjectWriter
from cosv4fs.uploads import Uploads

__all__ = ["CosV3FileSystem", "CosV4FileSystem"]

_SECRETS = ("secret_id", "secret_key", "credentials", "proxies")


class CosV4FileSystem(Uploads):
    """Buckets of Tencent Cloud COS behind the JSON API v4, as ``cosv4://bucket/dir/name``.

    Parameters
    ----------
    appid, secret_id, secret_key, region : str, optional
        The account, and the short code of the region (``gz``). Else from ``COSV4_APPID``, ``COSV4_SECRET_ID``,
        ``COSV4_SECRET_KEY`` and ``COSV4_REGION``, else from fsspec's configuration under ``cosv4``.
    endpoint : str, optional
        URL of another service that speaks the API, such as the emulator's; API calls and downloads both go there.
        Else from ``COSV4_ENDPOINT``.
    asynchronous, loop : optional
        What fsspec may hand to any filesystem; this one is synchronous.
    **options
        Every other field of `cosv4fs.config.Config`, among them ``anon``, ``use_ssl``, ``verify``, ``proxies``,
        ``max_concurrency``, ``slice_size``, ``spool_dir``, ``use_listings_cache`` and ``listings_expiry_time``.

    Raises
    ------
    MissingCredentialsError
        A `PermissionError` and `ValueError` that names what is missing and how to set it.
    TypeError, ValueError
        An option is unknown or has a value that cannot be.
    """

    protocol = "cosv4"
    generation: Generation = V4
    """Which generation of the API is spoken."""
    root_marker = ""
    storage_options: dict[str, Any]
    takes_size = True
    """`open` for writing takes ``size``, the bytes that will come; for who copies between any two filesystems."""
    keeps_sha1 = True
    """``sha`` in an info is the SHA-1 of the content; for who compares any two filesystems."""
    # another environment is another filesystem: without this an instance would outlive a change of COSV4_ENDPOINT
    _extra_tokenize_attributes = ("_environment",)
    _environment = EnvironmentToken()

    def __init__(
        self,
        appid: str | int | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        **options: Any,
    ) -> None:
        account = {
            "appid": appid, "secret_id": secret_id, "secret_key": secret_key, "region": region, "endpoint": endpoint,
        }  # fmt: skip
        config = resolve({**account, **options}, conf.get(self.protocol, {}), self.generation)
        super().__init__(config, asynchronous=asynchronous, loop=loop)

    @property
    def service(self) -> str:
        """Whose buckets these are, and where: what else a URL would have to say to be unambiguous."""
        return f"{self.config.appid} at {_where(self.config)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} appid={self.config.appid} at {_where(self.config)}>"

    def _repr_html_(self) -> str:
        return filesystem_html(type(self).__name__, self.config)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a file; see fsspec for text mode and compression.

        Parameters
        ----------
        path, mode : str
            ``rb``, ``wb`` or ``xb`` (create only), also as text. There is no append: the service has none.
        block_size : int, optional
            Bytes per range when reading; when writing, the largest slice size not above it is used.
        size : int, optional
            Reading: the file's size, when known. Writing: how many bytes will come, exactly; with it slices travel
            while you write, without it a large object is kept in a spool until it is closed.
        content_type : str, optional
            What downloads shall say; guessed from the name unless given.
        cache_type, cache_options : str, dict
            How reading is cached: ``parallel`` (default), or any of fsspec's.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            Reading: there is no such file.
        NotImplementedError
            The mode is ``ab`` or one for updating.
        """
        _check_open(mode, block_size, kwargs)
        text = "b" not in mode
        names = ("encoding", "errors", "newline") if text else ()
        text_options = {name: kwargs.pop(name) for name in names if name in kwargs}
        binary = mode.replace("t", "") + "b" if text else mode
        # before anything is opened: a transaction would publish what a failure leaves
        codec = get_compression(self._strip_protocol(path), compression)
        file = super().open(path, binary, block_size, cache_options, **kwargs)
        if codec is not None:
            outer = compr[codec](file, mode=mode[0].replace("x", "w"))
            file = outer if "r" in mode else CompressedWriter(outer, file)
        if not text:
            return file
        return io.TextIOWrapper(file, **text_options) if "r" in mode else TextWriter(file, **text_options)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        content_type: str | None = None,
        cache_type: str = ReadAhead.name,
    ) -> CosV4Reader | CosV4Writer:
        if mode == "rb":
            return CosV4Reader(self, path, block_size, cache_type, cache_options, size)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(
                f"mode {mode!r} is not supported: the service can only store whole objects; "
                "read the object, and write it anew with what you want to add"
            )
        if mode == "xb" and self.exists(path):
            # the server decides at the end; who is late already should know before writing
            raise make_error(errno.EEXIST, "the file exists", path)
        target = self._target(path, mode == "xb", content_type, deferred=not autocommit)
        slice_size = max((valid for valid in SLICE_SIZES if valid <= (block_size or 0)), default=None)
        writer = ObjectWriter(self.client, self.workers, self.config, target, size, slice_size, self.room.probe)
        return CosV4Writer(self, path, mode, writer, autocommit, lambda: self._remembered.forget(path))

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what `from_dict` makes this filesystem of again; without any secret unless `include_password`.

        Raises
        ------
        TypeError
            The keys come from a function, which a text cannot hold; a pickle can.
        """
        options = self.storage_options
        if "credentials" in options:
            if include_password:
                raise TypeError("credentials=function cannot be written as JSON: pickle the filesystem instead")
            self.storage_options = {name: value for name, value in options.items() if name != "credentials"}
        try:
            described: dict[str, Any] = super().to_dict(include_password=include_password)
        finally:
            self.storage_options = options
        if not include_password:
            account = zip(("region", "endpoint"), described["args"][3:], strict=False)
            described |= {name: value for name, value in account if value is not None}
            described["args"] = described["args"][:1]
            for name in _SECRETS:
                described.pop(name, None)
        return described


class CosV3FileSystem(CosV4FileSystem):
    """Buckets of the predecessor, COS v3 (``/files/v1``), as ``cosv3://bucket/dir/name``.

    It is used as `CosV4FileSystem` is, with the same options; the account may also come from ``COSV3_APPID``,
    ``COSV3_SECRET_ID``, ``COSV3_SECRET_KEY`` and ``COSV3_ENDPOINT``, or from fsspec's configuration under ``cosv3``.
    There are no regions.

    Slices travel one after another, after the whole content is known: what is written bit by bit waits in the spool
    until it is closed. Copies travel through this machine, without ``biz_attr``, the only attribute that can
    be changed.
    """

    protocol = "cosv3"
    generation = V3

    def _copy(self, source: str, target: str) -> None:
        paths.check_new(target)
        self._copy_through(source, target)


def _where(config: Config) -> str:
    return config.endpoint or config.region or config.api_root


def _check_open(mode: object, block_size: object, options: Mapping[str, Any]) -> None:
    """Refuse arguments of `open` that cannot be meant, before anything is asked or sent.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    """
    plain = sorted(mode.replace("t", "").replace("b", "")) if isinstance(mode, str) else []
    if plain not in (["r"], ["w"], ["x"], ["a"], ["+", "r"], ["+", "w"], ["+", "x"], ["+", "a"]):
        raise ValueError(f"mode must be one of rb, wb, xb, r, w and x, not {mode!r}")
    for name, value, least in (("block_size", block_size, 1), ("size", options.get("size"), 0)):
        if value is None or value == "default":
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be a whole number of bytes, not {value!r}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    cache_type = options.get("cache_type", ReadAhead.name)
    if cache_type != ReadAhead.name and cache_type not in caches:
        raise ValueError(f"cache_type must be {ReadAhead.name} or one of fsspec's, not {cache_type!r}")
