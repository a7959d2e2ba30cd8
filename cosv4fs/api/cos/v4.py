"""The COS JSON API v4, one typed method per operation (cos.md#uploads to cos.md#download). Usable without fsspec.

>>> from cosv4fs.api import CosV4Client
>>> client = CosV4Client.connect(appid="1250000000", secret_id="…", secret_key="…", region="gz")  # doctest: +SKIP
>>> client.upload("bucket", "/dir/name.txt", b"hello", insert_only=False)  # doctest: +SKIP

Objects are addressed by bucket and key. A key begins with ``/``; that of a directory also ends with one, the bucket's
root is ``/``. Sizes and offsets are bytes, times are Unix seconds.

Clients are thread-safe. They raise only `OSError` subclasses (see `cosv4fs.errors`). Transient errors are retried. When
a reply was lost, the client finds out whether the request had succeeded; where it cannot, the error says so.
"""

from __future__ import annotations

import time

from cosv4fs.api.cos.client import CosClient
from cosv4fs.api.cos.replies import ReceivedSlice, SliceSession, UnfinishedUpload, UploadedObject
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Content, form_body, size_of
from cosv4fs.api.retry import AttemptError
from cosv4fs.errors import CosFileExistsError, CosFileNotFoundError, CosUploadSessionError


class CosV4Client(CosClient):
    """One account's access to the service by the API v4; see `CosClient` for its parameters."""

    def upload_slice_init(
        self,
        bucket: str,
        key: str,
        *,
        filesize: int,
        slice_size: int,
        insert_only: bool = True,
        sha: str | None = None,
        uploadparts: str | None = None,
        biz_attr: str | None = None,
    ) -> SliceSession | UploadedObject:
        """Open an upload session (``op=upload_slice_init``, cos.md#upload_slice_init).

        Parameters
        ----------
        filesize, slice_size : int
            Bytes of the whole object and of a slice; the server may answer with another slice size.
        insert_only : bool
            Fail when the object exists.
        sha, uploadparts : str, optional
            SHA-1 of the whole object in hex, and the JSON text of its chaining states at every MiB.
        biz_attr : str, optional
            A free attribute.

        Returns
        -------
        SliceSession or UploadedObject
            The latter when the content was already stored and nothing has to be sent.

        Raises
        ------
        FileExistsError
            The object exists, or (code -4019) an unfinished upload holds the path.
        """
        fields = {
            "op": "upload_slice_init",
            "filesize": str(filesize),
            "slice_size": str(slice_size),
            "insertOnly": str(int(insert_only)),
            "sha": sha,
            "uploadparts": uploadparts,
            "biz_attr": biz_attr,
        }

        def parse(data: Fields) -> SliceSession | UploadedObject:
            if data.has("session"):
                return SliceSession.parse(data)
            if not data.has("access_url"):
                # neither a session nor a stored object: to believe that nothing has to be sent would lose the content
                raise data.bad("session", None)
            return UploadedObject.parse(data)

        return self._post("upload_slice_init", bucket, key, form_body(fields), parse)

    def upload_slice_data(
        self,
        bucket: str,
        key: str,
        session: str,
        offset: int,
        content: Content,
        *,
        sha: str | None = None,
        content_type: str | None = None,
    ) -> ReceivedSlice:
        """Send one slice (``op=upload_slice_data``, cos.md#upload_slice_data). Sending it again does no harm.

        Parameters
        ----------
        session : str
            From `upload_slice_init` or `upload_slice_list`.
        offset : int
            Where the slice starts, in bytes.
        content : memoryview or sequence of memoryview
            The slice, in one piece or several; it must not change until the method returns.
        sha : str, optional
            The whole object's SHA-1, when the session was opened with it.
        content_type : str, optional
            As in `upload`.

        Raises
        ------
        OSError
            ESTALE when the session is unknown; EIO when the server took another offset or length.
        """
        fields = {"op": "upload_slice_data", "session": session, "offset": str(offset), "sha": sha}

        def parse(data: Fields) -> ReceivedSlice:
            slice_ = ReceivedSlice.parse(data, session)
            if slice_.offset != offset:
                raise data.bad("offset", slice_.offset)
            if slice_.length not in (None, size_of(content)):
                raise data.bad("datalen", slice_.length)
            return slice_

        return self._post("upload_slice_data", bucket, key, form_body(fields, content, content_type), parse)

    def upload_slice_list(self, bucket: str, key: str) -> UnfinishedUpload | None:
        """Return the unfinished upload at a key (``op=upload_slice_list``, cos.md#upload_slice_list).

        Returns
        -------
        UnfinishedUpload or None
            None when there is none: a complete object, or nothing at all.
        """

        def parse(data: Fields) -> UnfinishedUpload | None:
            if data.has("session"):
                return UnfinishedUpload.parse(data)
            if not data.has("access_url"):
                # neither an upload nor a complete object
                raise data.bad("session", None)
            return None

        try:
            return self._post("upload_slice_list", bucket, key, form_body({"op": "upload_slice_list"}), parse)
        except CosFileNotFoundError:
            return None

    def upload_slice_finish(
        self, bucket: str, key: str, session: str, filesize: int, *, sha: str | None = None
    ) -> UploadedObject:
        """Finish an upload session (cos.md#upload_slice_finish): the object becomes visible.

        Parameters
        ----------
        session, filesize : str, int
            As opened.
        sha : str, optional
            Required exactly when the session was opened with it.
        """
        fields = {"op": "upload_slice_finish", "session": session, "filesize": str(filesize), "sha": sha}

        def settle(failure: AttemptError) -> UploadedObject | None:
            # a finish that succeeded leaves no session behind
            gone = isinstance(failure.error, (CosUploadSessionError, CosFileNotFoundError, CosFileExistsError))
            return UploadedObject() if gone and self._is_complete(bucket, key, filesize, sha) else None

        return self._post("upload_slice_finish", bucket, key, form_body(fields), UploadedObject.parse, settle)

    def is_uploading(self, bucket: str, key: str) -> bool:
        """Return whether an unfinished upload stands at a key, beside a complete object or alone."""
        return self.upload_slice_list(bucket, key) is not None

    def copy(self, bucket: str, key: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file inside its bucket (``op=copy``, cos.md#copy). Parameters and errors as for `move`."""
        began = time.monotonic()

        def settle(failure: AttemptError) -> bool | None:
            # with `overwrite` a retry does no harm: the target gets what the source has
            if not overwrite and isinstance(failure.error, CosFileExistsError):
                source = self.stat(bucket, key)
                if self._is_complete(bucket, target, source.size, source.sha):
                    self._raise_if_possibly_own(failure, bucket, target, began)
            return None

        fields = {"op": "copy", "dest_fileid": target, "to_over_write": str(int(overwrite))}
        self._command("copy", bucket, key, form_body(fields), settle)
