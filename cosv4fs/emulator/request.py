"""What every service here understands of a request: its head, and what faults and the log need to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from .replies import Reply

__all__ = ["Head", "Request", "Subject"]


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
        """The host that is asked: an absolute target's (a client behind a proxy setting), else the header's."""
        if self.target[:7].lower() == "http://":
            return self.target[7:].partition("/")[0].partition("?")[0].lower()
        return self.headers.get("host", "").lower()

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to go on with the connection."""
        wish = self.headers.get("connection", "").lower()
        return "close" not in wish and (self.version != "HTTP/1.0" or "keep-alive" in wish)

    def split_target(self) -> tuple[str, str]:
        """Return the raw path and the raw query of the target."""
        target = self.target
        if target[:7].lower() == "http://":
            slash = target.find("/", 7)
            target = target[slash:] if slash != -1 else "/"
        path, _, query = target.partition("?")
        return path, query.partition("#")[0]


@dataclass(frozen=True)
class Subject:
    """What a request is about, as the log shows it.

    Parameters
    ----------
    container, path : str
        The bucket or coffer, and the decoded path within it, which begins with ``/``.
    query : dict
        The parameters of the query, without a signature.
    offset : int, optional
        The offset of a slice in bytes.
    session : str, optional
        The unfinished upload that is named.
    """

    container: str = ""
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    offset: int | None = None
    session: str | None = None


@dataclass
class Request:
    """One request on its way through a service.

    Parameters
    ----------
    head : Head
        As received.
    request_id : str
        The id of its answer.
    stopping : threading.Event
        Set when the service stops: nobody should wait any longer.
    op : str
        The operation; empty while it is not known.
    restart : callable
        Restarts the service soon, from a thread of its own.
    skew : float
        How many seconds the service's clock is ahead, for this request only (a fault).
    disk_full : bool
        Whether there is no room for what this request writes (a fault).
    unread : bool
        Whether its body is left on the connection, which then cannot be used again.
    """

    head: Head
    request_id: str
    stopping: threading.Event
    op: str = ""
    restart: Callable[[], None] = lambda: None
    skew: float = 0.0
    disk_full: bool = False
    unread: bool = False

    @property
    def subject(self) -> Subject:
        """What it is about, as far as that could be told."""
        raise NotImplementedError

    def refusal(self, code: int | str, *, status: int | None = None, retry_after: int | None = None) -> Reply:
        """Return the answer that refuses it with a code of the API.

        Parameters
        ----------
        code : int or str
            The code, a number or a word as the API has them.
        status : int, optional
            Another HTTP status than the code's.
        retry_after : int, optional
            Seconds for a ``Retry-After`` header.

        Raises
        ------
        TypeError
            The API has no codes of this type.
        """
        raise NotImplementedError
