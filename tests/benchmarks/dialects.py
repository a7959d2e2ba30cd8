"""What the sink answers: a little of the COS JSON API v4, a little of S3. No content is stored.

An object whose name ends in ``-s<number>`` exists and has that many bytes. Of what was uploaded, only the objects that
came in slices by v4 exist.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from tests.benchmarks.uploads import Uploads

MIB = 1024 * 1024

_SIZE = re.compile(r"-s(\d{1,15})$")
_FIELD = re.compile(rb'name="(\w+)"(?:\r\n[^\r]+)*\r\n\r\n([^\r]*)')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_MODIFIED = "Thu, 01 Oct 2026 12:00:00 GMT"
_ETAG = '"0123456789abcdef0123456789abcdef"'
_CONTENT = re.compile(rb'name="filecontent"(?:[^\r]+\r\n)+\r\n')
_PHRASES = {
    200: "OK", 204: "No Content", 206: "Partial Content",
    400: "Bad Request", 404: "Not Found", 416: "Range Not Satisfiable",
}  # fmt: skip
_MESSAGES = {0: "SUCCESS", -175: "ERROR_CMD_COS_FILE_SIZE_NOT_EQU", -197: "ERROR_CMD_FILE_NOTEXIST"}


@dataclass
class Call:
    """One request; `prefix` holds the first bytes of its body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    prefix: bytes = b""

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return int(self.headers.get("content-length", "0"))

    @property
    def is_control(self) -> bool:
        """Whether the request is for the sink itself."""
        return self.path == "/_control"


@dataclass
class Reply:
    """An answer: a body, or a stretch (offset, length) of the pattern."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    pattern: tuple[int, int] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_length(self) -> int:
        """Bytes of the body."""
        return self.pattern[1] if self.pattern else len(self.body)

    def head(self) -> bytes:
        """Return status line and headers."""
        lines = [
            f"HTTP/1.1 {self.status} {_PHRASES[self.status]}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {self.content_length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Service:
    """Answers requests of either dialect."""

    def __init__(self) -> None:
        self._sessions, self._uploads = itertools.count(1), Uploads()

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request."""
        if call.path.startswith("/files/v2/"):
            path = call.path.split("/", 4)[4]
            if call.method == "POST" or "op" in call.query:
                return _cos(call, path, self._sessions, self._uploads)
            return _download(call, self._held(path))
        host = call.headers.get("host", "")
        if "myqcloud.com" in host:
            return _download(call, self._held(host.partition(".")[0].rpartition("-")[0] + call.path))
        return _s3(call, self._sessions)

    def _held(self, path: str) -> bytes | None:
        upload = self._uploads.find(path)
        return upload.content if upload else None


# -- objects -----------------------------------------------------------------------------------------------------------


def _size(path: str) -> int | None:
    found = _SIZE.search(path)
    return int(found[1]) if found else None


def _download(call: Call, content: bytes | None = None) -> Reply:
    if content is not None:
        return Reply(200, content, "application/octet-stream", headers={"ETag": _ETAG, "Last-Modified": _MODIFIED})
    size = _size(call.path)
    if size is None:
        return Reply(404)
    headers = {"ETag": _ETAG, "Last-Modified": _MODIFIED, "Accept-Ranges": "bytes"}
    wanted = _RANGE.match(call.headers.get("range", ""))
    if wanted is None:
        return Reply(200, b"", "application/octet-stream", (0, size), headers)
    start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
    stop = min(size, int(wanted[2]) + 1) if wanted[1] and wanted[2] else size
    if start >= size:
        return Reply(416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Reply(206, b"", "application/octet-stream", (start, stop - start), headers)


# -- COS ---------------------------------------------------------------------------------------------------------------


def _cos(call: Call, path: str, sessions: Iterator[int], uploads: Uploads) -> Reply:
    fields = _fields(call)
    op = fields.get("op", "")
    data: dict[str, object] = {
        "access_url": "http://localhost/",
        "resource_path": call.path,
        "url": "http://localhost/",
    }
    if op == "upload_slice_init":
        uploads.open(path, int(fields["filesize"]))
        data = {"session": f"session-{next(sessions)}", "slice_size": int(fields["slice_size"]), "serial_upload": 0}
    elif op == "upload_slice_data":
        uploads.hold(path, _content(call))
        data = {"session": fields["session"], "offset": int(fields["offset"])}
    elif op == "upload_slice_finish" and not uploads.finish(path, int(fields["filesize"])):
        return _envelope({}, -175, 400)
    elif op == "stat":
        return _cos_status(call, path, uploads)
    elif op == "list":
        data = {"context": "", "has_more": False, "listover": True, "infos": []}
    elif op == "upload_slice_list":
        return _envelope({}, -197, 404)
    elif op == "move":
        uploads.move(path, path.partition("/")[0] + fields["dest_fileid"])
    elif op == "delete":
        uploads.remove(path)
    return _envelope(data)


def _content(call: Call) -> bytes | None:
    """Return the content of a form, if all of the form was kept."""
    found = _CONTENT.search(call.prefix) if len(call.prefix) == call.length else None
    if found is None:
        return None
    boundary = call.prefix[: call.prefix.index(b"\r\n")]
    return call.prefix[found.end() : call.prefix.rindex(b"\r\n" + boundary)]


def pattern_block() -> bytes:
    """Return the MiB that downloads consist of."""
    return (bytes(range(256)) + bytes(reversed(range(256)))) * (MIB // 512)


@lru_cache(maxsize=32)
def pattern_sha1(size: int) -> str:
    """Return the SHA-1 of an object that is downloaded, in hex."""
    digest, block = hashlib.sha1(usedforsecurity=False), memoryview(pattern_block())
    for offset in range(0, size, MIB):
        digest.update(block[: size - offset])
    return digest.hexdigest()


def _fields(call: Call) -> dict[str, str]:
    if call.prefix.startswith(b"{"):
        return {name: str(value) for name, value in json.loads(call.prefix).items()}
    found = {name.decode(): value.decode("utf-8", "replace") for name, value in _FIELD.findall(call.prefix)}
    return {**call.query, **found}


def _cos_status(call: Call, path: str, uploads: Uploads) -> Reply:
    upload, size = uploads.find(path), _size(call.path)
    if upload is None and size is None:
        return _envelope({}, -197, 404)
    if upload is not None:
        known = upload.status(path)
    else:
        known = {"filesize": size, "filelen": size, "sha": pattern_sha1(size or 0)}
    return _envelope({**known, "biz_attr": "", "ctime": 1790000000, "mtime": 1790000000})


def _envelope(data: dict[str, object], code: int = 0, status: int = 200) -> Reply:
    body = {"code": code, "message": _MESSAGES[code], "request_id": "0", **({"data": data} if code == 0 else {})}
    return Reply(status, json.dumps(body).encode())


# -- S3 ----------------------------------------------------------------------------------------------------------------


def _s3(call: Call, sessions: Iterator[int]) -> Reply:
    if call.method in ("GET", "HEAD"):
        if "list-type" in call.query or call.path.count("/") < 2:
            return _xml(_listing(call))
        return _download(call)
    if call.method == "PUT":
        return Reply(200, headers={"ETag": _ETAG})
    if call.method == "POST" and "uploads" in call.query:
        return _xml(_upload(call, f"upload-{next(sessions)}"))
    if call.method == "POST" and "uploadId" in call.query:
        return _xml(_completed(call))
    if call.method == "POST":
        return _xml("<DeleteResult></DeleteResult>")
    return Reply(204)


def _xml(body: str) -> Reply:
    return Reply(200, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode(), "application/xml")


def _bucket_and_key(call: Call) -> tuple[str, str]:
    bucket, _, key = call.path.lstrip("/").partition("/")
    return bucket, key


def _listing(call: Call) -> str:
    bucket, _ = _bucket_and_key(call)
    prefix = call.query.get("prefix", "")
    return (
        f"<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>0</KeyCount>"
        "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
    )


def _upload(call: Call, name: str) -> str:
    bucket, key = _bucket_and_key(call)
    return (
        f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>"
        f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
    )


def _completed(call: Call) -> str:
    bucket, key = _bucket_and_key(call)
    return (
        f"<CompleteMultipartUploadResult><Location>http://localhost/</Location><Bucket>{bucket}</Bucket>"
        f"<Key>{key}</Key><ETag>{_ETAG}</ETag></CompleteMultipartUploadResult>"
    )
