"""The Data Coffer Service, one typed method per operation (cdcs.md#service). Usable without fsspec.

>>> from cosv4fs.api import CofferClient
>>> client = CofferClient.connect(secret_id="…", secret_key="…", region="ap-tianjin")  # doctest: +SKIP
>>> client.put_object("coffer-1250000000", "/dir/name.txt", memoryview(b"hello"))  # doctest: +SKIP

Coffers are named in full, with the appid. Objects are addressed by coffer and key; as in the other clients a key begins
with ``/``, which is not part of it on the wire. What is stored is never replaced, and nothing can delete it before it
expires. Sizes and offsets are bytes, times are Unix seconds.

Clients are thread-safe. They raise only `OSError` subclasses (see `cosv4fs.errors`), and `ValueError` for invalid
arguments. Transient errors are retried. When a reply was lost, the client finds out whether the request had succeeded;
where it cannot, the error says so.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cosv4fs import paths
from cosv4fs.api.cdcs.errors import NAME_TAKEN_CODES, read_nothing
from cosv4fs.api.cdcs.replies import Coffer, ObjectPage, StoredObject
from cosv4fs.api.cdcs.uploads import CofferUploads
from cosv4fs.api.connections import Response
from cosv4fs.api.download import Fetched, RangeRead, Version, Write, clamped
from cosv4fs.api.fields import Fields, plain_etag
from cosv4fs.api.paging import pages
from cosv4fs.api.request import Body, Content, Request, check_plain, json_body, pieces_of
from cosv4fs.api.responses import header_seconds
from cosv4fs.api.retry import AttemptError, checking, outcome_unknown_error, possibly_own_error
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, CosFileNotFoundError, make_error

_LONGEST_LIFE = 3650
_LARGEST_PAGE = 1000


class CofferClient(CofferUploads):
    """One account's access to the Data Coffer Service; see `Client` for the parameters."""

    # -- coffers ---------------------------------------------------------------------------------------------------

    def list_coffers(self) -> tuple[Coffer, ...]:
        """Return the coffers of the account (GetService, cdcs.md#get-service)."""

        def parse(data: Fields) -> tuple[Coffer, ...]:
            data.require("Coffers", "Owner")
            return tuple(Coffer.parse(row) for row in data.inner("Coffers").rows("Coffer"))

        return self._query(self._request("GET", "GetService", service=True), parse)

    def put_coffer(
        self,
        coffer: str,
        locations: Sequence[str],
        *,
        encrypt_type: int = 0,
        key_id: str = "",
        key_region: str = "",
    ) -> None:
        """Create a coffer (PutCoffer, cdcs.md#put-coffer).

        Parameters
        ----------
        locations : sequence of str
            The regions that store its objects, at least one.
        encrypt_type : int
            0 for no encryption, 1 by the vendor's key, 2 by a key of KMS.
        key_id, key_region : str
            That key, with 2.

        Raises
        ------
        FileExistsError
            There is a coffer of this name, yours or another account's.
        """
        if isinstance(locations, str) or not locations:
            raise ValueError(f"locations must be a list of regions, such as ['ap-tianjin'], not {locations!r}")
        if encrypt_type not in (0, 1, 2) or bool(key_id) != (encrypt_type == 2):  # the third kind
            raise ValueError("encrypt_type must be 0, 1, or 2 with a key_id")
        values: dict[str, object] = {"Locations": {"Location": list(locations)}, "EncryptType": encrypt_type}
        if key_id:
            values |= {"KeyId": key_id, "KeyRegion": key_region}
        request = self._request("PUT", "PutCoffer", coffer, body=json_body(values), service=True)
        began = time.monotonic()

        def settle(failure: AttemptError) -> bool | None:
            # which of the two codes one's own coffer gets is disputed
            if failure.error.code in ("CofferAlreadyExists", "CofferAlreadyOwnedByYou"):
                mine = self._coffer(coffer)
                if mine is not None and not self._is_older(mine.created, coffer, began):
                    raise possibly_own_error(failure)
            return None

        self._command(request, settle)

    def delete_coffer(self, coffer: str) -> None:
        """Delete a coffer (DeleteCoffer, cdcs.md#delete-coffer).

        Raises
        ------
        FileNotFoundError
            There is no such coffer.
        OSError
            ENOTEMPTY while it has objects or unfinished uploads. When a reply was lost and the coffer that is there now
            may be newer, the text says so.
        """
        request = self._request("DELETE", "DeleteCoffer", coffer, service=True)
        began = time.monotonic()

        def settle(failure: AttemptError) -> bool | None:
            if isinstance(failure.error, CosFileNotFoundError):
                return True
            if failure.is_final:
                return None
            with checking(failure):
                mine = self._coffer(coffer)
                if mine is None:
                    return True
                is_old = self._is_older(mine.created, coffer, began)
            if not is_old:
                text = "it may have been deleted, and what is there now may be newer: look at it, then delete it again"
                raise outcome_unknown_error(failure, text)
            return None

        self._command(request, settle)

    def _coffer(self, name: str) -> Coffer | None:
        return next((coffer for coffer in self.list_coffers() if coffer.name == name), None)

    def put_lifecycle(self, coffer: str, days: int) -> None:
        """Set the lifetime of objects to `days`, 1 to 3650 (cdcs.md#lifecycle).

        It cannot be taken back, only changed.
        """
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _LONGEST_LIFE:
            raise ValueError(f"days must be 1 to {_LONGEST_LIFE}, not {days!r}")
        query, body = {"lifecycle": ""}, json_body({"Rule": [{"Expiration": {"Days": days}}]})
        self._command(self._request("PUT", "PutCofferLifecycle", coffer, query=query, body=body, service=True))

    def get_lifecycle(self, coffer: str) -> int | None:
        """Return after how many days objects expire (cdcs.md#lifecycle); None when they do not.

        Raises
        ------
        FileNotFoundError
            There is no such coffer.
        """
        request = self._request("GET", "GetCofferLifecycle", coffer, query={"lifecycle": ""})

        def parse(data: Fields) -> int | None:
            data.require("Rule")
            lives = []
            for rule in data.rows("Rule"):
                # a rule without any field says nothing of an end
                if rule.values:
                    rule.require("Expiration")
                    lives.append(rule.inner("Expiration"))
            return min((life.number("Days") for life in lives if life.has("Days")), default=None)

        try:
            return self._query(request, parse)
        except CosError as error:
            if error.code == "NoSuchLifecycleConfiguration":
                return None
            raise

    def put_policy(self, coffer: str, policy: Mapping[str, Any]) -> None:
        """Set the policy of a coffer, in the vendor's policy language (cdcs.md#policy), instead of the previous one.

        Raises
        ------
        OSError
            EINVAL when the policy is malformed.
        """
        query, body = {"policy": ""}, json_body(policy)
        self._command(self._request("PUT", "PutCofferPolicy", coffer, query=query, body=body, service=True))

    def get_policy(self, coffer: str) -> dict[str, Any] | None:
        """Return the policy of a coffer (cdcs.md#policy); None when it has none.

        Raises
        ------
        FileNotFoundError
            There is no such coffer.
        """
        request = self._request("GET", "GetCofferPolicy", coffer, query={"policy": ""}, service=True)

        def parse(data: Fields) -> dict[str, Any] | None:
            policy = dict(data.values)
            if policy:
                data.require("Statement", "statement", "Version", "version")
            # the policy language writes its names otherwise than the samples do
            is_set = any(policy.get(name) for name in ("Statement", "statement"))
            for name in ("Version", "version"):
                if not isinstance(policy.get(name, ""), str):
                    raise data.bad(name, policy[name])
            return policy if is_set else None

        try:
            return self._query(request, parse)
        except CosError as error:
            # what the service says of a coffer without one is not documented; of a missing coffer it is
            if error.status == 404 and isinstance(error.code, str) and "policy" in error.code.lower():
                return None
            raise

    def delete_policy(self, coffer: str) -> None:
        """Remove the policy of a coffer, if it has one (cdcs.md#policy)."""
        self._command(self._request("DELETE", "DeleteCofferPolicy", coffer, query={"policy": ""}, service=True))

    # -- objects ---------------------------------------------------------------------------------------------------

    def list_page(
        self, coffer: str, *, prefix: str = "", marker: str = "", max_keys: int = _LARGEST_PAGE
    ) -> ObjectPage:
        """Return one page of a coffer's objects, in the order of their keys (GetCoffer, cdcs.md#get-coffer).

        An object that was stored just now may be missing.

        Parameters
        ----------
        prefix : str
            Only objects whose key starts with it; with or without the leading slash.
        marker : str
            Empty for the first page, then from the page before.
        max_keys : int
            Objects wanted, at most 1000.

        Raises
        ------
        FileNotFoundError
            There is no such coffer.
        """
        query = {"prefix": prefix.removeprefix("/") or None, "marker": marker or None, "max-keys": str(max_keys)}

        def parse(data: Fields) -> ObjectPage:
            data.require("Contents", "IsTruncated", "Name")
            entries = tuple(StoredObject.parse(row) for row in data.page("Contents"))
            # a page that may have been cut off is the last one only where the service says so
            may_go_on = not data.has("IsTruncated") and len(entries) >= max_keys
            if not data.truth("IsTruncated") and not may_go_on:
                return ObjectPage(entries, None)
            # a sample of the documentation is cut off and has no marker (cdcs.md#get-coffer)
            following = data.text("NextMarker", "") or (entries[-1].key[1:] if entries else "")
            if not following:
                raise data.bad("NextMarker", following)
            return ObjectPage(entries, following)

        request = self._request("GET", "GetCoffer", coffer, query=query, service=True)
        return self._query(request, parse)

    def list(self, coffer: str, prefix: str = "") -> Iterator[StoredObject]:
        """Yield all objects of a coffer whose key starts with `prefix`; see `list_page`.

        Raises
        ------
        OSError
            A page failed: what was yielded before is not the whole listing.
        """
        last = ""

        def fetch(marker: str) -> tuple[tuple[StoredObject, ...], str | None]:
            nonlocal last
            page = self.list_page(coffer, prefix=prefix, marker=marker, max_keys=self._page_size)
            # a server that starts at the marker, instead of after it, repeats one
            fresh = tuple(entry for entry in page.entries if entry.key != last)
            last = page.entries[-1].key if page.entries else last
            return fresh, page.marker

        return pages(fetch, "", paths.join(coffer, f"/{prefix.removeprefix('/')}"))

    def put_object(
        self, coffer: str, key: str, content: Content, *, content_type: str | None = None, exclusive: bool = False
    ) -> StoredObject:
        """Store an object of at most 5 GB in one request (PutObject, cdcs.md#put-object).

        Parameters
        ----------
        content : memoryview or sequence of memoryview
            The whole content, in one piece or several; it must not change until the method returns. The server
            verifies it by its MD5.
        content_type : str, optional
            The Content-Type returned on download.
        exclusive : bool
            Whether only this call may have stored the object. If not, an object of the same content is a success after
            a lost reply, no matter which client stored it: it exists, and cannot be changed.

        Returns
        -------
        StoredObject
            With the values of the reply.

        Raises
        ------
        FileExistsError
            The object exists, or an unfinished upload lives for its key. With `exclusive`, a `CosPossiblyCreatedError`
            if the object may be this call's own: a reply was lost, and the content is the same.
        OSError
            EINVAL where the service takes no empty objects.
        """
        check_plain(content_type=content_type)
        body = Body(content_type or "application/octet-stream", *pieces_of(content))
        digest = body.md5()
        request = self._request("PUT", "PutObject", coffer, key, body=body, md5=digest)
        began = time.monotonic()

        def attempt() -> StoredObject:
            response = self._transport.exchange(request)
            headers = response.headers
            read_nothing(response, request)
            stored = header_seconds(headers.get("Last-Modified")) or header_seconds(headers.get("Date")) or 0
            return StoredObject(key, len(body), plain_etag(headers.get("ETag")), int(stored))

        def settle(failure: AttemptError) -> StoredObject | None:
            if failure.error.code not in NAME_TAKEN_CODES:
                return None
            status = self._status(coffer, key)
            if status is None:
                self._retry_if_free(failure, coffer, key)
                return None
            if status.size != len(body):
                return None
            if status.etag.lower() != digest.hex() and self._md5_of(coffer, key, status) != digest:
                return None
            if exclusive and not self._is_older(status.modified, coffer, began):
                raise possibly_own_error(failure)
            if exclusive:
                return None
            return status

        return self._run(attempt, settle)

    def head(self, coffer: str, key: str) -> StoredObject:
        """Return the status of an object (HeadObject, cdcs.md#head-object).

        Raises
        ------
        FileNotFoundError
            There is no such object, or no such coffer: a reply without a body does not say which.
        """
        request = self._request("HEAD", "HeadObject", coffer, key)

        def attempt() -> StoredObject:
            size, headers = self._head_of(request, lambda: self._listed_size(coffer, key))
            if not _is_object(headers):
                text = "the reply to HEAD has neither ETag nor Last-Modified: it describes no object"
                raise AttemptError(make_error(errno.EBADMSG, text, request.path), Retry.YES)
            modified = int(header_seconds(headers.get("Last-Modified")) or 0)
            return StoredObject(key, size, plain_etag(headers.get("ETag")), modified, headers.get("Content-Type"))

        try:
            return self._run(attempt)
        except CosError as error:
            if error.status == 400 and error.code is None:
                # the reply has no body: a listing tells whether no object can have this key
                self._check_findable(coffer, key)
            raise

    def _check_findable(self, coffer: str, key: str) -> None:
        """Raise `FileNotFoundError` if no object can have this key, by a listing of what begins with it."""
        try:
            self.list_page(coffer, prefix=key)
        except CosFileNotFoundError as error:
            raise make_error(errno.ENOENT, str(error.strerror), paths.join(coffer, key), error) from None

    def file_status(self, coffer: str, key: str) -> StoredObject:
        """Return the same as `head`."""
        return self.head(coffer, key)

    def fetch(
        self,
        coffer: str,
        key: str,
        allocate: Callable[[int, Version], memoryview],
        start: int | None = None,
        stop: int | None = None,
        expected: Version | None = None,
        write: Write | None = None,
    ) -> Fetched:
        """Read bytes `start` up to `stop` of an object (cdcs.md#get-object); see `Client.fetch`.

        A part of an object of which nothing is `expected` costs a request more: only ranges inside an object are
        documented. The version that is returned has the ETag without quotation marks.
        """
        known = None if expected is None else _comparable(expected)
        begin: int | None = None
        end: int | None = None
        if start or stop is not None:
            known = known or self.head(coffer, key).version
            begin, end = clamped(start, stop, known.size)
            if begin == end:
                allocate(0, known)
                return Fetched(begin, 0, known)
            if (begin, end) == (0, known.size):
                begin = end = None

        def request(range_header: str | None) -> Request:
            headers = {"Range": range_header} if range_header else {}
            return self._request("GET", "GetObject", coffer, key, headers=headers)

        def size() -> int | None:
            return self._listed_size(coffer, key)

        read = _ObjectRange(self._transport, self._refusal, request, begin, end, allocate, size, known, write)
        return self._run(read.attempt)

    def _listed_size(self, coffer: str, key: str) -> int | None:
        """Return the size of an object in bytes from a listing, which no proxy compresses."""
        found = self.list_page(coffer, prefix=key, max_keys=1).entries
        return next((entry.size for entry in found if entry.key == key), None)

    def _md5_of(self, coffer: str, key: str, status: StoredObject) -> bytes:
        """Return the MD5 of an object's content: of an encrypted one, the ETag is something else."""
        memory = memoryview(bytearray(status.size))
        self.fetch(coffer, key, lambda *_: memory, expected=status.version)
        return hashlib.md5(memory, usedforsecurity=False).digest()


class _ObjectRange(RangeRead):
    """One range of an object; see `RangeRead` for the parameters."""

    # every requested range exists: 416 means that the server refuses ranges
    _statuses = (200, 206)

    def _receive(self, response: Response, request: Request) -> None:
        if response.status in self._statuses and not _is_object(response.headers):
            # an error may come within a 200: it must not become the object's content
            raise self._refusal(response, request)
        super()._receive(response, request)

    def _version_of(self, total: int, response: Response) -> Version:
        return _comparable(super()._version_of(total, response))


def _is_object(headers: Mapping[str, str]) -> bool:
    """Return whether the headers of a reply are those of an object, and not of a message (cdcs.md#response-headers)."""
    return bool(plain_etag(headers.get("ETag")) or headers.get("Last-Modified"))


def _comparable(version: Version) -> Version:
    """Return a version with its ETag unquoted, to compare it with those of replies."""
    return Version(version.size, plain_etag(version.etag) or None, version.modified)
