"""`Transfers`: entry point for uploads, downloads and writers."""

from __future__ import annotations

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool
from cosv4fs.transfer.download import Download, Progress, RemoteObject
from cosv4fs.transfer.journal import JournalEntry
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.upload import send_source
from cosv4fs.transfer.uploader import Uploader
from cosv4fs.transfer.writer import ObjectWriter


class Transfers:
    """Uploads and downloads by one configuration.

    Parameters
    ----------
    uploader : Uploader
        Begins uploads, of the kinds that the service takes. Downloads use its client and pool, too.
    """

    def __init__(self, uploader: Uploader[Client]) -> None:
        self._uploader = uploader
        self._client, self._config = uploader.client, uploader.client.config

    @property
    def pool(self) -> Pool:
        """The threads, window and memory for pieces and ranges."""
        return self._uploader.pool

    def upload(
        self, target: Target, source: Source, progress: Progress | None = None, entry: JournalEntry | None = None
    ) -> None:
        """Upload a source: in one request when it is small, else in pieces.

        Parameters
        ----------
        progress : callable, optional
            Called with a number of bytes whenever some were sent; never from two threads at once.
        entry : JournalEntry, optional
            Where the upload is recorded, if a later process can read the source again.

        Raises
        ------
        OSError
            The upload failed; nothing is published.
        """
        if source.size > self._config.single_upload_limit:
            upload = self._uploader.from_source(target, source, self._config.slice_size, entry)
            send_source(self.pool, upload, source, progress)
            return
        with source.lend(0, source.size, self.pool.buffers) as view:
            source.check_unchanged()
            self._uploader.single(target).store(view)
        if progress is not None:
            progress(source.size)

    def download(
        self, source: RemoteObject, set_size: Progress | None = None, progress: Progress | None = None
    ) -> Download:
        """Return the download of an object; see `Download` for the parameters."""
        return Download(self._client, self.pool, source, set_size, progress)

    def writer(self, target: Target, size: int | None = None, block_size: int | None = None) -> ObjectWriter:
        """Return the writer of an object that is written over time.

        Parameters
        ----------
        size : int, optional
            Bytes that will be written, exactly, where they are known.
        block_size : int, optional
            Bytes per piece that the caller would like.
        """
        piece_size = None if block_size is None else self._config.protocol.piece_size(block_size)
        return ObjectWriter(self._uploader, target, size, piece_size)
