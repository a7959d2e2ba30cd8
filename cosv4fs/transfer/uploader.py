"""Upload an object to one service: small ones in one request, large ones in pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from cosv4fs.transfer.context import TransferContext
from cosv4fs.transfer.journal import Entry
from cosv4fs.transfer.multipart import MultipartUpload
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.single import SingleUpload
from cosv4fs.transfer.sources import Source


class Uploader(ABC):
    """Begins the uploads to one service, each of the kind that the service takes."""

    needs_size: ClassVar[bool] = True
    """Whether the service expects the size of an object before its first piece."""

    @abstractmethod
    def single(self, target: Target) -> SingleUpload:
        """Return the upload of a small object, in one request."""

    @abstractmethod
    def stream(self, target: Target, size: int | None, piece_size: int) -> MultipartUpload | None:
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
        MultipartUpload or None
            None where the service can take no piece before the whole content, or its size, is known.
        """

    @abstractmethod
    def resend(
        self, target: Target, source: Source, context: TransferContext, piece_size: int, entry: Entry
    ) -> MultipartUpload:
        """Return the upload of a source that can be read again.

        Parameters
        ----------
        target : Target
            Where the object goes.
        source : Source
            The content.
        context : TransferContext
            Reads and compares the source.
        piece_size : int
            Bytes per piece to ask for.
        entry : Entry
            The journal's page, for a source that a later process can read again.
        """
