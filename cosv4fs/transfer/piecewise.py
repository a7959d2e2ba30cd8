"""Uploads in several requests: what all services share.

A *piece* is a slice of the JSON API or a part of a coffer's object. `v4` and `v3` upload in slices, and `coffers` in
parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from cosv4fs.api import Client
from cosv4fs.api.request import Content
from cosv4fs.concurrency import Pool
from cosv4fs.errors import CosError, CosFileNotFoundError, CosUploadSessionError
from cosv4fs.transfer.integrity import is_same
from cosv4fs.transfer.journal import JournalEntry, Record
from cosv4fs.transfer.plan import ByteRange, UploadPlan
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source

C_co = TypeVar("C_co", bound=Client, covariant=True)


@dataclass(frozen=True)
class KnownContent:
    """Content that can be read again: an upload of it can be verified, and resumed.

    Parameters
    ----------
    source : Source
        The content.
    pool : Pool
        Reads the stored object to compare it.
    entry : JournalEntry, optional
        Where the upload is recorded, if a later process can read the source again.
    sha : str, optional
        SHA-1 of the whole content in hex, if the server is to verify it.
    uploadparts : str, optional
        Lets a server of v4 recognise content that it already has (see `cosv4fs.transfer.sha1state`).
    """

    source: Source
    pool: Pool
    entry: JournalEntry | None = None
    sha: str | None = None
    uploadparts: str | None = None


class PiecewiseUpload(ABC, Generic[C_co]):
    """One upload in pieces, from `open` to `publish` or `abort`.

    Parameters
    ----------
    client : Client
        Sends the requests.
    target : Target
        Where the object goes.
    content : KnownContent, optional
        The content, if it can be read again.
    """

    def __init__(self, client: C_co, target: Target, content: KnownContent | None = None) -> None:
        self._client, self._target, self._content = client, target, content
        self._entry = None if content is None else content.entry
        self._sha = None if content is None else content.sha
        self._stored = False

    @property
    def target(self) -> Target:
        """Where the object goes."""
        return self._target

    @property
    def is_resumable(self) -> bool:
        """Whether a later process can continue the upload."""
        return self._entry is not None

    @abstractmethod
    def make_plan(self) -> UploadPlan:
        """Return a new plan of the pieces that the open upload still wants."""

    @property
    @abstractmethod
    def is_serial(self) -> bool:
        """Whether pieces have to go one after another."""

    @property
    def is_stored(self) -> bool:
        """Whether nothing has to be sent: the server has the content."""
        return self._stored

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the upload was begun on the server, or the content is already stored."""

    @abstractmethod
    def piece_size(self, offset: int) -> int:
        """Return the bytes of a full piece that begins at an offset."""

    @abstractmethod
    def open(self) -> None:
        """Start the upload, or continue that of an earlier process.

        Raises
        ------
        FileExistsError
            The target exists, and the upload is to create it.
        IsADirectoryError
            A directory has the target's name.
        """

    @abstractmethod
    def recover(self) -> None:
        """Recover after the server refused to continue, so that a new plan can be sent."""

    @abstractmethod
    def send(self, piece: ByteRange, content: Content) -> None:
        """Send one piece; sending it again does no harm."""

    @abstractmethod
    def finish(self, size: int | None = None, sha: str | None = None) -> None:
        """Complete the object, and publish it unless it is deferred.

        Parameters
        ----------
        size, sha : int, str, optional
            Bytes and SHA-1 that were sent, where the size was not known at the start: the stored object is compared
            with them unless it is verified otherwise.
        """

    @abstractmethod
    def publish(self) -> None:
        """Make a deferred object visible. Does nothing when it is."""

    @abstractmethod
    def abort(self) -> None:
        """Remove the unfinished upload. A complete object at the target is never touched."""

    def _is_source_at(self, key: str) -> bool:
        """Return whether an object exists at a key of the target's bucket, and has the bytes of the source."""
        content = self._content
        if content is None:
            return False
        return is_same(self._client, content.pool, replace(self._target, key=key), content.source)

    def _save_record(self, key: str, session: str | None) -> None:
        if self._entry is not None:
            self._entry.save(Record(key, session, self._sha))

    def _load_record(self) -> Record | None:
        return None if self._entry is None else self._entry.load()

    def _remove_record(self) -> None:
        if self._entry is not None:
            self._entry.remove()


def is_gone(error: CosError) -> bool:
    """Return whether an error means that the server does not know the upload, or no longer does."""
    return isinstance(error, (CosUploadSessionError, CosFileNotFoundError))
