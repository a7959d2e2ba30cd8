"""Uploads of small objects in one request.

A deferred object, which waits for the end of its transaction, is stored in a hidden sibling by the JSON API, and kept
in memory where the service cannot move objects.
"""

from __future__ import annotations

from typing import Protocol

from cosv4fs import paths
from cosv4fs.api import CofferClient, CosClient
from cosv4fs.errors import CosFileExistsError
from cosv4fs.transfer.directories import with_parents
from cosv4fs.transfer.publish import (
    UNFINISHED,
    Target,
    blocked_parent,
    discard_sibling,
    publish_sibling,
    raise_if_taken,
)
from cosv4fs.transfer.writeonce import creating


class SingleUpload(Protocol):
    """The upload of one object in one request."""

    def store(self, view: memoryview) -> None:
        """Upload the content, visible at once unless the target is deferred. The view can be reused afterwards."""

    def publish(self) -> None:
        """Make a deferred object visible."""

    def abort(self) -> None:
        """Discard a deferred object."""


class BucketSingle:
    """The upload of an object of at most 20 MiB by the JSON API (cos.md#upload); see `SingleUpload`.

    Parameters
    ----------
    client : CosClient
        Sends the requests.
    target : Target
        Where the object goes.
    """

    def __init__(self, client: CosClient, target: Target) -> None:
        self._client, self._target = client, target
        self._sibling: str | None = None
        self._size = 0

    def store(self, view: memoryview) -> None:
        """Upload the content; if the target is deferred, to a hidden sibling.

        Raises
        ------
        FileExistsError
            The target exists, and the upload must create it.
        IsADirectoryError
            A directory has the target's name.
        """
        target, self._size = self._target, len(view)
        if target.deferred:
            self._store_sibling(view)
            return
        try:
            self._put(target.key, view, create=target.create)
        except CosFileExistsError as refusal:
            # the server does not overwrite in one request, or an unfinished upload is in the way
            if refusal.code != UNFINISHED:
                raise_if_taken(self._client, target, refusal)
            self._store_sibling(view)
            self.publish()

    def publish(self) -> None:
        """Publish the sibling, by a move to the target."""
        if self._sibling is not None:
            publish_sibling(self._client, self._target, self._sibling, self._size, None)
            self._sibling = None

    def abort(self) -> None:
        """Delete the sibling."""
        if self._sibling is not None:
            discard_sibling(self._client, self._target.bucket, self._sibling)

    def _store_sibling(self, view: memoryview) -> None:
        sibling = paths.sibling(self._target.key)
        try:
            with blocked_parent(self._target):
                self._put(sibling, view, create=True)
        except BaseException:
            discard_sibling(self._client, self._target.bucket, sibling)
            raise
        self._sibling = sibling

    def _put(self, key: str, view: memoryview, *, create: bool) -> None:
        client, target = self._client, self._target

        def action() -> object:
            return client.upload(target.bucket, key, view, insert_only=create, content_type=target.content_type)

        with_parents(client, target.bucket, key, action)
        client.set_content_type(target.bucket, key, target.content_type if target.explicit_type else None)


class CofferSingle:
    """The upload of a small object to a coffer, where nothing can be moved (cdcs.md#put-object); see `SingleUpload`.

    Parameters
    ----------
    client : CofferClient
        Sends the requests.
    target : Target
        Where the object goes.
    """

    def __init__(self, client: CofferClient, target: Target) -> None:
        self._client, self._target = client, target
        self._waiting: bytes | None = None

    def store(self, view: memoryview) -> None:
        """Put the object, or keep its content in memory if the target is deferred."""
        if self._target.deferred:
            self._waiting = bytes(view)
        else:
            self._put(view)

    def publish(self) -> None:
        """Put the deferred object."""
        if self._waiting is not None:
            with memoryview(self._waiting) as view:
                self._put(view)
            self._waiting = None

    def abort(self) -> None:
        """Discard the deferred content."""
        self._waiting = None

    def _put(self, view: memoryview) -> None:
        target = self._target
        with creating(self._client, target):
            self._client.put_object(
                target.bucket, target.key, view, content_type=target.content_type, exclusive=target.create
            )
