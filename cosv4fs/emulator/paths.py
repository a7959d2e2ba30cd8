"""Paths inside a bucket: what is a directory, what is a parent, which names are refused (cos.md#paths)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from .errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialect import Dialect

__all__ = ["CosPath", "check_new_path", "decode_path", "encode_path"]

_FORBIDDEN = frozenset('?*:|\\<>"')


@dataclass(frozen=True)
class CosPath:
    """One place in a bucket.

    Parameters
    ----------
    bucket : str
        The bucket's name.
    text : str
        The decoded path, beginning with ``/``; a final ``/`` makes it a directory's.
    """

    bucket: str
    text: str

    @property
    def is_directory(self) -> bool:
        """Whether it names a directory: it ends with a slash."""
        return self.text.endswith("/")

    @property
    def is_root(self) -> bool:
        """Whether it names the bucket itself."""
        return self.text == "/"

    @property
    def parent(self) -> str:
        """The directory that holds it, ending with a slash; of the root: the empty text."""
        return self.text.rstrip("/").rpartition("/")[0] + "/" if not self.is_root else ""

    @property
    def name(self) -> str:
        """Its last name, without a slash; what follows the last slash of a file's path."""
        text = self.text[:-1] if self.is_directory else self.text
        return text.rpartition("/")[2]

    def ancestors(self) -> Iterator[CosPath]:
        """Yield the directories above it from the top down, without the root."""
        start = self.text.find("/", 1)
        end = len(self.text) - 1 if self.is_directory else len(self.text)
        while start != -1 and start < end:
            yield CosPath(self.bucket, self.text[: start + 1])
            start = self.text.find("/", start + 1)


def decode_path(raw: str) -> str:
    """Return the decoded path of a request target; ``+`` is a plus.

    Parameters
    ----------
    raw : str
        The percent-encoded path, its raw bytes as Latin-1.

    Raises
    ------
    ApiError
        −147 when it is not UTF-8.
    """
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeError:
        raise ApiError(-147) from None


def encode_path(path: str) -> str:
    """Return a path percent-encoded for a URL, its slashes kept."""
    return quote(path, safe="/~")


def check_new_path(path: CosPath, dialect: Dialect) -> None:
    """Refuse names at which nothing may be made.

    Raises
    ------
    ApiError
        −180 for an empty, blank, dotted, over-long or forbidden name (cos.md#paths).
    """
    names = path.text[1:].split("/")
    if path.is_directory:
        names.pop()
    for position, name in enumerate(names):
        is_file = position == len(names) - 1 and not path.is_directory
        if not name.strip(" \t\r\n\v\f") or name in {".", ".."} or "\0" in name:
            raise ApiError(-180)
        if (not is_file or dialect.file_names == "strict") and not _FORBIDDEN.isdisjoint(name):
            raise ApiError(-180)
        if dialect.max_name is not None and len(name.encode()) > dialect.max_name:
            raise ApiError(-180)
