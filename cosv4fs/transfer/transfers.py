"""Moving the contents of objects: the one object behind which uploads, downloads and writers are made."""

from __future__ import annotations

from cosv4fs.transfer.context import TransferContext
from cosv4fs.transfer.download import Download, Progress, RemoteObject
from cosv4fs.transfer.journal import NO_ENTRY, Entry
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.upload import send_source
from cosv4fs.transfer.uploader import Uploader
from cosv4fs.transfer.writer import ObjectWriter


class Transfers:
    """Uploads and downloads by one configuration.

    Parameters
    ----------
    context : TransferContext
        The client, threads and memory.
    uploader : Uploader
        Begins uploads, of the kinds that the client's service takes.
    """

    def __init__(self, context: TransferContext, uploader: Uploader) -> None:
        self.context = context
        self._uploader = uploader

    def upload(self, target: Target, source: Source, progress: Progress | None = None, entry: Entry = NO_ENTRY) -> None:
        """Upload a source: in one request when it is small, else in slices or parts.

        Parameters
        ----------
        progress : callable, optional
            Called with a number of bytes whenever some were sent; never from two threads at once.
        entry : Entry
            The journal's page, for a source that a later process can read again.

        Raises
        ------
        OSError
            The upload failed; nothing is published.
        """
        context = self.context
        if source.size > context.config.single_upload_limit:
            upload = self._uploader.resend(target, source, context, context.config.slice_size, entry)
            send_source(context, upload, source, progress)
            return
        with source.slice(0, source.size, context.buffers) as view:
            source.check()
            self._uploader.single(target).store(view)
        if progress is not None:
            progress(source.size)

    def download(
        self, source: RemoteObject, set_size: Progress | None = None, progress: Progress | None = None
    ) -> Download:
        """Return the download of an object; see `Download` for the parameters."""
        return Download(self.context, source, set_size, progress)

    def writer(self, target: Target, size: int | None = None, block_size: int | None = None) -> ObjectWriter:
        """Return the writer of an object that is written over time.

        Parameters
        ----------
        size : int, optional
            Bytes that will be written, exactly, where they are known.
        block_size : int, optional
            Bytes per slice or part that the caller would like.
        """
        protocol = self.context.config.protocol
        piece_size = None if block_size is None else protocol.piece_size(block_size)
        return ObjectWriter(self.context, self._uploader, target, size, piece_size)
