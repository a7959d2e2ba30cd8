"""Paths inside a bucket or coffer: what is a directory, what is a parent (cos.md#paths)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class ObjectPath:
    """The path of a file, directory or object.

    Parameters
    ----------
    bucket : str
        The name of the bucket or coffer.
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

    def ancestors(self) -> Iterator[ObjectPath]:
        """Yield the directories above it from the top down, without the root."""
        start = self.text.find("/", 1)
        end = len(self.text) - 1 if self.is_directory else len(self.text)
        while start != -1 and start < end:
            yield ObjectPath(self.bucket, self.text[: start + 1])
            start = self.text.find("/", start + 1)


def decode(raw: str, *, plus: bool = False) -> str:
    """Return percent-encoded text of a request decoded.

    Parameters
    ----------
    raw : str
        The encoded text, its raw bytes as Latin-1.
    plus : bool
        Whether ``+`` stands for a space, as in queries.

    Raises
    ------
    UnicodeError
        It is not UTF-8.
    """
    data = raw.encode("latin-1")
    return unquote_to_bytes(data.replace(b"+", b" ") if plus else data).decode()


def encode(path: str) -> str:
    """Return a path percent-encoded for a URL, its slashes kept."""
    return quote(path, safe="/~")
