"""Begin uploads to one service: small objects in one request, large ones in pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool
from cosv4fs.transfer.journal import JournalEntry
from cosv4fs.transfer.piecewise import PiecewiseUpload
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.single import SingleUpload
from cosv4fs.transfer.sources import Source

C_co = TypeVar("C_co", bound=Client, covariant=True)


class Uploader(ABC, Generic[C_co]):
    """Begins the uploads to one service, each of the kind that the service takes.

    Parameters
    ----------
    client : Client
        Sends the requests.
    pool : Pool
        Runs the requests for pieces, and lends them memory.
    """

    needs_size: ClassVar[bool] = True
    """Whether the service expects the size of an object before its first piece."""

    def __init__(self, client: C_co, pool: Pool) -> None:
        self.client, self.pool = client, pool

    @abstractmethod
    def single(self, target: Target) -> SingleUpload:
        """Return the upload of a small object, in one request."""

    @abstractmethod
    def stream(self, target: Target, size: int | None, piece_size: int) -> PiecewiseUpload[Client] | None:
        """Return an upload whose pieces are sent while the caller is still writing.

        Parameters
        ----------
        target : Target
            Where the object goes.
        size : int or None
            Bytes of the object, where they are known.
        piece_size : int
            Bytes per piece to ask for.

        Returns
        -------
        PiecewiseUpload or None
            None where the service can take no piece before the whole content, or its size, is known.
        """

    @abstractmethod
    def from_source(
        self, target: Target, source: Source, piece_size: int, entry: JournalEntry | None
    ) -> PiecewiseUpload[Client]:
        """Return the upload of a source that can be read again.

        Parameters
        ----------
        target : Target
            Where the object goes.
        source : Source
            The content.
        piece_size : int
            Bytes per piece to ask for.
        entry : JournalEntry or None
            Where the upload is recorded, if a later process can read the source again.
        """
