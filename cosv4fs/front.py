"""What every filesystem of this package shows fsspec and its users, whichever service is behind it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from html import escape
from typing import Any, ClassVar

from fsspec.caching import caches
from fsspec.compression import compr
from fsspec.config import conf
from fsspec.core import get_compression
from fsspec.transaction import Transaction

from cosv4fs.base import BaseFileSystem
from cosv4fs.capabilities import BUCKETS
from cosv4fs.config import Config, EnvironmentToken, discreet, resolve
from cosv4fs.display import filesystem_html
from cosv4fs.file import CompressedWriter, CosV4Writer, TextWriter
from cosv4fs.generation import V4, Generation
from cosv4fs.transfer.readahead import ReadAhead

__all__ = ["Front"]

_SECRETS = ("secret_id", "secret_key", "security_token", "credentials", "proxies")


class _Transaction(Transaction):  # type: ignore[misc]
    """A transaction that gives up the rest when a file of it cannot be published; older versions of fsspec do not."""

    def complete(self, commit: bool = True) -> None:
        files = self.files
        try:
            super().complete(commit)
        except BaseException:
            while files:
                with suppress(OSError):
                    files.popleft().discard()
            raise


class _Discreet(type(BaseFileSystem)):  # type: ignore[misc]
    """Makes filesystems; where that fails, no frame of the error keeps the secrets that were given."""

    @discreet
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class Front(BaseFileSystem, metaclass=_Discreet):
    """How a filesystem is made, shown, opened files of, and described; the parts beside it do the work.

    Parameters
    ----------
    account : mapping
        The options that may be given by position.
    asynchronous, loop : optional
        What fsspec may hand to any filesystem; this one is synchronous.
    **options
        Every other field of `cosv4fs.config.Config`.
    """

    protocol: str
    generation: Generation = V4
    """Which service, and which generation of its API, is spoken to."""
    transaction_type = _Transaction
    root_marker = ""
    storage_options: dict[str, Any]
    capabilities = BUCKETS
    """What the filesystem can do, for code that works on any two filesystems."""
    # another environment is another filesystem: without this an instance would outlive a change of COSV4_ENDPOINT
    _extra_tokenize_attributes = ("_environment",)
    _environment = EnvironmentToken()
    _positional: ClassVar[tuple[str, ...]]
    """The names of the options that may be given by position."""

    def __init__(self, account: Mapping[str, Any], asynchronous: bool, loop: Any, **options: Any) -> None:
        config = resolve({**account, **options}, conf.get(self.protocol, {}), self.generation)
        super().__init__(config, asynchronous=asynchronous, loop=loop)

    @property
    def _is_made(self) -> bool:
        """Whether there is a configuration: tools show instances, too, whose constructor has failed."""
        return "config" in vars(self)

    @property
    def service(self) -> str:
        """Whose buckets these are, and where: what else a URL would have to say to be unambiguous."""
        where = f"at {_where(self.config)}"
        return f"{self.config.appid} {where}" if self.config.appid else where

    def __repr__(self) -> str:
        if not self._is_made:
            return f"<{type(self).__name__} that could not be made>"
        appid = f" appid={self.config.appid}" if self.config.appid else ""
        return f"<{type(self).__name__}{appid} at {_where(self.config)}>"

    def _repr_html_(self) -> str:
        if not self._is_made:
            return escape(repr(self))
        return filesystem_html(type(self).__name__, self.config)

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | str | None = None,
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
            Bytes per range when reading; when writing, the largest slice size not above it is used, and of a coffer
            it is that of the first parts.
        size : int, optional
            Reading: the file's size, when known. Writing: how many bytes will come, exactly; with it slices travel
            while you write, without it a large object is kept in a spool until it is closed. Coffers need none.
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
        # what fsspec calls the block size of a caller that has no wish
        block_size = None if block_size == "default" else block_size
        text = "b" not in mode
        names = ("encoding", "errors", "newline") if text else ()
        text_options = {name: kwargs.pop(name) for name in names if name in kwargs}
        binary = mode.replace("t", "") + "b" if text else mode
        # before anything is opened: a transaction would publish what a failure leaves
        codec = get_compression(self._strip_protocol(path), compression)
        file = inner = super().open(path, binary, block_size, cache_options, **kwargs)
        if codec is not None:
            compress = compr[codec]
            file = compress(file, mode="r") if "r" in mode else CompressedWriter(partial(compress, mode="w"), file)
        if text:
            file = io.TextIOWrapper(file, **text_options) if "r" in mode else TextWriter(file, **text_options)
        if isinstance(inner, CosV4Writer) and file is not inner:
            inner.wrapped_in(file)
        return file

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return a description from which `from_dict` makes an equal filesystem; JSON can hold it.

        Parameters
        ----------
        include_password : bool
            Whether the description contains secrets: keys, tokens and the URLs of proxies.

        Raises
        ------
        TypeError
            The keys come from a function, which JSON cannot hold; a pickle can.
        """
        from fsspec.json import FilesystemJSONEncoder  # noqa: PLC0415 - the oldest fsspec has no such module

        positional = dict(zip(self._positional, self.storage_args, strict=False))
        # the encoder of fsspec refuses None, which is the default of every option
        options = {name: value for name, value in {**positional, **self.storage_options}.items() if value is not None}
        if not include_password:
            options = {name: value for name, value in options.items() if name not in _SECRETS}
        elif "credentials" in options:
            raise TypeError("credentials=function cannot be written as JSON: pickle the filesystem instead")
        described: dict[str, Any] = FilesystemJSONEncoder().make_serializable(options)
        kind = f"{type(self).__module__}:{type(self).__name__}"
        return {"cls": kind, "protocol": self.protocol, "args": [], **described}


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
