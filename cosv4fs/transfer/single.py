"""Uploads of small objects in one request.

A deferred object, which waits for the end of its transaction, is stored in a hidden sibling by the JSON API, and kept
in memory where the service cannot move objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

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
    refuse_taken,
)
from cosv4fs.transfer.writeonce import creating


class SingleUpload(ABC):
    """The upload of one object in one request.

    Parameters
    ----------
    target : Target
        Where the object goes.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    @abstractmethod
    def store(self, view: memoryview) -> None:
        """Upload the content, visible at once unless the target is deferred. The view can be reused afterwards."""

    @abstractmethod
    def publish(self) -> None:
        """Make a deferred object visible."""

    @abstractmethod
    def abort(self) -> None:
        """Discard a deferred object."""


class BucketSingle(SingleUpload):
    """The upload of a small object by the JSON API; see `SingleUpload`."""

    def __init__(self, client: CosClient, target: Target) -> None:
        super().__init__(target)
        self._client = client
        self._key, self._size = target.key, 0

    def store(self, view: memoryview) -> None:
        """Upload the content; if the target is deferred, to a hidden sibling."""
        self._size = len(view)
        self._key = upload_single(self._client, self._target, view)

    def publish(self) -> None:
        """Publish the sibling, by a move to the target."""
        if self._key != self._target.key:
            publish_sibling(self._client, self._target, self._key, self._size, None)

    def abort(self) -> None:
        """Delete the sibling."""
        if self._key != self._target.key:
            discard_sibling(self._client, self._target.bucket, self._key)


class CofferSingle(SingleUpload):
    """The upload of a small object to a coffer, where nothing can be moved; see `SingleUpload`."""

    def __init__(self, client: CofferClient, target: Target) -> None:
        super().__init__(target)
        self._client = client
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


def upload_single(client: CosClient, target: Target, view: memoryview) -> str:
    """Upload an object of at most 20 MiB in one request, and return the key where it is now.

    The key is that of a hidden sibling if the target is deferred, else that of the target.

    Raises
    ------
    FileExistsError
        The target exists, and the upload must create it.
    IsADirectoryError
        A directory has the target's name.
    """

    def put(key: str, create: bool) -> None:
        def action() -> object:
            return client.upload(target.bucket, key, view, insert_only=create, content_type=target.content_type)

        with_parents(client, target.bucket, key, action)
        client.set_content_type(target.bucket, key, target.content_type if target.explicit_type else None)

    def put_sibling() -> str:
        sibling = paths.sibling(target.key)
        try:
            with blocked_parent(target):
                put(sibling, create=True)
        except BaseException:
            discard_sibling(client, target.bucket, sibling)
            raise
        return sibling

    if target.deferred:
        return put_sibling()
    try:
        put(target.key, target.create)
    except CosFileExistsError as refusal:
        # the server does not overwrite in one request, or an unfinished upload is in the way
        if refusal.code != UNFINISHED:
            refuse_taken(client, target, refusal)
        publish_sibling(client, target, put_sibling(), len(view), None)
    return target.key
