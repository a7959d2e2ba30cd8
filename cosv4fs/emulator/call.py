"""One request, understood: where its URL points, what it asks for, what it brings."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ApiError, UnknownBucketError
from .forms import Parameters, read_query
from .paths import CosPath, decode_path

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "Head", "Place", "locate"]

_API = re.compile(r"/files/(v[12])/([^/]*)/([^/]+)(/.*)?\Z", re.DOTALL)
_VIRTUAL_HOST = re.compile(r"([^.]+)-(\d+)(?:[.:].*)?\Z")


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


@dataclass
class Place:
    """Where a URL points.

    Parameters
    ----------
    path : CosPath
        Bucket and decoded path.
    query : dict
        The parameters of the query, without the signature.
    sign : str, optional
        The signature of the query.
    download_host : bool
        Whether the host is a bucket's download host, where there are no operations.
    version : str
        The generation of the API in the URL: ``v2``, or ``v1`` for the predecessor (spec section 11).
    """

    path: CosPath
    query: dict[str, str]
    sign: str | None
    download_host: bool
    version: str = "v2"


@dataclass
class Call:
    """One request on its way through the emulator.

    Parameters
    ----------
    head : Head
        As received.
    request_id : str
        The id of its answer.
    stopping : threading.Event
        Set when the emulator stops: nobody should wait any longer.
    op : str
        The operation: the API's names, ``download``, ``head``, ``options``, or empty while it is not known.
    place : Place, optional
        Where the URL points, when that could be told.
    parameters : Parameters
        Of query and body.
    restart : callable
        Restarts the emulator soon, from a thread of its own.
    skew : float
        How many seconds the service's clock is ahead, for this request only (a fault).
    disk_full : bool
        Whether there is no room for what this request writes (a fault).
    """

    head: Head
    request_id: str
    stopping: threading.Event
    op: str = ""
    place: Place | None = None
    parameters: Parameters = field(default_factory=Parameters)
    restart: Callable[[], None] = lambda: None
    skew: float = 0.0
    disk_full: bool = False

    @property
    def path(self) -> CosPath:
        """Bucket and path; those of nothing while the place is unknown."""
        return self.place.path if self.place is not None else CosPath("", "")

    @property
    def is_predecessor(self) -> bool:
        """Whether the predecessor of the API is asked (spec section 11)."""
        return self.place is not None and self.place.version == "v1"

    @property
    def signature(self) -> str:
        """The signature from wherever it was sent: the query or the header (spec section 3)."""
        if self.place is not None and self.place.sign is not None:
            return self.place.sign
        return self.head.headers.get("authorization", "")


def locate(head: Head, appid: str, buckets: frozenset[str]) -> Place:
    """Tell where a request's URL points.

    Two forms: ``/files/v2/<appid>/<bucket>/<path>`` (or ``v1``) on any host, and ``/<path>`` on a download host
    ``<bucket>-<appid>.…``, split at its last hyphen (spec section 1, wire traces 0.18).

    Parameters
    ----------
    head : Head
        The request.
    appid : str
        The account that is served.
    buckets : frozenset of str
        Its buckets.

    Raises
    ------
    UnknownBucketError
        Appid or bucket are not served here.
    ApiError
        −5994 for a path of no known form, −147 when the URL is not UTF-8.
    """
    raw_path, raw_query = head.split_target()
    query = read_query(raw_query)
    sign = query.pop("sign", None)
    if sign is not None:
        sign = sign.replace(" ", "+")  # a plus at its beginning would be lost with the blanks around a header
    path = decode_path(raw_path)
    if not path.startswith("/"):
        raise ApiError(-5994)
    host = _VIRTUAL_HOST.match(head.host)
    download_host = host is not None and (host[2] == appid or not path.startswith("/files/"))
    if host is not None and download_host:
        version, bucket, named = "v2", host[1], host[2]
    else:
        version, named, bucket, path = _read_api_path(path)
    # Host names know no case; buckets do.
    match = next((name for name in buckets if name == bucket or (download_host and name.lower() == bucket)), None)
    if named != appid or match is None:
        raise UnknownBucketError
    return Place(CosPath(match, path), query, sign, download_host, version)


def _read_api_path(path: str) -> tuple[str, str, str, str]:
    match = _API.match(path)
    if match is None:
        raise ApiError(-5994)
    return match[1], match[2], match[3], match[4] or "/"
