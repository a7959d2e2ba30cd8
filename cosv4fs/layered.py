"""Text mode and compression on top of the binary files that `open` returns.

For writing, both discard a file whose ``with`` block an exception leaves, which those of `io` would publish.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.compression import compr

from cosv4fs.concurrency.background import run_in_background
from cosv4fs.options import MIB
from cosv4fs.writer import CosWriter, closed_error, flat

if TYPE_CHECKING:
    from typing_extensions import Buffer

_COMPRESSION_BLOCK = MIB
"""Bytes that are compressed before the result is passed on."""


def layered(file: Any, mode: str, codec: str | None, text_options: dict[str, Any] | None) -> Any:
    """Return a binary file with compression and text mode on top of it, if wanted.

    Parameters
    ----------
    codec : str or None
        The compression, as `fsspec.compression` names it.
    text_options : dict or None
        Keywords of `io.TextIOWrapper`; None in binary mode.
    """
    if codec is not None:
        compress = compr[codec]
        file = compress(file, mode="r") if "r" in mode else _CompressedWriter(partial(compress, mode="w"), file)
    if text_options is not None:
        file = io.TextIOWrapper(file, **text_options) if "r" in mode else _TextWriter(file, **text_options)
    return file


class _TextWriter(io.TextIOWrapper):
    """Text mode for writing; an exception in the ``with`` block discards the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.buffer.discard_after(kind)  # type: ignore[attr-defined]
        else:
            self.buffer.end_well()  # type: ignore[attr-defined]
            self.close()

    def close(self) -> None:
        """Flush and close the file."""
        if self.closed:
            return
        if self._finalizing:  # type: ignore[attr-defined]
            # nobody can handle its errors, and newer versions of Python print them; the file below says what is lost
            with suppress(Exception):
                super().close()
            return
        try:
            self.flush()
        except BaseException:
            # the base class would go on, and publish the file without the text that was pending
            if not self.closed:
                self.buffer.discard()  # type: ignore[attr-defined]
            raise
        super().close()
        self.buffer.raise_failure()  # type: ignore[attr-defined]


class _Sink(io.RawIOBase):
    """Collects the output of a compressor; separate from the file, because a lost compressor writes its last bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Buffer, /) -> int:
        self._pieces.append(bytes(data))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def close(self) -> None:
        """Do nothing: some compressors close their output."""

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class _CompressedWriter(io.BufferedIOBase):
    """Compression for writing; an exception in the ``with`` block discards the file.

    Parameters
    ----------
    compress : callable
        Takes a binary file and returns one that compresses into it.
    inner : CosWriter
        The file that receives the compressed bytes.
    """

    def __init__(self, compress: Callable[[io.RawIOBase], Any], inner: CosWriter) -> None:
        super().__init__()
        self._inner, self._sink = inner, _Sink()
        self._outer = compress(self._sink)
        # with mode "ab" the text layer must see that this is not the beginning
        self._start, self._count = inner.tell(), 0
        # compressors are not thread-safe
        self._lock = threading.RLock()

    def writable(self) -> bool:
        """Return True; raise `ValueError` if the file is closed."""
        self._refuse_closed()
        return True

    def seekable(self) -> bool:
        """Return whether nothing has been written: a text layer writes its byte order mark only to such files.

        `seek` is not supported.
        """
        return self.writable() and self._count == 0

    def tell(self) -> int:
        """Return the number of uncompressed bytes written, and of the bytes of the object that is continued."""
        self._refuse_closed()
        return self._start + self._count

    def _refuse_closed(self) -> None:
        if self.closed:
            raise closed_error(self._inner.path)

    def write(self, data: Buffer, /) -> int:
        """Write bytes and return their number."""
        with memoryview(data) as view:
            if self._inner.is_lost or self._inner.is_of_parent:
                # without the lock, which a thread of the parent may have held
                return self._inner.write(view)
            return self._write(view)

    def _write(self, view: memoryview) -> int:
        with self._lock:
            data = flat(view)
            for start in range(0, len(data), _COMPRESSION_BLOCK):
                self._outer.write(data[start : start + _COMPRESSION_BLOCK])
                self._inner.write(self._sink.take())
            self._count += view.nbytes
            return view.nbytes

    def close(self) -> None:
        """Flush and close the file."""
        if self.closed:
            return
        if self._inner.is_lost or self._inner.is_of_parent:
            super().close()
            self._inner.close()
            return
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self.closed:
            # another thread was faster
            self.raise_failure()
            return
        try:
            self._outer.close()
            self._inner.write(self._sink.take())
            self._inner.close()
        except BaseException:
            self._inner.discard()
            raise
        finally:
            super().close()

    def raise_failure(self) -> None:
        """See `CosWriter.raise_failure`."""
        self._inner.raise_failure()

    def discard(self) -> None:
        """Close the file without publishing anything."""
        self._inner.discard()
        _end(self._outer)
        super().close()

    def discard_after(self, kind: type[BaseException]) -> None:
        """See `CosWriter.discard_after`."""
        self._inner.discard_after(kind)
        _end(self._outer)
        super().close()

    def end_well(self) -> None:
        """See `CosWriter.end_well`."""
        self._inner.end_well()

    def _dealloc_warn(self, source: object = None) -> None:
        if getattr(self, "_inner", None) is not None and not self.closed:
            self._inner._dealloc_warn(self)
            run_in_background(partial(_end, self._outer))

    def __del__(self) -> None:
        self._dealloc_warn()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard_after(kind)
        else:
            self.end_well()
            self.close()


def _end(compressor: Any) -> None:
    """Close a compressor whose output is not wanted: `zipfile` complains to the user about one that is still open."""
    with suppress(Exception):
        compressor.close()
