"""One request, understood: where its URL points, what it asks for, what it brings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ApiError, UnknownBucketError
from .forms import Parameters, read_query
from .paths import CosPath, decode_path
from .replies import error_reply
from .request import Request, Subject

if TYPE_CHECKING:
    from .replies import Reply
    from .request import Head

__all__ = ["Call", "Place", "locate"]

_API = re.compile(r"/files/(v[12])/([^/]*)/([^/]+)(/.*)?\Z", re.DOTALL)
_VIRTUAL_HOST = re.compile(r"([^.]+)-(\d+)(?:[.:].*)?\Z")


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
        The version in the URL: ``v2`` for v4, ``v1`` for v3 (cos.md#v3).
    """

    path: CosPath
    query: dict[str, str]
    sign: str | None
    download_host: bool
    version: str = "v2"


@dataclass
class Call(Request):
    """One request to a bucket; its operation is one of the API's names, ``download``, ``head`` or ``options``.

    Parameters
    ----------
    place : Place, optional
        Where the URL points, when that could be told.
    parameters : Parameters
        Of query and body.
    error : Exception, optional
        Why it is refused, when that can be told before it is acted on.
    """

    place: Place | None = None
    parameters: Parameters = field(default_factory=Parameters)
    error: Exception | None = None

    @property
    def subject(self) -> Subject:
        """What the log says of it; the content is gone when this is asked after the answer."""
        session, offset = self._short_text("session"), self._short_text("offset")
        return Subject(
            container=self.path.bucket,
            path=self.path.text,
            query=dict(self.place.query) if self.place is not None else {},
            offset=int(offset) if offset is not None and offset.isascii() and offset.isdigit() else None,
            session=session,
        )

    def refusal(self, code: int | str, *, status: int | None = None, retry_after: int | None = None) -> Reply:
        """Return the answer that refuses it with a code of the API."""
        if not isinstance(code, int):
            raise TypeError(f"the codes of this API are numbers, not {code!r}")
        return error_reply(self.request_id, ApiError(code, status=status, retry_after=retry_after))

    def _short_text(self, name: str) -> str | None:
        value = self.parameters.values.get(name)
        return str(value)[:256] if isinstance(value, (str, int)) else None

    @property
    def path(self) -> CosPath:
        """Bucket and path; those of nothing while the place is unknown."""
        return self.place.path if self.place is not None else CosPath("", "")

    @property
    def is_v3(self) -> bool:
        """Whether v3 of the API is asked (cos.md#v3)."""
        return self.place is not None and self.place.version == "v1"

    @property
    def signature(self) -> str:
        """The signature from wherever it was sent: the query or the header (cos.md#envelope)."""
        if self.place is not None and self.place.sign is not None:
            return self.place.sign
        return self.head.headers.get("authorization", "")


def locate(head: Head, appid: str, buckets: frozenset[str]) -> Place:
    """Tell where a request's URL points.

    Two forms: ``/files/v2/<appid>/<bucket>/<path>`` (or ``v1``) on any host, and ``/<path>`` on a download host
    ``<bucket>-<appid>.…``, split at its last hyphen (cos.md#hosts; wire.md#tolerate, point 18).

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
