"""A request, independent of its protocol: what the server, the faults and the log need of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from cosv4fs.emulator.errors import ApiError

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_MOST_CONTAINERS = 100_000
"""Objects and lists in a JSON text: each takes a hundred times the memory of its two brackets."""


@dataclass(frozen=True)
class ObjectPath:
    """The path of a file, directory or object in a bucket or coffer (cos.md#paths).

    The text is decoded and begins with a slash; a final slash makes it a directory's.
    """

    bucket: str
    text: str

    @property
    def is_directory(self) -> bool:
        """Whether it names a directory."""
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
        """Its last name, without a slash."""
        text = self.text[:-1] if self.is_directory else self.text
        return text.rpartition("/")[2]

    @property
    def row_key(self) -> tuple[str, str, str]:
        """The columns that name it in the database."""
        return self.bucket, self.parent, self.name

    def ancestors(self) -> Iterator[ObjectPath]:
        """Yield the directories above it from the top down, without the root."""
        start = self.text.find("/", 1)
        end = len(self.text) - 1 if self.is_directory else len(self.text)
        while start != -1 and start < end:
            yield ObjectPath(self.bucket, self.text[: start + 1])
            start = self.text.find("/", start + 1)


def folded(path: str) -> str:
    """Return a path with one slash for all those at its end."""
    return path.rstrip("/") + "/" if path.endswith("//") else path


def decode(raw: str, *, plus: bool = False) -> str:
    """Return percent-encoded text of a request decoded; raise UnicodeError when it is not UTF-8.

    Its raw bytes are given as Latin-1; with `plus`, a ``+`` stands for a space, as in queries.
    """
    data = raw.encode("latin-1")
    return unquote_to_bytes(data.replace(b"+", b" ") if plus else data).decode()


def encode(path: str) -> str:
    """Return a path percent-encoded for a URL, its slashes kept."""
    return quote(path, safe="/~")


@dataclass
class Head:
    """The head of an HTTP request: raw bytes as Latin-1, the headers by lower-case name."""

    method: str = ""
    target: str = ""
    version: str = "HTTP/1.1"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host of the URL: an absolute target's (a client behind a proxy setting), else the header's."""
        if self.target[:7].lower() == "http://":
            return self.target[7:].partition("/")[0].partition("?")[0].lower()
        return self.headers.get("host", "").lower()

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can be kept: not after an unknown method, which may be the remains of a body."""
        if self.method not in _METHODS:
            return False
        wanted = self.headers.get("connection", "").lower()
        return "close" not in wanted and (self.version != "HTTP/1.0" or "keep-alive" in wanted)

    def split_target(self) -> tuple[str, str]:
        """Return the raw path and the raw query of the target."""
        target = self.target
        if target[:7].lower() == "http://":
            slash = target.find("/", 7)
            target = target[slash:] if slash != -1 else "/"
        path, _, query = target.partition("?")
        return path, query.partition("#")[0]


@dataclass
class Call:
    """One request while it is served. The protocols add what they parse from it.

    Parameters
    ----------
    head : Head
        As received.
    request_id : str
        The id of its reply.
    stopping : threading.Event
        Set when the service stops: waits should end.
    restart : callable
        Restarts the service soon, from a thread of its own.
    op : str
        The operation; empty while it is not known.
    path : ObjectPath
        The bucket or coffer, and the path in it; both empty while they are not known.
    query : dict
        The parameters of the query, without a signature.
    error : ApiError, optional
        Why it is refused, when that was found before the operation runs.
    skew : float
        Seconds by which the service's clock is ahead, for this request only (a fault).
    disk_full : bool
        Whether there is no room for what this request writes (a fault).
    number, bytes_in, started
        As in its `RequestRecord`.
    """

    head: Head
    request_id: str
    stopping: threading.Event
    restart: Callable[[], None]
    op: str = ""
    path: ObjectPath = field(default=ObjectPath("", ""))
    query: dict[str, str] = field(default_factory=dict)
    error: ApiError | None = None
    skew: float = 0.0
    disk_full: bool = False
    number: int = 0
    bytes_in: int = 0
    started: float = field(default_factory=time.time)

    @property
    def session(self) -> str | None:
        """The unfinished upload that the request names."""
        return None

    @property
    def offset(self) -> int | None:
        """The offset of a slice in bytes."""
        return None


def load_json(text: str | bytes) -> Any:
    """Parse a JSON text of a client, which may have only so many objects and lists, counted also within texts.

    Raises
    ------
    ValueError, RecursionError
        It is malformed, has more of them, or is nested too deeply.
    """
    encoded = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if encoded.count(b"{") + encoded.count(b"[") > _MOST_CONTAINERS:
        raise ValueError(f"there are more than {_MOST_CONTAINERS} objects and lists")
    return json.loads(text)
