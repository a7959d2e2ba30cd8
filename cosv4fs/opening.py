"""`open` of the filesystems: checks the arguments, opens a binary file, and puts text mode and compression on top."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from fsspec.core import get_compression
from fsspec.spec import AbstractFileSystem

from cosv4fs.appending import Continued
from cosv4fs.arguments import is_method, whole_or_none
from cosv4fs.attributes import ATTRIBUTES, Attributes, refuse_for_reading
from cosv4fs.kinds import cache_type as known_cache_type
from cosv4fs.layered import layered
from cosv4fs.paths import StrPath
from cosv4fs.reader import CosReader
from cosv4fs.transfer.writer import ObjectWriter
from cosv4fs.writer import CosWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack

_CONTINUABLE = frozenset({"gzip", "bz2", "xz", "lzma"})
"""Compressions of which one file after another is a file with the content of both."""

_OF_TEXT = ("encoding", "errors", "newline")
_NAMED = (*_OF_TEXT, "size", "cache_type", *ATTRIBUTES)
"""The keywords of `open` that are handed on only if they are given."""


class Opens(Protocol):
    """The method `open` for type checkers and editors, which know by the mode what it returns."""

    @overload
    def __call__(
        self,
        path: StrPath,
        mode: Literal["rb"] = "rb",
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: None = None,
        *,
        size: int | None = None,
        cache_type: str | None = None,
    ) -> CosReader: ...
    @overload
    def __call__(
        self,
        path: StrPath,
        mode: Literal["wb", "xb", "ab"],
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: None = None,
        *,
        size: int | None = None,
        autocommit: bool = True,
        **attributes: Unpack[Attributes],
    ) -> CosWriter: ...
    @overload
    def __call__(
        self,
        path: StrPath,
        mode: Literal["r", "rt", "w", "wt", "x", "xt", "a", "at"],
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        size: int | None = None,
        cache_type: str | None = None,
        **attributes: Unpack[Attributes],
    ) -> io.TextIOWrapper: ...
    @overload
    def __call__(
        self,
        path: StrPath,
        mode: str = "rb",
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        size: int | None = None,
        cache_type: str | None = None,
        autocommit: bool = True,
        # by name, although `Attributes` has them: editors complete no keywords of an `Unpack`
        content_type: str | None = None,
        cache_control: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        content_language: str | None = None,
        metadata: Mapping[str, str] | None = None,
        biz_attr: str | None = None,
        authority: str | None = None,
    ) -> Any: ...


@is_method
def open(
    self: Any,
    path: StrPath,
    mode: str = "rb",
    block_size: int | str | None = None,
    cache_options: dict[str, Any] | None = None,
    compression: str | None = None,
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    size: int | None = None,
    cache_type: str | None = None,
    content_type: str | None = None,
    cache_control: str | None = None,
    content_disposition: str | None = None,
    content_encoding: str | None = None,
    content_language: str | None = None,
    metadata: Mapping[str, str] | None = None,
    biz_attr: str | None = None,
    authority: str | None = None,
    **others: Any,
) -> Any:
    """Open a file.

    A file that is written appears when it is closed, as a whole. If the ``with`` block raises, nothing is written, and
    an old file stays as it is.

    Parameters
    ----------
    path : str
        ``bucket/dir/name``, or the whole URL.
    mode : str
        Binary: ``rb`` reads, ``wb`` writes and replaces a file, ``xb`` writes and fails if the file exists, ``ab``
        appends. Text: the same without the ``b``. ``ab`` reads the object, of at most 256 MiB, and uploads it again as
        a whole: a change by others meanwhile is noticed (ESTALE), except in the moment of the upload. Attributes are
        kept. Coffers are write-once: ``wb`` is ``xb`` there, and nothing can be appended.
    block_size : int, optional
        Reading: bytes per range. Writing: bytes per slice; the largest valid slice size up to this is used, or the
        smallest one. In coffers it is the size of the first parts. The option `default_block_size` unless given.
    cache_options : dict, optional
        Reading: further arguments for the cache that `cache_type` names.
    compression : str, optional
        ``gzip``, ``bz2``, ``xz`` or any other that fsspec has; ``infer`` chooses by the suffix of the path.
    encoding, errors, newline : str, optional
        Text: see the builtin function. The encoding is that of the locale unless given, so name it.
    size : int, optional
        Reading: the size of the file in bytes, if it is known, which saves a request. Writing: the exact number of
        bytes to come, after compression; slices are then uploaded while you write. Without it, an object that exceeds
        the option `spool_memory` is kept in a temporary file until it is closed, unless the bucket accepts the size at
        the end (see the option `streaming`). Coffers do not need it.
    cache_type : str, optional
        Reading: ``parallel`` reads ahead in parallel, and others are those of fsspec, such as ``readahead``, ``all``
        or ``none``. The option `default_cache_type` unless given.
    content_type, cache_control, content_disposition, content_encoding, content_language : str, optional
        Writing: headers of downloads. The content type is guessed from the name unless given. COS v3 and coffers store
        the content type alone.
    metadata : dict, optional
        Writing: user metadata, text by name. Only COS v4 stores it.
    biz_attr : str, optional
        Writing: any text. Not for coffers.
    authority : str, optional
        Writing: who may read the file: ``private``, ``public-read`` or ``default``, the permission of the bucket. Only
        COS v4 stores it.
    **others
        What fsspec and dask pass: ``autocommit=False`` publishes the file later, with `CosWriter.commit`.

    Returns
    -------
    CosReader, CosWriter or file
        The first two for binary modes without compression; else a file of `io`.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        Reading: the path is not a file.
    FileExistsError
        ``xb``, and always in coffers: the file exists; raised when it is opened, or when it is closed.
    NotImplementedError
        The mode updates (``r+b``) or appends to an object in a coffer, or the service cannot store an attribute.
    ValueError, TypeError
        An argument is invalid or unknown, or does not fit the mode; nothing is open.

    Examples
    --------
    >>> with fs.open("bucket/table.csv.gz", "w", compression="infer", encoding="utf-8") as file:
    ...     print("city,visits", file=file)
    >>> with fs.open("bucket/table.csv.gz", "r", compression="infer", encoding="utf-8") as file:
    ...     file.read().split()
    ['city,visits']
    >>> with fs.open("bucket/data.bin", "wb", size=6, metadata={"owner": "me"}) as file:
    ...     file.write(b"abcdef")
    6
    >>> with fs.open("bucket/data.bin") as file:
    ...     file.seek(-2, 2), file.read()
    (4, b'ef')
    """
    given = {name: value for name, value in locals().items() if name in _NAMED and value is not None}
    block_size = self.config.default_block_size if block_size in (None, "default") else block_size
    block_size = whole_or_none("block_size", block_size, 1)
    binary = partial(AbstractFileSystem.open, self, cache_options=cache_options)
    return _opened(binary, self._path(path), mode, block_size, compression, given | others)


def refuse_keywords(options: Iterable[str]) -> None:
    """Refuse keywords of `open` among options: `fsspec.open` gives the filesystem all that it does not know.

    Raises
    ------
    TypeError
        One of the names is a keyword of `open`, and no option.
    """
    for name in options:
        if name in (*_NAMED, "block_size", "cache_options", "compression"):
            raise TypeError(
                f"{name} is a keyword of the filesystem's own open, and no option: call "
                f"fs, path = fsspec.url_to_fs(url) with the options, and then fs.open(path, mode, {name}=...)"
            )


def open_binary(
    self: Any,
    path: str,
    mode: str = "rb",
    block_size: int | None = None,
    autocommit: bool = True,
    cache_options: dict[str, Any] | None = None,
    size: int | None = None,
    cache_type: str | None = None,
    default_cache: str | None = None,
    **attributes: Unpack[Attributes],
) -> CosReader | CosWriter:
    """Open a binary file: the method ``_open`` of the filesystems, which fsspec calls."""
    # dask passes `default_cache` to count rows, but `ReadAhead` decides by the way a file is read
    if mode == "rb":
        refuse_for_reading(attributes)
        cache_type = cache_type or self.config.default_cache_type
        return CosReader(self, path, block_size, cache_type, cache_options, size)
    return _open_writer(self, path, mode, block_size, size, autocommit, attributes)


def _open_writer(
    fs: Any,
    path: str,
    mode: str,
    block_size: int | None,
    size: int | None,
    autocommit: bool,
    attributes: Mapping[str, Any],
) -> CosWriter:
    """Open a file for writing; see `open` of the filesystem.

    Parameters
    ----------
    mode : str
        ``wb``, ``xb`` or ``ab``.
    size : int, optional
        Bytes that the caller will write.
    autocommit : bool
        False to publish the file later, with `CosWriter.commit`.
    attributes : mapping
        What is stored beside the content; see `Attributes`.

    Raises
    ------
    OSError
        EFBIG: the object is too large to append to it. FileExistsError, IsADirectoryError: see `open`.
    NotImplementedError
        The mode updates, or appends where no file can be replaced.
    """
    if mode not in ("wb", "xb", "ab") or (mode == "ab" and not fs.capabilities.replaces_files):
        raise NotImplementedError(f"mode {mode!r} is not supported: {fs._no_update}")
    namespace, files = fs.runtime.namespace, fs.runtime.files
    continued = Continued(fs, path) if mode == "ab" else None
    if continued is not None:
        attributes = {**continued.attributes(), **attributes}
        size = None if size is None else size + continued.size
    create = mode == "xb" or (continued is not None and continued.info is None)
    target = files.target(path, "create" if create else "overwrite", attributes, not autocommit)
    namespace.check_free(path, create=create)
    guard: Callable[[], AbstractContextManager[None]] = nullcontext if continued is None else continued.replacing
    writer = ObjectWriter(fs.runtime.uploader, target, size, block_size, guard)
    if continued is not None:
        continued.copy_to(writer)
    return CosWriter(fs, path, mode, writer, autocommit, partial(namespace.note_change, path))


def _opened(
    binary: Callable[..., Any],
    path: str,
    mode: str,
    block_size: int | None,
    compression: str | None,
    options: dict[str, Any],
) -> Any:
    """Open a file with the requested layers; `binary` takes path, mode, block size and further options."""
    mode = _ordered(mode)
    if (caching := options.get("cache_type")) is not None and known_cache_type(caching) is None:
        raise ValueError(f"cache_type must be parallel or one of fsspec's, not {caching!r}")
    if "size" in options:
        options["size"] = whole_or_none("size", options["size"], 0)
    text = "b" not in mode
    text_options = {name: options.pop(name) for name in _OF_TEXT if name in options}
    if text_options and not text:
        raise TypeError(f"{', '.join(text_options)}: only files opened in text mode take this, not those of {mode!r}")
    # before the file is opened, which may cost requests
    codec = get_compression(path, compression)
    if "a" in mode and codec is not None and codec not in _CONTINUABLE:
        raise NotImplementedError(
            f"mode {mode!r} is not supported with compression {codec!r}: what follows the end of a compressed file is "
            "read with gzip, bz2, xz and lzma only"
        )
    file = binary(path, mode.replace("t", "b"), block_size, **options)
    try:
        return layered(file, mode, codec, text_options if text else None)
    except BaseException:
        # for example, an unknown encoding
        (file.close if "r" in mode else file.discard)()
        raise


def _ordered(mode: object) -> str:
    """Return a mode, whose letters may have any order as in Python, such as ``rb``, ``rt`` or ``r+b``."""
    letters = "".join(sorted(mode)) if isinstance(mode, str) else ""
    action = letters.strip("+bt")
    if len(action) != 1 or action not in "rwxa" or len(set(letters)) < len(letters):
        raise ValueError(f"mode must be one of rb, wb, xb, ab, r, w, x and a, not {mode!r}")
    if "b" in letters and "t" in letters:
        raise ValueError(f"mode must be binary (b) or text (t), not both: {mode!r}")
    return f"{action}{'+' if '+' in letters else ''}{'b' if 'b' in letters else 't'}"
