"""The operations that both versions of the API have, one typed method each (cos.md#uploads to cos.md#v3).

`v4` and `v3` add the operations in which they differ, mainly uploads in slices.
"""

from __future__ import annotations

import errno
import hashlib
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

from cosv4fs import paths
from cosv4fs.api.client import Client
from cosv4fs.api.connections import Response
from cosv4fs.api.cos.envelope import is_xml_of_bucket, read_data
from cosv4fs.api.cos.listing import DirectoryPager
from cosv4fs.api.cos.replies import Entry, Page, PathStatus, Snapshot, UploadedObject, is_same_version
from cosv4fs.api.cos.signing import Signer, encode_key
from cosv4fs.api.download import Fetched, RangeRead, Version, Write
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Body, Request, check_plain, form_body, json_body
from cosv4fs.api.responses import header_seconds
from cosv4fs.api.retry import AttemptError, checking, outcome_unknown_error, possibly_gone_error, possibly_own_error
from cosv4fs.api.transport import read_body
from cosv4fs.errors import CosError, CosFileExistsError, CosFileNotFoundError, make_error

T = TypeVar("T")

_LONGEST_URL = 92 * 86400
"""Seconds: signatures end at most three months ahead (cos.md#signature)."""

_SINGLE, _MULTI = "single", "multi"

_SINGLE_USE = ("delete", "update", "move")
"""Operations with a single-use signature (cos.md#signature, table); multi-effect for all others."""

_ABSENT_ON_404 = ("upload_slice_list",)
"""Operations of which a 404 without an envelope says that there is no such object, as of downloads."""

_WRONG_KIND = {-73: _SINGLE, -74: _MULTI, -75: _MULTI, -76: _SINGLE}
"""The kind that the server wants instead, by code (cos.md#signature-order)."""

_DISPUTED_KIND = ("move", "copy", "delete", "update")
"""Operations whose kind of signature is disputed (cos.md#move-signature, cos.md#delete-signature); see `Quirks`."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_BAD_UPDATE_FLAG = -179
_UPDATE_FLAGS = {"biz_attr": 0x01, "custom_headers": 0x40, "authority": 0x80}
"""The bits that one of the vendor's clients sends; only for a server that insists (cos.md#update-flag)."""


class CosClient(Client):
    """One account's access to the service, v4 or v3; see `Client` for the parameters."""

    _signer: Signer
    _signer_class = Signer

    @property
    def _pager(self) -> DirectoryPager:
        return DirectoryPager(self.list_page, self._page_size, self.quirks)

    @abstractmethod
    def copy(self, bucket: str, key: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file inside its bucket, where the service can; `target` and `overwrite` as for `move`, errors too."""

    @abstractmethod
    def is_uploading(self, bucket: str, key: str) -> bool:
        """Return whether an unfinished upload stands at a key, beside a complete object or alone."""

    # -- uploads ---------------------------------------------------------------------------------------------------

    def upload(
        self,
        bucket: str,
        key: str,
        content: bytes | bytearray | memoryview,
        *,
        insert_only: bool = True,
        sha: str | None = None,
        biz_attr: str | None = None,
        content_type: str | None = None,
    ) -> UploadedObject:
        """Upload an object of at most 20 MiB in one request (``op=upload``, cos.md#upload).

        Parameters
        ----------
        content : bytes-like
            The whole content.
        insert_only : bool
            Fail when the object exists; else replace it.
        sha : str, optional
            SHA-1 in hex, checked by the server; computed when not given.
        biz_attr : str, optional
            A free attribute.
        content_type : str, optional
            The Content-Type returned on download.

        Raises
        ------
        FileExistsError
            With `insert_only`, or where an unfinished upload holds the path (code -4019). A `CosPossiblyCreatedError`
            if the object may be this call's own: a reply was lost, and the content is the same.
        FileNotFoundError
            The directory does not exist, where the service wants it to.
        """
        began = time.monotonic()
        view = memoryview(content).cast("B")
        digest = sha or hashlib.sha1(view, usedforsecurity=False).hexdigest()
        fields = {"op": "upload", "sha": digest, "insertOnly": str(int(insert_only)), "biz_attr": biz_attr}

        def settle(failure: AttemptError) -> UploadedObject | None:
            # a retry does no harm: what is there is either kept, or to be replaced
            found = self._status(bucket, key) if isinstance(failure.error, CosFileExistsError) else None
            if found is None or not _fits(found, (len(view), digest)):
                return None
            if not insert_only or paths.is_sibling(key):
                # an object with other attributes is not this upload's, but the one that it was to replace
                is_new = found.biz_attr == (biz_attr or "") and not found.custom_headers
                return UploadedObject() if is_new else None
            # another client that creates the same content at the same time must not get the same answer
            self._raise_if_possibly_own(failure, bucket, key, began)
            return None

        body = form_body(fields, view, content_type)
        return self._post("upload", bucket, key, body, UploadedObject.parse, settle)

    # -- directories -----------------------------------------------------------------------------------------------

    def create(self, bucket: str, key: str, biz_attr: str = "") -> None:
        """Create a directory, with a free text as `biz_attr` (``op=create``, cos.md#create).

        Raises
        ------
        FileExistsError
            Something exists at the key. A `CosPossiblyCreatedError` if this call may have created it.
        """
        began = time.monotonic()

        def settle(failure: AttemptError) -> bool | None:
            if isinstance(failure.error, CosFileExistsError):
                self._raise_if_possibly_own(failure, bucket, key, began)
            return None

        self._command("create", bucket, key, json_body({"op": "create", "biz_attr": biz_attr}), settle)

    def list_page(self, bucket: str, key: str, *, num: int, context: str = "", prefix: str = "") -> Page:
        """Return one page of a directory (``op=list``, cos.md#list).

        Parameters
        ----------
        num : int
            Entries wanted, at most 1000; some servers allow 199.
        context : str
            Empty for the first page, then from the page before.
        prefix : str
            Only entries whose name starts with it.

        Raises
        ------
        FileNotFoundError
            There is no such directory.
        """
        data = self._get("list", bucket, key + prefix, num=str(num), context=context)
        entries = tuple(Entry.parse(row) for row in data.page("infos"))
        return Page(entries, data.text("context", ""), data.flag("listover"))

    def list(self, bucket: str, key: str, prefix: str = "") -> Iterator[Entry]:
        """Yield all entries of a directory, page by page, unfinished uploads too; see `list_page`."""
        return self._pager.entries(bucket, key, prefix)

    def list_first(self, bucket: str, key: str) -> tuple[tuple[Entry, ...], bool]:
        """Return a first page of at most 199 entries, and whether it is the whole directory; see `list_page`."""
        return self._pager.first(bucket, key)

    # -- metadata --------------------------------------------------------------------------------------------------

    def stat(self, bucket: str, key: str) -> PathStatus:
        """Return the status of a file, a directory or, for ``/``, the bucket (cos.md#stat-directory, cos.md#stat).

        Raises
        ------
        FileNotFoundError
            There is nothing of that type at the key.
        """
        return PathStatus.parse(self._get("stat", bucket, key), key.endswith("/"))

    def update(
        self,
        bucket: str,
        key: str,
        *,
        biz_attr: str | None = None,
        authority: str | None = None,
        custom_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change attributes (``op=update``, cos.md#update-directory and cos.md#update). What is None stays as it is.

        Parameters
        ----------
        biz_attr : str, optional
            A free attribute.
        authority : str, optional
            ``eInvalid`` (as the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            What downloads are answered with. Some servers merge them into those set before, some replace those
            (cos.md#custom-headers): send the whole set.
        """
        given = {"biz_attr": biz_attr, "authority": authority, "custom_headers": custom_headers}
        values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        for name, value in (custom_headers or {}).items():
            check_plain(custom_headers=f"{name}: {value}")
        flagged = {**values, "flag": sum(_UPDATE_FLAGS[name] for name in values)}
        needs_flag = self._needs_flag(values)
        try:
            self._update(bucket, key, flagged if needs_flag else values)
        except CosError as error:
            if error.code != _BAD_UPDATE_FLAG or needs_flag:
                raise
            self._update(bucket, key, flagged)
            self.quirks.learn(update_flag="required")

    def _needs_flag(self, values: Mapping[str, object]) -> bool:
        """Return whether an update of these attributes has to name them in ``flag``."""
        return self.quirks.update_flag is not None

    def _update(self, bucket: str, key: str, values: Mapping[str, object]) -> None:
        # a retry after a lost reply needs no check: the result is the same, however often it is sent
        self._command("update", bucket, key, json_body({"op": "update", **values}))

    def delete(self, bucket: str, key: str, *, seen: Snapshot | None = None) -> None:
        """Delete a file, an unfinished upload, or an empty directory (cos.md#delete-directory, cos.md#delete).

        Parameters
        ----------
        seen : PathStatus or Entry, optional
            What is to be deleted. After a lost reply, nothing is deleted that may be newer, which cannot be determined
            without it. Hidden siblings need none: their names are never used twice.

        Raises
        ------
        FileNotFoundError
            There is nothing at the key.
        OSError
            ENOTEMPTY for a directory that is not empty; some servers report success then (cos.md#rmdir-nonempty). When
            a reply was lost and what is there now may be newer, the text says so.
        """
        began = time.monotonic()

        def settle(failure: AttemptError) -> bool | None:
            if isinstance(failure.error, CosFileNotFoundError):
                return True
            if failure.is_final or paths.is_sibling(key):
                return None
            with checking(failure):
                deleted = self._was_deleted(bucket, key, seen, began)
            if deleted is None:
                text = "it may have been deleted, and what is there now may be newer: look at it, then delete it again"
                raise outcome_unknown_error(failure, text)
            return deleted or None

        self._command("delete", bucket, key, json_body({"op": "delete"}), settle)

    def move(
        self,
        bucket: str,
        key: str,
        target: str,
        *,
        overwrite: bool = False,
        expected: tuple[int, str | None] | None = None,
        seen: Snapshot | None = None,
    ) -> None:
        """Move a file inside its bucket (``op=move``, cos.md#move).

        Parameters
        ----------
        target : str
            The new key, from the bucket's root.
        overwrite : bool
            Replace a file at `target`; else its existence is an error.
        expected : tuple of (int, str or None), optional
            Size and SHA-1 of the file, to recognise at `target` a move whose reply was lost; from `seen` unless given.
        seen : PathStatus or Entry, optional
            What is to be moved, as for `delete`.

        Raises
        ------
        FileNotFoundError
            No such file, or no such target directory. A `CosPossiblyMovedError` if this call may have moved the file.
        FileExistsError
            Something exists at `target`.
        OSError
            When a reply was lost and what is at the source now may be newer, the text says so.
        """
        began = time.monotonic()
        if expected is None and seen is not None:
            expected = seen.size, seen.sha

        def settle(failure: AttemptError) -> bool | None:
            with checking(failure):
                source, there = self._status(bucket, key), self._status(bucket, target)
                moved = self._was_moved(bucket, key, (source, there), expected, seen, began, overwrite=overwrite)
            if moved is None and not failure.is_final:
                goal = paths.join(bucket, target)
                if source is None and (there is None or expected is not None):
                    text = f"and what was here is not at {goal}: it may have been moved there before"
                    raise possibly_gone_error(failure, text)
                if source is None:
                    text = f"it may have been moved to {goal}: check whether that is what was here"
                    raise outcome_unknown_error(failure, text)
                text = f"it may have been moved to {goal}, and what is here now may be newer: look at both, then repeat"
                raise outcome_unknown_error(failure, text)
            return moved or None

        fields = {"op": "move", "dest_fileid": target, "to_over_write": str(int(overwrite))}
        self._command("move", bucket, key, form_body(fields), settle)

    # -- downloads -------------------------------------------------------------------------------------------------

    def fetch(
        self,
        bucket: str,
        key: str,
        allocate: Callable[[int, Version], memoryview],
        start: int | None = None,
        stop: int | None = None,
        expected: Version | None = None,
        write: Write | None = None,
    ) -> Fetched:
        """Read bytes `start` up to `stop` of an object (cos.md#download); see `Client.fetch`."""

        def request(range_header: str | None) -> Request:
            return self._download_request("GET", bucket, key, range_header)

        size = self._stored_size(bucket, key)
        read = RangeRead(self._transport, self._refusal, request, start, stop, allocate, size, expected, write)
        return self._run(read.attempt)

    def file_status(self, bucket: str, key: str) -> PathStatus:
        """Return the status of a file; without keys, what a download shows of it (see `peek`)."""
        return self.peek(bucket, key) if self.config.anon else self.stat(bucket, key)

    def peek(self, bucket: str, key: str) -> PathStatus:
        """Return what a download of one byte shows of a file: it needs no keys, while `stat` needs a signature.

        Only the size is sure to be known; there is no SHA-1.

        Raises
        ------
        FileNotFoundError
            There is no such (complete) object; there may be a directory.
        PermissionError
            The file is not public.
        """
        fetched = self.fetch(bucket, key, lambda length, _: memoryview(bytearray(length)), 0, 1)
        size, modified = fetched.version.size, int(header_seconds(fetched.version.modified) or 0)
        headers = {name: value for name, value in fetched.headers.items() if name.lower() == "content-type"}
        return PathStatus(is_directory=False, size=size, stored=size, modified=modified, custom_headers=headers)

    def head(self, bucket: str, key: str) -> tuple[Version, dict[str, str]]:
        """Return version and headers of an object by a HEAD request to the download host (cos.md#download).

        Not every server answers HEAD (cos.md#download-headers); `stat` is the documented way.
        """
        request = self._download_request("HEAD", bucket, key, None)

        def attempt() -> tuple[Version, dict[str, str]]:
            size, headers = self._head_of(request, self._stored_size(bucket, key))
            return Version(size, headers.get("ETag"), headers.get("Last-Modified")), dict(headers)

        return self._run(attempt)

    def download_url(self, bucket: str, key: str, seconds: int = 100) -> str:
        """Return a URL that downloads one object without credentials, for `seconds` (cos.md#signature).

        Anybody with the URL can read the object. The signature in it is good for downloads only; but the service
        compares its binding by prefix, so it also opens objects whose names go on after this one's.

        Raises
        ------
        ValueError
            `seconds` is no whole number, below 1 (that would be a signature of another kind) or above 92 days (the
            service takes none).
        IsADirectoryError
            The key is that of a directory: the URL would open everything in it.
        """
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= _LONGEST_URL:
            raise ValueError(f"a URL is valid for a whole number of seconds, 1 to {_LONGEST_URL}, not {seconds!r}")
        if not key.startswith("/") or key.endswith("/"):
            text = "only an object has a URL: name one in this directory"
            raise make_error(errno.EISDIR, text, paths.join(bucket, key))
        root, host = self._download_root(bucket, key)
        # a URL cannot name a Host header: the endpoint also serves downloads under the API's path
        prefix = self._prefix(bucket) if host else ""
        sign = self._signer.download(bucket, key, seconds)
        return f"{root}{prefix}{encode_key(key)}" + (f"?sign={quote(sign, safe='')}" if sign else "")

    def _stored_size(self, bucket: str, key: str) -> Callable[[], int] | None:
        """Return what finds out the size of an object; None without keys, when only downloads show it."""
        return None if self.config.anon else lambda: self.stat(bucket, key).size

    def has_xml_api(self, bucket: str) -> bool:
        """Return whether a bucket exists in the XML API of newer clients, which serves other buckets as well.

        One request without a signature is sent; whether the server grants or refuses it does not matter.

        Raises
        ------
        ConnectionError, TimeoutError
            There was no reply.
        """
        url, host = self.config.xml_root(bucket)
        request = Request("GET", f"{url}/", "probe of the XML API", bucket, dict, {"Host": host})

        def attempt() -> bool:
            response = self._transport.exchange(request)
            return response.status < 500 and is_xml_of_bucket(read_body(response, request))

        return self._run(attempt)

    # -- requests --------------------------------------------------------------------------------------------------

    def _read(self, response: Response, request: Request) -> Fields:
        return read_data(response, request)

    def _any_request(self, bucket: str) -> Request:
        return self._request("GET", "stat", bucket, "/", query="?op=stat")

    def _request(
        self,
        method: str,
        operation: str,
        bucket: str,
        key: str,
        *,
        query: str = "",
        body: Body | None = None,
    ) -> Request:
        _check_bucket(bucket, key)
        return Request(
            method,
            f"{self.config.api_root}{self._prefix(bucket)}{encode_key(key)}{query}",
            operation,
            paths.join(bucket, key),
            self._sign(operation, bucket, key),
            body=body,
            absent_on_404=operation in _ABSENT_ON_404,
        )

    def _prefix(self, bucket: str) -> str:
        """Return the path of a bucket on the API's host."""
        return f"{self.config.protocol.prefix}/{self.config.appid}/{bucket}"

    def _download_root(self, bucket: str, key: str) -> tuple[str, str | None]:
        _check_bucket(bucket, key)
        return self.config.download_root(bucket)

    def _download_request(self, method: str, bucket: str, key: str, range_header: str | None) -> Request:
        root, host = self._download_root(bucket, key)
        headers = {"Host": host} if host else {}
        if range_header:
            headers["Range"] = range_header
        url, path = root + encode_key(key), paths.join(bucket, key)
        sign = self._sign("download", bucket, key)
        return Request(method, url, "download", path, sign, headers, absent_on_404=True)

    def _get(self, operation: str, bucket: str, key: str, **query: str) -> Fields:
        text = urlencode({"op": operation, **query})
        return self._query(self._request("GET", operation, bucket, key, query=f"?{text}"), lambda data: data)

    def _post(
        self,
        operation: str,
        bucket: str,
        key: str,
        body: Body,
        parse: Callable[[Fields], T],
        settle: Callable[[AttemptError], T | None] | None = None,
    ) -> T:
        request = self._request("POST", operation, bucket, key, body=body)
        kind = self._signature_kind(operation)
        try:
            return self._query(request, parse, settle)
        except CosError as error:
            wanted = _WRONG_KIND.get(error.code) if isinstance(error.code, int) else None
            if operation not in _DISPUTED_KIND or wanted is None or wanted == kind:
                raise
            self.quirks.learn(**{f"{operation}_signature": wanted})
            return self._query(request, parse, settle)

    def _command(
        self,
        operation: str,
        bucket: str,
        key: str,
        body: Body,
        settle: Callable[[AttemptError], bool | None] | None = None,
    ) -> None:
        """Send a request whose reply says nothing but that it was carried out."""
        self._post(operation, bucket, key, body, lambda _: True, settle)

    def _signature_kind(self, operation: str) -> str:
        learned = getattr(self.quirks, f"{operation}_signature") if operation in _DISPUTED_KIND else None
        return learned or (_SINGLE if operation in _SINGLE_USE else _MULTI)

    def _sign(self, operation: str, bucket: str, key: str) -> Callable[[], dict[str, str]]:
        def sign() -> dict[str, str]:
            # called for every attempt: the server accepts a single-use signature once
            is_single = self._signature_kind(operation) == _SINGLE
            text = self._signer.single(bucket, key) if is_single else self._signer.multi(bucket)
            return {"Authorization": text} if text else {}

        return sign

    # -- outcomes of requests whose reply was lost -----------------------------------------------------------------

    def _is_complete(self, bucket: str, key: str, size: int, sha: str | None) -> bool:
        """Return whether a complete object of this size, and SHA-1 where both know one, stands at the key."""
        found = self._status(bucket, key)
        return found is not None and _fits(found, (size, sha))

    def _status(self, bucket: str, key: str) -> PathStatus | None:
        try:
            return self.stat(bucket, key)
        except CosFileNotFoundError:
            return None

    def _raise_if_possibly_own(self, failure: AttemptError, bucket: str, key: str, began: float) -> None:
        """Raise `CosPossiblyCreatedError` if the attempt whose reply was lost may have taken a name.

        Size and content prove nothing here: other clients create the same.
        """
        found = self._status(bucket, key)
        if found is not None and not self._is_older(found.created, bucket, began):
            raise possibly_own_error(failure)

    def _was_deleted(self, bucket: str, key: str, seen: Snapshot | None, began: float) -> bool | None:
        """Return whether what was seen has gone; None if that cannot be determined."""
        found = self._status(bucket, key)
        if found is None:
            return True
        # a directory changes with what is in it, but it is deleted only when it is empty
        same = True if found.is_directory else None if seen is None else is_same_version(seen, found)
        if same is None:
            return None
        latest = found.created if found.is_directory else max(found.created, found.modified)
        is_old = self._is_older(latest, bucket, began)
        if same:
            return False if is_old else None
        # something else that was there before: what was seen was a stale cache entry
        return None if is_old else True

    def _was_moved(
        self,
        bucket: str,
        key: str,
        found: tuple[PathStatus | None, PathStatus | None],
        expected: tuple[int, str | None] | None,
        seen: Snapshot | None,
        began: float,
        *,
        overwrite: bool,
    ) -> bool | None:
        """Return whether a file has been moved, by what is `found` at both ends; None if unknown."""
        source, there = found
        is_there = there is not None and _fits(there, expected)
        if source is None:
            # what stands at a target that may be replaced can be what stood there before
            is_evidence = expected is not None or not overwrite or paths.is_sibling(key)
            return True if is_there and is_evidence else None
        if paths.is_sibling(key):
            return False
        if is_there and expected is not None and expected[1] is not None and not _fits(source, expected):
            return True
        same = None if seen is None else is_same_version(seen, source)
        if same is False:
            return None
        if there is None or not overwrite:
            # nothing at the target can be replaced by moving it again
            return False
        is_old = same and self._is_older(max(source.created, source.modified), bucket, began)
        return False if is_old else None


def _fits(found: PathStatus, expected: tuple[int, str | None] | None) -> bool:
    """Return whether a complete object has a size, and a SHA-1 where both are known."""
    if found.is_unfinished or expected is None:
        return not found.is_unfinished
    size, sha = expected
    return found.size == size and (sha is None or found.sha is None or found.sha == sha)


def _check_bucket(bucket: str, key: str) -> None:
    """Refuse an invalid bucket name: it becomes part of a host name, a URL and a signed text."""
    if not _BUCKET.fullmatch(bucket):
        text = "invalid name of a bucket: letters, digits and hyphens are allowed"
        raise make_error(errno.ENOENT, text, paths.join(bucket, key))
