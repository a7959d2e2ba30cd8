"""Requests to the Data Coffer Service, and its uploads in parts.

Uploads are opened, their parts sent in any order and listed; then they are completed or aborted (cdcs.md#multipart).
"""

from __future__ import annotations

import base64
import errno
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote, urlsplit

from cosv4fs import paths
from cosv4fs.api.cdcs.errors import NAME_TAKEN_CODES, read_nothing, read_values
from cosv4fs.api.cdcs.replies import Part, PendingUpload, StoredObject
from cosv4fs.api.cdcs.signing import CofferSigner, escape
from cosv4fs.api.client import Client
from cosv4fs.api.connections import Response
from cosv4fs.api.fields import Fields, is_utf8, plain_etag
from cosv4fs.api.paging import pages
from cosv4fs.api.request import Body, Content, Request, check_plain, json_body, pieces_of
from cosv4fs.api.responses import header_seconds
from cosv4fs.api.retry import AttemptError, is_older
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, CosFileNotFoundError, make_error
from cosv4fs.protocols import CDCS

T = TypeVar("T")

_MERGING = 5.0
"""Times the usual timeout that a completion may be silent: it takes minutes (cdcs.md#complete)."""

_MD5_DIGITS = 32

_MOST_PARTS = 10_000

_COFFER = re.compile(r"(?!\.{1,2}$)[^/\x00-\x1f\x7f]+")
"""What can be a part of a path; what else a coffer's name may be is disputed (cdcs.md#transport)."""

_CLOCK_CODES = (None, "AuthFailed")
"""Codes that may mean that a signature is not valid yet, or has expired (cdcs.md#signature, validity)."""

_COMPLETED = ("NoSuchUpload", "MultipartAlreadyCompleted", "MultipartNotExists", *NAME_TAKEN_CODES)
"""Codes of an upload that an attempt with a lost reply may have completed."""


class CofferUploads(Client):
    """Requests to the Data Coffer Service, and uploads in parts; see `Client` for the parameters.

    At most one upload lives for a key, and while it does, nothing else can be stored there. `initiate` and
    `list_uploads` return its ``upload_id``, which other methods take.
    """

    protocol = CDCS
    _signer: CofferSigner
    _signer_class = CofferSigner

    @abstractmethod
    def head(self, coffer: str, key: str) -> StoredObject:
        """Return the status of an object."""

    def initiate(self, coffer: str, key: str, *, content_type: str | None = None) -> str:
        """Open an upload in parts (InitiateMultipartUpload, cdcs.md#initiate).

        Parameters
        ----------
        content_type : str, optional
            The Content-Type returned on download.

        Returns
        -------
        str
            The upload's id.

        Raises
        ------
        FileExistsError
            The object exists, or another upload lives for its key.
        """
        check_plain(content_type=content_type)
        headers = {"Content-Type": content_type} if content_type else {}
        request = self._request("POST", "InitiateMultipartUpload", coffer, key, query={"uploads": ""}, headers=headers)
        began = time.monotonic()

        def parse(data: Fields) -> str:
            upload_id = data.text("UploadId" if data.has("UploadId") else "UploadID")
            if not upload_id:
                raise data.bad("UploadId", upload_id)
            return upload_id

        def settle(failure: AttemptError) -> str | None:
            if failure.error.code not in NAME_TAKEN_CODES:
                return None
            opened = self._opened_by_us(coffer, key, header_seconds(failure.server_date), time.monotonic() - began)
            if opened is None:
                self._retry_if_free(failure, coffer, key)
            return opened

        def check_lost() -> None:
            self._abort_lost(coffer, key, time.monotonic() - began)

        return self._query(request, parse, settle, check_lost)

    def upload_part(
        self, coffer: str, key: str, upload_id: str, number: int, content: Content, *, md5: bytes | None = None
    ) -> str:
        """Send one part (UploadPart, cdcs.md#upload-part). Sending it again replaces it.

        Parameters
        ----------
        upload_id : str
            From `initiate` or `list_uploads`.
        number : int
            1 to 10000. The parts of an object have to be numbered without gaps.
        content : memoryview or sequence of memoryview
            The part, in one piece or several, of 1 MiB to 5 GB, the last one of any size; it must not change until the
            method returns.
        md5 : bytes, optional
            Its MD5, the 16 bytes themselves; computed when not given. The server verifies it.

        Returns
        -------
        str
            The part's ETag, which `complete` wants.

        Raises
        ------
        OSError
            ESTALE when the upload is unknown; EIO when the server says that it has something else.
        """
        if not 1 <= number <= _MOST_PARTS:
            raise ValueError(f"parts have the numbers 1 to {_MOST_PARTS}, not {number!r}")
        body = Body("application/octet-stream", *pieces_of(content))
        digest = md5 or body.md5()
        query = {"partNumber": str(number), "uploadId": upload_id}
        request = self._request("PUT", "UploadPart", coffer, key, query=query, body=body, md5=digest)

        def sent() -> str:
            response = self._transport.exchange(request)
            etag = plain_etag(response.headers.get("ETag"))
            read_nothing(response, request)
            # a reply without one: parts are named by their MD5 (cdcs.md#complete)
            return etag or digest.hex()

        def attempt() -> str:
            etag = sent()
            if self.quirks.part_etag or not _is_md5(etag) or etag.lower() == digest.hex():
                return etag
            # damaged in transit, or named otherwise because it is encrypted (cdcs.md#response-headers): the same name
            # for the same part is no damage
            again = sent()
            if again == etag:
                self.quirks.learn(part_etag="encrypted")
            elif again.lower() != digest.hex():
                text = f"the server has another content of part {number} than was sent (UploadPart)"
                raise AttemptError(make_error(errno.EIO, text, request.path), Retry.YES)
            return again

        return self._run(attempt)

    def list_parts(self, coffer: str, key: str, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that the server has, by number (ListParts, cdcs.md#list-parts).

        Raises
        ------
        OSError
            ESTALE when the upload is unknown.
        """
        found: dict[int, Part] = {}
        is_stuck = False

        def fetch(marker: int) -> tuple[list[Part], int | None]:
            nonlocal is_stuck
            parts, more = self._parts_after(coffer, key, upload_id, marker)
            fresh = [part for part in parts if part.number not in found]
            found.update((part.number, part) for part in parts)
            if not more:
                return fresh, None
            # a page starts at its marker or after it (cdcs.md#list-parts-marker): one without news may be of the former
            was_stuck, is_stuck = is_stuck, not fresh
            return fresh, marker if not found or (was_stuck and is_stuck) else max(marker + 1, *found)

        for _ in pages(fetch, 0, paths.join(coffer, key)):
            pass
        return tuple(found[number] for number in sorted(found))

    def complete(self, coffer: str, key: str, upload_id: str, parts: Sequence[Part]) -> str:
        """Make an object of the parts (CompleteMultipartUpload, cdcs.md#complete). It may take minutes.

        Parameters
        ----------
        parts : sequence of Part
            All of them, in order, numbered from 1 on without gaps.

        Returns
        -------
        str
            The object's ETag, which is not its MD5; empty if the reply has none.

        Raises
        ------
        OSError
            ESTALE when the upload is unknown or was completed before; EINVAL when the parts are not those that the
            server has, or one but the last is too small.
        """
        try:
            return self._complete(coffer, key, upload_id, parts, '"' if self.quirks.etag_quotes else "")
        except CosError as error:
            if error.code != "InvalidPart" or self.quirks.etag_quotes:
                raise
            refused = error
        # the sample has ETags without quotation marks, but replies have them (cdcs.md#disputed-list, no. 15)
        try:
            etag = self._complete(coffer, key, upload_id, parts, '"')
        except CosError as error:
            raise refused if error.code == refused.code else error from None
        self.quirks.learn(etag_quotes="quoted")
        return etag

    def _complete(self, coffer: str, key: str, upload_id: str, parts: Sequence[Part], mark: str) -> str:
        rows = [{"PartNumber": part.number, "ETag": f"{mark}{part.etag}{mark}"} for part in parts]
        size = sum(part.size for part in parts)
        request = self._request(
            "POST",
            "CompleteMultipartUpload",
            coffer,
            key,
            query={"uploadId": upload_id},
            body=json_body({"Part": rows}),
            timeout_factor=_MERGING,
        )

        def parse(data: Fields) -> str:
            data.require("ETag", "Key")
            return data.etag("ETag")

        def stored() -> str | None:
            status = self._status(coffer, key)
            return status.etag if status is not None and status.size == size else None

        def settle(failure: AttemptError) -> str | None:
            return stored() if failure.error.code in _COMPLETED else None

        def check_lost() -> str | None:
            # merging may outlast the time for retries: check once more; if that fails, the earlier error matters more
            with suppress(CosError):
                return stored()
            return None

        return self._query(request, parse, settle, check_lost)

    def abort(self, coffer: str, key: str, upload_id: str) -> None:
        """Discard an upload and its parts (AbortMultipartUpload, cdcs.md#abort): its key is free again.

        Raises
        ------
        OSError
            ESTALE when the upload is unknown.
        """
        request = self._request("DELETE", "AbortMultipartUpload", coffer, key, query={"uploadId": upload_id})

        def settle(failure: AttemptError) -> bool | None:
            return True if failure.error.code == "NoSuchUpload" or failure.error.status == 404 else None

        self._command(request, settle)

    def list_uploads(self, coffer: str, prefix: str = "") -> Iterator[PendingUpload]:
        """Yield the unfinished uploads of a coffer (ListMultipartUploads, cdcs.md#list-uploads).

        Parameters
        ----------
        prefix : str
            Only those whose key starts with it; with or without the leading slash.

        Raises
        ------
        FileNotFoundError
            There is no such coffer.
        """
        seen: set[tuple[str, str]] = set()

        def fetch(marker: str) -> tuple[list[PendingUpload], str | None]:
            uploads, following = self._uploads_after(coffer, prefix, marker)
            fresh = [upload for upload in uploads if (upload.key, upload.upload_id) not in seen]
            seen.update((upload.key, upload.upload_id) for upload in fresh)
            return fresh, following

        return pages(fetch, "", paths.join(coffer, "/"))

    def _parts_after(self, coffer: str, key: str, upload_id: str, marker: int) -> tuple[list[Part], bool]:
        query = {
            "uploadId": upload_id,
            "max-parts": str(self._page_size),
            "part-number-marker": str(marker) if marker else None,
        }
        request = self._request("GET", "ListParts", coffer, key, query=query)

        def parse(data: Fields) -> tuple[list[Part], bool]:
            data.require("Part", "IsTruncated", "UploadId")
            return [Part.parse(row) for row in data.rows("Part")], data.truth("IsTruncated")

        return self._query(request, parse)

    def _uploads_after(self, coffer: str, prefix: str, marker: str) -> tuple[list[PendingUpload], str | None]:
        """Return one page, and the marker for the next; None after the last."""
        query = {
            "uploads": "",
            "max-uploads": str(self._page_size),
            "prefix": prefix.removeprefix("/") or None,
            "upload-id-marker": marker or None,
        }

        def parse(data: Fields) -> tuple[list[PendingUpload], str | None]:
            data.require("Upload", "IsTruncated", "Coffer")
            uploads = [PendingUpload.parse(row) for row in data.rows("Upload")]
            if not data.truth("IsTruncated"):
                return uploads, None
            return uploads, data.text("NextUploadIdMarker", "") or (uploads[-1].upload_id if uploads else marker)

        return self._query(self._request("GET", "ListMultipartUploads", coffer, query=query), parse)

    def _opened_by_us(self, coffer: str, key: str, now: float | None, elapsed: float) -> str | None:
        """Return the id of the upload that an attempt with a lost reply has opened; None when there is none.

        It is the only one for exactly this key, it began after our first attempt, `elapsed` seconds before `now`, and
        it has no parts.
        """
        found = self._pending(coffer, key)
        if len(found) != 1:
            return None
        is_old = is_older(found[0].initiated, None if now is None else now - elapsed)
        if is_old or self.list_parts(coffer, key, found[0].upload_id):
            return None
        return found[0].upload_id

    def _retry_if_free(self, failure: AttemptError, coffer: str, key: str) -> None:
        """Make a refusal retryable if nothing has the name: then the attempt without a reply is still in progress."""
        if self._status(coffer, key) is None and not self._pending(coffer, key):
            failure.retry = Retry.BACK_OFF

    def _abort_lost(self, coffer: str, key: str, elapsed: float) -> None:
        """Abort the upload that a request with a lost reply has opened, if there is one: it would block the name."""
        # the earlier error matters more
        with suppress(CosError):
            ahead = self.clock_difference(coffer)
            opened = None if ahead is None else self._opened_by_us(coffer, key, self._clock() + ahead, elapsed)
            if opened is not None:
                self.abort(coffer, key, opened)

    def _pending(self, coffer: str, key: str) -> list[PendingUpload]:
        return [upload for upload in self.list_uploads(coffer, key) if upload.key == key]

    def _status(self, coffer: str, key: str) -> StoredObject | None:
        try:
            return self.head(coffer, key)
        except CosFileNotFoundError:
            return None

    # -- requests --------------------------------------------------------------------------------------------------

    def _read(self, response: Response, request: Request) -> Fields:
        return read_values(response, request)

    def _any_request(self, bucket: str) -> Request:
        return self._request("GET", "GetCoffer", bucket, query={"max-keys": "1"}, service=True)

    def _request(
        self,
        method: str,
        operation: str,
        coffer: str = "",
        key: str | None = None,
        *,
        query: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        md5: bytes | None = None,
        service: bool = False,
        timeout_factor: float = 1.0,
    ) -> Request:
        """Return a request.

        `operation` is the vendor's name of it (cdcs.md#service). What is empty in `query` is a name alone, as in
        ``?uploads``; what is None is left out. The server verifies a body by its `md5` (cdcs.md#request-headers), which
        is computed unless given. `service` requests go to the host that concerns no single region.
        """
        path = _path(coffer, key)
        root = self.config.service_root if service else self.config.api_root
        sent = {"Host": _host(root), **(headers or {})}
        if body is not None:
            sent["Content-MD5"] = base64.b64encode(md5 or body.md5()).decode("ascii")
            sent |= {"Content-Type": body.content_type, "Content-Length": str(len(body))}
        elif method == "POST":
            sent["Content-Length"] = "0"
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return Request(
            method,
            f"{root}{quote(path, safe='/~')}{_query_text(given)}",
            operation,
            paths.join(coffer, key or ""),
            lambda: self._signer.sign(method, path, given, sent),
            sent,
            body,
            timeout_factor,
        )

    def _command(self, request: Request, settle: Callable[[AttemptError], bool | None] | None = None) -> None:
        """Send a request whose reply says nothing but that it was carried out."""

        def attempt() -> bool:
            read_nothing(self._transport.exchange(request), request)
            return True

        self._run(attempt, settle)

    def _run(
        self,
        attempt: Callable[[], T],
        settle: Callable[[AttemptError], T | None] | None = None,
        check_lost: Callable[[], T | None] | None = None,
    ) -> T:
        def signed_in_time() -> T:
            offset = self.quirks.clock_offset
            try:
                return attempt()
            except AttemptError as failure:
                # the error in no variable of this frame, which it refers to
                if failure.error.status in (401, 403) and failure.error.code in _CLOCK_CODES:
                    is_adopted = self._signer.adopt_server_date(failure.server_date)
                    # another thread may have adopted the time meanwhile
                    if is_adopted or self.quirks.clock_offset != offset:
                        failure.retry = Retry.RESIGN
                raise

        return super()._run(signed_in_time, settle, check_lost)


def _is_md5(etag: str) -> bool:
    return len(etag) == _MD5_DIGITS and set(etag.lower()) <= set("0123456789abcdef")


def _path(coffer: str, key: str | None) -> str:
    """Return the decoded path of a request: what is signed, and, encoded, what is sent."""
    if not coffer and key is None:
        return "/"
    path = paths.join(coffer, key or "")
    if key is not None and (not key.startswith("/") or key == "/"):
        raise make_error(errno.EISDIR, "a coffer is not an object: name one in it", path)
    if not _COFFER.fullmatch(coffer):
        text = "no coffer can have this name: it is named in full, as in name-1250000000"
        raise make_error(errno.ENOENT, text, path)
    if not is_utf8(path):
        raise make_error(errno.EINVAL, "a name has to be UTF-8", ascii(path))
    return f"/{coffer}{key or ''}"


def _host(root: str) -> str:
    """Return the Host header for a URL: without the port that is its scheme's own."""
    parts = urlsplit(root)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.netloc.rpartition(":")[0] if parts.port == usual else parts.netloc


def _query_text(query: Mapping[str, str]) -> str:
    text = "&".join(f"{name}={escape(value)}" if value else name for name, value in query.items())
    return f"?{text}" if text else ""
