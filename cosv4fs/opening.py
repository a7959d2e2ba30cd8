"""Opening files: the arguments, the text and compressing files on top of the binary one, and transactions."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from fsspec.caching import caches
from fsspec.compression import compr
from fsspec.core import get_compression
from fsspec.transaction import Transaction

from cosv4fs.file import CompressedWriter, CosV4Writer, TextWriter
from cosv4fs.transfer.readahead import ReadAhead

__all__ = ["WholeTransaction", "open_layers"]


class WholeTransaction(Transaction):  # type: ignore[misc]
    """A transaction that gives up the rest when a file of it cannot be published; older versions of fsspec do not."""

    def complete(self, commit: bool = True) -> None:
        """End the transaction: publish its files, or discard them."""
        files = self.files
        try:
            super().complete(commit)
        except BaseException:
            while files:
                with suppress(OSError):
                    files.popleft().discard()
            raise


_MODES = (["r"], ["w"], ["x"], ["a"], ["+", "r"], ["+", "w"], ["+", "x"], ["+", "a"])


def open_layers(
    open_binary: Callable[..., Any],
    path: str,
    mode: str,
    block_size: int | str | None,
    compression: str | None,
    options: dict[str, Any],
) -> Any:
    """Open a binary file, and what is to be on top of it.

    Parameters
    ----------
    open_binary : callable
        Takes path, mode, block size and further options; returns a binary file.
    path : str
        Without a protocol; its ending tells the compression ``infer``.
    mode, block_size, compression, options
        As for ``fs.open``.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid; nothing was opened.
    """
    _check(mode, block_size, options)
    # what fsspec calls the block size of a caller that has no wish
    block_size = None if block_size == "default" else block_size
    text = "b" not in mode
    names = ("encoding", "errors", "newline") if text else ()
    text_options = {name: options.pop(name) for name in names if name in options}
    binary = mode.replace("t", "") + "b" if text else mode
    # before anything is opened: a transaction would publish what a failure leaves
    codec = get_compression(path, compression)
    file = inner = open_binary(path, binary, block_size, **options)
    if codec is not None:
        compress = compr[codec]
        file = compress(file, mode="r") if "r" in mode else CompressedWriter(partial(compress, mode="w"), file)
    if text:
        file = io.TextIOWrapper(file, **text_options) if "r" in mode else TextWriter(file, **text_options)
    if isinstance(inner, CosV4Writer) and file is not inner:
        inner.wrapped_in(file)
    return file


def _check(mode: object, block_size: object, options: Mapping[str, Any]) -> None:
    plain = sorted(mode.replace("t", "").replace("b", "")) if isinstance(mode, str) else []
    if plain not in _MODES:
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
