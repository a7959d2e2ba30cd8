"""A request of the JSON API: what its URL names, and its parameters (cos.md#bodies, wire.md#tolerate)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import Call, ObjectPath, decode, load_json
from cosv4fs.emulator.errors import ApiError, UnknownBucketError

if TYPE_CHECKING:
    from collections.abc import Collection

SHA1 = re.compile(r"[0-9a-fA-F]{40}\Z")
"""A SHA-1 in hex."""

_AUTHORITIES = frozenset({"eInvalid", "eWRPrivate", "eWPrivateRPublic"})
_API = re.compile(r"/files/(v[12])/([^/]*)/([^/]+)(/.*)?\Z", re.DOTALL)
_DOWNLOAD_HOST = re.compile(r"([^.]+)-(\d+)(?:[.:].*)?\Z")
_WHOLE = re.compile(r"[+]?\d{1,18}\Z")
_NAME = re.compile(rb';\s*name\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_EARLY_OP = re.compile(rb';\s*name="op"[^\r]*(?:\r\n[^\r]+)*\r\n\r\n(\w+)\r\n|"op"\s*:\s*"(\w+)"')
_HEADERS_MAX = 16384
_MOST_PARTS = 200
_LONGEST_FIELD = 8 * 1024 * 1024


@dataclass
class CosCall(Call):
    """One request to a bucket.

    Parameters
    ----------
    signature : str
        The signature, of the query or the header (cos.md#envelope).
    is_v3, is_plain, is_form : bool
        Whether it is one of v3 (cos.md#v3); one without operation: a download, its head, or a browser's question before
        another request; one with a form.
    values : dict
        The parameters of query and body, by lower-case name: text, or whatever a JSON body held.
    content : memoryview, optional
        The bytes of the part ``filecontent``; good until the connection's next request.
    content_type : str, optional
        That part's own type, when it says something about the object.
    """

    signature: str = field(default="", repr=False)
    is_v3: bool = False
    is_plain: bool = False
    is_form: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    content: memoryview | None = None
    content_type: str | None = None

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
        value = self.values.get(name)
        return str(value)[:256] if isinstance(value, (str, int)) else None

    def text(self, name: str) -> str | None:
        """Return a parameter as text; −147 when it cannot be written as UTF-8, −182 for an object or a list."""
        value = self.values.get(name.lower())
        if value is None:
            return None
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, (dict, list)):
            raise ApiError(-182)
        return checked(str(value))

    def whole(self, name: str, *, missing: int, bad: int) -> int:
        """Return a parameter as a whole number ≥ 0; `missing` and `bad` are the codes to refuse with."""
        text = self.text(name)
        if text is None or not text.strip():
            raise ApiError(missing)
        if not _WHOLE.match(text.strip()):
            raise ApiError(bad)
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is 0 or 1; absent or empty is `default`, anything else −182."""
        text = (self.text(name) or "").strip()
        if not text:
            return default
        if text not in {"0", "1"}:
            raise ApiError(-182)
        return text == "1"

    def sha(self) -> str | None:
        """Return the parameter ``sha`` in lower case, None when absent or empty; −168 when malformed."""
        text = (self.text("sha") or "").strip()
        if text and not SHA1.match(text):
            raise ApiError(-168)
        return text.lower() or None

    def authority(self) -> str | None:
        """Return the parameter ``authority``, None when absent or empty; −158 when it is none of the three."""
        text = self.text("authority") or None
        if text is not None and text not in _AUTHORITIES:
            raise ApiError(-158)
        return text

    def needed_session(self) -> str:
        """Return the parameter ``session``; −95 when it is absent or empty."""
        session = self.text("session") or ""
        if not session:
            raise ApiError(-95)
        return session


def checked(text: str) -> str:
    """Return a text; −147 when it cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeError:
        raise ApiError(-147) from None
    return text


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
        match = _API.match(path)
        if match is None:
            raise ApiError(-5994)
        version, owner, bucket, path = match[1], match[2], match[3], match[4] or "/"
    # Host names ignore case; buckets do not.
    known = next((name for name in buckets if name == bucket or (is_download_host and name.lower() == bucket)), None)
    if owner != appid or known is None:
        raise UnknownBucketError
    # spaces around a signature are stripped: a leading plus of the query must not look like one
    call.signature = call.head.headers.get("authorization", "") if sign is None else sign.replace(" ", "+")
    call.path, call.query, call.is_v3 = ObjectPath(known, path), query, version == "v1"
    return is_download_host


def read_query(raw: str) -> dict[str, str]:
    """Return the parameters of a query, names in lower case; −147 when a name or value is not UTF-8.

    In ``sign`` a ``+`` stays a plus, since two vendor clients send base64 unencoded (cos.md#signature); elsewhere it
    is a space.
    """
    values: dict[str, str] = {}
    try:
        for pair in raw.split("&"):
            name, _, value = pair.partition("=")
            if name:
                name = decode(name).lower()
                values[name] = decode(value, plus=name != "sign")
    except UnicodeError:
        raise ApiError(-147) from None
    return values


def read_op(beginning: bytes) -> str:
    """Return the operation, if the beginning of a form or of a JSON body tells it already, else an empty text."""
    match = _EARLY_OP.search(beginning)
    return (match[1] or match[2]).decode() if match else ""


def read_body(call: CosCall, body: memoryview, buffer: bytearray) -> None:
    """Read the parameters of a request: the query's and the body's, which wins.

    The body is a view of the first bytes of `buffer`. Codes: −5993 for a malformed form, −5975 for malformed JSON, −147
    for text that is not UTF-8.
    """
    content_type = call.head.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    call.values = dict(call.query)
    if kind == "multipart/form-data":
        call.is_form = True
        _read_multipart(call, body, buffer, content_type)
    elif kind == "application/x-www-form-urlencoded":
        call.values |= read_query(str(body, "latin-1"))
    elif len(body):
        call.values |= _read_json(body)


def _read_json(body: memoryview) -> dict[str, Any]:
    try:
        value = load_json(bytes(body))
    except UnicodeDecodeError:
        raise ApiError(-147) from None
    except (ValueError, RecursionError):
        raise ApiError(-5975) from None
    if not isinstance(value, dict):
        raise ApiError(-5975)
    return {name.lower(): item for name, item in value.items()}


def _read_multipart(call: CosCall, body: memoryview, buffer: bytearray, content_type: str) -> None:
    match = _BOUNDARY.search(content_type)
    if not match:
        raise ApiError(-5993)
    mark = b"--" + (match[1] or match[2]).encode("latin-1")
    end = len(body)
    start = buffer.find(mark, 0, end)
    # One client sends a line break before the first boundary (wire.md#tolerate, point 5).
    if start == -1 or bytes(body[:start]).strip(b"\r\n"):
        raise ApiError(-5993)
    start += len(mark)
    delimiter = b"\r\n" + mark
    count = 0
    while (after := bytes(body[start : start + 2])) != b"--":
        stop, count = buffer.find(delimiter, start, end), count + 1
        if after != b"\r\n" or stop == -1 or count > _MOST_PARTS:
            raise ApiError(-5993)
        _read_part(call, body, buffer, start + 2, stop)
        start = stop + len(delimiter)


def _read_part(call: CosCall, body: memoryview, buffer: bytearray, start: int, stop: int) -> None:
    split = buffer.find(b"\r\n\r\n", start, min(stop, start + _HEADERS_MAX))
    headers: dict[bytes, bytes] = {}
    for line in buffer[start:split].split(b"\r\n") if split != -1 else ():
        name, _, value = line.partition(b":")
        headers[bytes(name.strip().lower())] = bytes(value.strip())
    match = _NAME.search(headers.get(b"content-disposition", b""))
    if not match:
        raise ApiError(-5993)
    content = body[split + 4 : stop]
    try:
        field_name = (match[1] if match[1] is not None else match[2]).decode().lower()
        if field_name == "filecontent":
            call.content = content
            call.content_type = _object_type(headers)
        else:
            if len(content) > _LONGEST_FIELD:
                raise ApiError(-5993)
            # A file name on a plain field means nothing: one HTTP library gives every field one.
            call.values[field_name] = str(content, "utf-8")
    except UnicodeError:
        raise ApiError(-147) from None


def _object_type(headers: dict[bytes, bytes]) -> str | None:
    kind = headers.get(b"content-type", b"").decode("latin-1")
    if not kind or kind.partition(";")[0].strip().lower() == "application/octet-stream":
        return None
    if headers.get(b"content-transfer-encoding", b"").lower() == b"8bit":
        return None  # a text part's type, which one client gives to every field
    return kind if kind.isprintable() and len(kind) <= 200 else None
