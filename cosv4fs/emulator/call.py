"""A request, independent of its protocol: what the server, the faults and the log need of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .paths import ObjectPath

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from .errors import ApiError

_MOST_CONTAINERS = 100_000
"""Objects and lists in a JSON text: each takes a hundred times the memory of its two brackets."""


@dataclass
class Head:
    """The head of an HTTP request.

    Parameters
    ----------
    method, target, version : str
        The words of the request line; raw bytes as Latin-1.
    headers : dict
        By lower-case name.
    """

    method: str
    target: str
    version: str
    headers: dict[str, str]

    @property
    def host(self) -> str:
        """The host of the URL: an absolute target's (a client behind a proxy setting), else the header's."""
        if self.target[:7].lower() == "http://":
            return self.target[7:].partition("/")[0].partition("?")[0].lower()
        return self.headers.get("host", "").lower()

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to keep the connection."""
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
    unread : bool
        Whether its body is left on the connection, which then cannot be used again.
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
    unread: bool = False

    @property
    def session(self) -> str | None:
        """The unfinished upload that the request names."""
        return None

    @property
    def offset(self) -> int | None:
        """The offset of a slice in bytes."""
        return None


def load_json(text: str | bytes, most: int = _MOST_CONTAINERS) -> Any:
    """Parse a JSON text of a client.

    Parameters
    ----------
    text : str or bytes
        As a client sent it.
    most : int
        How many objects and lists it may have, also within texts.

    Raises
    ------
    ValueError, RecursionError
        It is malformed, has more of them, or is nested too deeply.
    """
    encoded = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if encoded.count(b"{") + encoded.count(b"[") > most:
        raise ValueError(f"there are more than {most} objects and lists")
    return json.loads(text)
