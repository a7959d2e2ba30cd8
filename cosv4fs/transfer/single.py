"""Uploading a small object: in one request.

What waits for the end of a transaction is kept where nobody sees it: by the JSON API in a hidden sibling, and where
nothing can be moved in this process.
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

__all__ = ["CofferSingle", "PlacedSingle", "SingleUpload", "upload_single"]


class SingleUpload(ABC):
    """One object that goes up in one request.

    Parameters
    ----------
    target : Target
        Where the object shall be.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    @abstractmethod
    def store(self, view: memoryview) -> None:
        """Take the content; it is visible at once unless the target is deferred. The memory is the caller's again."""

    @abstractmethod
    def publish(self) -> None:
        """Make a deferred object visible."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing of a deferred object."""


class PlacedSingle(SingleUpload):
    """A small object by the JSON API; see `SingleUpload`."""

    def __init__(self, client: CosClient, target: Target) -> None:
        super().__init__(target)
        self._client = client
        self._place, self._size = target.key, 0

    def store(self, view: memoryview) -> None:
        """Upload the content, of a deferred target to a hidden sibling."""
        self._size = len(view)
        self._place = upload_single(self._client, self._target, view)

    def publish(self) -> None:
        """Move the sibling into place."""
        if self._place != self._target.key:
            publish_sibling(self._client, self._target, self._place, self._size, None)

    def abort(self) -> None:
        """Delete the sibling."""
        if self._place != self._target.key:
            discard_sibling(self._client, self._target.bucket, self._place)


class CofferSingle(SingleUpload):
    """A small object of a coffer, which can be put and never be moved; see `SingleUpload`."""

    def __init__(self, client: CofferClient, target: Target) -> None:
        super().__init__(target)
        self._client = client
        self._waiting: bytes | None = None

    def store(self, view: memoryview) -> None:
        """Put the object; of a deferred target keep the content in memory."""
        if self._target.deferred:
            self._waiting = bytes(view)
        else:
            self._put(view)

    def publish(self) -> None:
        """Put the object that waited."""
        if self._waiting is not None:
            with memoryview(self._waiting) as view:
                self._put(view)
            self._waiting = None

    def abort(self) -> None:
        """Forget the content that waits."""
        self._waiting = None

    def _put(self, view: memoryview) -> None:
        target = self._target
        with creating(self._client, target):
            self._client.put_object(
                target.bucket, target.key, view, content_type=target.content_type, exclusive=target.create
            )


def upload_single(client: CosClient, target: Target, view: memoryview) -> str:
    """Upload an object of at most 20 MiB in one request; return the key where it is now.

    That key is a hidden sibling's when the target is deferred, else the target's.

    Raises
    ------
    FileExistsError
        The target exists, and the upload is to create it.
    IsADirectoryError
        A directory has the target's name.
    """

    def put(key: str, create: bool) -> None:
        def action() -> object:
            return client.upload(target.bucket, key, view, insert_only=create, content_type=target.content_type)

        with_parents(client, target.bucket, key, action)
        client.set_content_type(target.bucket, key, target.content_type if target.explicit_type else None)

    def put_sibling() -> str:
        place = paths.sibling(target.key)
        try:
            with blocked_parent(target):
                put(place, create=True)
        except BaseException:
            discard_sibling(client, target.bucket, place)
            raise
        return place

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
