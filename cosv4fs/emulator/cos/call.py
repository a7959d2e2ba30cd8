"""A request of the JSON API: what its URL names, and its parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cosv4fs.emulator.call import Call, ObjectPath, decode
from cosv4fs.emulator.errors import ApiError, UnknownBucketError

from .parameters import Parameters, read_query

if TYPE_CHECKING:
    from collections.abc import Collection

_API = re.compile(r"/files/(v[12])/([^/]*)/([^/]+)(/.*)?\Z", re.DOTALL)
_DOWNLOAD_HOST = re.compile(r"([^.]+)-(\d+)(?:[.:].*)?\Z")


@dataclass
class CosCall(Call):
    """One request to a bucket, with the signature and the parameters of its query and body.

    It may be one of v3 (cos.md#v3), or a plain one without operation: a download or its head, or one of a browser
    before another.
    """

    query_signature: str | None = None
    is_v3: bool = False
    is_plain: bool = False
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def signature(self) -> str:
        """The signature, of the query or the header (cos.md#envelope)."""
        if self.query_signature is not None:
            return self.query_signature
        return self.head.headers.get("authorization", "")

    @property
    def session(self) -> str | None:
        """The unfinished upload that the request names."""
        return self._short_text("session")

    @property
    def offset(self) -> int | None:
        """The offset of a slice in bytes."""
        text = self._short_text("offset")
        return int(text) if text is not None and text.isascii() and text.isdigit() else None

    def _short_text(self, name: str) -> str | None:
        value = self.parameters.values.get(name)
        return str(value)[:256] if isinstance(value, (str, int)) else None


def read_url(call: CosCall, appid: str, buckets: Collection[str]) -> bool:
    """Parse the URL of a request into the call; return whether its host is a download host, which has no operations.

    Two forms: ``/files/v2/<appid>/<bucket>/<path>`` (or ``v1``) on any host, and ``/<path>`` on a download host
    ``<bucket>-<appid>.…``, split at its last hyphen (cos.md#hosts; wire.md#tolerate, point 18). Codes: −5994 for a path
    of no known form, −147 when the URL is not UTF-8, `UnknownBucketError` for what is not served here.
    """
    raw_path, raw_query = call.head.split_target()
    query = read_query(raw_query)
    sign = query.pop("sign", None)
    try:
        path = decode(raw_path)
    except UnicodeError:
        raise ApiError(-147) from None
    if not path.startswith("/"):
        raise ApiError(-5994)
    host = _DOWNLOAD_HOST.match(call.head.host)
    is_download_host = host is not None and (host[2] == appid or not path.startswith("/files/"))
    if host is not None and is_download_host:
        version, bucket, owner = "v2", host[1], host[2]
    else:
        version, owner, bucket, path = _read_api_path(path)
    # Host names ignore case; buckets do not.
    match = next((name for name in buckets if name == bucket or (is_download_host and name.lower() == bucket)), None)
    if owner != appid or match is None:
        raise UnknownBucketError
    if sign is not None:
        # spaces around a signature are stripped: a leading plus must not look like one
        call.query_signature = sign.replace(" ", "+")
    call.path, call.query, call.is_v3 = ObjectPath(match, path), query, version == "v1"
    return is_download_host


def _read_api_path(path: str) -> tuple[str, str, str, str]:
    match = _API.match(path)
    if match is None:
        raise ApiError(-5994)
    return match[1], match[2], match[3], match[4] or "/"
