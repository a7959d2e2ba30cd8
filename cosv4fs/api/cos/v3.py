"""The JSON API v3, under ``/files/v1``: how it differs from v4 (cos.md#v3).

One operation, ``upload_slice``, opens an upload and sends its slices, and the last slice completes the object. The
service wants the SHA-1 first. Pages of a listing say whether there are more, and a status does not show an unfinished
upload: a listing does.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace

from cosv4fs import paths
from cosv4fs.api.cos.client import CosClient
from cosv4fs.api.cos.replies import Entry, Page, PathStatus, SliceSession, UploadedObject
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Content, form_body, size_of
from cosv4fs.api.retry import AttemptError
from cosv4fs.errors import make_error, session_error
from cosv4fs.protocols import V3

_OTHER_SLICE_EXPECTED = (-4024,)
"""Codes for a slice whose bytes the server has already."""


class CosV3Client(CosClient):
    """One account's access to the service by the API v3; see `CosClient` for its parameters.

    It cannot copy (ENOTSUP), and no reply of it shows ``authority`` and ``custom_headers``.
    """

    protocol = V3

    def open_slices(
        self,
        bucket: str,
        key: str,
        *,
        filesize: int,
        sha: str,
        slice_size: int,
        session: str | None = None,
        insert_only: bool = True,
        biz_attr: str | None = None,
    ) -> SliceSession | UploadedObject:
        """Open an upload, or query the progress of one (``op=upload_slice`` without content).

        Parameters
        ----------
        session : str, optional
            That of an upload to go on with.
        insert_only : bool
            Fail when the object exists with another content.
        filesize, sha, slice_size, biz_attr
            As for `CosV4Client.upload_slice_init`.

        Returns
        -------
        SliceSession or UploadedObject
            The former with the offset to go on from; the latter when the content is stored and nothing has to be sent.

        Raises
        ------
        OSError
            ESTALE when the session is unknown.
        """
        fields = {
            "op": "upload_slice",
            "filesize": str(filesize),
            "sha": sha,
            "slice_size": str(slice_size),
            "insertOnly": str(int(insert_only)),
            "session": session,
            "biz_attr": biz_attr,
        }

        def parse(data: Fields) -> SliceSession | UploadedObject:
            if data.has("access_url"):
                return UploadedObject.parse(data)
            opened = SliceSession.parse_v3(data, slice_size)
            if opened.offset > filesize:
                raise data.bad("offset", opened.offset)
            return opened

        return self._post("upload_slice", bucket, key, form_body(fields), parse)

    def send_slice(
        self,
        bucket: str,
        key: str,
        session: str,
        offset: int,
        content: Content,
        *,
        content_type: str | None = None,
    ) -> UploadedObject | None:
        """Send one slice (``op=upload_slice`` with content), after all those before it.

        Parameters are those of `CosV4Client.upload_slice_data`, with a session from `open_slices`.

        Returns
        -------
        UploadedObject or None
            The former when this slice was the last one and the object is complete.

        Raises
        ------
        OSError
            ESTALE when the session is unknown or wants another slice; EBADMSG when the server took another offset.
        """
        fields = {"op": "upload_slice", "session": session, "offset": str(offset)}

        def parse(data: Fields) -> UploadedObject | None:
            if data.has("access_url"):
                return UploadedObject.parse(data)
            # the slice's own offset by the documentation's table, the next one's by its sample (cos.md#v3-offset)
            answered = data.number("offset")
            if answered not in (offset, offset + size_of(content)):
                raise data.bad("offset", answered)
            return None

        return self._post("upload_slice", bucket, key, form_body(fields, content, content_type), parse)

    def list_page(self, bucket: str, key: str, *, num: int, context: str = "", prefix: str = "") -> Page:
        """Return one page of a directory (``op=list``), of at most 199 entries; see `CosClient.list_page`."""
        data = self._get("list", bucket, key + prefix, num=str(num), pattern="eListBoth", order="0", context=context)
        entries = tuple(Entry.parse(row) for row in data.page("infos"))
        more = data.flag("has_more")
        # nothing disputes what has_more means: a page that is the last one has no context to go on with
        return Page(entries, "" if more is False else data.text("context", ""), None if more is None else not more)

    def stat(self, bucket: str, key: str) -> PathStatus:
        """Return the status as `CosClient.stat` does.

        If the reply does not say how much of a file was received, a listing does: two requests.
        """
        data = self._get("stat", bucket, key)
        status = PathStatus.parse(data, key.endswith("/"))
        if status.is_directory or data.has("filelen"):
            return status
        entry = self._entry(bucket, key)
        if entry is None:
            # no directory lists it: it was removed meanwhile, or is not listed at all
            self._get("stat", bucket, key)
            return status
        return replace(status, size=entry.size, stored=entry.stored)

    def is_uploading(self, bucket: str, key: str) -> bool:
        """Return whether an unfinished upload stands at a key."""
        entry = self._entry(bucket, key)
        return entry is not None and entry.is_unfinished

    def copy(self, bucket: str, key: str, target: str, *, overwrite: bool = False) -> None:
        """Refuse (ENOTSUP): v3 cannot copy."""
        text = "COS v3 (/files/v1) cannot copy: read the object and upload it"
        raise make_error(errno.ENOTSUP, text, paths.join(bucket, key))

    def _needs_flag(self, values: Mapping[str, object]) -> bool:
        # only ``biz_attr`` is documented; clients of v3 name the other attributes by their bits (cos.md#v3)
        return super()._needs_flag(values) or not values.keys() <= {"biz_attr"}

    def _on_failure(self, failure: AttemptError, number: int, pause: float) -> None:
        error = failure.error
        if error.code in _OTHER_SLICE_EXPECTED:
            # the table says "retry", but the same slice would be refused again: the caller has to query the next one
            raise session_error(str(error.strerror), error.filename, error) from error
        super()._on_failure(failure, number, pause)

    def _entry(self, bucket: str, key: str) -> Entry | None:
        """Return how a listing of its directory shows a file."""
        folder, _, name = key.rpartition("/")
        found = self.list(bucket, f"{folder}/", prefix=name)
        return next((entry for entry in found if entry.name == name and not entry.is_directory), None)
